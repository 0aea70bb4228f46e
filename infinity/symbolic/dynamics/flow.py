r"""From each sample to the next: the flow of the equations, all intervals side by side, with its sensitivities.

    phi_i = z(t_{i+1}; z(t_i) = Z_i),    d phi_i / d Z_i = Phi_i,    d phi_i / d xi_k = G_ik
    d/dt [z, Phi, G] = [f, J Phi, J G + df/dxi],    J = df/dz

by Dormand and Prince's method of order eight. Short intervals never meet the butterfly effect, whatever the system.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.integrate import DOP853

from .terms import Library

_STAGES = DOP853.n_stages
_A, _B, _C = (np.asarray(part)[:_STAGES] for part in (DOP853.A, DOP853.B, DOP853.C))
# Intervals that are integrated together, so that memory does not grow with the number of samples.
CHUNK = 1500


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Lengths `(n,)` of intervals, and the controls on each as cubics of the time since its start, `(4, n, C)`, the highest power first."""

    length: Float[np.ndarray, " n"]
    controls: Float[np.ndarray, "4 n C"] | None = None

    def inputs(self, z: np.ndarray, rows: slice, part: float) -> np.ndarray:
        """States, and controls after a part of each interval."""
        if self.controls is None:
            return z
        since = part * self.length[rows, None]
        value = np.zeros_like(self.controls[0, rows])
        for power in self.controls[:, rows]:
            value = value * since + power
        return np.concatenate([z, value], axis=1)


def flow(
    library: Library,
    coefficients: Float[np.ndarray, "P S"],
    Z: Float[np.ndarray, "n S"],
    intervals: Intervals,
    places: tuple[np.ndarray, np.ndarray] | None = None,
    steps: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrate every interval.

    **Arguments:** the library and the coefficients; the states at the left ends; the intervals; `places`, the rows and columns `(K,)` of those coefficients
    whose sensitivities are wanted, or nothing for values alone; how many `steps` an interval takes.

    **Returns:** `phi (n, S)`, `Phi (n, S, S)`, `G (n, S, K)`, the last two empty if no places are given.
    """
    parts = [
        _flow(library, coefficients, Z[k : k + CHUNK], intervals, slice(k, k + CHUNK), places, steps)
        for k in range(0, len(Z), CHUNK)
    ]
    whole = np.concatenate(parts)
    S = Z.shape[1]
    return whole[:, :, 0], whole[:, :, 1 : S + 1], whole[:, :, S + 1 :]


def _flow(library, coefficients, Z, intervals, rows, places, steps) -> np.ndarray:
    n, S = Z.shape
    width = 1 if places is None else 1 + S + len(places[0])
    state = np.zeros((n, S, width))
    state[:, :, 0] = Z
    if places is not None:
        state[:, :, 1 : S + 1] = np.eye(S)
    h = (intervals.length[rows] / steps)[:, None, None]

    def speed(y: np.ndarray, part: float) -> np.ndarray:
        columns = intervals.inputs(y[:, :, 0], rows, part)
        theta = library.values(columns)
        out = np.empty_like(y)
        out[:, :, 0] = theta @ coefficients
        if places is not None:
            np.matmul(library.jacobian(columns, coefficients), y[:, :, 1:], out=out[:, :, 1:])
            p, s = places
            out[:, s, np.arange(S + 1, width)] += theta[:, p]
        return out

    with np.errstate(all="ignore"):
        for step in range(steps):
            slopes = np.empty((_STAGES, n, S, width))
            for k in range(_STAGES):
                moved = state + h * np.tensordot(_A[k, :k], slopes[:k], 1) if k else state
                slopes[k] = speed(moved, (step + _C[k]) / steps)
            state = state + h * np.tensordot(_B, slopes, 1)
    return state


def enough_steps(
    library: Library,
    coefficients: np.ndarray,
    Z: np.ndarray,
    intervals: Intervals,
    tolerance: np.ndarray,
    most: int = 8,
) -> int:
    """How many steps an interval needs so that doubling them changes no state by more than its tolerance `(S,)`."""
    steps, before = 1, flow(library, coefficients, Z, intervals)[0]
    while steps < most:
        after = flow(library, coefficients, Z, intervals, steps=2 * steps)[0]
        change = np.max(np.abs(after - before) / tolerance)
        if change <= 1 or not np.isfinite(change):
            return steps
        steps, before = 2 * steps, after
    return steps
