r"""Logarithms of quotients with a factor that is not known: `y = k log(sum_i n_i p_i(x) / sum_j d_j p_j(x))`, potentials and entropies.

    exp(y/k) sum_j d_j p_j(x) - sum_i n_i p_i(x) = 0

is linear in all coefficients for a given `k`; what the quotient of the smallest singular vector misses of `y` is looked at for many `k`, and the best few
are followed to the least. Terms that say nothing are then taken away as in `infinity.symbolic.rational`, and all constants refined together.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from .algebra import apply, mul
from .atoms import Atoms, make_atoms
from .candidates import Candidate, Data, best_first, polished
from .operators import Allowed, permits
from .rational import quotients
from .simplify import simplified

# The range of y divided by k: where it is small the logarithm is no more than its argument, where it is large rows of small y say nothing.
SPREADS = np.geomspace(0.2, 12.0, 24)
FOLLOWED = 2
# Beyond so many k the exponential of a value is no number for a formula.
FAR = 25.0
NOTHING = 1e3
# Rows that `k` is looked for with.
ROWS = 200


def find_logarithms(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Search logarithms of quotients of first degree; none where there are too few rows for them.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.logarithms import find_logarithms
    >>> x = np.random.default_rng(0).uniform(1, 3, (2, 80))
    >>> find_logarithms(Data(tuple(x), 0.3 * np.log((x[0] + 2) / (x[1] + 5 * x[0]))))[0].mean_square < 1e-20
    True
    """
    D, N = len(data.columns), len(data.y)
    atoms = make_atoms(data.columns, "polynomial", D + 1)
    if 6 * (D + 1) > N or atoms.values.shape[1] < 2 or not permits(allowed, ("log", ("x", 0))):
        return []
    some = np.unique(np.linspace(0, N - 1, min(ROWS, N)).round().astype(int))
    spread, middle = float(np.ptp(data.y)), float(np.mean(data.y))
    missed = lambda g: _missed(float(np.exp(g)) / spread, middle, data, atoms, some)
    grid = np.log(SPREADS)
    values = np.array([missed(g) for g in grid])
    found: list[Candidate | None] = []
    for at in np.argsort(values, kind="stable")[:FOLLOWED]:
        if values[at] > spread:
            continue
        ends = (grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)])
        followed: Any = minimize_scalar(missed, bounds=ends, method="bounded", options={"xatol": 1e-7})
        k = spread / float(np.exp(followed.x))
        if np.max(np.abs(data.y)) > FAR * k:
            continue
        z = np.exp(data.y / k)
        weights = (k / z) ** 2 * (1.0 if data.weights is None else data.weights)
        for tree, constants in quotients(z, weights, atoms):
            whole = mul(("c", len(constants)), apply("log", tree))
            found.append(polished(whole, [*constants, k], data, "logarithm of a quotient"))
    best = best_first(found, 3)
    return best_first([*best, *(simplified(candidate, data, 3) for candidate in best[:1])])


def _missed(steepness: float, middle: float, data: Data, atoms: Atoms, some: np.ndarray) -> float:
    """The root mean square of what the best quotient for `k = 1 / steepness` misses of y; far more than y itself where the quotient is not positive."""
    y = data.y[some] - middle
    A = atoms.values[some] / np.max(np.abs(atoms.values), axis=0)
    z = np.exp(steepness * y)
    count, below = A.shape[1], 1 + z
    numerator = denominator = below
    for _ in range(2):
        vector = np.linalg.svd(np.concatenate([A, -z[:, None] * A], axis=1) / below[:, None], full_matrices=False)[2][
            -1
        ]
        numerator, denominator = A @ vector[:count], A @ vector[count:]
        with np.errstate(all="ignore"):
            quotient = numerator / denominator
        if not np.min(quotient) > 0:
            return NOTHING * float(np.ptp(y))
        below = z * np.abs(denominator) / np.max(np.abs(denominator))
    return float(np.sqrt(np.mean((np.log(numerator / denominator) / steepness - y) ** 2)))
