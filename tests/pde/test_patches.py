"""Glued patches: polynomials are met to rounding, a re-entrant corner has the rates of the degree, maps are followed, and what does not fit is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline
from infinity.pde import Mapping, Patches, Space, graded

from .problems import LAPLACE, PI, assert_refused, box, u, v, x, y, z

r, a, s, t = inf.pde.coordinates("r a s t")


def corner(x, y):
    """r^(2/3) sin(2 theta / 3), zero on both faces of the re-entrant corner."""
    angle = jnp.arctan2(y, x)
    angle = jnp.where(angle < 0, angle + 2 * jnp.pi, angle)
    return jnp.maximum(x**2 + y**2, 1e-300) ** (1 / 3) * jnp.sin(2 * angle / 3)


def ell(left, right, value, inside=0):
    """The square without its lower right quarter: values on the outside, others on the faces of the corner."""
    return Patches(
        [
            Space({x: left, y: left}, dirichlet={x: {"left": value, "right": inside}, y: {"left": value}}),
            Space({x: left, y: right}, dirichlet={x: {"left": value}, y: {"right": value}}),
            Space({x: right, y: right}, dirichlet={x: {"right": value}, y: {"left": inside, "right": value}}),
        ]
    )


def test_polynomials_on_uneven_cells_to_rounding():
    """With a flux through one face: x.at(1) is the outer face alone, x.at(0) the one of the corner and not the cut inside."""
    left, right = BSpline(breakpoints=[-1.0, -0.7, 0.0], degree=3), BSpline(breakpoints=[0.0, 0.2, 0.5, 1.0], degree=3)
    g = x**3 - 3 * x * y**2
    shape = ell(left, right, g, g)
    del shape.patches[2].space.dirichlet[x], shape.patches[0].space.dirichlet[x]["right"]
    form = LAPLACE - (3 - 3 * y**2) * v * x.at(1) - (-3 * y**2) * v * x.at(0)
    result = inf.solve(form, shape)
    assert result.error(g) < 1e-13
    point = jnp.array([0.3, 0.4])
    np.testing.assert_allclose(jax.jit(jax.grad(result.model))(point), [3 * 0.09 - 3 * 0.16, -6 * 0.12], atol=1e-12)
    rows = np.array([[0.0, 0.5], [-0.5, 0.0], [-0.3, -0.9]])
    np.testing.assert_allclose(result.values(rows), rows[:, 0] ** 3 - 3 * rows[:, 0] * rows[:, 1] ** 2, atol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_graded_cells_restore_the_rate_at_a_corner(degree):
    """Order p + 1 in L2; equal cells have 4/3 whatever the degree."""
    exact, errors, equal = inf.pde.function(corner, x, y), [], []
    for cells in (12, 24):
        sides = (graded((-1, 0), cells, degree, "right"), graded((0, 1), cells, degree))
        errors.append(inf.solve(LAPLACE, ell(*sides, exact), estimate=False).error(exact))
        sides = (BSpline((-1.0, 0.0), cells, degree), BSpline((0.0, 1.0), cells, degree))
        equal.append(inf.solve(LAPLACE, ell(*sides, exact), estimate=False).error(exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(degree + 1, abs=0.1)
    assert np.log2(equal[0] / equal[1]) == pytest.approx(4 / 3, abs=0.1)


def test_estimate_is_the_error():
    exact = inf.pde.function(corner, x, y)
    result = inf.solve(LAPLACE, ell(graded((-1, 0), 6, 2, "right"), graded((0, 1), 6, 2), exact))
    assert result.error_estimate == pytest.approx(result.error(exact), rel=0.3)
    missed = inf.solve(LAPLACE, ell(graded((-1, 0), 3, 2, "right"), graded((0, 1), 3, 2), exact), 1e-14, largest=2000)
    assert not missed.success
    assert "not the 1.0e-14 asked for" in missed.message


def test_a_tolerance_gathers_cells_at_the_corner():
    """From equal cells, without a word about the exponent; where the slope is smooth no cell is divided alone."""
    exact = inf.pde.function(corner, x, y)
    result = inf.solve(LAPLACE, ell(BSpline((-1.0, 0.0), 3, 4), BSpline((0.0, 1.0), 3, 4), exact), 1e-6)
    assert result.success
    assert result.error(exact) < 1e-6
    lengths = np.diff(np.asarray(result.patches.patches[2].space.bases[x].breakpoints))
    assert lengths[0] < 1e-3 * lengths[-1]
    assert result.unknowns < 10_000
    smooth = np.exp(x) * np.sin(y)
    sides = {c: {"left": smooth, "right": smooth} for c in (x, y)}
    even = inf.solve(LAPLACE, Patches([box(x, y, cells=2, degree=3, dirichlet=sides)]), 1e-9)
    assert even.success
    assert even.error(smooth) < 1e-9
    assert np.ptp(np.diff(np.asarray(even.patches.patches[0].space.bases[x].breakpoints))) < 1e-12


def test_few_modes_enter_the_estimate():
    exact = inf.pde.function(lambda x, y: 1 / (1 + 4 * (x - y) ** 2), x, y)
    b = BSpline((0.0, 1.0), 6, 4)
    form = u * v + 1e-3 * (u.d(x) * v.d(x) + u.d(y) * v.d(y)) - exact * v
    result = inf.solve(form, Patches([Space({x: b, y: b}, modes=2)]))
    assert result.modes == [2]
    free = inf.solve(form, Patches([Space({x: b, y: b})]))
    assert result.error_estimate > 20 * free.error_estimate


def wave(x, y):
    return jnp.exp(x) * jnp.sin(y)


def test_a_ring_closes_on_itself():
    """One mapped patch whose first and last angle are one face, with a flux outside, at the rate of the degree."""
    polar = Mapping((r, a), lambda p: p[0] * jnp.array([jnp.cos(p[1]), jnp.sin(p[1])]), [(1, 2), (0, 2 * PI)])
    exact = inf.pde.function(wave, x, y)
    flux = inf.pde.function(lambda x, y: (x * jnp.sin(y) + y * jnp.cos(y)) * jnp.exp(x) / 2)
    errors = []
    for cells in (3, 6):
        bases = {r: BSpline((1.0, 2.0), cells, 3), a: BSpline((0.0, 2 * PI), 5 * cells, 3)}
        space = Space(bases, dirichlet={r: {"left": polar.pulled_back(wave)}})
        result = inf.solve(LAPLACE - flux * v * r.at(2), Patches([(space, polar)], coordinates=(x, y)), estimate=False)
        errors.append(result.error(exact))
    assert np.log2(errors[0] / errors[1]) > 3.9
    at = jnp.array([0.3, -1.4])
    assert float(result.model(at)) == pytest.approx(float(wave(*at)), rel=1e-3)


def test_a_box_and_a_curved_patch_with_turned_coordinates():
    """The common face is x=1 from below for the one and s from 0 to 1, downwards, for the other."""
    curved = Mapping(
        (s, t), lambda p: jnp.array([1 + p[1] * (1 + 0.3 * jnp.sin(PI * p[0])), 1 - p[0]]), [(0, 1), (0, 1)]
    )
    exact, errors = inf.pde.function(wave, x, y), []
    for cells in (4, 8):
        b, g = BSpline((0.0, 1.0), cells, 3), curved.pulled_back(wave)
        box = Space({x: b, y: b}, dirichlet={x: {"left": exact}, y: {"left": exact, "right": exact}})
        bulge = Space({s: b, t: b}, dirichlet={s: {"left": g, "right": g}, t: {"right": g}})
        result = inf.solve(LAPLACE, Patches([box, (bulge, curved)]), estimate=False)
        errors.append(result.error(exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.8)  # before the asymptotic range
    assert errors[1] < 2e-5


def test_three_dimensions_materials_and_components():
    """Two materials, one form each: the slope jumps so that the flux does not; and a linear displacement on two cubes."""
    one, two, side = BSpline((0.0, 1.0), 2, 2), BSpline((1.0, 2.0), 3, 2), BSpline((0.0, 1.0), 2, 2)
    spaces = [Space({x: b, y: side, z: side}, dirichlet={x: held}) for b, held in ((one, "left"), (two, {"right": 3}))]
    form = lambda k: k * (LAPLACE + u.d(z) * v.d(z))
    result = inf.solve([form(2.0), form(1.0)], Patches(spaces), estimate=False)
    np.testing.assert_allclose(result.values([[0.5, 0.3, 0.2], [1.5, 0.1, 0.9]]), [0.5, 2.0], atol=1e-12)
    (b, c), (d, e) = inf.pde.trial(2), inf.pde.test(2)
    energy = 2 * (b.d(x) * d.d(x) + c.d(y) * e.d(y)) + (b.d(y) + c.d(x)) * (d.d(y) + e.d(x))
    linear = (0.1 * x + 0.2 * y, 0.3 * x - 0.1 * y)
    spaces = [
        Space({x: one, y: side}, dirichlet={x: {"left": linear}}),
        Space({x: two, y: side}, dirichlet={x: {"right": linear}, y: {"left": linear, "right": linear}}),
    ]
    traction = -1 * (0.5 * d - 0.2 * e) * y.at(0) + (0.5 * d - 0.2 * e) * y.at(1)
    both = [energy - traction, energy]
    assert inf.solve(both, Patches(spaces)).error(linear) < 1e-12


XY = (x, y)
SKEW = Mapping((s, t), lambda p: jnp.array([p[0], 1 + p[1] + 0.3 * p[0]]), [(0, 1), (0, 1)])


def skew_pair(value):
    """A square and a parallelogram beside its upper part, of uneven cells: all polynomials of degree 2 are in the space."""
    b, c = BSpline(breakpoints=[-1.0, -0.3, 0.0], degree=2), BSpline(breakpoints=[0.0, 0.4, 1.0], degree=2)
    one, two = BSpline(breakpoints=[1.0, 1.6, 2.0], degree=2), BSpline(breakpoints=[0.0, 0.6, 1.0], degree=2)
    g = value if isinstance(value, tuple) else (value,)
    moved = tuple(SKEW.pulled_back(lambda x, y, e=e: e.values(dict(zip(XY, (x, y), strict=True)))) for e in g)
    square = Space({x: b, y: one}, dirichlet={x: {"left": g}, y: {"left": g, "right": g}})
    return Patches([square, (Space({s: c, t: two}, dirichlet={s: {"right": moved}, t: {"left": moved}}), SKEW)])


def test_an_energy_on_glued_patches():
    """Newton's method finds a polynomial to rounding, with a flux through a slanted face; a quadratic energy is one linear solve, that of the form."""
    exact = x**2 - y**2 + 0.5 * x
    cube = lambda p: (p[0] ** 2 - p[1] ** 2 + 0.5 * p[0]) ** 3
    normal = jnp.array([-0.3, 1.0]) / jnp.sqrt(1.09)
    flux = lambda p: jnp.array([2 * p[0] + 0.5, -2 * p[1]]) @ normal
    energy = inf.pde.Energy(
        lambda p, u, du: du @ du / 2 + u**4 / 4 - cube(p) * u, faces={t.at(1): lambda p, u, du: -flux(p) * u}
    )
    result = inf.solve(energy, skew_pair(exact))
    assert result.success
    assert "Newton" in result.solver
    assert result.error(exact) < 1e-13
    assert result.error_estimate < 1e-12
    quadratic = inf.pde.Energy(lambda p, u, du: du @ du / 2 - p[0] * u)
    result = inf.solve(quadratic, skew_pair(exact), estimate=False)
    expected = inf.solve(LAPLACE - x * v, skew_pair(exact), estimate=False)
    assert "one linear solve" in result.solver
    rows = np.array([[-0.4, 1.3], [0.5, 1.7], [0.0, 1.5]])
    np.testing.assert_allclose(result.values(rows), expected.values(rows), atol=1e-13)


