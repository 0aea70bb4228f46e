"""Nodes and inner layers that follow the data, and the full tensor fit."""

import jax
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.adaptive import equal_shares, roughness
from infinity.fitting.direct import rare_samples


def front(x):
    return np.tanh(30 * (x - 0.3))


@pytest.fixture(scope="module")
def line():
    x = np.random.default_rng(0).permutation((np.arange(600) + 0.5) / 600)
    return x[:, None], front(x)


def error(result, f, n=2001):
    x = np.linspace(0, 1, n)
    return np.sqrt(np.mean((np.asarray(result.predict(x[:, None])) - f(x)) ** 2))


@pytest.fixture(scope="module")
def uniform(line):
    model = inf.INN([(0.0, 1.0)], modes=1, elements=11, outputs="scalar", key=jax.random.key(0))
    return error(inf.fit(*line, model=model), front)


def test_trained_nodes_of_hats(line, uniform):
    model = inf.INN([(0.0, 1.0)], modes=1, elements=11, outputs="scalar", trainable_nodes=True, key=jax.random.key(0))
    result = inf.fit(*line, model=model)
    assert "joint descent" in result.message
    assert not result.model.inner.trainable_axes
    nodes = np.asarray(result.model.inner.breakpoints[0])
    assert np.all(np.diff(nodes) > 0)
    assert np.sum(np.abs(nodes - 0.3) < 0.1) >= 6
    assert error(result, front) < uniform / 25
    # The smoothness fades as far as the data allow: no better hats stand on these nodes.
    x, y = line[0], np.asarray(line[1])
    hats = np.maximum(0, np.stack([np.interp(x[:, 0], nodes, row) for row in np.eye(len(nodes))], axis=1))
    left = y - hats @ np.linalg.lstsq(hats, y, rcond=None)[0]
    assert np.sqrt(np.mean((np.asarray(result.predict(x)) - y) ** 2)) < 1.1 * np.sqrt(np.mean(left**2))


def test_a_part_of_the_samples_leaves_out_no_cell():
    """Steps shaped by a part that misses the short cells of a front went astray there."""
    nodes = np.concatenate([np.linspace(0, 0.29, 4), 0.3 + 0.004 * np.linspace(-1, 1, 9), np.linspace(0.31, 1, 4)])
    axes = inf.INN(nodes=[nodes.tolist()], modes=1, key=jax.random.key(0)).axes
    x = np.random.default_rng(0).uniform(size=(4000, 1))
    needed = rare_samples(axes, x)
    assert np.histogram(x[:, 0], nodes)[0].min() * needed / len(x) >= 6
    assert rare_samples(inf.INN([(0.0, 1.0)], modes=1, elements=40, key=jax.random.key(0)).axes, x) == 0


@pytest.mark.slow
def test_an_inner_layer_finds_the_front(line, uniform):
    model = inf.KHRONOS(
        [(0.0, 1.0)], modes=1, elements=11, degree=1, layers=2, additive=False, outputs="scalar", key=jax.random.key(0)
    )
    result = inf.fit(*line, model=model)
    assert error(result, front) < uniform / 10


def test_the_full_tensor_fit_reproduces_what_it_holds():
    x = np.random.default_rng(1).uniform(size=(500, 2))
    y = np.stack([x[:, 0] * x[:, 1], 1 + x[:, 1]], axis=1)
    result = inf.fit(x, y, model=inf.HiDeNN(domain=[(0.0, 1.0)] * 2, elements=4, outputs=2))
    assert result.success
    assert result.metrics["heldout"]["nrmse"] < 1e-5
    assert result.model.inner.values.shape == (5, 5, 2)
    lower, upper = result.intervals(x[:5])
    assert np.all(lower <= upper)
    many = np.random.default_rng(2).uniform(size=(4000, 2))
    with pytest.raises(ValueError, match="at most 2500"):
        inf.fit(many, many.prod(axis=1), model=inf.HiDeNN(domain=[(0.0, 1.0)] * 2, elements=55, outputs="scalar"))


@pytest.mark.slow
def test_the_full_tensor_fit_with_trained_nodes():
    x = np.random.default_rng(1).uniform(size=(900, 1))
    model = inf.HiDeNN(domain=[(0.0, 1.0)], elements=11, trainable_nodes=True, outputs="scalar")
    result = inf.fit(x, front(x[:, 0]), model=model)
    assert result.metrics["heldout"]["nrmse"] < 1e-2


def test_cells_get_equal_shares():
    edges = np.linspace(0.0, 2.0, 201)
    density = np.exp(-3 * (edges[1:] + edges[:-1]) / 2)
    points = equal_shares(edges, density, 7)
    height = np.interp(points, edges, np.concatenate([[0.0], np.cumsum(density * np.diff(edges))]))
    np.testing.assert_allclose(np.diff(height), height[-1] / 7, rtol=1e-10)


def test_roughness_of_a_product_is_the_mean_over_the_others():
    model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=3, degree=3, outputs=2, key=jax.random.key(3))
    edges, density = roughness(model, 0, 1)
    assert len(density) == len(edges) - 1
    t = (edges[1:] + edges[:-1])[[5, 30]] / 2
    s = np.random.default_rng(0).uniform(size=4000)
    bases, mixing = model.bases, np.asarray(model.mixing)
    across = np.asarray(jax.vmap(bases[1])(s) @ model.factors[1].T)
    for place, at in zip(density[[5, 30]], t, strict=True):
        second = np.asarray(bases[0].derivative(at, 2) @ model.factors[0].T)
        total = np.sum(np.mean((across * second @ mixing.T) ** 2, axis=0))
        floor = density.min()
        assert abs(place - total ** (1 / 5)) < 0.05 * place + floor


@pytest.mark.slow
def test_growth_refines_while_the_evidence_rises():
    x = np.random.default_rng(4).uniform(size=(500, 2))
    noise = 0.05 * np.random.default_rng(5).normal(size=500)
    y = np.sin(9 * x[:, 0]) * x[:, 1] + noise
    model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=1, outputs="scalar", key=jax.random.key(0))
    coarse = inf.fit(x, y, model=model)
    result = inf.fit(x, y, model=model, growth=4)
    assert len(result.trials) >= 4
    assert result.model.inner.axes[0].elements >= 4
    assert result.metrics["heldout"]["nrmse"] < 0.4 * coarse.metrics["heldout"]["nrmse"]
    # It ends before the table is spent: noise earns nothing.
    assert result.model.inner.unknowns < 150
    with pytest.raises(ValueError, match="separable model"):
        inf.fit(x, y, growth=2)


def test_nodes_are_placed_behind_maps_that_are_held():
    from infinity.basis import Axis, CoordinateMap
    from infinity.fitting.adaptive import _placed

    bent = CoordinateMap([0.0, 0.5, 1.0], 2, [4.0, 1.0, 1.0])
    axis = Axis("hat", np.linspace(0, 1, 5), maps=[bent], trainable=True)
    edges = np.linspace(0.0, 1.0, 101)
    placed = _placed(axis, edges, np.ones(100))
    np.testing.assert_allclose(placed.breakpoints, bent.values(np.linspace(0, 1, 5)), atol=1e-12)
