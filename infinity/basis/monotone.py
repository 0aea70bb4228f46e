r"""Monotone maps of an interval onto itself: the inner layers of a hierarchy.

    s(t) = lo + (hi - lo) sum_j c_j B_j(t),    c_0 = 0,  c_j = c_{j-1} + softmax(z)_j,  c_last = 1

A spline whose coefficients rise is itself rising (variation diminution, Schoenberg 1967), so the map is invertible whatever the logits `z`. With the
increments of the Greville abscissae it is the identity.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .bspline import BSpline
from .cells import known


class CoordinateMap(eqx.Module):
    r"""A rising spline from an interval onto itself, trainable or held.

    **Arguments:**

    - `breakpoints`: of the spline, rising.
    - `degree`: of the spline, at least 1.
    - `increments`: of its coefficients, positive, one fewer than it has functions; the identity if not given.
    - `trainable`: whether the logits of the increments are a leaf.

    **Raises:** `ValueError` for a degree below 1, or increments that are not positive or of the wrong number.

    >>> import jax.numpy as jnp
    >>> from infinity.basis import CoordinateMap
    >>> s = CoordinateMap([0.0, 0.5, 2.0], degree=2)
    >>> round(float(s(jnp.asarray(1.3))), 5)
    1.3
    """

    logits: Float[Array, " n"] | None
    breakpoints: tuple[float, ...] = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    held: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self,
        breakpoints: Sequence[float | int] | np.ndarray,
        degree: int = 2,
        increments: Sequence[float | int] | np.ndarray | None = None,
        *,
        trainable: bool = False,
    ):
        if degree < 1:
            raise ValueError(f"CoordinateMap got degree {degree}; expected at least 1. A step is not invertible.")
        points = np.asarray(breakpoints, np.float64)
        if increments is None:
            increments = np.diff(_greville(points, degree))
        steps = np.asarray(increments, np.float64)
        count = len(points) + degree - 2
        if steps.shape != (count,) or not np.all(np.isfinite(steps) & (steps > 0)):
            raise ValueError(f"CoordinateMap got increments {steps}; expected {count} positive numbers.")
        self.breakpoints = tuple(points.tolist())
        self.degree = int(degree)
        self.held = tuple((steps / steps.sum()).tolist())
        self.logits = jnp.log(jnp.asarray(self.held)) if trainable else None

    def increments(self, dtype=None) -> Float[Array, " n"]:
        """The increments of the coefficients; they sum to one."""
        if self.logits is None:
            # Known inside jit too, for the cells behind the map.
            with jax.ensure_compile_time_eval():
                return jnp.asarray(self.held, dtype)
        return jax.nn.softmax(self.logits)

    def spline(self, dtype=None) -> tuple[BSpline, Float[Array, " functions"]]:
        """The spline and its coefficients, in the units of the coordinate."""
        steps = self.increments(dtype)
        lo, hi = self.breakpoints[0], self.breakpoints[-1]
        shares = jnp.cumsum(steps)[:-1]
        ends = jnp.asarray([lo, hi], steps.dtype)
        return (
            BSpline(breakpoints=jnp.asarray(self.breakpoints, steps.dtype), degree=self.degree),
            jnp.concatenate([ends[:1], lo + (hi - lo) * shares, ends[1:]]),
        )

    def __call__(self, t: Float[Array, ""]) -> Float[Array, ""]:
        """The image of a point `t`, shape `()`; **returns** shape `()`."""
        basis, coefficients = self.spline(t.dtype)
        first, values = basis.local(t)
        lives = jax.lax.dynamic_slice_in_dim(coefficients, first, basis.width)
        return jnp.matmul(lives, values, precision="highest")

    def frozen(self) -> "CoordinateMap":
        """The same map with its increments held."""
        return CoordinateMap(self.breakpoints, self.degree, np.asarray(self.increments(), np.float64))

    def trained(self) -> "CoordinateMap":
        """The same map with logits as a leaf."""
        return CoordinateMap(self.breakpoints, self.degree, np.asarray(self.increments(), np.float64), trainable=True)

    def values(self, t: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Images of many points on the host, in float64.

        **Raises:** `ValueError` while the increments are traced.
        """
        from scipy.interpolate import BSpline as HostSpline  # late: not every model has inner layers

        steps = known(self.increments())
        if steps is None:
            raise ValueError("the increments of the map are traced; call this outside jit, vmap and grad.")
        points, lo, hi = np.asarray(self.breakpoints), self.breakpoints[0], self.breakpoints[-1]
        coefficients = lo + (hi - lo) * np.concatenate([[0.0], np.cumsum(steps / steps.sum())])
        coefficients[-1] = hi
        knots = np.pad(points, self.degree, mode="edge")
        return np.clip(HostSpline(knots, coefficients, self.degree)(np.clip(t, lo, hi)), lo, hi)


def _greville(points: Float[np.ndarray, " points"], degree: int) -> Float[np.ndarray, " functions"]:
    knots = np.pad(points, degree, mode="edge")
    return np.stack([knots[i + 1 : i + degree + 1].mean() for i in range(len(points) + degree - 1)])
