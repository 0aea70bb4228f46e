r"""Levenberg-Marquardt on the reduced problem, and the undamped finish.

    p = argmin |J p + r|^2 + mu |D p|^2,    D_j = max over iterations of |J_j|

The scaling is Moré's running maximum (Lecture Notes in Math. 630, 1978); the damping follows the gain ratio as Nielsen proposes (IMM-REP-1999-05).
Near a solution with a small residual Gauss-Newton converges quadratically, so up to six undamped steps finish the work.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .ledger import Ledger
from .linear import Damped, column_norms
from .projection import Projection, Reduced

FINISHING_STEPS = 6


class Model(eqx.Module):
    """The linear model at a point: the reduced Jacobian in the form that yields damped steps, and how flat the loss is there."""

    damped: Damped
    flatness: Float[Array, ""]


class Trust(eqx.Module):
    """State of the iteration."""

    point: Reduced
    model: Model
    mu: Float[Array, ""]
    growth: Float[Array, ""]
    done: Bool[Array, ""]
    count: Int[Array, ""]
    ledger: Ledger


class Outcome(eqx.Module):
    """Where the iteration ended, and the tests of stationarity there.

    **Fields:** `flatness` is `max_j |J_j . r| / (|J_j| |r|)`, the cosine between the residual and the nearest column, with `|r|` not below `sqrt(eps)` of
    its first value. `converged` says that `flatness`, or `|J p| / |r|` (the relative offset of Bates and Watts) or `|D p| / |D z|` for the Gauss-Newton
    step `p` is below tolerance; `near`, that one is below its root, so that a second-order finish is all that is missing. `mu` is the damping it ended with.
    """

    point: Reduced
    flatness: Float[Array, ""]
    converged: Bool[Array, ""]
    near: Bool[Array, ""]
    ledger: Ledger
    mu: Float[Array, ""]


def _linearise(projection: Projection, point: Reduced, D: Float[Array, " q"], shortest: Float[Array, ""]) -> Model:
    J = projection.jacobian(point)
    norms = column_norms(J)
    D = jnp.maximum(D, jnp.linalg.norm(J, axis=0))
    safe = jnp.where(D > 0, D, 1.0)
    # A residual of pure rounding points anywhere: below the root of the precision its direction does not count in full.
    length = jnp.maximum(jnp.linalg.norm(point.r), shortest)
    cosines = jnp.abs(J.T @ point.r) / (norms * jnp.where(length > 0, length, 1.0))
    return Model(Damped(J, point.r, safe), jnp.max(cosines, initial=0.0))


def levenberg_marquardt(
    projection: Projection,
    start: Reduced,
    ledger: Ledger,
    *,
    rtol: float,
    atol: float,
    max_iterations: int | Int[Array, ""],
    damping: float | Float[Array, ""],
    length: Callable[[Reduced, Array], Array] | None = None,
    line_cost: int = 0,
    finish: bool = True,
) -> Outcome:
    """Minimise the reduced problem from `start`.

    **Arguments:** the `projection`; `start`, already reduced; the `ledger` to add to; tolerances on the relative change of the loss and of
    the scaled parameters; the largest number of iterations; the first damping `mu`, relative to the unit columns of `J D^-1`;
    `length`, how far to go along a step from a point (one where there is none), and the residuals that one such length costs;
    `finish`, whether undamped steps follow.

    **Returns:** an `Outcome` whose point has the lowest loss seen.
    """
    dtype = start.r.dtype
    eps = jnp.finfo(dtype).eps
    reference = jnp.sqrt(2 * start.loss)
    floor = 0.5 * (eps * reference) ** 2 + 0.5 * atol**2
    shortest = jnp.sqrt(eps) * reference
    first = _linearise(projection, start, jnp.zeros_like(start.z), shortest)
    state = Trust(
        start,
        first,
        jnp.asarray(damping, dtype),
        jnp.asarray(2.0, dtype),
        (start.loss <= floor) | (first.flatness <= eps) | ~jnp.isfinite(start.loss),
        jnp.zeros((), jnp.int32),
        ledger.add(jacobians=1, factorisations=1).record(start.loss),
    )

    def scaled(v, model):
        return jnp.linalg.norm(model.damped.D * v)

    def body(state: Trust) -> Trust:
        p, promised = state.model.damped.step(state.mu)
        if length is not None:
            p = length(state.point, p) * p
        trial = projection.reduce(state.point.z + p)
        drop = state.point.loss - trial.loss
        gain = drop / jnp.where(promised > 0, promised, 1.0)
        accept = jnp.isfinite(trial.loss) & (drop > 0) & (gain > 1e-4)
        point, model = jax.lax.cond(
            accept,
            lambda: (trial, _linearise(projection, trial, state.model.damped.D, shortest)),
            lambda: (state.point, state.model),
        )
        shrink = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        mu = jnp.where(accept, state.mu * shrink, state.mu * state.growth)
        growth = jnp.where(accept, 2.0, 2 * state.growth)
        short = scaled(p, state.model) <= rtol * scaled(state.point.z, state.model)
        flat = (promised <= rtol * state.point.loss) & (jnp.abs(drop) <= rtol * state.point.loss)
        done = short | (flat & accept) | (point.loss <= floor) | (model.flatness <= eps) | (mu > 1e30)
        ledger = state.ledger.add(
            residuals=2 + line_cost,
            jacobians=1 + accept,
            factorisations=2 + accept,
            iterations=1,
            rejected=~accept,
            lines=int(length is not None),
        ).record(point.loss)
        return Trust(point, model, mu.astype(dtype), growth.astype(dtype), done, state.count + 1, ledger)

    state = jax.lax.while_loop(lambda s: ~s.done & (s.count < max_iterations), body, state)
    if not finish:
        flat = lambda tolerance: (state.point.loss <= floor) | (state.model.flatness <= tolerance)
        return Outcome(state.point, state.model.flatness, flat(rtol), flat(rtol**0.5), state.ledger, state.mu)
    return _finish(projection, state, rtol=rtol, floor=floor, shortest=shortest, scaled=scaled)


def _finish(projection: Projection, state: Trust, *, rtol, floor, shortest, scaled) -> Outcome:
    """Undamped Gauss-Newton steps while they shrink and do not raise the loss beyond rounding."""
    dtype = state.point.r.dtype
    eps = jnp.finfo(dtype).eps
    tiny = jnp.finfo(dtype).tiny

    def measure(point, model):
        p, explained = model.damped.undamped()
        length = jnp.maximum(jnp.sqrt(2 * point.loss), tiny)
        return p, explained / length, scaled(p, model) / jnp.maximum(scaled(point.z, model), tiny)

    def body(carry):
        point, model, p, _, step, _, count, ledger = carry
        trial = projection.polish(projection.reduce(point.z + p))
        accept = jnp.isfinite(trial.loss) & (trial.loss <= point.loss * (1 + 100 * eps))
        new_point, new_model = jax.lax.cond(
            accept, lambda: (trial, _linearise(projection, trial, model.damped.D, shortest)), lambda: (point, model)
        )
        new_p, new_offset, new_step = measure(new_point, new_model)
        go_on = accept & (new_step < 0.5 * step) & (new_step > eps)
        ledger = ledger.add(
            residuals=3, jacobians=1 + accept, factorisations=2 + accept, iterations=1, rejected=~accept
        ).record(new_point.loss)
        return new_point, new_model, new_p, new_offset, new_step, go_on, count + 1, ledger

    p, offset, step = measure(state.point, state.model)
    go_on = jnp.isfinite(state.point.loss) & (step > eps) & (state.point.loss > 0)
    carry = (state.point, state.model, p, offset, step, go_on, jnp.zeros((), jnp.int32), state.ledger)
    carry = jax.lax.while_loop(lambda c: c[5] & (c[6] < FINISHING_STEPS), body, carry)
    point, model, _, offset, step, _, _, ledger = carry
    within = lambda tolerance: (
        jnp.isfinite(point.loss)
        & ((offset <= tolerance) | (step <= tolerance) | (point.loss <= floor) | (model.flatness <= tolerance))
    )
    return Outcome(point, model.flatness, within(rtol), within(rtol**0.5), ledger, state.mu)
