r"""KHRONOS: kernel expansions in each dimension, one behind another, multiplied into modes, and superposed.

    u(x) = c + sum_d a_d(s_d(x_d)) + sum_m prod_d sum_j F_dmj B_j(s_d(x_d))

(Batley and Saha, arXiv:2505.13315). The kernels are clamped B-splines, which sum to one up to both ends of the domain. With one layer `s_d` is the
coordinate itself; each further layer is a rising spline that moves it, so that the outermost expansion, in which the model is affine, sees a learned
coordinate and the map can be inverted.
"""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..basis import Axis, CoordinateMap
from .boxes import checked_box, each
from .growth import refined
from .separable import AbstractSeparable
from .starts import starting_parameters


class KHRONOS(AbstractSeparable):
    r"""A separable model on a box.

    **Arguments:**

    - `domain`: `[(lo, hi)] * D`, the box.
    - `modes`: the number of products M that are summed; with the additive block it may be none.
    - `elements`: cells of the spline in each dimension, one number or one a dimension.
    - `degree`: of the splines, one number or one a dimension.
    - `outputs`: number of outputs O, or `"scalar"` for one output without an axis.
    - `layers`: number of kernel layers; those before the last are quadratic rising splines on `layer_elements` cells, which start as the identity.
    - `constant`, `additive`: whether the model has the constant `c` and the additive block `a`.
    - `breakpoints`: sorted breakpoints for each dimension instead of equal cells.
    - `trainable_nodes`: whether the breakpoints, and with them the widths of the kernels, are parameters.
    - `key`: of `jax.random`; the factors start around ones, `M^(-1/D) (1 + N(0, 0.1^2))`, the rest at zero.

    **Raises:** `ValueError` for an empty or reversed box, counts below one, or lists of the wrong length.

    Called with a point `(D,)` it returns `(O,)`, or `()` if scalar. Outside the box the end polynomials continue.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=4, degree=3, outputs="scalar", key=jax.random.key(0))
        >>> model.unknowns, model(jnp.array([0.1, 0.5, 0.9])).shape
        (64, ())
        >>> finer = model.refine(elements=8, degree=4, layers=2)
        >>> bool(jnp.allclose(finer(jnp.array([0.1, 0.5, 0.9])), model(jnp.array([0.1, 0.5, 0.9])), rtol=1e-4))
        True
    """

    factors: tuple[Float[Array, "M _"], ...]
    mixing: Float[Array, "O M"] | None
    additive: tuple[Float[Array, "O _"], ...] | None
    constant: Float[Array, " O"] | None
    axes: tuple[Axis, ...]
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        domain: Sequence[tuple[float, float]] | None = None,
        *,
        modes: int = 8,
        elements: int | Sequence[int] = 12,
        degree: int | Sequence[int] = 3,
        outputs: int | Literal["scalar"] = 1,
        layers: int = 1,
        layer_elements: int = 12,
        constant: bool = True,
        additive: bool = True,
        breakpoints: Sequence[Sequence[float]] | None = None,
        trainable_nodes: bool = False,
        key: PRNGKeyArray,
    ):
        if layers < 1 or layer_elements < 1:
            raise ValueError(
                f"KHRONOS got layers={layers}, layer_elements={layer_elements}; expected at least 1 of each."
            )
        if (domain is None) == (breakpoints is None):
            raise ValueError(
                "KHRONOS needs either a domain, [(lo, hi)] * D, or breakpoints for each dimension, not both."
            )
        rows = breakpoints
        if rows is None:
            box = checked_box("KHRONOS", domain or ())
            counts = each("KHRONOS", "elements", elements, len(box))
            rows = [np.linspace(lo, hi, count + 1).tolist() for (lo, hi), count in zip(box, counts, strict=True)]
        degrees = each("KHRONOS", "degree", degree, len(rows), least=0)
        trained = layers > 1
        self.axes = tuple(
            Axis(
                "bspline",
                row,
                {"degree": p},
                maps=[
                    CoordinateMap(np.linspace(row[0], row[-1], layer_elements + 1), trainable=trained)
                    for _ in range(layers - 1)
                ],
                trainable=trainable_nodes,
            )
            for row, p in zip(rows, degrees, strict=True)
        )
        self.scalar = outputs == "scalar"
        sizes = [axis.size for axis in self.axes]
        self.factors, self.mixing, self.additive, self.constant = starting_parameters(
            "KHRONOS", key, sizes, modes, outputs, constant=constant, additive=additive
        )

    @property
    def layers(self) -> int:
        """Number of kernel layers."""
        return 1 + max(len(axis.maps) for axis in self.axes)

    def refine(
        self,
        *,
        elements: int | Sequence[int] | None = None,
        degree: int | Sequence[int] | None = None,
        modes: int | None = None,
        layers: int | None = None,
        key: PRNGKeyArray | None = None,
    ) -> "KHRONOS":
        """The same function in a larger space: exact prolongation.

        **Arguments:** the new number of `elements` (a multiple of the present one: every cell is cut into equal parts), the new `degree`, the new number of
        `modes` and of `layers`, each at least the present one; `key` for the factors of added modes (their product starts at zero: the first factor is zero).

        **Returns:** a finer `KHRONOS` with equal values, its nodes and maps held; `trained` makes them parameters again.

        **Raises:** `ValueError` when something would shrink or does not divide.
        """
        return refined(self, elements=elements, degree=degree, modes=modes, layers=layers, key=key)
