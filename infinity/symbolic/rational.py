r"""Quotients of sparse polynomials: `T(y) = sum_i n_i p_i(x) / sum_j d_j p_j(x)` for a few outer functions `T`, here for `T(y) = y`.

    sum_i n_i p_i(x) - y sum_j d_j p_j(x) = 0,    weights 1 / (sum_j d_j p_j)^2

is linear in all coefficients at once: the smallest singular vector gives them, its largest denominator's coefficient is set to one, and terms that say nothing
are taken away. Degrees are tried from one on, for a true relation times any polynomial is another one of a higher degree; the quotient is refined on
the measurements themselves.
"""

import numpy as np

from .algebra import add, mul, over
from .atoms import Atoms, make_atoms
from .candidates import Candidate, Data, best_first, is_exact, polished
from .operators import Allowed, permits
from .simplify import simplified
from .sparse import OUTER, Outer, elimination
from .tree import Tree

DEGREES = (1, 2, 3)
# The outer functions T under which `T(y)` is looked for as a quotient.
TRIED = ("y", "log y", "y^2")
# Coefficients of one relation, and of a sparse one.
MOST, FEW = 84, 10


def find_rationals(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Search quotients; none where there are too few rows.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.rational import find_rationals
    >>> x = np.random.default_rng(0).uniform(1, 3, (2, 100))
    >>> find_rationals(Data(tuple(x), (x[0] + 2 * x[1]) / (3 + x[0] * x[1])))[0].mean_square < 1e-20
    True
    """
    found: list[Candidate] = []
    for T in OUTER:
        if T.name in TRIED and T.fits(data.y) and permits(allowed, T.inverse(("x", 0))):
            found = best_first([*found, *_under(data, T)], 4)
            if found and is_exact(found[0], data):
                break
    return best_first([*found, *(simplified(candidate, data, 3) for candidate in found[:1])])


def _under(data: Data, T: Outer) -> list[Candidate]:
    """Quotients that `T(y)` may be, as formulas of y."""
    D, N = len(data.columns), len(data.y)
    with np.errstate(all="ignore"):
        z, slope = T.forward(data.y), T.slope(data.y)
    weights = 1 / np.maximum(slope**2, 1e-12 * np.max(slope**2))
    weights = weights if data.weights is None else weights * data.weights
    found: list[Candidate] = []
    for degree in DEGREES:
        count = _polynomials(D, degree)
        if 2 * count > min(MOST, N // 3):
            break
        atoms = make_atoms(data.columns, "polynomial", count)
        for tree, values in quotients(z, weights, atoms):
            candidate = polished(T.inverse(tree), values, data, f"quotient, {T.name}")
            found += [] if candidate is None else [candidate]
        if any(is_exact(candidate, data) for candidate in found):
            break
    return found


def _polynomials(D: int, degree: int) -> int:
    count = 1
    for k in range(1, degree + 1):
        count = count * (D + k) // k
    return count


def quotients(y: np.ndarray, weights: np.ndarray, atoms: Atoms) -> list[tuple[Tree, list[float]]]:
    """Quotients of these atoms and their constants, the shortest descriptions first."""
    A, count = atoms.values, atoms.values.shape[1]
    size = np.max(np.abs(A), axis=0)
    scale = float(np.max(np.abs(y))) or 1.0
    columns = np.concatenate([A / size, -(y / scale)[:, None] * A / size], axis=1)
    root = np.sqrt(weights / np.max(weights))
    fixed, below, smooth = count, np.ones(len(root)), y / scale
    for _ in range(2):
        # The denominator of the first pass weighs the second: what is asked for is small errors of y.
        weighed = columns * (root / below)[:, None]
        vector = np.linalg.svd(weighed, full_matrices=False)[2][-1]
        fixed = count + int(np.argmax(np.abs(vector[count:])))
        denominator = (A / size) @ vector[count:]
        if np.min(denominator) <= 0 <= np.max(denominator):
            break
        below = np.abs(denominator) / np.max(np.abs(denominator))
        smooth = ((A / size) @ vector[:count]) / denominator
    # Noise of y in the columns would make terms that are there look small: all but the one that is fitted hold the smooth values.
    columns[:, count:] = -smooth[:, None] * A / size
    columns[:, fixed] = -(y / scale) * A[:, fixed - count] / size[fixed - count]
    weighed = columns * (root / below)[:, None]
    others = np.array([k for k in range(2 * count) if k != fixed])
    n = len(y)
    total = float(np.sum(weighed[:, fixed] ** 2)) or 1.0
    seen = sorted(
        (
            (n * np.log(max(left, 1e-26 * total)) + len(places) * (np.log(n) + 9.0), others[places], c)
            for left, places, c in elimination(weighed[:, others], -weighed[:, fixed], FEW)
        ),
        key=lambda item: item[0],
    )
    out = []
    for _, places, c in seen[:3]:
        above, under, values = [], [(atoms.trees[fixed - count])], []
        for place, value in zip(places.tolist(), c.tolist(), strict=True):
            k = place % count
            values.append(value * size[fixed - count] / size[k] * (scale if place < count else 1.0))
            (above if place < count else under).append(mul(("c", len(values) - 1), atoms.trees[k]))
        if above:
            out.append((over(add(*above), add(*under)), values))
    return out
