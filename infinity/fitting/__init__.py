"""From a table to a model: scaling, size, the streamed solve, the result, and what it says about the inputs."""

from .comparison import Compared, Comparison, compare
from .effects import CategoryEffect, MainEffect, derivative, main_effect
from .exponential_checks import AliasWarning
from .fit import fit
from .fitted import Fitted, OutsideWarning
from .predictor import Predictor
from .result import Result
from .sampling import sample_next
from .sensitivity import Sobol, sobol

__all__ = [
    "AliasWarning",
    "CategoryEffect",
    "Compared",
    "Comparison",
    "Fitted",
    "MainEffect",
    "OutsideWarning",
    "Predictor",
    "Result",
    "Sobol",
    "compare",
    "derivative",
    "fit",
    "main_effect",
    "sample_next",
    "sobol",
]
