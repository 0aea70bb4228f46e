"""The likelihood of a Gaussian process and the search for its maximum."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from infinity.fitting.marginal_likelihood import (
    MarginalLikelihood,
    correlation,
    correlations,
    kernel_of,
    tiled,
    unpacked,
)
from infinity.fitting.scoring import Scored, likeliest

SMOOTHNESS = [(0.4, 1.5), (1.3, 2.6)]


@pytest.fixture(params=[40, 300])  # in one block of pairs and one tile of points, and in several
def measured(request):
    rng, rows = np.random.default_rng(3), request.param
    points = rng.uniform(size=(rows, 2))
    values = np.column_stack([np.sin(5 * points[:, 0]), points[:, 0] * points[:, 1]]) + 0.1 * rng.normal(size=(rows, 2))
    return points, values, rng.uniform(0.5, 2.0, rows)


def parameters(smoothness):
    return np.array([-0.3, 0.2, *smoothness, 0.2, -2.0])


def covariance(p, points, weights):
    lengths, smoothness, variance, noise = unpacked(p)
    t = np.abs(points[:, None] - points[None]) / lengths
    k = 1.0 + variance * np.asarray(correlation(jnp.asarray(np.moveaxis(t, -1, 0)), jnp.asarray(smoothness)))
    return k + np.diag(noise / weights)


@pytest.mark.parametrize(("rows", "others"), [(1, 130), (300, 128)])
def test_correlations_are_the_same_in_tiles(rows, others):
    rng = np.random.default_rng(5)
    x, points, lengths, smoothness = (rng.uniform(0.1, 1, size) for size in ((rows, 3), (others, 3), 3, 3))
    t = np.moveaxis(np.abs(x[:, None] - points) / lengths, -1, 0)
    expected = correlation(jnp.asarray(t), jnp.asarray(smoothness))
    kernel = kernel_of(lengths, smoothness)
    found = correlations(kernel, x, tiled(points, kernel.dtype))
    np.testing.assert_allclose(found[:, :others], expected, rtol=1e-12)


def differences(function, p, h=1e-5):
    return np.array([(function(p + h * e) - function(p - h * e)) / (2 * h) for e in np.eye(len(p))])


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_value_is_that_of_the_covariance(measured, smoothness):
    points, values, weights = measured
    K = covariance(parameters(smoothness), points, weights)
    expected = 0.5 * np.sum(values * np.linalg.solve(K, values)) + np.linalg.slogdet(K)[1]
    assert MarginalLikelihood(*measured)(parameters(smoothness)).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_slope_is_that_of_differences(measured, smoothness):
    likelihood, p = MarginalLikelihood(*measured), parameters(smoothness)
    np.testing.assert_allclose(likelihood(p).slope(), differences(lambda p: likelihood(p).value, p), rtol=1e-6)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_information_is_the_average_of_observed_and_expected(measured, smoothness):
    points, values, weights = measured
    p = parameters(smoothness)
    moved = differences(lambda p: covariance(p, points, weights), p)
    inverse = np.linalg.inv(covariance(p, points, weights))
    a = inverse @ values
    expected = [[0.5 * np.sum((A @ a) * (inverse @ B @ a)) for B in moved] for A in moved]
    np.testing.assert_allclose(MarginalLikelihood(*measured)(p).information(), expected, rtol=1e-6)


def test_scoring_finds_what_a_quasi_newton_search_finds(measured):
    likelihood, bounds = (
        MarginalLikelihood(*measured),
        np.array([[-3.0, 3.0]] * 2 + [[0.0, 2.0]] * 2 + [[-6.0, 6.0]] * 2),
    )
    calls = []

    def goal(p):
        calls.append(p)
        return likelihood(p)

    value, p = likeliest(goal, parameters((0.5, 0.5)), bounds, 40)
    count = len(calls)
    other = scipy.optimize.minimize(
        lambda p: ((here := goal(p)).value, here.slope()),
        parameters((0.5, 0.5)),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
    )
    assert np.all((bounds[:, 0] <= p) & (p <= bounds[:, 1]))
    assert value <= other.fun + 0.1
    assert count < len(calls) - count


def test_scoring_stays_where_the_goal_has_no_value():
    nowhere = lambda p: Scored(np.inf, lambda: np.zeros(1), lambda: np.zeros((1, 1)))
    assert likeliest(nowhere, np.array([0.3]), np.array([[0.0, 1.0]]), 5)[1] == 0.3


def test_scoring_stops_at_a_wall():
    goal = lambda p: Scored(float(np.sum(p**2)) if p[0] > 1 else np.inf, lambda: 2 * p, lambda: 2 * np.eye(1))
    value, p = likeliest(goal, np.array([4.0]), np.array([[-9.0, 9.0]]), 60)
    assert 1 < p[0] < 4
    assert value == p[0] ** 2
