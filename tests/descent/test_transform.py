"""Infinite Descent as an Optax transformation: the same step, in every place where an optimiser may stand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import infinity as inf

t = jnp.linspace(0.0, 1.0, 25)
DATA = 3.0 * jnp.exp(-2.0 * t) + 0.5
START = {"a": jnp.array(1.0), "b": jnp.array(0.0), "k": jnp.array(1.0)}


def decay(p, data):
    return p["a"] * jnp.exp(-p["k"] * t) + p["b"] - data


def test_lands_on_the_outer_step():
    noisy = DATA + 0.1 * jnp.sin(40 * t)
    solver = inf.InfiniteDescent(1e-8, 1e-8)
    expected = optx.least_squares(decay, solver, START, args=noisy, max_steps=1, throw=False)
    optimiser = inf.infinite_descent(decay)
    updates, state = optimiser.update(
        None, optimiser.init(START), START, args=noisy, value=1.0, grad=None, value_fn=None
    )
    new = optax.apply_updates(START, updates)
    for name in START:
        np.testing.assert_allclose(new[name], expected.value[name], rtol=1e-12)
    assert bool(state.converged)
    assert (int(state.updates), int(state.iterations)) == (
        1,
        int(expected.stats["iterations"] + expected.stats["newton"]),
    )
    np.testing.assert_allclose(state.reached, expected.stats["loss"], rtol=1e-10)


def test_closed_over_data_and_losses():
    optimiser = inf.infinite_descent(lambda w: jnp.sum((w - jnp.arange(3.0)) ** 2))
    w = jnp.ones(3)
    updates, _ = optimiser.update(w, optimiser.init(w), w)
    np.testing.assert_allclose(w + updates, jnp.arange(3.0), atol=1e-12)
    optimiser = inf.infinite_descent(lambda w: jnp.sum((w - 4) ** 2), damping=2.0)
    updates, _ = optimiser.update(w, optimiser.init(w), w)
    np.testing.assert_allclose(updates, 1.5 * jnp.ones(3), rtol=1e-12)


def test_chain_jit_scan_and_single_tracing():
    traces = []

    def residuals(p, data):
        traces.append(None)
        return decay(p, data)

    optimiser = optax.chain(inf.infinite_descent(residuals, max_iterations=5), optax.scale(1.0))

    @jax.jit
    def run(params, batches):
        def one(carry, data):
            params, state = carry
            updates, state = optimiser.update(params, state, params, args=data)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(one, (params, optimiser.init(params)), batches)[0][0]

    found = run(START, jnp.stack([DATA] * 4))
    count = len(traces)
    run(START, jnp.stack([DATA + 1] * 4))
    assert len(traces) == count
    np.testing.assert_allclose([found["a"], found["b"], found["k"]], [3.0, 0.5, 2.0], rtol=1e-6)


def test_short_updates_hand_on_their_region():
    noisy = DATA + 0.1 * jnp.sin(40 * t)
    optimiser = inf.infinite_descent(decay, steps=1)
    step = jax.jit(lambda p, state: optimiser.update(None, state, p, args=noisy))
    params, state, losses = START, optimiser.init(START), []
    for _ in range(12):
        updates, state = step(params, state)
        params = optax.apply_updates(params, updates)
        losses.append(float(state.reached))
    assert int(state.iterations) == 12
    assert losses == sorted(losses, reverse=True)
    assert float(state.mu) < 1e-3
    whole = inf.infinite_descent(decay)
    best, _ = whole.update(None, whole.init(START), START, args=noisy)
    np.testing.assert_allclose(params["k"], 1.0 + best["k"], rtol=1e-6)
    with pytest.raises(ValueError, match="steps=0"):
        inf.infinite_descent(decay, steps=0)


def test_half_of_a_step():
    optimiser = optax.chain(inf.infinite_descent(lambda w: w - 4.0), optax.scale(0.5))
    w = jnp.zeros(2)
    np.testing.assert_allclose(optimiser.update(w, optimiser.init(w), w)[0], 2.0)


def test_masked_leaves_stay_and_are_known():
    optimiser = optax.masked(inf.infinite_descent(decay), {"a": True, "b": True, "k": False})
    start = START | {"k": jnp.array(2.0)}
    state = optimiser.init(start)
    zeros = jax.tree.map(jnp.zeros_like, start)
    updates, _ = optimiser.update(zeros, state, start, args=DATA, whole=start)
    new = optax.apply_updates(start, updates)
    np.testing.assert_allclose([new["a"], new["b"], new["k"]], [3.0, 0.5, 2.0], rtol=1e-10)
    with pytest.raises(
        ValueError, match=r"masked(.|\n)*optimiser.update\(None, state, params, args=batch\)(.|\n)*whole=params"
    ):
        optimiser.update(zeros, state, start, args=DATA)


def test_multi_transform_beside_gradient_descent():
    labels = {"a": "solve", "b": "solve", "k": "slide"}
    optimiser = optax.multi_transform({"solve": inf.infinite_descent(decay), "slide": optax.sgd(0.2)}, labels)
    loss = lambda p: 0.5 * jnp.sum(decay(p, DATA) ** 2)

    gradient = jax.grad(loss)(START)
    updates, _ = jax.jit(lambda p, state: optimiser.update(gradient, state, p, args=DATA, whole=p))(
        START, optimiser.init(START)
    )
    np.testing.assert_allclose(updates["k"], -0.2 * gradient["k"], rtol=1e-12)
    # The others are at their optimum for the rate that they were given.
    solved = optax.apply_updates(START, updates | {"k": jnp.array(0.0)})
    slopes = jax.grad(loss)(solved)
    np.testing.assert_allclose([slopes["a"], slopes["b"]], 0.0, atol=1e-10)


def test_optimistix_minimiser():
    solver = optx.OptaxMinimiser(inf.infinite_descent(lambda p: decay(p, DATA)), rtol=1e-6, atol=1e-6)
    solution = optx.minimise(lambda p, _: 0.5 * jnp.sum(decay(p, DATA) ** 2), solver, START)
    np.testing.assert_allclose(solution.value["k"], 2.0, rtol=1e-8)
    assert int(solution.stats["num_steps"]) < 5


def test_partitioned_model_is_partly_closed():
    model = eqx.nn.MLP(1, "scalar", 8, 1, jnp.tanh, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    x = jnp.linspace(-1, 1, 40)[:, None]
    y = jnp.sin(3 * x[:, 0])
    residuals = lambda p, y: jax.vmap(eqx.combine(p, static))(x) - y
    optimiser = inf.infinite_descent(residuals, max_iterations=30)

    @eqx.filter_jit
    def step(params, state):
        updates, state = optimiser.update(None, state, params, args=y)
        return eqx.apply_updates(params, updates), state

    new, state = step(params, optimiser.init(params))
    assert float(state.reached) < 1e-6 < float(state.loss)
    # The last layer is at its optimum for the others.
    last, _ = (
        jax.jacrev(lambda w: 0.5 * jnp.sum(residuals(eqx.tree_at(lambda m: m.layers[1].weight, new, w), y) ** 2)),
        None,
    )
    np.testing.assert_allclose(last(new.layers[1].weight), 0, atol=1e-8)


def batches(x, y, size, seed=0):
    order = np.random.default_rng(seed).permutation(len(y))
    return [(x[part], y[part]) for part in np.split(order, len(y) // size)]


def test_one_pass_of_recursive_least_squares_is_the_full_solution(dtype):
    x = jax.random.normal(jax.random.key(0), (120, 4), dtype)
    y = x @ jnp.arange(1.0, 5.0, dtype=dtype) + 0.5 * jax.random.normal(jax.random.key(1), (120,), dtype)
    residuals = lambda w, batch: batch[0] @ w - batch[1]
    w = jnp.zeros(4, dtype)
    optimiser = inf.infinite_descent(residuals, average=1.0)
    step = jax.jit(lambda w, state, batch: optimiser.update(None, state, w, args=batch))
    state = optimiser.init(w)
    for batch in batches(x, y, 8):
        updates, state = step(w, state, batch)
        w = optax.apply_updates(w, updates)
    full = jnp.linalg.lstsq(x, y)[0]
    assert w.dtype == dtype
    np.testing.assert_allclose(w, full, rtol=2e-4 if dtype == jnp.float32 else 1e-10)
    # A batch alone is not enough.
    alone, _ = inf.infinite_descent(residuals).update(None, inf.infinite_descent(residuals).init(w), w, args=batch)
    assert float(jnp.linalg.norm(alone)) > 1e-2


def test_mini_batches_of_a_last_layer_reach_the_full_solution():
    model = eqx.nn.MLP(1, "scalar", 6, 2, jnp.tanh, key=jax.random.key(0))
    is_last = jax.tree.map(lambda _: False, model)
    is_last = eqx.tree_at(lambda m: (m.layers[2].weight, m.layers[2].bias), is_last, (True, True))
    params, static = eqx.partition(model, is_last)
    x = jnp.linspace(-2, 2, 160)[:, None]
    y = jnp.sin(3 * x[:, 0]) + 0.1 * jnp.cos(50 * x[:, 0])
    residuals = lambda p, batch: jax.vmap(eqx.combine(p, static))(batch[0]) - batch[1]
    optimiser = inf.infinite_descent(residuals, average=1.0)
    step = eqx.filter_jit(lambda params, state, batch: optimiser.update(None, state, params, args=batch))
    state = optimiser.init(params)
    for batch in batches(x, y, 16):
        updates, state = step(params, state, batch)
        params = eqx.apply_updates(params, updates)
    loss = lambda p: float(jnp.sum(residuals(p, (x, y)) ** 2))
    whole = inf.infinite_descent(residuals)
    updates, _ = whole.update(None, whole.init(params), params, args=(x, y))
    np.testing.assert_allclose(loss(params), loss(eqx.apply_updates(params, updates)), rtol=1e-8)


def test_fading_memory_follows_a_nonlinear_model():
    """Batches of a model that is not affine: the memory is a linearisation, and old ones fade."""
    points = jnp.linspace(0.0, 3.0, 120)
    values = 2.0 * jnp.exp(-1.5 * points) + 0.02 * jnp.sin(91 * points)
    residuals = lambda p, batch: p["a"] * jnp.exp(-p["k"] * batch[0]) - batch[1]
    start = {"a": jnp.array(1.0), "k": jnp.array(0.5)}
    best = optx.least_squares(residuals, inf.InfiniteDescent(), start, args=(points, values)).value
    optimiser = inf.infinite_descent(residuals, average=0.98)
    step = jax.jit(lambda p, state, batch: optimiser.update(None, state, p, args=batch))
    params, state = start, optimiser.init(start)
    for epoch in range(10):
        for batch in batches(points, values, 12, epoch):
            updates, state = step(params, state, batch)
            params = optax.apply_updates(params, updates)
    for name in start:
        np.testing.assert_allclose(params[name], best[name], rtol=5e-3)


def test_what_is_missing_is_shown_as_the_loop_to_write():
    optimiser = inf.infinite_descent(decay)
    state = optimiser.init(START)
    for call in ({}, {"params": START}, {"args": DATA}):
        with pytest.raises(
            ValueError, match=r"for batch in batches:\n.*optimiser.update\(None, state, params, args=batch\)"
        ):
            optimiser.update(None, state, **call)


def test_settings_out_of_range_and_problems_of_the_wrong_kind():
    with pytest.raises(ValueError, match="damping=-1"):
        inf.infinite_descent(decay, damping=-1)
    with pytest.raises(ValueError, match=r"average=1.5.*from 0 \(forget\) to 1"):
        inf.infinite_descent(decay, average=1.5)
    with pytest.raises(ValueError, match="at most 3000"):
        inf.infinite_descent(lambda w: w, average=1.0).init(jnp.zeros(3001))
    for optimiser, params, message in (
        (inf.infinite_descent(lambda w: jnp.sum(w**2), average=0.5), t, "averaging needs residuals"),
        (inf.infinite_descent(lambda w: w), jnp.arange(3), "real floating-point"),
        (inf.infinite_descent(lambda w: jnp.sqrt(w), strict=True), t, "strict=True"),
    ):
        state = optimiser.init(params)
        with pytest.raises(ValueError, match=message):
            optimiser.update(None, state, params)


def test_an_update_that_is_no_number_is_zero():
    optimiser = inf.infinite_descent(lambda p: p["a"] * jnp.sqrt(p["b"]) * t - 1)
    params = {"a": jnp.array(1.0), "b": jnp.array(-1.0)}
    updates, state = optimiser.update(None, optimiser.init(params), params)
    assert all(float(value) == 0 for value in jax.tree.leaves(updates))
    assert not bool(state.converged)
