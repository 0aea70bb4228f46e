"""Differential equations on separable models: forms as on paper, solved by their structure."""

from .expressions import Coordinate, Expression
from .notation import coordinates, function, test, trial
from .result import Solution
from .solve import solve
from .space import Space

__all__ = ["Coordinate", "Expression", "Solution", "Space", "coordinates", "function", "solve", "test", "trial"]
