r"""Solve a linear form: a method from its structure, an error from cells of half the size, and refinement until a tolerance is met.

a(u, v) = l(v) for all v,        error of u_h  ~  | u_h - u_{h/2} | / | u_{h/2} |
"""

import dataclasses
import functools
import time
from typing import Any, overload

import numpy as np

from ..basis import BSpline
from ..models import HiDeNN
from ..models.norm import norm
from .alternating import solve_products
from .assembly import System, assemble, check_form
from .definite import is_positive
from .expressions import Expression
from .function_space import Difference, as_model, coefficients, compressed, distance, smaller_model
from .kronecker import Factors
from .nitsche import with_weak_conditions
from .nonlinear import solve_pointwise
from .patch_result import PatchSolution
from .patch_solve import LARGEST as PATCHES
from .patch_solve import solve_patches
from .patches import Patches
from .pointwise import Energy, Weak
from .result import Solution
from .space import Space, divided
from .tensor import UNSOLVED, SingularSystemError, solve_tensor
from .truncation import truncated

# Unknowns up to which the full tensor is solved for, and what rounding leaves of a relative error.
LARGEST, _FLOOR = 2_000_000, 1e-15
# Above this, few products of a positive problem are tried first.
_QUICK = 100_000
_ROUNDS, _HIGHEST_DEGREE, _LONGEST = 9, 9, 600


@dataclasses.dataclass(frozen=True, eq=False)
class _Discrete:
    """The solution on one space: the unknowns as a full tensor or as a sum of products."""

    system: System
    tensor: np.ndarray | None
    products: Factors | None
    solver: str
    residual: float

    def factors(self, tolerance: float, modes: int | None) -> Factors:
        """The coefficients in the bases, in as many products as a relative tolerance takes."""
        system, products = self.system, self.products
        if self.tensor is not None:
            products = truncated(self.tensor, tolerance, modes if system.lift is None else None, self.size_of_lift)[0]
        assert products is not None
        found = coefficients(system, products)
        return found if system.lift is None else compressed(system.space, found, tolerance, modes)

    @functools.cached_property
    def size_of_lift(self) -> float:
        """The norm of the part of the solution that is known from the faces."""
        lift, axes = self.system.lift, self.system.axes
        if lift is None:
            return 0.0
        known = [np.sqrt(a.weights)[:, None] * a.spline_values(f) for a, f in zip(axes, lift, strict=False)]
        return norm(known + lift[len(axes) :])


@overload
def solve(
    form: Any,
    space: Space,
    tolerance: float | int | None = None,
    *,
    estimate: bool = True,
    largest: int | None = None,
) -> Solution: ...


@overload
def solve(
    form: Any,
    space: Patches,
    tolerance: float | int | None = None,
    *,
    estimate: bool = True,
    largest: int | None = None,
) -> PatchSolution: ...


