r"""Eigenvalues and modes of a symmetric form on glued patches.

    K x = lambda M x,      (K + s M)^-1 M by one sparse factorisation,      then  X <- the best of  span { X, (K + s M)^-1 (A X - M X Lambda) }

Where cells differ much in size the matrix has lost digits; the operator `A` in differences of coefficients has not. It judges what the factors propose
(Knyazev, SIAM J. Sci. Comput. 23 (2001)). The signs of the pivots of `K - c M` count the eigenvalues below `c` (Sylvester), by which none is missed.
"""

from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from ..models import Glued
from .expressions import Expression
from .function_space import as_model, from_tensor
from .nitsche import with_weak_conditions
from .notation import test, trial
from .patch_assembly import systems
from .patch_conditions import forms_of, known_values
from .patch_linear import GluedSystem, places_of
from .patches import Patches
from .result import Modes

# Unknowns up to which the sparse system is factorised; eigenvalues that are found beside those that are asked for.
LARGEST, _MORE = 300_000, 4
# The most times that vectors are made sharper, and the change of eigenvalues above which they have not settled.
_SHARPENINGS, _UNSETTLED = 12, 1e-9
_CONDITIONS = "eigenvalues are asked for with values on faces or a mean; expected zero conditions"


def patch_eigenvalues(form: Any, patches: Patches, number: int, mass: Any) -> Modes:
    """Find the smallest eigenvalues of a symmetric form on patches.

    **Arguments:** as `eigenvalues`.

    **Raises:** `ValueError` as there.
    """
    forms = forms_of(form, patches)
    for written, _ in forms:
        if any(term.factor("trial") is None for term in written.terms):
            raise ValueError(f"the form {written} has a load; an eigenvalue problem has none. Leave it out")
    if patches.mean is not None or patches.unknowns > LARGEST:
        raise ValueError(
            _CONDITIONS
            if patches.mean is not None
            else f"the patches have {patches.unknowns} unknowns together; expected at most {LARGEST}. Use fewer cells"
        )
    stiffness = _glued(forms, patches)
    count = stiffness.parts[0].components
    for patch in patches.patches:
        sides = [
            gs for kind in (patch.space.dirichlet, patch.space.nitsche) for s in kind.values() for gs in s.values()
        ]
        if any(g is not None and g.number() != 0.0 for gs in sides for g in gs):
            raise ValueError(_CONDITIONS)
    squares = Expression(
        tuple(t for u, v in zip(_all(trial, count), _all(test, count), strict=True) for t in (u * v).terms)
    )
    unit = _glued(forms_of(squares, patches), patches)
    weight = unit if mass is None else _glued(forms_of(mass, patches), patches)
    free = np.flatnonzero(np.isnan(known_values(patches, count)))
    if not 1 <= number < len(free):
        raise ValueError(f"asked for {number} eigenvalues of {len(free)} unknowns; expected fewer, at least one")
    K, M = (_symmetric(system.matrix()[free][:, free]) for system in (stiffness, weight))
    vectors, solve = _smallest(K, M, number)
    act = lambda X: _applied(stiffness, free, X)
    values, vectors, change = _sharpened(vectors, number, act, lambda X: M @ X, solve)
    whole = np.zeros((number, stiffness.size))
    whole[:, free] = vectors.T
    maps = [None if p.geometry is None else p.geometry.mapping.image for p in patches.patches]
    modes = []
    for x in whole:
        x = x / np.sqrt(float(x @ unit.apply(x)))
        parts = zip(patches.patches, places_of(patches, count), strict=True)
        models = [as_model(p.space, from_tensor(p.space, x[place], 1e-13, None), count) for p, place in parts]
        modes.append(Glued(models, maps))
    words = f"shift and invert on one sparse system of {len(free)} unknowns; the signs of its pivots say that none is missed"
    if change > _UNSETTLED:
        words += f"; cells differ too much in size for their arithmetic, the values have settled to {change:.0e} only"
    return Modes(values, modes, words)


def _all(word: Any, count: int) -> tuple[Expression, ...]:
    return (word(),) if count == 1 else word(count)


def _glued(forms: list[tuple[Expression, Expression]], patches: Patches) -> GluedSystem:
    whole = [with_weak_conditions(form, p.space) for (_, form), p in zip(forms, patches.patches, strict=True)]
    return GluedSystem(patches, systems([written for written, _ in forms], whole, patches))


