"""Nodes that move to where an energy wants them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf


@pytest.mark.slow
def test_nodes_move_to_a_layer_and_the_energy_never_rises():
    u = lambda t: jnp.tanh(50 * (t - 0.3))
    f = lambda t: -jax.grad(jax.grad(u))(t)
    energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 - f(x[0]) * u)
    start = inf.HiDeNN(domain=[(0.0, 1.0)], elements=19, outputs="scalar")
    moved = inf.pde.move_nodes(energy, start, {0: {"left": u(0.0), "right": lambda x: u(x[0])}})
    assert moved.energy < moved.before
    t = jnp.linspace(0.0, 1.0, 4001)
    error = lambda model: float(jnp.sqrt(jnp.mean((jax.vmap(model)(t[:, None]) - u(t)) ** 2)))
    assert error(moved.model) < error(start.interpolate(lambda x: u(x[0]))) / 15
    assert not moved.model.trainable_axes
    # In one dimension the minimum of the energy meets the solution at the nodes, wherever they are.
    nodes = np.asarray(moved.model.axes[0].breakpoints)
    np.testing.assert_allclose(jax.vmap(moved.model)(nodes[:, None]), u(nodes), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "dirichlet", "message"),
    [
        ({"domain": [(0.0, 1.0)], "basis": "bspline"}, {}, "hats or patches"),
        ({"domain": [(0.0, 1.0)] * 3, "elements": 3}, {}, "two dimensions"),
        ({"domain": [(0.0, 1.0)] * 2, "elements": 40}, {}, "unknowns"),
        ({"domain": [(0.0, 1.0)]}, {1: "both"}, "dimension 1"),
        ({"domain": [(0.0, 1.0)]}, {0: {"top": 0.0}}, "'top'"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, dirichlet, message):
    energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 - u)
    with pytest.raises(ValueError, match=message):
        inf.pde.move_nodes(energy, inf.HiDeNN(outputs="scalar", **arguments), dirichlet)
