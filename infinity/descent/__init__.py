"""Direct solves of the first-order condition: the descent learns the structure of a problem from its certificate."""

from .ledger import Ledger
from .linear import Orthogonal
from .plan import Plan
from .solver import DescentState, InfiniteDescent, OpenModelWarning, PrecisionWarning

__all__ = ["DescentState", "InfiniteDescent", "Ledger", "OpenModelWarning", "Orthogonal", "Plan", "PrecisionWarning"]
