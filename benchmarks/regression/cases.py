"""What the methods of `over_time.py` are given and give back."""

import time
from typing import Any, NamedTuple

import numpy as np

# Seconds and the error at that time.
Curve = list[tuple[float, float]]


def processor_seconds() -> float:
    """Seconds of processor time, to which other work on the machine adds nothing; on one core those of a clock otherwise."""
    return time.process_time()


class Case(NamedTuple):
    """Inputs on the unit box and standardised targets, `(N, D)` and `(N,)` or `(N, O)`, to learn from and to be judged by.

    **Fields:** samples, new points, a seed.
    """

    x: np.ndarray
    y: np.ndarray
    xt: np.ndarray
    yt: np.ndarray
    seed: int

    def error(self, prediction: Any) -> float:
        """The root mean squared error on the new points over the spread of their targets."""
        return float(np.sqrt(np.mean((np.asarray(prediction).reshape(self.yt.shape) - self.yt) ** 2)) / self.yt.std())
