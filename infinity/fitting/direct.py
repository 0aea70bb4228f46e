r"""The direct fit of a separable model: damped Gauss-Newton with exact block solves, smoothness by the evidence.

    min  sum_n w_n |u(x_n) - y_n|^2 / (2 sigma^2) + sum_d sum_m a_dm^T (lambda_0 Q_d + lambda_d R_d) a_dm / 2 + the same for the additive block

`Q_d` is the mass and `R_d` the stiffness matrix of the splines of dimension d. After each joint step the factors of one dimension in turn, the additive
block and the constant, in all of which the model is affine, are solved for exactly: the joint step moves along the curved valleys of a product, the
solve brings it back to their floor. The first iterations use part of the samples, as the whole table adds nothing while the model is far off; the last
ones use all of them. The noise variance starts at a hundredth of that of the data and follows the residual, so the penalties fade by themselves as
the fit improves.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..basis import AbstractBasis, Axis
from ..compilation import quick_jit
from ..descent.evidence import Evidence, covariance, damped_step, refined_solve, update
from ..descent.streaming import Normal, accumulate, accumulate_gradient, accumulate_loss, chunked
from ..descent.windows import Group, Tiles, accumulate_windows, tiled
from ..models import AbstractSeparable
from ..models.separable import design
from .roughness import BlockPenalty, roughness_penalty
from .stacked import Layout, Stacked, flattened, stack, unstack

Progress = Callable[[dict[str, Any]], None]

# Samples in a chunk, by the most samples it serves: enough to keep a matrix product busy, few enough to stay in the cache and to waste little of the last.
CHUNKS = {512: 64, 4096: 128}
CHUNK = 512
# Samples an unknown in the first stage, and for the Gram matrix in the second.
FIRST_STAGE = 6
GRAM_STAGE = 12
# Where cells are unequal, samples that the emptiest of them holds at least in either stage; lengths that differ by less are equal.
CELL_STAGE, UNEQUAL = 6, 4.0
FIRST_ITERATIONS = 60
LAST_ITERATIONS = 40
# The iteration ends after so many steps in a row that change little.
CALM_STEPS = 4
# Relative length of a step below which nothing moves.
AT_REST = 1e-12
# Basis functions are kept for all samples where this many numbers hold them, and evaluated chunk by chunk beyond.
KEPT_NUMBERS = 2**25
# Windows pay from here on: their products are smaller and touch more memory.
WINDOWS_PAY = 0.4


class Data(NamedTuple):
    """Samples in chunks: basis functions `(chunks, size, D, n)` or inputs `(chunks, size, D)`, targets `(chunks, size, O)`, weights `(chunks, size)`."""

    points: Float[Array, "chunks size ..."]
    y: Float[Array, "chunks size O"]
    weights: Float[Array, "chunks size"]


class Problem(eqx.Module):
    """What stays the same during the iteration.

    **Fields:** `bases` where the data hold inputs; the `data`; `tiles` where the Gram matrix is summed by windows; `used` chunks of the data for
    loss and gradient, the first `shaping` of them for the Gram matrix, which `share` scales up; `samples`, the numbers measured; the penalty; the tolerance.
    """

    bases: tuple[AbstractBasis, ...] | None
    data: Data
    tiles: Tiles | None
    used: Int[Array, ""]
    shaping: Int[Array, ""]
    share: Float[Array, ""]
    samples: Float[Array, ""]
    penalty: BlockPenalty
    tolerance: Float[Array, ""]

    def basis_functions(self, chunk: Data) -> Float[Array, "size D n"]:
        """The basis functions of a chunk."""
        bases = self.bases
        return chunk.points if bases is None else _designs(bases, chunk.points)


class State(eqx.Module):
    """State of the iteration between two steps."""

    stacked: Stacked
    normal: Normal
    evidence: Evidence
    objective: Float[Array, ""]
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    accepted: Int[Array, ""]
    calm: Int[Array, ""]
    effective: Float[Array, ""]
    size: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class DirectFit:
    """What the direct fit found.

    **Fields:** the model; its normal equations, evidence and penalty, in stacked form; whether it converged; the values at all samples; how it went.
    """

    model: AbstractSeparable
    state: State
    penalty: BlockPenalty
    converged: bool
    values: Float[np.ndarray, "N O"]
    history: list[dict[str, Any]]
    counts: dict[str, int]

    @property
    def evidence(self) -> Evidence:
        """The strengths of the penalties and the noise variance."""
        return self.state.evidence

    @property
    def effective(self) -> float:
        """The effective number of parameters."""
        return float(self.state.effective)

    @functools.cached_property
    def covariance(self) -> Float[Array, "P P"]:
        """The covariance of the model's parameters, in the order of its leaves."""
        return _covariance(self.penalty, self.state)

    @functools.cached_property
    def stationarity(self) -> float:
        """The cosine between the residual and the nearest column, penalty included."""
        return float(_stationarity(self.penalty, self.state))


