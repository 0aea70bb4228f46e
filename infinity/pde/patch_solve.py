r"""Solve a form on glued patches: one sparse system, its size set by what is free.

    K = sum_k P_k^T A_k P_k,    A_k = sum_t x_d A_ktd  of the splines of patch k,    P_k shares the unknowns on common faces

Values on outer faces are the unknowns there, found face by face; the corners are met exactly, so that the faces of two patches agree. Rounding is removed by
solving for the residual.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from . import conditions
from .axis import Axis, gauss_points, tabulate
from .expressions import Expression
from .function_space import as_model, from_tensor
from .gluing import box_points
from .kronecker import Factors, along, full
from .nitsche import with_weak_conditions
from .patch_assembly import PatchSystem, systems
from .patch_result import PatchSolution
from .patches import Patch, Patches
from .tensor import SENTENCE, SingularSystemError

# Unknowns up to which the sparse system is factorised, pivots below which it is singular, and the most spaces for a tolerance.
LARGEST, _SINGULAR, _ROUNDS, _FLOOR, _REFINEMENTS = 300_000, 1e-15, 5, 1e-15, 12


@dataclasses.dataclass(frozen=True, eq=False)
class _Discrete:
    """The coefficients on each patch as full tensors, the component last, and the last correction relative to them."""

    patches: Patches
    tensors: list[np.ndarray]
    residual: float
    unknowns: int


def solve_patches(
    form: Any, patches: Patches, tolerance: float | int | None, estimate: bool, largest: int
) -> PatchSolution:
    """Find the function of glued patches that meets a weak form.

    **Arguments:** as `inf.solve`; the `form` may be a list of forms, one a patch.

    **Raises:** `ValueError` as there; for values that do not agree where two faces meet.
    """
    forms = _forms(form, patches)
    seconds, history = {"solve": 0.0, "estimate": 0.0}, []
    began = time.perf_counter()
    found = _once(forms, patches, largest)
    seconds["solve"] += time.perf_counter() - began
    error, previous = None, np.inf
    while estimate or tolerance is not None:
        began = time.perf_counter()
        fine = _once(forms, found.patches.refined(), 8 * largest)
        error = _distance(found, fine)
        seconds["estimate"] += time.perf_counter() - began
        history.append(_line(found, error))
        if (
            tolerance is None
            or error <= tolerance
            or len(history) == _ROUNDS
            or error > 0.9 * previous
            or 2 * fine.unknowns > largest
        ):
            break
        found, previous = fine, error
    allowed = _FLOOR if error is None else max(0.03 * error, _FLOOR)
    factors = [
        from_tensor(p.space, _squeezed(t), allowed, p.space.modes)
        for p, t in zip(found.patches.patches, found.tensors, strict=True)
    ]
    return _finished(found, factors, error, tolerance, history, seconds)


def _forms(form: Any, patches: Patches) -> list[tuple[Expression, Expression]]:
    """For each patch the form as written, and in the coordinates of its box."""
    several = isinstance(form, list | tuple)
    if several and len(form) != len(patches.patches):
        raise ValueError(
            f"solve got {len(form)} forms for {len(patches.patches)} patches; expected one, or one for each"
        )
    for one in form if several else [form]:
        if not isinstance(one, Expression):
            raise ValueError(
                f"solve got {one!r} on Patches; expected a form such as u.d(x)*v.d(x) - f*v. An Energy or a Weak takes one Space"
            )
        if not several:
            patches.check_faces(one)
    given = list(form) if several else [form] * len(patches.patches)
    return [(one, patches.local(one, k)) for k, one in enumerate(given)]


def _once(forms: list[tuple[Expression, Expression]], patches: Patches, largest: int) -> _Discrete:
    if patches.unknowns > largest:
        raise ValueError(
            f"the patches have {patches.unknowns} unknowns together; expected at most {largest}. Use fewer cells, or raise largest="
        )
    whole = [with_weak_conditions(form, p.space) for (_, form), p in zip(forms, patches.patches, strict=True)]
    parts = systems([written for written, _ in forms], whole, patches)
    count = parts[0].components
    known = _known(patches, count)
    if patches.mean is not None and count > 1:
        raise ValueError("a mean is given for a solution with several components; expected one component")
    integral = None if patches.mean is None else _integral(patches)
    try:
        if integral is None and any(_open(whole, known, k) for k in range(count)):
            raise SingularSystemError(SENTENCE)
        unknowns, residual = _solved(_Global(patches, parts), known, integral, patches.mean)
    except SingularSystemError as error:
        raise ValueError(f"{forms[0][0]}: {error}") from None
    shaped = [unknowns[places] for places in _places(patches, count)]
    return _Discrete(patches, shaped, residual, int(np.sum(np.isnan(known))))


def _places(patches: Patches, count: int) -> list[np.ndarray]:
    """The unknown of each function and component of each patch."""
    return [numbers[..., None] * count + np.arange(count) for numbers in patches.numbers]


class _Global:
    """The systems of all patches in the unknowns that they share."""

    def __init__(self, patches: Patches, parts: list[PatchSystem]):
        self.parts, self.places = parts, _places(patches, parts[0].components)
        self.size = patches.unknowns * parts[0].components

    def matrix(self) -> scipy.sparse.csr_array:
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


def _open(forms: list[Expression], known: np.ndarray, component: int) -> bool:
    """Whether a constant can be added to a component: nothing holds it and every term differentiates it."""
    trials = [term.factor("trial") for form in forms for term in form.terms]
    mine = [f for f in trials if f is not None and f.component == component]
    count = mine[0].components if mine else 1
    held = np.any(~np.isnan(known.reshape(-1, count)[:, component]))
    return not held and all(any(order for _, order in f.orders) for f in mine)


def _known(patches: Patches, components: int) -> np.ndarray:
    """The unknowns that are given by values on faces; the others are not a number."""
    known = np.full((patches.unknowns, components), np.nan)
    for k, (patch, numbers) in enumerate(zip(patches.patches, patches.numbers, strict=True)):
        space = patch.space
        axes = {c: Axis(c, b, "splines") for c, b in space.bases.items()}
        for component in range(components):
            for d, c in enumerate(space.coordinates):
                for side in space.dirichlet.get(c, {}):
                    given = space.value(c, side, component)
                    if given is None:
                        continue
                    places = np.take(numbers, [0 if side == "left" else -1], axis=d)
                    values = np.zeros(places.shape)
                    if given.number() != 0.0:
                        parts = conditions.coefficients(given, axes, (c, space.place(c, side)))
                        values = full([parts[name] for name in space.coordinates])
                    before = known[places, component]
                    gap = np.abs(np.where(np.isnan(before), values, before) - values)
                    size = max(1.0, float(np.max(np.abs(values))))
                    if np.max(gap) > 1e-6 * size:
                        worst = np.unravel_index(np.argmax(gap), gap.shape)
                        raise ValueError(
                            f"the {side} face of {c} of patch {k} asks for {values[worst]:.6g} where it meets another face, "
                            f"which asks for {before[worst]:.6g}; "
                            "expected one value. Change one of the faces, or leave one to the form"
                        )
                    known[places, component] = values
    return known.ravel()


def _integral(patches: Patches) -> np.ndarray:
    """`int phi_i` of all functions."""
    found = np.zeros(patches.unknowns)
    for patch, numbers in zip(patches.patches, patches.numbers, strict=True):
        tables, weights = grid(patch, 4)[:2]
        values = weights
        for d, table in enumerate(tables):
            values = along(table.T, values, d)
        np.add.at(found, numbers.ravel(), values.ravel())
    return found


def _solved(
    system: _Global, known: np.ndarray, integral: np.ndarray | None, mean: float | None
) -> tuple[np.ndarray, float]:
    """All unknowns, and the last correction relative to them."""
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
    system: _Global, solve: Callable[[np.ndarray], np.ndarray], free: np.ndarray, right: np.ndarray
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


def grid(patch: Patch, more: int, finer: Patch | None = None) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Tables of the splines at Gauss points of a patch (or of a finer one), weights with the volume element, and the points of the box `(N, D)`."""
    on = patch if finer is None else finer
    rules = [gauss_points(b, b.degree + more) for b in on.space.bases.values()]
    points = box_points([rule[0] for rule in rules])
    weights = full([rule[1][:, None] for rule in rules])
    tables = [tabulate(b, rule[0], 0) for b, rule in zip(patch.space.bases.values(), rules, strict=True)]
    return tables, weights * patch.measure(points).reshape(weights.shape), points


