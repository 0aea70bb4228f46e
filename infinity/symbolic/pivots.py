r"""Which variables a scaling law is divided by.

    y = prod_pivots x_i^{alpha_i} F(z),    z_j = x_j / prod_pivots x_i^{a_ij}

Any pivots that span the null space describe the same function, but not every F falls apart: of `T / (V - b) - a / V^2` divided by T and V it is the sum
`1 / (1 - p) - q`, divided by b and T it is none. A fit of one F is one of all: with the pivots of another choice set to one, `x_j = z_j` are
inputs at which F is known. Choices are ordered by how nearly their F is a sum, a product, or a function of differences.
"""

import numpy as np

from .candidates import Data
from .reduction import Reduction, translations
from .separation import splits
from .surrogate import Surrogate
from .tree import evaluate

# Choices that are looked at, the shortest exponents first.
LOOKED = 8
# A translation that misses this part of the slopes counts as a split of score one.
TRANSLATED = 0.05


def ordered(reduction: Reduction, surrogate: Surrogate, data: Data) -> list[tuple[float, Reduction]]:
    """The pivots of a reduction by how much structure its function shows with them, the most first; `surrogate` is that of the reduction as it is."""
    first = reduction.apply(data)
    found = []
    for place, choice in enumerate((reduction, *reduction.others[:LOOKED])):
        smaller = choice.apply(data)
        if smaller is None or first is None:
            continue
        smooth = surrogate if place == 0 else moved(reduction, choice, surrogate, first, smaller, len(data.columns))
        found.append((_structure(smaller, smooth), place, choice))
    return [(score, choice) for score, _, choice in sorted(found, key=lambda item: item[:2])]


def moved(
    reduction: Reduction, choice: Reduction, surrogate: Surrogate, first: Data, smaller: Data, D: int
) -> Surrogate:
    """The fit of a reduction of `D` variables, of the data `first`, as one of the same reduction with other pivots, of the data `smaller`."""

    def predict(z: np.ndarray) -> np.ndarray:
        x = np.ones((len(z), D))
        x[:, list(choice.kept)] = z
        columns = tuple(x.T)
        with np.errstate(all="ignore"):
            inner = [np.broadcast_to(evaluate(tree, columns, ()), len(z)) for tree in reduction.variables]
            return evaluate(reduction.prefactor, columns, ()) * surrogate.predict(np.stack(inner, axis=1))

    z = np.stack(smaller.columns, axis=1)
    weight = lambda part: 1.0 if part.weights is None else float(np.mean(part.weights))
    heldout = surrogate.heldout * weight(first) / weight(smaller)
    return Surrogate(predict, z.min(axis=0), z.max(axis=0), heldout)


def _structure(data: Data, surrogate: Surrogate) -> float:
    """About one or less where the function falls apart."""
    if len(data.columns) < 2:
        return 0.0
    points = surrogate.inner(np.stack(data.columns, axis=1)[:: max(1, len(data.y) // 300)])
    shifts = [shift.misfit / TRANSLATED for shift in translations(points, surrogate.gradient(points))]
    return min([split.score for split in splits(data, surrogate, 1)] + shifts, default=np.inf)
