"""From data to a formula: expressions, the structure of a function, and the search for closed forms."""

from .discover import Discovery, discover
from .expression import Expression, Formula

__all__ = ["Discovery", "Expression", "Formula", "discover"]
