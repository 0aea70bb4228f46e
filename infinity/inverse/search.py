r"""Branch and bound on a separable model: boxes are bounded from below, dropped or halved until the bound meets the best value.

A box on which a slope keeps its sign falls onto its face; on one where the model is convex the minimum is computed by Newton's method, and the tangent plane
there bounds the box.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from .bounds import Tree, bound
from .pieces import Pieces
from .projection import values
from .spread import spread
from .subject import Subject

_BATCH = 256
_STARTS = 1024
_POLISHED = 12


class Extreme(NamedTuple):
    """On the unit box: where, the value and the bound of `u`, boxes, whether the bound is within the tolerance."""

    z: Float[np.ndarray, " d"]
    value: float
    bound: float
    boxes: int
    closed: bool


def extreme(
    subject: Subject, sign: float, tolerance: float = 1e-8, boxes: int = 20_000, target: float | None = None
) -> Extreme:
    """The least value of `sign u` on the unit box.

    The tolerance is a part of the range of values seen. With a `target`, the search goes on only until a value beyond it is found, or none can be.
    """
    z, best, spread_of_values = _searched(subject, sign)
    if subject.pieces is None:
        return Extreme(z, sign * best, -sign * np.inf, 0, False)
    close = tolerance * max(spread_of_values, 1e-300)
    search = _Search(subject.pieces, sign, z, best, close)
    reached = lambda: target is not None and (search.best < sign * target or search.floor() > sign * target)
    while search.open and search.count < boxes and not reached():
        search.advance()
    closed = search.best - search.floor() <= 1.001 * close
    return Extreme(search.z, sign * search.best, sign * search.floor(), search.count, closed)


class _Search:
    """The state of a branch-and-bound search."""

    def __init__(self, pieces: Pieces, sign: float, z: np.ndarray, best: float, tolerance: float):
        self.pieces, self.sign, self.z, self.best, self.tolerance = pieces, sign, z, best, tolerance
        self.trees = [Tree(piece) for piece in pieces.dimensions]
        self.count, self.dropped = 0, np.inf
        D = len(self.trees)
        self.index, self.lower, self.weight = np.zeros((0, D), int), np.zeros(0), np.zeros((0, D))
        self.add(np.zeros((1, D), int), np.full(1, -np.inf))

    @property
    def open(self) -> bool:
        """Whether a box may hold a better value."""
        return len(self.lower) > 0

    def floor(self) -> float:
        """What no value is below."""
        return float(min([self.best, self.dropped, *(self.lower.min(keepdims=True) if self.open else ())]))

    def advance(self) -> None:
        """Halve the most promising boxes."""
        size = min(_BATCH, len(self.lower))
        chosen = np.argpartition(self.lower, size - 1)[:size]
        index, weight, above = self.index[chosen], self.weight[chosen], self.lower[chosen]
        kept = np.ones(len(self.lower), bool)
        kept[chosen] = False
        self.index, self.lower, self.weight = self.index[kept], self.lower[kept], self.weight[kept]
        along = np.argmax(weight, axis=1)
        halves = np.array([self.trees[d].split(int(row[d])) for d, row in zip(along, index, strict=True)])
        children = np.repeat(index, 2, axis=0)
        children[np.arange(len(children)), np.repeat(along, 2)] = halves.ravel()
        self.add(children, np.repeat(above, 2))

    def add(self, index: np.ndarray, above: np.ndarray) -> None:
        """Bound boxes and keep those that may hold a better value; `above` bounds them already."""
        found = self._bound(index)
        self.count += len(index)
        steady = np.abs(found.gradient) > found.moves
        steady &= self._smooth(index, 0) & (self._widths(index) > 0)
        fallen = np.flatnonzero(steady.any(axis=1))
        if len(fallen):
            for row in fallen:
                for d in np.flatnonzero(steady[row]):
                    index[row, d] = self.trees[d].face(int(index[row, d]), bool(found.gradient[row, d] < 0))
            found = self._bound(index)
        lower = np.maximum(found.lower, above)
        middles = np.stack([(n.low + n.high) / 2 for n in self._nodes(index)], axis=1)
        at = int(np.argmin(found.middle))
        if found.middle[at] < self.best:
            self._try(middles[at])
        convex = np.flatnonzero(
            found.convex & np.all(self._smooth(index, 1), axis=1) & (lower < self.best - self.tolerance)
        )
        if len(convex):
            lower[convex] = np.maximum(lower[convex], self._tangent(index[convex], middles[convex]))
        point = np.all(self._widths(index) == 0, axis=1)
        gone = (lower >= self.best - self.tolerance) | point
        if gone.any():
            self.dropped = min(
                self.dropped, float(np.min(np.where(point, np.maximum(lower, found.lower), lower)[gone]))
            )
        for name, new in (("index", index), ("lower", lower), ("weight", found.weight)):
            setattr(self, name, np.concatenate([getattr(self, name), new[~gone]]))
        late = self.lower >= self.best - self.tolerance
        if late.any():
            self.dropped = min(self.dropped, float(self.lower[late].min()))
            self.index, self.lower, self.weight = self.index[~late], self.lower[~late], self.weight[~late]

    def _nodes(self, index: np.ndarray) -> list[Any]:
        return [tree.nodes(column) for tree, column in zip(self.trees, index.T, strict=True)]

    def _bound(self, index: np.ndarray) -> Any:
        return bound(self.pieces, self._nodes(index), self.sign)

    def _widths(self, index: np.ndarray) -> np.ndarray:
        return np.stack([node.high - node.low for node in self._nodes(index)], axis=1)

    def _smooth(self, index: np.ndarray, order: int) -> np.ndarray:
        columns = [
            [tree.smooth(int(i), order) for i in column] for tree, column in zip(self.trees, index.T, strict=True)
        ]
        return np.array(columns).T

    def _try(self, z: np.ndarray) -> None:
        better, value = _local(self._value, z)
        if value < self.best:
            self.z, self.best = better, value

    def _value(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, _ = _derivatives(self.pieces, z[None])
        return self.sign * float(value[0]), self.sign * gradient[0]

    def _tangent(self, index: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Lower bounds of boxes on which the function is convex: the tangent plane at the least point that Newton's method finds."""
        nodes = self._nodes(index)
        low, high = (np.stack([getattr(n, end) for n in nodes], axis=1) for end in ("low", "high"))
        eye = np.eye(z.shape[1])
        for _ in range(12):
            _, g, H = _derivatives(self.pieces, z)
            g, H = self.sign * g, self.sign * H
            held = ((z <= low) & (g > 0)) | ((z >= high) & (g < 0)) | (high == low)
            H = np.where(held[:, :, None] | held[:, None, :], eye, H) if held.any() else H
            g = np.where(held, 0.0, g)
            size = np.abs(np.einsum("bdd->bd", H)).max(axis=1)[:, None, None]
            z = np.clip(z - np.linalg.solve(H + 1e-12 * size * eye, g[:, :, None])[:, :, 0], low, high)
        value, g, _ = _derivatives(self.pieces, z)
        value, g = self.sign * value, self.sign * g
        at = int(np.argmin(value))
        if value[at] < self.best:
            self.z, self.best = z[at], float(value[at])
        slack = 1e-14 * (np.abs(value) + abs(self.pieces.constant))
        return value + np.minimum(g * (low - z), g * (high - z)).sum(axis=1) - slack


