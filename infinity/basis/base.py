r"""What every one-dimensional family has in common: a few functions at each point, and integrals cell by cell.

    u(t) = sum_i c_i B_i(t),    int w B_i^(l) B_j^(r) dt = sum over cells and Gauss points

A family says which functions live on a cell and what their derivatives are there (`within`); all else is written
once, here.
"""

import abc
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from .cells import as_point, locate
from .piecewise import PiecewisePolynomial
from .quadrature import cell_rule
from .recursion import nonzero, refuse_negative

Scalar: TypeAlias = Real[ArrayLike, ""]
Function: TypeAlias = Callable[[Float[Array, ""]], Float[Array, "*outputs"]]


class AbstractBasis(eqx.Module):
    r"""A one-dimensional family of functions `B_0 .. B_{size-1}` on the cells between sorted breakpoints.

    **Fields:**

    - `breakpoints`: ends of the cells, shape `(elements + 1,)`; an array leaf, so it may be traced and differentiated.
    - `degree`: the polynomial degree that quadrature has to reach, static.

    A family is a final subclass that adds the properties `size`, `width` and `continuity` and the methods `within` and `powers`.

    >>> from infinity.basis import AbstractBasis, BSpline
    >>> isinstance(BSpline(), AbstractBasis)
    True
    """

    breakpoints: eqx.AbstractVar[Float[Array, " points"]]
    degree: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of functions."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Number of functions that live on a cell."""

    @property
    @abc.abstractmethod
    def continuity(self) -> int:
        """How many derivatives are continuous across all cells; -1 where the functions jump."""

    @abc.abstractmethod
    def powers(self) -> Float[Array, "elements powers width"]:
        """Expand the functions that live on each cell in powers of a variable from -1 to 1 across it."""

    @abc.abstractmethod
    def within(self, cell: Int[Array, ""], offset: Float[Array, ""], order: int) -> tuple[Int[Array, ""], Array]:
        """Evaluate the functions that live on one cell.

        **Arguments:** the index of the `cell`, the `offset` of the point from that cell's left end, the static
        `order` of the derivative.

        **Returns:** the index of the first function, shape `()`, and the derivatives of it and its followers, shape
        `(width,)`.
        """

    @property
    def domain(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The two ends of the domain."""
        return self.breakpoints[0], self.breakpoints[-1]

    @property
    def elements(self) -> int:
        """Number of cells, those of length zero included."""
        return self.breakpoints.shape[-1] - 1

    def locate(self, t: Scalar) -> Int[Array, ""]:
        """Find the cell that holds `t`: the right one of two at a breakpoint, the last one at the right end."""
        return locate(self.breakpoints, as_point(t, self.breakpoints))

    def local(self, t: Scalar, order: int = 0) -> tuple[Int[Array, ""], Float[Array, " width"]]:
        """Evaluate the functions that live at `t`, without the zeros.

        **Arguments:** a point `t`, shape `()`; the static `order` of the derivative.

        **Returns:** the index of the first function, int32, shape `()`, and the values of it and its followers, shape
        `(width,)`.

        **Raises:** `ValueError` for a negative order.
        """
        refuse_negative(order)
        point = as_point(t, self.breakpoints)
        cell = locate(self.breakpoints, point)
        return self.within(cell, point - self.breakpoints[cell], order)

    def __call__(self, t: Scalar) -> Float[Array, "{self.size}"]:
        """Evaluate all functions at a point `t`, shape `()`; **returns** shape `(size,)`."""
        return self.derivative(t, 0)

    def derivative(self, t: Scalar, order: int = 1) -> Float[Array, "{self.size}"]:
        """Evaluate derivatives of all functions, one-sided where they jump: right inside, left at the right end.

        **Arguments:** a point `t`, shape `()`; the static `order`.

        **Returns:** shape `(size,)`.

        **Raises:** `ValueError` for a negative order.
        """
        first, values = self.local(t, order)
        return jax.lax.dynamic_update_slice(jnp.zeros((self.size,), values.dtype), values, (first,))

    @eqx.filter_jit  # called eagerly, one compilation instead of many
    def collocation(self, t: Float[Array, " N"], order: int = 0) -> Float[Array, "N {self.size}"]:
        """Evaluate all functions, or their derivatives of a static `order`, at many points `(N,)`; **returns** shape `(N, size)`."""
        return jax.vmap(lambda point: self.derivative(point, order))(t)

    def piecewise(self, coefficients: Float[Array, "*outputs size"]) -> PiecewisePolynomial:
        r"""Write `sum_i c_i B_i` as one polynomial a cell.

            c_{e,k} = sum_i c_i P_{e,k,i},    B_i(t) = sum_k P_{e,k,i} v^k    on the cell e

        **Arguments:** `coefficients` of shape `(..., size)`.

        **Returns:** a `PiecewisePolynomial`, equal to the sum to rounding.

        **Raises:** `ValueError` if the last axis is not `size`.
        """
        if coefficients.shape[-1] != self.size:
            raise ValueError(
                f"coefficients have shape {coefficients.shape}; expected (..., {self.size}). "
                "Their last axis counts the functions."
            )
        return PiecewisePolynomial(self.breakpoints, self._cell_powers(coefficients))

    @eqx.filter_jit  # called eagerly, one compilation instead of many
    def _cell_powers(self, coefficients: Float[Array, "*outputs size"]) -> Float[Array, "*outputs elements powers"]:
        start = jnp.zeros((), self.breakpoints.dtype)
        first = jax.vmap(lambda cell: self.within(cell, start, 0)[0])(jnp.arange(self.elements, dtype=jnp.int32))
        local = coefficients[..., first[:, None] + np.arange(self.width)]
        return jnp.einsum("eki,...ei->...ek", self.powers(), local, precision="highest")

    def quadrature(self, points: int | None = None) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
        """Give Gauss-Legendre points and weights of all cells.

        **Arguments:** `points` a cell; `degree + 1` if not given, which is exact for products of two functions of a
        spline.

        **Returns:** points and weights, each of shape `(elements * points,)`.
        """
        offsets, weights = cell_rule(self.breakpoints, self.degree + 1 if points is None else points)
        return (self.breakpoints[:-1, None] + offsets).ravel(), weights.ravel()

    def gram(
        self, left: int = 0, right: int = 0, weight: Function | None = None, points: int | None = None
    ) -> Float[Array, "{self.size} {self.size}"]:
        r"""Integrate products of two functions: `int w B_i^(left) B_j^(right) dt` over the domain.

        **Arguments:**

        - `left`, `right`: static orders of the derivatives of the row's and the column's function.
        - `weight`: `t -> w(t)`, scalar to scalar, or nothing for 1.
        - `points`: Gauss points a cell; by default `degree + 1`, exact without a weight, and `degree + 3` with one.

        **Returns:** shape `(size, size)`.
        """
        chosen = self.degree + (1 if weight is None else 3) if points is None else points
        rows, left_values, weights = self.sampled(left, chosen)
        columns, right_values, _ = self.sampled(right, chosen)
        if weight is not None:
            weights = weights * jax.vmap(weight)(self.quadrature(chosen)[0])
        # The product first: it commutes, so equal orders give a matrix that is symmetric to the last bit.
        blocks = weights[:, None, None] * (left_values[:, :, None] * right_values[:, None, :])
        total = jnp.zeros((self.size, self.size), blocks.dtype)
        return total.at[rows[:, :, None], columns[:, None, :]].add(blocks)

    def mass(self) -> Float[Array, "{self.size} {self.size}"]:
        """Integrate `int B_i B_j dt`, shape `(size, size)`."""
        return self.gram(0, 0)

    def stiffness(self) -> Float[Array, "{self.size} {self.size}"]:
        """Integrate `int B_i' B_j' dt`, the derivatives cell by cell, shape `(size, size)`."""
        return self.gram(1, 1)

    def load(self, f: Function, points: int | None = None) -> Float[Array, "{self.size} *outputs"]:
        """Integrate `int f B_i dt`.

        **Arguments:** `f` from a point, shape `()`, to values of any shape; `points` Gauss points a cell, by default
        `degree + 3`.

        **Returns:** shape `(size, *outputs)`.
        """
        chosen = self.degree + 3 if points is None else points
        rows, values, weights = self.sampled(0, chosen)
        samples = jax.vmap(f)(self.quadrature(chosen)[0])
        parts = jnp.einsum("q,qi,q...->qi...", weights, values, samples, precision="highest")
        return jnp.zeros((self.size, *samples.shape[1:]), parts.dtype).at[rows].add(parts)

    def project(self, f: Function, points: int | None = None) -> Float[Array, "{self.size} *outputs"]:
        r"""Find the coefficients of the best approximation of `f` in the mean square.

            min_c int (f - sum_i c_i B_i)^2 dt

        solved by an orthogonal factorisation of the weighted samples, whose condition is the root of that of the mass
        matrix.

        **Arguments:** `f` from a point, shape `()`, to values of any shape; `points` Gauss points a cell, by default
        `degree + 3`.

        **Returns:** shape `(size, *outputs)`.
        """
        chosen = self.degree + 3 if points is None else points
        rows, values, weights = self.sampled(0, chosen)
        samples = jax.vmap(f)(self.quadrature(chosen)[0])
        root = jnp.where(weights > 0, jnp.sqrt(nonzero(weights)), 0.0)  # differentiable also on a cell of length zero
        design = jnp.zeros((root.shape[0], self.size), values.dtype)
        design = design.at[jnp.arange(root.shape[0])[:, None], rows].set(root[:, None] * values)
        scale = jnp.linalg.norm(design, axis=0)  # columns of short cells are short: bring all to one length
        Q, R = jnp.linalg.qr(design / scale)
        target = jnp.matmul(Q.T, root[:, None] * samples.reshape(root.shape[0], -1), precision="highest")
        solution = jax.scipy.linalg.solve_triangular(R, target) / scale[:, None]
        return solution.reshape(self.size, *samples.shape[1:])

    @eqx.filter_jit  # called eagerly, one compilation instead of many
    def sampled(
        self, order: int, points: int
    ) -> tuple[Int[Array, "n width"], Float[Array, "n width"], Float[Array, " n"]]:
        """Evaluate at all Gauss points: indices and derivatives of the functions there, and the weights."""
        refuse_negative(order)
        offsets, weights = cell_rule(self.breakpoints, points)
        cells = jnp.repeat(jnp.arange(self.elements, dtype=jnp.int32), points)
        first, values = jax.vmap(lambda cell, offset: self.within(cell, offset, order))(cells, offsets.ravel())
        return first[:, None] + jnp.arange(values.shape[1], dtype=jnp.int32), values, weights.ravel()
