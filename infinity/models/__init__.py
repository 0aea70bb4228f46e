"""Models: Equinox modules that take one point and return one value."""

from .aion import AION
from .evaluator import Evaluator
from .khronos import KHRONOS
from .separable import AbstractSeparable

__all__ = ["AION", "KHRONOS", "AbstractSeparable", "Evaluator"]
