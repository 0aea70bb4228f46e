"""Models: Equinox modules that take one point and return one value."""

from .evaluator import Evaluator
from .khronos import KHRONOS
from .separable import AbstractSeparable

__all__ = ["KHRONOS", "AbstractSeparable", "Evaluator"]
