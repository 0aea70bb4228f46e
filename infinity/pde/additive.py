r"""The best sum of functions of one coordinate each, in one linear system.

    u = sum_d f_d(x_d),      blocks   dd: sum_t A_td prod_{e != d} <1, A_te 1>,     de: sum_t (A_td 1)(A_te 1)^T prod of the others

Where the space holds the constants this is where alternating solves begin: random starts stall.
"""

from collections.abc import Sequence

import numpy as np

from .kronecker import Factors, Kronecker


def additive(operator: Kronecker, load: Factors, ones: Sequence[np.ndarray | None]) -> Factors | None:
    """The best sum of functions of one coordinate each, where the space holds the constants; the constant is shared out evenly."""
    directions = len(operator.banks)
    unit = [o / np.linalg.norm(o) for o in ones if o is not None]
    if directions < 3 or len(unit) < directions:
        return None
    images = [[m @ one for m in bank] for bank, one in zip(operator.banks, unit, strict=True)]
    values = np.array([[unit[d] @ images[d][i] for d, i in enumerate(index)] for _, index in operator.terms])
    sizes = np.array(operator.shape)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    system = np.zeros((ends[-1], ends[-1]))
    for t, (number, index) in enumerate(operator.terms):
        for d in range(directions):
            rest = number * np.prod(np.delete(values[t], d))
            if rest:
                system[ends[d] : ends[d + 1], ends[d] : ends[d + 1]] += rest * operator.banks[d][index[d]]
            for e in range(d):
                rest = number * np.prod(np.delete(values[t], [e, d]))
                if rest:
                    block = rest * np.outer(images[d][index[d]], images[e][index[e]])
                    system[ends[d] : ends[d + 1], ends[e] : ends[e + 1]] += block
                    system[ends[e] : ends[e + 1], ends[d] : ends[d + 1]] += block.T
    shares = [one @ f for one, f in zip(unit, load, strict=True)]
    right = np.concatenate(
        [load[d] @ np.prod([s for e, s in enumerate(shares) if e != d], axis=0) for d in range(directions)]
    )
    found = np.linalg.lstsq(system, right, rcond=1e-14)[0]
    factors = []
    for d in range(directions):
        columns = np.repeat(unit[d][:, None], directions, axis=1)
        columns[:, d] = found[ends[d] : ends[d + 1]]
        factors.append(columns)
    return factors