def _rows(problem: Problem, unravel: Callable, theta: Float[Array, " P"], chunk: Data):
    """Residuals, Jacobian and weights of a chunk: one row for each sample and output."""
    values, J = unravel(theta).rows(problem.basis_functions(chunk))
    return (values - chunk.y).ravel(), J, jnp.repeat(chunk.weights, chunk.y.shape[1])


def _residuals(problem: Problem, unravel: Callable, theta: Float[Array, " P"], chunk: Data):
    values = unravel(theta).values(problem.basis_functions(chunk))
    return (values - chunk.y).ravel(), jnp.repeat(chunk.weights, chunk.y.shape[1])


def _gradient(problem: Problem, stacked: Stacked, first: Int[Array, ""] | int = 0):
    theta, unravel = flattened(stacked, problem.penalty.kept)
    residuals = lambda theta, chunk: _residuals(problem, unravel, theta, chunk)
    return accumulate_gradient(residuals, theta, problem.data, problem.used, first)


def _linearise(problem: Problem, stacked: Stacked) -> Normal:
    """Normal equations of all used samples; the Gram matrix from those that shape it."""
    kept = problem.penalty.kept
    theta, unravel = flattened(stacked, kept)
    if problem.tiles is None:

        def rows(theta, chunk):
            r, J, w = _rows(problem, unravel, theta, chunk)
            # Taken together, the compiler would work out every column taken from all of their formulas.
            return r, J if kept.size == J.shape[1] else jax.lax.optimization_barrier(J)[:, kept], w

        shape = accumulate(rows, theta, problem.data, problem.shaping)
        gradient, loss = _gradient(problem, stacked, problem.shaping)
        return Normal(problem.share * shape.gram, shape.gradient + gradient, shape.loss + loss)

    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), problem.data)

    def take(samples, counted):
        chunk = jax.tree.map(lambda a: a[samples], flat)
        return chunk._replace(weights=chunk.weights * counted)

    flat_theta, unravel_all = ravel_pytree(stacked)
    rows = lambda theta, chunk: _rows(problem, unravel_all, theta, chunk)
    gram = accumulate_windows(rows, flat_theta, take, problem.tiles)[kept[:, None], kept]
    gradient, loss = _gradient(problem, stacked)
    return Normal(problem.share * gram, gradient, loss)


def _solve_block(problem: Problem, stacked: Stacked, evidence: Evidence, d: Int[Array, ""]) -> Stacked:
    """Solve for the factors of one dimension, the additive block and the constant, the other factors held."""
    layout = Layout.of(stacked)
    theta, unravel = ravel_pytree(stacked)
    block = jnp.concatenate([layout.factor(d), layout.affine()])

    def rows(_, chunk):
        values, J = stacked.block_rows(problem.basis_functions(chunk), d)
        return (values - chunk.y).ravel(), J, jnp.repeat(chunk.weights, chunk.y.shape[1])

    shape = accumulate(rows, theta, problem.data, problem.shaping, width=block.size)
    penalty = problem.penalty
    gradient = shape.gradient + penalty.filled(_gradient(problem, stacked, problem.shaping)[0])[block]
    S = evidence.variance * penalty.filled_matrix(evidence.lam)
    H = problem.share * shape.gram + S[block[:, None], block]
    scale = jnp.sqrt(jnp.where(jnp.diagonal(H) > 0, jnp.diagonal(H), 1.0))
    scaled = H / scale[:, None] / scale + 50 * jnp.finfo(H.dtype).eps * jnp.eye(block.size, dtype=H.dtype)
    step = -refined_solve(scaled, (gradient + (S @ theta)[block]) / scale) / scale
    return unravel(theta.at[block].add(step))


