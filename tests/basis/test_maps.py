"""Monotone maps and families behind them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.basis import BSpline, Composed, CoordinateMap
from infinity.basis.composed import preimage


@pytest.fixture
def maps():
    draw = np.random.default_rng(0).uniform
    return (
        CoordinateMap(np.linspace(0.0, 2.0, 6), 2, draw(0.1, 1, 6)),
        CoordinateMap(np.linspace(0.0, 2.0, 4), 2, draw(0.1, 1, 4)),
    )


def test_a_map_rises_keeps_its_ends_and_starts_as_the_identity(maps):
    t = np.linspace(0.0, 2.0, 201)
    image = maps[0].values(t)
    assert image[0] == 0.0
    assert image[-1] == 2.0
    assert np.all(np.diff(image) > 0)
    np.testing.assert_allclose(jax.vmap(maps[0])(jnp.asarray(t)), image, atol=1e-14)
    np.testing.assert_allclose(CoordinateMap([0.0, 0.2, 2.0]).values(t), t, atol=1e-14)
    np.testing.assert_allclose(preimage(image[20:-20], maps[:1]), t[20:-20], atol=1e-12)
    trained = maps[0].trained()
    np.testing.assert_allclose(jax.vmap(trained)(jnp.asarray(t)), image, atol=1e-12)
    assert not jax.tree.leaves(trained.frozen())


def test_functions_behind_maps_are_polynomials_of_the_product_of_the_degrees(maps):
    basis = Composed(BSpline((0.0, 2.0), elements=5, degree=3), maps)
    assert basis.degree == 12
    t = jnp.asarray(np.random.default_rng(1).uniform(0, 2, 60))
    c = jnp.sin(jnp.arange(basis.size, dtype=float))
    dense = jax.jit(jax.vmap(basis))(t)
    np.testing.assert_allclose(jax.vmap(basis.piecewise(c))(t), dense @ c, atol=1e-11)
    np.testing.assert_allclose(dense.sum(axis=1), 1.0, atol=1e-13)
    np.testing.assert_allclose(basis.mass().sum(), 2.0, rtol=1e-13)
    slopes = jax.jit(jax.vmap(lambda t: basis.derivative(t, 1)))(t)
    step = 1e-6
    measured = (jax.vmap(basis)(t + step) - jax.vmap(basis)(t - step)) / (2 * step)
    np.testing.assert_allclose(slopes, measured, atol=1e-6)


def test_traced_maps_give_the_same_values(maps):
    outer = BSpline((0.0, 2.0), elements=5, degree=3)
    known = Composed(outer, maps)
    traced = eqx.filter_jit(lambda maps, t: Composed(outer, maps)(t))
    trained = tuple(inner.trained() for inner in maps)
    for t in (0.1, 0.9, 1.99):
        np.testing.assert_allclose(traced(trained, jnp.asarray(t)), known(t), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CoordinateMap([0.0, 1.0], 0), "at least 1"),
        (lambda: CoordinateMap([0.0, 1.0], 2, [1.0, -1.0]), "2 positive numbers"),
        (lambda: Composed(BSpline(), ()), "at least one"),
        (lambda: Composed(BSpline(), (CoordinateMap([0.0, 3.0]),)), "one domain"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
