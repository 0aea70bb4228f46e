"""What the estimators share: checked arguments, the fit of a table in 64 bits, pickling: `fit: (X, y, w) -> Table -> Result`."""

import abc
import dataclasses
import warnings
from typing import Any, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from ..fitting import Fitted, Result
from ..fitting.fitted import Outside
from ..fitting.links import bounded, checked_bounds
from ..fitting.result import metrics_of
from ..precision import double_precision
from .precision import to_jax, to_numpy
from .solve import SmallTableWarning, solve
from .table import checked_weights, prepare

__all__ = ["AbstractKHRONOSEstimator", "SmallTableWarning"]


class AbstractKHRONOSEstimator(BaseEstimator, abc.ABC):
    """An estimator that fits a `KHRONOS` to a table.

    A subclass has the parameters `modes`, `elements`, `degree`, `outside`, `tolerance` and `random_state`, and may have `bounds`.
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
        called = ["y"] if count == 1 else [f"y{o}" for o in range(count)]
        link = bounded("identity", checked_bounds(getattr(self, "bounds", None), targets, tuple(called)))
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
                targets=called,
                scalar=y.ndim == 1,
                link=link,
            )
            prediction = dataclasses.replace(result.predictor, model=result.model._quiet()).predict(X[:, table.columns])
        if not result.success:
            warnings.warn(result.message, ConvergenceWarning, stacklevel=3)
        self.columns_ = table.columns
        self.result_: Result = dataclasses.replace(
            result, metrics={"train": metrics_of(targets, np.asarray(prediction)), "heldout": None}
        )

    def _rows(self, X: Any) -> np.ndarray:
        """The inputs that the model has, checked as scikit-learn does."""
        return np.asarray(validate_data(self, X, reset=False, dtype=np.float64))[:, self.columns_]

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
