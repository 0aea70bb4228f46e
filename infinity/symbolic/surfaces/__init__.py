"""Surfaces that points lie on: formulas that are constant on all of them."""

from .discover import discover_surface
from .result import Surface

__all__ = ["Surface", "discover_surface"]
