"""What `inf.fit` is called with: each argument checked, and what it means for the rest."""

from typing import Any, get_args

import numpy as np

from ..models import AION, AbstractSeparable, HiDeNN, Oblique
from .fitted import Outside


def held_out(x: np.ndarray, rows: np.ndarray, share: float | int, seed: int, *, ahead: bool) -> np.ndarray:
    """The rows that judge the fit, sorted: drawn at random, or, of a series, the last ones, so that it is judged by its forecast.

    **Raises:** `ValueError` for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"holdout is {share}; expected a share of the rows, at least 0 and below 1")
    number = round(share * len(rows))
    number = number if len(rows) - number >= 2 else 0
    if ahead:
        return np.sort(rows[np.argsort(x[rows, 0], kind="stable")[len(rows) - number :]])
    return rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:number])]


def is_exponential(model: Any, solver: Any) -> bool:
    """Whether the direct solve for exponential families is asked for."""
    if isinstance(model, str) and (model != "aion" or solver is not None):
        raise ValueError(
            f'model is {model!r}; expected "aion", without a solver, an Equinox module, or nothing for a model that is selected'
        )
    return solver is None and (isinstance(model, AION) or model == "aion")


def check_accuracy(accuracy: Any) -> None:
    """Refuse what is no error that may suffice."""
    if isinstance(accuracy, bool) or not isinstance(accuracy, float | int) or not 0 < accuracy < 1:
        raise ValueError(
            f"accuracy is {accuracy!r}; expected a part of the target's standard deviation between 0 and 1, such as 0.01"
        )


def checked_policy(outside: str | None, exponential: bool) -> str:
    """What happens outside the box: an AION goes on by its own formula, any other model in straight lines."""
    if outside is None:
        return "extrapolate" if exponential else "warn"
    if outside not in get_args(Outside):
        raise ValueError(f"outside is {outside!r}; expected one of {', '.join(get_args(Outside))}")
    if outside == "extrapolate" and not exponential:
        raise ValueError(
            'outside="extrapolate" is for an AION, whose formula holds everywhere; use "linear" or another'
        )
    return outside


def checked_weights(weights: Any, rows: int) -> np.ndarray:
    """One weight for each row, ones if none are given."""
    if weights is None:
        return np.ones(rows)
    values = np.asarray(weights, float)
    if values.shape != (rows,):
        raise ValueError(f"weights has shape {values.shape}; expected ({rows},), one for each row")
    bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(bad):
        raise ValueError(f"row {bad[0] + 1}: the weight is {values[bad[0]]}; expected a finite number of at least 0")
    if not np.any(values > 0):
        raise ValueError("all weights are zero; give some row a positive one")
    if values.sum() < 2:
        raise ValueError(
            f"the weights sum to {values.sum():.3g}; a weight counts measurements, so expected a sum of at least 2. Multiply them by one number, such that "
            "a typical one is 1"
        )
    return values


def checked_model(model: Any, x: np.ndarray, names: tuple[str, ...], outputs: int) -> Any:
    """The model, if it takes these inputs and its box holds them; rounding may leave the box by a few units."""
    if not callable(model):
        raise ValueError(f"model is {type(model).__name__}; expected an Equinox module that maps a point (D,) to (O,)")
    if isinstance(model, AbstractSeparable | HiDeNN | Oblique):
        if model.dimensions != x.shape[1] or model.outputs != outputs:
            raise ValueError(
                f"the model has {model.dimensions} inputs and {model.outputs} outputs, the table {x.shape[1]} and {outputs}"
            )
        lower, upper = np.asarray(model.domain).T
        kind = x.dtype if x.dtype.kind == "f" else np.float64
        slack = 4 * np.finfo(kind).eps * np.maximum(np.abs(lower), np.abs(upper))
        outside = np.argwhere((x < lower - slack) | (x > upper + slack))
        if len(outside):
            row, d = (int(i) for i in outside[0])
            raise ValueError(
                f"row {row + 1}, column {names[d]!r}: {x[row, d]:g} lies outside the model's domain [{lower[d]:g}, {upper[d]:g}]; "
                "make the model on a box that holds the data"
            )
    return model
