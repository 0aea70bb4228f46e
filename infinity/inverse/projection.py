r"""Points of a level set, a batch at once: projection along the gradient, and a bracket where it does not arrive.

    z <- clip(z - t (u(z) - c) g / |g|^2),    t = 2 / (1 + sqrt(1 - 2 q)),    q = (u(z) - c) g^T H g / |g|^4,    |step| <= 0.3

`g` is the gradient without the parts that push outward at an active bound. The step goes to the root of the parabola along it, and twice as far as Newton's
where that has none, which leaves the neighbourhood of an extremum. One that does not make the residual smaller is taken back and made shorter by a parabola.
Where this gets stuck, a segment to a point of the opposite sign holds a solution: it is found by inverse cubic interpolation of values and slopes at both
ends of a bracket, and by halving where that cannot be trusted.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_LONGEST = 0.3  # of the box, in each coordinate
_SHORTEST = 0.1  # of the whole step: below, a start is stuck
_TRIALS = 6
_HALVINGS = 80
# Numbers in a block of points: a block's rows stay in the cache, and the slowest point of few others is waited for.
_BLOCK = 1024


def blocked(work: Any, dimensions: int, *arrays: Array) -> Any:
    """Apply `work` to a block of rows after another, on a CPU; elsewhere to all at once."""
    size = max(64, 1 << (_BLOCK // max(dimensions, 1)).bit_length() - 1)

    def in_blocks(*arrays):
        number = arrays[0].shape[0]
        if number <= size:
            return work(*arrays)
        count = -(-number // size)
        split = [
            jnp.pad(a, ((0, count * size - number), *(((0, 0),) * (a.ndim - 1))), mode="edge").reshape(
                count, size, *a.shape[1:]
            )
            for a in arrays
        ]
        found = jax.lax.map(lambda rows: work(*rows), tuple(split))
        return jax.tree.map(lambda a: a.reshape(count * size, *a.shape[2:])[:number], found)

    return jax.lax.platform_dependent(*arrays, cpu=in_blocks, default=work)


@eqx.filter_jit
def project(
    function: Any, z: Float[Array, "N D"], level: Float[Array, ""], tolerance: Float[Array, ""]
) -> tuple[Float[Array, "N D"], Bool[Array, " N"], Int[Array, " N"]]:
    """Move points to the level set along the gradient.

    **Arguments:** a function with `value_and_gradient` and `bend`, as `Tables`; points of the unit box; the level; the residual that is small enough.

    **Returns:** the points, whether each arrived, and how many steps it took.
    """

    def work(z: Array) -> tuple:
        def at(z: Array) -> tuple:
            """The residual, and the step to the root of the parabola along the gradient."""
            value, g = function.value_and_gradient(z)
            r = value - level
            outward = ((z <= 0) & (r[:, None] * g > 0)) | ((z >= 1) & (r[:, None] * g < 0))
            g = jnp.where(outward, 0.0, g)
            square = jnp.sum(g * g, axis=1)
            square = jnp.where(square > 0, square, 1.0)
            bend = 2 * function.bend(z, g) * r / (square * square)
            longer = 2 / (1 + jnp.sqrt(jnp.maximum(1 - jnp.where(jnp.isfinite(bend), bend, 0.0), 0.0)))
            return r, (-longer * r / square)[:, None] * g

        def step(state: tuple) -> tuple:
            z, r, whole, t, count, trial = state
            longest = jnp.max(jnp.abs(whole), axis=1)
            t = jnp.minimum(t, _LONGEST / jnp.maximum(longest, 1e-30))
            moved = jnp.clip(z + t[:, None] * whole, 0.0, 1.0)
            rest, following = at(moved)
            waiting = (jnp.abs(r) > tolerance) & (t > _SHORTEST)
            better = (jnp.abs(rest) < jnp.abs(r)) & waiting
            # Taken back: where the parabola through both ends, with the slope at the first, meets the level.
            curvature = (rest / r - 1 + t) / (t * t)
            root = 2 / (1 + jnp.sqrt(jnp.maximum(1 - 4 * curvature, 0.0)))
            back = jnp.where(rest * r < 0, jnp.clip(root, 0.1 * t, 0.9 * t), t / 4)
            return (
                jnp.where(better[:, None], moved, z),
                jnp.where(better, rest, r),
                jnp.where(better[:, None], following, whole),
                jnp.where(better, 1.0, back),
                count + waiting,
                trial + 1,
            )

        r, whole = at(z)
        start = (z, r, whole, jnp.ones_like(r), jnp.zeros(r.shape, jnp.int32), 0)
        goes_on = lambda state: (state[5] < _TRIALS) & jnp.any((jnp.abs(state[1]) > tolerance) & (state[3] > _SHORTEST))
        z, r, _, _, count, _ = jax.lax.while_loop(goes_on, step, start)
        return z, jnp.abs(r) <= tolerance, count

    return blocked(work, z.shape[1], z)


@eqx.filter_jit
def bracket(
    function: Any,
    z: Float[Array, "N D"],
    partner: Float[Array, "N D"],
    level: Float[Array, ""],
    tolerance: Float[Array, ""],
) -> tuple[Float[Array, "N D"], Bool[Array, " N"], Int[Array, " N"]]:
    """Find a point of the level set on each segment from `z` to its `partner`, where the function is on the other side of the level.

    **Returns:** the points, whether each arrived, and how many steps it took.
    """

    def work(z: Array, partner: Array) -> tuple:
        along, eps = partner - z, jnp.finfo(z.dtype).eps

        def at(s):
            value, gradient = function.value_and_gradient(z + s[:, None] * along)
            return value - level, jnp.sum(gradient * along, axis=1)

        def step(state: tuple) -> tuple:
            low, high, s, r, slope, count, trial = state
            waiting = (jnp.abs(r) > tolerance) & (high.s - low.s > eps)
            same, here = jnp.sign(r) == first, End(s, r, slope)
            low = jax.tree.map(lambda new, old: jnp.where(waiting & same, new, old), here, low)
            high = jax.tree.map(lambda new, old: jnp.where(waiting & ~same, new, old), here, high)
            new = jnp.where(waiting, _guess(low, high, trial), s)
            rest, slope = at(new)
            return low, high, new, rest, slope, count + waiting, trial + 1

        (start, rise), (end, fall) = at(jnp.zeros(z.shape[0], z.dtype)), at(jnp.ones(z.shape[0], z.dtype))
        first, zero = jnp.sign(start), jnp.zeros_like(start)
        low, high = End(zero, start, rise), End(zero + 1, end, fall)
        s = _guess(low, high, 1)
        r, slope = at(s)
        state = (low, high, s, r, slope, jnp.ones(start.shape, jnp.int32), 2)
        goes_on = lambda state: (
            (state[6] < _HALVINGS) & jnp.any((jnp.abs(state[3]) > tolerance) & (state[1].s - state[0].s > eps))
        )
        _, _, s, r, _, count, _ = jax.lax.while_loop(goes_on, step, state)
        return z + s[:, None] * along, jnp.abs(r) <= tolerance, count

    return blocked(work, z.shape[1], z, partner)


class End(NamedTuple):
    """One end of a bracket: the place `s`, the residual `r` and its derivative `slope`."""

    s: Float[Array, " B"]
    r: Float[Array, " B"]
    slope: Float[Array, " B"]


def _guess(low: End, high: End, trial: Any) -> Float[Array, " B"]:
    """Where the residual vanishes: by the cubic of `s` in `r` through both ends with both slopes, where it rises or falls throughout; else by halving."""
    width, rise = high.s - low.s, high.r - low.r
    rise = jnp.where(rise == 0, 1.0, rise)
    share = -low.r / rise
    inverse = lambda end: rise / (jnp.where(end.slope == 0, 1.0, end.slope) * width)  # in units of the mean slope
    one, other = inverse(low), inverse(high)
    rest = 1 - share
    cubic = share * share * (3 - 2 * share) + share * rest * (rest * one - share * other)
    good = (one > 0) & (one <= 3) & (other > 0) & (other <= 3) & (low.slope != 0) & (high.slope != 0)
    straight = jnp.clip(share, 0.1, 0.9)
    halved = jnp.where(trial % 3 == 0, 0.5, straight)
    return low.s + width * jnp.clip(jnp.where(good, cubic, halved), 1e-12, 1 - 1e-12)


@eqx.filter_jit
def values(function: Any, z: Float[Array, "N D"]) -> Float[Array, " N"]:
    """The values of a function at many points."""
    return blocked(lambda z: function.values(z), z.shape[1], z)
