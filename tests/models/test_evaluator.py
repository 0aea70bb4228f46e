"""Tables of polynomials give the values of the model, wherever the points lie."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.models import Evaluator

EQUAL = ((-1.0, 0.5, 2.0), (0.0, 0.25, 0.5, 0.75, 1.0), (5.0, 9.0))
UNEQUAL = ((-1.0, 0.0, 0.25, 2.0), (0.0, 0.5, 0.5, 1.0), (5.0, 9.0))


def build(breakpoints=EQUAL, dtype=jnp.float64, outputs=1, degree=(3, 2, 4), **options):
    model = inf.KHRONOS(
        modes=5, breakpoints=breakpoints, degree=degree, outputs=outputs, key=jax.random.key(0), **options
    )
    random = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), dtype), model)


def points(breakpoints, number=700, dtype=jnp.float64):
    """More points than one block, among them all breakpoints and both ends, some outside; columns as `D` lists."""
    box = np.array([(row[0], row[-1]) for row in breakpoints]).T
    x = box[0] + (box[1] - box[0]) * np.random.default_rng(2).uniform(-0.1, 1.1, (number, len(breakpoints)))
    for d, row in enumerate(breakpoints):
        x[: len(row), d] = row
    return jnp.asarray(x, dtype)


@eqx.filter_jit
def both(model, x):
    return Evaluator(model)(x), jax.vmap(model)(x)


@pytest.mark.parametrize("outputs", ["scalar", 3])
@pytest.mark.parametrize("breakpoints", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
def test_agrees_with_the_model(breakpoints, outputs, dtype):
    model = build(breakpoints, dtype, outputs)
    x = points(breakpoints, dtype=dtype)
    got, wanted = both(model, x)
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=100 * jnp.finfo(dtype).eps * np.abs(wanted).max())


@pytest.mark.parametrize("options", [{"additive": False, "constant": False}, {"degree": (0, 1, 2)}])
def test_other_blocks_and_jumps(options):
    model = build(**options)
    x = points(EQUAL)
    got, wanted = both(model, x)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13 * np.abs(wanted).max())


def test_equal_cells_are_recognised_and_only_they():
    assert Evaluator(build(EQUAL)).equal
    assert not Evaluator(build(UNEQUAL)).equal
    assert not Evaluator(build(EQUAL, degree=(3, 0, 2))).equal  # a jump: the breakpoint itself decides


@pytest.mark.parametrize("breakpoints", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
def test_far_outside_and_not_a_number(breakpoints):
    model = build(breakpoints)
    x = jnp.array([[1e12, 0.5, 6.0], [-1e12, 0.5, 6.0], [jnp.nan, 0.5, 6.0], [0.1, 0.2, jnp.inf]])
    got, wanted = both(model, x)
    np.testing.assert_allclose(got[:2], wanted[:2], rtol=1e-10)
    assert not np.isfinite(got[2:]).any()


@pytest.mark.parametrize("number", [0, 128, 129])
def test_every_number_of_points(number):
    model = build()
    got, wanted = both(model, points(EQUAL, 400)[:number])
    assert got.shape == (number, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-12)


def test_derivatives_are_those_of_the_model():
    model = build(outputs="scalar", degree=3)
    x = points(EQUAL, 300)[len(EQUAL[1]) :]
    got = jax.jit(jax.grad(lambda x: jnp.sum(Evaluator(model)(x))))(x)
    wanted = jax.jit(jax.vmap(jax.grad(model)))(x)
    np.testing.assert_allclose(got, wanted, atol=1e-12 * np.abs(wanted).max())
    by_parameters = eqx.filter_jit(eqx.filter_grad(lambda model, evaluate: jnp.sum(evaluate(model, x) ** 2)))
    fast = by_parameters(model, lambda model, x: Evaluator(model)(x))
    slow = by_parameters(model, lambda model, x: jax.vmap(model)(x))
    for one, other in zip(jax.tree.leaves(fast), jax.tree.leaves(slow), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11 * np.abs(other).max())


def test_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match=r"shape \(4, 2\); expected \(N, 3\)"):
        Evaluator(build())(jnp.zeros((4, 2)))
