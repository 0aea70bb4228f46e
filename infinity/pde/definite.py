r"""Whether an operator is seen to be symmetric and positive, from the matrices of its directions alone."""

import numpy as np

from .kronecker import Kronecker
from .once import each


def is_positive(operator: Kronecker) -> bool:
    """Whether an operator is seen to be symmetric and positive.

    Every matrix is semidefinite, or each term acts in one direction and the smallest eigenvalues add up to more than zero.
    """
    ends = [pairs for pairs in each(operator.banks, _ends) if pairs is not None]
    if len(ends) < len(operator.banks):
        return False
    near_zero = lambda pair: pair[0] > -1e-10 * max(abs(pair[0]), abs(pair[1]))
    if all(number > 0 and all(near_zero(ends[d][i]) for d, i in enumerate(index)) for number, index in operator.terms):
        return True
    smallest = 0.0
    for number, index in operator.terms:
        pairs = [ends[d][i] for d, i in enumerate(index)]
        active = [pair for pair in pairs if pair[1] - pair[0] > 1e-12 * np.max(np.abs(pair))]
        rest = number * float(np.prod([pair[0] for pair in pairs if pair[1] - pair[0] <= 1e-12 * np.max(np.abs(pair))]))
        if len(active) > 1:
            return False
        smallest += min((active[0] * rest).tolist()) if active else rest
    return smallest > 0


def _ends(bank: tuple[np.ndarray, ...]) -> list[np.ndarray] | None:
    """The smallest and the largest eigenvalue of each matrix, or nothing where one is not symmetric."""
    if not all(np.max(np.abs(m - m.T)) <= 1e-11 * np.max(np.abs(m)) for m in bank):
        return None
    return [np.linalg.eigvalsh(m)[[0, -1]] for m in bank]
