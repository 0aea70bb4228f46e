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
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis, Axis
from ..compilation import brief_jit, quick_jit
from ..descent.evidence import Evidence, covariance
from ..descent.streaming import chunked
from ..descent.windows import Group, tiled
from ..models import AbstractSeparable
from ..shapes import rows_at_once
from .roughness import BlockPenalty, roughness_penalty
from .stacked import Layout, Stacked, flattened, stack, unstack
from .step import AT_REST, Data, Problem, State, advance, designs, starting_state

Progress = Callable[[dict[str, Any]], None]

# Samples in a chunk on a CPU, by the most samples it serves: enough to keep it busy, few enough to stay in its cache and to waste little of the last.
CHUNKS = {512: 64, 4096: 128}
CHUNK = 512
# Samples an unknown in the first stage, and for the Gram matrix in the second; where weights differ, samples that tell as much.
FIRST_STAGE = 6
GRAM_STAGE = 12
# Where cells are unequal, samples that the emptiest of them holds at least in either stage; lengths that differ by less are equal.
CELL_STAGE, UNEQUAL = 6, 4.0
FIRST_ITERATIONS = 60
LAST_ITERATIONS = 40
# The iteration ends after so many steps in a row that change little.
CALM_STEPS = 4
# The noise variance that a fit begins with, of the targets' own, where nothing else is known of it.
FIRST_VARIANCE = 0.01
# Basis functions are kept for all samples where this many numbers hold them, and evaluated chunk by chunk beyond.
KEPT_NUMBERS = 2**25
# Up to so many samples their basis functions take longer to compile than to evaluate.
FEW_SAMPLES = 20_000
# Windows pay from here on, on a CPU: their products are smaller and touch more memory, and each has to wait for the one before.
WINDOWS_PAY = 0.4


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


@brief_jit
def _stationarity(penalty: BlockPenalty, state: State):
    """`max_j |grad_j| / sqrt(2 L H_jj)`: the cosine between the residual and the nearest column, penalty included."""
    theta, normal = flattened(state.stacked, penalty.kept)[0], state.normal
    S = state.evidence.variance * penalty.matrix(state.evidence.lam)
    bottom = jnp.sqrt(2 * normal.loss * (jnp.diagonal(normal.gram) + jnp.diagonal(S)))
    return jnp.max(jnp.abs(normal.gradient + S @ theta) / jnp.where(bottom > 0, bottom, 1.0))


@quick_jit
def _values(problem: Problem, stacked: Stacked):
    """Values at all samples, those not used for the fit included."""
    return jax.lax.map(lambda chunk: stacked.values(problem.basis_functions(chunk)), problem.data)


@brief_jit
def _covariance(penalty: BlockPenalty, state: State):
    return covariance(state.normal, penalty, state.evidence)


def _kept(bases: tuple[AbstractBasis, ...], chunks: Float[Array, "chunks size D"]) -> Float[Array, "chunks size D n"]:
    """The basis functions of all samples."""
    return (_few_kept if chunks.shape[0] * chunks.shape[1] <= FEW_SAMPLES else _many_kept)(bases, chunks)


def _mapped(bases: tuple[AbstractBasis, ...], chunks: Float[Array, "chunks size D"]) -> Float[Array, "chunks size D n"]:
    return jax.lax.map(lambda x: designs(bases, x), chunks)


_few_kept, _many_kept = brief_jit(_mapped), quick_jit(_mapped)


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
        state = advance(problem, state, jnp.asarray(iteration))
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


def effective_share(weights: Float[np.ndarray, " N"]) -> float:
    """The share of equally weighted samples that would tell as much: `(sum w)^2 / (n sum w^2)` over the `n` samples of positive weight (Kish, 1965).

    >>> import numpy as np
    >>> from infinity.fitting.direct import effective_share
    >>> effective_share(np.array([1.0, 1.0, 0.0])), effective_share(np.array([1.0, 3.0]))
    (1.0, 0.8)
    """
    w = np.asarray(weights, np.float64)
    w = w[w > 0]
    return float(w.sum() ** 2 / (len(w) * np.sum(w**2))) if len(w) else 1.0


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
    variance: float | None = None,
) -> DirectFit:
    """Fit a separable model to standardised data.

    **Arguments:** a start `model` on the box of `x`; inputs in random order, targets of about unit variance and zero mean, weights; the relative change of the
    objective at which the iteration ends; a callback that gets a dictionary after each iteration; `rows`, to use only the first of the samples; the
    `evidence` of an earlier fit that the model comes from; `capacity`, the most samples of any fit that is to share the compiled program;
    `most_iterations`, to end early; where there is no evidence, the noise variance to begin with, of the targets' own.
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
    room = max(N, capacity or 0)
    size = rows_at_once(next((size for most, size in CHUNKS.items() if room <= most), CHUNK), room, P * O)
    (a, b), w, chunks = chunked((x, y), counted, size, capacity)
    bases = model.bases
    if N * layout.D * layout.n <= KEPT_NUMBERS:
        bases, a = None, _kept(model.bases, a)
    data = Data(a, b, w)
    per_chunk = np.asarray(jnp.sum(w, axis=1), float)

    def stage(used: int, shaping: int) -> Problem:
        share = per_chunk[:used].sum() / per_chunk[:shaping].sum()
        tiles = None
        narrow = layout.windowed([basis.width for basis in model.bases]) <= WINDOWS_PAY * penalty.kept.size
        if bases is None and narrow and jax.default_backend() == "cpu":
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
        evidence = Evidence(jnp.ones((penalty.strengths,), dtype), jnp.asarray(variance or FIRST_VARIANCE, dtype))
    damping, iterations = jnp.asarray(1e-2, dtype), most_iterations or FIRST_ITERATIONS + LAST_ITERATIONS
    rare = rare_samples(model.axes, np.asarray(x[:rows], np.float64))
    spread = effective_share(counted)
    part, shaping = (
        min(chunks, -(-max(int(stage * P / (O * spread)), rare) // size)) for stage in (FIRST_STAGE, GRAM_STAGE)
    )
    if part < 0.7 * chunks and not warm and most_iterations is None:
        problem = stage(part, part)
        state = starting_state(stacked, penalty.kept, evidence, damping)
        state, _ = _run(problem, state, FIRST_ITERATIONS, reporter("part", float(problem.samples)))
        stacked, evidence, damping = state.stacked, state.evidence, jnp.clip(state.damping, 1e-6, 1e-2)
        iterations = LAST_ITERATIONS
    problem = stage(chunks, shaping if shaping < 0.7 * chunks else chunks)
    state = starting_state(stacked, penalty.kept, evidence, damping)
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
