"""Infinite Descent through Optimistix: every structure reaches its stationary point in one outer step."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import infinity as inf
from infinity.descent.projection import Projection

t = jnp.linspace(0.0, 1.0, 25)


def solve(residuals, start, args=None, **options):
    solver = inf.InfiniteDescent(rtol=1e-9, atol=1e-9, **options)
    return optx.least_squares(residuals, solver, start, args=args, throw=False)


def decay(p, data):
    return p["a"] * jnp.exp(-p["k"] * t) + p["b"] - data


START = {"a": jnp.array(1.0), "b": jnp.array(0.0), "k": jnp.array(1.0)}


def test_affine_is_one_factorisation(dtype):
    A = jax.random.normal(jax.random.key(0), (30, 4), dtype)
    b = jax.random.normal(jax.random.key(1), (30,), dtype)
    solution = solve(lambda w, _: A @ w - b, jnp.zeros(4, dtype))
    assert solution.result == optx.RESULTS.successful
    assert solution.state.plan.strategy == "affine"
    assert (
        int(solution.stats["num_steps"]),
        int(solution.stats["factorisations"]),
        int(solution.stats["iterations"]),
    ) == (1, 1, 0)
    np.testing.assert_allclose(solution.value, jnp.linalg.lstsq(A, b)[0], rtol=1e-4 if dtype == jnp.float32 else 1e-12)
    assert solution.value.dtype == dtype


@pytest.mark.parametrize("seed", range(3))
def test_partly_affine_eliminates_the_affine_leaves(seed):
    truth = {"a": 3.0 + seed, "b": 0.5, "k": 2.0 + seed}
    solution = solve(decay, START, decay(truth, 0.0))
    assert solution.state.plan.strategy == "partial"
    assert solution.state.plan.linear.tolist() == [0, 1]
    assert int(solution.stats["num_steps"]) == 1
    for name, value in truth.items():
        np.testing.assert_allclose(solution.value[name], value, rtol=1e-10)


def test_multilinear_recovers_a_tensor():
    factors = [jax.random.normal(jax.random.key(i), (6, 2)) for i in range(3)]
    tensor = jnp.einsum("ir,jr,kr->ijk", *factors)
    start = [jax.random.normal(jax.random.key(i + 20), (6, 2)) for i in range(3)]
    solution = solve(lambda f, T: jnp.einsum("ir,jr,kr->ijk", *f) - T, start, tensor)
    assert solution.state.plan.strategy == "multilinear"
    assert len(solution.state.plan.blocks) == 3
    assert int(solution.stats["num_steps"]) == 1
    assert float(solution.stats["loss"]) < 1e-20


def test_nothing_closed_says_so_and_strict_refuses():
    residuals = lambda y, _: jnp.stack([10 * jnp.tanh(y[1] - y[0] ** 2), jnp.tanh(1 - y[0])])
    with pytest.warns(inf.OpenModelWarning, match="trust region works alone"):
        solution = solve(residuals, jnp.array([-0.5, 0.5]))
    np.testing.assert_allclose(solution.value, 1.0, rtol=1e-8)
    with pytest.raises(ValueError, match="strict=True"):
        solve(residuals, jnp.array([-0.5, 0.5]), strict=True)


def test_quadratic_loss_is_one_newton_step():
    A = jax.random.normal(jax.random.key(0), (30, 4))
    b = jax.random.normal(jax.random.key(1), (30,))
    solution = optx.minimise(lambda w, _: jnp.sum((A @ w - b) ** 2), inf.InfiniteDescent(), jnp.zeros(4))
    assert solution.state.plan.strategy == "quadratic"
    assert int(solution.stats["newton"]) == 2  # the step, and one that finds nothing left to do
    np.testing.assert_allclose(solution.value, jnp.linalg.lstsq(A, b)[0], rtol=1e-10)


def test_loss_with_saddles_ends_in_a_minimum():
    """(u v - 1)^2 + small has a saddle at 0, from which the gradient does not move."""
    loss = lambda p, _: (p["u"] * p["v"] - 1) ** 2 + 1e-3 * (p["u"] ** 2 + p["v"] ** 2)
    start = {"u": jnp.array(0.0), "v": jnp.array(0.0)}
    solution = optx.minimise(loss, inf.InfiniteDescent(), start, throw=False)
    assert solution.state.plan.strategy == "block quadratic"
    assert float(loss(solution.value, None)) < 2.1e-3
    np.testing.assert_allclose(jnp.abs(solution.value["u"]), jnp.sqrt(1 - 1e-3), rtol=1e-8)


def test_traced_once_for_new_data_of_the_same_shape():
    traces = []

    @jax.jit
    def run(data):
        traces.append(None)
        return optx.least_squares(decay, inf.InfiniteDescent(), START, args=data).value

    first = run(decay({"a": 3.0, "b": 0.5, "k": 2.0}, 0.0))
    second = run(decay({"a": 2.0, "b": 0.1, "k": 4.0}, 0.0))
    assert len(traces) == 1
    np.testing.assert_allclose([first["k"], second["k"]], [2.0, 4.0], rtol=1e-8)


def test_vmap_over_problems_equals_a_loop():
    rates = jnp.array([1.5, 3.0, 5.0])
    data = jax.vmap(lambda k: decay({"a": 2.0, "b": 0.3, "k": k}, 0.0))(rates)
    run = lambda d: optx.least_squares(decay, inf.InfiniteDescent(), START, args=d, throw=False).value["k"]
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(data), rates, rtol=1e-8)


def test_differentiates_through_the_solution():
    noise = 0.05 * jnp.sin(30 * t)

    def rate(scale):
        data = decay({"a": 3.0, "b": 0.5, "k": 2.0}, 0.0) + scale * noise
        return optx.least_squares(decay, inf.InfiniteDescent(1e-12, 1e-12), START, args=data).value["k"]

    step = 1e-4
    difference = (rate(1.0 + step) - rate(1.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(rate)(1.0), difference, rtol=1e-5)


def test_projected_jacobian_is_the_derivative_of_the_projected_residual():
    """Golub and Pereyra's formula against differences of the reduced residual itself."""
    data = jnp.sin(7 * t)
    residual = lambda theta: theta[0] * jnp.exp(-theta[1] * t) + theta[2] * jnp.cos(theta[3] * t) - data
    projection = Projection(residual, np.array([0, 2]), np.array([1, 3]))
    z, step = jnp.array([1.0, 4.0]), 1e-6
    J = projection.jacobian(projection.reduce(z))
    for k in range(2):
        shift = step * jnp.eye(2)[k]
        difference = (projection.reduce(z + shift).r - projection.reduce(z - shift).r) / (2 * step)
        np.testing.assert_allclose(J[:, k], difference, atol=1e-8)


