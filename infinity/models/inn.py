r"""INN: finite-element interpolants in canonical form.

    u(x) = sum_m W_om prod_d sum_j N_dj(x_d) U_dmj

The interpolating neural network of Park, Saha and others (arXiv:2404.10296), also known as C-HiDeNN-TD: in each dimension hats or patch interpolants,
whose coefficients are values at nodes, multiplied into modes and superposed.
"""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..basis import Axis
from .boxes import checked_box, each
from .growth import refined
from .separable import AbstractSeparable
from .starts import starting_parameters


class INN(AbstractSeparable):
    r"""A sum over modes of products of one-dimensional interpolants.

    **Arguments:**

    - `domain`: `[(lo, hi)] * D`, the box.
    - `modes`: the number of products M.
    - `elements`: cells in each dimension, one number or one a dimension.
    - `basis`: `"hat"`, `"patch"` or `"bspline"`; keywords of the family follow: `size`, `order`, `dilation`, `kernel`, `frequencies`, `rates` of patches,
      `degree` of splines.
    - `outputs`: number of outputs O, or `"scalar"` for one output without an axis.
    - `nodes`: rising nodes for each dimension instead of equal cells.
    - `trainable_nodes`: whether the nodes are parameters; they stay sorted, the ends fixed.
    - `constant`, `additive`: whether a constant and an additive block stand beside the modes.
    - `key`: of `jax.random`, for the start, which is around one.

    Its users' verbs are here `inf.fit(x, y, model=model)` to train, `inf.solve` to solve and `inf.calibrate` to calibrate.

    **Raises:** `ValueError` for a bad box, counts below one, nodes that no family can stand on, unknown keywords.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.INN([(0.0, 1.0)] * 4, modes=3, elements=8, basis="patch", size=2, outputs="scalar", key=jax.random.key(0))
        >>> model.unknowns, model(jnp.full(4, 0.3)).shape
        (108, ())
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
        basis: str = "hat",
        outputs: int | Literal["scalar"] = 1,
        nodes: Sequence[Sequence[float]] | None = None,
        trainable_nodes: bool = False,
        constant: bool = False,
        additive: bool = False,
        key: PRNGKeyArray,
        **settings: Any,
    ):
        self.axes = axes_of("INN", domain, nodes, elements, basis, settings, trainable_nodes)
        self.scalar = outputs == "scalar"
        sizes = [axis.size for axis in self.axes]
        self.factors, self.mixing, self.additive, self.constant = starting_parameters(
            "INN", key, sizes, modes, outputs, constant=constant, additive=additive
        )

    def refine(
        self,
        *,
        elements: int | Sequence[int] | None = None,
        degree: int | Sequence[int] | None = None,
        modes: int | None = None,
        key: PRNGKeyArray | None = None,
    ) -> "INN":
        """The same function in a larger space: exact prolongation of hats and splines in nodes, of any family in modes.

        **Arguments, result, errors:** as of `KHRONOS.refine`; patch interpolants have no finer space of their kind and are refused.
        """
        return refined(self, elements=elements, degree=degree, modes=modes, key=key)


_KEYWORDS = {
    "hat": (),
    "bspline": ("degree",),
    "patch": ("size", "order", "dilation", "kernel", "frequencies", "rates"),
}


def axes_of(
    model: str,
    domain: Sequence[tuple[float, float]] | None,
    nodes: Sequence[Sequence[float]] | None,
    elements: int | Sequence[int],
    basis: str,
    settings: dict[str, Any],
    trainable: bool,
) -> tuple[Axis, ...]:
    """The axes of an interpolating model.

    **Raises:** `ValueError` that names the model for a bad box, nodes, family or keyword.
    """
    if basis not in _KEYWORDS:
        raise ValueError(f"{model} got basis={basis!r}; expected one of {', '.join(map(repr, _KEYWORDS))}.")
    unknown = sorted(set(settings) - set(_KEYWORDS[basis]))
    if unknown:
        allowed = ", ".join(_KEYWORDS[basis]) or "none"
        raise ValueError(f"{model} got {unknown[0]!r} for basis={basis!r}; its keywords are: {allowed}.")
    if (domain is None) == (nodes is None):
        raise ValueError(f"{model} needs either a domain, [(lo, hi)] * D, or nodes for each dimension, not both.")
    if nodes is None:
        box = checked_box(model, domain or ())
        counts = each(model, "elements", elements, len(box))
        nodes = [np.linspace(lo, hi, count + 1).tolist() for (lo, hi), count in zip(box, counts, strict=True)]
    if basis == "bspline":
        settings = {"degree": 3, **settings}
    axes = []
    for d, row in enumerate(nodes):
        try:
            axes.append(Axis(basis, row, settings, trainable=trainable))
        except ValueError as error:
            raise ValueError(f"{model}, dimension {d}: {error}") from None
    return tuple(axes)
