"""Estimators for scikit-learn: a regressor, and the terms of a separable model as features for another one.

Needs the extra `infinity[sklearn]`; the rest of Infinity does not.
"""

try:
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ImportError('infinity.sklearn needs scikit-learn: pip install "infinity[sklearn]"') from error

from .estimator import SmallTableWarning
from .features import SeparableFeatures
from .regressor import KHRONOSRegressor

__all__ = ["KHRONOSRegressor", "SeparableFeatures", "SmallTableWarning"]
