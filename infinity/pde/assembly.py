r"""From a form and a space to a linear system: integrals in one coordinate at a time.

a(u, v) = sum_t prod_d int c_td phi_j^(b) phi_i^(a) dx_d        a face replaces the integral by the values there
l(v)    = sum_r prod_d int f_rd phi_i^(a) dx_d
"""

import dataclasses
from typing import Any

import numpy as np

from . import conditions
from .axis import Axis
from .expressions import Coordinate, Expression
from .integrals import Integrals
from .kronecker import Factors, Kronecker, collected, concatenated
from .once import once
from .space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class System:
    """`A w = f` in the orthonormal functions of each direction, and the lift `G` of `u = G + w`.

    **Fields:** `axes`, one a coordinate; `components` of the solution, whose index is one direction more where there are several; `operator`;
    `load`, one matrix
    `(m_d, R)` a direction; `lift`, coefficients in the bases `(n_d, R)`, or nothing; `space`.
    """

    axes: tuple[Axis, ...]
    components: int
    operator: Kronecker
    load: Factors
    lift: Factors | None
    space: Space


def check_form(form: Any, space: Space) -> tuple[Expression, int]:
    """The form as an expression and the number of components.

    **Raises:** `ValueError` for anything but a sum of terms that are linear in the test function, in coordinates of the space.
    """
    if not isinstance(form, Expression):
        raise ValueError(
            f"solve got {form!r}; expected a form such as u.d(x)*v.d(x) - f*v, an inf.pde.Energy or an inf.pde.Weak"
        )
    counts = {factor.components for term in form.terms for factor in term.factors}
    if len(counts) > 1:
        raise ValueError(
            f"the form mixes functions of {' and '.join(map(str, sorted(counts)))} components; expected one number of them"
        )
    for term in form.terms:
        if term.factor("test") is None:
            raise ValueError(
                f"the term {term} has no test function; multiply it with v, or move it into a condition of the space"
            )
        outside = [c for c in Expression((term,)).coordinates if c not in space.bases]
        if outside:
            raise ValueError(
                f"the term {term} depends on {outside[0]}, which is not in the space of {', '.join(c.name for c in space.coordinates)}"
            )
        for c, value in term.faces:
            low, high = (space.place(c, side) for side in ("left", "right"))
            if not low <= value <= high:
                raise ValueError(f"the term {term} lies outside of [{low:g}, {high:g}], the range of {c}")
        for factor in term.factors:
            for c, order in factor.orders:
                if order > space.bases[c].degree:
                    raise ValueError(
                        f"the term {term} takes {order} derivatives in {c}, whose degree is {space.bases[c].degree}; raise the degree"
                    )
    if not any(term.factor("trial") for term in form.terms):
        raise ValueError(f"the form {form} has no trial function; expected terms such as u.d(x)*v.d(x)")
    components = next(iter(counts))
    if space.components not in (1, components):
        raise ValueError(
            f"the space has values for {space.components} components and the form {components}; give one value for each, or one for all"
        )
    return form, components


def axes_of(form: Expression, space: Space) -> dict[Coordinate, Axis]:
    """One axis a coordinate; those in which nothing is differentiated or held are solved pointwise."""
    coupled = (
        set(space.dirichlet)
        | set(space.nitsche)
        | set(space.periodic)
        | (set(space.bases) if space.mean is not None else set())
    )
    for term in form.terms:
        coupled |= {c for factor in term.factors for c, order in factor.orders if order} | {c for c, _ in term.faces}
    return {c: Axis(c, basis, space.ends(c), c not in coupled) for c, basis in space.bases.items()}


def assemble(form: Expression, space: Space, components: int, axes: dict[Coordinate, Axis] | None = None) -> System:
    """Integrate all terms, in the functions of `axes`, by default those that the form asks for."""
    axes = axes_of(form, space) if axes is None else axes
    integrals, alive = Integrals(axes), once(lambda factor: np.any(factor, axis=0))
    operators: list[tuple[float, list[np.ndarray]]] = []
    loads: list[Factors] = []
    rollers = [[_roller(space, axis, k) for axis in axes.values()] for k in range(components)]
    lifts = [conditions.lift(space, _axes_for(space, axes, k), k) for k in range(components)]
    for term in form.terms:
        test, trial = term.factor("test"), term.factor("trial")
        assert test is not None
        if trial is None:
            factors = _held(rollers[test.component], integrals.functional(term))
            loads.append([-factors[0], *factors[1:], *_unit(components, test.component, factors[0].shape[1])])
            continue
        weights = integrals.coefficient(term)
        number = next(iter(weights.values())).shape[1]
        for k in range(number):
            matrices = integrals.matrices(term, weights, k)
            matrices = _held(rollers[test.component], matrices, rollers[trial.component])
            if components > 1:
                matrices.append(np.outer(np.eye(components)[test.component], np.eye(components)[trial.component]))
            operators.append((1.0, matrices))
        known = lifts[trial.component]
        if known is not None:
            factors = _held(rollers[test.component], integrals.applied(term, weights, known))
            kept = np.all([alive(factor) for factor in factors], axis=0)
            if kept.any():
                factors = [factor[:, kept] for factor in factors]
                loads.append([-factors[0], *factors[1:], *_unit(components, test.component, factors[0].shape[1])])
    if space.mean is not None:
        _fix_mean(space, axes, operators, loads, components)
    operators += _idle(operators, rollers)
    operator = collected(operators)
    zero: Factors = [np.zeros((m, 1)) for m in operator.shape]
    return System(
        tuple(axes.values()), components, operator, concatenated(*loads) if loads else zero, _joined(lifts), space
    )


