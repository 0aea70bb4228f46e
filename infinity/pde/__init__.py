"""Differential equations on separable models: forms as on paper, solved by their structure."""

from .eigen import Modes, eigenvalues
from .expressions import Coordinate, Expression
from .geometry import Mapping
from .grading import graded
from .moving import Moved, move_nodes
from .notation import coordinates, function, test, trial
from .patch_result import PatchSolution
from .patches import Patches
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
    "PatchSolution",
    "Patches",
    "Solution",
    "Space",
    "Weak",
    "coordinates",
    "eigenvalues",
    "function",
    "graded",
    "march",
    "move_nodes",
    "solve",
    "test",
    "trial",
]
