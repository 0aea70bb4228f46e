r"""Equations of motion that were found: what they say, how sure they are, and what they foretell."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from ..expression import Expression, Formula
from ..tree import evaluate

TOLERANCE = 1e-10


class RightHandSide(eqx.Module):
    """`(t, z, args) -> dz/dt` in JAX, as solvers of differential equations call it; the constants are its leaves, controls come as `args` `(C,)`."""

    parts: tuple[Formula, ...]

    def __call__(self, t: Any, z: Float[Array, " S"], args: Any = None) -> Float[Array, " S"]:
        """The speed at a state `(S,)`."""
        point = z if args is None else jnp.concatenate([z, jnp.atleast_1d(args)])
        return jnp.stack([part(point) for part in self.parts])


class Dynamics(eqx.Module):
    r"""What `inf.discover_dynamics` gives back: `dz_s/dt = f_s(z, u)` for each state.

    **Fields:**

    - `equations`: an `Expression` for each state, with standard errors; `states` and `controls`: the names.
    - `noise`: the standard deviation of the measurements of each state about the trajectory of the equations.
    - `found`: whether the equations follow the measurements as closely as a smooth curve does, also on the ends of the trajectories that no constant had
      seen; `message` says why or why not; `trace`: what was tried.
    - `metrics`: `heldout`, the root mean square error on those ends divided by the deviation, the state at their beginning fitted; `horizon`, for how long an
      integration from there without any fit stays within a tenth of the deviations (the ends' whole length at most).

    Saved and read by `inf.save` and `inf.load`.
    """

    equations: tuple[Expression, ...]
    states: tuple[str, ...]
    controls: tuple[str, ...]
    noise: tuple[float, ...]
    found: bool
    message: str
    metrics: dict[str, float]
    trace: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.message, "", *(str(equation) for equation in self.equations), ""]
        for equation in self.equations:
            values = zip(equation.constants, equation.errors, strict=True)
            shown = ", ".join(f"{value:.6g} ± {error:.1g}" for value, error in values)
            lines.append(f"{equation.target}: {shown or 'no constants'}")
        return "\n".join(lines)

    def __call__(self, points: Any) -> Float[np.ndarray, "*N S"]:
        """The speeds at states, followed by controls where there are some: `(N, S + C)` or `(S + C,)`."""
        return np.stack([equation(points) for equation in self.equations], axis=-1)

    def jax(self) -> RightHandSide:
        """The right-hand side as an Equinox module `(t, z, args) -> (S,)`, which diffrax takes as it is."""
        return RightHandSide(tuple(equation.jax() for equation in self.equations))

    def predict(self, t: Any, initial: Any, controls: Any = None) -> Float[np.ndarray, "N S"]:
        """Integrate the equations from a state.

        **Arguments:** increasing times `(N,)`, the first one that of the `initial` state `(S,)`; `controls` `(N, C)` at those times, joined by cubic splines.

        **Returns:** states `(N, S)`; NaN from where the solution ceases to exist.

        **Raises:** `ValueError` for shapes that do not fit, times that do not increase, and controls that are missing.
        """
        times, state = np.asarray(t, float), np.asarray(initial, float)
        S, C = len(self.states), len(self.controls)
        if times.ndim != 1 or len(times) < 2 or np.min(np.diff(times)) <= 0:
            raise ValueError(f"t has shape {times.shape}; expected at least two times (N,) that increase")
        if state.shape != (S,) or not np.all(np.isfinite(state)):
            raise ValueError(f"initial is {initial!r}; expected finite numbers for {', '.join(self.states)}")
        drive = None
        if C:
            u = np.asarray([] if controls is None else controls, float).reshape(-1, C) if controls is not None else None
            if u is None or len(u) != len(times):
                raise ValueError(
                    f"the equations have the controls {', '.join(self.controls)}; give them at all times, ({len(times)}, {C})"
                )
            drive = CubicSpline(times, u)
        elif controls is not None:
            raise ValueError("the equations have no controls; leave them out")

        def speed(now: float, z: np.ndarray) -> np.ndarray:
            point = z if drive is None else np.concatenate([z, drive(now)])
            return np.array([evaluate(e.tree, point, e.constants) for e in self.equations], float)

        with np.errstate(all="ignore"):
            scale = np.maximum(np.abs(state), 1e-3 * max(float(np.max(np.abs(state))), 1e-300))
            solved = solve_ivp(
                speed, (times[0], times[-1]), state, "DOP853", times, rtol=TOLERANCE, atol=TOLERANCE * scale
            )
        out = np.full((len(times), S), np.nan)
        out[: solved.y.shape[1]] = solved.y.T
        return out