def test_equinox_model_last_layer():
    mlp = eqx.nn.MLP(1, "scalar", 8, 2, jnp.tanh, key=jax.random.key(0))
    params, static = eqx.partition(mlp, eqx.is_inexact_array)
    x = jnp.linspace(-1, 1, 40)[:, None]
    residuals = lambda p, y: jax.vmap(eqx.combine(p, static))(x) - y
    solution = solve(residuals, params, jnp.sin(3 * x[:, 0]), max_iterations=60)
    assert solution.state.plan.strategy == "partial"
    assert any("layers[2]" in name for name in solution.state.certificate.affine_set.names)
    assert float(solution.stats["loss"]) < 1e-6


def test_a_certificate_that_the_numbers_contradict_is_a_failure(monkeypatch):
    """The check is made to certify another function than the one that is solved."""
    import infinity.descent.solver as solver_module

    linear = lambda p, data: p["a"] * t + p["b"] + p["k"] * t**2 - data
    data = decay({"a": 3.0, "b": 0.5, "k": 2.0}, 0.0)
    certify = solver_module.certify
    monkeypatch.setattr(solver_module, "certify", lambda fn, params, *args: certify(linear, params, *args))
    # A new function, as a compiled program would keep the certificate that it was traced with.
    solution = solve(lambda p, data: decay(p, data), START, data)
    assert not bool(solution.state.trusted)
    assert solution.result != optx.RESULTS.successful


def test_loss_below_zero_that_cannot_fall_ends():
    """A bounded loss with negative values, started at its minimum with an unreachable tolerance."""
    loss = lambda p, _: -1 - jnp.cos(p["u"]) * jnp.cos(p["v"])
    start = {"u": jnp.array(1e-3), "v": jnp.array(-1e-3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", inf.OpenModelWarning)
        solution = optx.minimise(loss, inf.InfiniteDescent(0.0, 0.0), start, throw=False)
    assert int(solution.stats["num_steps"]) < 10
    np.testing.assert_allclose(loss(solution.value, None), -2.0, rtol=1e-14)


def test_non_finite_start_is_a_failure_not_a_number():
    solution = solve(lambda p, _: p[0] * jnp.sqrt(p[1]) * t - 1, [jnp.array(1.0), jnp.array(-1.0)])
    assert solution.result != optx.RESULTS.successful


def test_complex_and_empty_problems_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="complex"):
            solve(lambda y, _: jnp.abs(y), jnp.array([1.0 + 1j]))
    with pytest.raises(ValueError, match="no parameters"):
        solve(lambda y, _: t, {})


def test_ledger_counts_and_history():
    solution = solve(decay, START, decay({"a": 3.0, "b": 0.5, "k": 2.0}, 0.0))
    history = solution.state.ledger.history
    recorded = history[jnp.isfinite(history)]
    assert recorded.shape[0] == int(solution.state.ledger.recorded)
    assert float(recorded[-1]) == float(solution.stats["loss"])
    assert int(solution.stats["residuals"]) > int(solution.stats["iterations"]) > 0
