r"""Predictions of many observations as functions of a few free inputs, the known inputs contracted once.

    y_ro(theta) = g(shift_o + scale_o (base_ro + sum_d a_od(theta_d) + sum_m K_rom prod_d f_dm(theta_d)))
    K_rom = W_om prod_known f_em(x_re),    base_ro = c_o + sum_known a_oe(x_re)

so that a prediction of all rows costs one evaluation of the factors of the free inputs and one product with `K`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..fitting import Fitted
from ..fitting.links import LINKS
from ..fitting.marginals import with_units
from ..models import AbstractSeparable
from ..models.products import product
from .pieces import Pieces, lanes_of
from .subject import as_function, dtype_of
from .tables import Tables, tables_of


class Contracted(eqx.Module):
    """A separable model at rows of known inputs.

    **Fields:** `tables` of the free inputs, whose lanes are the modes and the additive part of each output; `weights` `(n, O, M)`; `base` `(n, O)`; `shift` and
    `scale` `(O,)`; the static name of the `link`. Called with a point of the unit box `(k,)` it returns `(n, O)`.
    """

    tables: Tables
    weights: Float[Array, "n O M"]
    base: Float[Array, "n O"]
    shift: Float[Array, " O"]
    scale: Float[Array, " O"]
    link: str = eqx.field(static=True)

    def __call__(self, theta: Float[Array, " k"]) -> Float[Array, "n O"]:
        """The predictions of all rows."""
        M = self.weights.shape[2]
        lanes = self.tables.lanes(theta)
        u = self.base + self.weights @ product(lanes[:, :M]) + jnp.sum(lanes[:, M:], axis=0)
        return LINKS[self.link].inverse(self.shift + self.scale * u)


class Mapped(eqx.Module):
    """Any model at rows of known inputs: `function` of a full point, `rows` `(n, D)` with known values, the box `lower`, `width` `(k,)` of the free ones."""

    function: Any
    rows: Float[Array, "n D"]
    lower: Float[Array, " k"]
    width: Float[Array, " k"]
    free: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, theta: Float[Array, " k"]) -> Float[Array, "n O"]:
        """The predictions of all rows."""
        rows = self.rows.at[:, np.asarray(self.free)].set(self.lower + self.width * theta)
        return jax.vmap(lambda x: jnp.atleast_1d(self.function(x)))(rows)


def contracted(
    model: Any, rows: Float[np.ndarray, "n D"], free: tuple[int, ...], box: tuple[np.ndarray, np.ndarray]
) -> tuple[Contracted | Mapped, tuple[str, ...], Any]:
    """The predictions of rows as a function of the free inputs, the names of the targets, and the precision.

    **Arguments:** a `Fitted`, separable or other model; full points with the known values (what stands for the free inputs does not matter); which inputs are
    free, and their box.
    """
    inner = model.inner if isinstance(model, Fitted) else model
    low, high = box
    if not isinstance(inner, AbstractSeparable):
        function, targets = as_function(model, rows.shape[1])
        dtype = dtype_of(model)
        known, origin, width = (jnp.asarray(a, dtype) for a in (np.nan_to_num(rows), low, high - low))
        return Mapped(function, known, origin, width, free), targets, dtype
    units = with_units(model, "calibrate")
    ends = (units.lower - units.origin) / units.length, (units.upper - units.lower) / units.length
    pieces = lanes_of(inner, *ends)
    M, O, dtype = inner.modes, inner.outputs, inner.factors[0].dtype
    mixing = np.ones((O, M)) if inner.mixing is None else np.asarray(inner.mixing, float)
    weights = np.tile(mixing, (len(rows), 1, 1))
    base = np.zeros((len(rows), O)) + (0.0 if inner.constant is None else np.asarray(inner.constant, float))
    for d, piece in enumerate(pieces):
        if d not in free:
            lanes = piece((rows[:, d] - units.lower[d]) / (units.upper[d] - units.lower[d]))
            weights, base = weights * lanes[:, None, :M], base + lanes[:, M:]
    tables = tables_of(Pieces(tuple(pieces[d] for d in free), 0.0), dtype)
    K, rest, shift, scale = (jnp.asarray(a, dtype) for a in (weights, base, units.shift, units.scale))
    link = model.link if isinstance(model, Fitted) else "identity"
    targets = model.targets if isinstance(model, Fitted) else units.targets
    return Contracted(tables, K, rest, shift, scale, link), targets, dtype
