"""Matrix products keep the precision of their entries, whatever the device would do by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

import infinity as inf
from infinity.precision import full_products

BOX = [(0.0, 1.0)] * 3
KEY = jax.random.key(0)
MODELS = {
    "KHRONOS": lambda: inf.KHRONOS(BOX, modes=2, elements=4, outputs=2, key=KEY),
    "mapped": lambda: inf.KHRONOS(BOX, modes=2, elements=4, layers=2, key=KEY),
    "INN": lambda: inf.INN(BOX, modes=2, elements=4, key=KEY),
    "HiDeNN": lambda: inf.HiDeNN(BOX, elements=4),
    "Oblique": lambda: inf.Oblique(BOX, directions=1, modes=2, key=KEY),
}


def products(program: Jaxpr):
    """The precision of every matrix product of a program."""
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: isinstance(v, ClosedJaxpr | Jaxpr)):
            if isinstance(value, ClosedJaxpr | Jaxpr):
                yield from products(value.jaxpr if isinstance(value, ClosedJaxpr) else value)


def assert_full(found, fewest):
    highest = jax.lax.Precision.HIGHEST
    assert len(found) >= fewest
    assert all(each == (highest, highest) for each in found), found


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    model = MODELS[name]()
    value = lambda x: jnp.sum(model(x))
    assert_full(list(products(jax.make_jaxpr(jax.value_and_grad(value))(jnp.full(3, 0.3)).jaxpr)), 2)


def test_an_update_by_its_structure():
    x = jnp.linspace(0, 1, 20, dtype=jnp.float32)
    rows = lambda p: p["a"] * jnp.exp(-p["k"] * x) + jnp.stack([x, x**2]).T @ p["b"] - jnp.sin(3 * x)
    optimiser = inf.infinite_descent(rows)
    params = {"a": jnp.float32(1), "b": jnp.ones(2, jnp.float32), "k": jnp.float32(1)}
    program = jax.make_jaxpr(lambda p: optimiser.update(None, optimiser.init(p), p))(params)
    assert_full(list(products(program.jaxpr)), 10)


def test_a_fit():
    x = np.random.default_rng(0).uniform(size=(200, 2))
    seen = []
    progress = lambda event: seen.append(jax.config.jax_default_matmul_precision)
    inf.fit(x, np.exp(x[:, 0]) * x[:, 1], modes=1, elements=3, progress=progress)
    assert set(seen) == {"highest"}
    assert jax.config.jax_default_matmul_precision is None


def test_an_error_leaves_the_setting_as_it_was():
    def fails():
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        full_products(fails)()
    assert jax.config.jax_default_matmul_precision is None
