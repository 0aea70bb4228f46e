"""Infinity: differentiable models of physical systems that are solved rather than trained."""

from . import basis, closure, descent, models
from .closure import Certificate, certify
from .descent import InfiniteDescent
from .models import KHRONOS

__version__ = "0.1.0"

__all__ = ["KHRONOS", "Certificate", "InfiniteDescent", "basis", "certify", "closure", "descent", "models"]
