r"""Functions that fall apart: `y = f(A) + g(B)` or `y = f(A) g(B)` for two groups of variables.

    u(a_k, b_l) - u(a_k, .) - u(., b_l) + u(., .) = 0        additive
    u(a_k, b_l) = f_k g_l, a matrix of rank one              multiplicative

The matrices are values of the surrogate at all pairs of some `a_k` and some `b_l`; what is left of them after the best sum or product, divided by
what the surrogate
itself misses, is the score. The part of A is then looked for in the measurements, with the surrogate only telling what B adds or multiplies:
`y_n - u(a_n, b_n) + u(a_n, b_0)`, and once its formula is known, it is taken out of the measurements exactly.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from .candidates import Data
from .surrogate import Surrogate

PAIRS = 40
# A split is proposed where the part that does not split is below so many times what the surrogate misses, or this part of the deviation.
TOLERANCE, LEAST = 2.5, 1e-3


@dataclasses.dataclass(frozen=True)
class Split:
    """Two groups of variables, whether they multiply, and the score: about one or less for a true split."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    product: bool
    score: float


def splits(data: Data, surrogate: Surrogate, most: int = 3) -> list[Split]:
    """The splits that the surrogate proposes, the best first."""
    x = surrogate.inner(np.stack(data.columns, axis=1))
    D = x.shape[1]
    rng = np.random.default_rng(0)
    some, others = rng.permutation(len(x))[:PAIRS], rng.permutation(len(x))[:PAIRS]
    missed = max(np.sqrt(surrogate.heldout), LEAST * np.sqrt(data.variance))
    found: list[Split] = []
    for first in _halves(D):
        second = tuple(d for d in range(D) if d not in first)
        points = np.repeat(x[others][None], len(some), axis=0)
        points[:, :, list(first)] = x[some][:, None, list(first)]
        U = surrogate.predict(points.reshape(-1, D)).reshape(len(some), len(others))
        added = U - U.mean(axis=0) - U.mean(axis=1, keepdims=True) + U.mean()
        s = np.linalg.svd(U, compute_uv=False)
        left = {False: float(np.sqrt(np.mean(added**2))), True: float(np.sqrt(np.sum(s[1:] ** 2) / U.size))}
        for product, value in left.items():
            if value < TOLERANCE * missed:
                found.append(Split(first, second, product, value / missed))
    return sorted(found, key=lambda split: (split.score > 1.0, -min(len(split.first), len(split.second)), split.score))[
        :most
    ]


def _halves(D: int) -> Iterator[tuple[int, ...]]:
    """All divisions into two groups of up to seven variables, single variables of more."""
    sizes = range(1, D // 2 + 1) if D <= 7 else (1,)
    for size in sizes:
        for group in itertools.combinations(range(D), size):
            if 2 * size < D or 0 in group:
                yield group


def part_of(data: Data, surrogate: Surrogate, split: Split) -> Data | None:
    """The data of the first group, with the surrogate telling what the second one does."""
    x = np.stack(data.columns, axis=1)
    fixed = x.copy()
    u = surrogate.predict(x)
    weights = np.ones(len(u)) if data.weights is None else data.weights
    if not split.product:
        fixed[:, list(split.second)] = np.median(x[:, list(split.second)], axis=0)
        return Data(tuple(x[:, d] for d in split.first), data.y - u + surrogate.predict(fixed), data.weights)
    # The reference point should be one where the product is large.
    best = np.argsort(-np.abs(u))[len(u) // 10]
    fixed[:, list(split.second)] = x[best, list(split.second)]
    v = surrogate.predict(fixed)
    with np.errstate(all="ignore"):
        ratio = u / v
    good = np.isfinite(ratio) & (np.abs(ratio) > 1e-6) & (np.abs(ratio) < 1e6)
    if good.mean() < 0.9:
        return None
    ratio = np.where(good, ratio, 1.0)
    return Data(tuple(x[:, d] for d in split.first), data.y / ratio, weights * ratio**2 * good)


def rest_of(data: Data, split: Split, known: np.ndarray) -> Data | None:
    """The data of the second group once the values of the first part are known."""
    columns = tuple(data.columns[d] for d in split.second)
    if not split.product:
        return Data(columns, data.y - known, data.weights)
    weights = np.ones(len(known)) if data.weights is None else data.weights
    size = np.max(np.abs(known))
    good = np.abs(known) > 1e-9 * size
    if not np.all(np.isfinite(known)) or size == 0:
        return None
    safe = np.where(good, known, 1.0)
    return Data(columns, np.where(good, data.y / safe, 0.0), weights * np.where(good, known, 0.0) ** 2)