def _renewed(normal: Normal, problem: Problem, evidence: Evidence, theta: Float[Array, " P"]):
    """The updated evidence, or the present one where rounding leaves no positive definite matrix to update it from."""
    renewed, effective = update(normal, problem.penalty, evidence, theta, problem.samples)
    sound = jnp.all(jnp.isfinite(renewed.lam)) & jnp.isfinite(renewed.variance) & jnp.isfinite(effective)
    return jax.tree.map(lambda new, old: jnp.where(sound, new, old), renewed, evidence), effective


def _start(stacked: Stacked, kept: Int[Array, " P"], evidence: Evidence, damping: Float[Array, ""]) -> State:
    """The state before anything is known about the samples; the first step only solves one block, and linearises there."""
    P, dtype = kept.size, stacked.factors.dtype
    normal = Normal(jnp.zeros((P, P), dtype), jnp.zeros((P,), dtype), jnp.zeros((), dtype))
    number = lambda value: jnp.asarray(value, dtype)
    zero = jnp.zeros((), jnp.int32)
    return State(stacked, normal, evidence, number(jnp.inf), damping, number(2), zero, zero, number(jnp.nan), number(1))


@quick_jit
def _advance(problem: Problem, state: State, iteration: Int[Array, ""]) -> State:
    """One step, accepted or rejected."""
    penalty, evidence = problem.penalty, state.evidence
    theta, unravel = flattened(state.stacked, penalty.kept)
    begun = jnp.isfinite(state.objective)
    p, promised = damped_step(state.normal, penalty, evidence, theta, state.damping)
    p = jnp.where(begun, p, 0.0)
    length = jnp.linalg.norm(p) / jnp.maximum(jnp.linalg.norm(theta), jnp.finfo(theta.dtype).tiny)
    size = jnp.where(begun, length, 1.0)
    trial = _solve_block(problem, unravel(theta + p), evidence, iteration % state.stacked.factors.shape[0])
    flat = flattened(trial, penalty.kept)[0]
    residuals = lambda theta, chunk: _residuals(problem, unravel, theta, chunk)
    loss = accumulate_loss(residuals, flat, problem.data, problem.used)
    objective = evidence.objective(penalty, flat, loss)
    drop = state.objective - objective
    gain = jnp.where(begun, jnp.where(promised > 0, drop / promised, -1.0), 1.0)

    def accept() -> State:
        normal = _linearise(problem, trial)
        number = state.accepted + 1
        renewed, effective = jax.lax.cond(
            number % 2 == 0,
            lambda: _renewed(normal, problem, evidence, flat),
            lambda: (evidence, state.effective),
        )
        # A promise kept by half is enough in a curved valley: smaller steps would follow it no better.
        shrink = jnp.where(gain > 0.5, 0.2, jnp.where(gain > 0.2, 0.5, 1.5))
        shrink = jnp.where(begun, shrink, 1.0)
        calm = jnp.where(drop <= problem.tolerance * jnp.abs(objective), state.calm + 1, 0)
        value = renewed.objective(penalty, flat, normal.loss)
        damping = jnp.maximum(state.damping * shrink, 1e-13).astype(theta.dtype)
        growth = jnp.full_like(state.growth, 2.0)
        return State(trial, normal, renewed, value, damping, growth, number, calm, effective, size)

    def reject() -> State:
        hopeless = promised <= problem.tolerance * state.objective
        return State(
            state.stacked,
            state.normal,
            evidence,
            state.objective,
            2 * state.damping * state.growth,
            2 * state.growth,
            state.accepted,
            jnp.where(hopeless, state.calm + 1, state.calm),
            state.effective,
            size,
        )

    # At rest under an evidence that is due to change, rounding must not stand in the way of the change.
    idle = begun & (length < AT_REST) & (state.accepted % 2 == 1)
    better = (drop > 0) & (gain > 1e-3)
    return jax.lax.cond(jnp.isfinite(objective) & (better | idle), accept, reject)


