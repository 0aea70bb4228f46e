r"""Scaling laws from the measurements themselves: `y = a prod x^p g(b prod x^c + d) + e`, all exponents free at once.

Starts for `c` are the directions in which a quadratic of the logarithms bends most, and single variables, products and quotients of pairs; the program of
`infinity.symbolic.profiles` runs all of them over the whole library. The best ones are refined on all rows, and their exponents snapped.
"""

import dataclasses
import itertools
from collections.abc import Sequence
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
# How many inputs of both signs there may be: each one doubles the parities of argument and factor. What the logarithm of zero is taken of.
MOST_SIGNED = 1
_SMALLEST = 1e-30
_NEAR = 0.3
# Outer functions that laws of several variables have.
_NAMES = (
    "identity", "power -1", "power -2", "power 1/2", "power -1/2", "power 2", "log", "exp", "sin", "sin^2", "tanh", "bose", "fermi", "1/(1+z^2)", "asin",
    "gauss",
)  # fmt: skip


def find_scaled(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Search scaling laws; an input of both signs has whole powers; nothing where there are more than `MOST_SIGNED` of them.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.scaled import find_scaled
    >>> x = np.random.default_rng(0).uniform(1, 3, (3, 150))
    >>> best = find_scaled(Data(tuple(x), x[0] * np.exp(-2 * x[1] / x[2])))[0]
    >>> best.mean_square < 1e-20
    True
    """
    D = len(data.columns)
    signed = tuple(d for d, column in enumerate(data.columns) if np.min(column) <= 0)
    widths = [width for width in WIDTHS if width >= D]
    if D < 2 or len(signed) > min(MOST_SIGNED, D - 1) or not widths:
        return []
    width = widths[0]
    logs = np.log(np.maximum(np.abs(np.stack(data.columns, axis=1)), _SMALLEST))
    middle = logs.mean(axis=0)
    rows = np.random.default_rng(0).permutation(len(logs))[: 2 * ROWS]
    rows = np.resize(rows, 2 * ROWS)
    centred = np.zeros((len(rows), width))
    centred[:, :D] = (logs - middle)[rows]
    w = np.ones(len(data.y)) if data.weights is None else data.weights
    roots = np.sqrt(w[rows] / w[rows].mean())
    fits: list[tuple[float, Start, np.ndarray, _Parity]] = []
    for parity in _parities(signed):
        # Where the factor is odd, s y = a s x^p g + e s with the sign s has the form of the rest.
        inner, outer = (
            np.prod([np.sign(data.columns[d][rows]) for d in odd], axis=0) * np.ones(len(rows))
            for odd in (parity.inner, parity.outer)
        )
        linear = (outer * roots)[:, None] / np.sqrt(np.sum(roots**2))
        sample = Sample(centred, inner[None], np.zeros(len(rows)), linear, outer * data.y[rows], roots)
        starts = list(_starts(centred, D, sample.y, allowed, [d for d in signed if d not in parity.inner]))
        theta, left = search(sample, starts, _STEPS)
        fits += [(float(left[k]), starts[k], theta[k], parity) for k in np.argsort(left, kind="stable")]
    fits.sort(key=lambda fit: fit[0])
    found: list[Candidate] = []
    kinds: set[tuple] = set()
    for left, start, theta, parity in fits:
        kind = (start.shape, float(start.free[2 * width + 1]), parity)
        if not np.isfinite(left) or len(kinds) == REFINED:
            break
        if len(kinds) >= LEAST and left > HOPELESS * fits[0][0]:
            break  # what a fit of the sample misses by so much, it misses on all rows
        if kind not in kinds and parity.fits(theta[:D], theta[width : width + D]):
            kinds.add(kind)
            found += permitted(allowed, _refined(start, theta, parity, middle, width, data))
            if any(is_exact(candidate, data) and candidate.complexity <= SHORT for candidate in found):
                break
    found = best_first(found, 4)
    return permitted(allowed, best_first([*found, *(simplified(candidate, data, 6) for candidate in found[:3])]))


@dataclasses.dataclass(frozen=True)
class _Parity:
    """Which inputs have both signs, and which of these have an odd power in the argument and in the factor."""

    signed: tuple[int, ...]
    inner: tuple[int, ...]
    outer: tuple[int, ...]

    def whole(self, exponents: Float[np.ndarray, " D"], odd: tuple[int, ...]) -> Float[np.ndarray, " D"]:
        """The exponents, those of inputs of both signs rounded to the nearest odd or even number."""
        out = np.array(exponents)
        for d in self.signed:
            out[d] = 2 * np.round((out[d] - (d in odd)) / 2) + (d in odd)
        return out

    def fits(self, outer: Float[np.ndarray, " D"], inner: Float[np.ndarray, " D"]) -> bool:
        """Whether fitted exponents of inputs of both signs are near to numbers of their parity."""
        return bool(
            np.allclose(outer, self.whole(outer, self.outer), atol=_NEAR)
            and np.allclose(inner, self.whole(inner, self.inner), atol=_NEAR)
        )


def _parities(signed: tuple[int, ...]) -> list[_Parity]:
    """Which inputs have an odd power in the argument and in the factor: none or one in each."""
    odd = [(), *((d,) for d in signed)]
    return [_Parity(signed, inner, outer) for inner in odd for outer in odd]


def _starts(logs: Float[np.ndarray, "n width"], D: int, y: np.ndarray, allowed: Allowed, even: Sequence[int] = ()):
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
        # An even power of an input of both signs is a square at least.
        directions.append(np.eye(D)[i] * (2 if i in even else 1))
        directions += (
            [(np.eye(D)[i] - np.eye(D)[j]) * (2 if {i, j} & {*even} else 1) for j in range(i)] if D <= 4 else []
        )
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
    start: Start, theta: np.ndarray, parity: _Parity, middle: np.ndarray, width: int, data: Data
) -> list[Candidate]:
    """Candidates of one fit: the inner exponents rounded to wholes, halves or not at all, the outer ones refitted, then rounded as well."""
    D = len(data.columns)
    p, c = theta[:D], theta[width : width + D]
    outer_of = lambda exponents: parity.whole(exponents, parity.outer)
    out: list[Candidate | None] = []
    done: set[tuple] = set()
    for grain in (1, 2, 0):
        inner = parity.whole(np.round(c * grain) / grain if grain else c, parity.inner)
        if tuple(inner) in done or not np.any(inner):
            continue
        done.add(tuple(inner))
        # A rounded exponent changes the size of the argument, which the middle of the data keeps.
        b, d = float(theta[2 * width] * np.exp(-inner @ middle)), float(theta[2 * width + 1])
        law = _Law(start.shape, parity.signed, inner, bool(grain), b, d)
        free = law.fitted(outer_of(p), 0, data)
        if free is None:
            continue
        out.append(free[0])
        for outer_grain in (1, 2):
            rounded = law.fitted(outer_of(np.round(free[1] * outer_grain) / outer_grain), outer_grain, data)
            out.append(None if rounded is None else rounded[0])
        if not SHAPES[start.shape].homogeneous:
            plain = law.fitted(outer_of(np.round(p)), 1, data, shifted=False)
            out.append(None if plain is None else plain[0])
    return best_first(out, 3)


@dataclasses.dataclass(frozen=True)
class _Law:
    """`a prod x^p g(b prod x^c + d) + e` with given exponents c, exact or to be fitted; those of inputs of both signs are always exact."""

    shape: int
    signed: tuple[int, ...]
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
        raised = lambda e, k, fixed: (
            number(Fraction(e).limit_denominator(2)) if fixed or k % D in self.signed else ("c", k)
        )
        u = mul(*(power(("x", k), raised(e, k, self.exact)) for k, e in enumerate(self.inner.tolist())))
        front = mul(*(power(("x", k), raised(e, D + k, bool(grain))) for k, e in enumerate(p.tolist())))
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
