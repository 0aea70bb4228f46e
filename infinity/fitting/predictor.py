r"""Predictions of measurements: the fitted model, its local stage where there is one, and how far both may be off.

    y ~ g(u(x)),    var = var u(x) + (sigma / g'(u))^2,    interval = g(u(x) +- q std)

`q` is calibrated on held-out rows, see `infinity.fitting.uncertainty`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..models import AbstractSeparable
from ..precision import full_products
from .fitted import Fitted
from .levels import LevelEffects, with_effects
from .links import LINKS
from .local import LocalStage
from .uncertainty import conformal_quantile, deviation, expected_deviation


class Predictor(eqx.Module):
    """What predicts new measurements.

    **Fields:**

    - `model`: the model in physical units.
    - `covariance`: of its free parameters `(P, P)`, in the units of the inner model, or nothing.
    - `noise`: the standard deviation of each target, `(O,)`.
    - `scores`: errors of rows that were held out or left out in standard deviations of their prediction, `(n, O)`, or nothing.
    - `local`: the local stage, or nothing.
    - `levels`: the effects of levels, or nothing.
    """

    model: Fitted
    covariance: Float[Array, "P P"] | None
    noise: Float[Array, " O"]
    scores: Float[Array, "n O"] | None
    local: LocalStage | None
    levels: LevelEffects | None = None

    def predict(self, x: Any, return_std: bool = False) -> Any:
        """Values at many points; outside the box of the data the model alone, by its policy.

        **Arguments:** `x` of shape `(N, D)` in physical units; `return_std`: also the standard deviation of a new measurement, from the covariance of the
        parameters, the local stage and the noise.

        **Returns:** `(N,)` or `(N, O)`; with `return_std` a pair of these.

        **Raises:** `ValueError` as `Fitted.predict`, and where there is no covariance.
        """
        mean = self.model.predict(x)
        if not return_std:
            return mean if self.local is None and self.levels is None else self._described(x, mean, False)[0]
        mean, _, std = self._described(x, mean, True)
        slope = LINKS[self.model.link].slope(np.asarray(mean))
        return mean, jnp.asarray(slope * std.reshape(mean.shape), mean.dtype)

    def intervals(self, x: Any, level: float = 0.9) -> tuple[Any, Any]:
        r"""Intervals that hold a new measurement with a given probability.

        The share of measurements inside is `level` on average, to one part in as many rows as were held out.

        **Arguments:** `x` of shape `(N, D)` in physical units; the `level`, above 0 and below 1.

        **Returns:** the lower and the upper ends, each `(N,)` or `(N, O)`.

        **Raises:** `ValueError` for a level outside that range, without held-out rows or without a covariance.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; expected a probability above 0 and below 1, such as 0.9")
        if self.scores is None:
            raise ValueError(
                "this fit held no rows out to calibrate intervals on; fit with holdout=0.1, or use predict(x, return_std=True)"
            )
        mean, u, std = self._described(x, self.model.predict(x), True)
        q = np.array([conformal_quantile(column, level) for column in np.asarray(self.scores).T])
        inverse = LINKS[self.model.link].inverse
        lower, upper = (jnp.asarray(inverse(u + sign * q * std), mean.dtype).reshape(mean.shape) for sign in (-1, 1))
        return lower, upper

    def _described(self, x: Any, mean: Float[Array, "N *O"], deviations: bool) -> tuple[Any, Any, Any]:
        """Values, what the link describes `(N, O)` and its standard deviation for a new measurement `(N, O)`, or nothing."""
        model = self.model
        if deviations and self.covariance is None:
            raise ValueError(
                "this fit has no covariance, so no standard deviation: the model or the table is too large for it"
            )
        with np.errstate(invalid="ignore", divide="ignore"):  # a line that continues a positive target may cross zero
            u = np.array(LINKS[model.link].forward(np.asarray(mean)[:, None] if mean.ndim == 1 else np.asarray(mean)))
        rows = np.asarray(model._quiet().checked(x))
        std = None
        if isinstance(model.inner, AbstractSeparable):
            shift, scale = np.asarray(model.shift), np.asarray(model.scale)
            points = model.inside(rows)
            std = np.zeros_like(u)
            if deviations or (self.local is not None and self.local.weighs):
                covariance = None if self.covariance is None else np.asarray(self.covariance)
                noise = np.asarray(self.noise, float)
                std = expected_deviation(model.inner, points, covariance, model.link, u, scale, noise)
            known = ~model.rows_outside(rows)
            if known.any() and not (self.local is None and self.levels is None):
                value, spread = (u[known] - shift) / scale, std[known] / scale
                if self.local is not None:
                    value, spread = self.local.mixed(points[known], value, spread)
                if self.levels is not None:
                    value, spread = with_effects(self.levels, points[known], value, spread)
                u[known], std[known] = shift + scale * value, scale * spread
                mean = jnp.asarray(LINKS[model.link].inverse(u), mean.dtype).reshape(mean.shape)
        elif self.covariance is not None and deviations:
            V = self.covariance
            batches = (jnp.asarray(rows[at : at + 1024]) for at in range(0, len(rows), 1024))
            variance = np.concatenate([np.asarray(_variance(model._quiet(), x, V)) for x in batches])
            # Far from the data the slopes, whose squares are summed, leave the range of floats before the value does.
            variance = np.where(np.isnan(variance), np.inf, variance)
            # Where a direction is hardly determined, rounding of its large variance may take the sum below zero.
            variance = np.maximum(variance, 0.0)
            std = deviation(model.link, u, variance, np.asarray(self.noise, float))
        return mean, u, std


@full_products
@eqx.filter_jit
def _variance(model: Fitted, x: Float[Array, "N D"], covariance: Float[Array, "P P"]) -> Float[Array, "N O"]:
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(params)

    def one(point):
        J = jnp.atleast_2d(jax.jacrev(lambda theta: jnp.atleast_1d(eqx.combine(unravel(theta), static)(point)))(theta))
        return jnp.einsum("op,pq,oq->o", J, covariance, J)

    return jax.vmap(one)(x)
