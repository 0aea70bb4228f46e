"""Paths begin at the start, their losses are those of their points, and the descents descend."""

import jax.numpy as jnp
import numpy as np
import pytest

from infinity.descent.paths import infinite_descent_path, newton_cg_path, steepest_descent_path

T = np.linspace(0.0, 4.0, 40)
TRUE = np.array([1.5, -0.3, 3.0, 0.5])
START = np.array([1.0, -1.0, 2.4, -0.5])


def atom(theta):
    return theta[0] * jnp.exp(theta[1] * T) * jnp.cos(theta[2] * T + theta[3])


def residual(theta):
    return (atom(theta) - atom(TRUE)) / np.sqrt(len(T))


@pytest.mark.parametrize("follow", [infinite_descent_path, steepest_descent_path, newton_cg_path])
def test_every_path_leads_from_the_start_to_the_minimum(follow):
    path = follow(residual, jnp.asarray(START))
    np.testing.assert_array_equal(path.points[0], START)
    np.testing.assert_allclose(path.end, TRUE, rtol=1e-4)
    losses = [0.5 * float(jnp.sum(residual(jnp.asarray(point)) ** 2)) for point in path.points]
    np.testing.assert_allclose(path.losses, losses, rtol=1e-6, atol=1e-20)
    assert np.all(np.diff(path.losses) < 1e-20)
    assert path.converged


def test_infinite_descent_is_one_step_and_its_inner_points_are_best_in_the_affine_parameter():
    path = infinite_descent_path(residual, jnp.asarray(START))
    assert path.steps == 1
    assert path.inner > 0
    np.testing.assert_array_equal(
        path.points[1, 1:], START[1:]
    )  # the amplitude alone is solved for before the first inner step
    for point in path.points[1:]:
        wave = np.asarray(atom(jnp.asarray([1.0, *point[1:]])))
        np.testing.assert_allclose(point[0], wave @ np.asarray(atom(TRUE)) / (wave @ wave), rtol=1e-9)


def test_a_steepest_descent_that_is_cut_short_says_so():
    path = steepest_descent_path(residual, jnp.asarray(START), max_iterations=3)
    assert (path.steps, path.converged, len(path.points)) == (3, False, 4)
