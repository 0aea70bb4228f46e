r"""Polynomials in Bernstein form: their coefficients bound them, and count their roots.

    p(t) = sum_k b_k C(n, k) t^k (1 - t)^{n-k}  on [0, 1],    min b <= p <= max b,    b_0 = p(0), b_n = p(1)

The number of sign changes of `b` exceeds the number of roots in (0, 1) by an even number: none means no root, one means exactly one (Descartes' rule in
Bernstein form). Halving an interval halves the distance between polynomial and coefficients twice.

Source: Farouki, Computer Aided Geometric Design 29 (2012) 379.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.polynomial.polynomial import polymul, polypow

from ..basis.chebyshev import chebyshev_points, to_powers

_DEEPEST = 60


@functools.lru_cache(maxsize=32)
def from_powers(degree: int) -> Float[np.ndarray, "n n"]:
    """The matrix that takes powers of `v = 2 t - 1` to Bernstein coefficients.

    >>> from infinity.inverse.bernstein import from_powers
    >>> (from_powers(2) @ [0.0, 0.0, 1.0]).tolist()  # v^2
    [1.0, -1.0, 1.0]
    """
    # v^k = (t - (1 - t))^k (t + (1 - t))^(n - k): whole numbers over binomial coefficients.
    whole = [polymul(polypow([-1, 1], k), polypow([1, 1], degree - k)) for k in range(degree + 1)]
    return np.stack(whole, axis=1) / [[math.comb(degree, i)] for i in range(degree + 1)]


@functools.lru_cache(maxsize=32)
def from_values(degree: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"], float]:
    """Points of [0, 1], the matrix from the values of a polynomial there to its Bernstein coefficients, and by how much it enlarges errors at most.

    >>> from infinity.inverse.bernstein import from_values
    >>> points, matrix, _ = from_values(2)
    >>> bool(abs(matrix @ points**2 - [0, 0, 1]).max() < 1e-14)  # t^2
    True
    """
    matrix = from_powers(degree) @ to_powers(degree + 1)
    return (1 + chebyshev_points(degree + 1)) / 2, matrix, float(np.abs(matrix).sum(axis=1).max())


@functools.lru_cache(maxsize=32)
def halves(degree: int) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """The matrices that take Bernstein coefficients to those of the left and of the right half: de Casteljau's, exact in binary."""
    left = np.array(
        [[math.comb(k, i) / 2.0**k if i <= k else 0.0 for i in range(degree + 1)] for k in range(degree + 1)]
    )
    return left, left[::-1, ::-1].copy()


class Line(NamedTuple):
    """Roots of many polynomials: `which` one each is of, its place `t`, whether it is a `multiple` one, and which polynomials are `vanishing` altogether."""

    which: Int[np.ndarray, " k"]
    t: Float[np.ndarray, " k"]
    multiple: Bool[np.ndarray, " k"]
    vanishing: Int[np.ndarray, " v"]


