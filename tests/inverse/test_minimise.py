"""Extremes with bounds that hold."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.inverse.bounds import Tree, bound
from infinity.inverse.pieces import pieces_of


def rough(dimensions, modes=3, seed=0, degree=3, amplitude=0.5, elements=4):
    model = inf.KHRONOS(
        [(-1.0, 2.0)] * dimensions, modes=modes, elements=elements, degree=degree, outputs="scalar", key=jax.random.key(0)
    )  # fmt: skip
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(1 + amplitude * random.normal(size=leaf.shape)), model)


def evaluated(model, number=20000, seed=1):
    x = np.random.default_rng(seed).uniform(-1, 2, (number, model.dimensions))
    return np.asarray(inf.models.Evaluator(model)(jnp.asarray(x)))


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 5])
def test_bounds_hold_on_every_box_and_shrink(degree):
    model = rough(3, degree=degree)
    pieces = pieces_of(model, 0, np.full(3, -1.0), np.full(3, 3.0), {})
    trees, random = [Tree(piece) for piece in pieces.dimensions], np.random.default_rng(2)
    gaps = []
    for depth in (0, 2, 4, 7):
        index = np.zeros((1, 3), int)
        for _ in range(depth):
            side = random.integers(0, 2)
            index = np.array([[tree.split(int(i))[side] for tree, i in zip(trees, row, strict=True)] for row in index])
        nodes = [tree.nodes(column) for tree, column in zip(trees, index.T, strict=True)]
        z = np.stack([n.low + (n.high - n.low) * random.uniform(0, 1 - 1e-12, 2000) for n in nodes], axis=1)
        for sign in (1.0, -1.0):
            found = bound(pieces, nodes, sign)
            least = (sign * pieces.values(z)).min()
            assert found.lower[0] <= least + 1e-12
            gaps.append(least - found.lower[0])
    assert gaps[-1] < 0.1 * gaps[0] + 1e-12


SLOW = [pytest.param(dimensions, marks=pytest.mark.slow) for dimensions in (1, 3)]


@pytest.mark.parametrize("dimensions", [2, *SLOW])
def test_the_least_value_is_certified_and_no_sample_is_below(dimensions):
    for degree in (1, 3) if dimensions == 1 else (3,):
        model = rough(dimensions, degree=degree, seed=dimensions)
        seen = evaluated(model)
        for find, sign in ((inf.minimise, 1), (inf.maximise, -1)):
            found = find(model)
            assert found.certified, found.message
            assert sign * found.bound <= sign * found.value
            assert found.gap <= 2e-8 * np.ptp(seen)
            assert sign * found.value <= (sign * seen).min() + 1e-12
            np.testing.assert_allclose(model(jnp.asarray(found.point)), found.value, rtol=1e-12)


@pytest.mark.parametrize("name", ["hats", "patches", "layers"])
def test_hats_patches_and_layers_are_certified_too(name):
    random = np.random.default_rng(4)
    options = {"modes": 2, "elements": 5, "outputs": "scalar", "key": jax.random.key(0)}
    if name == "layers":
        model = inf.KHRONOS([(-1.0, 2.0)], layers=2, layer_elements=4, **options)
    else:
        model = inf.INN([(-1.0, 2.0)], basis={"hats": "hat"}.get(name, "patch"), **options)
    model = jax.tree.map(lambda leaf: jnp.asarray(1 + 0.5 * random.normal(size=leaf.shape)), model).frozen()
    x = np.linspace(-1, 2, 30001)
    seen = np.asarray(inf.models.Evaluator(model)(jnp.asarray(x[:, None])))
    for find, sign in ((inf.minimise, 1), (inf.maximise, -1)):
        found = find(model)
        assert found.certified, found.message
        assert abs(found.value - sign * (sign * seen).min()) < 1e-3 * np.ptp(seen)
        assert sign * found.value <= (sign * seen).min() + 1e-12
    level = float(np.mean(seen)) + 1e-7
    roots = inf.roots(model, level)
    assert roots.complete
    np.testing.assert_allclose(roots.points[:, 0], x[:-1][np.diff(seen > level)], atol=1e-4)


def test_a_monotone_model_of_ten_inputs_ends_in_its_corner():
    model = inf.KHRONOS([(0.0, 1.0)] * 10, modes=2, elements=3, outputs="scalar", key=jax.random.key(0))
    rising = tuple(jnp.stack([1 + basis.greville(), jnp.ones(basis.size)]) for basis in model.bases)
    model = eqx.tree_at(lambda m: m.factors, model, rising)
    found = inf.maximise(model)
    np.testing.assert_array_equal(found.point, 1.0)
    assert found.certified
    assert found.boxes < 100


def test_what_was_not_proved_is_said():
    found = inf.minimise(rough(4, modes=4, amplitude=1.0), boxes=3, tolerance=1e-12)
    assert not found.certified
    assert found.bound < found.value
    assert "was not closed with" in found.message
    plain = inf.minimise(lambda x: jnp.sum((x - 0.3) ** 2), domain=[(-1.0, 1.0)] * 2)
    np.testing.assert_allclose(plain.point, 0.3, atol=1e-6)
    assert not plain.certified
    assert plain.bound == -np.inf
    assert "no bounds" in plain.message


def test_links_known_inputs_and_bad_input():
    model = rough(2)
    box = ((0.0, 1.0), (2.0, 3.0))
    unit = inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=2, outputs="scalar", key=jax.random.key(1))
    fitted = inf.Fitted(unit, *box, True, (0.1,), (0.5,), ("a", "b"), ("y",), "warn", True, "log")
    found = inf.minimise(fitted, known={"b": 2.5})
    assert found.point[1] == 2.5
    assert found.certified
    np.testing.assert_allclose(fitted(jnp.asarray(found.point)), found.value, rtol=1e-6)
    with pytest.raises(ValueError, match="no input 'c'"):
        inf.minimise(fitted, known={"c": 1.0})
    with pytest.raises(ValueError, match="tolerance=0"):
        inf.minimise(model, tolerance=0)
