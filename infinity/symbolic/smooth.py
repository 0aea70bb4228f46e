r"""A fitted separable model in NumPy, with its exact derivatives: called a thousand times while structure is looked for, it should compile nothing.

    u(x) = shift + scale (c + sum_d a_d(z_d) + sum_m W_m prod_d f_dm(z_d)),    du/dx_d from f'_dm in the place of f_dm

The factors are polynomials on cells (`infinity.models.Evaluator`), so that their derivatives are exact too. Outside the box the value at its nearest point
is continued by a straight line.
"""

import numpy as np
from jaxtyping import Float

from ..fitting.fitted import Fitted
from ..models.evaluator import Evaluator


class Smooth:
    """A fitted model of one target; called with points `(n, D)` it gives values `(n,)`, `gradient` gives `(n, D)`.

    **Raises:** `ValueError` for a link other than the identity or the logarithm.
    """

    def __init__(self, fitted: Fitted):
        if fitted.link not in ("identity", "log"):
            raise ValueError(f"the link is {fitted.link!r}; expected 'identity' or 'log'")
        tables = Evaluator(fitted.inner)  # pyright: ignore[reportArgumentType]
        self.logarithmic = fitted.link == "log"
        self.lower, self.upper = np.asarray(fitted.lower, float), np.asarray(fitted.upper, float)
        self.scaled = bool(fitted.scaled)
        self.shift, self.scale = float(np.ravel(fitted.shift)[0]), float(np.ravel(fitted.scale)[0])
        self.factors = np.asarray(tables.factors, float)
        self.additive = None if tables.additive is None else np.asarray(tables.additive, float)[..., 0]
        self.left, self.half = np.asarray(tables.left, float), np.asarray(tables.half, float)
        self.mixing = np.ones(self.factors.shape[-1]) if tables.mixing is None else np.asarray(tables.mixing, float)[0]
        self.constant = 0.0 if tables.constant is None else float(np.ravel(tables.constant)[0])
        self.start = np.cumsum([0, *tables.cells])

    def __call__(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " n"]:
        """Values at points."""
        inside = np.clip(points, self.lower, self.upper)
        beyond = np.flatnonzero(np.any(inside != points, axis=1))
        u = self._linked(inside)
        change = np.zeros(len(u))
        if len(beyond):
            slopes = self._slopes(inside[beyond])[1]
            change[beyond] = np.sum(slopes * (points - inside)[beyond], axis=1)
        return np.exp(u) * (1 + change) if self.logarithmic else u + change

    def gradient(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
        """Exact derivatives at points of the box."""
        u, du = self._slopes(np.clip(points, self.lower, self.upper))
        return du * np.exp(u)[:, None] if self.logarithmic else du

    def _located(self, x: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
        t = (x[:, d] - self.lower[d]) / (self.upper[d] - self.lower[d]) if self.scaled else x[:, d]
        left = self.left[self.start[d] : self.start[d + 1]]
        row = np.clip(np.searchsorted(left, t, side="right") - 1, 0, len(left) - 1) + self.start[d]
        return row, (t - self.left[row]) / self.half[row] - 1

    def _linked(self, x: np.ndarray) -> np.ndarray:
        product, total = self.mixing, self.constant
        for d in range(x.shape[1]):
            row, v = self._located(x, d)
            product = product * _horner(self.factors, row, v[:, None])
            total = total + (0.0 if self.additive is None else _horner(self.additive, row, v))
        return self.shift + self.scale * (total + np.sum(product, axis=1))

    def _slopes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the link describes, and its derivatives."""
        D = x.shape[1]
        values, slopes, alone, change = [], [], np.full(len(x), self.constant), np.zeros((D, len(x)))
        for d in range(D):
            row, v = self._located(x, d)
            length = self.half[row] * (self.upper[d] - self.lower[d] if self.scaled else 1.0)
            values.append(_horner(self.factors, row, v[:, None]))
            slopes.append(_horner(_bent(self.factors), row, v[:, None]) / length[:, None])
            if self.additive is not None:
                alone = alone + _horner(self.additive, row, v)
                change[d] = _horner(_bent(self.additive), row, v) / length
        for d in range(D):
            product = self.mixing * slopes[d]
            for k in range(D):
                product = product if k == d else product * values[k]
            change[d] += np.sum(product, axis=1)
        u = alone + np.sum(self.mixing * np.prod(values, axis=0), axis=1)
        return self.shift + self.scale * u, self.scale * change.T


def _bent(table: np.ndarray) -> np.ndarray:
    """The coefficients of the derivatives in the coordinate of the cell."""
    return table[:, 1:] * np.arange(1, table.shape[1]).reshape(-1, *[1] * (table.ndim - 2))


def _horner(table: np.ndarray, row: np.ndarray, v: np.ndarray) -> np.ndarray:
    powers = table[row]
    value = powers[:, -1]
    for k in range(table.shape[1] - 2, -1, -1):
        value = value * v + powers[:, k]
    return value
