r"""A separable model as at most four arrays, the form in which the direct fit works.

    u_so = c_o + sum_dj A_doj B_sdj + sum_m W_om prod_d f_sdm,    f_sdm = sum_j F_dmj B_sdj

All dimensions are filled with zeros up to the size of the largest basis, so that one product of arrays serves them all, and models whose knots and
degrees differ share one compiled program. The columns of the fill are zero; its coefficients are no parameters, and stay at zero.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..compilation import brief_jit
from ..models import AbstractSeparable
from ..models.products import exclusive_products, product


class Stacked(eqx.Module):
    """**Fields:** `factors` `(D, M, n)`; `mixing` `(O, M)`, `additive` `(D, O, n)` and `constant` `(O,)` or nothing, as in the model."""

    factors: Float[Array, "D M n"]
    mixing: Float[Array, "O M"] | None
    additive: Float[Array, "D O n"] | None
    constant: Float[Array, " O"] | None

    @property
    def outputs(self) -> int:
        """Number of outputs, O."""
        return 1 if self.mixing is None else self.mixing.shape[0]

    def values(self, B: Float[Array, "S D n"]) -> Float[Array, "S O"]:
        """Values of a batch from its basis functions."""
        return self._superpose(B, product(jnp.einsum("sdj,dmj->dsm", B, self.factors)))

    def rows(self, B: Float[Array, "S D n"]) -> tuple[Float[Array, "S O"], Float[Array, "SO P"]]:
        """Values of a batch and their derivatives with respect to all parameters, in the order of the fields, one row for each sample and output."""
        S = B.shape[0]
        O = self.outputs
        features = jnp.einsum("sdj,dmj->dsm", B, self.factors)
        others, modes = exclusive_products(features), product(features)
        weights = self._weights(B.dtype)[None, :, None, :, None]
        parts = [weights * jnp.swapaxes(others, 0, 1)[:, None, :, :, None] * B[:, None, :, None, :]]
        if self.mixing is not None:
            parts.append(jnp.eye(O, dtype=B.dtype)[None, :, :, None] * modes[:, None, None, :])
        parts += self._affine_parts(B)
        J = jnp.concatenate([part.reshape(S * O, -1) for part in parts], axis=1)
        return self._superpose(B, modes), J

    def block_rows(
        self, B: Float[Array, "S D n"], d: int | Int[Array, ""]
    ) -> tuple[Float[Array, "S O"], Float[Array, "SO Q"]]:
        """Values of a batch and their derivatives with respect to the factors of one dimension, the additive block and the constant."""
        S, O = B.shape[0], self.outputs
        features = jnp.einsum("sdj,dmj->dsm", B, self.factors)
        others = jnp.prod(features.at[d].set(1.0), axis=0)
        here = jnp.take(B, d, axis=1)
        columns = self._weights(B.dtype)[None, :, :, None] * (others[:, :, None] * here[:, None, :])[:, None]
        parts = [columns, *self._affine_parts(B)]
        J = jnp.concatenate([part.reshape(S * O, -1) for part in parts], axis=1)
        return self._superpose(B, others * features[d]), J

    def _weights(self, dtype) -> Float[Array, "O M"]:
        return jnp.ones((1, self.factors.shape[1]), dtype) if self.mixing is None else self.mixing

    def _affine_parts(self, B: Float[Array, "S D n"]) -> list[Array]:
        """Derivatives with respect to the additive block and the constant, `(S, O, ...)`."""
        identity, parts = jnp.eye(self.outputs, dtype=B.dtype), []
        if self.additive is not None:
            parts.append(identity[None, :, None, :, None] * B[:, None, :, None, :])
        if self.constant is not None:
            parts.append(jnp.broadcast_to(identity, (B.shape[0], self.outputs, self.outputs)))
        return parts

    def _superpose(self, B: Float[Array, "S D n"], modes: Float[Array, "S M"]) -> Float[Array, "S O"]:
        value = jnp.sum(modes, axis=1, keepdims=True) if self.mixing is None else modes @ self.mixing.T
        if self.additive is not None:
            value = value + jnp.einsum("sdj,doj->so", B, self.additive)
        return value if self.constant is None else value + self.constant


def flattened(
    stacked: Stacked, kept: Int[Array, " P"]
) -> tuple[Float[Array, " P"], Callable[[Float[Array, " P"]], Stacked]]:
    """The parameters without the fill as a vector, and the map from there to the stacked form."""
    flat, unravel = ravel_pytree(stacked)
    return flat[kept], lambda theta: unravel(jnp.zeros_like(flat).at[kept].set(theta))


class Layout(eqx.Module):
    """Where the flat parameters of a stacked model stand.

    **Fields,** all static: dimensions D, modes M, size n, outputs O, and which optional arrays there are.
    """

    D: int = eqx.field(static=True)
    M: int = eqx.field(static=True)
    n: int = eqx.field(static=True)
    O: int = eqx.field(static=True)
    mixing: bool = eqx.field(static=True)
    additive: bool = eqx.field(static=True)
    constant: bool = eqx.field(static=True)

    @staticmethod
    def of(stacked: Stacked) -> "Layout":
        """The layout of a stacked model."""
        D, M, n = stacked.factors.shape
        mixing, additive, constant = (part is not None for part in (stacked.mixing, stacked.additive, stacked.constant))
        return Layout(D, M, n, stacked.outputs, mixing, additive, constant)

    @property
    def after_factors(self) -> int:
        """Where the mixing begins."""
        return self.D * self.M * self.n

    @property
    def after_mixing(self) -> int:
        """Where the additive block begins."""
        return self.after_factors + (self.O * self.M if self.mixing else 0)

    @property
    def after_additive(self) -> int:
        """Where the constant begins."""
        return self.after_mixing + (self.D * self.O * self.n if self.additive else 0)

    @property
    def unknowns(self) -> int:
        """Number of parameters, P, the fill included."""
        return self.after_additive + (self.O if self.constant else 0)

    def factor(self, d: int | Int[Array, ""]) -> Int[Array, " Mn"]:
        """Positions of the factors of one dimension."""
        return d * self.M * self.n + jnp.arange(self.M * self.n)

    def affine(self) -> Int[np.ndarray, " a"]:
        """Positions of the additive block and the constant, which are affine together with the factors of any one dimension."""
        return np.arange(self.after_mixing, self.unknowns)

    def window(self, d: int, first: int, width: int) -> Int[np.ndarray, " w"]:
        """Positions of all coefficients of the functions `first .. first + width - 1` of one dimension."""
        j = first + np.arange(width)
        places = [((d * self.M + np.arange(self.M)) * self.n)[:, None] + j]
        if self.additive:
            places.append(self.after_mixing + ((d * self.O + np.arange(self.O)) * self.n)[:, None] + j)
        return np.concatenate(places).ravel()

    def windowed(self, widths: list[int]) -> int:
        """How many columns one sample meets, if so many functions of each dimension live at a point."""
        return sum(widths) * (self.M + (self.O if self.additive else 0)) + len(self.rest())

    def rest(self) -> Int[np.ndarray, " r"]:
        """Positions of the parameters that belong to no dimension: mixing and constant."""
        return np.concatenate(
            [np.arange(self.after_factors, self.after_mixing), np.arange(self.after_additive, self.unknowns)]
        )

    def kept(self, sizes: list[int]) -> Int[np.ndarray, " p"]:
        """Positions without the fill, in the order of the model's own leaves."""
        inside = np.concatenate([self.window(d, 0, size) for d, size in enumerate(sizes)])
        return np.sort(np.concatenate([inside, self.rest()]).astype(int))


@brief_jit  # called eagerly, one compilation instead of many
def stack(model: AbstractSeparable) -> Stacked:
    """Bring a model to stacked form."""
    n = max(basis.size for basis in model.bases)
    fill = lambda arrays: jnp.stack([jnp.pad(array, ((0, 0), (0, n - array.shape[1]))) for array in arrays])
    additive = None if model.additive is None else fill(model.additive)
    return Stacked(fill(model.factors), model.mixing, additive, model.constant)


@brief_jit  # called eagerly, one compilation instead of many
def unstack(stacked: Stacked, model: AbstractSeparable) -> AbstractSeparable:
    """The model with the parameters of a stacked one."""
    cut = lambda array, like: tuple(array[d, :, : old.shape[1]] for d, old in enumerate(like))
    additive = None if stacked.additive is None else cut(stacked.additive, model.additive)
    parts = (cut(stacked.factors, model.factors), stacked.mixing, additive, stacked.constant)
    where = lambda model: (model.factors, model.mixing, model.additive, model.constant)
    return eqx.tree_at(where, model, parts, is_leaf=lambda leaf: leaf is None)
