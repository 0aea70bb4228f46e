"""Quadrature and the integrals of products of splines, against exact ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from infinity.basis import BSpline, gauss_legendre


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13, 32, 64])
def test_gauss_legendre_is_exact_up_to_degree_2n_minus_1_and_no_further(n):
    nodes, weights = gauss_legendre(n)
    assert nodes.dtype == weights.dtype == np.float64
    assert np.all(np.diff(nodes) > 0)
    assert np.all(weights > 0)
    for degree in range(2 * n):
        legendre = np.polynomial.legendre.Legendre.basis(degree)(nodes)  # well scaled, unlike powers
        assert abs(weights @ legendre - 2 * (degree == 0)) < 2e-14, degree
    assert abs(weights @ np.polynomial.legendre.Legendre.basis(2 * n)(nodes)) > 1e-2 / n


def test_gauss_legendre_agrees_with_numpy_and_is_read_only():
    for n in range(1, 41):
        nodes, weights = gauss_legendre(n)
        expected = np.polynomial.legendre.leggauss(n)
        np.testing.assert_allclose(nodes, expected[0], atol=1e-15)
        np.testing.assert_allclose(weights, expected[1], rtol=2e-12)  # numpy loses that much near the ends
    with pytest.raises(ValueError, match="read-only"):
        nodes[0] = 0
    with pytest.raises(ValueError, match="at least one point"):
        gauss_legendre(0)


def test_quadrature_of_all_cells(dtype):
    b = BSpline(breakpoints=jnp.asarray([-1.0, 0.0, 0.0, 0.25, 3.0], dtype), degree=2)
    t, w = b.quadrature()
    assert t.shape == w.shape == (12,)
    assert t.dtype == w.dtype == dtype
    np.testing.assert_allclose(w.sum(), 4, rtol=1e-6)
    np.testing.assert_allclose(w @ t**5, (3.0**6 - 1) / 6, rtol=10 * np.finfo(dtype).eps)
    assert b.quadrature(7)[0].shape == (28,)


def test_hats_have_the_known_matrices(dtype):
    h = 0.25
    b = BSpline(domain=(jnp.asarray(0, dtype), jnp.asarray(1, dtype)), elements=4, degree=1)
    tridiagonal = np.eye(5, k=1) + np.eye(5, k=-1)
    mass = h / 6 * (np.diag([2, 4, 4, 4, 2]) + tridiagonal)
    stiffness = (np.diag([1, 2, 2, 2, 1]) - tridiagonal) / h
    assert b.mass().dtype == dtype
    np.testing.assert_allclose(b.mass(), mass, atol=2 * np.finfo(dtype).eps)
    np.testing.assert_allclose(b.stiffness(), stiffness, atol=20 * np.finfo(dtype).eps)


def exact_functions(breakpoints, degree, t):
    """The B-splines as sympy expressions on each cell, by the recursion in exact arithmetic."""
    knots = [breakpoints[0]] * degree + breakpoints + [breakpoints[-1]] * degree
    cells = [k for k in range(len(knots) - 1) if knots[k] < knots[k + 1]]

    def spline(i, q, cell):
        if q == 0:
            return sympy.Integer(i == cell)
        left, right = knots[i + q] - knots[i], knots[i + q + 1] - knots[i + 1]
        value = sympy.Integer(0)
        if left:
            value += (t - knots[i]) / left * spline(i, q - 1, cell)
        if right:
            value += (knots[i + q + 1] - t) / right * spline(i + 1, q - 1, cell)
        return sympy.expand(value)

    size = len(knots) - degree - 1
    return [(knots[k], knots[k + 1], [spline(i, degree, k) for i in range(size)]) for k in cells]


@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 1), (0, 1), (2, 0)])
def test_quadratic_splines_on_uneven_cells_match_exact_integrals(left, right):
    t = sympy.Symbol("t")
    breakpoints = [sympy.Rational(x) for x in ("0", "1/4", "1/2", "1/2", "2")]
    cells = exact_functions(breakpoints, 2, t)
    size = len(cells[0][2])
    exact, weighted = np.zeros((size, size)), np.zeros((size, size))
    for low, high, functions in cells:
        for i in range(size):
            for j in range(size):
                product = sympy.diff(functions[i], t, left) * sympy.diff(functions[j], t, right)
                exact[i, j] += sympy.integrate(product, (t, low, high))
                weighted[i, j] += sympy.integrate(product * (1 + t**3), (t, low, high))
    b = BSpline(breakpoints=[float(x) for x in breakpoints], degree=2)
    found = jax.jit(lambda: b.gram(left, right))()
    np.testing.assert_allclose(found, exact, atol=1e-14 * np.abs(exact).max())
    found = jax.jit(lambda: b.gram(left, right, weight=lambda t: 1 + t**3))()
    np.testing.assert_allclose(found, weighted, atol=1e-14 * np.abs(weighted).max())


@pytest.mark.parametrize("degree", range(8))
def test_integrals_of_single_functions(degree):
    r"""`int B_i dt = (U_{i+p+1} - U_i) / (p + 1)`, also on cells whose lengths differ by 1e6 and far from zero."""
    breakpoints = 1e3 + np.cumsum([0.0, 1.0, 2.0**-20, 0.5, 2.0**-20, 2.0**-20, 1.0])
    b = BSpline(breakpoints=breakpoints, degree=degree)
    knots = np.pad(breakpoints, degree, mode="edge")
    exact = (knots[degree + 1 :] - knots[: b.size]) / (degree + 1)
    load, mass, stiffness = jax.jit(lambda: (b.load(jnp.ones_like), b.mass(), b.stiffness()))()
    np.testing.assert_allclose(load, exact, rtol=1e-13)
    np.testing.assert_allclose(mass.sum(1), exact, rtol=1e-13)
    np.testing.assert_allclose(stiffness.sum(1), 0, atol=1e-14 * np.abs(stiffness).max())


def test_integrals_are_symmetric_positive_and_transpose_each_other():
    b = BSpline(breakpoints=[0.0, 0.1, 0.5, 1.0], degree=3)
    mass = np.asarray(b.mass())
    np.testing.assert_array_equal(mass, mass.T)
    assert np.linalg.eigvalsh(mass).min() > 0
    np.testing.assert_allclose(b.gram(0, 2), b.gram(2, 0).T, rtol=1e-14, atol=1e-14)
    ends = np.zeros((b.size, b.size))
    ends[0, 0], ends[-1, -1] = -1, 1
    np.testing.assert_allclose(b.gram(0, 1) + b.gram(1, 0), ends, atol=1e-14)  # integration by parts


def test_load_takes_values_of_any_shape_under_jit():
    b = BSpline(elements=5, degree=2)

    def f(t):
        return jnp.stack([t, t**2, jnp.ones_like(t)]).reshape(3, 1)

    load = jax.jit(lambda: b.load(f))()
    assert load.shape == (b.size, 3, 1)
    np.testing.assert_allclose(load[:, 0, 0], b.mass() @ b.greville(), rtol=1e-13)
    np.testing.assert_allclose(load.sum(0).ravel(), [1 / 2, 1 / 3, 1], rtol=1e-13)
    for name in ("project", "interpolate"):
        assert jax.eval_shape(lambda name=name: getattr(b, name)(f)).shape == (b.size, 3, 1)


@pytest.mark.parametrize("name", ["project", "interpolate"])
@pytest.mark.parametrize("degree", [0, 1, 3, 5])
def test_splines_are_reproduced(degree, name, dtype):
    b = BSpline(breakpoints=jnp.asarray([0.0, 0.01, 0.3, 0.5, 0.875, 1.0], dtype), degree=degree)
    coefficients = jnp.asarray(np.random.default_rng(degree).normal(size=b.size), dtype)
    found = jax.jit(lambda: getattr(b, name)(lambda t: b(t) @ coefficients))()
    assert found.dtype == dtype
    np.testing.assert_allclose(found, coefficients, atol=500 * np.finfo(dtype).eps)


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 5])
def test_projection_converges_with_order_degree_plus_one(degree):
    @partial(jax.jit, static_argnums=0)
    def error(elements):
        b = BSpline(elements=elements, degree=degree)
        t, w = b.quadrature(degree + 6)
        coefficients = b.project(lambda t: jnp.sin(5 * t))
        return jnp.sqrt(w @ (jax.vmap(b)(t) @ coefficients - jnp.sin(5 * t)) ** 2)

    coarse, fine = error(12), error(24)
    assert abs(np.log2(coarse / fine) - (degree + 1)) < 0.15


def test_interpolation_meets_the_function_at_the_greville_points():
    b = BSpline(elements=6, degree=3)
    points = b.greville()
    np.testing.assert_allclose(jax.vmap(b)(points) @ b.interpolate(jnp.exp), np.exp(points), rtol=1e-14)
    with pytest.raises(ValueError, match=r"jumps at 0\.5"):
        BSpline(breakpoints=[0.0, 0.5, 0.5, 1.0], degree=1).interpolate(jnp.sin)
