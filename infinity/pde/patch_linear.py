r"""The linear system of glued patches, factorised once and solved to rounding of its fluxes.

    K = sum_k P_k^T A_k P_k,      u <- u + K^-1 (F - A u),      the residual in differences of coefficients

Where cells differ so much in size that the factors are too far off for plain correction, they precondition GMRES.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from .patch_assembly import PatchSystem
from .patches import Patches
from .tensor import SENTENCE, SingularSystemError

# Pivots below which a system is singular, and the most corrections.
_SINGULAR, _REFINEMENTS = 1e-15, 12


def places_of(patches: Patches, count: int) -> list[np.ndarray]:
    """The unknown of each function and component of each patch."""
    return [numbers[..., None] * count + np.arange(count) for numbers in patches.numbers]


class GluedSystem:
    """The systems of all patches in the unknowns that they share."""

    def __init__(self, patches: Patches, parts: list[PatchSystem]):
        self.parts, self.places = parts, places_of(patches, parts[0].components)
        self.size = patches.unknowns * parts[0].components

    def matrix(self) -> scipy.sparse.csr_array:
        """The operator as one matrix."""
        blocks = []
        for part, place in zip(self.parts, self.places, strict=True):
            local, flat = part.sparse(), place.ravel()
            blocks.append((local.data, flat[local.row], flat[local.col]))
        data, rows, columns = (np.concatenate(each) for each in zip(*blocks, strict=True))
        return scipy.sparse.csr_array(scipy.sparse.coo_array((data, (rows, columns)), shape=(self.size,) * 2))

    def apply(self, u: np.ndarray) -> np.ndarray:
        """The operator, to rounding of the fluxes."""
        return self._gathered([part.apply(u[place]) for part, place in zip(self.parts, self.places, strict=True)])

    def residual(self, u: np.ndarray) -> np.ndarray:
        """The load minus the operator."""
        parts = zip(self.parts, self.places, strict=True)
        return self._gathered([part.load - part.apply(u[place]) for part, place in parts])

    def _gathered(self, values: list[np.ndarray]) -> np.ndarray:
        found = np.zeros(self.size)
        for value, place in zip(values, self.places, strict=True):
            np.add.at(found, place.ravel(), value.ravel())
        return found


def solved(
    system: GluedSystem, known: np.ndarray, integral: np.ndarray | None, mean: float | None
) -> tuple[np.ndarray, float]:
    """All unknowns, and the last correction relative to them.

    **Arguments:** the `system`; the `known` unknowns, not a number where they are not; the integrals of all functions and the `mean`, or nothing.

    **Raises:** `SingularSystemError` for a system without a unique solution, `ValueError` for a load that does not balance.
    """
    free = np.flatnonzero(np.isnan(known))
    u = np.where(np.isnan(known), 0.0, known)
    if not len(free):
        return u, 0.0
    A = system.matrix()[free][:, free]
    if integral is not None:
        _check_balance(system.residual(u)[free])
        A = scipy.sparse.block_array([[A, integral[:, None]], [integral[None, :], None]])
    solve = _factorised(scipy.sparse.csc_array(A))
    multiplier, before, krylov = 0.0, np.inf, False
    size = lambda: float(np.linalg.norm(u)) or 1.0
    for _ in range(_REFINEMENTS):
        right = system.residual(u)[free]
        if integral is not None and mean is not None:
            right = np.append(right - multiplier * integral, mean * np.sum(integral) - integral @ u)
        step = _krylov(system, solve, free, right) if krylov else solve(right)
        change = float(np.linalg.norm(step[: len(free)]))
        if not change < 0.3 * before:
            if krylov or integral is not None or before < 1e-13 * size():
                break
            krylov, before = True, 4 * before  # the factors are too far off for plain correction
            continue
        before = change
        u[free] += step[: len(free)]
        multiplier += float(step[-1]) if integral is not None else 0.0
        if change <= 1e-16 * size():
            break
    return u, before / size()


def _krylov(
    system: GluedSystem, solve: Callable[[np.ndarray], np.ndarray], free: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """The correction by GMRES, with the factors as preconditioner and the operator to rounding of the fluxes."""

    def act(x: np.ndarray) -> np.ndarray:
        whole = np.zeros(system.size)
        whole[free] = x
        return solve(system.apply(whole)[free])

    A = scipy.sparse.linalg.LinearOperator((len(free),) * 2, matvec=act, dtype=float)  # pyright: ignore[reportCallIssue]
    return scipy.sparse.linalg.gmres(A, solve(right), rtol=1e-6, restart=40, maxiter=2)[0]


def _factorised(A: scipy.sparse.csc_array) -> Callable[[np.ndarray], np.ndarray]:
    """The solve of a sparse system, scaled by its diagonal.

    **Raises:** `SingularSystemError` for one without a unique solution.
    """
    diagonal = np.abs(A.diagonal())
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, np.max(diagonal)))
    scaled = scipy.sparse.csc_array(scipy.sparse.diags_array(scale) @ A @ scipy.sparse.diags_array(scale))
    try:
        lu = scipy.sparse.linalg.splu(
            scaled, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1, options={"SymmetricMode": True}
        )
    except RuntimeError:
        raise SingularSystemError(SENTENCE) from None
    pivots = np.abs(lu.U.diagonal())
    if np.min(pivots) <= _SINGULAR * np.max(pivots):
        raise SingularSystemError(SENTENCE)
    return lambda right: scale * lu.solve(scale * right)


def _check_balance(load: np.ndarray) -> None:
    total, size = float(np.sum(load)), float(np.sum(np.abs(load)))
    if abs(total) > 1e-8 * size:
        raise ValueError(
            f"the load adds up to {total:.4g} over the domain; a problem that leaves the constant free has a solution only for zero. "
            "Correct the load, or hold the solution somewhere"
        )
