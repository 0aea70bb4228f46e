r"""Scaling laws from the measurements themselves: `y = a prod x^p g(b prod x^c + d) + e`, all exponents free at once.

Starts for `c` are the directions in which a quadratic of the logarithms bends most, and single variables, products and quotients of pairs; the program of
`infinity.symbolic.profiles` runs all of them over the whole library. The best ones are refined on all rows, and their exponents snapped.
"""

import itertools

import numpy as np
from jaxtyping import Float

from .algebra import ONE, add, mul, power
from .candidates import Candidate, Data, best_first, polished
from .profiles import ROWS, Sample, Start, search
from .shapes import SHAPES
from .simplify import nearest_fractions, simplified
from .tree import Tree, number

# The program is compiled for these numbers of variables.
WIDTHS = (2, 4, 6, 9)
REFINED = 8
_STEPS = 25
# Outer functions that laws of several variables have.
_NAMES = (
    "identity", "power -1", "power -2", "power 1/2", "power -1/2", "power 2", "log", "exp", "sin", "sin^2", "tanh", "bose", "fermi", "1/(1+z^2)", "asin", "gauss",
)  # fmt: skip


def find_scaled(data: Data) -> list[Candidate]:
    """Search scaling laws; nothing where no two variables are positive.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.scaled import find_scaled
    >>> x = np.random.default_rng(0).uniform(1, 3, (3, 150))
    >>> best = find_scaled(Data(tuple(x), x[0] * np.exp(-2 * x[1] / x[2])))[0]
    >>> best.mean_square < 1e-20
    True
    """
    positive = [d for d, column in enumerate(data.columns) if np.min(column) > 0]
    widths = [width for width in WIDTHS if width >= len(positive)]
    if len(positive) < 2 or len(positive) < len(data.columns) or not widths:
        return []
    D, width = len(positive), widths[0]
    logs = np.log(np.stack([data.columns[d] for d in positive], axis=1))
    middle = logs.mean(axis=0)
    rows = np.random.default_rng(0).permutation(len(logs))[: 2 * ROWS]
    rows = np.resize(rows, 2 * ROWS)
    centred = np.zeros((len(rows), width))
    centred[:, :D] = (logs - middle)[rows]
    w = np.ones(len(data.y)) if data.weights is None else data.weights
    roots = np.sqrt(w[rows] / w[rows].mean())
    one = roots[:, None] / np.linalg.norm(roots)
    sample = Sample(centred, np.ones((1, len(rows))), np.zeros(len(rows)), one, data.y[rows], roots)
    starts = list(_starts(centred, D, data.y[rows]))
    theta, left = search(sample, starts, _STEPS)
    found: list[Candidate] = []
    kinds: dict[int, int] = {}
    for at in np.argsort(left, kind="stable"):
        shape = starts[at].shape
        if not np.isfinite(left[at]) or sum(kinds.values()) == REFINED:
            break
        if kinds.get(shape, 0) < 2:
            kinds[shape] = kinds.get(shape, 0) + 1
            found.extend(_refined(starts[at], theta[at], positive, middle, width, data))
    found = best_first(found, 4)
    return best_first([*found, *(simplified(candidate, data, 6) for candidate in found[:3])])


def _starts(logs: Float[np.ndarray, "n width"], D: int, y: np.ndarray):
    width = logs.shape[1]
    L = logs[:, :D]
    squares = np.stack([L[:, i] * L[:, j] for i, j in itertools.combinations_with_replacement(range(D), 2)], axis=1)
    z = np.log(np.abs(y) + 1e-300) if np.min(y) > 0 or np.max(y) < 0 else y / np.std(y)
    A = np.concatenate([np.ones((len(L), 1)), L, squares], axis=1)
    c = np.linalg.lstsq(A, z, rcond=1e-8)[0]
    hessian = np.zeros((D, D))
    for (i, j), value in zip(itertools.combinations_with_replacement(range(D), 2), c[1 + D :], strict=True):
        hessian[i, j] += value
        hessian[j, i] += value
    values, vectors = np.linalg.eigh(hessian)
    slopes = c[1 : 1 + D] if np.min(y) > 0 or np.max(y) < 0 else np.zeros(D)
    directions = []
    for k in np.argsort(-np.abs(values))[:2]:
        v = vectors[:, k] / np.max(np.abs(vectors[:, k]))
        directions += [v, 2 * v, -v]
    for i in range(D):
        directions.append(np.eye(D)[i])
        directions += [np.eye(D)[i] - np.eye(D)[j] for j in range(i)] if D <= 4 else []
    for at, shape in enumerate(SHAPES):
        if shape.name not in _NAMES:
            continue
        for direction in directions:
            top = float(np.max(np.exp(L @ direction)))
            for b, d in shape.starts[: 12 if shape.name.startswith("sin") else 6]:
                for p in (np.zeros(D), slopes):
                    theta = np.zeros(2 * width + 3)
                    theta[:D], theta[width : width + D] = p, direction
                    theta[2 * width], theta[2 * width + 1] = b / top, d
                    free = np.zeros(2 * width + 3)
                    free[:D] = free[width : width + D] = 1.0
                    free[2 * width] = 1.0
                    free[2 * width + 1] = 0.0 if shape.homogeneous else 1.0
                    yield Start(at, 0, 0, theta, free)


def _refined(
    start: Start, theta: np.ndarray, positive: list[int], middle: np.ndarray, width: int, data: Data
) -> list[Candidate]:
    """Candidates of one fit: with its exponents all snapped, and with those of the inner product snapped only."""
    D = len(positive)
    p, c = theta[:D], theta[width : width + D]
    out: list[Candidate | None] = []
    for near in (0.15, 0.3):
        inner, values = _monomial(c, positive, [], near)
        outer, values = _monomial(p, positive, values, near)
        k = len(values)
        homogeneous = SHAPES[start.shape].homogeneous
        b = float(theta[2 * width] * np.exp(-c @ middle))
        z = add(mul(("c", k), inner), ONE if homogeneous else ("c", k + 1))
        values += [b, float(theta[2 * width + 1])]
        tree = add(mul(("c", k + 2), outer, SHAPES[start.shape].tree(z)), ("c", k + 3))
        for amplitude in (1.0, -1.0):
            a = amplitude * float(np.std(data.y) * np.exp(-p @ middle))
            out.append(polished(tree, [*values, a, 0.0], data, "scaling law", 40))
    return best_first(out, 2)


def _monomial(exponents: np.ndarray, positive: list[int], values: list[float], near: float) -> tuple[Tree, list[float]]:
    parts: list[Tree] = []
    for d, exponent in zip(positive, exponents.tolist(), strict=True):
        close = [f for f in nearest_fractions(exponent, 1) if abs(float(f) - exponent) < near]
        if close:
            parts.append(power(("x", d), number(close[0])))
        else:
            values = [*values, exponent]
            parts.append(("pow", ("x", d), ("c", len(values) - 1)))
    return mul(*parts) if parts else ONE, values
