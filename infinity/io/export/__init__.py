"""Fitted models as code and data that need no Infinity: NumPy, C, SymPy, LaTeX, JSON."""

from .description import Axis, Description, describe
from .export import FORMATS, check_ours, export

__all__ = ["FORMATS", "Axis", "Description", "check_ours", "describe", "export"]
