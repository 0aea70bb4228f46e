"""One-dimensional families of functions on a grid of cells."""

from .axis import Axis
from .base import AbstractBasis
from .bspline import BSpline
from .composed import Composed
from .hat import Hat
from .monotone import CoordinateMap
from .patch import Patch
from .piecewise import PiecewisePolynomial
from .quadrature import gauss_legendre

__all__ = [
    "AbstractBasis",
    "Axis",
    "BSpline",
    "Composed",
    "CoordinateMap",
    "Hat",
    "Patch",
    "PiecewisePolynomial",
    "gauss_legendre",
]