def _distance(one: _Discrete, fine: _Discrete) -> float:
    """The relative L2 distance of two solutions, at the Gauss points of the second."""
    wrong = whole = 0.0
    for coarse, finer, u, w in zip(one.patches.patches, fine.patches.patches, one.tensors, fine.tensors, strict=True):
        tables, weights, _ = grid(finer, 1)
        other, _, _ = grid(coarse, 1, finer)
        for d in range(len(tables)):
            u, w = along(other[d], u, d), along(tables[d], w, d)
        wrong += float(np.sum(weights[..., None] * (u - w) ** 2))
        whole += float(np.sum(weights[..., None] * w**2))
    return float(np.sqrt(wrong / whole)) if whole else float(np.sqrt(wrong))


def _squeezed(tensor: np.ndarray) -> np.ndarray:
    return tensor[..., 0] if tensor.shape[-1] == 1 else tensor


def _line(found: _Discrete, error: float) -> dict[str, Any]:
    spaces = [p.space for p in found.patches.patches]
    return {
        "cells": [[b.elements for b in s.bases.values()] for s in spaces],
        "degrees": [[b.degree for b in s.bases.values()] for s in spaces],
        "unknowns": found.unknowns,
        "error": error,
        "residual": found.residual,
    }


def _finished(
    found: _Discrete,
    factors: list[Factors],
    error: float | None,
    tolerance: float | int | None,
    history: list,
    seconds: dict,
) -> PatchSolution:
    components = found.tensors[0].shape[-1]
    words = f"one sparse system of {found.unknowns} unknowns"
    success, status, message = True, "solved", f"solved by {words}; "
    message += "no error was estimated" if error is None else f"the relative error is about {error:.1e}"
    if tolerance is not None and error is not None and error > tolerance:
        success, status = False, "tolerance not reached"
        message = f"reached a relative error of about {error:.1e} after {len(history)} spaces, not the {tolerance:.1e} asked for"
    if not found.residual < max(1e-9, 0.01 * (error or 0.0)):
        success, status = False, "not converged"
        message = f"{words}: corrections stopped at {found.residual:.1e}; cells differ too much in size for their arithmetic, or the form is close to singular"
    if not all(np.all(np.isfinite(t)) for t in found.tensors):
        success, status, message = (
            False,
            "not finite",
            "the solution is not finite; the form is close to singular on these patches",
        )
    models = [as_model(p.space, f, components) for p, f in zip(found.patches.patches, factors, strict=True)]
    return PatchSolution(
        models,
        success,
        status,
        message,
        error,
        words,
        history,
        found.patches,
        seconds,
        factors,
        components,
        found.unknowns,
    )
