r"""The constants of a formula from measurements: weighted least squares by Levenberg-Marquardt.

    min over theta  sum_n w_n (f(x_n; theta) - y_n)^2,    (J^T W J + mu D) step = J^T W r,    D = max of diag(J^T W J) so far

The step is solved by an orthogonal factorisation of the scaled Jacobian, so that a formula that is exact is found to rounding. Standard errors come
from `s^2 (J^T W J)^{-1}` at the end; a direction along which nothing changes has none.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from .tree import Tree, with_slopes

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
    with np.errstate(all="ignore"):
        r, J = residual(tree, theta, columns, y, root)
        loss = float(r @ r)
        evaluations = 1
        if not np.isfinite(loss):
            return None
        mu, scale = 1e-3, np.zeros(len(theta))
        for _ in range(steps if len(theta) else 0):
            if not np.all(np.isfinite(J)):
                break
            scale = np.maximum(scale, np.sqrt(np.sum(J * J, axis=0)))
            safe = np.where(scale > 0, scale, 1.0)
            U, s, V = np.linalg.svd(J / safe, full_matrices=False)
            gradient = U.T @ r
            better, gain, step = False, 0.0, np.zeros_like(theta)
            for _ in range(8):
                step = -(V.T @ (s * gradient / (s * s + mu))) / safe
                trial, K = residual(tree, theta + step, columns, y, root)
                evaluations += 1
                new = float(trial @ trial)
                if np.isfinite(new) and new < loss:
                    gain = (loss - new) / max(loss, 1e-300)
                    theta, r, J, loss, better = theta + step, trial, K, new, True
                    mu = max(mu / 6, 1e-15)
                    break
                mu *= 5
            if not better or (gain < 1e-10 and np.all(np.abs(step) <= 1e-9 * (np.abs(theta) + 1e-9))):
                break
        covariance = _covariance(J, loss, len(y))
    return Refined(theta, covariance, loss / len(y), evaluations)


def residual(tree: Tree, theta: np.ndarray, columns: Any, y: np.ndarray, root: np.ndarray | None):
    """Formula minus measurements `(N,)` and the Jacobian `(N, K)`, both times the roots of the weights."""
    value, slopes = with_slopes(tree, columns, theta)
    r = np.broadcast_to(np.asarray(value, float), y.shape) - y
    J = np.empty((len(y), len(theta)))
    for k in range(len(theta)):
        J[:, k] = slopes.get(k, 0.0)
    if root is not None:
        r, J = r * root, J * root[:, None]
    return r, J


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
