r"""Solve an `Energy` or a `Weak`: the closure check says whether one linear solve is exact, Newton's method does the rest.

u(x, p) = sum_q u_q(x) l_q(p):    one problem at each Gauss point of the parameters, each begun from its neighbour's solution
"""

import itertools
import math
import time
from typing import Any

import numpy as np

from ..models.norm import norm
from .axis import Axis, gauss_points, tabulate
from .expressions import Coordinate
from .function_space import Difference, as_model, distance, from_tensor
from .kronecker import along
from .mesh import Mesh
from .newton import Part, Stationary, System, is_linear, newton
from .pointwise import Energy, Weak, tables_at_points
from .pointwise_values import free_functions, lifted, with_values, without_values
from .result import Solution
from .space import Space, divided

_ROUNDS, _FLOOR, _LARGEST = 6, 1e-14, 60_000


def solve_pointwise(form: Energy | Weak, space: Space, tolerance: float | int | None, estimate: bool) -> Solution:
    """Find the function of a space that makes an energy stationary or a weak form zero.

    **Arguments:** as `inf.solve`. The error estimate compares with cells of half the size, on which the iteration begins from the present solution.

    **Raises:** `ValueError` for a form that is not linear in the test function, a quadratic energy without a minimum, parameters with conditions, or
    more than three
    coordinates that are no parameters.
    """
    inner, parameters = _split(form, space)
    if isinstance(form, Weak):
        middle = np.array([np.mean(np.asarray(b.breakpoints)) for b in space.bases.values()])
        for part in (form, *(part for _, _, part in form.boundary)):
            part.check(len(space.bases), middle)
    linear = is_linear(form, len(space.bases))
    seconds, history = {"solve": 0.0, "estimate": 0.0}, []
    began = time.perf_counter()
    tensor, found = _once(form, space, inner, parameters, linear, None)
    seconds["solve"] += time.perf_counter() - began
    error, current, previous = None, space, np.inf
    while estimate or tolerance is not None:
        began = time.perf_counter()
        fine = current.with_bases({c: divided(b) for c, b in current.bases.items()})
        finer, checked = _once(
            form,
            fine,
            [fine.bases[c] for c in fine.bases if c not in parameters],
            parameters,
            linear,
            (current, tensor),
        )
        error = _distance(current, tensor, fine, finer)
        seconds["estimate"] += time.perf_counter() - began
        history.append(_line(current, error, found))
        size = math.prod(b.size for c, b in fine.bases.items() if c not in parameters) * (form.components or 1)
        if (
            tolerance is None
            or error <= tolerance
            or len(history) == _ROUNDS
            or 4 * size > _LARGEST
            or error > 0.9 * previous
        ):
            break
        current, tensor, found, previous = fine, finer, checked, error
    allowed = _FLOOR if error is None else max(0.1 * error, _FLOOR)
    factors = from_tensor(current, tensor, allowed, current.modes)
    if current.modes is not None and error is not None:
        error = float(np.hypot(error, _truncation(current, tensor, factors)))
    words = words_of(form, linear, found, parameters)
    success, status, message = judged(form, found, error, tolerance, words, history)
    count = form.components or 1
    model = as_model(current, factors, count)
    return Solution(model, success, status, message, error, words, history, current, seconds, factors, count)


def _split(form: Energy | Weak, space: Space) -> tuple[list[Any], tuple[Coordinate, ...]]:
    """The bases of the coordinates, and the parameters."""
    parameters = tuple(c for c in space.bases if c in form.parameters)
    for c in form.parameters:
        if c not in space.bases:
            raise ValueError(
                f"{type(form).__name__} names the parameter {c}, which is not in the space of {', '.join(n.name for n in space.coordinates)}"
            )
        if c in space.dirichlet or c in space.periodic:
            raise ValueError(f"{c} is named as a parameter and has conditions in the space; expected one of the two")
    for c, value, _ in form.boundary:
        if c not in space.bases or c in parameters:
            raise ValueError(
                f"{type(form).__name__} has the face {c}={value:g}; expected a coordinate of the space that is no parameter: {', '.join(map(str, space.bases))}"
            )
        low, high = space.place(c, "left"), space.place(c, "right")
        if not low <= value <= high:
            raise ValueError(f"{type(form).__name__} has the face {c}={value:g}, outside of [{low:g}, {high:g}]")
    if space.components not in (1, form.components or 1):
        raise ValueError(
            f"the space has values for {space.components} components and the {type(form).__name__} has {form.components or 1}; "
            "give one value for each, or one for all"
        )
    if space.nitsche:
        raise ValueError(
            "values are held weakly for an Energy or a Weak; expected a form such as u.d(x)*v.d(x) - f*v. Use dirichlet"
        )
    if space.mean is not None:
        raise ValueError("a mean is given for an Energy or a Weak; add a term that holds the constant instead")
    return [b for c, b in space.bases.items() if c not in parameters], parameters


