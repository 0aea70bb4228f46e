"""Direct solves of the first-order condition: the descent learns the structure of a problem from its certificate."""

from .ledger import Ledger
from .linear import Orthogonal
from .plan import Plan
from .resummation import Line, Lowest, resum
from .solver import DescentState, InfiniteDescent, OpenModelWarning, PrecisionWarning
from .tower import Tower, tower
from .transform import TransformState, infinite_descent

__all__ = [
    "DescentState",
    "InfiniteDescent",
    "Ledger",
    "Line",
    "Lowest",
    "OpenModelWarning",
    "Orthogonal",
    "Plan",
    "PrecisionWarning",
    "Tower",
    "TransformState",
    "infinite_descent",
    "resum",
    "tower",
]
