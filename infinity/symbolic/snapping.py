r"""Fitted constants as the exact numbers that they probably are.

A constant becomes an integer, a half, third, quarter or tenth where it lies within two standard errors of it *and* its error is so small that this
is no chance (below a
twentieth of the grid's spacing), and where the description of the data gets shorter when the others are refitted. The fitted value stays on record.
"""

from fractions import Fraction

import numpy as np

from .candidates import Candidate, Data, is_exact, polished
from .refine import refine
from .simplify import with_number

GRIDS = (1, 2, 3, 4, 10)
CHANCE = 0.05
Snapped = tuple[str, float, float]


def snapped(candidate: Candidate, data: Data) -> tuple[Candidate, tuple[Snapped, ...]]:
    """The candidate with constants made exact, one after another, and what each was."""
    record: list[Snapped] = []
    for _ in range(len(candidate.constants)):
        step = _step(candidate, data)
        if step is None:
            break
        candidate, note = step
        record.append(note)
    return candidate, tuple(record)


def _step(candidate: Candidate, data: Data) -> tuple[Candidate, Snapped] | None:
    found = refine(candidate.tree, candidate.constants, data.columns, data.y, data.weights, 1)
    if found is None:
        return None
    errors = np.sqrt(np.diag(found.covariance))
    exact = is_exact(candidate, data)
    order = np.argsort(errors / np.maximum(np.abs(candidate.constants), 1e-300))
    for k in order:
        value, error = float(candidate.constants[k]), float(errors[k])
        near = nearest(value, max(error, 1e-14 * abs(value)), exact)
        if near is None:
            continue
        better = polished(with_number(candidate.tree, int(k), near), candidate.constants, data, candidate.origin, 25)
        if better is not None and (better.score < candidate.score or (exact and is_exact(better, data))):
            return better, (str(near), value, error)
    return None


def nearest(value: float, error: float, exact: bool = False) -> Fraction | None:
    """The simple number that a value with a standard error is, `None` where nothing says so.

    >>> from infinity.symbolic.snapping import nearest
    >>> nearest(0.4998, 0.0003), nearest(0.4998, 0.2), nearest(0.4873, 0.0003)
    (Fraction(1, 2), None, None)
    """
    if not np.isfinite(error):
        return None
    for grid in GRIDS:
        near = Fraction(round(value * grid), grid)
        allowed = max(2 * error, 1e-9 * abs(value) if exact else 0.0)
        if near and abs(float(near) - value) <= allowed and error < CHANCE / grid and abs(near) < 1000:
            return near
    return None
