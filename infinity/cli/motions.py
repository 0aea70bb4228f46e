r"""Equations of motion with known terms, and where their trajectories begin.

Lorenz           x' = 10 (y - x),   y' = x (28 - z) - y,   z' = x y - 8/3 z
Roessler         x' = -y - z,   y' = x + y/5,   z' = 1/5 + z (x - 57/10)
Lotka-Volterra   x' = 3/2 x - x y,   y' = -3 y + x y
damped pendulum  x' = y,   y' = -y/4 - 5 sin x
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Motion:
    """A system.

    **Arguments:**

    - `speed`: `(t, z) -> dz/dt`.
    - `start`, `length`, `step`: of its trajectory.
    - `names`: of the states, one letter each.
    - `terms`: for each state, the terms of the truth by their text, with their coefficients.
    """

    speed: Callable[[float, Any], list]
    start: tuple[float, ...]
    length: float
    step: float
    names: str
    terms: tuple[Mapping[str, float], ...]

    def trajectory(self, start: Any = None) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N S"]]:
        """Times and states without noise, from `start` or from where the system begins."""
        from scipy.integrate import solve_ivp

        t = np.arange(0, self.length + self.step / 2, self.step)
        begin = self.start if start is None else start
        return t, solve_ivp(self.speed, (0, t[-1]), begin, "DOP853", t, rtol=1e-12, atol=1e-12).y.T

    def sample(self, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Times and states with noise of that part of each state's deviation."""
        t, z = self.trajectory()
        return t, z + noise * z.std(axis=0) * rng.normal(size=z.shape)


MOTIONS: dict[str, Motion] = {
    "lorenz": Motion(
        lambda t, z: [10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]], (-8.0, 8.0, 27.0), 10.0, 0.002, "xyz",
        ({"x": -10.0, "y": 10.0}, {"x": 28.0, "y": -1.0, "x*z": -1.0}, {"x*y": 1.0, "z": -8 / 3}),
    ),
    "roessler": Motion(
        lambda t, z: [-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - 5.7)], (3.0, 5.0, 0.1), 50.0, 0.02, "xyz",
        ({"y": -1.0, "z": -1.0}, {"x": 1.0, "y": 0.2}, {"1": 0.2, "z": -5.7, "x*z": 1.0}),
    ),
    "lotka-volterra": Motion(
        lambda t, z: [1.5 * z[0] - z[0] * z[1], -3 * z[1] + z[0] * z[1]], (1.0, 1.0), 20.0, 0.01, "xy",
        ({"x": 1.5, "x*y": -1.0}, {"y": -3.0, "x*y": 1.0}),
    ),
    "damped pendulum": Motion(
        lambda t, z: [z[1], -0.25 * z[1] - 5 * np.sin(z[0])], (np.pi - 0.1, 0.0), 20.0, 0.01, "xy",
        ({"y": 1.0}, {"y": -0.25, "sin(x)": -5.0}),
    ),
}  # fmt: skip
