"""The piecewise-polynomial form is the same spline, and can be differentiated and integrated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.basis import BSpline, PiecewisePolynomial

MESHES = {
    "equal": np.linspace(-1, 2, 7),
    "wild": np.cumsum([0.0, 1.0, 2.0**-20, 0.5, 2.0**-20, 2.0**-20, 1.0]),
    "repeated": np.array([0.0, 0.5, 0.5, 0.75, 1.0]),
}


def case(mesh, degree, dtype):
    b = BSpline(breakpoints=jnp.asarray(MESHES[mesh], dtype), degree=degree)
    coefficients = jnp.asarray(np.random.default_rng(degree).normal(size=(2, b.size)), dtype)
    edges = np.asarray(b.breakpoints)
    cells = edges[:-1, None] + np.linspace(0, 1, 6) * np.diff(edges)[:, None]
    return b, coefficients, jnp.asarray(np.concatenate([edges, cells.ravel()]), dtype)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", range(1, 8))
def test_equals_the_spline_and_its_derivatives(degree, mesh, dtype):
    b, coefficients, t = case(mesh, degree, dtype)
    form = jax.jit(b.piecewise)(coefficients)
    assert form.coefficients.dtype == dtype
    assert form.coefficients.shape == (2, b.elements, degree + 1)
    assert form.degree == degree
    for order in range(degree + 2):
        rows = jax.vmap(lambda t, order=order: b.derivative(t, order))(t)
        difference = np.abs(jax.vmap(form.derivative(order))(t) - rows @ coefficients.T)
        scale = np.abs(rows).max(1, keepdims=True) if order <= degree else 1
        # Powers of a variable in [-1, 1] lose up to (1 + sqrt 2)^degree roundings.
        assert np.all(difference <= 3 * 2.5**degree * np.finfo(dtype).eps * scale + 1e-300), order


def test_values_agree_to_1e_13():
    b, coefficients, t = case("wild", 5, jnp.float64)
    np.testing.assert_allclose(
        jax.vmap(b.piecewise(coefficients))(t), jax.vmap(b)(t) @ coefficients.T, atol=1e-13, rtol=1e-13
    )


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
    low, high = b.domain
    np.testing.assert_allclose(integral(low), 0, atol=1e-16)
    np.testing.assert_allclose(integral(high), coefficients @ b.load(jnp.ones_like), rtol=1e-13)
    back = jax.vmap(integral.derivative())(t)
    np.testing.assert_allclose(back, jax.vmap(form)(t), atol=1e-13)
    for edge in MESHES[mesh][1:-1]:
        np.testing.assert_allclose(integral(np.nextafter(edge, -9)), integral(edge), atol=1e-14)


def test_autodiff_equals_the_derivative_also_at_breakpoints():
    b, coefficients, t = case("repeated", 3, jnp.float64)
    form = b.piecewise(coefficients)
    np.testing.assert_allclose(jax.vmap(jax.jacfwd(form))(t), jax.vmap(form.derivative())(t), atol=1e-12)


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
