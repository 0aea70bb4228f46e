"""Measurements at places that were measured before."""

import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.twins import Repeats, Twins, find_twins, repeats_of


def test_pure_error_is_that_of_repeats_alone():
    rng = np.random.default_rng(0)
    places = rng.uniform(size=(4000, 2))
    x = np.repeat(places, 2, axis=0)
    y = np.repeat(rng.normal(size=(4000, 1)), 2, axis=0) + 0.3 * rng.normal(size=(8000, 1))
    variance, freedom = repeats_of(x, y)
    assert freedom == 4000
    assert variance[0] == pytest.approx(0.09, rel=0.1)
    assert repeats_of(places, places[:, :1]) == Repeats(np.zeros(1), 0)


def test_the_correction_is_the_conditional_mean_of_a_common_effect():
    # Two measurements at one place share an effect of variance total - pure; the mean given both is the textbook one.
    pure, total = 0.1, 0.5
    twins = Twins(*(jnp.asarray(a) for a in (np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0), [pure], [total])))
    x = np.array([[0.25], [0.25], [0.75]])
    twins = twins.given(x, np.array([[2.0], [3.0], [1.0]]), np.ones(3))
    value, std = twins.corrected(np.array([[0.25], [0.75], [0.5]]), np.array([[1.0], [1.0], [1.0]]), np.ones((3, 1)))
    joint = (total - pure) * np.ones((2, 2)) + pure * np.eye(2)
    gain = (total - pure) * np.ones(2) @ np.linalg.inv(joint)
    assert value[0, 0] == pytest.approx(1.0 + gain @ np.array([1.0, 2.0]))
    assert value[1:, 0].tolist() == [1.0, 1.0]
    assert std[0, 0] < 1
    assert std[2, 0] == 1


def test_copies_that_agree_are_found_and_others_are_not():
    rng = np.random.default_rng(1)
    x, z = rng.uniform(size=(50, 2)), rng.normal(size=(50, 1))
    total = np.array([0.5])
    assert find_twins(x, z, np.ones(50), Repeats(np.array([0.01]), 30), total) is not None
    assert find_twins(x, z, np.ones(50), Repeats(np.array([0.01]), 9), total) is None
    assert find_twins(x, z, np.ones(50), Repeats(np.array([0.45]), 30), total) is None


@pytest.mark.slow
def test_a_table_with_twins_predicts_measured_places_better_and_says_so():
    rng = np.random.default_rng(2)
    places = rng.uniform(size=(160, 3))
    effect = 0.7 * rng.normal(size=160)  # what no smooth law explains, but repeats show
    x = np.concatenate([places, places])
    y = np.sin(4 * x[:, 0]) + np.concatenate([effect, effect]) + 0.02 * rng.normal(size=320)
    result = inf.fit(x[:260], y[:260], outside="clamp")
    assert result.options["twins"]
    error = lambda values, rows: float(np.sqrt(np.mean((np.asarray(values) - y[rows]) ** 2)))
    again = np.arange(260, 320)
    assert error(result.predict(x[again]), again) < 0.2 * error(result.model.predict(x[again]), again)
