"""What inputs give a wanted output: level sets, all roots, least and greatest values, calibration."""

from .calibration import Calibration, calibrate
from .level_set import LevelSet, level_set
from .minimise import Extremum, maximise, minimise
from .roots import Roots, roots

__all__ = [
    "Calibration",
    "Extremum",
    "LevelSet",
    "Roots",
    "calibrate",
    "level_set",
    "maximise",
    "minimise",
    "roots",
]
