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
from .fitted import Fitted


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
    - `stats`: counts of residuals, Jacobians, factorisations and iterations.
    - `metrics`: `"train"` and `"heldout"` (or nothing): rows, RMSE, NRMSE (RMSE over the standard deviation of the target), R2, largest error.
    - `timings`: seconds spent in `"compile"` and `"run"`.
    - `seed`, `heldout` (row indices from 0), `options` (what was chosen).
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
    stats: dict[str, Any]
    metrics: dict[str, Any]
    timings: dict[str, float]
    seed: int
    heldout: np.ndarray
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
        if self.covariance is None:
            raise ValueError(f"this fit has no covariance, so no standard deviation; {self.options['covariance']}")
        inner = self.model._quiet()
        points = jnp.asarray(np.asarray(x).reshape(len(mean), -1), self.covariance.dtype)
        variance = jnp.concatenate(
            [_variance(inner, points[at : at + 1024], self.covariance) for at in range(0, len(points), 1024)]
        ).reshape(mean.shape)
        noise = jnp.asarray(self.noise if mean.ndim == 2 else self.noise[0], variance.dtype)
        return mean, jnp.sqrt(variance + noise**2)

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