def test_large_deformations_of_a_block():
    """A compressible neo-Hookean material on two patches, pulled at a slanted face: the homogeneous deformation to rounding."""
    F = jnp.array([[1.3, 0.2], [-0.1, 0.9]])
    stored = lambda du: (jnp.sum((jnp.eye(2) + du) ** 2) - 2) / 2 - log(du) + log(du) ** 2
    log = lambda du: jnp.log(jnp.linalg.det(jnp.eye(2) + du))
    traction = jax.grad(stored)(F - jnp.eye(2)) @ jnp.array([-0.3, 1.0]) / jnp.sqrt(1.09)
    energy = inf.pde.Energy(lambda p, u, du: stored(du), faces={t.at(1): lambda p, u, du: -traction @ u}, components=2)
    exact = (0.3 * x + 0.2 * y, -0.1 * x - 0.1 * y)
    result = inf.solve(energy, skew_pair(exact), estimate=False)
    assert result.success
    assert result.error(exact) < 1e-13


def test_a_mean_instead_of_values(tmp_path):
    left, right = BSpline((-1.0, 0.0), 5, 4), BSpline((0.0, 1.0), 5, 4)
    wave = np.cos(PI * x) * np.cos(PI * y)
    shape = Patches([Space({x: left, y: left}), Space({x: right, y: left})], mean=0.5)
    result = inf.solve(LAPLACE - 2 * PI**2 * wave * v, shape)
    assert result.error(wave + 0.5) < 1e-4
    result.save(tmp_path / "patches.inf")
    loaded = inf.load(tmp_path / "patches.inf")
    assert loaded.parts[1].factors[0].tolist() == result.parts[1].factors[0].tolist()


