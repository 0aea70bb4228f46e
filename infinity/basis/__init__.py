"""One-dimensional families of functions on a grid of cells."""

from .base import AbstractBasis
from .bspline import BSpline
from .piecewise import PiecewisePolynomial
from .quadrature import gauss_legendre

__all__ = ["AbstractBasis", "BSpline", "PiecewisePolynomial", "gauss_legendre"]
