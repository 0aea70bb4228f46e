"""From data to a formula: expressions, the structure of a function, and the search for closed forms."""

from .discover import Discovery, discover
from .dynamics import Dynamics, discover_dynamics
from .expression import Expression, Formula
from .separability import Separability, separability
from .surfaces import Surface, discover_surface

__all__ = [
    "Discovery",
    "Dynamics",
    "Expression",
    "Formula",
    "Separability",
    "Surface",
    "discover",
    "discover_dynamics",
    "discover_surface",
    "separability",
]
