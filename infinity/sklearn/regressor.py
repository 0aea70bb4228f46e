r"""`inf.fit` as a scikit-learn regressor.

    y = c + sum_d a_d(x_d) + sum_m prod_d f_dm(x_d)

The sum of a constant, a curve in each input and products of curves, fitted by direct solves.
"""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..precision import double_precision
from .estimator import AbstractKHRONOSEstimator


class KHRONOSRegressor(RegressorMixin, AbstractKHRONOSEstimator):
    r"""A sum of products of splines, one in each input, solved for directly, with its smoothness chosen by the evidence.

        y = c + sum_d a_d(x_d) + sum_m prod_d f_dm(x_d)

    All rows are fitted; nothing is held out. Fitting and predicting compute in 64 bits, whatever `jax_enable_x64` says, and leave that setting as it is.

    **Arguments:**

    - `modes`, `elements`: products M, and cells of the splines; `None` chooses what the table can carry.
    - `degree`: of the splines; with all three left out, they are selected, as by `inf.fit`.
    - `outside`: what is predicted outside the box of the training data: `"clamp"`, the value at the nearest point of the box; `"linear"`, linear
      continuation; `"warn"`, the same with a warning; `"nan"`; `"error"`.
    - `bounds`: `(lower, upper)` of the target, each a number, one number a target, or `None`; no prediction leaves them.
    - `tolerance`: relative change of the loss at which the iteration ends; `None` is 1e-2.
    - `random_state`: a seed, a `RandomState` or `None`: which samples come first, and the start.

    **Attributes:**

    - `result_`: the `Result` of the fit, with `metrics["train"]` on the table that was given, and with `sobol`, `save` and so on.
    - `model_`: its model in physical units. Called outside the estimator it computes in the precision that JAX is set to.
    - `columns_`: the inputs that vary, in which the model is; constant ones are left out and not looked at again.
    - `n_features_in_`, `feature_names_in_`.

    A constant target gives a constant model. A table with too few measurements for the model that was asked for gets the model that it can carry, and one
    with too few for any product a linear model with a penalty; both warn with `SmallTableWarning`, and `result_.options` says what was fitted. A solve that
    does not reach its tolerance warns with scikit-learn's `ConvergenceWarning`.

    !!! example

        >>> import numpy as np
        >>> from infinity.sklearn import KHRONOSRegressor
        >>> x = np.random.default_rng(0).uniform(size=(60, 2))
        >>> y = np.exp(x[:, 0]) * np.sin(3 * x[:, 1])
        >>> regressor = KHRONOSRegressor(modes=1, elements=2).fit(x, y)
        >>> regressor.score(x, y) > 0.999
        True
        >>> mean, std = regressor.predict(x[:5], return_std=True)
        >>> mean.shape, mean.dtype.name, std.shape
        ((5,), 'float64', (5,))
    """

    def __init__(
        self,
        *,
        modes: Any = None,
        elements: Any = None,
        degree: Any = None,
        outside: Any = "clamp",
        bounds: Any = None,
        tolerance: Any = None,
        random_state: Any = 0,
    ):
        self.modes = modes
        self.elements = elements
        self.degree = degree
        self.outside = outside
        self.bounds = bounds
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "KHRONOSRegressor":
        """Fit the model.

        **Arguments:** inputs `X` `(N, D)`; targets `y` `(N,)` or `(N, O)`; `sample_weight` `(N,)`, non-negative: a weight of two counts as two measurements,
        so relative weights should have the mean one.

        **Returns:** itself.

        **Raises:** `ValueError` for tables that scikit-learn refuses, bad arguments, and weights that sum to less than two.
        """
        self._fit(X, y, sample_weight)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Values at many points.

        **Arguments:** `X` of shape `(N, D)`; `return_std`: also the standard deviation of a new measurement.

        **Returns:** float64 of shape `(N,)` or `(N, O)`, as the target had; with `return_std` a pair of these.

        **Raises:** `ValueError` for a wrong shape, numbers that are not finite and, with `outside="error"`, points outside the box.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        with double_precision():
            found = self.result_.predict(rows, return_std)
        return tuple(np.asarray(part) for part in found) if return_std else np.asarray(found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
