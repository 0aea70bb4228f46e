r"""A first layer that mixes inputs: ridges and fronts that follow no axis.

    u(x) = v(x_1, .., x_D, z_1, .., z_K),    z_k = w_k . (x - lo) / (hi - lo),    v separable

A separable model of `x` alone cannot turn its axes: a front along `x_1 + x_2 = c` has as many modes as it is sharp, whatever its nodes and maps. With the
coordinate across the front among the inputs it is one factor. The directions `w_k` are learned; those of a ridge function are what the method of
projection pursuit looks for (Friedman and Stuetzle, J. Am. Stat. Assoc. 76, 1981).
"""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .boxes import checked_box
from .khronos import KHRONOS
from .on_axes import rebuilt
from .separable import AbstractSeparable


class Oblique(eqx.Module):
    r"""A separable model of the inputs and of learned mixtures of them.

    **Arguments:**

    - `domain`: `[(lo, hi)] * D`, the box of the inputs.
    - `directions`: the number K of mixtures, or their weights `(K, D)`.
    - `outputs`, `key`, and further keywords: of the `KHRONOS` of the `D + K` coordinates.

    **Fields:** `weights` `(K, D)`, rows of unit 1-norm, free; `separable`, on the unit box of `D + K` coordinates: each mixture, divided by its 1-norm, runs
    from 0 to 1 over the box.

    Called with a point `(D,)` it returns `(O,)`, or `()` if scalar.

    **Raises:** `ValueError` for a bad box, weights of a wrong shape or a direction of zeros.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.Oblique([(0.0, 1.0)] * 2, directions=1, modes=2, outputs="scalar", key=jax.random.key(0))
        >>> model.separable.dimensions, model(jnp.array([0.2, 0.7])).shape
        (3, ())
    """

    weights: Float[Array, "K D"]
    separable: AbstractSeparable
    box: tuple[tuple[float, float], ...] = eqx.field(static=True)

    def __init__(
        self,
        domain: Sequence[tuple[float, float]],
        *,
        directions: int | Float[np.ndarray, "K D"] = 1,
        outputs: int | Literal["scalar"] = 1,
        key: PRNGKeyArray,
        **settings: Any,
    ):
        self.box = tuple(checked_box("Oblique", domain))
        D = len(self.box)
        if isinstance(directions, int):
            if directions < 1:
                raise ValueError(f"Oblique got directions={directions}; expected at least 1. Use KHRONOS without any.")
            rows = np.asarray(jax.random.normal(jax.random.fold_in(key, 2), (directions, D)), np.float64)
        else:
            rows = np.asarray(directions, np.float64)
        if rows.ndim != 2 or rows.shape[1] != D or not np.all(np.isfinite(rows)) or np.any(~rows.any(axis=1)):
            raise ValueError(
                f"Oblique got directions of shape {rows.shape}; expected (K, {D}), each row finite and not all zeros."
            )
        self.weights = jnp.asarray(rows / np.abs(rows).sum(axis=1, keepdims=True))
        self.separable = KHRONOS([(0.0, 1.0)] * (D + len(rows)), outputs=outputs, key=key, **settings)

    @property
    def dimensions(self) -> int:
        """Number of inputs, D."""
        return len(self.box)

    @property
    def outputs(self) -> int:
        """Number of outputs, O; 1 for a scalar model."""
        return self.separable.outputs

    @property
    def unknowns(self) -> int:
        """Number of free parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array)))

    @property
    def domain(self) -> tuple[tuple[float, float], ...]:
        """The box on which the model is defined, one pair a dimension."""
        return self.box

    def coordinates(self, x: Float[Array, " D"]) -> Float[Array, " D_plus_K"]:
        """The inputs and their mixtures on the unit box, shape `(D + K,)`.

        A mixture `w . x` with `|w|_1 = 1` runs from the sum of the negative weights to that of the positive ones: its range over the box is one.
        """
        lower, upper = jnp.asarray(self.box, x.dtype).T
        unit = (x - lower) / (upper - lower)
        rows = self.weights / jnp.sum(jnp.abs(self.weights), axis=1, keepdims=True)
        mixed = jnp.matmul(rows, unit, precision="highest") - jnp.sum(jnp.minimum(rows, 0.0), axis=1)
        return jnp.concatenate([unit, mixed])

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, "..."]:
        """The value at a point `x` of shape `(D,)`: shape `(O,)`, or `()` for a scalar model."""
        return self.separable(self.coordinates(x))

    def with_parts(self, separable: AbstractSeparable, weights: Float[Array, "K D"] | None = None) -> "Oblique":
        """The same box with another separable model, and other weights if any are given."""
        return rebuilt(self, separable=separable, weights=self.weights if weights is None else weights)
