"""What a fit returns: the model, how it was found, how good it is, and what remains uncertain."""

import dataclasses
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..closure import Certificate
from ..models import AbstractSeparable
from .fitted import Fitted
from .links import LINKS
from .selection import Trial, printed
from .uncertainty import conformal_quantile, deviation, parameter_variance


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """The result of `inf.fit`.

    **Fields:**

    - `model`: a `Fitted` model in physical units.
    - `success`, `status`, `message`: whether the iteration ended by its own test with finite errors, in a word and in a sentence.
    - `stationarity`: the cosine between the residual and the nearest column of its Jacobian.
    - `certificate`: how the parameters enter.
    - `history`: one dictionary an iteration.
    - `covariance`: of the free parameters `(P, P)`, in the units of the inner model; nothing where it was not computed.
    - `noise`: the estimated standard deviation of each target, `(O,)`.
    - `scores`: errors of the held-out rows in standard deviations of their prediction, `(n, O)`, or nothing.
    - `stats`: counts of residuals, Jacobians, factorisations and iterations.
    - `metrics`: `"train"` and `"heldout"` (or nothing), both of the fit that did not see the held-out rows: rows, RMSE, NRMSE (RMSE over the standard
      deviation of the target), R2, largest error.
    - `timings`: seconds spent in `"compile"` and `"run"`.
    - `seed`, `heldout` (row indices from 0), `heldout_prediction` `(n, O)` by the fit that did not see them, `trials` (the models that were tried), `options`
      (what was chosen).
    """

    model: Fitted
    success: bool
    status: str
    message: str
    stationarity: float
    certificate: Certificate
    history: list[dict[str, Any]]
    covariance: Float[Array, "P P"] | None
    noise: Float[np.ndarray, " O"]
    scores: Float[np.ndarray, "n O"] | None
    stats: dict[str, Any]
    metrics: dict[str, Any]
    timings: dict[str, float]
    seed: int
    heldout: np.ndarray
    heldout_prediction: Float[np.ndarray, "n O"]
    trials: list[Trial]
    options: dict[str, Any]

    def predict(self, x: Any, return_std: bool = False) -> Any:
        """Values at many points.

        **Arguments:** `x` of shape `(N, D)` in physical units; `return_std`: also the standard deviation of a new measurement, from the covariance of the
        parameters and the noise.

        **Returns:** `(N,)` or `(N, O)`; with `return_std` a pair of these.

        **Raises:** `ValueError` as `Fitted.predict`, and where there is no covariance.
        """
        mean = self.model.predict(x)
        if not return_std:
            return mean
        _, std = self._described(x, mean)
        slope = LINKS[self.model.link].slope(np.asarray(mean))
        return mean, jnp.asarray(slope * std.reshape(mean.shape), mean.dtype)

    def intervals(self, x: Any, level: float = 0.9) -> tuple[Any, Any]:
        r"""Intervals that hold a new measurement with a given probability.

            g(u(x) - q std u(x))   to   g(u(x) + q std u(x))

        `q` is calibrated on the held-out rows (see `infinity.fitting.uncertainty`), so that the share of measurements inside is at least `level` on average.

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
        mean = self.model.predict(x)
        u, std = self._described(x, mean)
        q = np.array([conformal_quantile(column, level) for column in self.scores.T])
        inverse = LINKS[self.model.link].inverse
        lower, upper = (jnp.asarray(inverse(u + sign * q * std), mean.dtype).reshape(mean.shape) for sign in (-1, 1))
        return lower, upper

    def _described(self, x: Any, mean: Float[Array, "N *O"]) -> tuple[np.ndarray, np.ndarray]:
        """What the link describes at some points, and its standard deviation for a new measurement, each `(N, O)`."""
        if self.covariance is None:
            raise ValueError(f"this fit has no covariance, so no standard deviation; {self.options['covariance']}")
        model = self.model
        u = LINKS[model.link].forward(np.asarray(mean).reshape(len(mean), -1))
        rows = np.asarray(model._quiet().checked(x))
        if isinstance(model.inner, AbstractSeparable):
            variance = parameter_variance(model.inner, model.inside(rows), np.asarray(self.covariance))
            variance = variance * np.asarray(model.scale) ** 2
        else:
            batches = (jnp.asarray(rows[at : at + 1024]) for at in range(0, len(rows), 1024))
            variance = np.concatenate([np.asarray(_variance(model._quiet(), x, self.covariance)) for x in batches])
        return u, deviation(model.link, u, variance, np.asarray(self.noise, float))

    def selection(self) -> str:
        """The models that were tried, one a line, the best first; says so where nothing was selected."""
        return printed(self.trials) or "nothing was selected: the model was given"

    def sobol(self, distribution: Any = None) -> Any:
        """Where the variance of the model comes from, as `inf.sobol`."""
        from .sensitivity import sobol

        return sobol(self.model, distribution)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, with how it was found in its header; `inf.load` reads it back."""
        from ..io import save

        about = {
            "metrics": self.metrics,
            "status": self.status,
            "message": self.message,
            "seed": self.seed,
            "options": self.options,
        }
        save(self.model, path, header=about)


@eqx.filter_jit
def _variance(model: Fitted, x: Float[Array, "N D"], covariance: Float[Array, "P P"]) -> Float[Array, "N O"]:
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(params)

    def one(point):
        J = jnp.atleast_2d(jax.jacrev(lambda theta: jnp.atleast_1d(eqx.combine(unravel(theta), static)(point)))(theta))
        return jnp.einsum("op,pq,oq->o", J, covariance, J)

    return jax.vmap(one)(x)


def metrics_of(y: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    """Errors of predictions `(N, O)`: over all targets together, each in units of its own spread for NRMSE and R2."""
    error = np.asarray(prediction, float).reshape(y.shape) - y
    spread = np.std(y, axis=0)
    ratio = np.sqrt(np.mean(error**2, axis=0)) / np.where(spread > 0, spread, np.nan)
    nrmse = float(np.sqrt(np.mean(ratio**2)))
    return {
        "rows": len(y),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "nrmse": nrmse,
        "r2": float(1 - nrmse**2),
        "max_error": float(np.max(np.abs(error))),
    }
