r"""Values on faces in the weak sense: symmetric Nitsche, with a constant that follows from the space.

    a(u, v) - l(v) - int q(u) v - int (u - g) q(v) + beta int c (u - g) v = 0,    q(u) = sum of c d^alpha u n   where the form has  c d^alpha u v_n

`q` is what integration by parts leaves on the face `x_n = const`, read off the form (Nitsche, Abh. Math. Univ. Hamburg 36 (1971)). In the energy
`|q(u)|^2 <= c |grad u|_c^2`, and on splines `w` of one coordinate the face is bounded by the inside,

    sum over its ends of w^2  <=  lambda int m w^2 dx_n,    lambda = largest eigenvalue of  E^T G^-1 E,    m = min of c(x_n, .) / c(face, .)

so that `beta = 2 s lambda` keeps the form as definite as it was: `w` is `u_n`, splines of one degree less, and `s = 1` where the directions are apart; where
mixed derivatives couple them, `w` is any derivative of `u` and `s` the number of directions with such faces. The data need not be separable, nor agree
at corners, nor be met by splines.
"""

import dataclasses

import numpy as np
import scipy.linalg

from ..basis import BSpline
from .axis import gauss_points, tabulate
from .expressions import Coordinate, Expression, Factor, Term
from .space import Space

# Points of the other coordinates at which coefficients are compared, half of them on the boundary.
_SAMPLES = 128


def with_weak_conditions(form: Expression, space: Space) -> Expression:
    """The form with the terms of all faces that are held weakly.

    **Raises:** `ValueError` where the form has no second derivative across such a face, or a coefficient that vanishes or changes its sign.

    >>> import infinity as inf
    >>> from infinity.pde.nitsche import with_weak_conditions
    >>> (x,), u, v = inf.pde.coordinates("x"), inf.pde.trial(), inf.pde.test()
    >>> space = inf.pde.Space({x: inf.basis.BSpline((0.0, 1.0), 2, 1)}, nitsche={x: {"right": 3}})
    >>> print(with_weak_conditions(u.d(x) * v.d(x) - v, space))
    u.d(x) v.d(x) - v - u.d(x) v at x=1 - u v.d(x) at x=1 + 3 v.d(x) at x=1 + 4 u v at x=1 - 12 v at x=1
    """
    inside = [term for term in form.terms if not term.faces]
    terms = list(form.terms)
    for c, sides in space.nitsche.items():
        constants = _constants(inside, c, list(sides), space)
        for (side, given), constant in zip(sides.items(), constants, strict=True):
            held = {k: g for k, g in enumerate(given) if g is not None}
            whole = len(given) == 1
            on = lambda k, held=held, whole=whole: held.get(0 if whole else k)
            terms += _terms(inside, c, space.place(c, side), 1.0 if side == "right" else -1.0, constant, on)
    return Expression(tuple(terms))


def _terms(inside: list[Term], c: Coordinate, place: float, sign: float, constant: float, on) -> list[Term]:
    """The terms of one face; `on` gives the value that a component is held at, or nothing."""
    found: list[Term] = []
    for term in inside:
        test, trial = term.factor("test"), term.factor("trial")
        assert test is not None
        at = dataclasses.replace(term, faces=((c, place),))
        if test.order(c) and on(test.component) is not None:
            known = (without(test, c),) if trial is None else (trial, without(test, c))
            found.append(dataclasses.replace(at, number=-sign * term.number, factors=known))
        if trial is None or not trial.order(c) or not _order(term, "test"):
            continue
        g = on(trial.component)
        if g is None:
            continue
        flux = dataclasses.replace(at, number=-sign * term.number, factors=(without(trial, c), test))
        found += [flux, *_with_data(flux, g)]
        if test.order(c) and on(test.component) is not None:
            factors = (without(trial, c), without(test, c))
            penalty = dataclasses.replace(at, number=constant * term.number, factors=factors)
            found += [penalty, *_with_data(penalty, g)]
    return found


