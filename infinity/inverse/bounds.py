r"""Rigorous bounds of a separable model on boxes, from one-dimensional pieces.

    f(z) = c + s t + k t^2 + r,    |r| <= rho,    t from -1 to 1 across an interval

Each factor is replaced by a parabola; what is left over is bounded by Bernstein coefficients. The product of the parabolas, summed over the modes, has a
value, a gradient `g` and second derivatives `H` in the middle of the box, in which modes of opposite sign cancel as they do in the model. What comes
beyond second order is bounded by the positive majorant, so that with `R = O(h^3)`

    u >= u(0) + sum_d min_t (g_d t + H_dd t^2 / 2) - sum_{d < e} |H_de| - R

The same majorants bound how far gradient and second derivatives move within the box: where a slope keeps its sign the box falls onto a face, and where `H`
stays positive definite the model is convex.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .bernstein import from_values
from .pieces import Piece, Pieces

_ROUNDING = 64 * np.finfo(float).eps


class Node(NamedTuple):
    """Intervals of one dimension.

    **Fields:** the ends `low` and `high`; of each function, `(K, M + 1)`, the parabola `c`, `s`, `k`, the remainder `rho`, and how far its first and second
    derivative, in units of half the interval, are from those in the middle, `drift` and `bend`.
    """

    low: Float[np.ndarray, " K"]
    high: Float[np.ndarray, " K"]
    c: Float[np.ndarray, "K lanes"]
    s: Float[np.ndarray, "K lanes"]
    k: Float[np.ndarray, "K lanes"]
    rho: Float[np.ndarray, "K lanes"]
    drift: Float[np.ndarray, "K lanes"]
    bend: Float[np.ndarray, "K lanes"]


class Tree:
    """The intervals of one dimension: ranges of cells are halved to single cells, and these in the middle. Each is bounded once, when it is first needed."""

    def __init__(self, piece: Piece):
        # Parabolas must be among the polynomials.
        powers = np.pad(piece.powers, ((0, 0), (0, max(3 - piece.powers.shape[1], 0)), (0, 0)))
        self.piece, self.degree = piece._replace(powers=powers), powers.shape[1] - 1
        self.faces: dict[tuple[int, bool], int] = {}
        self.ranges: list[tuple[int, int, float, float]] = []
        self.children: list[tuple[int, int] | None] = []
        self.rows: list[tuple[np.ndarray, ...]] = []
        self._add(0, len(piece.left), 0.0, 1.0)

    def split(self, node: int) -> tuple[int, int]:
        """The two halves of an interval."""
        found = self.children[node]
        if found is None:
            first, last, low, high = self.ranges[node]
            if last - first > 1:
                at = (first + last) // 2
                edge = float(self.piece.edges[at])
                found = self._add(first, at, low, edge), self._add(at, last, edge, high)
            else:
                middle = (low + high) / 2
                found = self._add(first, last, low, middle), self._add(first, last, middle, high)
            self.children[node] = found
        return found

    def face(self, node: int, upper: bool) -> int:
        """One end of an interval, as an interval without length."""
        first, last, low, high = self.ranges[node]
        if (node, upper) not in self.faces:
            added = self._add(last - 1, last, high, high) if upper else self._add(first, first + 1, low, low)
            self.faces[node, upper] = added
        return self.faces[node, upper]

    def smooth(self, node: int, order: int) -> bool:
        """Whether derivatives up to an order are continuous across the interval."""
        first, last, *_ = self.ranges[node]
        return last - first == 1 or self.piece.smooth >= order

    def _add(self, first: int, last: int, low: float, high: float) -> int:
        self.ranges.append((first, last, low, high))
        self.children.append(None)
        self.rows.append(self._bounded(first, last, low, high))
        return len(self.ranges) - 1

    def _bounded(self, first: int, last: int, low: float, high: float) -> tuple[np.ndarray, ...]:
        """The parabola through both ends and the middle, and what is left over on each cell."""
        piece, half = self.piece, (high - low) / 2
        cells = np.arange(first, last)
        if half == 0:
            value = piece.at(np.array([first]), np.array([low]))[0]
            zero = np.zeros_like(value)
            return value, zero, zero, _ROUNDING * np.abs(piece.powers[first]).sum(axis=0), zero, zero
        ends = np.clip(np.stack([piece.edges[cells], piece.edges[cells + 1]], axis=1), low, high)
        at = np.array([low, (low + high) / 2, high])
        where = np.clip(np.searchsorted(piece.edges, at, side="right") - 1, first, last - 1)
        left, middle, right = piece.at(where, at)
        c, s, k = middle, (right - left) / 2, (right + left) / 2 - middle
        n = self.degree
        nodes, fit, enlarged = from_values(n)
        length = np.diff(ends, axis=1)
        points = ends[:, :1] + length * nodes
        t = ((points - low) / half - 1)[..., None]
        full = np.einsum("ij,ejm->eim", fit, piece.at(np.repeat(cells[:, None], n + 1, axis=1), points))
        rest = full - np.einsum("ij,ejm->eim", fit, c + s * t + k * t**2)
        rounding = _ROUNDING * max(enlarged / 8, 1.0) * np.abs(piece.powers[cells]).sum(axis=1).max(axis=0)
        length = length[:, :, None] / half  # of the cells, in units of t
        rho = np.abs(rest).max(axis=(0, 1)) + rounding
        slope, curvature = n * np.diff(full, axis=1) / length, n * (n - 1) * np.diff(full, 2, axis=1) / length**2
        drift = np.abs(slope - s).max(axis=(0, 1)) + rounding * n / length.min()
        bend = np.abs(curvature - 2 * k).max(axis=(0, 1)) + rounding * n * n / length.min() ** 2
        return c, s, k, rho, drift, bend

    def nodes(self, index: Int[np.ndarray, " B"]) -> Node:
        """The bounds of some intervals."""
        chosen, place = np.unique(index, return_inverse=True)
        parts = [np.stack([self.rows[i][j] for i in chosen])[place] for j in range(6)]
        ends = np.array([self.ranges[i][2:] for i in chosen])[place]
        return Node(ends[:, 0], ends[:, 1], *parts)


class Bound(NamedTuple):
    """What is known of boxes.

    **Fields:** the bound `lower` and the `middle` value `(B,)`; the `gradient` there and how far it `moves` `(B, D)`, in units of half the box; whether
    the model is `convex`; the `weight` `(B, D)`, how much each dimension adds to what is not known.
    """

    lower: Float[np.ndarray, " B"]
    middle: Float[np.ndarray, " B"]
    gradient: Float[np.ndarray, "B D"]
    moves: Float[np.ndarray, "B D"]
    convex: Bool[np.ndarray, " B"]
    weight: Float[np.ndarray, "B D"]


def bound(pieces: Pieces, nodes: list[Node], sign: float) -> Bound:
    """Bounds of `sign u` on boxes, one interval a dimension."""
    D = len(nodes)
    modes = lambda name: np.stack([getattr(node, name)[:, :-1] for node in nodes], axis=1)  # (B, D, M)
    own = lambda name: np.stack([getattr(node, name)[:, -1] for node in nodes], axis=1)  # (B, D)
    c, s, k, rho = modes("c"), modes("s"), modes("k"), modes("rho")
    others = _left_out(c)
    middle = sign * (pieces.constant + own("c").sum(axis=1) + c.prod(axis=1).sum(axis=1))
    gradient = sign * ((s * others).sum(axis=2) + own("s"))
    H = np.zeros((len(middle), D, D))
    pairs = _pairs_left_out(c)
    for d in range(D):
        H[:, d, d] = sign * (2 * (k[:, d] * others[:, d]).sum(axis=1) + 2 * own("k")[:, d])
        for e in range(d):
            H[:, d, e] = H[:, e, d] = sign * (s[:, d] * s[:, e] * pairs[d, e]).sum(axis=1)
    # The majorant: product of |c| + |s| + |k| + rho, less its part up to second order in s and first in k.
    C, S, K = np.abs(c), np.abs(s), np.abs(k)
    total = (C + S + K + rho).prod(axis=1)
    alone = _left_out(C)
    both = _pairs_left_out(C)
    known = C.prod(axis=1) + ((S + K) * alone).sum(axis=1)
    for d in range(D):
        for e in range(d):
            known = known + S[:, d] * S[:, e] * both[d, e]
    scale = total.sum(axis=1) + np.abs(own("c")).sum(axis=1) + abs(pieces.constant)
    remainder = np.maximum(total - known, 0.0).sum(axis=1) + own("rho").sum(axis=1) + _ROUNDING * D * scale
    across = np.abs(H).sum(axis=2) - np.abs(np.einsum("bdd->bd", H))
    lower = middle + _least(gradient, np.einsum("bdd->bd", H)).sum(axis=1) - across.sum(axis=1) / 2 - remainder
    # How far gradient and second derivatives move: of each mode the product of the largest, less that of the middle.
    reach = S + K + rho
    first = S + modes("drift")
    moves = np.abs(own("drift"))
    full = _left_out(C + reach)
    moves = moves + (first * full - S * alone).sum(axis=2)
    radius = np.zeros((len(middle), D))
    wide = _pairs_left_out(C + reach)
    second = 2 * K + modes("bend")
    for d in range(D):
        radius[:, d] += own("bend")[:, d] + (second[:, d] * full[:, d] - 2 * K[:, d] * alone[:, d]).sum(axis=1)
        for e in range(D):
            if e != d:
                pair = (d, e) if d > e else (e, d)
                radius[:, d] += (first[:, d] * first[:, e] * wide[pair] - S[:, d] * S[:, e] * both[pair]).sum(axis=1)
    width = np.stack([node.high - node.low for node in nodes], axis=1)
    flat = width == 0
    convex = _positive(H, radius, flat)
    weight = (rho * full + (S + K) * (full - alone)).sum(axis=2) + own("rho") + across / 2 + 1e-3 * np.abs(gradient)
    return Bound(lower, middle, gradient, np.where(flat, 0.0, moves), convex, np.where(flat, 0.0, weight))


def _positive(H: np.ndarray, radius: np.ndarray, flat: np.ndarray) -> Bool[np.ndarray, " B"]:
    """Whether `H` plus any symmetric matrix with these row sums is positive definite, dimensions without length apart."""
    diagonal_good = np.all(flat | (np.einsum("bdd->bd", H) > 0), axis=1)
    H = np.where(flat[:, :, None] | flat[:, None, :], 0.0, H)
    H = H + np.where(flat, 1.0, 0.0)[:, :, None] * np.eye(H.shape[1])
    least = np.full(len(H), -1.0)
    if diagonal_good.any():
        least[diagonal_good] = np.linalg.eigvalsh(H[diagonal_good])[:, 0]
    return diagonal_good & (least > np.where(flat, 0.0, radius).max(axis=1))


def _least(g: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The least value of `g t + h t^2 / 2` for `t` from -1 to 1."""
    inside = (h > 0) & (np.abs(g) < h)
    return np.where(inside, -(g**2) / (2 * np.where(inside, h, 1.0)), h / 2 - np.abs(g))


def _left_out(c: np.ndarray) -> np.ndarray:
    """Products over the dimensions `(B, D, M)` but one."""
    before, after = np.ones_like(c), np.ones_like(c)
    for d in range(1, c.shape[1]):
        before[:, d] = before[:, d - 1] * c[:, d - 1]
        after[:, -1 - d] = after[:, -d] * c[:, -d]
    return before * after


def _pairs_left_out(c: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Products over the dimensions but two, `(B, M)` for each pair `d > e`."""
    found = {}
    for d in range(c.shape[1]):
        rest = c.copy()
        rest[:, d] = 1.0
        without = _left_out(rest)
        for e in range(d):
            found[d, e] = without[:, e]
    return found
