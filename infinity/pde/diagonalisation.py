r"""Matrices of one direction that are diagonal together.

    L^T A_k R = diag(a_k)    for all matrices A_k of a direction

Two symmetric matrices of which a combination is positive definite always are, and so are the multiplications by functions of a parameter (fast
diagonalisation: Lynch,
Rice and Thomas, Numer. Math. 6 (1964)). Others are tried by the eigenvectors of a random combination, and kept where these are well conditioned.
"""

import dataclasses
import warnings

import numpy as np
import scipy.linalg

from .axis import correction

# What is left beside the diagonal, relative to it, that counts as rounding; and the condition of eigenvectors up to which they are used.
_REST, _CONDITION = 1e-9, 1e7


@dataclasses.dataclass(frozen=True, eq=False)
class Diagonal:
    """Transforms of one direction, or nothing where they are the identity, and the diagonals of its matrices."""

    left: np.ndarray | None
    right: np.ndarray | None
    values: tuple[np.ndarray, ...]


def diagonal(bank: tuple[np.ndarray, ...]) -> Diagonal | None:
    """The transforms that make all matrices of a direction diagonal, or nothing where there are none.

    >>> import numpy as np
    >>> from infinity.pde.diagonalisation import diagonal
    >>> A, B = np.array([[2.0, 1.0], [1.0, 2.0]]), np.eye(2)
    >>> [float(round(value, 12)) for value in diagonal((B, A)).values[1]]
    [1.0, 3.0]
    """
    if all(_is_diagonal(matrix) for matrix in bank):
        return Diagonal(None, None, tuple(np.diag(matrix).copy() for matrix in bank))
    symmetric = all(np.max(np.abs(m - m.T)) <= 1e-12 * np.max(np.abs(m)) for m in bank)
    found = _symmetric(bank) if symmetric else None
    found = _general(bank) if found is None else found
    if found is None:
        return None
    left, right = found
    transformed = [left.T @ matrix @ right for matrix in bank]
    if not all(_is_diagonal(matrix) for matrix in transformed):
        return None
    return Diagonal(left, right, tuple(np.diag(matrix).copy() for matrix in transformed))


def _is_diagonal(matrix: np.ndarray) -> bool:
    """Whether what lies beside the diagonal is rounding, of neighbouring sizes of a graded matrix or of its largest entry."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    bound = _REST * np.outer(size, size) + 1e-13 * np.max(np.abs(matrix))
    return bool(np.all(np.abs(matrix - np.diag(np.diag(matrix))) <= bound))


def _symmetric(bank: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvectors of a combination with respect to one that is positive definite."""
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(bank))
    unit = [matrix / np.max(np.abs(matrix)) for matrix in bank]
    for B in (*bank, sum(unit)):
        try:
            np.linalg.cholesky(B)
        except np.linalg.LinAlgError:
            continue
        # The first that is not a multiple of B decides; a random combination where there are several.
        others = [m for m in bank if m is not B]
        if not others:
            others = [B]
        A = (
            others[0]
            if len(others) == 1
            else sum(w * m / np.max(np.abs(m)) for w, m in zip(weights, others, strict=False))
        )
        V = scipy.linalg.eigh(A, B)[1]
        for _ in range(2):
            V = V + V @ correction(_even(V.T @ A @ V), _even(V.T @ B @ V))
        return V, V
    return None


def _even(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def _general(bank: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Left and right eigenvectors of a pencil, complex where they must be."""
    rng = np.random.default_rng(0)
    B = max(bank, key=lambda m: 1 / np.linalg.cond(m))
    if np.linalg.cond(B) > 1 / np.finfo(float).eps:
        return None
    others = [m for m in bank if m is not B]
    if not others:
        return np.linalg.inv(B).T, np.eye(len(B))
    A = others[0] if len(others) == 1 else sum(rng.uniform(0.5, 1.5) * m / np.max(np.abs(m)) for m in others)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            V = np.asarray(scipy.linalg.eig(A, B)[1])
        except (ValueError, np.linalg.LinAlgError):
            return None
    if not np.all(np.isfinite(V)) or np.linalg.cond(V) > _CONDITION:
        return None
    return np.linalg.inv(B @ V).T, V
