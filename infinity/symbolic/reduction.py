r"""Fewer variables: directions in which a function does not change, or changes by a power.

    translation   sum_i b_i u_i = 0                  ->  y = F(differences and sums of variables)
    scaling       sum_i a_i x_i u_i = alpha u        ->  y = prod x^p F(products of powers)

Both are null vectors of a matrix of the surrogate's derivatives at many points, brought to reduced row echelon form and snapped to simple fractions: for
pivots i and free variables j, `z_j = x_j / prod_i x_i^{a_ij}` and the prefactor is `prod_i x_i^{alpha_i}`. A reduction is a proposal; whether the data
follow it is for a fit in the new variables to say.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from .algebra import ONE, add, minus, mul, power
from .candidates import Data
from .surrogate import Surrogate
from .tree import Tree, evaluate, number

# Fractions of exponents that are tried, and how far a null vector may lie from them.
_SIMPLE = tuple(sorted({Fraction(n, d) for d in (1, 2, 3) for n in range(-9, 10) if abs(n / d) <= 4}))
_NEAR = 0.12
# Choices of pivots that are looked at.
_MOST_PIVOTS = 60


@dataclasses.dataclass(frozen=True)
class Reduction:
    """New variables as trees of the old ones, the prefactor, and what it is called.

    `kept` says of which old variable each new one is a multiple; `others` are the same reduction with other pivots.
    """

    kind: str
    variables: tuple[Tree, ...]
    prefactor: Tree
    misfit: float
    kept: tuple[int, ...] = ()
    others: "tuple[Reduction, ...]" = ()

    def apply(self, data: Data) -> Data | None:
        """The data in the new variables, divided by the prefactor and weighted by its square; `None` where that cannot be."""
        with np.errstate(all="ignore"):
            columns = tuple(
                np.broadcast_to(evaluate(tree, data.columns, ()), data.y.shape).astype(float) for tree in self.variables
            )
            front = np.broadcast_to(np.asarray(evaluate(self.prefactor, data.columns, ()), float), data.y.shape)
            y = data.y / front
        if not all(np.all(np.isfinite(part)) for part in (*columns, y, front)):
            return None
        weights = np.ones_like(y) if data.weights is None else data.weights
        plain = self.prefactor == ONE and data.weights is None
        return Data(columns, y, None if plain else weights * front**2)


def mirrored(data: Data) -> Reduction | None:
    """The inputs that are negative everywhere with the other sign, so that they have powers and logarithms; `None` where there are none."""
    negative = [bool(np.max(column) < 0) for column in data.columns]
    if not any(negative):
        return None
    signed = tuple(minus(("x", d)) if is_negative else ("x", d) for d, is_negative in enumerate(negative))
    return Reduction("other sign", signed, ONE, 0.0)


def reductions(data: Data, surrogate: Surrogate) -> Iterator[Reduction]:
    """Proposals, those that take away most first."""
    x = np.stack(data.columns, axis=1)
    points = surrogate.inner(x[:: max(1, len(x) // 300)])
    u = surrogate.predict(points)
    du = surrogate.gradient(points)
    yield from _scalings(points, u, du)
    yield from translations(points, du)


def _scalings(points: np.ndarray, u: np.ndarray, du: np.ndarray) -> Iterator[Reduction]:
    D = points.shape[1]
    positive = [d for d in range(D) if np.min(points[:, d]) > 0]
    if not positive:
        return
    # Inputs of any sign may be divided by powers of the positive ones, not the other way round.
    order = [*positive, *(d for d in range(D) if d not in positive)]
    rows = np.concatenate([points[:, order] * du[:, order], -u[:, None]], axis=1)
    seen: set[tuple] = set()
    for vectors, misfit in null_spaces(rows, D, len(positive)):
        key = tuple(vectors.ravel().tolist())
        if key in seen:
            continue
        seen.add(key)
        first, *others = (
            _scaling(rows, pivots, order, misfit)
            for rows, pivots in pivotings(vectors, pivots_of(vectors), len(positive))
        )
        yield dataclasses.replace(first, others=tuple(others))


def _scaling(vectors: np.ndarray, pivots: list[int], order: list[int], misfit: float) -> Reduction:
    D = len(order)
    kept = tuple(d for d in range(D) if order.index(d) not in pivots)
    variables, front = [], ONE
    for d in kept:
        powers = (power(("x", order[i]), number(-row[order.index(d)])) for i, row in zip(pivots, vectors, strict=True))
        variables.append(mul(("x", d), *powers))
    for i, row in zip(pivots, vectors, strict=True):
        front = mul(front, power(("x", order[i]), number(row[-1])))
    return Reduction("scaling", tuple(variables), front, misfit, kept)


def pivotings(vectors: np.ndarray, pivots: list[int], columns: int) -> Iterator[tuple[np.ndarray, list[int]]]:
    """The same null space, of fractions, with other pivots among the first `columns`: as it is given, then those of the shortest exponents."""
    yield vectors, pivots
    found = []
    for some in itertools.islice(itertools.combinations(range(columns), len(vectors)), _MOST_PIVOTS):
        if list(some) == sorted(pivots):
            continue
        rows = _pivoted(vectors, some)
        if rows is not None:
            price = sum(abs(value) * value.denominator for value in rows.ravel())
            found.append((price, some, rows))
    for _, some, rows in sorted(found, key=lambda item: item[:2]):
        yield rows, list(some)


def _pivoted(vectors: np.ndarray, pivots: tuple[int, ...]) -> np.ndarray | None:
    """Row operations in fractions, `None` where these columns cannot be pivots."""
    rows = vectors.copy()
    for k, pivot in enumerate(pivots):
        place = next((i for i in range(k, len(rows)) if rows[i, pivot] != 0), None)
        if place is None:
            return None
        rows[[k, place]] = rows[[place, k]]
        rows[k] = rows[k] / rows[k, pivot]
        for i in range(len(rows)):
            if i != k:
                rows[i] = rows[i] - rows[i, pivot] * rows[k]
    return rows


def null_spaces(
    rows: Float[np.ndarray, "n E"], variables: int, pivots: int | None = None
) -> Iterator[tuple[np.ndarray, float]]:
    """Snapped null spaces in reduced row echelon form, the largest first; pivots are among the first `pivots` columns, or any of the `variables`."""
    pivots = variables if pivots is None else pivots
    scale = np.sqrt(np.mean(rows**2, axis=0)) + 1e-300
    _, s, V = np.linalg.svd(rows / scale / np.sqrt(len(rows)), full_matrices=True)
    s = np.concatenate([s, np.zeros(max(0, V.shape[0] - len(s)))])
    for count in range(min(pivots, len(s) - 1), 0, -1):
        if s[-count] > 0.25:
            continue
        null = V[-count:] / scale
        echelon = _echelon(null, pivots)
        snapped = _snapped(echelon) if np.all(np.isfinite(echelon)) else None
        if snapped is None:
            continue
        left = rows @ snapped.astype(float).T
        size = np.sqrt(np.sum((rows[:, None, :] * snapped.astype(float)[None]) ** 2, axis=(0, 2)))
        misfit = float(np.max(np.sqrt(np.sum(left**2, axis=0)) / size))
        if misfit < 0.2:
            yield snapped, misfit


def _echelon(null: np.ndarray, variables: int) -> np.ndarray:
    """Reduced row echelon form, each pivot the largest entry that is left; the last column, of the prefactor, is never one."""
    rows = null.copy()
    used: list[int] = []
    for k in range(len(rows)):
        entries = np.abs(rows[k:, :variables])
        entries[:, used] = -1.0
        best, pivot = np.unravel_index(int(np.argmax(entries)), entries.shape)
        rows[[k, k + best]] = rows[[k + best, k]]
        if abs(rows[k, pivot]) < 1e-9 * np.max(np.abs(rows[k])):
            return np.full_like(rows, np.nan)
        rows[k] /= rows[k, pivot]
        for i in range(len(rows)):
            if i != k:
                rows[i] -= rows[i, pivot] * rows[k]
        used.append(int(pivot))
    return rows


def pivots_of(vectors: np.ndarray) -> list[int]:
    """For each row the column in which it is one and all others are zero."""
    ones = lambda k, d: vectors[k, d] == 1 and all(vectors[i, d] == 0 for i in range(len(vectors)) if i != k)
    return [next(d for d in range(vectors.shape[1] - 1) if ones(k, d)) for k in range(len(vectors))]


def _snapped(rows: np.ndarray) -> np.ndarray | None:
    """The rows with simple fractions as entries, `None` if one lies far from all of them."""
    out = np.empty(rows.shape, dtype=object)
    for place, value in np.ndenumerate(rows):
        near = min(_SIMPLE, key=lambda f: abs(float(f) - value) + 0.02 * f.denominator)
        if abs(float(near) - value) > _NEAR:
            return None
        out[place] = near
    return out


def translations(points: np.ndarray, du: np.ndarray) -> Iterator[Reduction]:
    """Differences and sums of two inputs by which a function with these slopes seems to change alone, at most two."""
    D = points.shape[1]
    found = []
    size = np.sqrt(np.mean(du**2, axis=0)) + 1e-300
    for i in range(D):
        for j in range(i + 1, D):
            for sign in (1, -1):
                misfit = float(np.sqrt(np.mean((du[:, i] + sign * du[:, j]) ** 2)) / np.hypot(size[i], size[j]))
                if misfit < 0.2:
                    found.append((misfit, i, j, sign))
    for misfit, i, j, sign in sorted(found)[:2]:
        joined = add(("x", j), mul(number(-sign), ("x", i)))
        kept: list[Tree] = [("x", d) for d in range(D) if d not in (i, j)]
        yield Reduction("translation", (joined, *kept), ONE, misfit)
