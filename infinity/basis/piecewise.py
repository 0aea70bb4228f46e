r"""Splines as one polynomial a cell, for fast evaluation.

    u(t) = sum_{k=0}^{p} c_{e,k} v^k,    v = 2 (t - x_e) / (x_{e+1} - x_e) - 1    on the cell [x_e, x_{e+1})

by Horner's rule. The variable runs from -1 to 1: powers around the middle of a cell lose fewer digits than powers
from its end, and scaling by its length keeps coefficients of very unequal cells comparable. In float32 the highest
powers of a cell shorter than about 1e-5 underflow: values lose nothing, the highest derivatives there do; the basis
itself keeps them.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from .cells import as_point, checked, locate
from .recursion import nonzero, refuse_negative


class PiecewisePolynomial(eqx.Module):
    r"""One polynomial a cell, each in a variable from -1 to 1 across its cell.

        u(t) = sum_k coefficients[.., e, k] v^k,    v = 2 (t - x_e) / (x_{e+1} - x_e) - 1

    **Arguments:**

    - `breakpoints`: sorted, shape `(elements + 1,)`, interior ones possibly repeated.
    - `coefficients`: shape `(..., elements, degree + 1)`, lowest power first; leading axes are outputs.

    Right-continuous inside, left-continuous at the right end; outside the domain the end polynomials continue.

    **Raises:** `ValueError` for bad breakpoints or shapes that do not match.

    >>> import jax.numpy as jnp
    >>> from infinity.basis import PiecewisePolynomial
    >>> u = PiecewisePolynomial(jnp.array([0.0, 2.0, 4.0]), jnp.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> float(u(0.5)), float(u(4.0)), float(u.derivative()(3.0))
    (-0.5, 3.0, 1.0)
    >>> float(u.antiderivative()(4.0))
    4.0
    """

    breakpoints: Float[Array, " points"]
    coefficients: Float[Array, "*outputs elements powers"]

    def __init__(
        self,
        breakpoints: Real[ArrayLike, "..."] | list | tuple,
        coefficients: Real[ArrayLike, "*outputs elements powers"],
    ):
        self.breakpoints = checked(breakpoints, multiplicity=np.size(breakpoints))
        self.coefficients = jnp.asarray(coefficients).astype(jnp.result_type(coefficients, 1.0))
        cells, powers = self.coefficients.shape[-2:]
        if cells != self.breakpoints.shape[0] - 1 or powers < 1:
            raise ValueError(
                f"coefficients have shape {self.coefficients.shape} for {self.breakpoints.shape[0]} breakpoints; "
                f"expected (..., {self.breakpoints.shape[0] - 1}, degree + 1). Give one row of powers for each cell."
            )

    @property
    def degree(self) -> int:
        """The polynomial degree."""
        return self.coefficients.shape[-1] - 1

    def __call__(self, t: Real[ArrayLike, ""]) -> Float[Array, "..."]:
        """Evaluate at a point `t`, shape `()`; **returns** the shape of the outputs."""
        point = as_point(t, self.breakpoints)
        cell = locate(self.breakpoints, point)
        half = self._halves()[cell]
        v = (point - self.breakpoints[cell]) / half - 1
        powers = self.coefficients[..., cell, :]
        value = powers[..., -1]
        for k in range(self.degree - 1, -1, -1):
            value = value * v + powers[..., k]
        return value

    def derivative(self, order: int = 1) -> "PiecewisePolynomial":
        """Differentiate cell by cell.

        **Arguments:** the static `order`, at least 0.

        **Returns:** a piecewise polynomial of degree `max(degree - order, 0)`.

        **Raises:** `ValueError` for a negative order.
        """
        refuse_negative(order)
        coefficients = self.coefficients
        if order > self.degree:
            return PiecewisePolynomial(self.breakpoints, jnp.zeros_like(coefficients[..., :1]))
        for _ in range(order):
            powers = jnp.arange(1, coefficients.shape[-1], dtype=coefficients.dtype)
            coefficients = coefficients[..., 1:] * powers / self._halves()[:, None]
        return PiecewisePolynomial(self.breakpoints, coefficients)

    def antiderivative(self) -> "PiecewisePolynomial":
        """Integrate from the left end: continuous, zero there, one degree higher."""
        powers = jnp.arange(1, self.degree + 2, dtype=self.coefficients.dtype)
        rising = self.coefficients * jnp.diff(self.breakpoints)[:, None] / 2 / powers
        signs = (-1.0) ** powers
        at_left, at_right = jnp.sum(rising * signs, -1), jnp.sum(rising, -1)
        steps = at_right - at_left
        start = jnp.cumsum(steps, -1) - steps - at_left
        return PiecewisePolynomial(self.breakpoints, jnp.concatenate([start[..., None], rising], -1))

    def _halves(self) -> Float[Array, " elements"]:
        """Halve the length of each cell, one for a cell of length zero, where no point ever falls."""
        return nonzero(jnp.diff(self.breakpoints) / 2)
