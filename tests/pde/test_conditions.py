"""Values on faces: weakly by the method of Nitsche as accurately as exactly, and for each component by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline
from infinity.pde.nitsche import with_weak_conditions

from . import problems as known
from .problems import LAPLACE, PI, assert_refused, both, box, t, u, v, x, y


def plane_stress(a, b, c, d, nu=0.3):
    lame, shear = nu / (1 - nu**2), 1 / (2 * (1 + nu))
    energy = (2 * shear + lame) * (a.d(x) * c.d(x) + b.d(y) * d.d(y)) + lame * (a.d(x) * d.d(y) + b.d(y) * c.d(x))
    return energy + shear * (a.d(y) + b.d(x)) * (c.d(y) + d.d(x))


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_weak_values_are_as_good_as_exact_ones(degree):
    """Four faces, with the rate of the degree and the structure that fast diagonalisation asks for."""
    exact, errors = np.exp(x) * np.sin(y), []
    sides = {c: {"left": exact, "right": exact} for c in (x, y)}
    for cells in (4, 8):
        weak = inf.solve(LAPLACE, box(x, y, cells=cells, degree=degree, nitsche=sides), estimate=False)
        errors.append(weak.error(exact))
    assert weak.solver == "fast diagonalisation in x, y"
    assert np.log2(errors[0] / errors[1]) > degree + 0.85
    lifted = inf.solve(LAPLACE, box(x, y, cells=8, degree=degree, dirichlet=sides), estimate=False)
    assert errors[1] < (2.5 if degree == 1 else 1.2) * lifted.error(exact)


@pytest.mark.parametrize("problem", [known.coefficient, known.advection, known.three])
def test_weak_values_with_coefficients_advection_and_three_dimensions(problem):
    form, space, solution = problem(cells=6, degree=3)
    weak = inf.pde.Space(space.bases, nitsche=space.dirichlet)
    expected = inf.solve(form, space, estimate=False).error(solution)
    assert inf.solve(form, weak, estimate=False).error(solution) < 1.1 * expected


def test_weak_values_on_a_wavy_domain_and_on_patches():
    """Mixed derivatives: the bound is for all of the gradient."""
    wavy = inf.pde.Mapping(
        (x, y), lambda p: jnp.array([p[0] + 0.1 * jnp.sin(3 * p[1]), p[1] * (1 + 0.2 * p[0])]), [(0, 1)] * 2
    )
    exact = wavy.pulled_back(lambda a, b: jnp.exp(a) * jnp.sin(b))
    sides = {c: {"left": exact, "right": exact} for c in (x, y)}
    errors = [
        inf.solve(wavy.gradients(u, v), box(x, y, cells=6, degree=3, **{kind: sides}), estimate=False).error(exact)
        for kind in ("dirichlet", "nitsche")
    ]
    assert errors[1] < 1.1 * errors[0]
    one, two, g = BSpline((0.0, 1.0), 3, 3), BSpline((1.0, 2.0), 4, 3), x**2 - y**2
    ends = {y: {"left": g, "right": g}}
    spaces = [
        inf.pde.Space({x: one, y: one}, nitsche={x: {"left": g}, **ends}),
        inf.pde.Space({x: two, y: one}, nitsche=ends, dirichlet={x: {"right": g}}),
    ]
    assert inf.solve(LAPLACE, inf.pde.Patches(spaces), estimate=False).error(g) < 1e-12


@pytest.mark.parametrize("elements", [1, 5])
def test_the_constant_bounds_the_face_by_the_inside(elements):
    """The form stays positive on the whole space, whatever the cells: its smallest eigenvalue is that of the problem."""
    rng = np.random.default_rng(elements)
    points = np.unique(np.concatenate([[0.0, 1.0], rng.uniform(0, 1, elements - 1) ** 3]))
    for degree in (1, 3, 6):
        basis = BSpline(breakpoints=points.tolist(), degree=degree)
        space = inf.pde.Space({x: basis}, nitsche={x: "both"})
        form = (1 + 3 * x) * u.d(x) * v.d(x)
        lowest = inf.pde.eigenvalues(form, space, 1).values[0]
        assert lowest > 0.4 * PI**2
        assert with_weak_conditions(form, space.refined()).terms[-1].number > 0


def test_incompatible_corners():
    """One at the top, zero elsewhere: refused by the exact lift, solved weakly; beside the series."""
    with pytest.raises(ValueError, match="at the corner"):
        box(x, y, dirichlet={x: "both", y: {"left": 0, "right": 1}})
    space = box(x, y, cells=16, degree=3, nitsche={x: "both", y: {"left": 0, "right": 1}})
    result = inf.solve(LAPLACE, space, estimate=False)
    n = np.arange(1, 60, 2)
    series = [
        np.sum(4 / (n * PI) * np.sin(n * PI * a) * np.sinh(n * PI * b) / np.sinh(n * PI))
        for a, b in ((0.5, 0.5), (0.3, 0.6))
    ]
    assert np.allclose(result.values([[0.5, 0.5], [0.3, 0.6]]), series, atol=1e-4)


def test_rollers():
    """A plate that is pulled: nothing moves across the two faces it lies on, and each moves along them freely."""
    (a, b), (c, d) = inf.pde.trial(2), inf.pde.test(2)
    exact = (0.7 * x, -0.21 * y)
    sides = {x: {"left": (0, None)}, y: {"left": (None, 0)}}
    for kind in ("dirichlet", "nitsche"):
        space = box(x, y, cells=5, degree=2, **{kind: sides})
        result = inf.solve(plane_stress(a, b, c, d) - 0.7 * c * x.at(1), space)
        assert result.error(exact) < 1e-12
    assert "free, 0 at the left" in str(space)
    pulled = {x: {"left": (0, None), "right": (0.7, None)}, y: {"left": (None, 0)}}
    assert inf.solve(plane_stress(a, b, c, d), box(x, y, cells=4, degree=2, dirichlet=pulled)).error(exact) < 1e-12


def test_components_with_their_own_faces_in_eigenvalues():
    """Two equations in one: each has the eigenvalues of a square that is held on one side."""
    (a, b), (c, d) = inf.pde.trial(2), inf.pde.test(2)
    form = a.d(x) * c.d(x) + a.d(y) * c.d(y) + b.d(x) * d.d(x) + b.d(y) * d.d(y)
    space = box(x, y, cells=6, degree=5, dirichlet={x: {"left": (0, None)}, y: {"left": (None, 0)}})
    found = inf.pde.eigenvalues(form, space, 6).values
    exact = np.sort([PI**2 * ((i + 0.5) ** 2 + j**2) for i in range(4) for j in range(4) for _ in range(2)])[:6]
    assert np.allclose(found, exact, rtol=1e-6)


def bad_inputs():
    form = LAPLACE - v
    yield (
        "no term with u.d\\(t\\)",
        lambda: inf.solve(u.d(t) * v + u.d(x) * v.d(x), box(x, t, nitsche={t: "left"}, dirichlet=both(x))),
    )
    yield "equations of second order", lambda: inf.solve(u.d(x, 2) * v.d(x, 2) + form, box(x, y, nitsche=both(x)))
    yield (
        "vanishes or changes its sign",
        lambda: inf.solve(x * u.d(x) * v.d(x) + u.d(y) * v.d(y) - v, box(x, y, nitsche={x: "left"})),
    )
    yield "by dirichlet and by nitsche", lambda: box(x, y, dirichlet=both(x), nitsche={x: "left"})
    yield "which determine the constant", lambda: box(x, y, nitsche=both(x), mean=0)
    yield "periodic and has Dirichlet", lambda: box(x, y, nitsche=both(x), periodic=[x])
    yield (
        "is held weakly|are held weakly",
        lambda: inf.solve(inf.pde.Energy(lambda x, u, du: du @ du), box(x, y, nitsche=both(x))),
    )
    yield "expected zero conditions", lambda: inf.pde.eigenvalues(LAPLACE, box(x, y, nitsche={x: {"left": 1}}))
    yield "the value at the left end of x is \\(None, None\\)", lambda: box(x, y, dirichlet={x: {"left": (None, None)}})
    yield "the value at the left end of x is None", lambda: box(x, y, dirichlet={x: {"left": None}})
    yield "expected coordinates of the space", lambda: box(x, y, nitsche={x: {"left": t}})


@pytest.mark.parametrize(
    ("sentence", "call"), list(bad_inputs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_bad_input(sentence, call):
    assert_refused(sentence, call)


def test_weak_values_in_single_precision_outside():
    exact = np.exp(x) * np.sin(y)
    space = lambda: box(x, y, cells=4, degree=3, nitsche={c: {"left": exact, "right": exact} for c in (x, y)})
    wide = inf.solve(LAPLACE, space(), estimate=False).error(exact)
    with jax.enable_x64(False):
        assert inf.solve(LAPLACE, space(), estimate=False).error(exact) == pytest.approx(wide, rel=1e-2)