def sign_changes(b: Float[np.ndarray, "K n"], zero: Float[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    """Changes of sign along each row, numbers up to `zero` left out."""
    sign = np.where(np.abs(b) <= zero[:, None], 0, np.sign(b))
    last = np.zeros(len(b))
    changes = np.zeros(len(b), int)
    for column in sign.T:
        changes += (column != 0) & (last != 0) & (column != last)
        last = np.where(column == 0, last, column)
    return changes


def roots_of(b: Float[np.ndarray, "K n"], zero: Float[np.ndarray, " K"]) -> Line:
    """All roots in [0, 1] of polynomials in Bernstein form, `(K, n)`; values up to `zero` `(K,)` count as none.

    >>> import numpy as np
    >>> from infinity.inverse.bernstein import roots_of
    >>> roots_of(np.array([[-1.0, -1.0, 1.0], [1.0, 1.0, 2.0]]), np.zeros(2)).t.round(6).tolist()  # 2 t^2 - 1, and 1 + t^2
    [0.707107]
    """
    whole, which, low, width = b, np.arange(len(b)), np.zeros(len(b)), np.ones(len(b))
    b = b.copy()
    found = [(np.zeros(0, int), np.zeros(0), np.zeros(0, bool))]
    flat = np.all(np.abs(b) <= zero[:, None], axis=1)
    vanishing = np.flatnonzero(flat)
    b, which, low, width = b[~flat], which[~flat], low[~flat], width[~flat]
    left, right = halves(b.shape[1] - 1)
    size = np.abs(whole).max(axis=1)
    for depth in range(_DEEPEST):
        if not len(b):
            break
        small = zero[which]
        for end, beside, at in ((0, 1, low), (-1, -2, low + width)):
            hit = np.abs(b[:, end]) <= small
            # Near a double root the values are rounding, and so is the slope compared with the root of it.
            slope = np.abs(b[:, beside] - b[:, end]) / width if b.shape[1] > 1 else np.ones(len(b))
            found.append((which[hit], at[hit], (slope <= 4 * np.sqrt(small * size[which]))[hit]))
        flat = np.all(np.abs(b) <= small[:, None], axis=1) | (depth == _DEEPEST - 1)
        found.append((which[flat], (low + width / 2)[flat], np.ones(flat.sum(), bool)))
        changes = sign_changes(b, small)
        one = (changes == 1) & ~flat
        at = _refined(whole[which[one]], low[one], width[one])
        found.append((which[one], at, np.zeros(len(at), bool)))
        more = (changes > 1) & ~flat
        b, which, low, width = b[more], which[more], low[more], width[more] / 2
        b = np.concatenate([b @ left.T, b @ right.T])
        which, low, width = np.tile(which, 2), np.concatenate([low, low + width]), np.tile(width, 2)
    return Line(*_single(*(np.concatenate(parts) for parts in zip(*found, strict=True))), vanishing)


def value_of(b: Float[np.ndarray, "K n"], t: Float[np.ndarray, " K"]) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of polynomials, each at its own point, by de Casteljau's rule."""
    degree, rows = b.shape[1] - 1, b
    before = rows
    for _ in range(degree):
        before = rows
        rows = rows[:, :-1] * (1 - t)[:, None] + rows[:, 1:] * t[:, None]
    slope = degree * (before[:, 1] - before[:, 0]) if degree else np.zeros(len(b))
    return rows[:, 0], slope


def _refined(b: np.ndarray, low: np.ndarray, width: np.ndarray) -> np.ndarray:
    """The one root inside each interval, by Newton's method kept inside the bracket by bisection."""
    high, first = low + width, np.sign(value_of(b, low)[0])
    last = np.sign(value_of(b, low + width)[0])
    first = np.where(first == 0, -last, first)
    t = low + width / 2
    for trial in range(_DEEPEST):
        value, slope = value_of(b, t)
        same = np.sign(value) == first
        low, high = np.where(same, t, low), np.where(same, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = t - value / slope
        inside = (newton > low) & (newton < high) & (trial % 4 != 3)
        new = np.where(value == 0, t, np.where(inside, newton, (low + high) / 2))
        if np.all(np.abs(new - t) <= 1e-16):
            break
        t = new
    return t


def _single(which: np.ndarray, t: np.ndarray, multiple: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots that were found once each, in order; those of even order are known to half the digits."""
    order = np.lexsort((t, which))
    which, t, multiple = which[order], t[order], multiple[order]
    kept: list[int] = []
    for at in range(len(t)):
        near = 1e-6 if multiple[at] or (kept and multiple[kept[-1]]) else 1e-11
        if kept and which[kept[-1]] == which[at] and t[at] - t[kept[-1]] <= near:
            multiple[kept[-1]] |= multiple[at]
            continue
        kept.append(at)
    return which[kept], t[kept], multiple[kept]
