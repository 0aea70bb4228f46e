"""Hats and patch interpolants: cardinal, summing to one, reproducing, and right in both precisions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.interpolation.properties import PAIRS
from benchmarks.interpolation.properties import functions as piecewise
from infinity.basis import Axis, BSpline, Hat, Patch
from infinity.basis.patch import checked_settings

TOLERANCE = {np.float64: 1e-11, np.float32: 1e-6}


def mesh(kind: str, n: int = 15) -> np.ndarray:
    if kind == "uniform":
        return np.linspace(0.0, 1.0, n)
    gaps = np.exp(np.random.default_rng(3).uniform(0, np.log(17), n - 1))
    gaps[2], gaps[-3] = 1.0, 17.0
    return np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()])


@eqx.filter_jit
def at(basis, t):
    return jax.vmap(basis)(t)


@pytest.mark.parametrize("kind", ["uniform", "wild"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_patches_are_cardinal_sum_to_one_and_reproduce_polynomials(kind, dtype):
    x = mesh(kind).astype(dtype)
    t = np.sort(np.random.default_rng(0).uniform(0, 1, 100)).astype(dtype)
    for size, order in PAIRS:
        for dilation in (2, 3, 10, 40):
            basis = Patch(jnp.asarray(x), size=size, order=order, dilation=dilation)
            assert basis.table.dtype == dtype
            # The table is tested through the form of one polynomial a cell, without a program for each of its sizes.
            V = piecewise(basis, t)
            bound = TOLERANCE[dtype] * np.abs(V).max()
            np.testing.assert_allclose(piecewise(basis, x), np.eye(len(x)), atol=bound)
            for k in range(order + 1):
                np.testing.assert_allclose(V @ x.astype(float) ** k, t.astype(float) ** k, atol=bound)


@pytest.mark.parametrize("make", [Hat, lambda x: Patch(x, size=3, order=2), lambda x: Patch(x, size=2, dilation=3)])
def test_the_interface_is_that_of_the_splines(make):
    basis = make(jnp.asarray(mesh("wild", 9)))
    t = jnp.linspace(0.0, 1.0, 23)[1:-1]
    dense = at(basis, t)
    np.testing.assert_allclose(
        piecewise(basis, np.asarray(t)) if isinstance(basis, Patch) else dense, dense, atol=1e-13
    )
    c = jnp.sin(jnp.arange(basis.size, dtype=float))
    form = basis.piecewise(c)
    np.testing.assert_allclose(jax.vmap(form)(t), dense @ c, atol=1e-12)
    slopes = jax.vmap(lambda t: basis.derivative(t))(t)
    np.testing.assert_allclose(slopes, jax.vmap(jax.jacfwd(basis))(t), atol=1e-11)
    np.testing.assert_allclose(basis.mass().sum(), 1.0, rtol=1e-13)
    np.testing.assert_allclose(basis.stiffness() @ jnp.ones(basis.size), 0.0, atol=1e-11)
    line = basis.project(lambda t: 2 * t - 1)
    np.testing.assert_allclose(line, 2 * basis.nodes - 1, atol=1e-12)


def test_patch_interpolants_are_continuously_differentiable():
    basis = Patch(jnp.asarray(mesh("wild", 9)), size=2)
    c = jnp.asarray(np.random.default_rng(1).normal(size=9))
    slope = basis.piecewise(c).derivative()
    inner = np.asarray(basis.breakpoints)[1:-1]
    left, right = (jax.vmap(slope)(jnp.asarray(inner + step)) for step in (-1e-13, 1e-13))
    np.testing.assert_allclose(left, right, rtol=1e-8, atol=1e-8)


def test_large_dilations_are_the_limit_of_the_cubic_spline():
    x = jnp.asarray(mesh("uniform", 9))
    limit = Patch(x, size=2, order=1)
    np.testing.assert_allclose(Patch(x, size=2, order=1, dilation=8).table, limit.table, atol=1e-14)
    # Just below, the kernel is evaluated as it is written.
    near = Patch(x, size=2, order=1, dilation=7.99)
    t = np.linspace(0, 1, 40)
    np.testing.assert_allclose(piecewise(near, t), piecewise(limit, t), atol=1e-3)
    assert np.abs(piecewise(near, t) - piecewise(limit, t)).max() > 1e-9


def test_waves_and_exponentials_are_reproduced():
    x = jnp.asarray(mesh("uniform", 12))
    basis = Patch(x, size=5, order=1, frequencies=[7.0], rates=[-3.0])
    t = np.linspace(0.0, 1.0, 57)
    for f in (lambda t: np.sin(7 * t), lambda t: np.cos(7 * t), lambda t: np.exp(-3 * t), lambda t: 1 + t):
        np.testing.assert_allclose(piecewise(basis, t) @ f(np.asarray(x)), f(t), atol=1e-11)


@pytest.mark.parametrize(("size", "order"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_interior_errors_fall_with_the_order(size, order):
    errors = []
    f = lambda t: np.sin(6 * t + 0.3)
    t = np.random.default_rng(0).uniform(0.3, 0.7, 4000)
    for n in (33, 65, 129):
        x = np.linspace(0.0, 1.0, n)
        errors.append(np.sqrt(np.mean((piecewise(Patch(x, size=size, order=order), t) @ f(x) - f(t)) ** 2)))
    rates = np.diff(np.log2(errors))
    assert np.all(np.abs(rates + order + 1) < 0.15), rates


def test_hats_are_splines_of_degree_one():
    x = jnp.asarray([0.0, 0.3, 0.35, 1.0])
    t = jnp.linspace(0.0, 1.0, 31)
    np.testing.assert_allclose(at(Hat(x), t), at(BSpline(breakpoints=x, degree=1), t), atol=1e-15)
    finer, matrix = Hat(x).insert([0.1, 0.9])
    c = jnp.asarray([1.0, -2.0, 0.5, 3.0])
    np.testing.assert_allclose(at(finer, t) @ (matrix @ c), at(Hat(x), t) @ c, atol=1e-14)


@pytest.mark.parametrize("family", ["hat", "patch", "bspline"])
def test_derivatives_with_respect_to_nodes(family):
    axis = Axis(family, mesh("uniform", 9), {"degree": 3} if family == "bspline" else {}, trainable=True)
    c = jnp.sin(jnp.arange(axis.size, dtype=float))

    @jax.jit
    def value(gaps, t):
        return eqx.tree_at(lambda a: a.gaps, axis, gaps).basis()(t) @ c

    direction = jnp.asarray(np.random.default_rng(0).normal(size=8))
    for t in (0.21, 0.77):
        exact = jax.grad(value)(axis.gaps, t) @ direction
        step = 1e-6
        measured = (value(axis.gaps + step * direction, t) - value(axis.gaps - step * direction, t)) / (2 * step)
        np.testing.assert_allclose(exact, measured, rtol=1e-6, atol=1e-8)


def test_nodes_are_sorted_by_construction():
    axis = Axis("hat", [0.0, 0.5, 1.0, 3.0], trainable=True)
    for seed in range(20):
        moved = eqx.tree_at(lambda a: a.gaps, axis, 40 * jax.random.normal(jax.random.key(seed), (3,)))
        nodes = moved.nodes()
        assert nodes[0] == 0.0
        assert nodes[-1] == 3.0
        assert jnp.all(jnp.diff(nodes) > 0)
    np.testing.assert_allclose(axis.frozen().breakpoints, axis.breakpoints, rtol=1e-12)
    assert not jax.tree.leaves(axis.frozen())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hat([0.0, 2.0, 1.0]), "rising order"),
        (lambda: Hat([0.0, 1.0, 1.0, 2.0]), "given 2 times"),
        (lambda: Patch([0.0, 1.0, 0.5], size=1), "rising order"),
        (lambda: Patch(np.linspace(0, 1, 5), size=1, order=2), "order <= size"),
        (lambda: Patch(np.linspace(0, 1, 3), size=3), "at least 4"),
        (lambda: Patch(np.linspace(0, 1, 9), size=2, dilation=-1.0), "positive"),
        (lambda: Patch(np.linspace(0, 1, 9), size=2, kernel="wendland"), "gaussian"),
        (lambda: Patch(np.linspace(0, 1, 9), size=2, frequencies=[3.0]), "size of at least 4"),
        (lambda: jax.jit(lambda x: Patch(x, size=2, dilation=3)(0.5))(jnp.linspace(0, 1, 9)), "traced nodes"),
        (lambda: Axis("wavelet", [0.0, 1.0]), "expected one of"),
        (lambda: Axis("bspline", [0.0, 0.5, 0.5, 1.0], {"degree": 3}, trainable=True), "repeated"),
        (lambda: checked_settings(size=2, order=0), "1 <= order"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
