"""The separable model: its formula, its derivatives, its blocks, exact refinement."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.models.products import exclusive_products, product


def build(dtype=jnp.float64, outputs=1, dimensions=3, **options):
    domain = [(-1.0, 2.0), (0.0, 1.0), (5.0, 9.0), (0.0, 0.1)][:dimensions]
    settings = {"modes": 3, "elements": [4, 3, 5, 2][:dimensions], "degree": 3, **options}
    model = inf.KHRONOS(domain, outputs=outputs, key=jax.random.key(1), **settings)
    leaves, tree = jax.tree.flatten(eqx.filter(model, eqx.is_inexact_array))
    keys = jax.random.split(jax.random.key(2), len(leaves))
    leaves = [jax.random.normal(k, leaf.shape, dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, leaves), model)


def points(model, number=20, dtype=jnp.float64, seed=0):
    box = jnp.asarray(model.domain, dtype)
    return box[:, 0] + (box[:, 1] - box[:, 0]) * jax.random.uniform(
        jax.random.key(seed), (number, model.dimensions), dtype
    )


@eqx.filter_jit
def values(model, x):
    return jax.vmap(model)(x)


def by_the_formula(model, x):
    """The defining sum, written with full basis vectors."""
    basis = [b(x[d]) for d, b in enumerate(model.bases)]
    total = jnp.zeros(model.outputs, x.dtype)
    for m in range(model.modes):
        term = jnp.ones((), x.dtype)
        for d in range(model.dimensions):
            term = term * (model.factors[d][m] @ basis[d])
        total = total + (term if model.mixing is None else model.mixing[:, m] * term)
    for d in range(model.dimensions):
        if model.additive is not None:
            total = total + model.additive[d] @ basis[d]
    return total if model.constant is None else total + model.constant


@pytest.mark.parametrize("outputs", [1, 3, "scalar"])
@pytest.mark.parametrize("blocks", [True, False])
def test_value_is_the_formula(outputs, blocks, dtype):
    model = build(dtype, outputs, constant=blocks, additive=blocks)
    x = points(model, dtype=dtype)
    got = jax.jit(jax.vmap(model))(x)
    wanted = eqx.filter_jit(jax.vmap(lambda row: by_the_formula(model, row)))(x)
    assert got.dtype == dtype
    assert got.shape == ((20,) if outputs == "scalar" else (20, model.outputs))
    np.testing.assert_allclose(
        got.reshape(wanted.shape),
        wanted,
        rtol=2e-4 if dtype == jnp.float32 else 1e-11,
        atol=1e-4 if dtype == jnp.float32 else 1e-12,
    )


def test_products_survive_zeros():
    features = jnp.array([[2.0, 0.0], [0.0, 0.0], [5.0, -3.0]])
    np.testing.assert_array_equal(product(features), [0.0, 0.0])
    np.testing.assert_array_equal(exclusive_products(features), [[0.0, 0.0], [10.0, 0.0], [0.0, 0.0]])


def test_gradient_is_finite_where_factors_vanish():
    model = build()
    model = eqx.tree_at(lambda m: m.factors, model, tuple(jnp.zeros_like(F) for F in model.factors))
    gradient = eqx.filter_grad(lambda m: m(jnp.array([0.0, 0.5, 6.0]))[0])(model)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))


def test_affine_in_each_block():
    model = build(outputs=2)
    x = points(model, 5)
    for where in [
        lambda m: m.factors[0],
        lambda m: m.factors[2],
        lambda m: m.mixing,
        lambda m: (*m.additive, m.constant),
    ]:
        at = lambda t, where=where: jax.vmap(
            eqx.tree_at(
                where,
                model,
                jax.tree.map(lambda leaf: leaf + t * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), where(model)),
            )
        )(x)
        np.testing.assert_allclose(at(2.0) - 2 * at(1.0) + at(0.0), 0.0, atol=1e-11)


def test_without_modes_the_additive_block_is_left():
    model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=0, elements=3, outputs=2, key=jax.random.key(0))
    rows = tuple(jnp.ones((2, 6)) * scale for scale in (1.0, 2.0))
    model = eqx.tree_at(lambda model: model.additive, model, rows)
    assert model.unknowns == 2 * 2 * 6 + 2
    np.testing.assert_allclose(model(jnp.array([0.3, 0.8])), [3.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"elements": 60}, {"degree": 5}, {"modes": 6}, {"elements": 120, "degree": 4, "modes": 5}]
)
def test_refinement_is_exact(change):
    model = build(outputs=2)
    finer = model.refine(**change, key=jax.random.key(5))
    again = finer.refine(degree=[p + 1 for p in finer.degrees], modes=finer.modes + 1, key=jax.random.key(6))
    x = points(model, 50)
    edges = jnp.asarray(model.domain).T
    for where in (x, edges):
        wanted = values(model, where)
        np.testing.assert_allclose(values(finer, where), wanted, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(values(again, where), wanted, rtol=1e-11, atol=1e-11)
    assert finer.unknowns > model.unknowns


def test_only_free_parameters_are_leaves():
    model = build(outputs=2)
    names = {jax.tree_util.keystr(path).split("[")[0] for path, _ in jax.tree_util.tree_leaves_with_path(model)}
    assert names == {".factors", ".mixing", ".additive", ".constant"}


def test_same_key_same_numbers():
    make = lambda seed: inf.KHRONOS([(0.0, 1.0)] * 2, key=jax.random.key(seed)).factors[0]
    np.testing.assert_array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domain": []}, "empty domain"),
        ({"domain": [(1.0, 0.0)]}, "lo < hi"),
        ({"domain": [(0.0, float("nan"))]}, "finite"),
        ({"domain": [(0.0, 1.0)], "modes": 0, "additive": False}, "at least one"),
        ({"domain": [(0.0, 1.0)], "elements": [3, 4]}, "elements="),
        ({"domain": [(0.0, 1.0)], "layers": 0}, "layers=0"),
        ({}, "either a domain"),
    ],
)
def test_bad_construction_says_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        inf.KHRONOS(**arguments, key=jax.random.key(0))


def test_refine_refuses_to_shrink():
    model = build()
    with pytest.raises(ValueError, match="multiple"):
        model.refine(elements=7)
    with pytest.raises(ValueError, match="expected more"):
        model.refine(modes=1)
