r"""What every exported form is written from: a fitted separable model as plain numbers.

    y_o = C_o + sum_d a_od(x_d) + sum_m W_om prod_d f_dm(x_d)
    f(x) = sum_k c_ek v^k,    v = (t - l_e) / ((r_e - l_e) / 2) - 1,    t = (x - origin) / width in the cell [l_e, r_e)

The scale and shift of the outputs are inside `C`, `a` and `W`. The coordinate `t` is that of the model itself, computed as the model computes it, so that
a point falls into the same cell to the last bit.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...basis import AbstractBasis
from ...fitting import Fitted, Result
from ...fitting.coding import Coding
from ...fitting.links import LINKS, Part
from ...models import AbstractSeparable


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """One input.

    **Fields:** its `name`; the box `lower`, `upper`; `origin` and `width` of the inner coordinate; `breakpoints` in it, `(E + 1,)`, rising; `factors`
    `(E, M, powers)` and `additive` `(E, O, powers)`, lowest power first, `O = 0` without an additive block.
    """

    name: str
    lower: float
    upper: float
    origin: float
    width: float
    breakpoints: np.ndarray
    factors: np.ndarray
    additive: np.ndarray

    @property
    def cells(self) -> int:
        """Number of cells, E."""
        return len(self.breakpoints) - 1

    @property
    def physical(self) -> np.ndarray:
        """The breakpoints in units of the input, `(E + 1,)`."""
        return self.origin + self.width * self.breakpoints


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """A fitted separable model as numbers.

    **Fields:** the `axes`, one an input; the names of the `targets`; `constant` `(O,)`; `mixing` `(O, M)`; `outside`, the policy of `Fitted`; `scalar`,
    whether one target comes without an axis; the name of the `link`; the `coding` of categories and gaps, or nothing.
    """

    axes: tuple[Axis, ...]
    targets: tuple[str, ...]
    constant: np.ndarray
    mixing: np.ndarray
    outside: str
    scalar: bool
    link: str = "identity"
    coding: Coding | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The link of each target."""
        return tuple(LINKS[self.link].part(o) for o in range(len(self.targets)))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(axis.name for axis in self.axes)

    @property
    def powers(self) -> int:
        """Coefficients a polynomial: one more than the highest degree; lower degrees are padded with zeros."""
        return self.axes[0].factors.shape[2]

    @property
    def has_additive(self) -> bool:
        """Whether there is an additive block."""
        return self.axes[0].additive.shape[1] > 0


def describe(model: Any) -> Description:
    """Write a fitted separable model as numbers.

    **Arguments:** a `Fitted` model or a `Result`, its inner model separable with splines, such as `KHRONOS`.

    **Returns:** a `Description`, in float64 where JAX has it.

    **Raises:** `ValueError` for any other model.

    >>> import infinity as inf, jax
    >>> from infinity.io.export import describe
    >>> inner = inf.KHRONOS([(0.0, 1.0)] * 2, modes=3, elements=4, key=jax.random.key(0))
    >>> fitted = inf.Fitted(inner, (0.0, 0.0), (2.0, 1.0), True, (0.0,), (1.0,), ("a", "b"), ("y",), "linear", True)
    >>> describe(fitted).axes[0].factors.shape
    (4, 3, 4)
    """
    fitted = model.model if isinstance(model, Result) else model
    if not isinstance(fitted, Fitted):
        raise ValueError(
            f"export got a {type(model).__name__}; expected what inf.fit returns or a Fitted model around a separable one such as KHRONOS"
        )
    inner = fitted.inner
    if not isinstance(inner, AbstractSeparable):
        raise ValueError(
            f"export got a fitted {type(inner).__name__}; only separable models such as KHRONOS have a form that can be written out"
        )
    if inner.dimensions != fitted.dimensions or inner.outputs != len(fitted.targets):
        raise ValueError(
            f"export got a model of {inner.dimensions} inputs and {inner.outputs} outputs with {fitted.dimensions} input and {len(fitted.targets)} target "
            "names; expected one name each"
        )
    if fitted.outside == "extrapolate":
        raise ValueError(
            "export got a separable model with outside='extrapolate'; splines have no formula beyond their box: expected another policy, such as 'linear'"
        )
    shift, scale = np.asarray(fitted.shift, float), np.asarray(fitted.scale, float)
    splines = inner.bases
    powers = 1 + max(spline.degree for spline in splines)
    axes = []
    for d, spline in enumerate(splines):
        breakpoints, factors = _table(spline, inner.factors[d], powers)
        if inner.additive is None:
            additive = np.zeros((len(factors), 0, powers))
        else:
            additive = _table(spline, inner.additive[d], powers)[1] * scale[:, None]
        lower, upper = float(fitted.lower[d]), float(fitted.upper[d])
        origin, width = (lower, upper - lower) if fitted.scaled else (0.0, 1.0)
        axes.append(Axis(fitted.names[d], lower, upper, origin, width, breakpoints, factors, additive))
    mixing = np.ones((1, inner.modes)) if inner.mixing is None else np.asarray(inner.mixing, float)
    constant = 0.0 if inner.constant is None else np.asarray(inner.constant, float)
    found = Description(
        tuple(axes),
        fitted.targets,
        shift + scale * constant,
        scale[:, None] * mixing,
        fitted.outside,
        fitted.scalar,
        fitted.link,
        fitted.coding,
    )
    tables = [leaf for axis in axes for leaf in (axis.factors, axis.additive)]
    if not all(np.isfinite(numbers).all() for numbers in (*tables, found.constant, found.mixing)):
        raise ValueError("export got a model with parameters that are not finite; fit it again")
    return found


def _table(spline: AbstractBasis, coefficients: Any, powers: int) -> tuple[np.ndarray, np.ndarray]:
    """The breakpoints `(E + 1,)` and the polynomials `(E, rows, powers)` of the cells that have a length."""
    widest = jnp.result_type(float)
    spline = jax.tree.map(lambda leaf: jnp.asarray(leaf, widest), spline)
    table = np.asarray(spline.piecewise(jnp.asarray(coefficients, widest)).coefficients, float)
    points = np.asarray(spline.breakpoints, float)
    kept = np.diff(points) > 0
    table = np.moveaxis(table[:, kept], 0, 1)
    padded = np.pad(table, ((0, 0), (0, 0), (0, powers - table.shape[2])))
    return np.append(points[:-1][kept], points[-1]), padded
