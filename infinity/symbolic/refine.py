r"""The constants of a formula from measurements: weighted least squares by Levenberg-Marquardt.

    min over theta  sum_n w_n (f(x_n; theta) - y_n)^2,    (J^T W J + mu D) step = J^T W r,    D = max of diag(J^T W J) so far

The step is solved in the singular directions of the scaled Jacobian, from an orthogonal factorisation where its condition asks for one, so that a formula
that is exact is found to rounding. Standard errors come
from `s^2 (J^T W J)^{-1}` at the end; a direction along which nothing changes has none.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from .tape import Tape
from .tree import Tree

STEPS = 60
# A singular value of the scaled Jacobian below this part of the largest is a direction that the measurements say nothing about.
RANK = 1e-11


@dataclasses.dataclass(frozen=True)
class Refined:
    """Constants `(K,)`, their covariance `(K, K)` (infinite where nothing determines them), the residuals' mean square and the number of evaluations."""

    constants: Float[np.ndarray, " K"]
    covariance: Float[np.ndarray, "K K"]
    mean_square: float
    evaluations: int


def refine(
    tree: Tree,
    constants: Any,
    columns: Any,
    y: Float[np.ndarray, " N"],
    weights: Float[np.ndarray, " N"] | None = None,
    steps: int = STEPS,
) -> Refined | None:
    """Improve the constants of a tree from where they are; `None` where the formula has no finite value there.

    >>> import numpy as np
    >>> from infinity.symbolic.refine import refine
    >>> t = np.linspace(0.1, 2, 30)
    >>> found = refine(("mul", ("c", 0), ("exp", ("mul", ("c", 1), ("x", 0)))), [1.0, 0.0], [t], 3 * np.exp(-2 * t))
    >>> np.round(found.constants, 12).tolist()
    [3.0, -2.0]
    """
    root = None if weights is None else np.sqrt(weights)
    theta = np.array(constants, dtype=float)
    K = len(theta)
    with np.errstate(all="ignore"):
        tape = Tape(tree, columns)
        missed = lambda theta: _weighted(tape.value(theta) - y, root)
        r = missed(theta)
        loss = float(r @ r)
        evaluations = 1
        if not np.isfinite(loss):
            return None
        J = _jacobian(tape, K, len(y), root)
        mu, scale = 1e-3, np.zeros(K)
        for _ in range(steps if K else 0):
            if not np.all(np.isfinite(J)):
                break
            scale = np.maximum(scale, np.sqrt(np.einsum("nk,nk->k", J, J)))
            safe = np.where(scale > 0, scale, 1.0)
            directions, squares, gradient = _spectrum(J / safe, r, mu)
            better, gain, step = False, 0.0, np.zeros(K)
            for _ in range(8):
                step = -(directions @ (gradient / (squares + mu))) / safe
                trial = missed(theta + step)
                evaluations += 1
                new = float(trial @ trial)
                if np.isfinite(new) and new < loss:
                    gain = (loss - new) / max(loss, 1e-300)
                    theta, r, loss, better = theta + step, trial, new, True
                    J = _jacobian(tape, K, len(y), root)
                    mu = max(mu / 6, 1e-15)
                    break
                mu *= 5
            if not better or (gain < 1e-10 and np.all(np.abs(step) <= 1e-9 * (np.abs(theta) + 1e-9))):
                break
        covariance = _covariance(J, loss, len(y))
    return Refined(theta, covariance, loss / len(y), evaluations)


def _spectrum(J: np.ndarray, r: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right singular vectors of J as columns, squares of its singular values, and the slope of the loss along each.

    From the normal matrix where damping or condition leave its step good to 1e-4, for the next step sees the residuals themselves; else from an
    orthogonal factorisation.
    """
    squares, directions = np.linalg.eigh(J.T @ J)
    if squares[0] + mu > 1e-12 * squares[-1]:
        return directions, np.maximum(squares, 0.0), directions.T @ (J.T @ r)
    K = J.shape[1]
    R = np.asarray(np.linalg.qr(np.concatenate([J, r[:, None]], axis=1), mode="r"))
    U, s, V = np.linalg.svd(R[:K, :K], full_matrices=False)
    return V.T, s**2, s * (U.T @ R[: len(U), K])


def residual(tree: Tree, theta: np.ndarray, columns: Any, y: np.ndarray, root: np.ndarray | None):
    """Formula minus measurements `(N,)` and the Jacobian `(N, K)`, both times the roots of the weights."""
    tape = Tape(tree, columns)
    r = _weighted(tape.value(theta) - y, root)
    return r, _jacobian(tape, len(theta), len(y), root)


def _weighted(r: np.ndarray, root: np.ndarray | None) -> np.ndarray:
    return r if root is None else r * root


def _jacobian(tape: Tape, K: int, rows: int, root: np.ndarray | None) -> np.ndarray:
    slopes = tape.slopes()
    J = np.empty((rows, K))
    for k in range(K):
        J[:, k] = slopes.get(k, 0.0)
    return J if root is None else J * root[:, None]


def _covariance(J: np.ndarray, loss: float, rows: int) -> np.ndarray:
    K = J.shape[1]
    if K == 0 or not np.all(np.isfinite(J)):
        return np.full((K, K), np.inf)
    scale = np.sqrt(np.sum(J * J, axis=0))
    safe = np.where(scale > 0, scale, 1.0)
    _, s, V = np.linalg.svd(J / safe, full_matrices=False)
    known = s > RANK * max(s[0], 1e-300)
    inverse = (V[known].T / s[known] ** 2) @ V[known]
    loose = np.any(np.abs(V[~known]) > 1e-6, axis=0) | (scale == 0)
    covariance = loss / max(rows - K, 1) * inverse / np.outer(safe, safe)
    covariance[loose, :] = covariance[:, loose] = 0.0
    covariance[loose, loose] = np.inf
    return covariance
