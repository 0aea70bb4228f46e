"""Models: Equinox modules that take one point and return one value."""

from .aion import AION
from .conversion import convert
from .evaluator import Evaluator
from .glued import Glued
from .hidenn import HiDeNN
from .inn import INN
from .khronos import KHRONOS
from .oblique import Oblique
from .rank import rank_floor
from .separable import AbstractSeparable

__all__ = [
    "AION",
    "INN",
    "KHRONOS",
    "AbstractSeparable",
    "Evaluator",
    "Glued",
    "HiDeNN",
    "Oblique",
    "convert",
    "rank_floor",
]
