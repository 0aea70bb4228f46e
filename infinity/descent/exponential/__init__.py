"""Direct solves of sums and products of exponential-trigonometric atoms: the start is found from the samples, not given."""

from .batch import solve_batch
from .lattice import Start, Starts, lattice_starts
from .order import criterion, floor
from .product import Factors, Polished, polish
from .samples import Samples, samples_of
from .signal import Attempt, SignalFit, solve_signal

__all__ = [
    "Attempt",
    "Factors",
    "Polished",
    "Samples",
    "SignalFit",
    "Start",
    "Starts",
    "criterion",
    "floor",
    "lattice_starts",
    "polish",
    "samples_of",
    "solve_batch",
    "solve_signal",
]
