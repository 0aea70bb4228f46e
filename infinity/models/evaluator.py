r"""A separable model as tables of polynomials, for many points at once.

    u_o(x) = c_o + sum_d a_od(x_d) + sum_m W_om prod_d f_dm(x_d),    f_dm(t) = sum_k F_dekm v^k    on the cell e of dimension d

with `v` from -1 to 1 across the cell. All powers of all modes of a cell are one contiguous row, so that a point costs one row a dimension and Horner's
rule runs over the modes. On a CPU the points go through in blocks: the row of each point is then used straight from the cache instead of being
written out as an array of `N D M (p + 1)` numbers.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..basis import AbstractBasis
from ..basis.cells import known
from ..basis.recursion import nonzero
from ..compilation import brief_jit
from ..shapes import rounded_up
from .separable import AbstractSeparable

# Values of factors in a block of points: above about 2000 XLA stops compiling the loop over blocks into one function, and a point costs ten times as much.
_BLOCK = 1024
# Points that a small table is filled up to.
_FEWEST = 256


class Evaluator(eqx.Module):
    r"""A separable model at many points, fast.

    **Arguments:** a separable `model`, such as `KHRONOS` or `INN`.

    **Fields:** rows of all cells of all dimensions, one under another: `factors` `(C, powers, M)` and `additive` `(C, powers, O)` or nothing; `left` ends and
    `half` lengths of the cells `(C,)`; `interior`, the breakpoints within each dimension, padded with infinity, `(D, E - 1)`; `mixing` `(O, M)` or
    nothing, `constant` `(O,)` or nothing; static: `cells`, the number in each dimension; `equal`, whether the cells of each dimension are equally long and
    their functions continuous, so that a division finds the cell.

    Called with points `(N, D)` it returns `(N, O)`, or `(N,)` for a scalar model: the values of `jax.vmap(model)` to rounding, in the dtype of the model.
    Outside the box the end polynomials continue, a coordinate that is not a number gives NaN. It can be compiled (`eqx.filter_jit`) and differentiated.

    **Raises:** `ValueError` for a model that is not separable; for points of a wrong shape.

    !!! example

        >>> import equinox as eqx, jax, jax.numpy as jnp, infinity as inf
        >>> from infinity.models import Evaluator
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=4, outputs=2, key=jax.random.key(0))
        >>> evaluate = eqx.filter_jit(Evaluator(model))
        >>> x = jax.random.uniform(jax.random.key(1), (1000, 3))
        >>> evaluate(x).shape, bool(jnp.allclose(evaluate(x), jax.vmap(model)(x), rtol=1e-4))
        ((1000, 2), True)
    """

    factors: Float[Array, "C powers M"]
    additive: Float[Array, "C powers O"] | None
    left: Float[Array, " C"]
    half: Float[Array, " C"]
    interior: Float[Array, "D _"]
    mixing: Float[Array, "O M"] | None
    constant: Float[Array, " O"] | None
    cells: tuple[int, ...] = eqx.field(static=True)
    equal: bool = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __init__(self, model: AbstractSeparable):
        if not isinstance(model, AbstractSeparable):
            raise ValueError(
                f"Evaluator got a {type(model).__name__}; expected a separable model such as KHRONOS. Batch others with jax.vmap."
            )
        bases = model.bases
        self.cells = tuple(basis.elements for basis in bases)
        self.equal = all(_equal(basis) for basis in bases)
        self.factors, self.additive = _tables(bases, model.factors, model.additive)
        self.left, self.half, self.interior = _places(bases)
        self.mixing, self.constant, self.scalar = model.mixing, model.constant, model.scalar

    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N *O"]:
        """The values at points `x` of shape `(N, D)`: shape `(N, O)`, or `(N,)` for a scalar model."""
        if x.ndim != 2 or x.shape[1] != len(self.cells):
            raise ValueError(f"Evaluator got points of shape {x.shape}; expected (N, {len(self.cells)}).")
        y = jax.lax.platform_dependent(x, cpu=lambda x: self._blocked(x), default=lambda x: self._values(x))
        return y[:, 0] if self.scalar else y

    def _blocked(self, x: Float[Array, "N D"]) -> Float[Array, "N O"]:
        """The values, a block of points after another."""
        number, lanes = x.shape[0], max(leaf.shape[-1] for leaf in (self.factors, self.additive) if leaf is not None)
        block = 1 << max(_BLOCK // lanes, 16).bit_length() - 1
        if number <= block:
            return self._values(x)
        count = -(-number // block)
        padded = jnp.pad(x, ((0, count * block - number), (0, 0)), mode="edge")
        values = jax.lax.map(self._values, padded.reshape(count, block, -1))
        return values.reshape(count * block, -1)[:number]

    def _values(self, x: Float[Array, "B D"]) -> Float[Array, "B O"]:
        """The values of one block."""
        row, v = self._locate(x.T)
        modes = _horner(self.factors, row[0], v[0])
        for d in range(1, len(self.cells)):
            modes = modes * _horner(self.factors, row[d], v[d])
        # A product and a sum over the few modes is fused with the above, a matrix product is not.
        value = jnp.sum(modes, 1)[:, None] if self.mixing is None else jnp.sum(modes[:, None, :] * self.mixing, 2)
        if self.additive is not None:
            for d in range(len(self.cells)):
                value = value + _horner(self.additive, row[d], v[d])
        return value if self.constant is None else value + self.constant

    def _locate(self, t: Float[Array, "D B"]) -> tuple[Int[Array, "D B"], Float[Array, "D B"]]:
        """The row of the cell that holds each coordinate, and the coordinate within it."""
        start = np.cumsum([0, *self.cells[:-1]])
        if self.equal:
            last = np.asarray(self.cells)[:, None] - 1
            place = (t - self.left[start][:, None]) / (2 * self.half[start][:, None])
            # Clipped twice: before a huge number overflows an integer, and after NaN has become some integer.
            cell = jnp.clip(jnp.clip(place, 0, last).astype(jnp.int32), 0, last)
            return cell + start[:, None], 2 * (place - cell) - 1
        cell = jnp.sum(t[:, None, :] >= self.interior[:, :, None], axis=1, dtype=jnp.int32)
        row = cell + start[:, None]
        return row, (t - _take(self.left, row)) / _take(self.half, row) - 1


def evaluate(model: AbstractSeparable, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N O"]:
    """Values of a separable model at many points, as a matrix on the host.

    The points are filled up to one of few numbers, so that tables of nearly the same length share a compiled program.

    **Arguments:** a separable model; the points `(N, D)` in its box.

    **Returns:** `(N, O)`, also for a scalar model.
    """
    filled = np.resize(x, (rounded_up(max(len(x), _FEWEST)), x.shape[1])) if len(x) else np.zeros((_FEWEST, x.shape[1]))
    values = np.asarray(_run(Evaluator(model), jnp.asarray(filled, model.factors[0].dtype)))
    return values.reshape(len(filled), -1)[: len(x)]


@eqx.filter_jit
def _run(evaluator: Evaluator, x: Float[Array, "N D"]) -> Float[Array, "N *O"]:
    return evaluator(x)


def _horner(table: Float[Array, "C powers L"], row: Int[Array, " B"], v: Float[Array, " B"]) -> Float[Array, "B L"]:
    """`sum_k table[row, k] v^k` for each point and each column."""
    powers = _take(table, row)
    value = powers[:, -1]
    for k in range(table.shape[1] - 2, -1, -1):
        value = value * v[:, None] + powers[:, k]
    return value


def _take(table: Array, row: Int[Array, "..."]) -> Array:
    return table.at[row].get(mode="promise_in_bounds")


@brief_jit  # called eagerly, one compilation instead of many
def _tables(bases: Sequence[AbstractBasis], factors: Sequence[Array], additive: Sequence[Array] | None):
    """The powers of all factors, and of the additive block."""
    return _rows(bases, factors), None if additive is None else _rows(bases, additive)


@brief_jit
def _places(bases: Sequence[AbstractBasis]) -> tuple[Array, Array, Array]:
    """Where each cell begins, half its length, and the breakpoints between cells."""
    left = jnp.concatenate([basis.breakpoints[:-1] for basis in bases])
    half = nonzero(jnp.concatenate([jnp.diff(basis.breakpoints) / 2 for basis in bases]))
    widest = max(basis.elements for basis in bases)
    fill = lambda inner: jnp.pad(inner, (0, widest - 1 - inner.shape[0]), constant_values=jnp.inf)
    return left, half, jnp.stack([fill(basis.breakpoints[1:-1]) for basis in bases])


def _rows(bases: Sequence[AbstractBasis], coefficients: Sequence[Float[Array, "L _"]]) -> Float[Array, "C powers L"]:
    """All powers of all functions of each cell; lower degrees are padded with zeros."""
    powers = 1 + max(basis.degree for basis in bases)
    tables = []
    for basis, rows in zip(bases, coefficients, strict=True):
        table = jnp.transpose(basis.piecewise(rows).coefficients, (1, 2, 0))
        tables.append(jnp.pad(table, ((0, 0), (0, powers - table.shape[1]), (0, 0))))
    return jnp.concatenate(tables)


def _equal(basis: AbstractBasis) -> bool:
    """Whether all cells are equally long to rounding, and a point that rounding puts into the neighbouring cell gets the same value there."""
    points = known(basis.breakpoints)
    if points is None or basis.degree == 0:
        return False
    wanted = np.linspace(points[0], points[-1], len(points))
    return bool(np.all(np.abs(points - wanted) <= 4 * jnp.finfo(basis.breakpoints.dtype).eps * np.abs(points).max()))
