r"""Where a level is near to each start, from the profiles of a separable model along every coordinate; for many dimensions.

    u(z + t)  ~  u(z) + sum_d delta_d(t_d),      delta_d(t) = a_d(z_d + t) - a_d(z_d) + sum_m (f_dm(z_d + t) - f_dm(z_d)) prod_{e != d} f_em(z_e)
    min |t|^2  with  sum_d delta_d(t_d) = c - u(z):      t_d  maximises  (c - u) delta_d(t_d) - mu t_d^2  over the nodes of a line and zero

The products at a start give all its profiles, of any length, in one matrix product; the multiplier `mu` that reaches the level is found by bisection. A slope
knows its own hill alone; a profile sees the others, so that few starts get stuck.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.products import exclusive_products
from .projection import blocked
from .tables import Tables

# Nodes of a line; the power of ten, in units of the residual on the unit box, of a multiplier that holds nothing back; halvings from there to one that lets
# nothing move.
_NODES, _LEAST, _HALVINGS = 17, -3.0, 8
_TINY = 1e-30


@eqx.filter_jit
def planned(tables: Tables, z: Float[Array, "N D"], level: Float[Array, ""]) -> Float[Array, "N D"]:
    """Points near the level set, each near its start: the shortest move that the profiles promise to reach it.

    **Arguments:** the model; starts on the unit box; the level.

    >>> import jax, jax.numpy as jnp, numpy as np, infinity as inf
    >>> jax.config.update("jax_enable_x64", True)
    >>> from infinity.inverse.pieces import pieces_of
    >>> from infinity.inverse.profiles import planned
    >>> from infinity.inverse.tables import tables_of
    >>> model = inf.KHRONOS([(0.0, 1.0)] * 5, modes=2, elements=4, outputs="scalar", key=jax.random.key(0))
    >>> tables = tables_of(pieces_of(model, 0, np.zeros(5), np.ones(5), {}), jnp.dtype("float64"))
    >>> starts = jnp.full((1, 5), 0.3)
    >>> level = tables.values(starts + 0.1)[0]
    >>> before, after = (abs(float(tables.values(z)[0] - level)) for z in (starts, planned(tables, starts, level)))
    >>> after < 0.2 * before
    True
    """
    line = jnp.linspace(0, 1, _NODES, dtype=z.dtype)
    nodes = jax.vmap(lambda s: tables.lanes(jnp.full(tables.dimensions, s)))(line)  # (K, D, lanes)

    def work(z: Array) -> Array:
        lanes = jax.vmap(tables.lanes, out_axes=1)(z)  # (D, B, lanes)
        modes, alone = lanes[..., :-1], lanes[..., -1]
        others = exclusive_products(modes)
        rest = level - tables.constant - jnp.sum(alone, axis=0) - jnp.sum(others[0] * modes[0], axis=1)
        there = jnp.einsum("kdm,dbm->dkb", nodes[..., :-1], others) + jnp.swapaxes(nodes[..., -1], 0, 1)[:, :, None]
        gains = jnp.sign(rest) * (there - (jnp.sum(others * modes, axis=2) + alone)[:, None, :])
        wanted, place = jnp.abs(rest), z.T

        def moved(power: Array) -> tuple[Array, Array]:
            """The best move of each coordinate, for one or more multipliers, and what they promise together."""
            multiplier = (wanted * 10.0**power)[..., None, :]
            best = gain = jnp.zeros((*power.shape[:-1], *place.shape), z.dtype)
            to = jnp.broadcast_to(place, best.shape)
            for k in range(_NODES):  # written out: a maximum with its place is slow on a CPU
                score = gains[:, k] - multiplier * (line[k] - place) ** 2
                better = score > best
                best = jnp.where(better, score, best)
                gain = jnp.where(better, gains[:, k], gain)
                to = jnp.where(better, line[k], to)
            return to, jnp.sum(gain, axis=-2)

        def halved(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) / 2
            enough = moved(middle)[1] >= wanted
            return jnp.where(enough, middle, ends[0]), jnp.where(enough, ends[1], middle)

        away = jnp.maximum((line[:, None] - place[:, None, :]) ** 2, (0.1 / _NODES) ** 2)
        steepest = jnp.maximum(1.01 * jnp.max(gains / away, axis=(0, 1)), _TINY) / jnp.maximum(wanted, _TINY)
        least = jnp.full_like(wanted, _LEAST)
        start = (least, jnp.maximum(jnp.log10(steepest), least + 1))
        low, high = jax.lax.fori_loop(0, _HALVINGS, halved, start)
        (far, near), (more, less) = moved(jnp.stack([low, high]))
        share = jnp.clip((wanted - less) / jnp.where(more > less, more - less, 1.0), 0.0, 1.0)
        return (near + share * (far - near)).T

    return blocked(work, z.shape[1], z)
