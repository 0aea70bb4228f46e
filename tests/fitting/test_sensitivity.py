"""Sobol indices: known values, full sums over a grid, sampling, units, precision, bad input."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting import Fitted


def exact(row, degree, modes, additive=None, constant=0.0, dtype=jnp.float64):
    """A KHRONOS with equal breakpoints whose factors are projections: `modes[m][d]` and `additive[d]` are functions of one number."""
    D, M = len(modes[0]), len(modes)
    model = inf.KHRONOS(breakpoints=[row] * D, degree=degree, modes=M, outputs="scalar", key=jax.random.key(0))
    functions = [f for mode in modes for f in mode] + (additive or [])
    basis = inf.basis.BSpline(breakpoints=jnp.asarray(row), degree=degree)
    together = lambda t: jnp.stack([f(t) * jnp.ones_like(t) for f in functions])
    columns = jax.jit(lambda: basis.project(together, points=degree + 6))().T
    factors = tuple(columns[d : M * D : D] for d in range(D))
    block = tuple(columns[M * D + d][None] for d in range(D)) if additive else model.additive
    where = lambda m: (m.factors, m.additive, m.constant)
    model = eqx.tree_at(where, model, (factors, block, jnp.array([constant])))
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, model)


def ishigami(dtype=jnp.float64, constant=0.0):
    one = lambda t: 1.0 + 0.0 * t
    return exact(
        np.linspace(-np.pi, np.pi, 25).tolist(),
        6,
        [[jnp.sin, one, lambda t: 1 + 0.1 * t**4]],
        [lambda t: 0.0 * t, lambda t: 7 * jnp.sin(t) ** 2, lambda t: 0.0 * t],
        constant,
        dtype=dtype,
    )


ISHIGAMI_VARIANCES = {
    "1": (1 + 0.1 * np.pi**4 / 5) ** 2 / 2,
    "2": 49 / 8,
    "13": 8 * 0.01 * np.pi**8 / 225,
}
A = np.array([0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0])


def g_function(a, degree=1):
    row = [0.0] + [0.5] * degree + [1.0]  # the kink is a breakpoint of full multiplicity
    return exact(row, degree, [[lambda t, ad=ad: (jnp.abs(4 * t - 2) + ad) / (1 + ad) for ad in a]])


@eqx.filter_jit
def evaluate(model, x):
    return jax.vmap(model)(x)


def random_model(outputs=2, dimensions=3, seed=3, modes=4, domain=None, **options):
    domain = domain or [(-1.0, 2.0), (0.0, 1.0), (5.0, 9.0), (0.0, 0.1), (-3.0, -2.0)][:dimensions]
    model = inf.KHRONOS(domain, modes=modes, elements=2, outputs=outputs, key=jax.random.key(0), **options)
    leaves, tree = jax.tree.flatten(eqx.filter(model, eqx.is_inexact_array))
    rng = np.random.default_rng(seed)
    leaves = [jnp.asarray(rng.normal(size=leaf.shape), jnp.float64) for leaf in leaves]
    return eqx.combine(jax.tree.unflatten(tree, leaves), model)


def by_full_sums(model, nodes, weights):
    """The definition on a full grid of three inputs: means over axes, differences of means, variances."""
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    values = np.asarray(evaluate(model, jnp.asarray(grid.reshape(-1, 3))), float)
    values = values.reshape(*grid.shape[:3], -1)

    def mean_over(dimensions):
        result = values
        for d in dimensions:
            shape = [1, 1, 1, 1]
            shape[d] = -1
            result = np.sum(result * weights[d].reshape(shape), axis=d, keepdims=True)
        return result

    mean = mean_over([0, 1, 2])
    square = lambda u: np.einsum("abco,a,b,c->o", np.broadcast_to(u, values.shape) ** 2, *weights)
    variance = square(values - mean)
    alone = [mean_over([e for e in range(3) if e != d]) - mean for d in range(3)]
    first = np.stack([square(u) for u in alone], axis=1) / variance[:, None]
    second = np.zeros((values.shape[-1], 3, 3))
    for d, e in [(0, 1), (0, 2), (1, 2)]:
        pair = mean_over([3 - d - e]) - mean - alone[d] - alone[e]
        second[:, d, e] = second[:, e, d] = square(pair) / variance
    total = np.stack([square(values - mean_over([d])) for d in range(3)], axis=1) / variance[:, None]
    return mean.ravel(), variance, first, second, total


def compare(indices, expected, rtol=1e-9):
    mean, variance, first, second, total = expected
    np.testing.assert_allclose(indices.mean, mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(indices.variance, variance, rtol=rtol)
    np.testing.assert_allclose(indices.first, first, atol=rtol)
    np.testing.assert_allclose(indices.second, second, atol=rtol)
    np.testing.assert_allclose(indices.total, total, atol=rtol)


def test_ishigami():
    indices = inf.sobol(ishigami())
    variance = sum(ISHIGAMI_VARIANCES.values())
    v1, v2, v13 = (ISHIGAMI_VARIANCES[key] / variance for key in ("1", "2", "13"))
    assert indices.first.shape == (3,)
    np.testing.assert_allclose(indices.mean, 3.5, rtol=1e-6)
    np.testing.assert_allclose(indices.variance, variance, rtol=1e-6)
    np.testing.assert_allclose(indices.first, [v1, v2, 0], atol=1e-6)
    np.testing.assert_allclose(indices.total, [v1 + v13, v2, v13], atol=1e-6)
    np.testing.assert_allclose(indices.second, [[0, 0, v13], [0, 0, 0], [v13, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(("a", "degree"), [(A, 1), (A[:3], 3)])
def test_g_function(a, degree):
    indices = inf.sobol(g_function(a, degree))
    v = 1 / (3 * (1 + a) ** 2)
    variance = np.prod(1 + v) - 1
    np.testing.assert_allclose(indices.mean, 1, rtol=1e-9)
    np.testing.assert_allclose(indices.variance, variance, rtol=1e-9)
    np.testing.assert_allclose(indices.first, v / variance, rtol=1e-9)
    np.testing.assert_allclose(indices.total, v * np.prod(1 + v) / (1 + v) / variance, rtol=1e-9)
    np.testing.assert_allclose(indices.second, (np.outer(v, v) - np.diag(v**2)) / variance, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("options", [{}, {"additive": False, "constant": False}])
def test_the_definition_on_a_full_grid(outputs, options):
    model = random_model(outputs, **options)
    rules = [basis.quadrature() for basis in model.bases]
    nodes = [np.asarray(t) for t, _ in rules]
    weights = [np.asarray(w) / float(jnp.sum(w)) for _, w in rules]
    indices = inf.sobol(model)
    assert indices.first.shape == (outputs, 3)
    compare(indices, by_full_sums(model, nodes, weights))


def test_the_marginals_of_a_sample():
    model = random_model()
    low, high = np.asarray(model.domain).T
    sample = low + (high - low) * np.random.default_rng(0).beta(2, 5, size=(13, 3))
    compare(inf.sobol(model, sample), by_full_sums(model, list(sample.T), [np.full(13, 1 / 13)] * 3))
    large = low + (high - low) * np.random.default_rng(0).uniform(size=(100_000, 3))
    np.testing.assert_allclose(inf.sobol(model, large).total, inf.sobol(model).total, atol=0.02)


def test_monte_carlo_estimates_in_five_dimensions():
    model = random_model(dimensions=5, seed=5)
    low, high = np.asarray(model.domain).T
    a, b = low + (high - low) * np.random.default_rng(1).uniform(size=(2, 40_000, 5))
    at_a, at_b = evaluate(model, jnp.asarray(a)), evaluate(model, jnp.asarray(b))
    indices = inf.sobol(model)
    variance = np.var(at_a, axis=0)
    np.testing.assert_allclose(indices.variance, variance, rtol=0.05)
    for d in range(5):
        mixed = a.copy()
        mixed[:, d] = b[:, d]
        at_mixed = evaluate(model, jnp.asarray(mixed))
        np.testing.assert_allclose(indices.total[:, d], np.mean((at_a - at_mixed) ** 2, 0) / 2 / variance, atol=0.03)
        np.testing.assert_allclose(indices.first[:, d], np.mean(at_b * (at_mixed - at_a), 0) / variance, atol=0.03)


def test_sums_and_bounds():
    two = inf.sobol(random_model(dimensions=2))
    np.testing.assert_allclose(two.first.sum(axis=1) + two.second[:, 0, 1], 1, rtol=1e-12)
    np.testing.assert_allclose(two.total, two.first + two.second.sum(axis=2), rtol=1e-12)
    one = inf.sobol(random_model(1, dimensions=1))
    np.testing.assert_allclose([one.first, one.total], 1, rtol=1e-12)
    three = inf.sobol(random_model())
    assert np.all(three.total + 1e-12 >= three.first + three.second.sum(axis=2))
    assert np.all(three.first.sum(axis=1) + three.second.sum(axis=(1, 2)) / 2 < 1)
    np.testing.assert_array_equal(three.second, np.swapaxes(three.second, 1, 2))
    np.testing.assert_array_equal(np.diagonal(three.second, axis1=1, axis2=2), 0)


def test_shift_and_scale_change_nothing():
    model = random_model()
    indices = inf.sobol(model)
    changed = eqx.tree_at(lambda m: m.constant, model, model.constant + 1e9)
    np.testing.assert_allclose(inf.sobol(changed).total, indices.total, rtol=1e-12)
    where = lambda m: (m.mixing, m.additive, m.constant)
    scaled = eqx.tree_at(where, model, jax.tree.map(lambda leaf: -1e6 * leaf, where(model)))
    np.testing.assert_allclose(inf.sobol(scaled).first, indices.first, rtol=1e-11)
    np.testing.assert_allclose(inf.sobol(scaled).variance, 1e12 * indices.variance, rtol=1e-11)


def test_a_small_variance_on_large_means_keeps_its_digits():
    """`prod_d (1 + eps g_d)`: nearly all of the variance is first order and the pair's share is eps^2 of it."""
    eps = 1e-6
    factor = lambda t: 1 + eps * (t - 0.5)
    indices = inf.sobol(exact([0.0, 0.5, 1.0], 1, [[factor] * 3]))
    v = eps**2 / 12
    np.testing.assert_allclose(indices.variance, 3 * v + 3 * v**2, rtol=1e-8)
    np.testing.assert_allclose(indices.second[0, 1], v / 3, rtol=1e-8)
    np.testing.assert_allclose(indices.total - indices.first, 2 * v / 3, rtol=0.01)