def _with_data(term: Term, g: Expression) -> list[Term]:
    """Minus a term, with the data in the place of the trial function."""
    test = term.factor("test")
    assert test is not None
    bare = Expression((dataclasses.replace(term, number=-term.number, factors=(test,)),))
    return [part for part in (bare * g).terms if part.number]


def without(factor: Factor, c: Coordinate) -> Factor:
    """A factor without its derivative in a coordinate."""
    return dataclasses.replace(factor, orders=tuple((other, k) for other, k in factor.orders if other != c))


def _constants(inside: list[Term], c: Coordinate, sides: list[str], space: Space) -> list[float]:
    """`beta` of each face of one coordinate."""
    second = [t for t in inside if t.factor("trial") is not None and _order(t, "trial") and _order(t, "test")]
    for term in inside:
        if any(f.order(c) and sum(k for _, k in f.orders) > 1 for f in term.factors):
            raise ValueError(
                f"values at the ends of {c} are held weakly and the term {term} has higher derivatives; nitsche takes equations of second order. Use dirichlet"
            )
    if not any(t.factors[0].order(c) and t.factors[1].order(c) for t in second):
        raise ValueError(
            f"values at the ends of {c} are held weakly and the form has no term with u.d({c}) v.d({c}); "
            "nitsche takes a second derivative across the face. Use dirichlet"
        )
    coupled = any(
        t.factors[0].orders != t.factors[1].orders or t.factors[0].component != t.factors[1].component for t in second
    )
    groups: dict[tuple, list[Term]] = {}
    for t in second:
        one, two = t.factors
        if one.orders == two.orders and one.component == two.component and (coupled or one.order(c)):
            groups.setdefault((one.orders, one.component), []).append(dataclasses.replace(t, factors=()))
    basis = space.bases[c]
    degree = basis.degree if coupled else basis.degree - 1
    points, weights = gauss_points(basis, basis.degree + 4)
    splines = BSpline(breakpoints=np.asarray(basis.breakpoints, float).tolist(), degree=degree)
    table = tabulate(splines, points, 0)
    share = len(space.nitsche) if coupled else 1
    found = []
    for side in sides:
        place = space.place(c, side)
        ratio = np.min([_ratio(Expression(tuple(g)), c, place, points, space) for g in groups.values()], axis=0)
        gram = table.T @ ((weights * ratio)[:, None] * table)
        ends = tabulate(splines, np.array([space.place(c, s) for s in sides]), 0).T
        scale = 1 / np.sqrt(np.diag(gram))
        inverse = scipy.linalg.solve(gram * np.outer(scale, scale), scale[:, None] * ends, assume_a="pos")
        largest = float(np.linalg.eigvalsh(ends.T @ (scale[:, None] * inverse))[-1])
        found.append(2 * share * largest)
    return found


def _order(term: Term, role: str) -> int:
    factor = term.factor(role)
    return 0 if factor is None else sum(k for _, k in factor.orders)


def _ratio(coefficient: Expression, c: Coordinate, place: float, points: np.ndarray, space: Space) -> np.ndarray:
    """The least value of a coefficient on each plane relative to the face, over sampled places of the other coordinates."""
    rng = np.random.default_rng(0)
    others = {}
    for other, basis in space.bases.items():
        low, high = np.asarray(basis.breakpoints, float)[[0, -1]]
        sample = rng.uniform(low, high, _SAMPLES)
        sample[::2] = rng.choice([low, high], len(sample[::2]))
        others[other] = sample[None, :]
    inside = np.asarray(coefficient.values({**others, c: points[:, None]})) + np.zeros((len(points), _SAMPLES))
    face = np.asarray(coefficient.values({**others, c: np.full((1, 1), place)})) + np.zeros((1, _SAMPLES))
    ratio = np.min(inside / np.where(face == 0, 1.0, face), axis=1)
    if np.any(face == 0) or np.min(ratio) <= 0:
        raise ValueError(
            f"values at {c}={place:g} are held weakly, where the coefficient {coefficient} of the second derivative vanishes or changes its sign; "
            "expected one that is positive. Use dirichlet"
        )
    return ratio
