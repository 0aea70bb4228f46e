"""Main effects against means over a grid, slopes against finite differences, units, policies, bad input."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting import Fitted


def random_model(outputs=2, dtype=jnp.float64, **options):
    domain = [(-1.0, 2.0), (0.0, 1.0), (5.0, 9.0)]
    model = inf.KHRONOS(domain, modes=4, elements=2, outputs=outputs, key=jax.random.key(0), **options)
    leaves, tree = jax.tree.flatten(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(4)
    leaves = [jnp.asarray(rng.normal(size=leaf.shape), dtype) for leaf in leaves]
    return eqx.combine(jax.tree.unflatten(tree, leaves), model)


def fitted(outside="linear", outputs=2):
    """A model on the unit box inside, on another box outside."""
    inner = inf.KHRONOS([(0.0, 1.0)] * 3, modes=3, elements=3, outputs=outputs, key=jax.random.key(1))
    inner = jax.tree.map(
        lambda leaf: jnp.asarray(np.asarray(leaf) + np.linspace(0, 1, leaf.size).reshape(leaf.shape) ** 2), inner
    )
    shift, scale, targets = ((10.0, -1.0), (2.0, 300.0), ("p", "q")) if outputs == 2 else ((10.0,), (2.0,), ("p",))
    lower, upper, names = (-1.0, 0.0, 50.0), (2.0, 1e-3, 90.0), ("a", "b", "c")
    return Fitted(inner, lower, upper, True, shift, scale, names, targets, outside, outputs == "scalar")


@eqx.filter_jit
def evaluate(model, x):
    return jax.vmap(model)(x)


def mean_on_a_grid(model, domain, d, t):
    """The mean over the other two inputs by a Gauss rule in each of the cells."""
    rules = []
    for low, high in domain:
        ends = np.linspace(low, high, 7)  # holds the breakpoints of 2 and of 3 equal cells
        nodes, weights = np.polynomial.legendre.leggauss(4)
        where = ends[:-1, None] + np.diff(ends)[:, None] * (nodes + 1) / 2
        rules.append((where.ravel(), np.tile(weights / 12, 6)))
    others = [e for e in range(3) if e != d]
    a, b = np.meshgrid(*(rules[e][0] for e in others), indexing="ij")
    weight = np.outer(*(rules[e][1] for e in others)).ravel()
    x = np.empty((a.size, 3))
    x[:, others[0]], x[:, others[1]], x[:, d] = a.ravel(), b.ravel(), t
    return weight @ np.asarray(evaluate(model, jnp.asarray(x))).reshape(len(x), -1)


@pytest.mark.parametrize(
    ("make", "d"),
    [(random_model, 0), (fitted, 1), (lambda: random_model(1, additive=False, constant=False), 2)],
    ids=["bare", "fitted", "modes only"],
)
def test_main_effect_is_the_mean_over_the_others(make, d):
    model = make()
    effect = inf.main_effect(model, d)
    low, high = model.domain[d]
    t = np.linspace(low, high, 5)
    expected = [mean_on_a_grid(model, model.domain, d, point) for point in t]
    np.testing.assert_allclose(evaluate(effect, jnp.asarray(t)), expected, rtol=1e-9)


def test_main_effect_under_a_sample_and_by_name():
    model = fitted()
    rows = np.asarray(model.lower) + (np.asarray(model.upper) - model.lower) * np.random.default_rng(0).random((9, 3))
    effect = inf.main_effect(model, "b", rows)
    x = np.array([[a, 4e-4, c] for a in rows[:, 0] for c in rows[:, 2]])
    np.testing.assert_allclose(effect(4e-4), evaluate(model, jnp.asarray(x)).mean(axis=0), rtol=1e-11)


def test_main_effects_have_the_variance_of_the_first_indices():
    model = random_model()
    indices = inf.sobol(model)
    for d, basis in enumerate(model.bases):
        nodes, weights = basis.quadrature()
        curve = evaluate(inf.main_effect(model, d), nodes)
        weights = weights / weights.sum()
        mean = weights @ curve
        np.testing.assert_allclose(mean, indices.mean, rtol=1e-11)
        np.testing.assert_allclose(weights @ (curve - mean) ** 2 / indices.variance, indices.first[:, d], rtol=1e-9)


def test_main_effect_is_a_pytree_with_the_shape_and_dtype_of_the_model(dtype):
    model = random_model("scalar", dtype)
    effect = inf.main_effect(model, 0)
    t = jnp.linspace(-1, 2, 7, dtype=dtype)
    values = jax.vmap(effect)(t)
    assert (values.shape, values.dtype) == ((7,), dtype)
    np.testing.assert_allclose(eqx.filter_jit(effect)(t[3]), values[3], rtol=100 * jnp.finfo(dtype).eps)
    assert np.isnan(evaluate(effect, jnp.array([-1.1, 2.1], dtype))).all()


@pytest.mark.parametrize("outside", ["error", "clamp", "warn"])
def test_slopes_are_finite_differences_up_to_the_edge(outside):
    model = fitted(outside)
    smooth = dataclasses.replace(model, outside="linear")
    length = np.asarray(model.upper) - model.lower
    slope = inf.derivative(model)
    for share in [np.array([0.2, 0.5, 0.8]), np.array([0.0, 0.4, 1.0])]:
        x = model.lower + length * share
        steps = np.diag(1e-5 * length)
        up, down = evaluate(smooth, jnp.asarray(x + steps)), evaluate(smooth, jnp.asarray(x - steps))
        expected = ((up - down) / (2e-5 * length[:, None])).T
        assert slope(x).shape == (2, 3)
        np.testing.assert_allclose(slope(x), expected, rtol=1e-4, atol=1e-9)


def test_slopes_outside_the_box_follow_the_policy():
    x = jnp.array([2.5, 5e-4, 60.0])
    edge = x.at[0].set(2.0)
    slopes = {policy: inf.derivative(fitted(policy)) for policy in ("clamp", "linear", "nan", "error")}
    at_edge = slopes["linear"](edge)
    np.testing.assert_allclose(slopes["linear"](x)[:, 0], at_edge[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(slopes["clamp"](x)[:, 0], 0)
    np.testing.assert_allclose(slopes["clamp"](x)[:, 1:], at_edge[:, 1:], rtol=1e-12)
    assert np.isnan(slopes["nan"](x)).all()
    with pytest.raises(Exception, match="outside the box"):
        slopes["error"](x)


def test_slopes_of_other_models_and_batches():
    linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    np.testing.assert_allclose(inf.derivative(linear)(jnp.ones(3, linear.weight.dtype)), linear.weight, rtol=1e-6)
    model = fitted(outputs="scalar")
    x = model.lower + (np.asarray(model.upper) - model.lower) * np.random.default_rng(0).random((4, 3))
    batch = evaluate(inf.derivative(model), jnp.asarray(x))
    assert batch.shape == (4, 3)
    np.testing.assert_allclose(batch[2], jax.jit(jax.grad(model))(jnp.asarray(x[2])), rtol=1e-10)


def test_bad_input_is_refused():
    model = fitted()
    cases = [
        (lambda: inf.main_effect(model, 3), "dimension is 3; expected an index from 0 to 2 or one of a, b, c"),
        (lambda: inf.main_effect(model, "z"), "dimension is 'z'"),
        (lambda: inf.main_effect(model, -1), "dimension is -1"),
        (lambda: inf.main_effect(jnp.sin, 0), "needs a separable model"),
        (lambda: inf.main_effect(model, 0)(jnp.zeros(2)), r"t of shape \(2,\)"),
        (lambda: inf.derivative(3.0), "derivative got float"),
        (lambda: inf.derivative(model)(jnp.zeros(2)), r"point of shape \(2,\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
