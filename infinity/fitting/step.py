r"""One step of the direct fit: damped Gauss-Newton over all parameters, then one block exactly, accepted by what it gains.

    p = -(G + sigma^2 S + mu diag)^-1 (g + sigma^2 S theta),    then the factors of one dimension, the additive block and the constant solved for

`G` and `g` are sums over chunks of samples, so that memory does not grow with their number. Every second accepted step renews the strengths of the
penalties and the noise variance.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..basis import AbstractBasis
from ..compilation import quick_jit
from ..descent.evidence import Evidence, damped_step, refined_solve, update
from ..descent.streaming import Normal, accumulate, accumulate_gradient, accumulate_loss
from ..descent.windows import Tiles, accumulate_windows
from ..models.separable import design
from .roughness import BlockPenalty
from .stacked import Layout, Stacked, flattened

# Relative length of a step below which nothing moves.
AT_REST = 1e-12


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
        return chunk.points if bases is None else designs(bases, chunk.points)


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


def starting_state(stacked: Stacked, kept: Int[Array, " P"], evidence: Evidence, damping: Float[Array, ""]) -> State:
    """The state before anything is known about the samples; the first step only solves one block, where that is better than the start, and linearises."""
    P, dtype = kept.size, stacked.factors.dtype
    normal = Normal(jnp.zeros((P, P), dtype), jnp.zeros((P,), dtype), jnp.zeros((), dtype))
    number = lambda value: jnp.asarray(value, dtype)
    zero = jnp.zeros((), jnp.int32)
    return State(stacked, normal, evidence, number(jnp.inf), damping, number(2), zero, zero, number(jnp.nan), number(1))


@quick_jit
def advance(problem: Problem, state: State, iteration: Int[Array, ""]) -> State:
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
    # The first block is solved for with part of the samples, and the start may be better than that.
    start = lambda: accumulate_loss(residuals, theta, problem.data, problem.used)
    unmoved = jax.lax.cond(begun, lambda: jnp.full_like(loss, jnp.inf), start)
    objective, unmoved_objective = (
        evidence.objective(penalty, at, value) for at, value in ((flat, loss), (theta, unmoved))
    )
    stay = ~begun & ~(objective <= unmoved_objective)
    flat, objective = jnp.where(stay, theta, flat), jnp.where(stay, unmoved_objective, objective)
    trial = unravel(flat)
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
def designs(bases: tuple[AbstractBasis, ...], x: Float[Array, "N D"]) -> Float[Array, "N D n"]:
    """The basis functions of every dimension at many points."""
    return jax.vmap(lambda x: design(bases, x))(x)
