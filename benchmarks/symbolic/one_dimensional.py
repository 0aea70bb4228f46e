"""Functions of one variable: a name, a function, the range of the measurements. Judged 15 % beyond that range."""

import numpy as np

FUNCTIONS = {
    "cubic": (lambda t: 2 * t**3 - 1.5 * t + 0.7, -2, 2),
    "quartic sparse": (lambda t: 0.3 * t**4 - 2 * t**2 + 1, -2.5, 2.5),
    "nguyen 1": (lambda t: t**3 + t**2 + t, -1, 1),
    "square root": (lambda t: 3.2 * np.sqrt(t) + 1, 0.1, 5),
    "power 1.7": (lambda t: 0.8 * t**1.7, 0.2, 4),
    "power law and offset": (lambda t: 4 * t**-0.6 + 2, 0.3, 5),
    "two powers": (lambda t: 2 * t**1.5 - 3 * t**0.5, 0.2, 4),
    "lennard-jones": (lambda t: 4 * (t**-12 - t**-6), 0.95, 2.5),
    "coulomb and linear": (lambda t: -0.5 / t + 0.9 * t, 0.2, 3),
    "decay": (lambda t: 5 * np.exp(-0.8 * t) + 0.3, 0, 5),
    "growth": (lambda t: 0.2 * np.exp(1.3 * t), 0, 3),
    "two rates": (lambda t: 3 * np.exp(-0.5 * t) - 3 * np.exp(-2.5 * t), 0, 6),
    "gaussian": (lambda t: 1.7 * np.exp(-((t - 0.4) ** 2) / (2 * 0.8**2)), -3, 3),
    "arrhenius": (lambda t: 1e3 * np.exp(-5.2 / t), 0.6, 3),
    "stretched": (lambda t: 2 * np.exp(-((t / 1.4) ** 0.6)), 0.05, 6),
    "logarithm": (lambda t: 2.1 * np.log(t) - 0.4, 0.2, 6),
    "logarithm shifted": (lambda t: 1.3 * np.log(1 + 2.4 * t), 0, 5),
    "entropy": (lambda t: -t * np.log(t), 0.05, 2),
    "sine": (lambda t: 2 * np.sin(3 * t + 0.7), 0, 4),
    "sine with trend": (lambda t: np.sin(2.2 * t) + 0.5 * t, 0, 6),
    "damped": (lambda t: 3 * np.exp(-0.4 * t) * np.cos(4 * t), 0, 5),
    "chirp": (lambda t: np.sin(1.5 * t**2), 0, 3),
    "sinc": (lambda t: np.sin(2 * t) / t, 0.3, 8),
    "nguyen 5": (lambda t: np.sin(t**2) * np.cos(t) - 1, -1.5, 1.5),
    "sine squared": (lambda t: 1.5 * np.sin(1.3 * t) ** 2, 0, 4),
    "michaelis-menten": (lambda t: 3 * t / (0.7 + t), 0.05, 5),
    "hill": (lambda t: 2 * t**3 / (1.5 + t**3), 0.1, 4),
    "logistic": (lambda t: 4 / (1 + np.exp(-2 * (t - 1))), -2, 4),
    "tanh": (lambda t: 1.5 * np.tanh(2 * t - 1) + 0.5, -2, 3),
    "arctangent": (lambda t: 2 * np.arctan(1.7 * t), -4, 4),
    "lorentz": (lambda t: 2 / (1 + ((t - 1) / 0.5) ** 2), -2, 4),
    "planck": (lambda t: t**3 / (np.exp(1.4 * t) - 1), 0.2, 8),
    "lorentz factor": (lambda t: 1 / np.sqrt(1 - (t / 3) ** 2), 0, 2.2),
    "pendulum energy": (lambda t: 2.5 * (1 - np.cos(1.2 * t)), -2, 2),
    "langmuir two": (lambda t: 1.2 * np.sqrt(t) / (1 + 0.8 * np.sqrt(t)), 0.05, 6),
    "rational": (lambda t: (1 + 2 * t) / (1 + 0.5 * t + 0.3 * t**2), 0, 5),
    "debye screened": (lambda t: 2.0 * np.exp(-0.7 * t) / t, 0.3, 5),
    "hyperbola": (lambda t: np.sqrt(1.5 + 0.7 * t**2), -3, 3),
    "catenary": (lambda t: 1.2 * np.cosh(t / 1.2), -2, 2),
    "softened log": (lambda t: np.log(1 + t**2), -3, 3),
}

# Functions that have no short form: no formula of them may be called found.
FORMLESS = {
    "noise of one": 1,
    "noise of three": 3,
    "spline of one": 1,
    "spline of two": 2,
}
BEYOND = 0.15


def sample(name: str, rows: int, noise: float, seed: int, beyond: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `(N, 1)`, uniform in the range or, if `beyond`, also 15 % of it beyond it, and values with noise of that part of their deviation."""
    f, low, high = FUNCTIONS[name]
    rng = np.random.default_rng([seed, list(FUNCTIONS).index(name)])
    reach = BEYOND * (high - low) if beyond else 0.0
    t = rng.uniform(low - reach, high + reach, rows)
    with np.errstate(all="ignore"):
        y = f(t)
    good = np.isfinite(y)
    return t[good, None], y[good] + noise * np.std(y[good]) * rng.normal(size=int(good.sum()))


def formless(name: str, rows: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `(N, D)` in the unit box, and pure chance or a sum of products of cubic splines with random values at ten knots, with noise."""
    from scipy.interpolate import CubicSpline

    D = FORMLESS[name]
    x = np.random.default_rng([seed, 1]).uniform(size=(rows, D))
    rng = np.random.default_rng([7, list(FORMLESS).index(name)])
    if name.startswith("noise"):
        return x, np.random.default_rng([seed, 2]).normal(size=rows)
    knots = np.linspace(0, 1, 10)
    y = sum(np.prod([CubicSpline(knots, rng.normal(size=10))(x[:, d]) for d in range(D)], axis=0) for _ in range(2))
    return x, y + noise * np.std(y) * np.random.default_rng([seed, 2]).normal(size=rows)
