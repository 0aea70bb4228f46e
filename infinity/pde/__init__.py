"""Differential equations on separable models: forms as on paper, solved by their structure."""

from .eigen import Modes, eigenvalues
from .expressions import Coordinate, Expression
from .geometry import Mapping
from .moving import Moved, move_nodes
from .notation import coordinates, function, test, trial
from .pointwise import Energy, Weak
from .result import Solution
from .slabs import March, march
from .solve import solve
from .space import Space

__all__ = [
    "Coordinate",
    "Energy",
    "Expression",
    "Mapping",
    "March",
    "Modes",
    "Moved",
    "Solution",
    "Space",
    "Weak",
    "coordinates",
    "eigenvalues",
    "function",
    "march",
    "move_nodes",
    "solve",
    "test",
    "trial",
]
