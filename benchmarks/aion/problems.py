"""Random sums and products of atoms, as the benchmarks of AION draw them.

    y = sum_j prod_d sum_p A e^{alpha x_d} cos(omega x_d + phi),    A in [0.5, 2], alpha in [-3, 1], phi in [-pi, pi]

on the unit interval of each dimension; frequencies of a dimension differ by at least a given number of Rayleigh cells, `2 pi` over the length.
"""

import numpy as np

from infinity.descent.exponential.product import Factors, values


def frequencies(generator: np.random.Generator, count: int, cells: float, highest: float) -> np.ndarray:
    """Frequencies from one turn up to the highest, `cells` Rayleigh cells apart or more, drawn until they are."""
    while True:
        drawn = generator.uniform(2 * np.pi, highest, count)
        if count == 1 or np.min(np.diff(np.sort(drawn))) >= cells * 2 * np.pi:
            return drawn


def factors(
    generator: np.random.Generator, dimensions: int, modes: int, terms: int, cells: float, highest: float
) -> Factors:
    """Random factors of a sum of products."""
    shape = (modes, dimensions, terms)
    omega = np.stack(
        [frequencies(generator, modes * terms, cells, highest).reshape(modes, terms) for _ in range(dimensions)], 1
    )
    alpha, amplitude = generator.uniform(-3, 1, shape), generator.uniform(0.5, 2, shape)
    phase = generator.uniform(-np.pi, np.pi, shape)
    pairs = np.stack([amplitude * np.cos(phase), -amplitude * np.sin(phase)], axis=-1)
    return Factors(pairs, alpha, omega)


def signal(
    generator: np.random.Generator, terms: int, cells: float, samples: int, uniform: bool, highest: float = 0.8
) -> tuple[np.ndarray, np.ndarray, Factors]:
    """Times, exact values and parameters of a signal; `highest` in units of half a turn an average sample."""
    t = np.arange(samples) / samples if uniform else np.sort(generator.uniform(0, 1, samples))
    drawn = factors(generator, 1, 1, terms, cells, highest * np.pi * samples)
    return t, np.asarray(values(drawn, t[:, None])), drawn


def with_noise(generator: np.random.Generator, y: np.ndarray, decibels: float) -> tuple[np.ndarray, float]:
    """The values with white noise, and its standard deviation; the ratio is that of mean squares."""
    sigma = float(np.sqrt(np.mean(y**2) * 10 ** (-decibels / 10)))
    return y + sigma * generator.standard_normal(y.shape), sigma
