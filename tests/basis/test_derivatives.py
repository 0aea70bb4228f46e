"""Derivatives with respect to the point and to the breakpoints: exact recursion, autodiff and differences agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.basis import BSpline

UNEVEN = np.array([0.0, 0.1, 0.15, 0.5, 0.5, 0.9, 1.0])


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_recursion_equals_autodiff_everywhere(degree):
    b = BSpline(breakpoints=UNEVEN, degree=degree)
    t = jnp.concatenate([jnp.asarray(UNEVEN), jnp.linspace(-0.05, 1.05, 23)])
    for order in range(min(degree, 3)):

        @jax.jit
        def both(t, order=order):
            modes = [jax.vmap(mode(lambda t: b.derivative(t, order)))(t) for mode in (jax.jacfwd, jax.jacrev)]
            return jax.vmap(lambda t: b.derivative(t, order + 1))(t), modes

        by_recursion, by_autodiffs = both(t)
        for by_autodiff in by_autodiffs:
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
    assert np.abs(b.derivative(0.2, degree)).max() > 0
    for order in (degree + 1, degree + 4):
        assert np.all(np.asarray(b.derivative(0.2, order)) == 0)


def test_derivatives_sum_to_zero_and_those_of_polynomials_are_theirs(dtype):
    b = BSpline(domain=(jnp.asarray(0, dtype), jnp.asarray(1, dtype)), elements=5, degree=3)
    cubic = jax.jit(lambda: b.interpolate(lambda t: t**3 - t))()
    derivatives = jax.jit(lambda t: [b.derivative(t, order) for order in (1, 2, 3)])
    for t in (0.0, 0.2, 0.55, 1.0):
        for values, exact in zip(derivatives(jnp.asarray(t, dtype)), (3 * t**2 - 1, 6 * t, 6.0), strict=True):
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

    value = jax.jit(energy)
    gradient = jax.jit(jax.grad(energy))(b.breakpoints)
    assert np.all(np.isfinite(gradient))
    for i in range(0 if repeated else 5):
        step = jnp.zeros(5).at[i].set(1e-6)
        difference = (value(b.breakpoints + step) - value(b.breakpoints - step)) / 2e-6
        np.testing.assert_allclose(gradient[i], difference, rtol=1e-6)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_gradients_are_finite_at_every_special_point(degree, dtype):
    repeated = jnp.asarray([0.0, 0.5, 0.5, 1.0] if degree else [0.0, 0.5, 1.0], dtype)

    def total(breakpoints, t):
        b = BSpline(breakpoints=breakpoints, degree=degree)
        weights = jnp.arange(1, b.size + 1, dtype=dtype)
        return b(t) @ weights + b.derivative(t) @ weights + b.piecewise(weights)(t)

    t = jnp.asarray([-0.5, 0.0, 0.5, 1.0, 1.5], dtype)
    gradients = jax.jit(jax.vmap(jax.grad(total, argnums=(0, 1)), in_axes=(None, 0)))(repeated, t)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_projection_can_be_differentiated_with_respect_to_breakpoints():
    def total(breakpoints):
        return jnp.sum(BSpline(breakpoints=breakpoints, degree=1).project(jnp.sin) ** 2)

    value, gradient = jax.jit(total), jax.jit(jax.grad(total))
    points = jnp.asarray([0.0, 0.3, 0.6, 1.0])
    for i in range(4):
        step = jnp.zeros(4).at[i].set(1e-6)
        difference = (value(points + step) - value(points - step)) / 2e-6
        np.testing.assert_allclose(gradient(points)[i], difference, rtol=1e-5)
    assert np.all(np.isfinite(gradient(points.at[2].set(0.3))))  # a cell of length zero
