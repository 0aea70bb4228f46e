r"""The full tensor of unknowns, solved for without a matrix of its size.

    A = sum_t x_d A_td,   L_d^T A_td R_d = diag(a_td):      U = R [ (L^T F) / sum_t prod_d a_td ]

where all directions but one are diagonal together, a small dense system for each index of the others; where more are not, GMRES with the diagonals as
preconditioner. What rounding leaves is removed by the same solve of the residual.
"""

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg as sparse

from .diagonalisation import Diagonal, diagonal
from .kronecker import Factors, Kronecker, Tensor, along, full
from .once import each

# Unknowns of a dense matrix, and numbers that a batch of small systems may hold.
_DENSE, _BATCH = 1500, 20_000_000
# A system is singular where a number to divide by is smaller than this part of the largest.
_SINGULAR = 1e-13
# A residual of this part of the load is no rounding: a direct solve has met a singular system, an iteration has not converged.
UNSOLVED = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class TensorSolution:
    """The unknowns, the words for how they were found, and the residual relative to the load."""

    unknowns: Tensor
    solver: str
    residual: float


class SingularSystemError(ValueError):
    """A linear system without a unique solution."""


def solve_tensor(operator: Kronecker, load: Factors, names: list[str], tolerance: float = 1e-13) -> TensorSolution:
    """Solve for the full tensor of unknowns.

    **Raises:** `SingularSystemError` where the form does not determine the solution.
    """
    right_side = full(load)
    solve, words, exact = direct(operator, names)
    size = float(np.linalg.norm(right_side)) or 1.0
    unknowns = solve(right_side)
    residual = right_side - operator.apply(unknowns)
    error = float(np.linalg.norm(residual)) / size
    if not exact and error > tolerance:
        unknowns = _gmres(operator, solve, right_side, unknowns, tolerance)
        residual = right_side - operator.apply(unknowns)
    change = np.inf
    for _ in range(3):  # rounding of the transforms is removed by solving for what is left
        step = solve(residual)
        length = float(np.linalg.norm(step))
        if not length < 0.5 * change:
            break
        change, unknowns = length, unknowns + step
        residual = right_side - operator.apply(unknowns)
        if length <= 1e-16 * float(np.linalg.norm(unknowns)):
            break
    error = float(np.linalg.norm(residual)) / size
    if exact and not error <= UNSOLVED:
        raise SingularSystemError(SENTENCE)
    return TensorSolution(unknowns, words, error)


def direct(operator: Kronecker, names: list[str]):
    """A solve from structure: the function, the words for it, and whether it is exact to rounding or a preconditioner."""
    if operator.size <= _DENSE and len(operator.shape) > 1 and _coupled(operator):
        matrix = operator.dense()
        inverse = _factorised(matrix)
        return (lambda F: inverse(F.ravel()).reshape(F.shape)), f"one dense system of {operator.size} unknowns", True
    diagonals = each(operator.banks, diagonal)
    coupled = [d for d, found in enumerate(diagonals) if found is None]
    if len(coupled) <= 1:
        if not coupled:
            return _divided(operator, diagonals), "fast diagonalisation in " + ", ".join(names), True
        others = ", ".join(name for d, name in enumerate(names) if d not in coupled)
        one = names[coupled[0]]
        words = f"fast diagonalisation in {others}, dense systems in {one}" if others else f"one dense system in {one}"
        return _blocks(operator, diagonals, coupled[0]), words, True
    kept = max(coupled, key=lambda d: operator.shape[d])
    near = [found if found is not None or d == kept else _own(operator.banks[d]) for d, found in enumerate(diagonals)]
    pair = ", ".join(names[d] for d in coupled)
    return _blocks(operator, near, kept), f"GMRES, {pair} coupled, preconditioned by systems in {names[kept]}", False


def _coupled(operator: Kronecker) -> bool:
    return sum(diagonal(bank) is None for bank in operator.banks) > 1


def _own(bank: tuple[np.ndarray, ...]) -> Diagonal:
    """The diagonals as they are: an approximation."""
    return Diagonal(None, None, tuple(np.diag(matrix).copy() for matrix in bank))


