"""`inf.fit` with an AION: from any start, in any units, with honest uncertainty; bad input named."""

import subprocess
import sys
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.descent.exponential import solve_batch
from infinity.fitting.whiteness import whiteness

NAMES = ("amplitude", "alpha", "omega", "phase")
N = 64  # without the held-out rows still in the same program
T = np.linspace(0.0, 3.0, N)
NOISE = 0.05


def rng(seed=0):
    return np.random.default_rng(seed)


def damped(t):
    return 2 * np.exp(-0.5 * t) * np.cos(8 * t + 0.3)


def aion(dimensions=1, modes=1, terms=1, outputs=1, seed=0):
    return inf.AION(dimensions, modes=modes, terms=terms, outputs=outputs, key=jax.random.key(seed))


Y = damped(T) + NOISE * rng().standard_normal(N)


@pytest.fixture(scope="module")
def noisy():
    return inf.fit(T, Y, model="aion", names=["time"], target="sway")


def parameters(result):
    return np.array([np.asarray(getattr(result.model.inner, name)).ravel() for name in NAMES])


def at_zero(result):
    moved = result.model.inner.moved([0.0] * result.model.dimensions).canonical()
    return np.array([np.asarray(getattr(moved, name)).ravel() for name in NAMES])


def test_parameters_from_any_start():
    fits = [inf.fit(T, damped(T), model=aion(terms=1, seed=seed)) for seed in range(3)]
    for result in fits:
        np.testing.assert_array_equal(parameters(result), parameters(fits[0]))
    np.testing.assert_allclose(at_zero(fits[0])[:, 0], [2, -0.5, 8, 0.3], rtol=1e-9)
    assert fits[0].success
    assert "exact to rounding" in fits[0].message
    assert fits[0].stats["outer_steps"] == 1
    assert fits[0].certificate.family == "exponential"


def test_a_series_is_judged_by_its_forecast(noisy):
    order = rng(1).permutation(N)
    shuffled = inf.fit(T[order], Y[order], model="aion")
    np.testing.assert_array_equal(noisy.heldout, np.arange(N - 6, N))
    np.testing.assert_array_equal(np.sort(T[order][shuffled.heldout]), T[-6:])
    np.testing.assert_allclose(parameters(shuffled), parameters(noisy), rtol=1e-6)
    assert noisy.metrics["heldout"]["rmse"] < 2 * NOISE
    assert noisy.heldout_prediction.shape == (6, 1)
    lower, upper = noisy.intervals(T, 0.9)
    assert np.mean((np.asarray(lower) < Y) & (np.asarray(upper) > Y)) > 0.7


def test_order_whiteness_and_work_are_reported(noisy):
    (orders,) = noisy.options["orders"]
    assert [row["terms"] for row in orders] == list(range(len(orders)))
    assert min(orders, key=lambda row: row["criterion"])["terms"] == 1
    assert noisy.options["whiteness"][0]["p_value"] > 0.01
    assert noisy.stats["outer_steps"] == 1
    assert noisy.stats["iterations"] > 0
    assert noisy.stats["starts"] > 0
    assert noisy.model.outside == "extrapolate"


def test_covariance_is_the_cramer_rao_bound(noisy):
    model = noisy.model.inner
    theta = np.array([float(getattr(model, name)[0, 0, 0, 0]) for name in NAMES])
    t = T - model.origin[0]
    f = lambda v: v[0] * np.exp(v[1] * t) * np.cos(v[2] * t + v[3])
    h = 1e-6
    J = np.stack([(f(theta + h * e) - f(theta - h * e)) / (2 * h) for e in np.eye(4)], 1)
    variance = np.sum((f(theta) - Y) ** 2) / (N - 4)
    np.testing.assert_allclose(noisy.noise, [np.sqrt(variance)], rtol=1e-6)
    np.testing.assert_allclose(noisy.predictor.covariance, variance * np.linalg.inv(J.T @ J), rtol=1e-4, atol=1e-10)


def test_estimates_spread_as_the_covariance_says(noisy):
    """Over 200 records the standard deviations are those of the bound, to the 5 % that so many tell."""
    records = damped(T) + NOISE * rng(5).standard_normal((200, N))
    out = solve_batch(jnp.asarray(records), 1)
    span = T[-1] - T[0]
    found = np.stack([np.linalg.norm(out.pairs[:, 0], axis=1), out.alpha[:, 0] / span, out.omega[:, 0] / span], 1)
    bound = np.sqrt(np.diag(noisy.predictor.covariance))[:3] * NOISE / noisy.noise[0]
    np.testing.assert_allclose(found.std(axis=0), bound, rtol=0.2)
    truth = [2 * np.exp(-0.5 * 1.5), -0.5, 8]
    np.testing.assert_allclose(found.mean(axis=0), truth, atol=0.3 * bound.max())


