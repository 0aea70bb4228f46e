"""From a table to a model: scaling, size, the streamed solve, and the result."""

from .fit import fit
from .fitted import Fitted, OutsideWarning
from .result import Result

__all__ = ["Fitted", "OutsideWarning", "Result", "fit"]
