"""Orthogonal least squares: minimality, rank deficiency, conditioning, damping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.descent.linear import Damped, Orthogonal


def matrix(shape, dtype, seed=0):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


@pytest.mark.parametrize("shape", [(12, 5), (5, 5), (4, 9)])
def test_solution_is_the_pseudo_inverse_of_the_equilibrated_matrix(shape, dtype):
    A, b = matrix(shape, dtype), matrix(shape[:1], dtype, 1)
    factor = Orthogonal(A)
    scale = jnp.linalg.norm(A, axis=0)
    expected = jnp.linalg.pinv(A / scale) @ b / scale
    tolerance = 2e-4 if dtype == jnp.float32 else 1e-11
    np.testing.assert_allclose(factor.solve(b), expected, rtol=tolerance, atol=tolerance)
    g = matrix(shape[1:], dtype, 2)
    np.testing.assert_allclose(jnp.vdot(factor.adjoint_solve(g), b), jnp.vdot(g, factor.solve(b)), rtol=20 * tolerance)
    assert int(factor.rank()) == min(shape)


def test_rank_deficient_and_zero_columns():
    A = matrix((10, 3), jnp.float64)
    A = jnp.concatenate([A, A[:, :1], jnp.zeros((10, 1))], axis=1)
    b = matrix((10,), jnp.float64, 1)
    factor = Orthogonal(A)
    x = factor.solve(b)
    assert int(factor.rank()) == 3
    np.testing.assert_allclose(A.T @ (A @ x - b), 0.0, atol=1e-12)
    np.testing.assert_allclose(x[0], x[3], rtol=1e-12)
    assert x[4] == 0
    np.testing.assert_allclose(factor.project_out(A @ jnp.ones(5)), 0.0, atol=1e-13)


def test_condition_number_enters_once():
    """Columns 1, t, .. t^11 have a condition of 1e9 or so: the normal matrix would lose all digits."""
    t = jnp.linspace(0.0, 1.0, 60)
    A = t[:, None] ** jnp.arange(12)
    x = Orthogonal(A).solve(A @ jnp.ones(12))
    assert float(jnp.max(jnp.abs(x - 1))) < 1e-5
    condition = float(jnp.linalg.cond(A))
    assert condition > 1e7


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_damped_step_minimises_the_damped_model(shape):
    J, r = matrix(shape, jnp.float64), matrix(shape[:1], jnp.float64, 1)
    D = 1 + jnp.arange(shape[1]) / 3.0
    for mu in (1e-6, 1.0, 1e3):
        p, promised = Damped(J, r, D).step(jnp.asarray(mu))
        np.testing.assert_allclose((J.T @ J + mu * jnp.diag(D**2)) @ p, -J.T @ r, atol=1e-9)
        np.testing.assert_allclose(promised, 0.5 * (r @ r - jnp.sum((r + J @ p) ** 2)), rtol=1e-8, atol=1e-12)
    p, explained = Damped(J, r, D).undamped()
    np.testing.assert_allclose(J.T @ (J @ p + r), 0.0, atol=1e-11)
    np.testing.assert_allclose(explained, jnp.linalg.norm(J @ p), rtol=1e-10)