def test_several_outputs_have_atoms_of_their_own():
    other = 3 * np.exp(0.2 * T) + np.cos(11 * T)
    result = inf.fit(T, np.stack([Y, other + 0.01 * rng(2).standard_normal(N)], 1), model="aion", target=["a", "b"])
    model = result.model.inner
    assert model.outputs == 2
    assert [int(np.sum(np.asarray(model.amplitude[o]) > 0)) for o in range(2)] == [1, 2]
    np.testing.assert_allclose(result.noise, [NOISE, 0.01], rtol=0.3)
    assert result.predict(T[:3]).shape == (3, 2)
    np.testing.assert_allclose(result.model(jnp.asarray(T[:1])), result.predict(T[:1])[0])


def test_weights_are_copies_of_rows(noisy):
    copies = rng(3).integers(1, 4, N)
    weighted = inf.fit(T, Y, model=aion(), weights=copies, holdout=0.0)
    repeated = inf.fit(np.repeat(T, copies), np.repeat(Y, copies), model=aion(), holdout=0.0)
    np.testing.assert_allclose(parameters(weighted), parameters(repeated), rtol=1e-8)
    np.testing.assert_allclose(weighted.noise, repeated.noise, rtol=1e-8)


def test_rows_of_no_weight_say_nothing():
    weights = np.ones(N)
    weights[::5] = 0
    spoilt = np.where(weights > 0, Y, 1e3)
    result = inf.fit(T, spoilt, model=aion(), weights=weights)
    left = inf.fit(T[weights > 0], Y[weights > 0], model=aion(), holdout=0.0)
    np.testing.assert_allclose(parameters(result), parameters(left), rtol=1e-6)
    assert np.isfinite(np.asarray(result.intervals(T))).all()


def test_far_beyond_the_data_the_formula_goes_on():
    result = inf.fit(T, damped(T) + 3 * np.exp(-0.1 * T), model="aion")
    t = np.array([-3.0, 10.0, 30.0])
    np.testing.assert_allclose(result.predict(t), damped(t) + 3 * np.exp(-0.1 * t), rtol=1e-5)
    mean, deviation = result.predict(t, return_std=True)
    assert (np.asarray(deviation) < 1e-5).all()
    assert np.isfinite(mean).all()


def test_a_value_beyond_the_range_of_floats_is_an_error():
    result = inf.fit(T, np.exp(2 * T) * np.cos(5 * T) + np.exp(T), model="aion")
    with pytest.raises(
        ValueError, match="2 of 3 values are beyond the range of float64, the first in row 2: x0 = 1000"
    ):
        result.predict(np.array([1.0, 1e3, -1e9 * -1]))
    mean, deviation = result.predict(np.array([300.0]), return_std=True)
    assert np.isfinite(mean).all()
    assert not np.isnan(deviation).any()


def test_years_and_large_growth_rates():
    years = np.arange(1957.0, 2021.0)
    y = np.exp(0.8 * (years - 1957)) * np.cos(0.9 * (years - 1957))
    result = inf.fit(years, y, model=aion())
    model = result.model.inner
    assert model.origin == (1988.5,)
    np.testing.assert_allclose(np.ravel([model.alpha, model.omega]), [0.8, 0.9], rtol=1e-8)
    np.testing.assert_allclose(result.predict(years), y, atol=1e-9 * np.abs(y).max())
    assert np.isfinite(result.predict(years, return_std=True)[1]).all()


def test_single_precision_is_good_to_single_precision():
    result = inf.fit(T.astype(np.float32), damped(T).astype(np.float32), model=aion())
    assert result.model.inner.alpha.dtype == jnp.float32
    np.testing.assert_allclose(at_zero(result)[:, 0], [2, -0.5, 8, 0.3], rtol=1e-5)


