r"""Variable projection on the rates of a sum of atoms, for whole batches.

    min over (alpha, omega) of |r|^2,    r = (I - Q Q^T) s y,    s_n f(t_n) = s_n sum_p e^{alpha_p t_n} (c_p cos(omega_p t_n) + s_p sin(omega_p t_n))

The pairs `(c, s)` are eliminated exactly; the rates move by Levenberg-Marquardt with Kaufman's Jacobian (BIT 15, 1975): the derivative of each column is known
in closed form, `d/dalpha = t e^{alpha t} cos`, `d/domega = -t e^{alpha t} sin`. Everything is written for one signal; `jax.vmap` makes a batch of it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .atoms import columns
from .orthonormal import orthonormal

# Beyond e^{+-RANGE} over the samples an atom is a spike at an end; and the squares of its values must be numbers.
RANGE = 300.0
_OF_THE_LARGEST = 0.45


class Refined(NamedTuple):
    """Rates and pairs of the atoms, half the sum of squares, the iterations spent, and whether the step fell below tolerance."""

    alpha: Float[Array, " P"]
    omega: Float[Array, " P"]
    pairs: Float[Array, "P 2"]
    loss: Float[Array, ""]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


class _Point(NamedTuple):
    z: Float[Array, " Q"]
    pairs: Float[Array, "P 2"]
    loss: Float[Array, ""]
    r: Float[Array, " N"]
    J: Float[Array, "Q N"]


def _at(t, y, s, present, moving, z) -> _Point:
    """The best pairs for given rates, and Kaufman's Jacobian there (its rows are the rates)."""
    P = present.shape[0]
    cosine, sine = columns(t, z[:P], z[P:])
    weight = s * present[:, None]
    # At the largest frequency one of the columns is zero on the samples, but for the rounding of the angle.
    rounding = 8 * jnp.finfo(y.dtype).eps * jnp.abs(z[P:])
    whole = jnp.sum((weight * cosine) ** 2 + (weight * sine) ** 2, axis=1)
    kept = lambda column: jnp.where((jnp.sum((weight * column) ** 2, axis=1) > rounding**2 * whole)[:, None], column, 0)
    cosine, sine = kept(cosine), kept(sine)
    rows = jnp.stack([cosine * weight, sine * weight], 1).reshape(2 * P, -1)
    basis = orthonormal(rows)
    solved, r = basis.coefficients(s * y)
    pairs = solved.reshape(P, 2)
    c, d = pairs[:, :1], pairs[:, 1:]
    by_alpha = weight * t * (c * cosine + d * sine)
    by_omega = weight * t * (d * cosine - c * sine)
    J = -basis.remove(jnp.concatenate([by_alpha, by_omega]) * moving[:, None])
    return _Point(z, pairs, 0.5 * jnp.sum(r * r), r, J)


def _step(point: _Point, mu, scale):
    """The damped step, and the decrease that the linear model promises."""
    Q = point.z.shape[0]
    # A rate that nothing depends on must not move: its row is only damping.
    stacked = jnp.concatenate([point.J, jnp.diag(jnp.sqrt(mu) * scale)], axis=1)
    target = jnp.concatenate([point.r, jnp.zeros(Q, point.r.dtype)])
    p, _ = orthonormal(stacked).coefficients(-target)
    image = p @ point.J
    return p, -jnp.vdot(image, point.r) - 0.5 * jnp.vdot(image, image)


def refine(
    t: Float[Array, " N"],
    y: Float[Array, " N"],
    s: Float[Array, " N"],
    alpha: Float[Array, " P"],
    omega: Float[Array, " P"],
    present: Bool[Array, " P"] | None = None,
    moving: Bool[Array, " _"] | None = None,
    *,
    frequency_limit: float | Float[Array, ""] = float("inf"),
    tolerance: float | None = None,
    relative: float | None = None,
    max_iterations: int = 60,
) -> Refined:
    """Minimise over the rates from a start.

    **Arguments:**

    - `t`: sample positions, best on an interval around zero of length one; `y` the samples; `s` the square roots of their weights.
    - `alpha`, `omega`: the start, in units of `1 / t`.
    - `present`: which atoms take part; the others are left out, so that models of several sizes share a program.
    - `moving`: `(2 P,)`, which of the rates `(alpha, omega)` move.
    - `frequency_limit`: the largest `omega`, which is taken as non-negative; a frequency stops there.
    - `tolerance`: on the step relative to the rates (at least one); by default the root of the precision times a thousandth.
    - `relative`: the share of the loss below which what a step promises ends the iteration; by default the precision.
    - `max_iterations`: of the trust region.

    **Returns:** a `Refined`.
    """
    P = alpha.shape[0]
    dtype = y.dtype
    eps = float(jnp.finfo(dtype).eps)
    least = eps**0.5 * 1e-3 if tolerance is None else tolerance
    present = jnp.ones(P, bool) if present is None else present
    enough = eps if relative is None else relative
    moving = jnp.ones(2 * P, bool) if moving is None else moving
    moving = moving & jnp.concatenate([present, present])
    most = min(RANGE, _OF_THE_LARGEST * float(np.log(jnp.finfo(dtype).max)))
    largest = most / jnp.max(jnp.abs(t))
    at = lambda z: _at(t, y, s, present, moving, z)
    within = lambda alpha, omega: jnp.concatenate(
        [jnp.clip(alpha, -largest, largest), jnp.minimum(jnp.abs(omega), frequency_limit)]
    )
    floor = 0.5 * jnp.sum((s * y) ** 2) * (4 * eps) ** 2

    def body(state):
        point, scale, mu, growth, count, _ = state
        p, promised = _step(point, mu, scale)
        z = point.z + p
        trial = at(within(z[:P], z[P:]))
        drop = point.loss - trial.loss
        gain = drop / jnp.where(promised > 0, promised, 1.0)
        accept = (drop > 0) & jnp.isfinite(trial.loss)
        point = jax.tree.map(lambda a, b: jnp.where(accept, a, b), trial, point)
        scale = jnp.maximum(scale, jnp.sqrt(jnp.sum(point.J**2, axis=1)))
        shrink = jnp.clip(1 - (2 * gain - 1) ** 3, 1e-2, 2.0)
        mu = jnp.where(accept, mu * shrink, mu * growth)
        growth = jnp.where(accept, 2.0, 2 * growth)
        small = jnp.max(jnp.abs(p)) <= least * jnp.maximum(jnp.max(jnp.abs(point.z)), 1.0)
        flat = (promised <= enough * point.loss) | (point.loss <= floor)
        return point, scale, mu.astype(dtype), growth.astype(dtype), count + 1, small | flat | (mu > 1e20)

    start = at(within(alpha, omega))
    lengths = jnp.sqrt(jnp.sum(start.J**2, axis=1))
    scale = jnp.where(lengths > 0, lengths, jnp.maximum(jnp.max(lengths), jnp.finfo(dtype).tiny))
    state = (
        start, scale, jnp.asarray(1e-3, dtype), jnp.asarray(2.0, dtype), jnp.zeros((), jnp.int32), start.loss <= floor
    )  # fmt: skip
    point, _, _, _, count, done = jax.lax.while_loop(lambda v: ~v[-1] & (v[-2] < max_iterations), body, state)
    return Refined(point.z[:P], point.z[P:], point.pairs, point.loss, count, done)
