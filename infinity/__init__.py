"""Infinity: differentiable models of physical systems that are solved rather than trained."""

from . import basis, closure, descent, fitting, io, models
from .closure import Certificate, certify
from .descent import InfiniteDescent, OpenModelWarning, PrecisionWarning
from .fitting import Fitted, OutsideWarning, Result, fit
from .io import load, save
from .models import KHRONOS

__version__ = "0.1.0"

__all__ = [
    "KHRONOS",
    "Certificate",
    "Fitted",
    "InfiniteDescent",
    "OpenModelWarning",
    "OutsideWarning",
    "PrecisionWarning",
    "Result",
    "basis",
    "certify",
    "closure",
    "descent",
    "fit",
    "fitting",
    "io",
    "load",
    "models",
    "save",
]