@pytest.mark.slow
def test_without_double_precision():
    """JAX as it comes: a warning, no overflow of the squares, no number that is none."""
    code = (
        "import sys; import warnings; import numpy as np, jax, infinity as inf\n"
        "t = np.linspace(0, 3, 64); y = 2e-6 * np.exp(-0.5 * t) * np.cos(8 * t + 0.3)\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    result = inf.fit(t, y, model='aion')\n"
        "assert {w.category.__name__ for w in seen} == {'PrecisionWarning'}, seen\n"
        "m = result.model.inner.moved([0.0]).canonical()\n"
        "np.testing.assert_allclose(np.ravel([m.amplitude, m.alpha, m.omega, m.phase]), [2e-6, -0.5, 8, 0.3], rtol=1e-3)\n"
        "try: inf.fit(1e9 + t, y, model='aion')\n"
        "except ValueError as error: assert 'float32 does not resolve' in str(error)\n"
        "else: raise SystemExit('accepted times that collapse')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_saved_result_predicts_the_same(noisy, tmp_path):
    noisy.save(tmp_path / "run.inf")
    t = np.linspace(0, 5, 9)
    np.testing.assert_array_equal(inf.load(tmp_path / "run.inf").predict(t), noisy.predict(t))


def product(x):
    return np.exp(-x[:, 0]) * np.cos(5 * x[:, 1] + 0.2)


@pytest.mark.slow
def test_scattered_samples_of_two_inputs():
    x = rng(7).uniform(size=(150, 2))
    result = inf.fit(x, product(x), model=aion(2))
    new = rng(8).uniform(size=(50, 2))
    np.testing.assert_allclose(result.predict(new), product(new), atol=1e-6)
    assert result.metrics["heldout"]["nrmse"] < 1e-6
    assert result.stats["outer_steps"] == 1


@pytest.mark.parametrize("shape", [(12, 11), pytest.param((8, 7, 9), marks=pytest.mark.slow)])
def test_grids(shape):
    axes = [np.linspace(0, 1, n) for n in shape]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    y = product(x) * (np.exp(0.5 * x[:, 2]) if len(shape) == 3 else 1.0)
    result = inf.fit(x, y, model=aion(len(shape)), holdout=0.0)
    assert "exact to rounding" in result.message
    np.testing.assert_allclose(result.predict(x), y, atol=1e-10)
    rates = np.asarray(result.model.inner.alpha)[0, 0, :, 0]
    np.testing.assert_allclose(rates, [-1, 0, 0.5][: len(shape)], atol=1e-6)


def test_aliases_are_announced_where_they_can_be():
    k = np.arange(float(N))
    with pytest.warns(inf.AliasWarning, match="a frequency of 3.01593 radians a unit of 'x0'"):
        inf.fit(k, np.cos(2 * np.pi * 0.52 * k + 0.4), model=aion())
    for phase in (0.0, 0.7):
        with pytest.warns(inf.AliasWarning):
            result = inf.fit(k, np.cos(np.pi * k + phase) * np.exp(-0.01 * k), model=aion())
        assert float(result.model.inner.amplitude.max()) < 1.0
        np.testing.assert_allclose(result.predict(k), np.cos(np.pi * k + phase) * np.exp(-0.01 * k), atol=1e-9)


def test_noise_alone_is_said_to_be_noise():
    result = inf.fit(T, rng(11).standard_normal(N), model="aion")
    assert "evidence is for noise alone" in result.message


def test_what_is_left_is_tested_for_whiteness():
    white = [whiteness(rng(seed).standard_normal(200))["p_value"] for seed in range(200)]
    assert 0.01 < np.mean(np.array(white) < 0.05) < 0.11
    Q, _ = np.linalg.qr(np.stack([g * f(8 * T) for f in (np.cos, np.sin) for g in (1, T)], 1))
    left_over = [(e := rng(seed).standard_normal(N)) - Q @ (Q.T @ e) for seed in range(100)]
    assert np.mean([whiteness(e, Q)["p_value"] < 0.05 for e in left_over]) < 0.13
    left = inf.fit(T, Y + 0.3 * np.cos(25 * T), model=aion())
    assert left.options["whiteness"][0]["p_value"] < 1e-3


BAD = {
    "1 row": (T[:1], Y[:1], {}, "one row"),
    "4 rows": (T[:4], Y[:4], {}, "4 distinct rows of positive weight for 4 unknowns"),
    "fewer than unknowns": (T[:12], Y[:12], {"model": (1, 3)}, "12 distinct rows of positive weight for 12 unknowns"),
    "too few for the forecast": (
        T[:13],
        Y[:13],
        {"model": (1, 3)},
        "without the held-out ones for 12 unknowns.*holdout=0",
    ),
    "few times": (np.repeat(T[:3], 20), Y[:60], {}, "has 3 distinct value"),
    "no weight": (T, Y, {"weights": np.arange(N) < 3}, "3 distinct rows of positive weight"),
    "not a number": (T, np.where(T > 2.9, np.nan, Y), {}, "row 62, column 'y'"),
    "constant time": (0 * T, Y, {}, "'x0' is 0 in every row"),
    "zero": (T, 0 * Y, {}, "'y' is 0 in every row"),
    "tiny": (T, 1e-300 * Y, {}, "expected between 1e-120 and 1e.120"),
    "huge": (T, 1e300 * Y, {}, "expected between 1e-120 and 1e.120"),
    "tiny times": (1e-200 * T, Y, {}, "the input 'x0' is of size 3e-200"),
    "complex": (T, 1j * Y, {}, "complex"),
    "inputs": (T, Y, {"model": (2, 1)}, "the AION has 2 input.* the table 1 and 1"),
    "outputs": (T, np.stack([Y, Y**2], 1), {"model": (1, 1)}, "1 output.* the table 1 and 2"),
    "four inputs": (rng().uniform(size=(99, 4)), rng().uniform(size=99), {}, "up to 3 inputs"),
    "few scattered": (rng().uniform(size=(16, 2)), rng().uniform(size=16), {}, "16 rows; too few"),
    "bounds": (T, Y, {"bounds": (-9.0, 9.0)}, "an AION has no"),
    "a solver": (T, Y, {"solver": object()}, "without a solver"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    x, y, options, message = BAD[case]
    options = dict(options)
    size = options.pop("model", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            inf.fit(x, y, model="aion" if size is None else aion(size[0], terms=size[1]), **options)


def test_an_outlier_and_a_step_are_fitted_in_finite_numbers():
    for y in (Y + 1e6 * (np.arange(N) == 17), (T > 1.5) * 1.0, (np.arange(N) == 30) * 1.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", inf.AliasWarning)
            result = inf.fit(T, y, model="aion")
        assert np.isfinite(parameters(result)).all()
        assert np.isfinite(result.predict(T)).all()
        assert np.isfinite(result.noise).all()


def test_whole_numbers_are_numbers():
    result = inf.fit(np.arange(N), np.round(1000 * damped(T)).astype(int), model=aion())
    np.testing.assert_allclose(np.asarray(result.model.inner.omega)[0, 0, 0, 0], 8 * T[1], rtol=1e-3)


class Decay(eqx.Module):
    """A model of a user's own: a constant, a decay and an oscillation."""

    rates: jax.Array
    weights: jax.Array

    def __call__(self, x):
        shapes = jnp.stack([jnp.ones(()), jnp.exp(-self.rates[0] * x[0]), jnp.cos(self.rates[1] * x[0])])
        return self.weights @ shapes


def test_an_exponential_model_of_a_user_is_solved_from_any_start():
    t = np.linspace(0, 10, 60)
    y = 1 + 2 * np.exp(-0.7 * t) + 0.5 * np.cos(5.3 * t)
    result = inf.fit(t, y, model=Decay(jnp.ones(2), jnp.ones(3)), holdout=0)
    np.testing.assert_allclose(result.model.inner.rates, [0.7, 5.3], rtol=1e-9)
    np.testing.assert_allclose(result.model.inner.weights, [1, 2, 0.5], rtol=1e-9)


@pytest.mark.slow
def test_intervals_are_as_wide_as_the_forecast_of_the_held_out_rows_was_off():
    t = np.linspace(0, 10, 120)
    # The last rows are all higher than the rest says.
    y = np.exp(-0.1 * t) * np.cos(3 * t) + 1e-6 * np.random.default_rng(0).standard_normal(120)
    y[-12:] += 1e-3
    result = inf.fit(t, y, model=inf.AION(terms=1, key=jax.random.key(0)), holdout=0.1)
    mean, std = result.judged.predict(t[-12:], return_std=True)
    np.testing.assert_allclose(result.predictor.scores[:, 0], np.abs(y[-12:] - mean) / std, rtol=1e-6)
    lower, upper = (np.asarray(end) for end in result.intervals(t[-12:], 0.9))
    reach = (upper - lower) / 2 / np.asarray(result.predict(t[-12:], return_std=True)[1])
    assert np.mean(np.abs(y[-12:] - mean) <= reach * np.asarray(std)) >= 0.9
