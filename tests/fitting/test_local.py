"""The local stage and its parts: the warp, the additive law, the process on neighbours, and what the predictor makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.additive import fit_additive
from infinity.fitting.direct import fit_separable
from infinity.fitting.local import fit_local
from infinity.fitting.neighbours import NEIGHBOURS, NeighbourProcess, _others, fit_process
from infinity.fitting.trials import WORTHWHILE
from infinity.fitting.warp import fit_warp
from infinity.models.evaluator import evaluate

WAVES = np.random.default_rng(12).normal(scale=12, size=(40, 2))


def wavy(x):
    """An additive law and plane waves in all directions: too much for few products, but smooth between neighbours."""
    return x[:, 0] + np.sin(3 * x[:, 1]) + 0.3 * np.cos(x[:, :2] @ WAVES.T + np.arange(40)).sum(axis=1) / 2


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(900, 3))
    return x, wavy(x) + 0.05 * rng.normal(size=900)


@pytest.fixture(scope="module")
def result(noisy):
    x, y = noisy
    return inf.fit(x[:500], y[:500], local=True, outside="clamp")


def test_warp_is_monotone_and_keeps_what_is_even():
    rng = np.random.default_rng(1)
    x = np.stack([np.linspace(0, 1, 200), np.sort(rng.uniform(size=200)) ** 4], axis=1)
    x[:, 1] = (x[:, 1] - x[0, 1]) / (x[-1, 1] - x[0, 1])
    warped = fit_warp(x)(x)
    np.testing.assert_allclose(warped[:, 0], x[:, 0], atol=1e-12)
    assert np.all(np.diff(warped[:, 1]) >= 0.5 * np.diff(x[:, 1]) - 1e-12)
    assert warped[0, 1] == 0
    assert warped[-1, 1] == pytest.approx(1)
    # Half of a share of the measurements is the least that it moves apart.
    assert warped[100, 1] > 0.25


def test_the_additive_law_is_found_with_its_smoothness():
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(600, 3))
    law = np.stack([np.sin(4 * x[:, 0]) + x[:, 1] ** 2, x[:, 2] - x[:, 0]], axis=1)
    law = (law - law.mean(0)) / law.std(0)
    start = inf.KHRONOS([(0.0, 1.0)] * 3, modes=0, elements=8, outputs=2, key=jax.random.key(0))
    found = fit_additive(start, jnp.asarray(x), jnp.asarray(law + 0.3 * rng.normal(size=law.shape)), jnp.ones(600))
    error = np.sqrt(np.mean((evaluate(found, x) - law) ** 2))
    # Of 11 functions an input the evidence uses few: all of them would leave 0.3 sqrt(34 / 600) = 0.07.
    assert error < 0.055
    weighted = fit_additive(start, jnp.asarray(x), jnp.asarray(law), jnp.where(jnp.arange(600) < 300, 1.0, 0.0))
    half = fit_additive(start, jnp.asarray(x[:300]), jnp.asarray(law[:300]), jnp.ones(300))
    np.testing.assert_allclose(evaluate(weighted, x), evaluate(half, x), atol=1e-6)


def test_a_process_of_few_measurements_is_the_dense_one():
    rng = np.random.default_rng(3)
    points, x = rng.uniform(size=(NEIGHBOURS, 2)), rng.uniform(size=(5, 2))
    values, weights = rng.normal(size=(NEIGHBOURS, 2)), rng.uniform(0.5, 2, NEIGHBOURS)
    lengths, smoothness, v, noise, scale = np.array([0.4, 0.8]), np.array([1.0, 0.3]), 1.3, 0.1, np.array([1.0, 3.0])
    process = NeighbourProcess(
        *(jnp.asarray(a) for a in (points, values, weights, lengths, smoothness, v, noise, scale))
    )

    def kernel(a, b):
        t = np.abs(a[:, None] - b[None]) / lengths
        return v * np.prod((1 + smoothness * t) * np.exp(-t), axis=-1)

    solved = np.linalg.solve(kernel(points, points) + np.diag(noise / weights), kernel(points, x))
    mean, variance = process.many(x)
    np.testing.assert_allclose(mean, solved.T @ values, atol=1e-10)
    expected = v + noise - np.sum(kernel(points, x) * solved, axis=0)
    np.testing.assert_allclose(variance, expected[:, None] * scale**2, atol=1e-10)
    far, spread = process.many(np.full((1, 2), 50.0))
    np.testing.assert_allclose(far, 0, atol=1e-12)
    np.testing.assert_allclose(spread, [(v + noise) * scale**2])


def test_a_measurement_is_no_neighbour_of_itself_also_among_twins():
    points = np.repeat(np.random.default_rng(4).uniform(size=(20, 2)), 3, axis=0)
    chosen = np.arange(60)
    others = _others(points, chosen, np.ones(2), 5)
    assert others.shape == (60, 5)
    assert not np.any(others == chosen[:, None])
    # Both twins are among the nearest five.
    assert np.all(np.sum(others // 3 == chosen[:, None] // 3, axis=1) == 2)


def test_the_likelihood_finds_noise_and_lengths():
    rng = np.random.default_rng(5)
    x = rng.uniform(size=(1500, 3))
    y = np.sin(12 * x[:, 0]) + 0.5 * x[:, 1] + 0.1 * rng.normal(size=1500)
    process = fit_process(x, (y - y.mean())[:, None], np.ones(1500), 0)
    noise = float(np.sqrt(process.noise)) * float(process.scale[0])
    assert 0.08 < noise < 0.13
    lengths = np.asarray(process.lengths)
    assert lengths[0] < 0.5 * lengths[1] < lengths[2]


def test_it_pays_where_no_few_products_do(noisy, result):
    x, y = noisy
    stage = result.predictor.local
    assert float(stage.balance.weight[0]) > 0
    assert result.options["local"] == [float(stage.balance.weight[0])]
    error = lambda prediction: float(np.sqrt(np.mean((np.asarray(prediction) - y[500:]) ** 2)))
    whole, alone = error(result.predict(x[500:])), error(result.model.predict(x[500:]))
    assert whole < WORTHWHILE * alone
    assert result.metrics["heldout"]["rmse"] < result.metrics["separable"]["rmse"]
    lower, upper = result.intervals(x[500:], 0.9)
    assert 0.82 < np.mean((y[500:] >= lower) & (y[500:] <= upper)) < 0.98
    mean, std = result.predict(x[500:], return_std=True)
    np.testing.assert_allclose(mean, result.predict(x[500:]), rtol=1e-12)
    assert 0.5 < float(np.median(std)) / whole < 2


def test_rows_that_starts_left_out_calibrate_intervals(noisy, result):
    x, y = (part[500:] for part in noisy)
    assert len(result.predictor.scores) > 4 * len(result.heldout)
    x, y = x[~result.model.rows_outside(x)], y[~result.model.rows_outside(x)]
    for level in (0.5, 0.9):
        lower, upper = result.intervals(x, level)
        assert np.mean((lower <= y) & (y <= upper)) == pytest.approx(
            level, abs=3 * np.sqrt(level * (1 - level) / len(y))
        )


def test_outside_the_box_the_model_speaks_alone(result):
    x = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5]])
    mean, alone = result.predict(x), result.model.predict(x)
    assert mean[0] != alone[0]
    assert mean[1] == alone[1]


def test_a_saved_predictor_predicts_the_same(result, noisy, tmp_path):
    inf.save(result.predictor, tmp_path / "predictor.inf")
    again = inf.load(tmp_path / "predictor.inf")
    x = noisy[0][500:600]
    np.testing.assert_array_equal(again.predict(x), result.predict(x))
    for end, expected in zip(again.intervals(x), result.intervals(x), strict=True):
        np.testing.assert_array_equal(end, expected)


@pytest.mark.slow
def test_none_is_kept_where_none_is_wanted_or_needed():
    rng = np.random.default_rng(6)
    x = rng.uniform(size=(300, 2))
    assert inf.fit(x, wavy(x) + 0.1 * rng.normal(size=300), local=False).predictor.local is None
    smooth = inf.fit(x, np.exp(x[:, 0]) * x[:, 1])
    assert smooth.predictor.local is None
    assert "separable" not in smooth.metrics


@pytest.mark.parametrize("options", [{"modes": 2}, {"degree": 2}, {"model": lambda x: x}])
def test_a_wanted_stage_is_not_left_out_silently(options):
    x = np.random.default_rng(9).uniform(size=(100, 2))
    with pytest.raises(ValueError, match="local=True goes with a model that is selected"):
        inf.fit(x, wavy(x), local=True, **options)
    with pytest.raises(ValueError, match="needs at least 60"):
        inf.fit(x[:50], wavy(x[:50]), local=True)


def test_the_balance_is_that_of_each_target():
    rng = np.random.default_rng(7)
    x = rng.uniform(size=(800, 2))
    z = np.stack([wavy(x), x[:, 0] - x[:, 1]], axis=1)
    z = (z - z.mean(0)) / z.std(0)
    stage = fit_local(x[:600], z[:600], np.ones(600), [(0.0, 1.0)] * 2, [5, 5], [3, 3], 0)
    # A separable model that knows nothing of the first target and all of the second.
    known = np.stack([np.zeros(200), z[600:, 1]], axis=1)
    std = np.full((200, 2), 0.1)
    balanced = stage.balanced(z[600:], np.ones(200), (known, std), stage.many(x[600:]))
    mixed = balanced.mixed(x[600:], known, std)[0]
    own = stage.many(x[600:])[0]
    error = lambda value: np.sqrt(np.mean((value - z[600:]) ** 2, axis=0))
    assert error(mixed)[0] < 1.05 * error(own)[0] < 0.5
    assert error(mixed)[1] < 0.01


def test_each_part_counts_by_what_it_knows():
    rng = np.random.default_rng(10)
    x = rng.uniform(size=(300, 1))
    z = np.sin(6 * x) + 0.2 * rng.normal(size=(300, 1))
    stage = fit_local(x, z, np.ones(300), [(0.0, 1.0)], [5], [3], 0)
    own, own_std = stage.many(x[:3])
    value, std = np.zeros((3, 1)), np.array([[1e-9], [1.0], [1e9]]) * own_std
    mixed, spread = stage.mixed(x[:3], value, std)
    np.testing.assert_allclose(mixed, np.array([[0.0], [0.5], [1.0]]) * own, atol=1e-12)
    np.testing.assert_allclose(spread, np.array([[0.0], [1.0], [1.0]]) * own_std, rtol=1e-6, atol=1e-8)
    alone = stage.silent().mixed(x[:3], value, std)
    np.testing.assert_array_equal(alone[0], value)
    np.testing.assert_array_equal(alone[1], std)


@pytest.mark.parametrize("rows", [100, 600])
def test_rows_left_for_validation_do_not_reach_the_fit(rows):
    rng = np.random.default_rng(8)
    x = rng.uniform(size=(700, 2))
    y = np.sin(5 * x[:, :1]) * x[:, 1:]
    spoiled = y.copy()
    spoiled[rows:] += 10
    start = inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=4, key=jax.random.key(0))
    fits = [
        fit_separable(
            start, jnp.asarray(x), jnp.asarray(a), jnp.ones(700), tolerance=1e-2, rows=rows, most_iterations=8
        )
        for a in (y, spoiled)
    ]
    np.testing.assert_array_equal(fits[0].values, fits[1].values)


def test_no_rows_are_predicted_as_no_rows(noisy):
    """Also where a local stage is asked, as by a fit that holds out nothing."""
    x, y = noisy
    kept = inf.fit(x[:300], y[:300], local=True, holdout=0)
    assert kept.predictor.local is not None
    none = np.zeros((0, x.shape[1]))
    assert kept.predict(none).shape == (0,)
    mean, std = kept.predict(none, return_std=True)
    assert mean.shape == std.shape == (0,)
