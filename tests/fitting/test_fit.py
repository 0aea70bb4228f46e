"""`inf.fit` from the outside: accuracy, units, policies, uncertainty, other models and solvers, bad input."""

import dataclasses
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import infinity as inf

RNG = np.random.default_rng(0)
X = RNG.uniform([10.0, -2.0], [20.0, 2.0], size=(500, 2))
Y = 100 + np.exp(X[:, 0] / 10) * np.sin(X[:, 1])


@pytest.fixture(scope="module")
def smooth():
    return inf.fit(X, Y, names=["a", "b"], target="c", elements=8)


def test_smooth_function_in_physical_units(smooth):
    assert smooth.success
    assert smooth.metrics["heldout"]["nrmse"] < 2e-3
    assert smooth.metrics["train"]["rows"] == 450
    point = jnp.array([15.0, 1.0])
    np.testing.assert_allclose(smooth.model(point), 100 + np.exp(1.5) * np.sin(1.0), rtol=1e-4)
    slope = jax.grad(smooth.model)(point)
    np.testing.assert_allclose(slope, [0.1 * np.exp(1.5) * np.sin(1.0), np.exp(1.5) * np.cos(1.0)], rtol=3e-2)
    assert smooth.certificate.family == "polynomial"
    assert len(smooth.certificate.blocks) == 2
    assert {"compile", "run"} == set(smooth.timings)
    assert smooth.model.names == ("a", "b")


def test_predict_equals_the_model_point_by_point(smooth):
    batch = smooth.predict(X[:5])
    np.testing.assert_allclose(batch, [float(smooth.model(jnp.asarray(row))) for row in X[:5]], rtol=1e-12)
    assert smooth.predict(X[:0]).shape == (0,)


def test_same_seed_same_numbers(smooth):
    again = inf.fit(X, Y, names=["a", "b"], target="c", elements=8)
    np.testing.assert_array_equal(again.predict(X[:20]), smooth.predict(X[:20]))
    np.testing.assert_array_equal(again.heldout, smooth.heldout)


def test_noise_is_not_followed():
    rng = np.random.default_rng(1)
    noisy = Y + rng.normal(scale=1.0, size=len(Y))
    result = inf.fit(X, noisy, elements=8)
    truth_error = np.sqrt(np.mean((np.asarray(result.predict(X)) - Y) ** 2))
    assert truth_error < 0.5
    assert 0.8 < result.noise[0] < 1.2
    mean, deviation = result.predict(X, return_std=True)
    covered = np.mean(np.abs(noisy - np.asarray(mean))[result.heldout] < 1.645 * np.asarray(deviation)[result.heldout])
    assert covered > 0.75


def test_several_outputs_share_modes():
    result = inf.fit(X, np.stack([Y, 3 * Y + X[:, 0]], axis=1), target=["p", "q"], elements=6)
    assert result.predict(X[:3]).shape == (3, 2)
    assert result.model(jnp.asarray(X[0])).shape == (2,)
    assert result.metrics["heldout"]["nrmse"] < 1e-2


@pytest.mark.parametrize("policy", ["linear", "clamp", "nan", "error", "warn"])
def test_policy_outside_the_box(smooth, policy):
    model = dataclasses.replace(smooth.model, outside=policy)
    edge = jnp.array([model.upper[0], 0.5])
    beyond = edge + jnp.array([1.0, 0.0])
    clamped = smooth.model(edge)
    if policy == "error":
        with pytest.raises(ValueError, match="row 2: a = 2"):
            model.predict(np.stack([edge, beyond]))
        return
    if policy == "warn":
        with pytest.warns(inf.OutsideWarning, match="1 of 2 rows"):
            value = model.predict(np.stack([edge, beyond]))[1]
    else:
        value = model.predict(np.stack([edge, beyond]))[1]
    if policy == "nan":
        assert np.isnan(value)
    elif policy == "clamp":
        np.testing.assert_allclose(value, clamped, rtol=1e-12)
    else:
        slope = jax.grad(smooth.model)(edge - jnp.array([1e-9, 0.0]))[0]
        np.testing.assert_allclose(value, clamped + slope, rtol=1e-6)


def test_single_precision():
    result = inf.fit(X.astype(np.float32), Y.astype(np.float32), elements=6)
    assert result.predict(X[:2].astype(np.float32)).dtype == jnp.float32
    assert result.metrics["heldout"]["nrmse"] < 1e-2


class Decay(eqx.Module):
    amplitude: jax.Array
    rate: jax.Array

    def __call__(self, x):
        return self.amplitude * jnp.exp(-self.rate * x[0])


T = np.linspace(0, 3, 40)


@pytest.mark.parametrize("solver", [None, optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10), optax.adam(0.05)])
def test_any_equinox_model_and_any_solver(solver):
    y = 5 * np.exp(-1.3 * T)
    result = inf.fit(
        T,
        y,
        model=Decay(jnp.array(1.0), jnp.array(0.5)),
        solver=solver,
        holdout=0.0,
        tolerance=1e-9 if solver is None else 1e-6,
    )
    tolerance = 1e-2 if isinstance(solver, optax.GradientTransformation) else 1e-6
    np.testing.assert_allclose([result.model.inner.amplitude, result.model.inner.rate], [5, 1.3], rtol=tolerance)
    assert result.metrics["heldout"] is None
    if solver is None:
        assert result.stats["num_steps"] == 1
        assert "eliminated exactly" in result.message