@eqx.filter_jit
def _stationarity(penalty: BlockPenalty, state: State):
    """`max_j |grad_j| / sqrt(2 L H_jj)`: the cosine between the residual and the nearest column, penalty included."""
    theta, normal = flattened(state.stacked, penalty.kept)[0], state.normal
    S = state.evidence.variance * penalty.matrix(state.evidence.lam)
    bottom = jnp.sqrt(2 * normal.loss * (jnp.diagonal(normal.gram) + jnp.diagonal(S)))
    return jnp.max(jnp.abs(normal.gradient + S @ theta) / jnp.where(bottom > 0, bottom, 1.0))


@eqx.filter_jit
def _values(problem: Problem, stacked: Stacked):
    """Values at all samples, those not used for the fit included."""
    return jax.lax.map(lambda chunk: stacked.values(problem.basis_functions(chunk)), problem.data)


@eqx.filter_jit
def _covariance(penalty: BlockPenalty, state: State):
    return covariance(state.normal, penalty, state.evidence)


@eqx.filter_jit
def _designs(bases: tuple[AbstractBasis, ...], x: Float[Array, "N D"]) -> Float[Array, "N D n"]:
    return jax.vmap(lambda x: design(bases, x))(x)


@eqx.filter_jit
def _kept(bases: tuple[AbstractBasis, ...], chunks: Float[Array, "chunks size D"]) -> Float[Array, "chunks size D n"]:
    return jax.lax.map(lambda x: _designs(bases, x), chunks)


@eqx.filter_jit
def _local(basis: AbstractBasis, t: Float[Array, " N"]):
    return jax.vmap(lambda t: basis.local(t))(t)


def _groups(model: AbstractSeparable, layout: Layout, x: Float[Array, "N D"]) -> list[Group]:
    """The windows that each sample meets, dimension by dimension, and the parameters that all samples meet."""
    groups = []
    for d, basis in enumerate(model.bases):
        first, values = _local(basis, x[:, d])
        width = values.shape[1]
        columns = np.stack([layout.window(d, at, width) for at in range(basis.size - width + 1)])
        groups.append(Group(np.asarray(first), columns))
    rest = layout.rest()
    return groups + ([Group(np.zeros(len(x), int), rest[None])] if len(rest) else [])


def _run(problem: Problem, state: State, iterations: int, report: Callable[[State], None]) -> tuple[State, bool]:
    """Iterate until a step changes less than the tolerance, `CALM_STEPS` times in a row."""
    for iteration in range(iterations):
        state = _advance(problem, state, jnp.asarray(iteration))
        report(state)
        # After every second step the evidence is another one, and what no longer moved may move again.
        still = float(state.size) < AT_REST and int(state.accepted) % 2 == 1
        if int(state.calm) >= CALM_STEPS or float(state.damping) > 1e8 or still:
            return state, True
    return state, False