def _once(
    form: Energy | Weak,
    space: Space,
    inner: list[Any],
    parameters: tuple[Coordinate, ...],
    linear: bool,
    before: tuple[Space, np.ndarray] | None,
) -> tuple[np.ndarray, Stationary]:
    """The coefficients of all coordinates on one space, and how the last problem went."""
    names, count = [c for c in space.bases if c not in parameters], form.components or 1
    bases = dict(zip(names, inner, strict=True))
    part = Space(bases, None, without_values(space, names), [c for c in space.periodic if c in names])
    shape = [b.size for b in inner]
    numbers = np.arange(math.prod(shape))
    parts = [Part(Mesh(part), tables_at_points(form), numbers)]
    parts += [Part(Mesh(part, (c, at)), tables_at_points(one), numbers) for c, at, one in form.boundary]
    free = free_functions(part, count)
    rules = [gauss_points(space.bases[c], space.bases[c].degree + 1)[0] for c in parameters]
    everything = list(space.bases)
    order = tuple((names + list(parameters)).index(c) for c in everything) if parameters else None
    known = None if before is None else prolonged(*before, space)
    values = np.zeros([*(len(r) for r in rules), *shape, count])
    worst: Stationary | None = None
    start: np.ndarray | None = None
    for place in itertools.product(*(range(len(r)) for r in rules)):
        at = {c: float(rule[i]) for c, rule, i in zip(parameters, rules, place, strict=True)}
        values_on_faces = lifted(space, part, at, count)
        if known is not None:
            start = _at_parameters(known, space, parameters, at)
        first = values_on_faces if start is None else with_values(start, values_on_faces, part)
        system = System(parts, free, count, tuple(at.values()), order)
        found = newton(system, first, linear=linear, symmetric=isinstance(form, Energy))
        if not found.converged and start is not None:
            found = newton(system, values_on_faces, linear=linear, symmetric=isinstance(form, Energy))
        check_bounded(form, linear, found)
        values[place] = start = found.coefficients
        worst = found if worst is None or not found.converged else worst
    assert worst is not None
    if not parameters:
        return values, worst
    tensor = np.moveaxis(values, range(len(parameters)), range(len(names), len(everything)))
    tensor = np.transpose(tensor, [*((names + list(parameters)).index(c) for c in everything), len(everything)])
    for c in parameters:
        tensor = along(
            Axis(c, space.bases[c], pointwise=True).project(np.eye(len(rules[parameters.index(c)]))),
            tensor,
            everything.index(c),
        )
    return tensor, worst


def check_bounded(form: Energy | Weak, linear: bool, found: Stationary) -> None:
    """Refuse a quadratic energy without a minimum.

    **Raises:** `ValueError` that says so.
    """
    if isinstance(form, Energy) and linear and found.negative:
        raise ValueError(
            f"the energy is quadratic and not bounded below on this space ({found.negative} negative directions); it has no minimum. "
            "Write its stationarity as an inf.pde.Weak if a saddle is meant"
        )


def prolonged(space: Space, tensor: np.ndarray, finer: Space) -> np.ndarray:
    """The best approximation of a function, given by the tensor of its coefficients, on finer cells."""
    for d, (c, b) in enumerate(finer.bases.items()):
        axis = Axis(c, b)
        tensor = along(axis.project(tabulate(space.bases[c], axis.points, 0)), tensor, d)
    return tensor


def _at_parameters(
    tensor: np.ndarray, space: Space, parameters: tuple[Coordinate, ...], at: dict[Coordinate, float]
) -> np.ndarray:
    names = list(space.bases)
    for c in parameters:
        tensor = along(tabulate(space.bases[c], np.array([at[c]]), 0), tensor, names.index(c))
    return tensor.reshape([*(b.size for c, b in space.bases.items() if c not in parameters), -1])


def _distance(space: Space, tensor: np.ndarray, finer: Space, reference: np.ndarray) -> float:
    """The relative L2 distance of two functions given by full tensors."""
    on = Difference(finer, within=(finer, space))
    one, other = tensor, reference
    for d, c in enumerate(finer.bases):
        one, other = along(on.table(c, space.bases[c]), one, d), along(on.table(c, finer.bases[c]), other, d)
    return float(np.linalg.norm(one - other) / (np.linalg.norm(other) or 1.0))


def _truncation(space: Space, tensor: np.ndarray, factors: list[np.ndarray]) -> float:
    on = Difference(space)
    whole = on.of(space, from_tensor(space, tensor, _FLOOR, None))
    return distance(on.of(space, factors), whole) / (norm(whole) or 1.0)


def words_of(form: Any, linear: bool, found: Stationary, parameters: tuple[Coordinate, ...] = ()) -> str:
    """How a stationary point was found."""
    kind = "the energy is quadratic" if isinstance(form, Energy) else "the form is linear"
    words = (
        f"one linear solve, as {kind} (closure check)"
        if linear
        else f"Newton's method, {len(found.history)} iterations"
    )
    return words + (f" at each Gauss point of {', '.join(c.name for c in parameters)}" if parameters else "")


def _line(space: Space, error: float, found: Stationary) -> dict[str, Any]:
    bases = space.bases.values()
    return {
        "cells": [b.elements for b in bases],
        "degrees": [b.degree for b in bases],
        "error": error,
        "residuals": found.history,
    }


def judged(
    form: Any, found: Stationary, error: float | None, tolerance: float | int | None, words: str, history: list
) -> tuple[bool, str, str]:
    """Whether the solution is as asked for, in a word and in a sentence."""
    if not found.converged:
        return (
            False,
            "not converged",
            f"{words}: the residual stopped at {found.history[-1]:.1e}; use more cells, or begin nearer by a parameter",
        )
    if isinstance(form, Energy) and found.negative:
        return (
            False,
            "saddle",
            f"{words}: a stationary point with {found.negative} negative directions was found, which is no minimum",
        )
    if error is None:
        return True, "solved", f"solved by {words}; no error was estimated"
    if tolerance is None or error <= tolerance:
        return True, "solved", f"solved by {words}; the relative error is about {error:.1e}"
    return (
        False,
        "tolerance not reached",
        f"reached a relative error of about {error:.1e} after {len(history)} spaces, not the {tolerance:.1e} asked for",
    )
