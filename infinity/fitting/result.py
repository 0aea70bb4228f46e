"""What a fit returns: the model, how it was found, how good it is, and what remains uncertain."""

import dataclasses
import os
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from ..closure import Certificate
from .fitted import Fitted
from .predictor import Predictor
from .trials import Trial, printed


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """The result of `inf.fit`.

    **Fields:**

    - `predictor`: the `Fitted` model in physical units, its uncertainty, and the local stage where one pays. `predict` and `intervals` use all of it; `model`,
      `covariance` and `noise` are its parts.
    - `success`, `status`, `message`: whether the iteration ended by its own test with finite errors, in a word and in a sentence.
    - `stationarity`: the cosine between the residual and the nearest column of its Jacobian.
    - `certificate`: how the parameters enter.
    - `history`: one dictionary an iteration.
    - `stats`: counts of residuals, Jacobians, factorisations and iterations.
    - `metrics`: `"train"` and `"heldout"` (or nothing), both of the fit that did not see the held-out rows: rows, RMSE, NRMSE (RMSE over the standard
      deviation of the target), R2, largest error; `"separable"`, of the model without its local stage on the held-out rows, where there is one.
    - `timings`: seconds spent in `"compile"` and `"run"`.
    - `seed`, `heldout` (row indices from 0), `heldout_prediction` `(n, O)` by the fit that did not see them, `trials` (the models that were tried), `options`
      (what was chosen).
    - `judged`: of an AION with held-out rows, the predictor that did not see them, for drawing its forecast; nothing else has it.
    """

    predictor: Predictor
    success: bool
    status: str
    message: str
    stationarity: float
    certificate: Certificate
    history: list[dict[str, Any]]
    stats: dict[str, Any]
    metrics: dict[str, Any]
    timings: dict[str, float]
    seed: int
    heldout: np.ndarray
    heldout_prediction: Float[np.ndarray, "n O"]
    trials: list[Trial]
    options: dict[str, Any]
    judged: Predictor | None = None

    @property
    def model(self) -> Fitted:
        """The model in physical units: the one that is differentiated, explained and exported."""
        return self.predictor.model

    @property
    def covariance(self) -> Float[Array, "P P"] | None:
        """Covariance of the free parameters, in the units of the inner model; nothing where it was not computed."""
        return self.predictor.covariance

    @property
    def noise(self) -> Float[np.ndarray, " O"]:
        """The estimated standard deviation of each target."""
        return np.asarray(self.predictor.noise)

    def predict(self, x: Any, return_std: bool = False) -> Any:
        """Values at many points, and on request their standard deviations, as `Predictor.predict`."""
        return self.predictor.predict(x, return_std)

    def intervals(self, x: Any, level: float = 0.9) -> tuple[Any, Any]:
        """Intervals that hold a new measurement with a given probability, as `Predictor.intervals`."""
        return self.predictor.intervals(x, level)

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
