r"""What one input does on average, and the slopes of a model.

    e_d(t) = E u(x with x_d = t) = offset + b_d(t) + sum_m W_m (prod_{e != d} mu_em) f_dm(t),        grad u = (du/dx_1, .., du/dx_D)

For a separable model with independent inputs the average is one spline, its coefficients in closed form.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis
from .coding import Column, label_of
from .fitted import Fitted
from .marginals import Units, exclusive_mean, marginals, with_units
from .result import Result


class MainEffect(eqx.Module):
    """The mean of a model as a function of one input, in physical units; a pytree that may be jitted, differentiated and batched with `jax.vmap`.

    **Fields:** the `basis` and the `coefficients` `(O, size)` of its spline; `offset` `(O,)`; `lower`, `upper`, `origin`, `length`: the range of the input and
    how it maps to the basis, static; `scalar`: one output of shape `()`.
    """

    basis: AbstractBasis
    coefficients: Float[Array, "O _"]
    offset: Float[Array, " O"]
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)
    origin: float = eqx.field(static=True)
    length: float = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __call__(self, t: Any) -> Float[Array, "*O"]:
        """The mean at `t`, shape `()`: `(O,)`, or `()` for a scalar model; NaN outside the range of the input."""
        point = jnp.asarray(t, self.coefficients.dtype)
        if point.shape != ():
            raise ValueError(f"got t of shape {point.shape}; expected one number, shape (). Batch with jax.vmap.")
        ends = jnp.asarray([self.lower, self.upper], point.dtype)
        value = self.offset + self.coefficients @ self.basis((point - self.origin) / self.length)
        value = jnp.where((point >= ends[0]) & (point <= ends[1]), value, jnp.nan)
        return value[0] if self.scalar else value


def main_effect(model: Any, dimension: int | str, distribution: Any = None) -> "MainEffect | CategoryEffect":
    """The mean of a separable model over all inputs but one, as a function of that one.

    It is the limit of a partial dependence plot for many independent rows, without sampling: `infinity.plot.partial_dependence` averages any model over the
    rows of a table instead.

    **Arguments:**

    - `model`: an `AbstractSeparable` model, a `Fitted` or a `Result` around one.
    - `dimension`: index or name of the input.
    - `distribution`: nothing for inputs uniform on the box, or a sample `(N, D)` in physical units whose columns are taken as independent.

    **Returns:** a `MainEffect`, a function of `t` of shape `()` to `(O,)`, or `()` for a scalar model; for a category a `CategoryEffect`, a function of its
    level. Of an input with missing values it is the mean where the value is there.

    **Raises:** `ValueError` for a model that is not separable, an unknown input, or a sample that `inf.sobol` would refuse.

    !!! example

        >>> import equinox as eqx, jax, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=2, outputs="scalar", key=jax.random.key(0))
        >>> model = eqx.tree_at(lambda m: m.factors, model, tuple(basis.greville()[None] for basis in model.bases))
        >>> effect = inf.main_effect(model, 0)  # of u = x0 x1: half of x0
        >>> round(float(effect(0.8)), 6), round(float(jax.grad(effect)(0.3)), 6)
        (0.4, 0.5)
    """
    units = with_units(model, "main_effect")
    chosen = _index(units.inputs, dimension)
    at = marginals(units, distribution)
    inner = units.model
    group = units.groups[chosen]
    column = None if units.coding is None else units.coding.columns[chosen]
    weights, offset = at.mixing * exclusive_mean(at.mean, chosen), at.offset - at.shares[chosen]
    if column is not None and column.is_category:
        return _category_effect(units, column, group, weights, offset)
    d, *others = group
    for other in others:  # where the value is not missing
        basis = np.asarray(inner.bases[other](jnp.asarray(-units.origin[other] / units.length[other])), float)
        weights = weights * (np.asarray(inner.factors[other], float) @ basis)
        offset = offset + _additive(units, other) @ basis
    dtype = inner.factors[d].dtype
    coefficients = weights @ np.asarray(inner.factors[d], float) + _additive(units, d)
    return MainEffect(
        inner.bases[d],
        jnp.asarray(coefficients, dtype),
        jnp.asarray(offset, dtype),
        lower=float(units.lower[d]),
        upper=float(units.upper[d]),
        origin=float(units.origin[d]),
        length=float(units.length[d]),
        scalar=units.scalar,
    )


class CategoryEffect(eqx.Module):
    """The mean of a model at each level of a category.

    **Fields:** the `name` of the input; its `levels` as text, `None` for a missing value; `values` `(L, O)`; `scalar`: one output of shape `()`.

    !!! example

        >>> import jax.numpy as jnp, infinity as inf
        >>> effect = inf.CategoryEffect("colour", ("red", "blue"), jnp.array([[1.0], [2.0]]), True)
        >>> float(effect("blue"))
        2.0
    """

    name: str = eqx.field(static=True)
    levels: tuple[str | None, ...] = eqx.field(static=True)
    values: Float[Array, "L O"]
    scalar: bool = eqx.field(static=True)

    def __call__(self, level: Any) -> Float[Array, "*O"]:
        """The mean at a level, `(O,)`, or `()` for a scalar model; a `ValueError` for one that the model does not know."""
        label = label_of(level)
        if label not in self.levels:
            shown = ", ".join("missing" if known is None else known for known in self.levels)
            raise ValueError(f"got the level {level!r} of {self.name!r}; expected one of {shown}")
        value = self.values[self.levels.index(label)]
        return value[0] if self.scalar else value


def _additive(units: Units, column: int) -> np.ndarray:
    """The coefficients of the additive part of a column, `(O, size)`."""
    additive = units.model.additive
    size = units.model.bases[column].size
    return (
        np.zeros((len(units.scale), size))
        if additive is None
        else units.scale[:, None] * np.asarray(additive[column], float)
    )


def _category_effect(
    units: Units, column: Column, group: tuple[int, ...], weights: np.ndarray, offset: np.ndarray
) -> CategoryEffect:
    points = (np.asarray(column.codes) - units.origin[list(group)]) / units.length[list(group)]
    factor, term = np.ones((weights.shape[1], len(points))), np.zeros((len(offset), len(points)))
    for d, nodes in zip(group, points.T, strict=True):
        values = np.asarray(jax.vmap(units.model.bases[d])(jnp.asarray(nodes, units.model.factors[d].dtype)), float).T
        factor = factor * (np.asarray(units.model.factors[d], float) @ values)
        term = term + _additive(units, d) @ values
    means = (offset[:, None] + term + weights @ factor).T
    return CategoryEffect(
        column.name, column.levels, jnp.asarray(means, units.model.factors[group[0]].dtype), units.scalar
    )


def derivative(model: Any) -> Callable[[Any], Float[Array, "*O D"]]:
    """The gradient of a model with respect to its inputs, in physical units, by forward differentiation.

    **Arguments:** `model`: any model of one point, a `Fitted` or a `Result`.

    **Returns:** a compiled function of a point `x` `(D,)` to `(O, D)`, or `(D,)` for a scalar model. Where a spline has a kink it is the slope on the right, at
    the right end on the left. Outside the box of a `Fitted` it is that of the continuation (policies `"linear"` and `"warn"`), zero along the inputs that are
    clamped, NaN or an error, as the policy says. Batch with `jax.vmap`.

    **Raises:** `ValueError` for something that cannot be called.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=4, outputs="scalar", key=jax.random.key(0))
        >>> slope = inf.derivative(model)
        >>> slope(jnp.array([0.1, 0.5, 0.9])).shape
        (3,)
    """
    inner = model.model if isinstance(model, Result) else model
    if not callable(inner):
        raise ValueError(f"derivative got {type(inner).__name__}; expected a model that maps a point (D,) to its value")
    return eqx.Partial(_slope, inner)


@eqx.filter_jit
def _slope(model: Any, x: Any) -> Float[Array, "*O D"]:
    x = jnp.asarray(x)
    x = x.astype(jnp.result_type(x, jnp.float32))
    if not isinstance(model, Fitted):
        return jax.jacfwd(model)(x)
    if model.outside in ("linear", "warn"):
        return jax.jacfwd(model._quiet())(x)
    model(x)  # refuses a wrong shape
    # The edge of the box belongs to it: differentiating through `clip` would halve the slope there.
    inside = jnp.clip(x, jnp.asarray(model.lower, x.dtype), jnp.asarray(model.upper, x.dtype))
    slope = jax.jacfwd(model._physical)(inside)
    if model.outside == "clamp":
        return jnp.where(inside == x, slope, 0.0)
    beyond = jnp.any(inside != x)
    if model.outside == "nan":
        return jnp.where(beyond, jnp.nan, slope)
    return eqx.error_if(slope, beyond, "a slope was asked for outside the box of the data (outside='error')")


def _index(names: tuple[str, ...], dimension: int | str) -> int:
    if isinstance(dimension, str) and dimension in names:
        return names.index(dimension)
    if not isinstance(dimension, int | np.integer) or not 0 <= dimension < len(names):
        raise ValueError(
            f"dimension is {dimension!r}; expected an index from 0 to {len(names) - 1} or one of {', '.join(names)}"
        )
    return int(dimension)