def _derivatives(pieces: Pieces, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, gradients and second derivatives at points `(B, D)` of the unit box."""
    parts = [[piece(column, order) for piece, column in zip(pieces.dimensions, z.T, strict=True)] for order in range(3)]
    f, f1, f2 = (np.stack([p[:, :-1] for p in row], axis=1) for row in parts)
    a, a1, a2 = (np.stack([p[:, -1] for p in row], axis=1) for row in parts)
    D = z.shape[1]
    value = pieces.constant + a.sum(axis=1) + f.prod(axis=1).sum(axis=1)
    gradient, H = np.empty_like(z), np.empty((len(z), D, D))
    for d in range(D):
        rest = f.copy()
        rest[:, d] = f1[:, d]
        gradient[:, d] = a1[:, d] + rest.prod(axis=1).sum(axis=1)
        for e in range(d):
            both = rest.copy()
            both[:, e] = f1[:, e]
            H[:, d, e] = H[:, e, d] = both.prod(axis=1).sum(axis=1)
        rest[:, d] = f2[:, d]
        H[:, d, d] = a2[:, d] + rest.prod(axis=1).sum(axis=1)
    return value, gradient, H


@eqx.filter_jit
def _value_and_gradient(function: Any, z: Any) -> Any:
    return function.value_and_gradient(z)


def _searched(subject: Subject, sign: float) -> tuple[np.ndarray, float, float]:
    """The best of many starts, the best ones of them polished; and how far the values at the starts spread."""
    look = spread(_STARTS, len(subject.inputs.free))
    seen = sign * np.asarray(values(subject.function, jnp.asarray(look, subject.dtype)), float)
    if not np.isfinite(seen).any():
        raise ValueError("the model has no finite value in its box")

    def at(z: np.ndarray) -> tuple[float, np.ndarray]:
        if subject.pieces is not None:
            value, gradient, _ = _derivatives(subject.pieces, z[None])
        else:
            value, gradient = _value_and_gradient(subject.function, jnp.asarray(z[None], subject.dtype))
        return sign * float(value[0]), sign * np.asarray(gradient[0], float)

    found = [_local(at, look[i]) for i in np.argsort(seen)[:_POLISHED]]
    return *min(found, key=lambda pair: pair[1]), float(np.ptp(seen))


def _local(at: Any, z: np.ndarray) -> tuple[np.ndarray, float]:
    """The least point near a start, in the unit box."""
    options = {"ftol": 1e-16, "gtol": 1e-12, "maxiter": 200}
    found = scipy.optimize.minimize(at, z, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(z), options=options)
    point = np.clip(found.x, 0.0, 1.0)
    return point, at(point)[0]
