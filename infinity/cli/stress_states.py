r"""States of stress on yield surfaces, random ones.

    von Mises        J2 = 250^2 / 3                                              six components
    Drucker-Prager   q + I1 / 5 = 100,   q the root of J2                        six
    Hill             F (y-z)^2 + G (z-x)^2 + H (x-y)^2 + 2 (L yz^2 + M xz^2 + N xy^2) = 1      six
    Matsuoka-Nakai   I1 I2 / I3 = 12                                             three principal stresses

What solves for one quantity has to be told for which; each surface says so for itself (`told`).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

HILL = {"F": 0.6, "G": 0.5, "H": 0.4, "L": 1.2, "M": 1.4, "N": 1.7}
COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
PRINCIPAL = ("s1", "s2", "s3")
# The yield stress of von Mises, the cohesion and the slope of Drucker and Prager's, the constant of Matsuoka and Nakai's.
STRENGTH, COHESION, FRICTION, CONE = 250.0, 100.0, 0.2, 12.0


def deviatoric(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 6"]:
    """Stresses with zero trace and J2 = 1."""
    s = rng.normal(size=(n, 6))
    s[:, :3] -= s[:, :3].mean(axis=1, keepdims=True)
    return s / root_of_j2(s)[:, None]


def deviator(s: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
    """What is left of stresses without their mean."""
    out = np.array(s, float)
    out[:, :3] -= out[:, :3].mean(axis=1, keepdims=True)
    return out


def root_of_j2(s: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " n"]:
    """The size of the deviator."""
    d = deviator(s)
    return np.sqrt(0.5 * np.sum(d[:, :3] ** 2, axis=1) + np.sum(d[:, 3:] ** 2, axis=1))


def von_mises(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 6"]:
    """Points with a constant size of the deviator and any mean stress."""
    s = deviatoric(n, rng) * STRENGTH / np.sqrt(3)
    s[:, :3] += rng.uniform(-300, 300, (n, 1))
    return s


def drucker_prager(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 6"]:
    """Points whose deviator shrinks with the mean stress."""
    first = rng.uniform(-900, 300, n)
    s = deviatoric(n, rng) * (COHESION - FRICTION * first)[:, None]
    s[:, :3] += first[:, None] / 3
    return s


def hill_of(s: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, " n"]:
    """Hill's quadratic form."""
    x, y, z, yz, xz, xy = s.T
    h = HILL
    shear = 2 * (h["L"] * yz**2 + h["M"] * xz**2 + h["N"] * xy**2)
    return h["F"] * (y - z) ** 2 + h["G"] * (z - x) ** 2 + h["H"] * (x - y) ** 2 + shear


def hill(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 6"]:
    """Points at which Hill's form is one."""
    s = rng.normal(size=(n, 6))
    s /= np.sqrt(hill_of(s))[:, None]
    s[:, :3] += rng.uniform(-1, 1, (n, 1))
    return s


def matsuoka_nakai(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Principal stresses with `I1 I2 / I3 = 12`, by bisection along rays from the hydrostatic axis."""
    p, angle = rng.uniform(1, 3, n), rng.uniform(0, 2 * np.pi, n)
    way = np.cos(angle)[:, None] * np.array([1, -1, 0]) / np.sqrt(2)
    way = way + np.sin(angle)[:, None] * np.array([1, 1, -2]) / np.sqrt(6)
    low, high = np.zeros(n), p / np.max(-way, axis=1)
    for _ in range(80):
        middle = 0.5 * (low + high)
        s = p[:, None] + middle[:, None] * way
        second = s[:, 0] * s[:, 1] + s[:, 1] * s[:, 2] + s[:, 0] * s[:, 2]
        inside = s.sum(axis=1) * second < CONE * s.prod(axis=1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return p[:, None] + low[:, None] * way


@dataclasses.dataclass(frozen=True)
class Told:
    """What a search for a function has to be told about a surface: `target` as a function of `inputs`, each of points `(n, D)`."""

    target: str
    names: tuple[str, ...]
    values: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class YieldSurface:
    """A surface: points on it, their columns, its equation as text, and what a search for a function is told."""

    points: Callable[[int, np.random.Generator], np.ndarray]
    names: tuple[str, ...]
    law: str
    told: Told

    def sample(self, n: int, noise: float, rng: np.random.Generator) -> Float[np.ndarray, "n D"]:
        """Points with noise of that part of each coordinate's deviation, in every coordinate."""
        x = self.points(n, rng)
        return x + noise * x.std(axis=0) * rng.normal(size=x.shape)


def _size(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return s[:, :3].sum(axis=1)[:, None], root_of_j2(s)


def _direction(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = root_of_j2(s)
    return (deviator(s) / size[:, None])[:, [0, 1, 3, 4, 5]], 1 / size**2


def _third(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    second = s[:, 0] * s[:, 1] + s[:, 1] * s[:, 2] + s[:, 0] * s[:, 2]
    return np.stack([s.sum(axis=1), second], axis=1), s.prod(axis=1)


YIELD_SURFACES: dict[str, YieldSurface] = {
    "von mises": YieldSurface(von_mises, COMPONENTS, "J2 = 250^2/3", Told("q", ("I1",), _size)),
    "drucker-prager": YieldSurface(drucker_prager, COMPONENTS, "q + I1/5 = 100", Told("q", ("I1",), _size)),
    "hill": YieldSurface(
        hill, COMPONENTS, "0.6 (yy - zz)^2 + 0.5 (zz - xx)^2 + 0.4 (xx - yy)^2 + 2.4 yz^2 + 2.8 xz^2 + 3.4 xy^2 = 1",
        Told("1/J2", ("nxx", "nyy", "nyz", "nxz", "nxy"), _direction),
    ),
    "matsuoka-nakai": YieldSurface(matsuoka_nakai, PRINCIPAL, "I1*I2/I3 = 12", Told("I3", ("I1", "I2"), _third)),
}  # fmt: skip