def _axes_for(space: Space, axes: dict[Coordinate, Axis], component: int) -> dict[Coordinate, Axis]:
    """The axes with the ends at which one component is held."""
    ends = {c: space.ends(c, component) for c in axes}
    held = lambda c, axis: axis if ends[c] == space.ends(c) else Axis(c, axis.basis, ends[c], axis.pointwise)
    return {c: held(c, axis) for c, axis in axes.items()}


def _roller(space: Space, axis: Axis, component: int) -> np.ndarray | None:
    """The projector onto the functions that vanish where this component is held and others are not, or nothing."""
    c = axis.coordinate
    if space.ends(c, component) == space.ends(c):
        return None
    sides = [side for d, side in space.faces(component) if d == c]
    Q, _ = np.linalg.qr(np.stack([axis.at(space.place(c, side)) for side in sides], axis=1))
    return np.eye(axis.size) - Q @ Q.T


def _held(
    rows: list[np.ndarray | None], tables: list[np.ndarray], columns: list[np.ndarray | None] | None = None
) -> list[np.ndarray]:
    """Matrices or vectors of all directions, projected onto the functions of a component."""
    found = [table if P is None else P @ table for P, table in zip(rows, tables, strict=True)]
    return found if columns is None else [t if P is None else t @ P for P, t in zip(columns, found, strict=True)]


def _idle(
    operators: list[tuple[float, list[np.ndarray]]], rollers: list[list[np.ndarray | None]]
) -> list[tuple[float, list[np.ndarray]]]:
    """The identity, as large as the operator, on what the projections leave out: these unknowns are zero.

    I - P_1 x .. x P_D = sum_d P_1 x .. x (I - P_d) x I .. x I
    """
    if not any(P is not None for projectors in rollers for P in projectors):
        return []
    size = sum(abs(number) * float(np.prod([np.linalg.norm(m, 2) for m in matrices])) for number, matrices in operators)
    found = []
    for component, projectors in enumerate(rollers):
        places = [d for d, P in enumerate(projectors) if P is not None]
        for d in places:
            parts = [np.eye(len(m)) for m in operators[0][1]]
            for e in places:
                P = projectors[e]
                assert P is not None
                parts[e] = P if e < d else np.eye(len(P)) - P if e == d else parts[e]
            parts[-1] = np.diag(np.eye(len(rollers))[component])
            found.append((size, parts))
    return found


def _unit(components: int, component: int, products: int) -> Factors:
    return [] if components == 1 else [np.repeat(np.eye(components)[:, [component]], products, axis=1)]


def _fix_mean(
    space: Space, axes: dict[Coordinate, Axis], operators: list, loads: list[Factors], components: int
) -> None:
    """Add `int u int v / |domain|` to both sides; what it changes is the constant alone."""
    if components > 1:
        raise ValueError("a mean is given for a solution with several components; expected one component")
    ones = [axis.ones[:, None] for axis in axes.values()]
    size = float(np.prod([np.sum(axis.weights) for axis in axes.values()]))
    if loads:
        whole = concatenated(*loads)
        total = float(np.sum(np.prod([one.T @ factor for one, factor in zip(ones, whole, strict=True)], axis=0)))
        scale = float(np.sum(np.abs(np.prod([np.linalg.norm(f, axis=0) for f in whole], axis=0)))) * np.sqrt(size)
        if abs(total) > 1e-9 * scale:
            raise ValueError(
                f"the load and the values on the faces add up to {total:.4g} over the domain; "
                "a problem that leaves the constant free has a solution only for zero. "
                "Correct the load, or hold the solution somewhere"
            )
    operators.append((1 / size, [one @ one.T for one in ones]))
    assert space.mean is not None
    loads.append([space.mean * ones[0], *ones[1:]])


def _joined(lifts: list[Factors | None]) -> Factors | None:
    """The lifts of all components, with the component as a direction where there are several."""
    parts = [
        lift + _unit(len(lifts), component, lift[0].shape[1])
        for component, lift in enumerate(lifts)
        if lift is not None
    ]
    return concatenated(*parts) if parts else None
