r"""Fisher scoring: a likelihood maximised by steps through its information, within bounds.

    p <- clip(p - (A + l diag A)^-1 g),    g the slope of -log L,    A its information

A comes with the likelihood and is never negative. The damping l falls where A foretells what a step gives and grows where a step makes things worse (Levenberg
and Marquardt's way). A parameter at a bound that the slope holds it against takes no part in a step.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# A step that gains less than this of the logarithm of the likelihood is the last.
LEAST_GAIN = 0.02
# No parameter moves by more in a step.
LONGEST = 1.5
MOST_DAMPING = 1e8


class Scored(NamedTuple):
    """The negative logarithm of a likelihood somewhere, and what makes its slope `(P,)` and its information `(P, P)`."""

    value: float
    slope: Callable[[], Float[np.ndarray, " P"]]
    information: Callable[[], Float[np.ndarray, "P P"]]


def likeliest(
    goal: Callable[[Float[np.ndarray, " P"]], Scored],
    start: Float[np.ndarray, " P"],
    bounds: Float[np.ndarray, "P 2"],
    most: int,
) -> tuple[float, Float[np.ndarray, " P"]]:
    """The least value found and where it is.

    **Arguments:** the goal, infinite where it has no value; a start within the bounds; the bounds, lower and upper; how often the goal is asked at most.

    >>> import numpy as np
    >>> from infinity.fitting.scoring import Scored, likeliest
    >>> goal = lambda p: Scored(float(np.sum((p - 2) ** 2)), lambda: 2 * (p - 2), lambda: 2 * np.eye(2))
    >>> likeliest(goal, np.zeros(2), np.array([[0.0, 1.0], [0.0, 9.0]]), 50)[1].round(1).tolist()
    [1.0, 2.0]
    """
    lower, upper = bounds.T
    p, now, damping, slope, A = start, goal(start), 1.0, None, None
    for _ in range(most - 1):
        if not np.isfinite(now.value):
            break
        if slope is None or A is None:
            slope, A = now.slope(), now.information()
        step = np.zeros_like(p)
        free = ~(((p <= lower) & (slope > 0)) | ((p >= upper) & (slope < 0)))
        step[free] = _damped(A[np.ix_(free, free)], slope[free], damping)
        there = np.clip(p + np.clip(step, -LONGEST, LONGEST), lower, upper)
        step = there - p
        foretold = -(slope @ step + 0.5 * step @ A @ step)
        new = goal(there)
        gain = now.value - new.value
        if gain > 0:
            damping = max(damping * (0.2 if gain > 0.7 * foretold else 0.5 if gain > 0.3 * foretold else 2.0), 1e-6)
            p, now, slope = there, new, None
            if gain < LEAST_GAIN:
                break
        else:
            damping *= 5
            if damping > MOST_DAMPING or not np.any(step):
                break
    return now.value, p


def _damped(A: np.ndarray, slope: np.ndarray, damping: float) -> np.ndarray:
    diagonal = np.diagonal(A)
    ridge = damping * diagonal + 1e-6 * (1 + np.max(diagonal, initial=0.0))
    return -np.linalg.lstsq(A + np.diag(ridge), slope, rcond=None)[0]
