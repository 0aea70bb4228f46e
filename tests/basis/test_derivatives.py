"""Derivatives with respect to the point and to the breakpoints: exact recursion, autodiff and differences agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.basis import BSpline

UNEVEN = np.array([0.0, 0.1, 0.15, 0.5, 0.5, 0.9, 1.0])


@pytest.mark.parametrize("degree", range(8))
def test_recursion_equals_autodiff_everywhere(degree):
    b = BSpline(breakpoints=UNEVEN, degree=max(degree, 1))
    t = jnp.concatenate([jnp.asarray(UNEVEN), jnp.linspace(-0.05, 1.05, 23)])
    for order in range(min(degree, 4)):
        by_recursion = jax.vmap(lambda t, order=order: b.derivative(t, order + 1))(t)
        for mode in (jax.jacfwd, jax.jacrev):
            by_autodiff = jax.vmap(mode(lambda t, order=order: b.derivative(t, order)))(t)
            np.testing.assert_allclose(by_autodiff, by_recursion, atol=1e-13 * np.abs(by_recursion).max())


def test_recursion_equals_differences():
    b = BSpline(breakpoints=UNEVEN, degree=4)
    t, step = np.linspace(0.02, 0.97, 17), 1e-5
    for order in range(3):
        ahead, behind = (jax.vmap(lambda t, order=order: b.derivative(t, order))(t + s) for s in (step, -step))
        exact = jax.vmap(lambda t, order=order: b.derivative(t, order + 1))(t)
        np.testing.assert_allclose((ahead - behind) / (2 * step), exact, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize("degree", [0, 2, 3])
def test_orders_above_the_degree_vanish(degree):
    b = BSpline(breakpoints=[0.0, 0.3, 1.0], degree=degree)
    assert np.all(np.asarray(b.derivative(0.2, degree)) != 0) or degree == 0 or b.size > degree + 1
    assert np.abs(b.derivative(0.2, degree)).max() > 0
    for order in (degree + 1, degree + 4):
        assert np.all(np.asarray(b.derivative(0.2, order)) == 0)


def test_derivatives_sum_to_zero_and_those_of_polynomials_are_theirs(dtype):
    b = BSpline(domain=(jnp.asarray(0, dtype), jnp.asarray(1, dtype)), elements=5, degree=3)
    cubic = b.interpolate(lambda t: t**3 - t)
    for t in (0.0, 0.2, 0.55, 1.0):
        for order, exact in ((1, 3 * t**2 - 1), (2, 6 * t), (3, 6.0)):
            values = b.derivative(t, order)
            assert values.dtype == dtype
            size = float(np.abs(values).max())
            assert abs(float(values.sum())) <= 4 * size * np.finfo(dtype).eps
            np.testing.assert_allclose(values @ cubic, exact, atol=20 * size * np.finfo(dtype).eps)


@pytest.mark.parametrize("repeated", [False, True])
def test_gradient_with_respect_to_breakpoints(repeated):
    b = BSpline(breakpoints=[0.0, 0.2, 0.45, 0.45 if repeated else 0.7, 1.0], degree=2)
    coefficients = jnp.asarray(np.random.default_rng(0).normal(size=b.size))

    def energy(breakpoints):
        basis = BSpline(breakpoints=breakpoints, degree=2)
        return basis(0.33) @ coefficients + coefficients @ basis.stiffness() @ coefficients

    gradient = jax.jit(jax.grad(energy))(b.breakpoints)
    assert np.all(np.isfinite(gradient))
    for i in range(0 if repeated else 5):
        step = jnp.zeros(5).at[i].set(1e-6)
        difference = (energy(b.breakpoints + step) - energy(b.breakpoints - step)) / 2e-6
        np.testing.assert_allclose(gradient[i], difference, rtol=1e-6)


@pytest.mark.parametrize("degree", range(5))
def test_gradients_are_finite_at_every_special_point(degree, dtype):
    repeated = jnp.asarray([0.0, 0.5, 0.5, 1.0] if degree else [0.0, 0.5, 1.0], dtype)

    def total(breakpoints, t):
        b = BSpline(breakpoints=breakpoints, degree=degree)
        weights = jnp.arange(1, b.size + 1, dtype=dtype)
        projected = b.project(jnp.sin)
        return b(t) @ weights + b.derivative(t) @ weights + projected @ weights + b.piecewise(weights)(t)

    for t in (-0.5, 0.0, 0.5, 1.0, 1.5):
        for gradient in jax.grad(total, argnums=(0, 1))(repeated, jnp.asarray(t, dtype)):
            assert np.all(np.isfinite(gradient))
