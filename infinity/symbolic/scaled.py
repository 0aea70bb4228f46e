r"""Scaling laws from the measurements themselves: `y = a prod x^p g(b prod x^c + d) + e`, all exponents free at once.

Starts for `c` are the directions in which a quadratic of the logarithms bends most, and single variables, products and quotients of pairs; the program of
`infinity.symbolic.profiles` runs all of them over the whole library. The best ones are refined on all rows, and their exponents snapped.
"""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from .algebra import ONE, ZERO, add, mul, power
from .candidates import Candidate, Data, best_first, is_exact, polished
from .operators import Allowed, permits, permitted
from .profiles import ROWS, Sample, Start, search
from .refine import refine
from .shapes import SHAPES, Shape
from .simplify import simplified
from .tree import evaluate, number

# The program is compiled for these numbers of variables.
WIDTHS = (2, 4, 6, 9)
REFINED = 18
# At least so many are refined; beyond them only those that leave no more than so many times what the best one leaves; nothing after a short exact law.
LEAST, HOPELESS, SHORT = 5, 30.0, 40
_STEPS = 32
# Outer functions that laws of several variables have.
_NAMES = (
    "identity", "power -1", "power -2", "power 1/2", "power -1/2", "power 2", "log", "exp", "sin", "sin^2", "tanh", "bose", "fermi", "1/(1+z^2)", "asin",
    "gauss",
)  # fmt: skip


def find_scaled(data: Data, allowed: Allowed = None) -> list[Candidate]:
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
    starts = list(_starts(centred, D, data.y[rows], allowed))
    theta, left = search(sample, starts, _STEPS)
    found: list[Candidate] = []
    kinds: dict[tuple[int, float], int] = {}
    least = float(np.min(left))
    for at in np.argsort(left, kind="stable"):
        shape = (starts[at].shape, float(starts[at].free[2 * width + 1]))
        if not np.isfinite(left[at]) or sum(kinds.values()) == REFINED:
            break
        if len(kinds) >= LEAST and left[at] > HOPELESS * least:
            break  # what a fit of the sample misses by so much, it misses on all rows
        if kinds.get(shape, 0) < 1:
            kinds[shape] = 1
            found += permitted(allowed, _refined(starts[at], theta[at], positive, middle, width, data))
            if any(is_exact(candidate, data) and candidate.complexity <= SHORT for candidate in found):
                break
    found = best_first(found, 4)
    return permitted(allowed, best_first([*found, *(simplified(candidate, data, 6) for candidate in found[:3])]))


def _starts(logs: Float[np.ndarray, "n width"], D: int, y: np.ndarray, allowed: Allowed):
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
        if shape.name not in _NAMES or not permits(allowed, shape.tree(("x", 0))):
            continue
        for direction in directions:
            top = float(np.max(np.exp(L @ direction)))
            for b, d in shape.starts[: 12 if shape.name.startswith("sin") else 6]:
                for p, shifted in itertools.product((np.zeros(D), slopes), _shifts(shape, d)):
                    theta = np.zeros(2 * width + 3)
                    theta[:D], theta[width : width + D] = p, direction
                    theta[2 * width], theta[2 * width + 1] = b / top, d
                    free = np.zeros(2 * width + 3)
                    free[:D] = free[width : width + D] = 1.0
                    free[2 * width] = 1.0
                    free[2 * width + 1] = shifted
                    yield Start(at, 0, 0, theta, free)


def _shifts(shape: Shape, d: float) -> tuple[float, ...]:
    """Whether the shift moves: not where it says nothing new, and where it starts at zero both ways."""
    if shape.homogeneous or shape.name == "exp":
        return (0.0,)
    return (0.0, 1.0) if d == 0 else (1.0,)


def _refined(
    start: Start, theta: np.ndarray, positive: list[int], middle: np.ndarray, width: int, data: Data
) -> list[Candidate]:
    """Candidates of one fit: the inner exponents rounded to wholes, halves or not at all, the outer ones refitted, then rounded as well."""
    D = len(positive)
    p, c = theta[:D], theta[width : width + D]
    out: list[Candidate | None] = []
    done: set[tuple] = set()
    for grain in (1, 2, 0):
        inner = np.round(c * grain) / grain if grain else c
        if tuple(inner) in done or not np.any(inner):
            continue
        done.add(tuple(inner))
        # A rounded exponent changes the size of the argument, which the middle of the data keeps.
        b, d = float(theta[2 * width] * np.exp(-inner @ middle)), float(theta[2 * width + 1])
        law = _Law(start.shape, positive, inner, bool(grain), b, d)
        free = law.fitted(p, 0, data)
        if free is None:
            continue
        out.append(free[0])
        for outer_grain in (1, 2):
            rounded = law.fitted(np.round(free[1] * outer_grain) / outer_grain, outer_grain, data)
            out.append(None if rounded is None else rounded[0])
        if not SHAPES[start.shape].homogeneous:
            plain = law.fitted(np.round(p), 1, data, shifted=False)
            out.append(None if plain is None else plain[0])
    return best_first(out, 3)


@dataclasses.dataclass(frozen=True)
class _Law:
    """`a prod x^p g(b prod x^c + d) + e` with given exponents c, exact or to be fitted."""

    shape: int
    positive: list[int]
    inner: Float[np.ndarray, " D"]
    exact: bool
    b: float
    d: float

    def fitted(
        self, p: Float[np.ndarray, " D"], grain: int, data: Data, shifted: bool = True
    ) -> tuple[Candidate, np.ndarray] | None:
        """The candidate with outer exponents p, constants if `grain` is zero, and the exponents that were fitted; d only if `shifted`."""
        shape, D = SHAPES[self.shape], len(p)
        values = [*self.inner.tolist(), *p.tolist(), self.b, self.d, 1.0, 0.0]
        raised = lambda e, k, fixed: number(Fraction(e).limit_denominator(2)) if fixed else ("c", k)
        u = mul(
            *(
                power(("x", x), raised(e, k, self.exact))
                for k, (x, e) in enumerate(zip(self.positive, self.inner.tolist(), strict=True))
            )
        )
        front = mul(
            *(
                power(("x", x), raised(e, D + k, bool(grain)))
                for k, (x, e) in enumerate(zip(self.positive, p.tolist(), strict=True))
            )
        )
        z = add(mul(("c", 2 * D), u), ONE if shape.homogeneous else ("c", 2 * D + 1) if shifted else ZERO)
        tree = add(mul(("c", 2 * D + 2), front, shape.tree(z)), ("c", 2 * D + 3))
        with np.errstate(all="ignore"):
            F = np.asarray(evaluate(tree, data.columns, values), float) * np.ones(len(data.y))
        if not np.all(np.isfinite(F)):
            return None
        root = np.ones(len(F)) if data.weights is None else np.sqrt(data.weights)
        scale = float(np.max(np.abs(F))) or 1.0
        a, e = np.linalg.lstsq(
            np.stack([F / scale, np.ones_like(F)], axis=1) * root[:, None], data.y * root, rcond=1e-12
        )[0]
        values[-2:] = [float(a) / scale, float(e)]
        found = refine(tree, values, data.columns, data.y, data.weights, 30)
        if found is None or not np.all(np.isfinite(found.constants)):
            return None
        candidate = polished(tree, found.constants, data, "scaling law", 5)
        return None if candidate is None else (candidate, found.constants[D : 2 * D])
