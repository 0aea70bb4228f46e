r"""The smooth model that stands for the data while their structure is looked for: a separable model by `inf.fit`, judged on rows it has not seen."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from ..fitting import fit
from ..precision import double_precision
from .candidates import Data
from .smooth import Smooth

# Every so many-th row is kept for judging.
KEPT = 5
# Modes and elements: few sizes, so that few programs are compiled; the largest that the rows allow.
SIZES = ((6, 6), (3, 4), (1, 3))
# Half a step of a central difference, as a part of the box.
STEP = 2e-4


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """A smooth function `(n, D) -> (n,)`, the box of its data, the mean square of what it misses on rows it has not seen, and its derivatives."""

    predict: Callable[[np.ndarray], np.ndarray]
    lower: Float[np.ndarray, " D"]
    upper: Float[np.ndarray, " D"]
    heldout: float | int
    slopes: Callable[[np.ndarray], np.ndarray] | None = None

    def inner(self, rows: Float[np.ndarray, "n D"], part: float = 0.05) -> Float[np.ndarray, "n D"]:
        """The rows moved inwards, for derivatives are worst at the ends."""
        margin = part * (self.upper - self.lower)
        return np.clip(rows, self.lower + margin, self.upper - margin)

    def gradient(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
        """Derivatives, exact where the function has them, else by central differences."""
        if self.slopes is not None:
            return self.slopes(points)
        D = points.shape[1]
        h = STEP * (self.upper - self.lower)
        moved = [points + sign * h[d] * (np.arange(D) == d) for d in range(D) for sign in (1, -1)]
        values = self.predict(np.concatenate(moved)).reshape(D, 2, len(points))
        return ((values[:, 0] - values[:, 1]) / (2 * h[:, None])).T


def _unknowns(D: int, modes: int, elements: int) -> int:
    return D * (modes + 1) * (elements + 3)


def fit_surrogate(data: Data, seed: int = 0, kept: bool = True) -> Surrogate | None:
    """The model of some data, judged on a fifth of the rows or, if not `kept`, of all rows and not judged; `None` where there are too few rows for one."""
    x = np.stack(data.columns, axis=1)
    N = len(x)
    judged = np.random.default_rng(seed).permutation(N) < (N // KEPT if kept else 0)
    weights = np.ones(N) if data.weights is None else data.weights / data.weights.mean()
    if np.any(np.ptp(x[~judged], axis=0) <= 0) or np.ptp(data.y[~judged]) <= 0:
        return None
    x_seen, y_seen = x[~judged], data.y[~judged]
    wide = np.min(y_seen) > 0 and np.max(y_seen) > 30 * np.min(y_seen)
    sizes = [size for size in SIZES if _unknowns(x.shape[1], *size) <= 0.8 * len(y_seen)]
    if not sizes:
        return None
    try:
        with warnings.catch_warnings(), double_precision():
            warnings.simplefilter("ignore")
            options: dict[str, Any] = (
                {"link": "log"}
                if wide and data.weights is None
                else {"link": "identity", "weights": None if data.weights is None else weights[~judged]}
            )
            modes, elements = sizes[0]
            result = fit(
                x_seen,
                y_seen,
                modes=modes,
                elements=elements,
                degree=3,
                local=False,
                outside="linear",
                holdout=0.0,
                seed=seed,
                **options,
            )
    except ValueError:
        return None

    with double_precision():
        smooth = Smooth(result.model)
    off = smooth(x[judged]) - data.y[judged]
    heldout = float(np.average(off**2, weights=weights[judged])) if kept else float("nan")
    return Surrogate(smooth, x.min(axis=0), x.max(axis=0), heldout, smooth.gradient)