def _factorised(matrix: np.ndarray):
    with np.errstate(all="ignore"):
        lu = scipy.linalg.lu_factor(matrix, check_finite=False)
    pivots = np.abs(np.diag(lu[0]))
    if pivots.min() <= _SINGULAR * pivots.max():
        raise SingularSystemError(SENTENCE)
    return lambda F: scipy.linalg.lu_solve(lu, F)


SENTENCE = (
    "the form does not determine the solution: constants, or other functions, can be added to it. Hold it somewhere with dirichlet=, give its mean=, "
    "add a term such as u*v, or move a Helmholtz number off an eigenvalue"
)


def _turned(tensor: Tensor, diagonals, which: str) -> Tensor:
    for d, found in enumerate(diagonals):
        matrix = None if found is None else getattr(found, which)
        if matrix is not None:
            tensor = along(matrix.T if which == "left" else matrix, tensor, d)
    return tensor


def _weights(operator: Kronecker, diagonals, term: int, without: tuple[int, ...] = ()) -> np.ndarray:
    """The product of the diagonals of one term over all directions but some."""
    number, index = operator.terms[term]
    total = np.array(number)
    for d, i in enumerate(index):
        if d not in without:
            total = total[..., None] * diagonals[d].values[i]
    return total


def _divided(operator: Kronecker, diagonals):
    divisor: np.ndarray = sum(_weights(operator, diagonals, t) for t in range(len(operator.terms)))  # pyright: ignore[reportAssignmentType]
    if np.min(np.abs(divisor)) <= _SINGULAR * np.max(np.abs(divisor)):
        raise SingularSystemError(SENTENCE)
    return lambda F: np.real(_turned(_turned(F, diagonals, "left") / divisor, diagonals, "right"))


def _blocks(operator: Kronecker, diagonals, kept: int):
    """A dense system in one direction for each index of the others in which the operator acts; the rest are right-hand sides."""
    idle = [d for d, bank in enumerate(operator.banks) if d != kept and len(bank) == 1 and _is_identity(bank[0])]
    active = [d for d in range(len(operator.banks)) if d != kept and d not in idle]
    weights = [_weights(operator, diagonals, t, (kept, *idle)).ravel() for t in range(len(operator.terms))]
    matrices = [operator.banks[kept][index[kept]] for _, index in operator.terms]
    n, number = operator.shape[kept], len(weights[0])
    step = max(1, _BATCH // n**2)
    kind = np.result_type(*weights, *matrices)

    def systems(part: slice) -> np.ndarray:
        total = np.zeros((len(weights[0][part]), n, n), kind)
        for w, matrix in zip(weights, matrices, strict=True):
            total += w[part, None, None] * matrix
        return total

    parts = [slice(k, k + step) for k in range(0, number, step)]
    order = (*active, kept, *idle)
    try:
        whole = np.linalg.inv(systems(parts[0])) if len(parts) == 1 else None
    except np.linalg.LinAlgError:
        raise SingularSystemError(SENTENCE) from None

    def solve(F: Tensor) -> Tensor:
        turned = np.transpose(_turned(F, diagonals, "left"), order)
        rows = turned.reshape(number, n, -1)
        found = np.empty(rows.shape, np.result_type(rows, kind))
        try:
            for part in parts:
                found[part] = whole @ rows if whole is not None else np.linalg.solve(systems(part), rows[part])
        except np.linalg.LinAlgError:
            raise SingularSystemError(SENTENCE) from None
        back = np.transpose(found.reshape(turned.shape), np.argsort(order))
        return np.real(_turned(back, diagonals, "right"))

    return solve


def _is_identity(matrix: np.ndarray) -> bool:
    return bool(np.array_equal(matrix, np.eye(len(matrix))))


def _gmres(operator: Kronecker, precondition, right_side: Tensor, start: Tensor, tolerance: float) -> Tensor:
    """Krylov iteration of the preconditioned system."""
    shape = right_side.shape
    act: Any = lambda x: precondition(operator.apply(x.reshape(shape))).ravel()
    system = sparse.LinearOperator((right_side.size,) * 2, matvec=act, dtype=float)  # pyright: ignore[reportCallIssue]

    target = precondition(right_side).ravel()
    found, _ = sparse.gmres(system, target, x0=start.ravel(), rtol=tolerance / 10, restart=60, maxiter=20)
    return found.reshape(shape)
