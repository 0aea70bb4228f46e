"""From data to a formula: expressions, the structure of a function, and the search for closed forms."""

from .discover import Discovery, discover
from .expression import Expression, Formula
from .separability import Separability, separability

__all__ = ["Discovery", "Expression", "Formula", "Separability", "discover", "separability"]
