r"""The separable core: a sum over modes of products over dimensions.

    u_o(x) = c_o + sum_d a_od(x_d) + sum_m W_om prod_d f_dm(x_d),    f_dm(t) = sum_j F_dmj B_dj(t)

The modes are shared by the outputs; `c` and the additive block `a` are optional; with one output there is no `W`, as it would only
repeat the scale of a factor. Each `F_d` is one array, so that the model is affine in each of them: it is multilinear.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis, Axis
from .on_axes import AbstractOnAxes
from .products import product


class AbstractSeparable(AbstractOnAxes):
    """What all separable models share: evaluation, derivatives of the value with respect to the parameters, curves.

    **Fields:** `factors`, one array `(M, size_d)` a dimension; `mixing` `(O, M)` or nothing; `additive`, one array `(O, size_d)` a dimension, or nothing;
    `constant` `(O,)` or nothing; `axes`, the recipe of the functions of each dimension; `scalar`, static: one output of shape `()` instead of `(1,)`.
    """

    factors: eqx.AbstractVar[tuple[Float[Array, "M _"], ...]]
    mixing: eqx.AbstractVar[Float[Array, "O M"] | None]
    additive: eqx.AbstractVar[tuple[Float[Array, "O _"], ...] | None]
    constant: eqx.AbstractVar[Float[Array, " O"] | None]
    axes: eqx.AbstractVar[tuple[Axis, ...]]
    scalar: eqx.AbstractVar[bool]

    @property
    def bases(self) -> tuple[AbstractBasis, ...]:
        """The one-dimensional functions of each dimension, in the precision of the factors."""
        return tuple(axis.basis(self.factors[0].dtype) for axis in self.axes)

    @property
    def modes(self) -> int:
        """Number of modes, M."""
        return self.factors[0].shape[0]

    @property
    def outputs(self) -> int:
        """Number of outputs, O; 1 for a scalar model."""
        return 1 if self.mixing is None else self.mixing.shape[0]

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degree of the functions in each dimension."""
        return tuple(axis.degree for axis in self.axes)

    @property
    def breakpoints(self) -> tuple[tuple[float, ...], ...]:
        """The breakpoints or nodes of each dimension."""
        return tuple(tuple(np.asarray(axis.nodes(self.factors[0].dtype)).tolist()) for axis in self.axes)

    def features(self, x: Float[Array, " D"]) -> Float[Array, "D M"]:
        """The factors at a point, `f_dm(x_d)`."""
        return self._windows(self.factors, local_values(self.bases, x))

    def _windows(
        self, coefficients: tuple[Float[Array, "rows _"], ...], local: list["Local"]
    ) -> Float[Array, "D rows"]:
        """`sum_j C_drj B_dj(x_d)` for every dimension."""
        parts = [
            jax.vmap(_window)(jnp.stack([coefficients[d] for d in at.members]), at.first, at.values) for at in local
        ]
        return jnp.concatenate(parts)[_order(local)]

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, "..."]:
        """The value at a point `x` of shape `(D,)`: shape `(O,)`, or `()` for a scalar model."""
        local = local_values(self.bases, x)
        modes = product(self._windows(self.factors, local))
        value = jnp.sum(modes)[None] if self.mixing is None else jnp.matmul(self.mixing, modes, precision="highest")
        if self.additive is not None:
            value = value + jnp.sum(self._windows(self.additive, local), axis=0)
        if self.constant is not None:
            value = value + self.constant
        return value[0] if self.scalar else value

    def curve(self, dimension: int, t: Float[Array, ""]) -> Float[Array, " M"]:
        """The factors of one dimension at the coordinate `t`, shape `(M,)`."""
        return _window(self.factors[dimension], *self.bases[dimension].local(t))


class Local(NamedTuple):
    """For some dimensions, the index of the first function that lives at a point, `(g,)`, and the values `(g, width)`."""

    members: tuple[int, ...]
    first: Array
    values: Float[Array, "g width"]


def local_values(bases: tuple[AbstractBasis, ...], x: Float[Array, " D"]) -> list[Local]:
    """Which functions live at `x` and their values; dimensions whose bases have the same shape are evaluated at once."""
    groups: dict = {}
    for d, basis in enumerate(bases):
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(basis))
        groups.setdefault((jax.tree.structure(basis), shapes), []).append(d)
    local = []
    for members in groups.values():
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(bases[d] for d in members))
        first, values = jax.vmap(lambda basis, t: basis.local(t))(stacked, x[np.asarray(members)])
        local.append(Local(tuple(members), first, values))
    return local


def design(bases: tuple[AbstractBasis, ...], x: Float[Array, " D"]) -> Float[Array, "D n"]:
    """All functions of every dimension at a point, rows filled with zeros up to the largest basis."""
    n = max(basis.size for basis in bases)
    local = local_values(bases, x)
    rows = [jax.vmap(lambda first, values: _spread(n, first, values))(at.first, at.values) for at in local]
    return jnp.concatenate(rows)[_order(local)]


def _order(local: list[Local]) -> np.ndarray:
    """Where each dimension stands in the concatenated groups."""
    return np.argsort(np.concatenate([at.members for at in local]))


def _window(coefficients: Float[Array, "rows size"], first, values: Float[Array, " width"]) -> Float[Array, " rows"]:
    """`sum_j C_rj B_j(t)` over the functions that live at `t`."""
    lives = jax.lax.dynamic_slice_in_dim(coefficients, first, values.shape[0], axis=1)
    return jnp.matmul(lives, values, precision="highest")


def _spread(size: int, first, values: Float[Array, " width"]) -> Float[Array, " size"]:
    return jax.lax.dynamic_update_slice(jnp.zeros((size,), values.dtype), values, (first,))