def solve(
    form: Any,
    space: Any,
    tolerance: float | int | None = None,
    *,
    estimate: bool = True,
    largest: int | None = None,
) -> Solution | PatchSolution:
    r"""Find the function of a space that meets a weak form.

    **Arguments:**

    - `form`: `a(u, v) - l(v)`, a sum of products of coordinates, known functions, a trial and a test function; or an `Energy` or a `Weak`, for nonlinear
      problems in up to three coordinates and some parameters (on a `Space`).
    - `space`: where the solution is sought: a `Space`, or `Patches` that are glued, where the form may be a list with one a patch.
    - `tolerance`: of the relative L2 error. Cells are halved where that helps, degrees raised where the solution is smooth, and modes added until the
      estimate is below it. Without one the space is used as it is. On patches cells gather where a corner is seen to be singular.
    - `estimate`: whether to solve on cells of about half the size too, which is what the error estimate comes from.
    - `largest`: the number of unknowns up to which the full tensor is solved for before it is written in few products, by default 2,000,000; above it,
      products are solved for. On patches it is the most that there may be, 300,000 by default.

    **Returns:** a `Solution`; a `PatchSolution` on patches.

    **Raises:** `ValueError` for a form that is no linear weak form on the space, or that does not determine the solution.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import numpy as np, infinity as inf
    >>> x, y = inf.pde.coordinates("x y")
    >>> u, v = inf.pde.trial(), inf.pde.test()
    >>> b = inf.basis.BSpline((0.0, 1.0), elements=8, degree=5)
    >>> space = inf.pde.Space({x: b, y: b}, dirichlet={x: "both", y: "both"})
    >>> f = 2 * np.pi**2 * np.sin(np.pi * x) * np.sin(np.pi * y)
    >>> result = inf.solve(u.d(x) * v.d(x) + u.d(y) * v.d(y) - f * v, space, tolerance=1e-10)
    >>> result.success, result.solver, result.modes
    (True, 'fast diagonalisation in x, y', 1)
    >>> result.error(np.sin(np.pi * x) * np.sin(np.pi * y)) < 1e-10
    True
    """
    if not isinstance(space, Space | Patches):
        raise ValueError(f"solve got the space {space!r}; expected an inf.pde.Space or inf.pde.Patches")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"solve got tolerance={tolerance}; expected a positive number")
    if isinstance(space, Patches):
        return solve_patches(form, space, tolerance, estimate, PATCHES if largest is None else largest)
    if isinstance(form, Energy | Weak):
        return solve_pointwise(form, space, tolerance, estimate)
    largest = LARGEST if largest is None else largest
    checked, components = check_form(form, space)
    seconds = {"solve": 0.0, "estimate": 0.0}
    history: list[dict[str, Any]] = []
    began = time.perf_counter()
    coarse = _once(checked, space, components, tolerance, largest)
    seconds["solve"] += time.perf_counter() - began
    if not estimate and tolerance is None:
        factors = coarse.factors(_FLOOR, space.modes)
        return _finished(coarse, factors, None, None, history, seconds, components)
    best: tuple[float, _Discrete, Factors] | None = None
    previous, raised = np.inf, True
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        fine = _once(checked, coarse.system.space.refined(), components, tolerance, largest)
        factors, error, indicators = _compared(coarse, fine, tolerance)
        seconds["estimate"] += time.perf_counter() - began
        history.append(_line(coarse, factors, error))
        if best is None or error < best[0]:
            best = (error, coarse, factors)
        if tolerance is None or error <= tolerance:
            break
        rate = np.log2(previous / error) if np.isfinite(previous) else np.inf
        stuck = error < 3e-15 or (error > 0.5 * previous and error < 1e-9)  # rounding
        following = _next(coarse.system.space, indicators, error, tolerance, rate, raised)
        if stuck or following is None or _too_large(following, largest):
            break
        raised = any(
            b.degree > a.degree
            for a, b in zip(coarse.system.space.bases.values(), following.bases.values(), strict=True)
        )
        previous = error
        began = time.perf_counter()
        coarse = _once(checked, following, components, tolerance, largest)
        seconds["solve"] += time.perf_counter() - began
    assert best is not None
    error, coarse, factors = best
    return _finished(coarse, factors, error, tolerance, history, seconds, components)


def _once(form: Expression, space: Space, components: int, tolerance: float | None, largest: int) -> _Discrete:
    system = assemble(with_weak_conditions(form, space), space, components)
    names = [c.name for c in space.coordinates] + (["the components"] if components > 1 else [])
    try:
        fits = system.operator.size <= largest
        if not fits or (system.operator.size > _QUICK and is_positive(system.operator)):
            ones = [axis.ones if axis.holds_constants else None for axis in system.axes]
            products = solve_products(system.operator, system.load, ones, space.modes, tolerance)
            if not fits or products.residual <= 10 * products.wanted:
                return _Discrete(system, None, products.factors, products.solver, products.residual)
        found = solve_tensor(system.operator, system.load, names)
        return _Discrete(system, found.unknowns, None, found.solver, found.residual)
    except SingularSystemError as error:
        raise ValueError(f"{form}: {error}") from None