def rare_samples(axes: Sequence[Axis], x: Float[np.ndarray, "N D"]) -> int:
    """How many samples it takes until the emptiest of unequal cells has its `CELL_STAGE`; none where cells are equal, or hold none at all.

    A part of the samples that leaves out a cell shapes steps that go astray there, whatever the damping.
    """
    least = len(x)
    for d, axis in enumerate(axes):
        nodes, t = np.unique(np.asarray(axis.nodes(), np.float64)), x[:, d]
        lengths = np.diff(nodes)
        if not axis.maps and lengths.max() < UNEQUAL * lengths.min():
            continue
        for inner in axis.maps:
            t = inner.values(t)
        counts = np.histogram(t, nodes)[0]
        least = min(least, int(counts[counts > 0].min(initial=len(x))))
    return 0 if least == len(x) else -(-CELL_STAGE * len(x) // least)


def fit_separable(
    model: AbstractSeparable,
    x: Float[Array, "N D"],
    y: Float[Array, "N O"],
    weights: Float[Array, " N"],
    *,
    tolerance: float,
    progress: Progress | None = None,
    rows: int | None = None,
    evidence: Evidence | None = None,
    capacity: int | None = None,
    most_iterations: int | None = None,
) -> DirectFit:
    """Fit a separable model to standardised data.

    **Arguments:** a start `model` on the box of `x`; inputs in random order, targets of about unit variance and zero mean, weights; the relative change of the
    objective at which the iteration ends; a callback that gets a dictionary after each iteration; `rows`, to use only the first of the samples; the
    `evidence` of an earlier fit that the model comes from; `capacity`, the most samples of any fit that is to share the compiled program;
    `most_iterations`, to end early.
    """
    stacked = stack(model)
    layout = Layout.of(stacked)
    P, (N, O), dtype = layout.unknowns, y.shape, x.dtype
    penalty = roughness_penalty(model.bases, layout, dtype)
    counts: dict[str, int] = dict.fromkeys(("residuals", "jacobians", "factorisations", "iterations", "rejected"), 0)
    history: list[dict[str, Any]] = []

    counted = np.array(weights)
    if rows is not None:
        counted[rows:] = 0.0  # a chunk may hold both
    size = next((size for most, size in CHUNKS.items() if max(N, capacity or 0) <= most), CHUNK)
    (a, b), w, chunks = chunked((x, y), counted, size, capacity)
    bases = model.bases
    if N * layout.D * layout.n <= KEPT_NUMBERS:
        bases, a = None, _kept(model.bases, a)
    data = Data(a, b, w)
    per_chunk = np.asarray(jnp.sum(w, axis=1), float)

    def stage(used: int, shaping: int) -> Problem:
        share = per_chunk[:used].sum() / per_chunk[:shaping].sum()
        tiles = None
        if bases is None and layout.windowed([basis.width for basis in model.bases]) <= WINDOWS_PAY * penalty.kept.size:
            tiles = tiled(_groups(model, layout, x[: shaping * size]), P)
        return Problem(
            bases=bases,
            data=data,
            tiles=tiles,
            used=jnp.asarray(used),
            shaping=jnp.asarray(shaping),
            share=jnp.asarray(share, dtype),
            samples=jnp.asarray(per_chunk[:used].sum() * O, dtype),
            penalty=penalty,
            tolerance=jnp.asarray(tolerance, dtype),
        )

    def reporter(name: str, samples: float):
        def report(state: State) -> None:
            rejected = int(state.accepted) == (
                history[-1]["accepted"] if history and history[-1]["stage"] == name else 0
            )
            counts["iterations"] += 1
            counts["rejected"] += rejected
            counts["residuals"] += 2
            counts["jacobians"] += 2 - rejected
            counts["factorisations"] += 2
            event = {
                "stage": name,
                "iteration": len(history) + 1,
                "accepted": int(state.accepted),
                "loss": float(state.normal.loss),
                "nrmse": float(np.sqrt(2 * float(state.normal.loss) / samples)),
                "damping": float(state.damping),
                "noise": float(np.sqrt(float(state.evidence.variance))),
                "effective": float(state.effective),
            }
            history.append(event)
            if progress is not None:
                progress({**event, "model": unstack(state.stacked, model)})

        return report

    chunks = chunks if rows is None else min(chunks, -(-rows // size))
    warm = evidence is not None
    if evidence is None:
        evidence = Evidence(jnp.ones((penalty.strengths,), dtype), jnp.asarray(0.01, dtype))
    damping, iterations = jnp.asarray(1e-2, dtype), most_iterations or FIRST_ITERATIONS + LAST_ITERATIONS
    rare = rare_samples(model.axes, np.asarray(x[:rows], np.float64))
    part = min(chunks, -(-max(FIRST_STAGE * P // O, rare) // size))
    shaping = min(chunks, -(-max(GRAM_STAGE * P // O, rare) // size))
    if part < 0.7 * chunks and not warm and most_iterations is None:
        problem = stage(part, part)
        state = _start(stacked, penalty.kept, evidence, damping)
        state, _ = _run(problem, state, FIRST_ITERATIONS, reporter("part", float(problem.samples)))
        stacked, evidence, damping = state.stacked, state.evidence, jnp.clip(state.damping, 1e-6, 1e-2)
        iterations = LAST_ITERATIONS
    problem = stage(chunks, shaping if shaping < 0.7 * chunks else chunks)
    state = _start(stacked, penalty.kept, evidence, damping)
    state, converged = _run(problem, state, iterations, reporter("all", float(problem.samples)))
    return DirectFit(
        unstack(state.stacked, model),
        state,
        penalty,
        converged,
        np.asarray(_values(problem, state.stacked)).reshape(-1, O)[:N],
        history,
        counts,
    )
