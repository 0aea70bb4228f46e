"""From data to a formula: expressions, the structure of a function, and the search for closed forms."""

from .discover import Discovery, discover
from .dynamics import Dynamics, discover_dynamics
from .expression import Expression, Formula
from .separability import Separability, separability

__all__ = [
    "Discovery",
    "Dynamics",
    "Expression",
    "Formula",
    "Separability",
    "discover",
    "discover_dynamics",
    "separability",
]
