r"""The terms of a fitted separable model as features.

    x -> (a_1(x_1), .., a_D(x_D), prod_d f_d1(x_d), .., prod_d f_dM(x_d))

The additive terms and the modes of a `KHRONOS` that is fitted to a target: each is one column.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..fitting import Fitted
from ..models import AbstractSeparable
from ..models.products import product
from ..models.separable import local_values
from ..precision import double_precision
from ..shapes import rounded_up
from .estimator import AbstractKHRONOSEstimator

# Fewer rows than this are filled up to it.
_FEWEST_ROWS = 128


class Terms(eqx.Module):
    """The terms of a separable model at a point, `(O D + M,)` or, without the additive ones, `(M,)`.

    **Fields:** the `model`; whether the additive terms are among them.
    """

    model: AbstractSeparable
    additive: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, " K"]:
        """The terms at `x`, those of the first target first."""
        modes = product(self.model.features(x))
        if not self.additive or self.model.additive is None:
            return modes
        curves = self.model._windows(self.model.additive, local_values(self.model.bases, x))
        return jnp.concatenate([curves.T.ravel(), modes])


class SeparableFeatures(TransformerMixin, AbstractKHRONOSEstimator):
    r"""The terms of a `KHRONOS` that is fitted to the target, as features for a linear model.

        x -> (a_1(x_1), .., a_D(x_D), prod_d f_d1(x_d), .., prod_d f_dM(x_d))

    A mode is one feature, the product over the inputs, as the model is linear in it: a linear model of all terms contains the fitted model, whose
    coefficients are one, and may reweigh, drop or share them. The factors of a mode one by one would not do: a linear model cannot multiply them.

    **Arguments:** `additive`: whether the additive terms come first, one for each input that varies (and each target); the others as of `KHRONOSRegressor`.

    **Attributes:** `result_`, `model_`, `columns_`, `n_features_in_`, `feature_names_in_` as of `KHRONOSRegressor`. Terms are in units of the target's
    standard deviation. A table too small for products has one mode, which is zero.

    !!! example

        >>> import numpy as np
        >>> from sklearn.linear_model import Ridge
        >>> from sklearn.pipeline import make_pipeline
        >>> from infinity.sklearn import SeparableFeatures
        >>> x = np.random.default_rng(0).uniform(size=(60, 2))
        >>> y = np.exp(x[:, 0]) * np.sin(3 * x[:, 1])
        >>> pipeline = make_pipeline(SeparableFeatures(modes=1, elements=2), Ridge(1e-6)).fit(x, y)
        >>> pipeline.score(x, y) > 0.999
        True
        >>> pipeline[0].get_feature_names_out().tolist()
        ['additive_x0', 'additive_x1', 'mode0']
    """

    def __init__(
        self,
        *,
        modes: Any = None,
        elements: Any = None,
        degree: Any = 3,
        additive: Any = True,
        outside: Any = "clamp",
        tolerance: Any = None,
        random_state: Any = 0,
    ):
        self.modes = modes
        self.elements = elements
        self.degree = degree
        self.additive = additive
        self.outside = outside
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SeparableFeatures":
        """Fit the model whose terms are the features; arguments, result and errors as of `KHRONOSRegressor.fit`."""
        self._fit(X, y, sample_weight)
        return self

    def transform(self, X: Any) -> Any:
        """The terms at many points.

        **Arguments:** `X` of shape `(N, D)`.

        **Returns:** float64 of shape `(N, K)`, or what `set_output` asks for.

        **Raises:** `ValueError` as `KHRONOSRegressor.predict`.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        with double_precision():
            return self._terms(rows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the features: `additive_` with the input (and before it the target, if there are several), then `mode` with a number.

        **Arguments:** `input_features`: names of the D inputs, which must be those of the fit if that had names.

        **Returns:** an array of strings of shape `(K,)`.

        **Raises:** `ValueError` for other names.
        """
        check_is_fitted(self)
        return np.asarray(self._names(self._inputs(input_features)), object)

    def _inputs(self, given: Any) -> list[str]:
        known = getattr(self, "feature_names_in_", None)
        if given is None:
            return [f"x{d}" for d in range(self.n_features_in_)] if known is None else [str(name) for name in known]
        if known is not None and not np.array_equal(np.asarray(given, object), known):
            raise ValueError(
                "input_features is not equal to feature_names_in_; leave it out or pass the names of the fit"
            )
        if len(given) != self.n_features_in_:
            raise ValueError(
                f"input_features should have length equal to number of features ({self.n_features_in_}), got {len(given)}"
            )
        return [str(name) for name in given]

    def _names(self, inputs: list[str]) -> list[str]:
        model, targets = self.model_.inner, self.model_.targets
        prefixes = ["additive_"] if len(targets) == 1 else [f"additive_{target}_" for target in targets]
        curves = [prefix + inputs[d] for prefix in prefixes for d in self.columns_] if self.additive else []
        return curves + [f"mode{m}" for m in range(model.modes)]

    def _terms(self, rows: np.ndarray) -> np.ndarray:
        """The terms at many rows: within the box those of the model, outside as its policy says."""
        model = self.model_
        rows = np.asarray(model.checked(rows))  # warns or refuses
        D = len(model.names)
        names = self._names([f"x{d}" for d in range(self.n_features_in_)])
        # The box is applied here and the rows are filled up to one of few numbers, so that models of one shape share a compiled program.
        terms = Fitted(
            inner=Terms(model.inner, bool(self.additive)),
            lower=(0.0,) * D,
            upper=(1.0,) * D,
            scaled=True,
            shift=(0.0,) * len(names),
            scale=(1.0,) * len(names),
            names=tuple(f"x{d}" for d in range(D)),
            targets=tuple(f"term{k}" for k in range(len(names))),
            outside="linear" if model.outside in ("error", "warn") else model.outside,
            scalar=False,
        )
        lower, upper = np.asarray(model.lower), np.asarray(model.upper)
        filled = np.resize(rows, (rounded_up(max(len(rows), _FEWEST_ROWS)), D))
        return np.asarray(terms.predict((filled - lower) / (upper - lower)))[: len(rows)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