def bad_inputs():
    left, right, other = BSpline((-1.0, 0.0), 3, 2), BSpline((0.0, 1.0), 3, 2), BSpline((-1.0, 0.0), 4, 2)
    pair = lambda one, two, **held: Patches([Space({x: left, y: one}, **held), Space({x: right, y: two})])
    shifted = BSpline(breakpoints=[-1.0, -0.6, -0.3, 0.0], degree=2)
    skew = Mapping((s, t), lambda p: jnp.array([p[0], p[1] - 0.3 * jnp.sin(PI * p[1]) / PI]), [(0, 1), (-1, 0)])
    yield "3 cells of degree 2 on the one side and 4 cells", lambda: pair(left, other)
    yield "other breakpoints on the two sides", lambda: pair(left, shifted)
    yield "but is no whole face of it", lambda: pair(left, BSpline((-1.0, 1.0), 3, 2))
    yield (
        "patches 0 and 1 overlap",
        lambda: Patches([Space({x: left, y: left}), Space({x: BSpline((-0.5, 1.0), 3, 2), y: left})]),
    )
    yield "patch 1 shares no face", lambda: pair(left, BSpline((2.0, 3.0), 3, 2))
    yield (
        "share their corners but not the points",
        lambda: Patches([Space({x: left, y: left}), (Space({s: right, t: left}), skew)]),
    )
    yield "is glued to another patch and has Dirichlet", lambda: pair(left, left, dirichlet={x: "right"})
    yield "expected x, y, in this order", lambda: Patches([Space({x: left, y: left}), Space({y: left, x: right})])
    yield (
        "give those of its box other names",
        lambda: Patches(
            [Space({x: left, y: left}), (Space({x: right, y: left}), Mapping((x, y), lambda p: p, [(0, 1)] * 2))]
        ),
    )
    yield "name the coordinates of the domain", lambda: Patches([(Space({s: right, t: left}), skew)])
    yield "which determine the constant", lambda: Patches([Space({x: left, y: left}, dirichlet={x: "left"})], mean=0)
    yield "expected inf.pde.Space or", lambda: Patches([3])
    free = pair(left, left)
    yield "does not determine", lambda: inf.solve(LAPLACE - v, free)
    yield (
        "adds up to",
        lambda: inf.solve(LAPLACE - v, Patches([Space({x: left, y: left}), Space({x: right, y: left})], mean=0)),
    )
    yield "no outer face of a patch", lambda: inf.solve(LAPLACE - v * x.at(0), free)
    yield "3 forms for 2 patches", lambda: inf.solve([LAPLACE] * 3, free)
    yield "solve got 3 on Patches; expected a form", lambda: inf.solve(3, free)
    energy = lambda **options: inf.pde.Energy(lambda x, u, du: jnp.sum(du**2), **options)
    yield "names parameters on Patches", lambda: inf.solve(energy(parameters=[x]), free)
    yield "no outer face of a patch", lambda: inf.solve(energy(faces={x.at(0): lambda x, u, du: u}), free)
    yield "3 forms for 2 patches", lambda: inf.solve([energy()] * 3, free)
    yield "differ in kind or in their number", lambda: inf.solve([energy(), energy(components=2)], free)
    yield "not bounded below", lambda: inf.solve(inf.pde.Energy(lambda x, u, du: du @ du - 90 * u**2), pair(left, left))
    two = Space({x: left, y: left}, dirichlet={x: {"left": (1, 2)}})
    yield "values for 2 components and the Energy has 3", lambda: inf.solve(energy(components=3), Patches([two]))
    yield (
        "a mean is given for an Energy",
        lambda: inf.solve(energy(), Patches([Space({x: left, y: left})], mean=0.0)),
    )
    yield (
        "where it meets another face",
        lambda: inf.solve(
            LAPLACE,
            Patches(
                [
                    Space({x: left, y: left}, dirichlet={y: {"left": 1}}),
                    Space({x: right, y: left}, dirichlet={y: "left"}),
                ]
            ),
        ),
    )
    yield "expected at most 10", lambda: inf.solve(LAPLACE - v, free, largest=10)
    higher = inf.pde.Patches(
        [(Space({s: right, t: right}), Mapping((s, t), lambda p: p, [(0, 1)] * 2))], coordinates=(x, y)
    )
    yield "a mapped patch takes first derivatives", lambda: inf.solve(u.d(x, 2) * v.d(x, 2) + u * v, higher)
    yield "towards='top'", lambda: graded((0, 1), 3, 2, "top")
    yield "below rounding", lambda: graded((1, 2), 400, 9)


@pytest.mark.parametrize(
    ("sentence", "call"), list(bad_inputs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_bad_input(sentence, call):
    assert_refused(sentence, call)
