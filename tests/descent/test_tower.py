"""The Taylor tower and its resummation: two ways to the same coefficients, and a closed form that is exact at any distance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.descent.directions import along
from infinity.descent.polynomials import lowest, lowest_of_squares, unit_roots
from infinity.descent.tower import nested

x = jnp.linspace(-1.0, 1.0, 7)
keys = jax.random.split(jax.random.key(0), 8)
MLP = eqx.nn.MLP(1, 1, 4, 1, jnp.tanh, key=keys[0])


def draw(names, offset, shape=(2,)):
    return {name: jax.random.normal(keys[at + offset], shape) for at, name in enumerate(names)}


def aion(p):
    at = x.astype(p["A"].dtype)
    atoms = p["A"][:, None] * jnp.exp(p["alpha"][:, None] * at) * jnp.cos(p["omega"][:, None] * at + p["phi"][:, None])
    return jnp.sum(atoms, axis=0)


def product(p):
    return jnp.einsum("i,j,k->ijk", p["a"], p["b"], p["c"])


def network(model):
    return jax.vmap(model)(x[:, None])


def scanned(p):
    return jax.lax.scan(lambda carry, row: (carry * p["w"] + row, carry), jnp.zeros(()), x[:4])


NAMES = ("A", "alpha", "omega", "phi")
SMALL = {"w": jnp.array(0.3)}
STEP = {"w": jnp.array(-0.7)}
CASES = {
    "constant": (lambda p: x + 0 * p["w"] * 0, SMALL, STEP, "constant"),
    "affine": (lambda p: p["w"] * x + 1, SMALL, STEP, "affine"),
    "product": (product, draw("abc", 0), draw("abc", 3), "polynomial"),
    "loss": (lambda p: jnp.sum((product(p) - 1) ** 2), draw("abc", 0), draw("abc", 3), "polynomial"),
    "scan": (scanned, SMALL, STEP, "polynomial"),
    "aion": (aion, draw(NAMES, 0), draw(NAMES, 4), "exponential"),
    "hyperbolic": (lambda p: jnp.cosh(p["w"] * x) * p["w"], SMALL, STEP, "exponential"),
    "rational": (lambda p: jnp.tanh(9 * p["w"] * x.astype(p["w"].dtype)) / (3 + p["w"] ** 2), SMALL, STEP, "rational"),
    "network": (network, MLP, jax.tree.map(lambda a: a[::-1] if eqx.is_array(a) else a, MLP), "rational"),
}


def moved(params, direction, t):
    step = lambda a, b: a + t * b if eqx.is_inexact_array(a) else a
    return jax.tree.map(step, params, direction)


def cast(tree, dtype):
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


@pytest.mark.parametrize("name", CASES)
def test_series_and_nested_derivatives_agree(name):
    fn, params, direction, _ = CASES[name]
    found = jax.tree.leaves(inf.tower(fn, params, direction, 5).coefficients)
    line = along("test", fn, params, direction, ())
    expected = [jnp.stack(level) for level in zip(*nested(line.flat, line.zero, 5), strict=True)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_the_resummed_line_is_exact_far_away(name):
    fn, params, direction, family = CASES[name]
    line = inf.resum(fn, params, direction)
    assert line.family == family
    for t in (-30.0, -2.0, 0.0, 0.4, 3.0, 50.0):
        got, expected = jax.tree.leaves(line(t)), jax.tree.leaves(fn(moved(params, direction, t)))
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * float(jnp.max(jnp.abs(other))))
    slope = jax.tree.leaves(line.derivative(0.4))
    expected = jax.tree.leaves(jax.jvp(lambda t: fn(moved(params, direction, t)), (0.4,), (1.0,))[1])
    for one, other in zip(slope, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["product", "aion", "rational"])
def test_both_precisions_and_every_transformation(name, dtype):
    fn, params, direction, _ = CASES[name]
    params, direction = cast(params, dtype), cast(direction, dtype)
    t = jnp.asarray(0.7, dtype)
    expected = fn(moved(params, direction, t))
    inside = jax.jit(lambda p, d, t: inf.resum(fn, p, d)(t))(params, direction, t)
    assert inside.dtype == dtype
    np.testing.assert_allclose(inside, expected, rtol=200 * jnp.finfo(dtype).eps, atol=20 * jnp.finfo(dtype).eps)
    line = inf.resum(fn, params, direction)
    ts = jnp.asarray([0.1, 2.0], dtype)
    loop = jnp.stack([line(t) for t in ts])
    np.testing.assert_allclose(jax.vmap(line)(ts), loop, rtol=100 * jnp.finfo(dtype).eps)
    slope = jax.grad(lambda t: jnp.sum(line(t) ** 2))(t)
    np.testing.assert_allclose(slope, 2 * jnp.sum(line(t) * line.derivative(t)), rtol=100 * jnp.finfo(dtype).eps)


def test_the_function_is_read_once_and_never_at_moved_parameters():
    seen = []

    def fn(p):
        seen.append(None)
        return jnp.exp(p * x)

    line = inf.resum(fn, jnp.array(0.3), jnp.array(1.0))
    before = len(seen)
    line(2.0), line.derivative(1.0), line.truncated(3)
    assert len(seen) == before
    # The data are values at the base point: none is as large as the function is far away.
    assert max(float(jnp.max(jnp.abs(a))) for a in jax.tree.leaves((line.data, line.series))) < 2
    assert float(jnp.max(line(9.0))) > 1000


def test_a_linear_map_is_applied_to_coefficients_only():
    """What the matrices of a network cost is paid once: no product of matrices is left for each `t`."""
    fn, params, direction, _ = CASES["network"]
    line = inf.resum(fn, params, direction)
    program = str(jax.make_jaxpr(line)(1.0))
    first_layer = inf.resum(
        lambda p: network(eqx.tree_at(lambda m: m.layers[0].weight, MLP, p)), MLP.layers[0].weight, MLP.layers[0].weight
    )
    assert program.count("dot_general") == 1  # the second layer: both of its factors move
    assert str(jax.make_jaxpr(first_layer)(1.0)).count("dot_general") <= 1


def test_large_exponents_that_cancel():
    line = inf.resum(lambda p: jnp.exp(p), jnp.array([1000.0, -1000.0]), jnp.array([-1000.0, 1000.0]))
    np.testing.assert_allclose(line(1.0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(inf.resum(jnp.tanh, jnp.array(40.0), jnp.array(-39.0))(1.0), np.tanh(1.0), rtol=1e-14)


@pytest.mark.slow
def test_truncated_towers_get_worse_before_they_get_better():
    fn, params, _, _ = CASES["aion"]
    direction = jax.tree.map(lambda a: jnp.full_like(a, 2.0), params)
    line = inf.resum(fn, params, direction)
    error = [float(jnp.max(jnp.abs(line.truncated(order)(1.0) - line(1.0)))) for order in (1, 2, 4, 32)]
    assert max(error[1:3]) > error[0] > 1e3 * error[3]


def test_open_functions_are_refused_with_the_place():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    fn = lambda p: jnp.sqrt(p["a"]) + p["b"]
    with pytest.raises(ValueError, match=r"\['a'\], through sqrt at .*test_tower.py:\d+: .*addition theorem"):
        inf.resum(fn, params, params)
    assert inf.resum(fn, params, {"a": None, "b": jnp.ones(2)}).family == "affine"


def test_the_direction_decides_not_the_function():
    """Of `exp(a b)` each factor alone is closed; both together are not."""
    fn = lambda p: jnp.exp(p["a"] * p["b"])
    params = {"a": jnp.array(1.0), "b": jnp.array(2.0)}
    assert inf.resum(fn, params, {"a": jnp.array(1.0), "b": None}).family == "exponential"
    assert inf.resum(fn, params, {"a": jnp.array(1.0), "b": jnp.array(0.0)}).family == "exponential"
    with pytest.raises(ValueError, match="through exp"):
        inf.resum(fn, params, params)


def test_errors_name_the_leaf():
    params = {"a": jnp.ones(2), "n": 3}
    fn = lambda p: p["a"]
    with pytest.raises(ValueError, match=r"shape \(3,\) at \['a'\]; expected .*\(2,\)"):
        inf.tower(fn, params, {"a": jnp.ones(3), "n": None}, 1)
    with pytest.raises(ValueError, match=r"\['n'\], which is no floating-point array"):
        inf.tower(fn, params, {"a": None, "n": jnp.ones(())}, 1)
    with pytest.raises(ValueError, match="another structure"):
        inf.resum(fn, params, {"a": jnp.ones(2)})
    with pytest.raises(ValueError, match="no parameter moves"):
        inf.resum(fn, params, {"a": None, "n": None})
    with pytest.raises(ValueError, match="order=-1"):
        inf.tower(fn, params, params, -1)
    line = inf.resum(jnp.exp, jnp.array(1.0), jnp.array(1.0))
    with pytest.raises(ValueError, match="does not end"):
        _ = line.coefficients
    with pytest.raises(ValueError, match="scalar t"):
        line(jnp.ones(2))
    with pytest.raises(ValueError, match="only the stationary points of polynomials"):
        line.minimum()


# -------------------------------------------------------------- polynomials


def test_all_roots_of_random_polynomials(dtype):
    rng = np.random.default_rng(0)
    for count in (1, 3, 6):
        roots = np.sort(rng.uniform(0.02, 0.98, count))
        if count > 1 and np.min(np.diff(roots)) < 0.02:
            continue
        coefficients = jnp.asarray(np.polynomial.polynomial.polyfromroots(roots), dtype)
        found = jax.jit(unit_roots)(coefficients)
        tolerance = 1e-2 if dtype == jnp.float32 else 1e-9
        assert all(np.min(np.abs(np.asarray(found) - root)) < tolerance for root in roots)


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_of_squares_is_below_every_sample(seed, dtype):
    coefficients = (
        jax.random.normal(jax.random.key(seed), (4, 9), dtype) * jnp.asarray([3.0, 1.0, 0.3, 0.1], dtype)[:, None]
    )
    # Downhill at zero, so that the lowest point with t > 0 is attained.
    coefficients = coefficients.at[1].multiply(-jnp.sign(coefficients[0] @ coefficients[1]))
    samples = jnp.concatenate([jnp.linspace(-3, 3, 400), jnp.linspace(-100, 100, 400)]).astype(dtype)
    loss = jax.vmap(lambda t: 0.5 * jnp.sum((t ** jnp.arange(4) @ coefficients) ** 2))
    for positive in (False, True):
        t, value = jax.jit(lambda c, positive=positive: lowest_of_squares(c, positive=positive))(coefficients)
        seen = samples[samples > 0] if positive else samples
        assert float(value) <= float(jnp.min(loss(seen))) * (1 + 1e-5)
        np.testing.assert_allclose(loss(t[None])[0], value, rtol=1e-4 if dtype == jnp.float32 else 1e-10)
        assert not positive or float(t) > 0


def test_minimum_of_a_line():
    line = inf.resum(lambda p: (p**2 - 4) ** 2 + p, jnp.array(1.0), jnp.array(1.0))
    t, value = line.minimum()
    grid = jnp.linspace(-5, 5, 20001)
    np.testing.assert_allclose(value, jnp.min(jax.vmap(line)(grid)), rtol=1e-6)
    np.testing.assert_allclose(line.derivative(t), 0, atol=1e-10)
    assert lowest(jnp.array([1.0, 0.0, -1.0]))[1] == -jnp.inf
    assert lowest(jnp.array([1.0, 2.0, 1.0, 0.0, 0.0]))[1] == 0
    far = inf.resum(lambda p: (p - 1e7) ** 2, jnp.array(0.0), jnp.array(1.0)).minimum()
    np.testing.assert_allclose(far.t, 1e7, rtol=1e-9)


def test_exact_lines_are_counted_and_never_raise_the_loss():
    import optimistix as optx

    factors = [jax.random.normal(k, (5, 2)) for k in keys[:3]]
    tensor = jnp.einsum("ir,jr,kr->ijk", *factors) + 0.1 * jax.random.normal(keys[3], (5, 5, 5))
    start = [jax.random.normal(k, (5, 3)) for k in keys[3:6]]
    residuals = lambda f, T: jnp.einsum("ir,jr,kr->ijk", *f) - T
    for exact in (False, "everywhere"):
        solver = inf.InfiniteDescent(1e-9, 1e-9, exact_lines=exact)
        solution = optx.least_squares(residuals, solver, start, args=tensor, max_steps=1, throw=False)
        assert (int(solution.stats["lines"]) > 0) == bool(exact)
        history = solution.state.ledger.history
        falling = history[jnp.isfinite(history)][: int(solution.stats["sweeps"]) + 5]
        assert bool(jnp.all(jnp.diff(falling) <= 1e-12 * falling[0]))
    steps = {}
    for exact in (False, True):
        solver = inf.InfiniteDescent(1e-9, 1e-9, exact_lines=exact)
        loss = lambda f, T: 0.5 * jnp.sum(residuals(f, T) ** 2)
        steps[exact] = optx.minimise(
            loss, solver, [f[:, :2] for f in start], args=tensor, max_steps=1, throw=False
        ).stats
    assert 0 < int(steps[True]["lines"]) <= int(steps[True]["newton"]) < int(steps[False]["newton"])
    with pytest.raises(ValueError, match="expected True, False or 'everywhere'"):
        optx.least_squares(residuals, inf.InfiniteDescent(exact_lines="often"), start, args=tensor)
