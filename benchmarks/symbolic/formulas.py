"""Formulas of physics textbooks and of the Feynman list: a name, the ranges of its inputs, and the formula.

The split: the names in the order below are permuted by `numpy.random.default_rng(2025)`; the first 30 are for development, the next 30 are reported
and were never tuned on.
"""

import numpy as np

exp, sin, cos, sqrt, log, tanh, arcsin, pi = np.exp, np.sin, np.cos, np.sqrt, np.log, np.tanh, np.arcsin, np.pi
W, N, P = (1.0, 5.0), (1.0, 3.0), (0.5, 2.0)

FORMULAS = {
    "gaussian of three": ([N, N, N], lambda t, m, s: exp(-(((t - m) / s) ** 2) / 2) / (sqrt(2 * pi) * s)),
    "gaussian of two": ([N, N], lambda t, s: exp(-((t / s) ** 2) / 2) / (sqrt(2 * pi) * s)),
    "distance in the plane": ([W, W, W, W], lambda a, b, c, d: sqrt((b - a) ** 2 + (d - c) ** 2)),
    "gravitation in the plane": ([N, N, N, N, (4.0, 6.0), (4.0, 6.0)], lambda m, n, x, y, u, v: 6.674 * m * n / ((u - x) ** 2 + (v - y) ** 2)),
    "relativistic mass": ([W, (1.0, 2.0), (3.0, 10.0)], lambda m, v, c: m / sqrt(1 - v**2 / c**2)),
    "dot product": ([W] * 6, lambda a, b, c, d, e, f: a * b + c * d + e * f),
    "coulomb": ([W] * 4, lambda q, p, e, r: q * p / (4 * pi * e * r**2)),
    "lorentz force": ([W] * 5, lambda q, E, B, v, t: q * (E + B * v * sin(t))),
    "kinetic energy": ([W] * 4, lambda m, u, v, w: m * (u**2 + v**2 + w**2) / 2),
    "potential difference": ([W] * 5, lambda G, m, n, r, s: G * m * n * (1 / s - 1 / r)),
    "spring energy": ([W] * 2, lambda k, x: k * x**2 / 2),
    "lorentz position": ([(5.0, 10.0), (1.0, 2.0), (3.0, 10.0), (1.0, 2.0)], lambda x, u, c, t: (x - u * t) / sqrt(1 - u**2 / c**2)),
    "relativistic momentum": ([W, (1.0, 2.0), (3.0, 10.0)], lambda m, v, c: m * v / sqrt(1 - v**2 / c**2)),
    "velocity addition": ([W] * 3, lambda c, v, u: (u + v) / (1 + u * v / c**2)),
    "centre of mass": ([W] * 4, lambda m, n, r, s: (m * r + n * s) / (m + n)),
    "torque": ([W] * 3, lambda r, F, t: r * F * sin(t)),
    "oscillator energy": ([N] * 4, lambda m, w, v, x: m * (w**2 + v**2) * x**2 / 4),
    "snell": ([(0.1, 0.9), W], lambda n, t: arcsin(n * sin(t))),
    "thin lens": ([W] * 3, lambda d, n, e: 1 / (1 / d + n / e)),
    "law of cosines": ([W] * 4, lambda a, b, s, t: sqrt(a**2 + b**2 - 2 * a * b * cos(s - t))),
    "grating": ([W, W, W], lambda i, t, n: i * sin(n * t / 2) ** 2 / sin(t / 2) ** 2),
    "rayleigh": ([(1.0, 2.0), (2.0, 5.0), (1.0, 5.0)], lambda w, d, n: arcsin(w / (n * d))),
    "larmor": ([W] * 4, lambda q, a, e, c: q**2 * a**2 / (6 * pi * e * c**3)),
    "scattered power": ([(1.0, 2.0)] * 4 + [(1.0, 2.0), (3.0, 5.0)], lambda e, c, E, r, w, v: e * c * E**2 / 2 * (8 * pi * r**2 / 3) * w**4 / (w**2 -
    v**2) ** 2),
    "doppler": ([W, (1.0, 2.0), (3.0, 10.0)], lambda w, v, c: w / (1 - v / c)),
    "relativistic doppler": ([W, (1.0, 2.0), (3.0, 10.0)], lambda w, v, c: w * (1 + v / c) / sqrt(1 - v**2 / c**2)),
    "interference": ([W, W, W], lambda i, j, d: i + j + 2 * sqrt(i * j) * cos(d)),
    "bohr radius": ([W] * 4, lambda e, h, m, q: 4 * pi * e * h**2 / (m * q**2)),
    "adiabatic energy": ([(2.0, 5.0), W, W], lambda g, p, V: p * V / (g - 1)),
    "ideal gas": ([W] * 4, lambda n, k, T, V: n * k * T / V),
    "barometric": ([W, N, N, N, N, N], lambda n, m, g, x, k, T: n * exp(-m * g * x / (k * T))),
    "planck": ([W, W, W, W, W], lambda h, w, k, T, c: h * w**3 / (pi**2 * c**2 * (exp(h * w / (k * T)) - 1))),
    "heat conduction": ([W] * 5, lambda k, T, S, A, d: k * (S - T) * A / d),
    "isothermal work": ([W] * 5, lambda n, k, T, V, U: n * k * T * log(U / V)),
    "speed of sound": ([W] * 3, lambda g, p, r: sqrt(g * p / r)),
    "rest energy moving": ([W, (1.0, 2.0), (3.0, 10.0)], lambda m, v, c: m * c**2 / sqrt(1 - v**2 / c**2)),
    "anharmonic": ([N, N, N, N], lambda x, w, t, a: x * (cos(w * t) + a * cos(w * t) ** 2)),
    "dipole potential": ([N] * 4, lambda e, p, t, r: p * cos(t) / (4 * pi * e * r**2)),
    "dipole field": ([N] * 4, lambda e, p, t, r: 3 * p * cos(t) * sin(t) / (4 * pi * e * r**3)),
    "driven oscillator": ([N, N, N, (3.0, 5.0), (1.0, 2.0)], lambda q, E, m, w, v: q * E / (m * (w**2 - v**2))),
    "polar gas": ([N] * 6, lambda n, p, E, t, k, T: n * (1 + p * E * cos(t) / (k * T))),
    "clausius-mossotti": ([(0.1, 1.0), (0.1, 1.0)], lambda n, a: 1 + n * a / (1 - n * a / 3)),
    "moving charge": ([W, W, W, (1.0, 2.0), (3.0, 10.0)], lambda q, e, r, v, c: q / (4 * pi * e * r * (1 - v / c))),
    "waveguide": ([(4.0, 6.0), (1.0, 2.0), (2.0, 4.0)], lambda w, c, d: sqrt(w**2 / c**2 - pi**2 / d**2)),
    "two-level partition": ([N] * 5, lambda n, m, B, k, T: n / (exp(m * B / (k * T)) + exp(-m * B / (k * T)))),
    "paramagnet": ([W] * 5, lambda n, m, B, k, T: n * m * tanh(m * B / (k * T))),
    "bose": ([W] * 4, lambda h, w, k, T: 1 / (exp(h * w / (k * T)) - 1)),
    "rabi": ([(1.0, 2.0), (1.0, 2.0), (1.0, 4.0)], lambda E, t, h: sin(E * t / h) ** 2),
    "field magnitude": ([W] * 4, lambda m, x, y, z: m * sqrt(x**2 + y**2 + z**2)),
    "diode": ([W, (1.0, 2.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0)], lambda i, q, V, k, T: i * (exp(q * V / (k * T)) - 1)),
    "band energy": ([W] * 3, lambda U, k, d: 2 * U * (1 - cos(k * d))),
    "compton": ([N, N, N, N], lambda l, h, m, t: l + h * (1 - cos(t)) / m),
    "pendulum period": ([N, N], lambda l, g: 2 * pi * sqrt(l / g)),
    "stokes settling": ([N, (2.0, 4.0), (0.5, 1.5), N, N], lambda r, s, f, g, m: 2 / 9 * (s - f) * g * r**2 / m),
    "van der waals": ([N, (2.0, 5.0), (0.1, 0.5), (0.1, 0.5)], lambda T, V, a, b: T / (V - b) - a / V**2),
    "michaelis-menten inhibited": ([N, W, P, W, P], lambda v, s, k, i, q: v * s / (k * (1 + i / q) + s)),
    "antoine": ([(3.0, 5.0), (1.0, 3.0), (1.0, 2.0), W], lambda a, b, c, T: exp(a - b / (c + T))),
    "manning": ([P, P, P], lambda n, R, S: R ** (2 / 3) * sqrt(S) / n),
    "bernoulli head": ([N, N, N, N, N], lambda p, r, g, v, z: p / (r * g) + v**2 / (2 * g) + z),
    "parallel resistors": ([W, W, W], lambda a, b, c: 1 / (1 / a + 1 / b + 1 / c)),
    "damped response": ([N, (0.1, 0.6), N, (0.0, 4.0)], lambda A, g, w, t: A * exp(-g * t) * cos(w * t)),
    "rc charging": ([N, N, N, (0.5, 4.0)], lambda V, R, C, t: V * (1 - exp(-t / (R * C)))),
    "escape velocity": ([N, N, N], lambda G, M, r: sqrt(2 * G * M / r)),
    "fermi function": ([N, N, (0.5, 2.0)], lambda E, m, T: 1 / (exp((E - m) / T) + 1)),
}  # fmt: skip

_ORDER = np.random.default_rng(2025).permutation(len(FORMULAS))
_NAMES = list(FORMULAS)
DEVELOPMENT = [_NAMES[k] for k in _ORDER[:30]]
REPORTED = [_NAMES[k] for k in _ORDER[30:60]]


def sample(name: str, rows: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `(N, D)`, uniform in their ranges, and values with noise of that part of their deviation."""
    ranges, f = FORMULAS[name]
    rng = np.random.default_rng([seed, _NAMES.index(name)])
    x = np.stack([rng.uniform(low, high, rows) for low, high in ranges], axis=1)
    y = f(*x.T)
    return x, y + noise * np.std(y) * rng.normal(size=rows)
