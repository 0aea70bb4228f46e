"""All roots, and the certainty that they are all."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.inverse.bernstein import from_powers, from_values, halves, roots_of, value_of


def separable(parts, box, elements=12, degree=7):
    """The sum of products of functions, to the accuracy of the splines."""
    model = inf.KHRONOS(
        box, modes=len(parts), elements=elements, degree=degree, outputs="scalar", additive=False, constant=False, key=jax.random.key(0)
    )  # fmt: skip
    factors = tuple(jnp.stack([basis.interpolate(part[d]) for part in parts]) for d, basis in enumerate(model.bases))
    return eqx.tree_at(lambda m: m.factors, model, factors)


@pytest.mark.parametrize("degree", [1, 3, 15])
def test_the_matrices_to_bernstein_coefficients_are_exact_to_rounding(degree):
    # v = -1 + 2 t has the coefficients -1 + 2 i / n, and the last power those of one sign after another.
    matrix, (points, fit, enlarged) = from_powers(degree), from_values(degree)
    np.testing.assert_allclose(
        matrix[:, :2], np.stack([np.ones(degree + 1), np.linspace(-1, 1, degree + 1)], 1), atol=1e-15
    )
    np.testing.assert_array_equal(matrix[:, degree], (-1.0) ** np.arange(degree, -1, -1))
    values = np.random.default_rng(degree).normal(size=degree + 1)
    np.testing.assert_allclose(
        value_of(np.tile(fit @ values, (degree + 1, 1)), points)[0], values, atol=1e-15 * enlarged
    )


@pytest.mark.parametrize("degree", [1, 3, 6])
def test_bernstein_form_keeps_the_polynomial_and_bounds_it(degree):
    random = np.random.default_rng(degree)
    powers = random.normal(size=(20, degree + 1))
    b = powers @ from_powers(degree).T
    t = random.uniform(size=20)
    value, slope = value_of(b, t)
    wanted = [np.polynomial.Polynomial(row) for row in powers]
    np.testing.assert_allclose(value, [p(2 * s - 1) for p, s in zip(wanted, t, strict=True)], atol=1e-12)
    np.testing.assert_allclose(slope, [2 * p.deriv()(2 * s - 1) for p, s in zip(wanted, t, strict=True)], atol=1e-11)
    assert np.all((b.min(axis=1) <= value) & (value <= b.max(axis=1)))
    left, right = (b @ half.T for half in halves(degree))
    np.testing.assert_allclose(value_of(left, t)[0], value_of(b, t / 2)[0], atol=1e-12)
    np.testing.assert_allclose(value_of(right, t)[0], value_of(b, (1 + t) / 2)[0], atol=1e-12)


def test_roots_of_random_polynomials_are_those_of_the_companion_matrix():
    powers = np.random.default_rng(0).normal(size=(300, 6))
    powers[:, 1::2] *= 3
    found = roots_of(powers @ from_powers(5).T, np.full(300, 1e-14))
    for i, row in enumerate(powers):
        wanted = np.polynomial.Polynomial(row).roots()
        real = np.sort(wanted.real[(np.abs(wanted.imag) < 1e-9) & (np.abs(wanted.real) < 1)])
        np.testing.assert_allclose(2 * found.t[found.which == i] - 1, real, atol=1e-9)
    assert not found.multiple.any()


def test_double_roots_and_flat_pieces_are_doubtful():
    wanted = {(0.3, 0.3): 1, (0.2, 0.7): 0}
    for (a, b), doubtful in wanted.items():
        power = np.polynomial.polynomial.polyfromroots([2 * a - 1, 2 * b - 1, 3.0])
        found = roots_of(power[None] @ from_powers(3).T, np.full(1, 1e-14))
        assert found.multiple.sum() == doubtful
    assert roots_of(np.zeros((1, 4)), np.zeros(1)).vanishing.tolist() == [0]


def test_all_roots_of_one_variable():
    wave = separable([(lambda t: jnp.sin(3 * t) + 0.1 * t,)], [(0.0, 10.0)], elements=40)
    grid = np.linspace(0, 10, 100001)
    crossings = np.sum(np.diff(np.sign(np.sin(3 * grid) + 0.1 * grid - 0.4)) != 0)
    found = inf.roots(wave, 0.4)
    assert found.complete
    assert len(found.points) == crossings
    assert found.residuals.max() < 1e-13
    touching = inf.roots(separable([(lambda t: (t - 1) ** 2,)], [(0.0, 3.0)], 3, 3), 0.0)
    assert not touching.complete
    np.testing.assert_allclose(touching.doubtful, [[1.0]], atol=1e-6)
    assert "touch" in touching.message


def test_all_31_roots_of_a_system():
    box, one = [(-3.0, 3.0)] * 2, jnp.ones_like
    first = separable([(lambda x: jnp.sin(3 * x), lambda y: jnp.cos(2 * y)), (lambda x: 0.2 * x, one)], box)
    second = separable([(lambda x: jnp.cos(2 * x), lambda y: jnp.sin(3 * y)), (one, lambda y: 0.2 * y)], box)
    found = inf.roots([first, second], 0.2)
    assert found.complete
    assert found.residuals.max() < 1e-13
    # A fine grid of signs: around each root the signs of both functions take all four pairs.
    x = np.linspace(-3, 3, 1201)
    u = np.sin(3 * x)[:, None] * np.cos(2 * x) + 0.2 * x[:, None] > 0.2
    v = np.cos(2 * x)[:, None] * np.sin(3 * x) + 0.2 * x > 0.2
    pairs = 2 * u + v
    corners = np.stack([pairs[:-1, :-1], pairs[1:, :-1], pairs[:-1, 1:], pairs[1:, 1:]])
    cells = np.argwhere(sum(np.any(corners == pair, axis=0).astype(int) for pair in range(4)) >= 3)
    places = x[cells] + 0.0025
    away = np.max(np.abs(found.points[:, None] - places), axis=2)
    assert np.all(away.min(axis=0) < 0.02)
    assert np.all(away.min(axis=1) < 0.02)
    assert len(found.points) == 31


def test_touching_curves_are_said_and_systems_have_links_and_fixed_inputs():
    box, one = [(-1.0, 1.0)] * 2, jnp.ones_like
    parabola = separable([(lambda x: x, one), (one, lambda y: -(y**2))], box, 2, 3)
    line = separable([(lambda x: x, one)], box, 3, 3)
    found = inf.roots([parabola, line])
    assert not found.complete
    np.testing.assert_allclose(found.doubtful, [[0.0, 0.0]], atol=1e-6)
    two = inf.roots([parabola, line], [0.0, 0.25])
    assert two.complete
    np.testing.assert_allclose(two.points, [[0.25, -0.5], [0.25, 0.5]], atol=1e-12)
    fixed = inf.roots(parabola, -0.25, known={"x0": 0.0})
    np.testing.assert_allclose(fixed.points, [[0.0, -0.5], [0.0, 0.5]], atol=1e-12)


def test_bad_input():
    line = separable([(lambda x: x, jnp.ones_like)], [(-1.0, 1.0)] * 2, 2, 3)
    with pytest.raises(ValueError, match=r"one equation and 2 free inputs \(x0, x1\)"):
        inf.roots(line)
    with pytest.raises(ValueError, match="roots needs a separable spline model"):
        inf.roots(inf.Fitted(lambda x: x[0], (0.0,), (1.0,), False, (0.0,), (1.0,), ("a",), ("y",), "warn", True))
    other = separable([(lambda x: x, jnp.ones_like)], [(-2.0, 1.0)] * 2, 2, 3)
    with pytest.raises(ValueError, match="different inputs or boxes"):
        inf.roots([line, other])
    with pytest.raises(ValueError, match="expected one of each, or two"):
        inf.roots([line, line, line])
