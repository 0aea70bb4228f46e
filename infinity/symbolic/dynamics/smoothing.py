r"""A smooth curve through noisy samples, with as much smoothness as the evidence asks for.

    y = B c + noise,   c ~ N(0, sigma^2 / lambda  R^+),   R = int B''' B'''^T dt

    B = Q T,  T^-T R T^-1 = U diag(d) U^T,  v = U^T Q^T y:
    -2 log evidence = (N - 3) log(|y|^2 - |v|^2 + sum_j lambda d_j / (1 + lambda d_j) v_j^2) + sum_{d_j > 0} log(1 + 1 / (lambda d_j))

Quintic B-splines of `infinity.basis`, a breakpoint at every few samples, so that each cell has some; one factorisation serves all states.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from ...basis import BSpline
from ...precision import double_precision

DEGREE, ORDER = 5, 3
MOST_ELEMENTS = 500


@dataclasses.dataclass(frozen=True)
class Smooth:
    """Coefficients `(S, n)` of the curves, the noise `(S,)` and how many numbers each curve effectively has `(S,)`."""

    basis: BSpline
    coefficients: Float[np.ndarray, "S n"]
    noise: Float[np.ndarray, " S"]
    freedom: Float[np.ndarray, " S"]

    def __call__(self, t: Float[np.ndarray, " n"], order: int = 0) -> Float[np.ndarray, "n S"]:
        """The curves or their derivatives at times."""
        return _design(self.basis, t, order) @ self.coefficients.T


def _design(basis: BSpline, t: np.ndarray, order: int = 0) -> np.ndarray:
    with double_precision():
        return np.asarray(basis.collocation(jnp.asarray(t), order))


def smooth(t: Float[np.ndarray, " N"], y: Float[np.ndarray, "N S"]) -> Smooth:
    """Fit the curves.

    **Arguments:** increasing times, at least eight; the samples.

    >>> import numpy as np
    >>> from infinity.symbolic.dynamics.smoothing import smooth
    >>> t = np.linspace(0, 10, 200)
    >>> curve = smooth(t, (np.sin(t) + 0.1 * np.random.default_rng(0).normal(size=200))[:, None])
    >>> bool(abs(curve.noise[0] - 0.1) < 0.02), bool(np.max(np.abs(curve(t)[:, 0] - np.sin(t))) < 0.1)
    (True, True)
    """
    elements = int(np.clip(len(t) // 3, 1, MOST_ELEMENTS))
    breakpoints = np.interp(np.linspace(0, len(t) - 1, elements + 1), np.arange(len(t)), t)
    with double_precision():
        basis = BSpline(degree=DEGREE, breakpoints=jnp.asarray(breakpoints))
        R = np.asarray(basis.gram(ORDER, ORDER))
    Q, T = np.linalg.qr(_design(basis, t))
    half = np.linalg.solve(T.T, np.linalg.solve(T.T, R).T)
    d, U = np.linalg.eigh(0.5 * (half + half.T))
    d[:ORDER] = 0.0
    d = np.maximum(d, 0.0)
    results = [_chosen(d, U.T @ (Q.T @ column), column) for column in y.T]
    inverse = np.linalg.solve(T, U)
    coefficients = np.stack([inverse @ kept for kept, _, _ in results])
    return Smooth(basis, coefficients, np.array([r[1] for r in results]), np.array([r[2] for r in results]))


def _chosen(d: np.ndarray, v: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Shrunk coordinates, noise and effective number, at the strength of greatest evidence."""
    stiff = d > 0
    total = float(y @ y)
    beyond = max(total - float(v @ v), 1e-15 * total + 1e-300)
    scale = float(np.median(d[stiff]))

    def left(weight: float) -> float:
        return beyond + float(np.sum(weight * d / (1 + weight * d) * v**2))

    def cost(exponent: float) -> float:
        weight = 10.0**exponent / scale
        return (len(y) - ORDER) * np.log(left(weight)) + float(np.sum(np.log1p(1 / (weight * d[stiff]))))

    grid = np.linspace(-14, 14, 57)
    start = grid[int(np.argmin([cost(e) for e in grid]))]
    found = minimize_scalar(cost, bounds=(start - 0.6, start + 0.6), method="bounded", options={"xatol": 1e-3})
    weight = 10.0 ** float(found.x) / scale  # pyright: ignore[reportAttributeAccessIssue]
    return v / (1 + weight * d), float(np.sqrt(left(weight) / (len(y) - ORDER))), float(np.sum(1 / (1 + weight * d)))
