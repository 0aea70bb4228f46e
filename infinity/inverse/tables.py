r"""Values and gradients of a separable model at many points, in one pass.

    u = c + sum_d a_d + sum_m prod_d f_dm,        du/dz_d = a_d' + sum_m f_dm' prod_{e != d} f_em

Horner's rule gives a polynomial and its derivative together, from one row of powers a dimension and a point; products with one factor left out are
prefix times suffix products.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..models.products import exclusive_products, product
from .pieces import Pieces


class Tables(eqx.Module):
    """A scalar separable model on the unit box, for compiled programs.

    **Fields:** the rows of all cells of all dimensions, one under another: `powers` `(C, P, M + 1)`, whose last column is the additive part; `left` and `half`
    `(C,)`; `interior`, the edges within each dimension, padded with infinity, `(D, E - 1)`; the `constant`; static: `cells`, the number in each dimension;
    `equal`, whether the cells of each dimension are equally long and its functions continuous.
    """

    powers: Float[Array, "C P lanes"]
    left: Float[Array, " C"]
    half: Float[Array, " C"]
    interior: Float[Array, "D _"]
    constant: Float[Array, ""]
    cells: tuple[int, ...] = eqx.field(static=True)
    equal: bool = eqx.field(static=True)

    @property
    def dimensions(self) -> int:
        """Number of free inputs."""
        return len(self.cells)

    def __call__(self, z: Float[Array, " D"]) -> Float[Array, ""]:
        """The value at a point."""
        return self.values(z[None])[0]

    def lanes(self, z: Float[Array, " D"]) -> Float[Array, "D lanes"]:
        """All functions of each dimension at a point."""
        row, v = self._locate(z[:, None])
        powers = _take(self.powers, row[:, 0])
        value = powers[:, -1]
        for k in range(self.powers.shape[1] - 2, -1, -1):
            value = value * v + powers[:, k]
        return value

    def values(self, z: Float[Array, "B D"]) -> Float[Array, " B"]:
        """The values of a block of points."""
        row, v = self._locate(z.T)
        parts = []
        for d in range(len(self.cells)):
            powers, value = self._row(row[d])
            for k in range(self.powers.shape[1] - 2, -1, -1):
                value = value * v[d][:, None] + powers[:, k]
            parts.append(value)
        return self.constant + sum(p[:, -1] for p in parts) + jnp.sum(product(jnp.stack(parts))[:, :-1], axis=1)

    def value_and_gradient(self, z: Float[Array, "B D"]) -> tuple[Float[Array, " B"], Float[Array, "B D"]]:
        """Values and gradients of a block of points."""
        row, v = self._locate(z.T)
        values, slopes = [], []
        for d in range(len(self.cells)):
            powers, value = self._row(row[d])
            slope = jnp.zeros_like(value)
            for k in range(self.powers.shape[1] - 2, -1, -1):
                slope = slope * v[d][:, None] + value
                value = value * v[d][:, None] + powers[:, k]
            values.append(value)
            slopes.append(slope)
        modes = [value[:, :-1] for value in values]
        others = exclusive_products(jnp.stack(modes))
        total = self.constant + sum(value[:, -1] for value in values) + jnp.sum(others[0] * modes[0], axis=1)
        gradient = [
            (jnp.sum(slope[:, :-1] * other, axis=1) + slope[:, -1]) / _take(self.half, row[d])
            for d, (slope, other) in enumerate(zip(slopes, others, strict=True))
        ]
        return total, jnp.stack(gradient, axis=1)

    def bend(self, z: Float[Array, "B D"], along: Float[Array, "B D"]) -> Float[Array, " B"]:
        """The second derivatives of a block of points, each in a direction: of products of series to second order."""
        row, v = self._locate(z.T)
        whole, first, second, alone = 1.0, 0.0, 0.0, 0.0
        for d in range(len(self.cells)):
            powers, value = self._row(row[d])
            slope = half = jnp.zeros_like(value)
            for k in range(self.powers.shape[1] - 2, -1, -1):
                half = half * v[d][:, None] + slope
                slope = slope * v[d][:, None] + value
                value = value * v[d][:, None] + powers[:, k]
            step = (along[:, d] / _take(self.half, row[d]))[:, None]
            slope, half = slope * step, half * (step * step)
            second = second * value + first * slope + whole * half
            first = first * value + whole * slope
            whole = whole * value
            alone = alone + half[:, -1]
        return 2 * (jnp.sum(jnp.asarray(second)[:, :-1], axis=1) + alone)

    def _row(self, row: Array) -> tuple[Float[Array, "B P lanes"], Float[Array, "B lanes"]]:
        powers = _take(self.powers, row)
        return powers, powers[:, -1]

    def _locate(self, z: Float[Array, "D B"]) -> tuple[Array, Float[Array, "D B"]]:
        """The row of the cell that holds each coordinate, and the coordinate within it; points lie in the box."""
        start = np.cumsum([0, *self.cells[:-1]])
        if self.equal:
            counts = np.asarray(self.cells)[:, None]
            place = z * counts
            cell = jnp.clip(place.astype(jnp.int32), 0, counts - 1)
            return cell + start[:, None], 2 * (place - cell) - 1
        cell = jnp.sum(z[:, None, :] >= self.interior[:, :, None], axis=1, dtype=jnp.int32)
        row = cell + start[:, None]
        return row, (z - _take(self.left, row)) / _take(self.half, row) - 1


def tables_of(pieces: Pieces, dtype: jnp.dtype) -> Tables:
    """The polynomials of a model as arrays of a precision."""
    parts = pieces.dimensions
    cells, most = tuple(len(part.left) for part in parts), max(part.powers.shape[1] for part in parts)
    widest = max(cells)
    fill = lambda inner: np.pad(inner, (0, widest - 1 - len(inner)), constant_values=np.inf)
    raise_degree = lambda powers: np.pad(powers, ((0, 0), (0, most - powers.shape[1]), (0, 0)))
    equal = all(
        part.smooth >= 0 and np.allclose(part.edges, np.linspace(0, 1, len(part.edges)), rtol=0, atol=1e-15)
        and abs(part.left[0]) < 1e-15 and abs(part.left[-1] + 2 * part.half[-1] - 1) < 1e-15
        for part in parts
    )  # fmt: skip
    return Tables(
        powers=jnp.asarray(np.concatenate([raise_degree(part.powers) for part in parts]), dtype),
        left=jnp.asarray(np.concatenate([part.left for part in parts]), dtype),
        half=jnp.asarray(np.concatenate([part.half for part in parts]), dtype),
        interior=jnp.asarray(np.stack([fill(part.edges[1:-1]) for part in parts]), dtype),
        constant=jnp.asarray(pieces.constant, dtype),
        cells=cells,
        equal=equal,
    )


class Pointwise(eqx.Module):
    """Any function of a point as the same interface: `function` from physical coordinates to a number, over the unit box.

    **Fields:** the `function` `(D,) -> ()`; `lower`, `width` `(d,)` of the free inputs; `known` `(D,)`, a full point with the values of the others; static
    `free`, which inputs are free, and `twice`, whether JAX can differentiate the function forward, a second time.
    """

    function: eqx.Module
    lower: Float[Array, " d"]
    width: Float[Array, " d"]
    known: Float[Array, " D"]
    free: tuple[int, ...] = eqx.field(static=True)
    twice: bool = eqx.field(static=True)

    @property
    def dimensions(self) -> int:
        """Number of free inputs."""
        return len(self.free)

    def __call__(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        """The value at a point."""
        return self.function(self.known.at[np.asarray(self.free)].set(self.lower + self.width * z))  # pyright: ignore[reportCallIssue]

    def values(self, z: Float[Array, "B d"]) -> Float[Array, " B"]:
        """The values of a block of points."""
        return jax.vmap(self)(z)

    def value_and_gradient(self, z: Float[Array, "B d"]) -> tuple[Float[Array, " B"], Float[Array, "B d"]]:
        """Values and gradients of a block of points."""
        return jax.vmap(jax.value_and_grad(self.__call__))(z)

    def bend(self, z: Float[Array, "B d"], along: Float[Array, "B d"]) -> Float[Array, " B"]:
        """The second derivatives of a block of points, each in a direction; zero where they cannot be had."""
        return jax.vmap(self.second)(z, along) if self.twice else jnp.zeros(len(z), z.dtype)

    def second(self, z: Float[Array, " d"], along: Float[Array, " d"]) -> Float[Array, ""]:
        """The second derivative at a point in a direction."""
        slope = lambda z: jax.jvp(self.__call__, (z,), (along,))[1]
        return jax.jvp(slope, (z,), (along,))[1]


def _take(table: Array, row: Array) -> Array:
    return table.at[row].get(mode="promise_in_bounds")
