"""The piecewise-polynomial form is the same spline, and can be differentiated and integrated."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate

from infinity.basis import BSpline, PiecewisePolynomial

MESHES = {
    "equal": np.linspace(-1, 2, 7),
    "wild": np.cumsum([0.0, 1.0, 2.0**-20, 0.5, 2.0**-20, 2.0**-20, 1.0]),
    "repeated": np.array([0.0, 0.25, 0.5, 0.5, 0.625, 0.75, 1.0]),
}


def case(mesh, degree, dtype):
    b = BSpline(breakpoints=jnp.asarray(MESHES[mesh], dtype), degree=degree)
    coefficients = jnp.asarray(np.random.default_rng(degree).normal(size=(2, b.size)), dtype)
    edges = np.asarray(b.breakpoints)
    cells = edges[:-1, None] + np.linspace(0, 1, 6) * np.diff(edges)[:, None]
    return b, coefficients, jnp.asarray(np.concatenate([edges, cells.ravel()]), dtype)


def functions(b, t, order):
    """Derivatives of all functions at all points by SciPy, in float64."""
    knots = np.pad(np.asarray(b.breakpoints, np.float64), b.degree, mode="edge")
    spline = scipy.interpolate.BSpline(knots, np.eye(b.size), b.degree)
    return spline(np.asarray(t, np.float64), nu=order) if order <= b.degree else np.zeros((t.shape[0], b.size))


@eqx.filter_jit
def forms(b, coefficients, t, orders):
    """The piecewise form, and for every order its derivatives at all points."""
    form = b.piecewise(coefficients)
    by_cell = [jax.vmap(form.derivative(order))(t) for order in orders]
    return form, by_cell


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", [1, 2, 3, 5, 7])
def test_equals_the_spline_and_its_derivatives(degree, mesh, dtype):
    b, coefficients, t = case(mesh, degree, dtype)
    form, tables = forms(b, coefficients, t, tuple(range(degree + 2)))
    assert form.coefficients.dtype == dtype
    assert form.coefficients.shape == (2, b.elements, degree + 1)
    assert form.degree == degree
    cells = np.asarray(jax.vmap(b.locate)(t))
    for order, values in enumerate(tables):
        rows = functions(b, t, order)
        difference = np.abs(values - rows @ coefficients.T)
        # The largest value in the point's own cell: the powers of a cell see all of it.
        scale = np.zeros(b.elements)
        np.maximum.at(scale, cells, np.abs(rows).max(1))
        scale = scale[cells][:, None]
        # Powers of a variable in [-1, 1] lose up to (1 + sqrt 2)^degree roundings.
        rounding = 3 * 2.5**degree * np.finfo(dtype).eps * scale
        # In float32 the highest powers of a very short cell underflow: a loss in its highest derivatives alone.
        half = np.diff(np.asarray(b.breakpoints, np.float64))[cells][:, None] / 2
        underflow = 100 * np.finfo(dtype).tiny * math.factorial(order) / half**order
        assert np.all(difference <= rounding + underflow), order


def test_values_agree_to_1e_13():
    b, coefficients, t = case("wild", 5, jnp.float64)
    _, (values,) = forms(b, coefficients, t, (0,))
    np.testing.assert_allclose(values, functions(b, t, 0) @ coefficients.T, atol=1e-13, rtol=1e-13)


def test_piecewise_constants():
    form = BSpline(breakpoints=[0.0, 1.0, 3.0], degree=0).piecewise(jnp.asarray([2.0, -1.0]))
    assert [float(form(t)) for t in (0.0, 0.9, 1.0, 3.0)] == [2, 2, -1, -1]
    assert float(form.derivative()(0.5)) == 0
    assert float(form.antiderivative()(3.0)) == 0


@pytest.mark.parametrize("mesh", MESHES)
def test_antiderivative_is_continuous_starts_at_zero_and_undoes_the_derivative(mesh):
    b, coefficients, t = case(mesh, 4, jnp.float64)
    form = b.piecewise(coefficients)
    integral = form.antiderivative()
    evaluate = eqx.filter_jit(lambda f, t: jax.vmap(f)(t))
    low, high = b.domain
    np.testing.assert_allclose(integral(low), 0, atol=1e-16)
    np.testing.assert_allclose(integral(high), coefficients @ b.load(jnp.ones_like), rtol=1e-13)
    np.testing.assert_allclose(evaluate(integral.derivative(), t), evaluate(form, t), atol=1e-13)
    edges = MESHES[mesh][1:-1]
    before = evaluate(integral, jnp.asarray(np.nextafter(edges, -9)))
    np.testing.assert_allclose(before, evaluate(integral, jnp.asarray(edges)), atol=1e-14)


def test_autodiff_equals_the_derivative_also_at_breakpoints():
    b, coefficients, t = case("repeated", 3, jnp.float64)
    form = b.piecewise(coefficients)
    automatic, exact = jax.jit(lambda t: (jax.vmap(jax.jacfwd(form))(t), jax.vmap(form.derivative())(t)))(t)
    np.testing.assert_allclose(automatic, exact, atol=1e-12)


def test_continues_outside_like_the_spline():
    b, coefficients, _ = case("equal", 3, jnp.float64)
    form = b.piecewise(coefficients)
    for t in (-1.5, 2.4):
        np.testing.assert_allclose(form(t), coefficients @ b(t), rtol=1e-12)


def test_jit_equals_eager_and_vmap_a_loop():
    b, coefficients, t = case("equal", 3, jnp.float64)
    form = b.piecewise(coefficients)
    loop = jnp.stack([form(x) for x in t])
    np.testing.assert_allclose(jax.jit(jax.vmap(form))(t), loop, atol=1e-15)
    batched = jax.vmap(lambda c: b.piecewise(c)(0.3))(coefficients)
    np.testing.assert_allclose(batched, form(0.3), atol=1e-15)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 2, degree \+ 1\)"):
        PiecewisePolynomial(jnp.asarray([0.0, 1.0, 2.0]), jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="rising order"):
        PiecewisePolynomial(jnp.asarray([0.0, 2.0, 1.0]), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 15\)"):
        BSpline().piecewise(jnp.ones(12))
    with pytest.raises(ValueError, match="0 or more"):
        BSpline().piecewise(jnp.ones(15)).derivative(-1)
