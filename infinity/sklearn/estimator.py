r"""What the estimators share: checked arguments, the fit of a table, points for a compiled program, pickling.

    fit: (X, y, w) -> Table -> Result,    evaluate: X -> columns that vary -> rows filled up to one of few numbers -> values

Both compute in 64 bits.
"""

import abc
import dataclasses
import warnings
from typing import Any, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from ..fitting import Fitted, OutsideWarning, Result
from ..fitting.fitted import Outside
from ..fitting.result import metrics_of
from ..shapes import rounded_up
from .precision import double_precision, to_jax, to_numpy
from .solve import SmallTableWarning, solve
from .table import checked_weights, prepare

__all__ = ["AbstractKHRONOSEstimator", "SmallTableWarning"]

# Fewer rows than this are filled up to it, so that few programs are compiled.
_FEWEST_ROWS = 128


class AbstractKHRONOSEstimator(BaseEstimator, abc.ABC):
    """An estimator that fits a `KHRONOS` to a table.

    A subclass has the parameters `modes`, `elements`, `degree`, `outside`, `tolerance` and `random_state`.
    """

    modes: Any
    elements: Any
    degree: Any
    outside: Any
    tolerance: Any
    random_state: Any
    n_features_in_: int

    @property
    def model_(self) -> Fitted:
        """The fitted model in physical units, of the inputs that vary."""
        if "result_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return self.result_.model

    @abc.abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the estimator and return it."""

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Set `result_` and `columns_`."""
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, ensure_min_samples=2)
        y = np.asarray(y, np.float64)
        targets = y.reshape(len(y), -1)
        table = prepare(X, targets, checked_weights(sample_weight, len(X)))
        count = targets.shape[1]
        names = getattr(self, "feature_names_in_", [f"x{d}" for d in range(X.shape[1])])
        with double_precision():
            result = solve(
                table,
                modes=None if self.modes is None else int(self.modes),
                elements=None if self.elements is None else int(self.elements),
                degree=None if self.degree is None else int(self.degree),
                outside=self.outside,
                tolerance=None if self.tolerance is None else float(self.tolerance),
                seed=self._seed(),
                names=[str(names[d]) for d in table.columns],
                targets=["y"] if count == 1 else [f"y{o}" for o in range(count)],
                scalar=y.ndim == 1,
            )
            prediction, _ = _evaluate(result, X[:, table.columns])
        if not result.success:
            warnings.warn(result.message, ConvergenceWarning, stacklevel=3)
        self.columns_ = table.columns
        self.result_: Result = dataclasses.replace(
            result, metrics={"train": metrics_of(targets, prediction), "heldout": None}
        )

    def _values(self, model: Fitted, X: Any, return_std: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a model at the rows of `X`, and their standard deviations if asked for."""
        X = np.asarray(validate_data(self, X, reset=False, dtype=np.float64))[:, self.columns_]
        with double_precision():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", OutsideWarning)
                model.checked(X)
            for warning in caught:
                warnings.warn(warning.message, stacklevel=3)
            return _evaluate(dataclasses.replace(self.result_, model=model), X, return_std)

    def _seed(self) -> int:
        given = self.random_state
        return int(given) if isinstance(given, int | np.integer) else int(check_random_state(given).randint(2**31 - 1))

    def _check_parameters(self) -> None:
        whole = lambda value, least: (
            isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
        )
        for name, least in (("modes", 1), ("elements", 1), ("degree", 0)):
            value = getattr(self, name)
            if not whole(value, least) and value is not None:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least {least} or None")
        if self.outside not in get_args(Outside):
            raise ValueError(f"outside is {self.outside!r}; expected one of {', '.join(get_args(Outside))}")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance!r}; expected a positive number or None")

    def __getstate__(self) -> dict[str, Any]:
        given: Any = super().__getstate__()
        state: dict[str, Any] = dict(given)
        if "result_" in state:
            state["result_"] = to_numpy(state["result_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "result_": to_jax(state["result_"])} if "result_" in state else state)


def _evaluate(result: Result, x: np.ndarray, return_std: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Values, and standard deviations, of the model of a result.

    The box and the units are applied outside the compiled program and the rows are filled up to one of few numbers, so that models of equal shape share it.
    """
    lower, upper, shift, scale = (
        np.asarray(row) for row in (result.model.lower, result.model.upper, result.model.shift, result.model.scale)
    )
    scalar = result.model.scalar
    shift, scale = (shift[0], scale[0]) if scalar else (shift, scale)
    model = _on_unit_box(result.model)
    rows = rounded_up(max(len(x), _FEWEST_ROWS))
    filled = (np.concatenate([x, np.repeat(x[-1:], rows - len(x), axis=0)]) - lower) / (upper - lower)
    if not return_std:
        return shift + scale * np.asarray(model.predict(filled))[: len(x)], None
    unit = dataclasses.replace(result, model=model, noise=result.noise / scale)
    mean, deviation = unit.predict(filled, return_std=True)
    return shift + scale * np.asarray(mean)[: len(x)], scale * np.asarray(deviation)[: len(x)]


def _on_unit_box(model: Fitted) -> Fitted:
    """The model without box, units, names and those policies that look at all rows."""
    D, O = len(model.lower), len(model.shift)
    return Fitted(
        inner=model.inner,
        lower=(0.0,) * D,
        upper=(1.0,) * D,
        scaled=True,
        shift=(0.0,) * O,
        scale=(1.0,) * O,
        names=tuple(f"x{d}" for d in range(D)),
        targets=tuple(f"y{o}" for o in range(O)),
        outside="linear" if model.outside in ("error", "warn") else model.outside,
        scalar=model.scalar,
    )
