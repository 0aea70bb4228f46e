"""The samples of a signal, checked, in rising order and without repetitions, on an interval of length one around zero."""

import dataclasses

import numpy as np
from jaxtyping import Float

# Steps that differ by less than this share of one are equal steps for a start.
_JITTER = 1e-2
# The typical distance is believed to be so much smaller than the mean, if the search over frequencies is not too long.
_FINER = 64
_SEARCHED = 2**24


@dataclasses.dataclass(frozen=True)
class Samples:
    """A signal as it is solved for.

    **Fields:** `t` `(N,)`, rising, in `[-1/2, 1/2]`; `y` `(N,)`; `s` `(N,)`, the roots of the weights; `centre` and `span` such that the given time is
    `centre + span t`; `step`, the distance of equally spaced samples in units of `t`, or nothing.
    """

    t: Float[np.ndarray, " N"]
    y: Float[np.ndarray, " N"]
    s: Float[np.ndarray, " N"]
    centre: float
    span: float
    step: float | None

    @property
    def count(self) -> float:
        """The number of measurements, repeated ones included."""
        return float(np.sum(self.s**2))

    @property
    def spacing(self) -> float:
        """The typical distance of neighbouring samples, in units of `t`: the median, so that a gap in the record hides no frequency."""
        mean = 1.0 / (len(self.t) - 1)
        finest = mean / np.clip(_SEARCHED / len(self.t) ** 2, 1, _FINER)
        return float(max(np.median(np.diff(self.t)), finest))

    @property
    def finest(self) -> float:
        """The largest frequency that the spacing resolves, in units of `1/t`: half a turn a sample."""
        return np.pi / (self.spacing if self.step is None else self.step)


def samples_of(time: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Samples:
    """Sort the samples and merge those at equal times into their weighted mean, which changes no least-squares solution.

    **Arguments:** `time` and `y` `(N,)`, finite; `weights` `(N,)`, non-negative, one by default.

    **Raises:** `ValueError` for fewer than two distinct times, and for a signal that is zero everywhere.
    """
    weights = np.ones(len(time)) if weights is None else weights
    distinct, place = np.unique(time[weights > 0], return_inverse=True)
    if len(distinct) < 2:
        raise ValueError(f"the signal has {len(distinct)} distinct time(s); expected at least 4")
    w = np.bincount(place, weights[weights > 0])
    mean = np.bincount(place, (weights * y)[weights > 0]) / w
    if not np.any(mean):
        raise ValueError("the signal is zero at every time; there is nothing to describe. Is it the right column?")
    centre, span = 0.5 * float(distinct[0] + distinct[-1]), float(distinct[-1] - distinct[0])
    t = (distinct - centre) / span
    gaps = np.diff(t)
    mean_gap = 1 / len(gaps)
    step = mean_gap if np.max(np.abs(gaps - mean_gap)) <= _JITTER * mean_gap else None
    return Samples(t, mean, np.sqrt(w), centre, span, step)