def test_covariance_of_a_generic_model_is_that_of_linear_theory():
    rng = np.random.default_rng(3)
    y = 5 * np.exp(-1.3 * T) + rng.normal(scale=0.05, size=40)
    result = inf.fit(T, y, model=Decay(jnp.array(4.0), jnp.array(1.0)), holdout=0.0)
    a, k = float(result.model.inner.amplitude), float(result.model.inner.rate)
    J = np.stack([np.exp(-k * T), -a * T * np.exp(-k * T)], axis=1)
    r = a * np.exp(-k * T) - y
    np.testing.assert_allclose(result.covariance, (r @ r) / 38 * np.linalg.inv(J.T @ J), rtol=1e-5)


def test_separable_model_of_the_user_keeps_its_box():
    model = inf.KHRONOS([(5.0, 25.0), (-3.0, 3.0)], modes=2, elements=6, outputs=1, key=jax.random.key(0))
    result = inf.fit(X, Y, model=model)
    assert result.model.domain == ((5.0, 25.0), (-3.0, 3.0))
    assert result.metrics["heldout"]["nrmse"] < 5e-2


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(4)
    x = rng.uniform(size=(60, 1))
    y = np.sin(4 * x[:, 0]) + rng.normal(scale=0.1, size=60)
    weights = rng.integers(1, 3, size=60).astype(float)
    model = Decay(jnp.array(1.0), jnp.array(0.1))
    weighted = inf.fit(x, y, model=model, weights=weights, holdout=0.0)
    repeated = inf.fit(
        np.repeat(x, weights.astype(int), axis=0), np.repeat(y, weights.astype(int)), model=model, holdout=0.0
    )
    np.testing.assert_allclose(weighted.model.inner.rate, repeated.model.inner.rate, rtol=1e-6)
    np.testing.assert_allclose(weighted.noise, repeated.noise, rtol=1e-6)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-5)


def test_saved_model_is_bit_equal_in_a_new_process(smooth, tmp_path):
    smooth.save(tmp_path / "model.inf")
    np.save(tmp_path / "x.npy", X[:100])
    code = (
        "import sys, jax, numpy as np; jax.config.update('jax_enable_x64', True); import infinity as inf; "
        "folder = sys.argv[1]; np.save(folder + '/y.npy', inf.load(folder + '/model.inf').predict(np.load(folder + '/x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), smooth.predict(X[:100]))


def test_double_precision_switched_off_says_so():
    code = (
        "import warnings, numpy as np; warnings.simplefilter('error'); import infinity as inf; x = np.linspace(0, 1, 60); "
        "inf.fit(x, np.sin(x))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PrecisionWarning" in run.stderr
    assert 'jax.config.update("jax_enable_x64", True)' in run.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elements": 40, "modes": 20}, "unknowns and the table only 450 rows"),
        ({"x": X[:8], "y": Y[:8], "holdout": 0.0}, "unknowns and the table only 8 rows.*more rows or fewer inputs"),
        ({"holdout": 1.0}, "holdout is 1.0"),
        ({"outside": "guess"}, "outside is 'guess'"),
        ({"weights": np.ones(3)}, "weights has shape"),
        ({"weights": np.where(np.arange(500) == 6, -1.0, 1.0)}, "row 7: the weight is -1.0"),
        ({"model": 3}, "model is int"),
        (
            {"model": inf.KHRONOS([(0.0, 1.0)] * 2, key=jax.random.key(0))},
            "row 1, column 'x0'.*outside the model's domain",
        ),
        ({"model": inf.KHRONOS([(0.0, 1.0)] * 3, key=jax.random.key(0))}, "3 inputs and 1 outputs"),
        ({"model": Decay(jnp.array(1.0), jnp.array(1.0)), "solver": "adam"}, "solver is str"),
        ({"model": Decay(jnp.array(1.0), jnp.array(1.0)), "modes": 3}, "both a model and its size"),
        ({"degree": -1}, "degree=-1"),
        ({"x": np.where(np.arange(1000).reshape(500, 2) == 5, np.nan, X)}, "row 3, column 'x1'"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    arguments = {"x": X, "y": Y, **change}
    with pytest.raises(ValueError, match=message) as caught:
        inf.fit(arguments.pop("x"), arguments.pop("y"), **arguments)
    assert "\n" not in str(caught.value)


def test_predict_checks_its_points(smooth):
    with pytest.raises(ValueError, match=r"shape \(3, 1\); expected \(N, 2\)"):
        smooth.predict(np.zeros((3, 1)))
    with pytest.raises(ValueError, match="row 1, column 'b'"):
        smooth.predict(np.array([[15.0, np.inf]]))
