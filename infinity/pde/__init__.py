"""Differential equations on separable models: forms as on paper, solved by their structure."""

from .eigen import Modes, eigenvalues
from .expressions import Coordinate, Expression
from .geometry import Mapping
from .moving import Moved, move_nodes
from .notation import coordinates, function, test, trial
from .pointwise import Energy, Weak
from .result import Solution
from .solve import solve
from .space import Space

__all__ = [
    "Coordinate",
    "Energy",
    "Expression",
    "Mapping",
    "Modes",
    "Moved",
    "Solution",
    "Space",
    "Weak",
    "coordinates",
    "eigenvalues",
    "function",
    "move_nodes",
    "solve",
    "test",
    "trial",
]
