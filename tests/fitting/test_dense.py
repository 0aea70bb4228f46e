"""The Gaussian process on all measurements and the balance between two predictions."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.fitting.balance import best_balance, equal
from infinity.fitting.dense import DenseProcess, fit_dense
from infinity.fitting.local import fit_local
from infinity.fitting.neighbours import fit_process
from infinity.fitting.warp import unwarped
from infinity.models.evaluator import evaluate


def some_process(points, values, weights):
    kernel = (np.array([0.4, 0.8]), np.array([1.4, 0.3]), 1.3, 0.1, np.array([1.0, 3.0]))
    return DenseProcess(*(jnp.asarray(a) for a in (points, values, weights, *kernel)), warp=unwarped(2))


@pytest.fixture
def measured():
    rng = np.random.default_rng(0)
    return rng.uniform(size=(40, 2)), rng.normal(size=(40, 2)), rng.uniform(0.5, 2, 40)


def test_a_measurement_left_out_is_one_never_made(measured):
    points, values, weights = measured
    mean, variance = some_process(points, values, weights).left_out()
    for i in (0, 17, 39):
        rest = np.arange(40) != i
        alone = some_process(points[rest], values[rest], weights[rest])
        new_mean, new_variance = alone.many(points[i : i + 1])
        np.testing.assert_allclose(mean[i], new_mean[0], atol=1e-9)
        # The one that was made has a weight of its own.
        noise = float(alone.noise) * np.asarray(alone.scale) ** 2
        np.testing.assert_allclose(variance[i], new_variance[0] + noise * (1 / weights[i] - 1), rtol=1e-8)


def test_so_it_is_among_neighbours(measured):
    points, values, weights = measured
    process = fit_process(points[:20], values[:20], weights[:20], 0)
    mean, variance = process.left_out()
    for i in (0, 19):
        rest = np.arange(20) != i
        alone = process.given(points[:20][rest], values[:20][rest], weights[:20][rest])
        # Weights count relative to their mean, which a measurement less changes.
        unit = np.mean(weights[:20][rest]) / np.mean(weights[:20])
        alone = alone.__class__(*(*_arrays(alone)[:2], alone.weights * unit, *_arrays(alone)[3:]))
        new_mean, new_variance = alone.many(points[i : i + 1])
        np.testing.assert_allclose(mean[i], new_mean[0], atol=1e-9)
        noise = float(alone.noise) * np.asarray(alone.scale) ** 2
        np.testing.assert_allclose(
            variance[i], new_variance[0] + noise * (1 / np.asarray(process.weights)[i] - 1), rtol=1e-8
        )


def _arrays(process):
    return (
        process.points,
        process.values,
        process.weights,
        process.lengths,
        process.smoothness,
        process.variance,
        process.noise,
        process.scale,
    )


def test_it_finds_noise_lengths_and_smoothness():
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(300, 3))
    y = np.sin(9 * x[:, 0]) + 0.5 * x[:, 1]
    process = fit_dense(x, (y + 0.1 * rng.normal(size=300))[:, None], np.ones(300), 0)
    assert 0.08 < float(np.sqrt(process.noise)) * float(process.scale[0]) < 0.12
    lengths = np.asarray(process.lengths)
    assert lengths[0] < lengths[1] < lengths[2]
    assert float(process.smoothness[0]) > 1
    new = rng.uniform(size=(200, 3))
    error = process.many(new)[0][:, 0] - np.sin(9 * new[:, 0]) - 0.5 * new[:, 1]
    assert np.sqrt(np.mean(error**2)) < 0.05


def test_a_smooth_law_without_noise_has_the_smooth_kernel_of_its_own_coordinates():
    rng = np.random.default_rng(4)
    x, new = rng.uniform(size=(200, 2)) ** 2, rng.uniform(size=(100, 2))
    law = lambda x: np.exp(x[:, :1]) * np.cos(3 * x[:, :1] * x[:, 1:])
    process = fit_dense(x, law(x), np.ones(200), 0)
    assert np.all(np.asarray(process.smoothness) == 3)
    np.testing.assert_allclose(process.points, x, atol=1e-15)
    assert np.sqrt(np.mean((process.many(new)[0] - law(new)) ** 2)) < 1e-4
    again = process.given(x[:150], law(x[:150]), np.ones(150))
    assert np.sqrt(np.mean((again.many(new)[0] - law(new)) ** 2)) < 1e-3
    noisy = fit_dense(x, law(x) + 0.1 * rng.normal(size=(200, 1)), np.ones(200), 0)
    assert np.all(np.asarray(noisy.smoothness) <= 2)


def test_the_same_table_in_other_units_gives_the_same_numbers(measured):
    points, values, weights = measured
    one, other = fit_dense(points, values, weights, 0), fit_dense(points, 10 * values, 3 * weights, 0)
    np.testing.assert_allclose(other.many(points)[0], 10 * one.many(points)[0], rtol=1e-6, atol=1e-6)
    doubled = fit_dense(np.vstack([points, points]), np.vstack([values, 100 + values]), np.repeat([1.0, 0.0], 40), 0)
    assert len(doubled.points) == 40


def test_the_balance_weighs_what_is_right():
    rng = np.random.default_rng(2)
    z, ones = rng.normal(size=(400, 1)), np.ones((400, 1))
    good, bad = z + 0.1 * rng.normal(size=z.shape), z + 2 * rng.normal(size=z.shape)
    assert best_balance(z, np.ones(400), (bad, ones), (good, ones)).weight[0] > 5
    assert best_balance(z, np.ones(400), (good, ones), (bad, ones)).weight[0] < 0.2
    value, std = equal(1).mixed((good, ones), (bad, 1e9 * ones))
    np.testing.assert_allclose(value, good, atol=1e-12)
    np.testing.assert_allclose(std, ones)


def test_it_pays_where_no_additive_law_holds():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(400, 2))
    z = np.cos(12 * np.linalg.norm(x - [0.3, 0.6], axis=1))[:, None] + 0.02 * rng.normal(size=(400, 1))
    stage = fit_local(x[:300], z[:300], np.ones(300), [(0.0, 1.0)] * 2, [5, 5], [3, 3], 0)
    assert stage.dense is not None
    error = lambda value: float(np.sqrt(np.mean((value - z[300:]) ** 2)))
    points = stage.warp(x[300:])
    near = stage.process.many(points)[0] + evaluate(stage.law, points)
    # The noise alone is 0.02.
    assert error(stage.many(x[300:])[0]) < 0.9 * error(near)


def test_what_both_share_counts_for_neither():
    rng = np.random.default_rng(4)
    noise, quirk = rng.normal(size=(2, 2000, 1))
    # The first knows nothing of the quirk, the second knows it: all that is left to it is noise.
    z = quirk + noise
    one, other = (0 * z, np.full(z.shape, np.sqrt(2.0))), (quirk, np.full(z.shape, 1.001))
    value, _ = best_balance(z, np.ones(2000), one, other).mixed(one, other)
    assert np.sqrt(np.mean((value - quirk) ** 2)) < 0.07
    # By the inverse of whole variances it would get two thirds.
    plain = equal(1).mixed(one, other)[0]
    np.testing.assert_allclose(plain, quirk * 2 / (2 + 1.001**2), rtol=1e-10)


def test_a_few_wild_errors_tell_little_of_a_balance():
    rng = np.random.default_rng(11)
    z, ones, weights = rng.normal(size=(200, 1)), np.ones((200, 1)), np.ones(200)
    steady = z + 2 * rng.normal(size=(200, 1))
    wild = np.array(z)
    wild[:2] += np.array([[20.0], [-20.0]])
    size = lambda other: np.sqrt(np.mean((other - z) ** 2))
    assert 0.8 < size(steady) / size(wild) < 1.2
    # The same mean square against a good prediction: two rows of it say less than two hundred.
    good = z + 0.1 * rng.normal(size=(200, 1))
    even, rare = (float(best_balance(z, weights, (other, ones), (good, ones)).weight[0]) for other in (steady, wild))
    assert even > 5 * rare > 5


def test_wild_errors_of_both_alike_do_not_silence_the_others():
    rng = np.random.default_rng(12)
    z, ones, weights = rng.normal(size=(200, 1)), np.ones((200, 1)), np.ones(200)
    poor, good = z + 0.5 * rng.normal(size=(200, 1)), z + 0.1 * rng.normal(size=(200, 1))
    both = np.array(z)
    both[:2] += 3.0
    poor[:2], good[:2] = z[:2], z[:2]
    alike, none = (float(best_balance(y, weights, (poor, ones), (good, ones)).weight[0]) for y in (both, z))
    assert alike > 0.5 * none > 2


def test_a_balance_found_at_measured_values_does_not_hold_at_others():
    rng = np.random.default_rng(5)
    level = rng.integers(30, size=500) / 29
    x = np.stack([level, rng.uniform(size=500)], axis=1)
    z = rng.normal(size=30)[np.round(29 * level).astype(int)][:, None] + x[:, 1:] + 0.1 * rng.normal(size=(500, 1))
    stage = fit_local(x[:400], z[:400], np.ones(400), [(0.0, 1.0)] * 2, [5, 5], [3, 3], 0)
    assert stage.repeating == (0,)
    known, std = x[400:, 1:] + z.mean() - 0.5, np.full((100, 1), z.std())
    stage = stage.balanced(z[400:], np.ones(100), (known, std), stage.many(x[400:]))
    assert float(stage.balance.weight[0]) != 1
    new = np.array([[10.5 / 29, 0.3], [10 / 29, 0.3]])
    value, std = np.zeros((2, 1)), np.ones((2, 1))
    own = stage.many(new)
    one = eqx.tree_at(lambda stage: stage.balance.weight, stage, jnp.ones(1))
    for at, expected in ((0, one.balance), (1, stage.balance)):
        row = slice(at, at + 1)
        mixed = expected.mixed((value[row], std[row]), (own[0][row], own[1][row]))
        np.testing.assert_allclose(stage.mixed(new, value, std)[0][row], mixed[0])
