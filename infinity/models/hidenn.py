r"""HiDeNN: the full tensor product of finite-element interpolants, its nodes trainable.

    u_o(x) = sum_{i_1 .. i_D} N_{1 i_1}(x_1) .. N_{D i_D}(x_D) U_{i_1 .. i_D o}

(Zhang, Cheng, Li, Gao, Yu, Domel, Yang, Tang and Liu, Comput. Mech. 67, 2021; Saha et al., Comput. Methods Appl. Mech. Eng. 373, 2021). With hats or
patch interpolants `U` holds the values at the nodes. No assumption of rank is made, so it is for one to three dimensions.
"""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..basis import AbstractBasis, Axis
from .inn import axes_of
from .on_axes import AbstractOnAxes, rebuilt

MOST_DIMENSIONS = 3


class HiDeNN(AbstractOnAxes):
    r"""A full tensor-product interpolant in one to three dimensions.

    **Arguments:**

    - `nodes`: rising nodes for each dimension, a list of lists; or leave it out and give
    - `domain`: `[(lo, hi)] * D`, and `elements`: cells in each dimension.
    - `basis`: `"hat"`, `"patch"` or `"bspline"`, with its keywords as of `INN`.
    - `outputs`: number of outputs O, or `"scalar"` for one output without an axis.
    - `trainable_nodes`: whether the nodes are parameters; they stay sorted, the ends fixed.

    **Fields:** `values`, `(n_1, .., n_D, O)`, which start at zero; `axes`.

    Called with a point `(D,)` it returns `(O,)`, or `()` if scalar.

    **Raises:** `ValueError` for more than three dimensions, a bad box, nodes that no family can stand on, unknown keywords.

    !!! example

        >>> import jax.numpy as jnp, infinity as inf
        >>> model = inf.HiDeNN([[0.0, 1.0, 2.0], [0.0, 1.0]], outputs="scalar").interpolate(lambda x: x[0] * x[1])
        >>> float(model(jnp.array([1.5, 0.5])))
        0.75
    """

    values: Float[Array, "..."]
    axes: tuple[Axis, ...]
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        nodes: Sequence[Sequence[float]] | None = None,
        *,
        domain: Sequence[tuple[float, float]] | None = None,
        elements: int | Sequence[int] = 12,
        basis: str = "hat",
        outputs: int | Literal["scalar"] = 1,
        trainable_nodes: bool = False,
        **settings: Any,
    ):
        self.axes = axes_of("HiDeNN", domain, nodes, elements, basis, settings, trainable_nodes)
        if len(self.axes) > MOST_DIMENSIONS:
            raise ValueError(
                f"HiDeNN got {len(self.axes)} dimensions; expected at most {MOST_DIMENSIONS}, since its unknowns grow as n^D. Use INN or KHRONOS."
            )
        number = 1 if outputs == "scalar" else outputs
        if number < 1:
            raise ValueError(f"HiDeNN got outputs={outputs}; expected at least one.")
        self.scalar = outputs == "scalar"
        self.values = jnp.zeros((*(axis.size for axis in self.axes), number))

    @property
    def bases(self) -> tuple[AbstractBasis, ...]:
        """The one-dimensional functions of each dimension, in the precision of the values."""
        return tuple(axis.basis(self.values.dtype) for axis in self.axes)

    @property
    def outputs(self) -> int:
        """Number of outputs, O; 1 for a scalar model."""
        return self.values.shape[-1]

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, "..."]:
        """The value at a point `x` of shape `(D,)`: shape `(O,)`, or `()` for a scalar model."""
        local = [basis.local(t) for basis, t in zip(self.bases, x, strict=True)]
        widths = [values.shape[0] for _, values in local]
        first = [start for start, _ in local]
        block = jax.lax.dynamic_slice(self.values, [*first, jnp.zeros_like(first[0])], [*widths, self.outputs])
        for _, values in local:
            block = jnp.tensordot(values, block, axes=(0, 0), precision="highest")
        return block[0] if self.scalar else block

    def interpolate(self, f: Any) -> "HiDeNN":
        """The model whose values are those of `f` at the nodes; for hats and patch interpolants, whose functions are cardinal.

        **Arguments:** `f` from a point `(D,)` to `(O,)` or `()`.

        **Raises:** `ValueError` for splines.
        """
        if any(axis.family == "bspline" for axis in self.axes):
            raise ValueError(
                "interpolate needs hats or patch interpolants; the coefficients of splines are no values. Use inf.fit."
            )
        grid = jnp.meshgrid(*(axis.nodes(self.values.dtype) for axis in self.axes), indexing="ij")
        points = jnp.stack(grid, axis=-1).reshape(-1, self.dimensions)
        return rebuilt(self, values=jax.vmap(f)(points).reshape(self.values.shape))
