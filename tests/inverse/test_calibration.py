"""Calibration: the posterior where it is known, coverage, and what observations cannot tell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf


def line(outputs="scalar", link=None):
    """y = a + b t for t in [0, 1], a in [-5, 5], b in [-5, 5]; exactly, as a separable model."""
    model = inf.KHRONOS(
        [(0.0, 1.0), (-5.0, 5.0), (-5.0, 5.0)], modes=1, elements=2, outputs="scalar", key=jax.random.key(0)
    )
    t, a, b = (basis.greville() for basis in model.bases)
    model = eqx.tree_at(lambda m: m.factors, model, (t[None], jnp.ones_like(a)[None], b[None]))
    return eqx.tree_at(lambda m: m.additive[1], model, a[None])


T = np.linspace(0.0, 1.0, 12)


def exact(y, sigma):
    design = np.stack([np.ones_like(T), T], axis=1)
    covariance = sigma**2 * np.linalg.inv(design.T @ design)
    return covariance @ design.T @ y / sigma**2, covariance


FUNCTION = pytest.param(True, marks=pytest.mark.slow)


@pytest.mark.parametrize("as_function", [False, FUNCTION], ids=["separable", "function"])
def test_a_linear_model_has_the_normal_posterior(as_function):
    model = (lambda x: x[1] + x[0] * x[2]) if as_function else line()
    y = 1.0 - 0.5 * T + 0.1 * np.random.default_rng(0).normal(size=12)
    options = {"domain": [(0.0, 1.0), (-5.0, 5.0), (-5.0, 5.0)]} if as_function else {}
    found = inf.calibrate(model, {"x0": T}, y, ["x1", "x2"], noise=0.1, **options)
    mean, covariance = exact(y, 0.1)
    np.testing.assert_allclose(found.mode, mean, atol=1e-6)
    np.testing.assert_allclose(found.mean, mean, atol=0.1 * found.std.max())
    np.testing.assert_allclose(found.covariance, covariance, atol=0.15 * covariance.max())
    np.testing.assert_allclose(found.radius(0.95) ** 2, 5.99, rtol=0.15)
    assert found.success
    assert not found.at_bound.any()
    assert np.all(found.identifiability > 0.9)
    low, high = found.interval(0.9)
    np.testing.assert_allclose(high - low, 2 * 1.645 * np.sqrt(np.diag(covariance)), rtol=0.15)


def test_unknown_noise_prior_and_bounds():
    random = np.random.default_rng(1)
    y = 4.9 - 0.5 * T + 0.3 * random.normal(size=12)
    found = inf.calibrate(line(), {"x0": T}, y)
    assert 0.15 < found.noise < 0.6
    held = inf.calibrate(line(), {"x0": T}, y, noise=0.3, prior={"x1": (0.0, 0.01)})
    assert abs(held.mean[0]) < 0.5
    beyond = inf.calibrate(line(), {"x0": T}, 8.0 + 0 * T + 0.1 * random.normal(size=12), noise=0.1)
    assert beyond.at_bound[0]
    assert beyond.status == "at bound"
    assert "x1" in beyond.message


@pytest.mark.parametrize("noise", [0.4, pytest.param(None, marks=pytest.mark.slow)])
def test_regions_cover_what_they_say(noise):
    random = np.random.default_rng(2)
    truth = random.uniform(-5, 5, (600, 2))
    y = truth[:, :1] + truth[:, 1:] * T + 0.4 * random.normal(size=(600, 12))
    found = inf.calibrate(line(), {"x0": T}, y, noise=noise, cases=True)
    assert found.mean.shape == (600, 2)
    assert 0.92 < np.mean(found.contains(truth)) < 0.98
    alone = inf.calibrate(line(), {"x0": T}, y[7], noise=noise)
    np.testing.assert_allclose(alone.mean, found.mean[7], rtol=1e-6, atol=1e-6)


def test_regions_of_few_samples_cover_what_they_say():
    random, cases, number = np.random.default_rng(0), 4000, 60
    samples = 1.5 * random.normal(size=(cases, number, 1))  # of a normal distribution of unit size, by weights
    weights = np.exp(-0.5 * samples[..., 0] ** 2 * (1 - 1 / 1.5**2))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = np.einsum("cs,csk->ck", weights, samples)
    covariance = np.einsum("cs,csk,csl->ckl", weights, samples - mean[:, None], samples - mean[:, None])
    none, effective = np.zeros((cases, 1)), 1 / np.sum(weights**2, axis=1)
    found = inf.inverse.Calibration(
        ("a",), mean, covariance, mean, none > 0, none, 1.0, samples, weights, effective, none, (), ()
    )
    truth = random.normal(size=(cases, 1))
    low, high = found.interval(0.95)
    assert 0.94 < np.mean(found.contains(truth)) < 0.97
    assert 0.94 < np.mean((truth >= low) & (truth <= high)) < 0.97


def test_two_solutions_are_both_found():
    square = lambda x: x[0] * x[1] ** 2
    found = inf.calibrate(square, {"x0": [1.0, 2.0]}, [0.25, 0.5], noise=0.01, domain=[(0.5, 2.5), (-1.0, 1.0)])
    assert abs(found.mean[0]) < 0.2
    np.testing.assert_allclose(found.std, 0.5, rtol=0.1)


def test_what_observations_cannot_tell_is_said():
    only = inf.calibrate(line(), {"x0": [0.0, 0.0, 0.0]}, [1.0, 1.1, 0.9], noise=0.1)
    assert not only.success
    assert only.status == "unidentifiable"
    assert "x2" in only.message
    assert only.identifiability[1] < 0.1 < only.identifiability[0]
    both = inf.calibrate(line(), {"x0": [1.0] * 4}, [1.0, 1.1, 0.9, 1.0], noise=0.1)
    assert "x1" in both.message
    assert "x2" in both.message


def test_links_and_several_outputs():
    unit = inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=3, outputs=2, key=jax.random.key(1))
    random = np.random.default_rng(3)
    unit = jax.tree.map(lambda leaf: jnp.asarray(0.5 + 0.5 * random.normal(size=leaf.shape)), unit)
    fitted = inf.Fitted(
        unit, (0.0, 1.0), (2.0, 3.0), True, (0.1, 0.2), (0.5, 0.4), ("t", "k"), ("u", "v"), "warn", False, "log"
    )
    t, k = np.linspace(0.1, 1.9, 6), 1.7
    y = np.asarray(fitted.predict(np.stack([t, np.full(6, k)], axis=1)))
    found = inf.calibrate(fitted, {"t": t}, y, ["k"], noise=1e-3 * np.abs(y))
    np.testing.assert_allclose(found.mode, [k], atol=1e-6)
    one = inf.calibrate(fitted, {"t": 1.0}, np.asarray(fitted.predict(np.array([[1.0, k]])))[0], noise=1e-3)
    assert np.any(np.abs(one.samples - k) < 1e-2)


BAD = {
    "unknown": ({"known": {"q": T}}, "no input 'q'"),
    "both": ({"known": {"x0": T, "x1": 0.0}, "free": ["x1", "x2"]}, "'x1' is both known and free"),
    "neither": ({"free": ["x1"]}, "'x2' is neither known nor free"),
    "all known": ({"known": {"x0": T, "x1": 0.0, "x2": 0.0}, "free": []}, "all inputs are known"),
    "shape": ({"observations": np.zeros(7)}, r"observations have shape \(7,\); expected \(12\), one row"),
    "cases": ({"observations": np.zeros((3, 12))}, "give cases=True"),
    "gap": ({"observations": np.where(T > 0.5, np.nan, T)}, "row 7 of the observations is nan"),
    "lengths": ({"known": {"x0": T, "x1": T[:5]}, "free": ["x2"]}, r"known values of 'x1' have shape \(5,\)"),
    "outside": ({"known": {"x0": 2 * T}}, "row 7 of the known 'x0': 1.09091 is not in the box"),
    "too few": ({"known": {"x0": 0.5}, "observations": 1.0}, "1 observations cannot determine 2 free inputs"),
    "noise": ({"noise": 0.0}, "noise is 0.0; expected positive"),
    "noise shape": ({"noise": np.ones(5)}, r"noise has shape \(5,\)"),
    "prior": ({"prior": {"x0": (0.0, 1.0)}}, "the prior names 'x0', which is not free"),
    "prior width": ({"prior": {"x1": (0.0, -1.0)}}, "positive standard deviation"),
    "nothing": ({"observations": None}, "needs observations"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    change, message = BAD[name]
    options = {"known": {"x0": T}, "observations": T} | change
    with pytest.raises(ValueError, match=message):
        inf.calibrate(line(), **options)