def _symmetric(A: Any) -> Any:
    diagonal = np.abs(A.diagonal())
    scale = scipy.sparse.diags_array(1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)))
    if abs(scale @ (A - A.T) @ scale).max() > 1e-9 * (1 if np.any(diagonal) else abs(A).max()):
        raise ValueError("eigenvalues are asked for of a form that is not symmetric; expected a(u, v) = a(v, u)")
    return scipy.sparse.csc_array((A + A.T) / 2)


def _applied(system: GluedSystem, free: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The operator on the free unknowns, a column after another, to rounding of the fluxes."""
    found, whole = np.empty_like(X), np.zeros(system.size)
    for i, x in enumerate(X.T):
        whole[free] = x
        found[:, i] = system.apply(whole)[free]
    return found


def _sharpened(X: np.ndarray, number: int, act: Any, weigh: Any, solve: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """The smallest eigenvalues and their vectors, from near ones, and the last change relative to the largest of them."""
    values, S, change = np.full(X.shape[1], np.inf), X, np.inf
    for _ in range(_SHARPENINGS):
        S = S / np.sqrt(np.sum(S * weigh(S), axis=0))
        size, V = np.linalg.eigh(S.T @ weigh(S))
        T = S @ (V[:, size > 1e-13] / np.sqrt(size[size > 1e-13]))
        AT = act(T)
        found, Y = np.linalg.eigh((T.T @ AT + AT.T @ T) / 2)
        found, Y = found[: X.shape[1]], Y[:, : X.shape[1]]
        X, AX, before, values = T @ Y, AT @ Y, values, found
        change = float(np.max(np.abs(values - before)[:number]) / np.max(np.abs(values[:number])))
        if change <= 1e-12:
            break
        S = np.hstack([X, solve(AX - weigh(X) * values)])
    return values[:number], X[:, :number], change


def _smallest(K: Any, M: Any, number: int) -> tuple[np.ndarray, Any]:
    """The vectors of the smallest eigenvalues, and of a few more; and the solve that they were found with."""
    size = K.shape[0]
    wanted = min(number + _MORE, size - 1)
    shift, solve = _below(K, M)
    near: Any = scipy.sparse.linalg.LinearOperator((size, size), matvec=solve, dtype=float)  # pyright: ignore[reportCallIssue]
    for tried in (1, 2, 4):
        width = min(size, tried * max(2 * wanted + 1, 24))
        start = np.random.default_rng(tried).normal(size=size)
        values, vectors = scipy.sparse.linalg.eigsh(
            K, wanted, M=M, sigma=-shift, OPinv=near, which="LM", v0=start, ncv=width
        )
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
        gaps = np.diff(values)[number - 1 :]
        if not len(gaps):
            return vectors, solve
        at = number - 1 + int(np.argmax(gaps))
        if _factorised(K, M, -(values[at] + values[at + 1]) / 2)[1] == at + 1:
            return vectors, solve
    raise ValueError(
        f"the iteration for {number} eigenvalues misses some; ask for a few more, or hold what the form leaves nearly free"
    )


def _below(K: Any, M: Any) -> tuple[float, Any]:
    """A shift that makes the form positive, of about the size of the smallest eigenvalue, and the solve with it."""
    shift = 1e-6 * abs(K.diagonal()).sum() / abs(M.diagonal()).sum()
    x = np.ones(K.shape[0])
    for _ in range(40):
        solve, negative = _factorised(K, M, shift)
        if not negative:
            break
        shift *= 10
    else:
        raise ValueError(
            "eigenvalues are asked for of a form that is not bounded below, or of a mass that is not positive"
        )
    for _ in range(2):
        x = solve(M @ x)
        x = x / np.linalg.norm(x)
    first = abs(float(x @ (K @ x)) / float(x @ (M @ x)))
    if 1e-3 * shift < first < 10 * shift:
        return shift, solve
    better = max(0.1 * first, 1e-3 * shift)
    solved, negative = _factorised(K, M, better)
    return (shift, solve) if negative else (better, solved)


def _factorised(K: Any, M: Any, shift: float) -> tuple[Any, int]:
    """The solve with `K + shift M`, scaled by its diagonal, and how many of its eigenvalues are negative."""
    A = K + shift * M
    diagonal = np.abs(A.diagonal())
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = scipy.sparse.csc_array(scipy.sparse.diags_array(scale) @ A @ scipy.sparse.diags_array(scale))
    try:
        lu = scipy.sparse.linalg.splu(
            scaled, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError:
        return None, -1
    scales = lambda right: scale if right.ndim == 1 else scale[:, None]
    return (lambda right: scales(right) * lu.solve(scales(right) * right)), int(np.sum(lu.U.diagonal() < 0))