@pytest.mark.parametrize("scaled", [False, True])
def test_fitted_in_physical_units_agrees_with_its_inner_model(scaled):
    inner = random_model(domain=[(0.0, 1.0)] * 3 if scaled else None)
    lower, upper = ((-5.0, 1e-3, 80.0), (-4.0, 2e-3, 1e4)) if scaled else zip(*inner.domain, strict=True)
    units = {
        "shift": (100.0, -5.0),
        "scale": (3.0, 0.01),
        "names": ("a", "b", "c"),
        "targets": ("p", "q"),
        "outside": "warn",
        "scalar": False,
    }
    fitted = Fitted(inner, lower, upper, scaled, **units)
    indices, bare = inf.sobol(fitted), inf.sobol(inner)
    assert (indices.names, indices.targets) == (("a", "b", "c"), ("p", "q"))
    for field in ("first", "second", "total"):
        np.testing.assert_allclose(getattr(indices, field), getattr(bare, field), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(indices.mean, [100, -5] + np.array([3, 0.01]) * bare.mean, rtol=1e-11)
    np.testing.assert_allclose(indices.variance, np.array([9, 1e-4]) * bare.variance, rtol=1e-11)
    share = np.random.default_rng(0).beta(2, 3, size=(20, 3))
    physical, units = (
        low + (high - low) * share for low, high in ((np.array(lower), np.array(upper)), np.array(inner.domain).T)
    )
    np.testing.assert_allclose(inf.sobol(fitted, physical).total, inf.sobol(inner, units).total, rtol=1e-9)


def test_table_and_dictionary():
    one, zero = (lambda t: 1.0 + 0 * t), (lambda t: 0.0 * t)
    model = exact([0.0, 0.5, 1.0], 2, [[lambda t: t, one, lambda t: t]], [zero, lambda t: 3 * t**2, zero])
    indices = inf.sobol(Fitted(model, (0.0,) * 3, (1.0,) * 3, False, (0.0,), (1.0,), tuple("abc"), ("q",), "nan", True))
    variances = np.array([1 / 48, 4 / 5, 1 / 48, 1 / 144])
    np.testing.assert_allclose(indices.first, variances[:3] / variances.sum(), rtol=1e-9)
    lines = str(indices).splitlines()
    assert lines[0] == f"q: mean 1.25, standard deviation {np.sqrt(variances.sum()):.6g}"
    assert [line.split()[0] for line in lines[2:]] == ["b", "a", "c", "pairs:"]
    assert lines[-1].endswith(f"a x c {variances[3] / variances.sum():.4f}")
    data = json.loads(json.dumps(indices.as_dict(), allow_nan=False))
    assert data["names"] == ["a", "b", "c"]
    assert data["mean"] == pytest.approx(1.25)
    np.testing.assert_array_equal(data["second"], indices.second)


def test_single_precision():
    indices, expected = inf.sobol(ishigami(jnp.float32, constant=1e4)), inf.sobol(ishigami())
    np.testing.assert_allclose(indices.first, expected.first, atol=1e-5)
    np.testing.assert_allclose(indices.total, expected.total, atol=1e-5)
    np.testing.assert_allclose(indices.variance, expected.variance, rtol=1e-5)


def test_a_constant_output_has_no_shares(dtype):
    flat = exact([0.0, 0.3, 1.0], 3, [[lambda t: 2.0 + 0 * t, lambda t: 3.0 + 0 * t]], dtype=dtype)
    indices = inf.sobol(flat)
    np.testing.assert_allclose(indices.mean, 6, rtol=1e-5)
    assert np.isnan(indices.first).all()
    assert np.isnan(indices.total).all()
    assert "constant" in str(indices)
    assert indices.as_dict()["total"] == [None, None]


def test_bad_input_is_refused():
    model = random_model()
    low = np.asarray(model.domain)[:, 0]
    cases = [
        (lambda x: x, None, "sobol needs a separable model.*got function"),
        (eqx.nn.Linear(2, 1, key=jax.random.key(0)), None, "got Linear"),
        (model, np.zeros((5, 2)), r"shape \(5, 2\).*expected numbers of shape \(N, 3\)"),
        (model, np.zeros((0, 3)), "shape"),
        (model, [["a", "b", "c"]], "type <U1"),
        (model, low + np.array([[0, 0, np.nan]]), "row 1"),
        (model, np.stack([low, low - [0, 1, 0]]), r"row 2 of distribution lies outside.*x1 = -1 is not in \[0, 1\]"),
    ]
    for given, distribution, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            inf.sobol(given, distribution)
        assert "\n" not in str(caught.value)
