r"""Points of a level set, a batch at once: projection along the gradient, and a bracket where it does not arrive.

    z <- clip(z - t (u(z) - c) g / |g|^2),    g the gradient without the parts that push outward at an active bound, |step| <= 0.3

A step that does not make the residual smaller is taken back and `t` quartered; otherwise `t` doubles up to one. Where this has not arrived, a segment to a
point of the opposite sign holds a solution: Newton's method along it, kept inside the bracket by bisection, always arrives.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_LONGEST = 0.3  # of the box, in each coordinate
_TRIALS = 8
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

    **Arguments:** a function with `value_and_gradient`, as `Tables`; points of the unit box; the level; the residual that is small enough.

    **Returns:** the points, whether each arrived, and how many steps it took.
    """

    def work(z: Array) -> tuple:
        def step(state):
            z, r, g, t, count, trial = state
            outward = ((z <= 0) & (r[:, None] * g > 0)) | ((z >= 1) & (r[:, None] * g < 0))
            g = jnp.where(outward, 0.0, g)
            square = jnp.sum(g * g, axis=1)
            move = -(t * r / jnp.where(square > 0, square, 1.0))[:, None] * g
            longest = jnp.max(jnp.abs(move), axis=1)
            move = move * jnp.minimum(1.0, _LONGEST / jnp.maximum(longest, 1e-30))[:, None]
            moved = jnp.clip(z + move, 0.0, 1.0)
            value, gradient = function.value_and_gradient(moved)
            rest, waiting = value - level, jnp.abs(r) > tolerance
            better = (jnp.abs(rest) < jnp.abs(r)) & waiting
            return (
                jnp.where(better[:, None], moved, z),
                jnp.where(better, rest, r),
                jnp.where(better[:, None], gradient, g),
                jnp.where(better, jnp.minimum(2 * t, 1.0), t / 4),
                count + waiting,
                trial + 1,
            )

        value, gradient = function.value_and_gradient(z)
        start = (z, value - level, gradient, jnp.ones_like(value), jnp.zeros(value.shape, jnp.int32), 0)
        goes_on = lambda state: (state[5] < _TRIALS) & jnp.any(jnp.abs(state[1]) > tolerance)
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

        def step(state):
            low, high, s, r, slope, slow, count, trial = state
            waiting = (jnp.abs(r) > tolerance) & (high - low > eps)
            same = jnp.sign(r) == first
            low, high = jnp.where(waiting & same, s, low), jnp.where(waiting & ~same, s, high)
            newton = s - r / jnp.where(slope == 0, 1.0, slope)
            # Newton's step where it stays inside and the last one helped; else the middle.
            new = jnp.where((newton > low) & (newton < high) & ~slow, newton, 0.5 * (low + high))
            new = jnp.where(waiting, new, s)
            rest, slope = at(new)
            return low, high, new, rest, slope, jnp.abs(rest) > 0.5 * jnp.abs(r), count + waiting, trial + 1

        start = function.value_and_gradient(z)[0] - level
        first, zero = jnp.sign(start), jnp.zeros_like(start)
        # The first guess is where the straight line between both ends meets the level.
        end = function.values(partner) - level
        s = jnp.clip(start / jnp.where(start == end, 1.0, start - end), 0.05, 0.95)
        r, slope = at(s)
        state = (zero, zero + 1, s, r, slope, zero > 0, jnp.ones(start.shape, jnp.int32), 1)
        goes_on = lambda state: (
            (state[7] < _HALVINGS) & jnp.any((jnp.abs(state[3]) > tolerance) & (state[1] - state[0] > eps))
        )
        _, _, s, r, _, _, count, _ = jax.lax.while_loop(goes_on, step, state)
        return z + s[:, None] * along, jnp.abs(r) <= tolerance, count

    return blocked(work, z.shape[1], z, partner)


@eqx.filter_jit
def values(function: Any, z: Float[Array, "N D"]) -> Float[Array, " N"]:
    """The values of a function at many points."""
    return blocked(lambda z: function.values(z), z.shape[1], z)
