"""Effects of single levels beside a smooth law."""

import contextlib
import warnings

import jax
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.levels import fit_levels


def shrunk(residual, level, count, tau2, sigma2):
    """The textbook's mean of an effect given its rows, one column."""
    n = np.bincount(level, minlength=count)
    mean = np.bincount(level, residual, minlength=count) / np.maximum(n, 1)
    return mean * n * tau2 / (n * tau2 + sigma2), tau2 * sigma2 / (n * tau2 + sigma2)


def test_effects_of_one_column_are_the_shrunken_means():
    rng = np.random.default_rng(0)
    level = rng.integers(40, size=300)
    residual = rng.normal(size=40)[level] + 0.5 * rng.normal(size=300)
    found = fit_levels(level[:, None].astype(float), residual[:, None], np.ones(300), [0])
    tau2 = float(found.spread[0, 0])
    assert 0.5 < tau2 < 2
    present = np.unique(level)
    for sigma2 in np.linspace(0.15, 0.4, 2001):  # the noise is not kept: one value of it explains all effects
        mean, variance = shrunk(residual, level, 40, tau2, sigma2)
        if np.allclose(found.effects[0][:, 0], mean[present], atol=2e-4):
            break
    else:
        pytest.fail("no variance of the noise explains the effects")
    np.testing.assert_allclose(found.variances[0][:, 0], variance[present], rtol=5e-3)


def test_noise_alone_has_no_effects_and_new_levels_have_the_variance_of_one():
    rng = np.random.default_rng(1)
    level = rng.integers(20, size=400).astype(float)
    none = fit_levels(level[:, None], rng.normal(size=(400, 1)), np.ones(400), [0])
    assert np.sqrt(np.mean(none.effects[0] ** 2)) < 0.1  # their means alone have 0.22
    some = fit_levels(level[:, None], (3 * np.sin(7 * level) + 0.1 * rng.normal(size=400))[:, None], np.ones(400), [0])
    value, variance = some.many(np.array([[3.0], [3.5]]))
    assert value[0, 0] == pytest.approx(3 * np.sin(21), abs=0.15)
    assert value[1, 0] == 0
    assert variance[1, 0] == pytest.approx(float(some.spread[0, 0]))
    assert variance[0, 0] < 0.01 * variance[1, 0]


@pytest.fixture(scope="module")
def machines():
    """A smooth law, and 60 settings that each have a quirk."""
    rng = np.random.default_rng(2)
    settings, quirk = np.sort(rng.uniform(size=60)), 0.5 * rng.normal(size=60)
    at = rng.integers(60, size=700)
    x = np.stack([settings[at], rng.uniform(size=700)], axis=1)
    return x, np.sin(3 * x[:, 0]) * x[:, 1] + quirk[at] + 0.05 * rng.normal(size=700)


def test_levels_are_used_where_asked_for_and_survive_a_file(machines, tmp_path):
    x, y = machines
    fit = lambda **options: inf.fit(
        x[:600], y[:600], names=["setting", "load"], local=False, modes=2, elements=3, outside="clamp", **options
    )
    plain, found = fit(), fit(levels=["setting"])
    error = lambda prediction: float(np.sqrt(np.mean((np.asarray(prediction) - y[600:]) ** 2)))
    assert error(found.predict(x[600:])) < 0.2 * error(plain.predict(x[600:]))
    assert found.options["levels"]["setting"][0] == pytest.approx(0.5, rel=0.4)
    assert plain.predictor.levels is None
    assert found.metrics["heldout"]["rmse"] < 0.3 * found.metrics["separable"]["rmse"]
    lower, upper = found.intervals(x[600:], 0.9)
    assert 0.8 < np.mean((y[600:] >= lower) & (y[600:] <= upper)) <= 1
    # A setting that was never measured gets the smooth law alone, and a wider interval.
    new = np.array([[0.5, 0.5]])
    assert new[0, 0] not in x[:, 0]
    np.testing.assert_allclose(found.predict(new), found.model.predict(new), rtol=1e-12)
    known = np.array([[x[0, 0], 0.5]])
    assert found.predict(new, return_std=True)[1][0] > 3 * found.predict(known, return_std=True)[1][0]
    inf.save(found.predictor, tmp_path / "predictor.inf")
    again = inf.load(tmp_path / "predictor.inf")
    np.testing.assert_array_equal(again.predict(x[600:]), found.predict(x[600:]))


@contextlib.contextmanager
def single_precision():
    jax.config.update("jax_enable_x64", False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that precision is single
            yield
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.slow
def test_levels_are_met_again_in_single_precision(machines):
    x, y = machines
    x = 7.3 * x + 1.1  # numbers that rounding changes
    with single_precision():
        found = inf.fit(x[:600], y[:600], local=False, modes=2, elements=3, levels=[0], outside="clamp")
        error = lambda prediction: float(np.sqrt(np.mean((np.asarray(prediction) - y[600:]) ** 2)))
        assert error(found.predict(x[600:])) < 0.3 * error(found.model.predict(x[600:]))


@pytest.mark.slow
def test_levels_go_with_the_selection(machines):
    x, y = machines
    found = inf.fit(x, y, levels=[0])
    assert found.metrics["heldout"]["rmse"] < 0.12
    assert "x0" in found.options["levels"]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["setting", "lod"], "levels names 'lod', which is no input; did you mean 'load'"),
        ([2], "levels names 2, which is no input; expected indices or names of setting, load"),
        (["load"], "levels names 'load', which has .* different values in .* rows"),
    ],
)
def test_a_wrong_name_is_refused(machines, levels, message):
    x, y = machines
    with pytest.raises(ValueError, match=message):
        inf.fit(x, y, names=["setting", "load"], levels=levels)


def test_levels_need_a_model_made_here(machines):
    x, y = machines
    model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=2, degree=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="levels goes with a model that is made here"):
        inf.fit(x, y, model=model, levels=[0])
    mixed = np.empty((700, 2), object)
    mixed[:, 0], mixed[:, 1] = np.where(x[:, 0] > 0.5, "a", "b"), x[:, 1]
    with pytest.raises(ValueError, match="levels names 'x0', which is a category"):
        inf.fit(mixed, y, categories=[0], levels=[0])
