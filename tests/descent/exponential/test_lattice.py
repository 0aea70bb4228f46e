"""Poles of noisy grids."""

import numpy as np

from benchmarks.aion.problems import factors, with_noise
from infinity.descent.exponential.lattice import axis_poles
from infinity.descent.exponential.product import values


def test_the_window_that_leaves_least_shows_poles_that_another_misses():
    """Six atoms an axis, a Rayleigh cell apart, at 20 dB: with half of the samples as a window some are not seen."""
    generator = np.random.default_rng(1)
    axis = np.arange(32) / 31 - 0.5
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)

    def problem():
        drawn = factors(generator, 2, 3, 2, 1.0, 0.8 * np.pi * 31)
        return drawn, with_noise(generator, np.asarray(values(drawn, x)), 20.0)[0]

    drawn, y = [problem() for _ in range(10)][-1]
    for d in range(2):
        _, omega = axis_poles(y.reshape(32, 32), d, 1 / 31, 6, exact=False)
        np.testing.assert_allclose(np.sort(omega), np.sort(drawn.omega[:, d].ravel()), atol=np.pi)