def _compared(coarse: _Discrete, fine: _Discrete, tolerance: float | None) -> tuple[Factors, float, list[float]]:
    """The coefficients of the coarse solution, its distance from the fine one, and the part of that in each coordinate."""
    space, finer = coarse.system.space, fine.system.space
    on = Difference(finer, within=(finer, space))
    reference_factors = fine.factors(_FLOOR, None)
    reference = on.of(finer, reference_factors)
    size = norm(reference) or 1.0
    whole = coarse.factors(_FLOOR, space.modes)
    error = distance(on.of(space, whole), reference) / size
    if space.modes is None and coarse.tensor is not None:
        allowed = 0.1 * max(error, _FLOOR) if tolerance is None else 0.3 * max(tolerance - error, 0.1 * error)
        fewer = coarse.factors(max(allowed, _FLOOR), None)
        changed = distance(on.of(space, fewer), reference) / size
        if changed <= max(1.2 * error, 0.0 if tolerance is None else tolerance):
            whole, error = fewer, changed
    indicators = []
    for d, (c, axis) in enumerate(zip(finer.coordinates, coarse.system.axes, strict=True)):
        # The best approximation on the coarse cells of this coordinate alone.
        Q, _ = np.linalg.qr(on.table(c, axis.basis))
        rest = reference[d] - Q @ (Q.T @ reference[d])
        indicators.append(norm([*reference[:d], rest, *reference[d + 1 :]]) / size)
    return whole, error, indicators


def _next(
    space: Space, indicators: list[float], error: float, tolerance: float, rate: float, raised: bool
) -> Space | None:
    """Halve the cells of the coordinates that hold the error, and raise their degree while the solution proves smooth and one halving is not enough."""
    bases = {}
    largest = max(indicators)
    for (c, basis), part in zip(space.bases.items(), indicators, strict=True):
        if part < min(0.03 * largest, 0.1 * tolerance):
            bases[c] = basis
            continue
        finer = divided(basis)
        far = error / 2 ** (basis.degree + 1) > tolerance
        smooth = not np.isfinite(rate) or rate > 0.6 * (basis.degree + 1)
        if far and smooth and basis.degree + 2 <= _HIGHEST_DEGREE:
            finer = BSpline(breakpoints=basis.breakpoints, degree=basis.degree + 2)
        bases[c] = finer
    return space.with_bases(bases)


def _too_large(space: Space, largest: int) -> bool:
    """Whether a space has more functions than are solved for, in all or in one coordinate."""
    sizes = [float(basis.size) for basis in space.bases.values()]
    return float(np.prod(sizes)) > 4 * max(largest, 1) or max(sizes) > _LONGEST


def _line(discrete: _Discrete, factors: Factors, error: float) -> dict[str, Any]:
    bases = discrete.system.space.bases.values()
    return {
        "cells": [b.elements for b in bases],
        "degrees": [b.degree for b in bases],
        "modes": factors[0].shape[1],
        "error": error,
        "residual": discrete.residual,
        "solver": discrete.solver,
    }


def _finished(
    found: _Discrete,
    factors: Factors,
    error: float | None,
    tolerance: float | None,
    history: list,
    seconds: dict,
    components: int,
) -> Solution:
    space = found.system.space
    success, status = True, "solved"
    if error is None:
        message = f"solved by {found.solver}; no error was estimated"
    elif tolerance is None:
        message = f"solved by {found.solver}; the relative error is about {error:.1e}"
    elif error <= tolerance:
        message = f"solved by {found.solver}; the relative error is about {error:.1e}, as asked ({tolerance:.1e})"
    else:
        success, status = False, "tolerance not reached"
        why = (
            f"with the {space.modes} modes that the space allows"
            if space.modes is not None
            else f"after {len(history)} spaces"
        )
        message = f"reached a relative error of about {error:.1e} {why}, not the {tolerance:.1e} asked for; the best model is returned"
    if found.tensor is not None and not found.residual <= UNSOLVED:
        success, status = False, "not converged"
        message = (
            f"{found.solver}: stopped at a residual of {found.residual:.1e} of the load; the form may leave the solution open, "
            "or its coefficients differ too much from products of functions of one coordinate"
        )
    if not all(np.all(np.isfinite(factor)) for factor in factors):
        success, status, message = (
            False,
            "not finite",
            "the solution is not finite; the form is close to singular on this space",
        )
    model = (
        as_model(space, factors, components) if space.modes is not None else smaller_model(space, factors, components)
    )
    if isinstance(model, HiDeNN):
        message += f"; kept as a full tensor of {model.unknowns} coefficients, fewer than its {factors[0].shape[1]} products take"
    return Solution(
        model,
        success,
        status,
        message,
        error,
        found.solver,
        history,
        space,
        seconds,
        factors,
        components,
    )
