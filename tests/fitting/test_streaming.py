"""The streamed normal equations and the evidence against their definitions, and against the generic path."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import infinity as inf
from infinity.descent.evidence import Evidence, covariance, damped_step, update
from infinity.descent.streaming import accumulate, accumulate_gradient, accumulate_loss, chunked
from infinity.fitting.direct import Data, _residuals, _rows, fit_separable, flatten, roughness_penalty


def problem(outputs=2, samples=70, dtype=jnp.float64):
    model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=[3, 3, 2], degree=2, outputs=outputs, key=jax.random.key(0))
    model = jax.tree.map(lambda leaf: leaf.astype(dtype), model)
    x = jax.random.uniform(jax.random.key(1), (samples, 3), dtype)
    y = jnp.stack([jnp.sin(3 * x[:, 0]) * x[:, 1], x[:, 2] ** 2], axis=1)[:, :outputs]
    weights = 0.5 + jax.random.uniform(jax.random.key(2), (samples,), dtype)
    (a, b), w = chunked((x, y), weights, 16)
    return model, x, y, weights, Data(a, b, w)


@pytest.mark.parametrize("outputs", [1, 2])
def test_streamed_sums_are_those_of_the_generic_jacobian(outputs, dtype):
    model, x, y, weights, data = problem(outputs, dtype=dtype)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(params)

    @jax.jit
    def generic(theta):
        fn = lambda theta: (jax.vmap(eqx.combine(unravel(theta), static))(x) - y).ravel()
        J, r, w = jax.jacfwd(fn)(theta), fn(theta), jnp.repeat(weights, outputs)
        return J.T @ (w[:, None] * J), J.T @ (w * r), 0.5 * jnp.sum(w * r**2)

    streamed = jax.jit(
        lambda theta, count: (
            accumulate(lambda theta, chunk: _rows(model, theta, chunk), theta, data, count),
            accumulate_gradient(lambda theta, chunk: _residuals(model, theta, chunk), theta, data, count),
            accumulate_loss(lambda theta, chunk: _residuals(model, theta, chunk), theta, data, count),
        )
    )
    normal, (gradient, loss), again = streamed(theta, jnp.asarray(data.weights.shape[0]))
    gram, expected, value = generic(theta)
    tolerance = {"rtol": 2e-5, "atol": 1e-4} if dtype == jnp.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(normal.gram, gram, **tolerance)
    np.testing.assert_allclose(normal.gradient, expected, **tolerance)
    np.testing.assert_allclose(gradient, expected, **tolerance)
    np.testing.assert_allclose([normal.loss, loss, again], value, **tolerance)
    half, _, _ = streamed(theta, jnp.asarray(1))
    assert float(half.loss) < float(normal.loss)


def test_chunks_hold_every_sample_once():
    x = jnp.arange(10.0)
    cut, weights = chunked(x, jnp.ones(10), 4)
    assert cut.shape == weights.shape == (3, 4)
    np.testing.assert_allclose(jnp.sort(cut[weights > 0]), x)


@pytest.mark.parametrize("outputs", [1, 2])
def test_penalty_is_the_integral_of_value_and_slope(outputs):
    """The energies against quadrature of the curves themselves."""
    model, *_ = problem(outputs)
    penalty, theta = roughness_penalty(model), flatten(model)
    energies = penalty.energies(theta)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, w = jnp.asarray(0.5 * (nodes + 1)), jnp.asarray(0.5 * weights)
    sizes, slopes = 0.0, []
    for d in range(3):
        curve = jax.jit(jax.vmap(lambda t, d=d: model.curve(d, t)))
        slope = jax.jit(jax.vmap(jax.jacfwd(lambda t, d=d: model.curve(d, t))))
        sizes += float(w @ jnp.sum(curve(t) ** 2, axis=1))
        slopes.append(float(w @ jnp.sum(slope(t) ** 2, axis=1)))
    np.testing.assert_allclose(energies[0], sizes, rtol=2e-3)
    np.testing.assert_allclose(energies[1:4], slopes, rtol=2e-3)
    S = penalty.matrix(jnp.ones(penalty.strengths), theta.size)
    np.testing.assert_allclose(theta @ S @ theta, jnp.sum(energies), rtol=1e-12)


def test_step_and_update_solve_their_equations():
    model, _, _, _, data = problem()
    penalty, theta = roughness_penalty(model), flatten(model)
    evidence = Evidence(jnp.linspace(0.5, 2.0, penalty.strengths), jnp.asarray(0.3))
    normal = accumulate(lambda theta, chunk: _rows(model, theta, chunk), theta, data, jnp.asarray(5))
    S = 0.3 * penalty.matrix(evidence.lam, theta.size)
    H = normal.gram + S
    mu = 0.1
    p, promised = damped_step(normal, penalty, evidence, theta, jnp.asarray(mu))
    gradient = normal.gradient + S @ theta
    np.testing.assert_allclose((H + mu * jnp.diag(jnp.diag(H))) @ p, -gradient, atol=1e-9)
    np.testing.assert_allclose(promised, -(gradient @ p + 0.5 * p @ H @ p), rtol=1e-9)
    V = covariance(normal, penalty, evidence)
    np.testing.assert_allclose(V @ (H / 0.3), jnp.eye(theta.size), atol=1e-7)
    new, effective = update(normal, penalty, evidence, theta, jnp.asarray(140.0))
    np.testing.assert_allclose(effective, jnp.trace(V @ normal.gram) / 0.3, rtol=1e-7)
    unit = jnp.eye(penalty.strengths)
    j = 1
    Sj = penalty.matrix(unit[j], theta.size)
    inverse = jnp.linalg.pinv(penalty.matrix(evidence.lam, theta.size))
    expected = (jnp.trace(inverse @ Sj) - jnp.trace(V @ Sj)) / (theta @ Sj @ theta)
    clipped = jnp.clip(expected / evidence.lam[j], 1 / 8, 8) * evidence.lam[j]
    np.testing.assert_allclose(new.lam[j], clipped, rtol=1e-6)


def test_direct_fit_is_stationary_and_repeats():
    model, x, y, weights, _ = problem(samples=300)
    runs = [fit_separable(model, x, y - y.mean(0), weights, seed=0, tolerance=1e-6, progress=None) for _ in range(2)]
    np.testing.assert_array_equal(flatten(runs[0].model), flatten(runs[1].model))
    assert runs[0].stationarity < 1e-2
    losses = [event["nrmse"] for event in runs[0].history]
    assert losses[-1] < 0.05 * losses[0]
