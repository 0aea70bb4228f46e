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

from .axis import gauss_points, tabulate
from .expressions import Expression
from .function_space import as_model, from_tensor
from .gluing import box_points
from .kronecker import Factors, along, full
from .newton import Stationary
from .nitsche import with_weak_conditions
from .nonlinear import judged, words_of
from .patch import Patch
from .patch_assembly import systems
from .patch_conditions import forms_of, known_values
from .patch_linear import GluedSystem, places_of, solved
from .patch_pointwise import pointwise_forms, stationary
from .patch_result import PatchSolution
from .patches import Patches
from .pointwise import Energy, Weak
from .regrading import regraded
from .tensor import SENTENCE, SingularSystemError

# Unknowns up to which the sparse system is factorised, the most spaces for a tolerance, and what rounding leaves of a relative error.
LARGEST, _ROUNDS, _FLOOR = 300_000, 12, 1e-15


@dataclasses.dataclass(frozen=True, eq=False)
class _Discrete:
    """The coefficients on each patch as full tensors, the component last; how they were found: words, the last correction relative to them, Newton's method."""

    patches: Patches
    tensors: list[np.ndarray]
    unknowns: int
    words: str
    residual: float = 0.0
    newton: Stationary | None = None


def solve_patches(
    form: Any, patches: Patches, tolerance: float | int | None, estimate: bool, largest: int
) -> PatchSolution:
    """Find the function of glued patches that meets a weak form.

    **Arguments:** as `inf.solve`; the `form` may be a list of forms, one a patch.

    **Raises:** `ValueError` as there; for values that do not agree where two faces meet.
    """
    once = _problem(form, patches)
    seconds, history = {"solve": 0.0, "estimate": 0.0}, []
    began = time.perf_counter()
    found = once(patches, largest, None)
    seconds["solve"] += time.perf_counter() - began
    error, previous, fine = None, np.inf, None
    while estimate or tolerance is not None:
        began = time.perf_counter()
        fine = once(found.patches.refined(), 8 * largest, found)
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
        more = regraded(found.patches, found.tensors, fine.patches, fine.tensors)
        if more is None:
            found, previous = fine, error
            continue
        began = time.perf_counter()
        found, previous = once(more, largest, found), np.inf
        seconds["solve"] += time.perf_counter() - began
    allowed = _FLOOR if error is None else max(0.03 * error, _FLOOR)
    factors = [
        from_tensor(p.space, t, allowed, p.space.modes)
        for p, t in zip(found.patches.patches, found.tensors, strict=True)
    ]
    if fine is not None and any(p.space.modes is not None for p in found.patches.patches):
        error = _distance(
            dataclasses.replace(found, tensors=[_whole(f, t) for f, t in zip(factors, found.tensors, strict=True)]),
            fine,
        )
    return _finished(form, found, factors, error, tolerance, history, seconds)


def _problem(form: Any, patches: Patches) -> Callable[[Patches, int, _Discrete | None], _Discrete]:
    """The solve on one set of patches, at most as many unknowns, from a solution on coarser ones.

    **Raises:** `ValueError` for what is no form on the patches.
    """
    first = form[0] if isinstance(form, list | tuple) and form else form
    if not isinstance(first, Energy | Weak):
        forms = forms_of(form, patches)
        return lambda patches, largest, before: _once(forms, patches, largest)
    given = pointwise_forms(form, patches)

    def once(patches: Patches, largest: int, before: _Discrete | None) -> _Discrete:
        _check_size(patches, largest)
        start = None if before is None else (before.patches, before.tensors)
        tensors, found, unknowns, linear = stationary(given, patches, start)
        words = f"{words_of(first, linear, found)}, {unknowns} unknowns"
        return _Discrete(patches, tensors, unknowns, words, newton=found)

    return once


def _check_size(patches: Patches, largest: int) -> None:
    if patches.unknowns > largest:
        raise ValueError(
            f"the patches have {patches.unknowns} unknowns together; expected at most {largest}. Use fewer cells, or raise largest="
        )


def _once(forms: list[tuple[Expression, Expression]], patches: Patches, largest: int) -> _Discrete:
    _check_size(patches, largest)
    whole = [with_weak_conditions(form, p.space) for (_, form), p in zip(forms, patches.patches, strict=True)]
    parts = systems([written for written, _ in forms], whole, patches)
    count = parts[0].components
    known = known_values(patches, count)
    if patches.mean is not None and count > 1:
        raise ValueError("a mean is given for a solution with several components; expected one component")
    integral = None if patches.mean is None else _integral(patches)
    try:
        if integral is None and any(_open(whole, known, k) for k in range(count)):
            raise SingularSystemError(SENTENCE)
        unknowns, residual = solved(GluedSystem(patches, parts), known, integral, patches.mean)
    except SingularSystemError as error:
        raise ValueError(f"{forms[0][0]}: {error}") from None
    shaped = [unknowns[places] for places in places_of(patches, count)]
    number = int(np.sum(np.isnan(known)))
    return _Discrete(patches, shaped, number, f"one sparse system of {number} unknowns", residual)


def _open(forms: list[Expression], known: np.ndarray, component: int) -> bool:
    """Whether a constant can be added to a component: nothing holds it and every term differentiates it."""
    trials = [term.factor("trial") for form in forms for term in form.terms]
    mine = [f for f in trials if f is not None and f.component == component]
    count = mine[0].components if mine else 1
    held = np.any(~np.isnan(known.reshape(-1, count)[:, component]))
    return not held and all(any(order for _, order in f.orders) for f in mine)


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


def _whole(factors: Factors, like: np.ndarray) -> np.ndarray:
    return full(factors).reshape(like.shape)


def _line(found: _Discrete, error: float) -> dict[str, Any]:
    spaces = [p.space for p in found.patches.patches]
    return {
        "cells": [[b.elements for b in s.bases.values()] for s in spaces],
        "degrees": [[b.degree for b in s.bases.values()] for s in spaces],
        "unknowns": found.unknowns,
        "error": error,
        **({"residual": found.residual} if found.newton is None else {"residuals": found.newton.history}),
    }


def _finished(
    form: Any,
    found: _Discrete,
    factors: list[Factors],
    error: float | None,
    tolerance: float | int | None,
    history: list,
    seconds: dict,
) -> PatchSolution:
    components, words = found.tensors[0].shape[-1], found.words
    success, status, message = True, "solved", f"solved by {words}; "
    message += "no error was estimated" if error is None else f"the relative error is about {error:.1e}"
    if tolerance is not None and error is not None and error > tolerance:
        success, status = False, "tolerance not reached"
        message = f"reached a relative error of about {error:.1e} after {len(history)} spaces, not the {tolerance:.1e} asked for"
    if not found.residual < max(1e-9, 0.01 * (error or 0.0)):
        success, status = False, "not converged"
        message = f"{words}: corrections stopped at {found.residual:.1e}; cells differ too much in size for their arithmetic, or the form is close to singular"
    if found.newton is not None:
        first = form[0] if isinstance(form, list | tuple) else form
        success, status, message = judged(first, found.newton, error, tolerance, words, history)
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
