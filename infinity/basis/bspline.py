r"""Clamped B-splines of any degree on any sorted breakpoints.

    U = (x_0, .. x_0, x_1, x_2, .. x_{E-1}, x_E, .. x_E),    ends p + 1 times,    size = E + p

`B_i` lives on `[U_i, U_{i+p+1})` and is `C^{p-m}` at a breakpoint that is given `m` times. Values and derivatives
come from the Cox-de Boor triangle of one cell (de Boor, A Practical Guide to Splines, Springer 1978, chapters IX to
XI).
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from .base import AbstractBasis, Function
from .cells import checked, known
from .recursion import cell_values, nonzero
from .refinement import divided, elevated_breakpoints, elevation_matrix, insertion_matrix


class BSpline(AbstractBasis):
    r"""Clamped B-splines: non-negative, local, summing to one, and polynomials up to the degree among them.

        u(t) = sum_i c_i B_i(t),    u(x_0) = c_0,    u(x_E) = c_{size-1}

    **Arguments:**

    - `domain`, `elements`: the two ends and the number of equal cells; used if no breakpoints are given.
    - `degree`: the polynomial degree `p >= 0`, static.
    - `breakpoints`: sorted, shape `(elements + 1,)`. An interior one may be given up to `p + 1` times, each time
      lowering the continuity there by one; an end only once. They may be traced: a basis can be built inside `jit`,
      `vmap` and `grad`, and differentiated with respect to them. What is traced cannot be checked.

    Works in the dtype of the breakpoints or of the domain; numbers of Python take the default of JAX. At an interior
    breakpoint values and derivatives are those from the right, at the right end those from the left. Outside the
    domain the polynomials of the first and of the last cell continue.

    **Raises:** `ValueError` for a bad degree, number of elements, domain or breakpoints.

    >>> import jax.numpy as jnp
    >>> from infinity.basis import BSpline
    >>> b = BSpline(domain=(0.0, 1.0), elements=4, degree=2)
    >>> b.size
    6
    >>> jnp.round(b(0.25), 3).tolist()
    [0.0, 0.5, 0.5, 0.0, 0.0, 0.0]
    >>> first, values = b.local(0.25)
    >>> int(first), jnp.round(values, 3).tolist()
    (1, [0.5, 0.5, 0.0])
    """

    breakpoints: Float[Array, " points"]
    degree: int = eqx.field(static=True)

    def __init__(
        self,
        domain: tuple[Real[ArrayLike, ""], Real[ArrayLike, ""]] = (0.0, 1.0),
        elements: int = 12,
        degree: int = 3,
        *,
        breakpoints: Real[ArrayLike, "..."] | list | tuple | None = None,
    ):
        if degree < 0:
            raise ValueError(f"BSpline got degree {degree}; expected 0 or more. Degree 3 is the usual choice.")
        if breakpoints is None:
            breakpoints = equal_cells(domain, elements)
        self.breakpoints = checked(breakpoints, multiplicity=degree + 1)
        self.degree = int(degree)

    @property
    def size(self) -> int:
        """Number of functions, `elements + degree`."""
        return self.elements + self.degree

    @property
    def width(self) -> int:
        """Number of functions on a cell, `degree + 1`."""
        return self.degree + 1

    @property
    def continuity(self) -> int:
        """How many derivatives are continuous: `degree` less how often an interior breakpoint is repeated at most; while they are traced, once."""
        points = known(self.breakpoints)
        repeated = [] if points is None else np.unique(points[1:-1], return_counts=True)[1]
        return self.degree - (int(max(repeated)) if len(repeated) else 1)

    def within(self, cell: Int[Array, ""], offset: Float[Array, ""], order: int) -> tuple[Int[Array, ""], Array]:
        """Evaluate the `degree + 1` functions that live on a cell; the first has the index of the cell."""
        return cell, cell_values(self.window(cell), offset, self.degree, order)

    def window(self, cell: Int[Array, ""]) -> Float[Array, "{2*self.degree}"]:
        """Gather the `2 degree` knots around a cell, its own two ends in the middle, less its left end."""
        around = jnp.clip(cell + jnp.arange(1 - self.degree, self.degree + 1), 0, self.elements)
        return self.breakpoints[around] - self.breakpoints[cell]

    def greville(self) -> Float[Array, "{self.size}"]:
        """Compute the Greville abscissae, shape `(size,)`.

        With them as coefficients the spline is `u(t) = t`; at degree 0 they are the middles of the cells.
        """
        low, high = self.domain
        if self.degree == 0:
            return self.breakpoints[:-1] + jnp.diff(self.breakpoints) / 2
        around = jnp.arange(self.size)[:, None] + jnp.arange(1 - self.degree, 1)
        mean = jnp.mean(self.breakpoints[jnp.clip(around, 0, self.elements)] - low, axis=1) + low
        return mean.at[0].set(low).at[-1].set(high)  # the mean of equal numbers may be off by a rounding

    def interpolate(self, f: Function) -> Float[Array, "{self.size} *outputs"]:
        """Find the coefficients of the spline that meets `f` at the Greville abscissae.

        **Arguments:** `f` from a point, shape `()`, to values of any shape.

        **Returns:** shape `(size, *outputs)`.

        **Raises:** `ValueError` where a breakpoint is given `degree + 1` times: two abscissae fall together there.
        """
        points = self.greville()
        values = known(points)
        if values is not None and np.any(np.diff(values) <= 0):
            place = values[:-1][np.diff(values) <= 0][0]
            raise ValueError(
                f"the spline jumps at {place}, so two interpolation points fall together there; expected at most "
                "`degree` equal breakpoints. Use `project` instead."
            )
        samples = jax.vmap(f)(points)
        solution = jnp.linalg.solve(jax.vmap(self)(points), samples.reshape(self.size, -1))
        return solution.reshape(samples.shape)

    def insert(
        self, breakpoints: Real[ArrayLike, "..."] | list | tuple
    ) -> tuple["BSpline", Float[Array, "finer size"]]:
        """Give the same splines on more breakpoints.

        **Arguments:** the `breakpoints` to add, inside the domain, in any order; one that is there already lowers the
        continuity.

        **Returns:** the finer basis and the matrix of shape `(finer.size, size)` that takes coefficients to it, exact
        to rounding.

        **Raises:** `ValueError` outside the domain, beyond multiplicity `degree + 1`, or while breakpoints are traced.

        >>> from infinity.basis import BSpline
        >>> finer, matrix = BSpline(elements=1, degree=1).insert([0.25])
        >>> matrix.tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]
        """
        old = self._concrete("insert")
        new = known(breakpoints)
        if new is None:
            raise ValueError(
                "insert got traced breakpoints; expected known numbers. Call it outside jit, vmap and grad."
            )
        new = new.reshape(-1).astype(self.breakpoints.dtype).astype(np.float64)
        if np.any((new <= old[0]) | (new >= old[-1])):
            raise ValueError(
                f"insert got {new}; expected breakpoints strictly inside ({old[0]}, {old[-1]}). Remove the others."
            )
        merged = np.sort(np.concatenate([old, new]))
        finer = BSpline(breakpoints=merged.astype(self.breakpoints.dtype), degree=self.degree)
        return finer, jnp.asarray(insertion_matrix(old, merged, self.degree), self.breakpoints.dtype)

    def refine(self, elements_factor: int = 2) -> tuple["BSpline", Float[Array, "finer size"]]:
        """Give the same splines with each cell divided into `elements_factor` equal ones.

        **Returns:** the finer basis and the matrix of shape `(finer.size, size)`, as `insert` does.

        **Raises:** `ValueError` for a factor below 1 or while breakpoints are traced.
        """
        if elements_factor < 1:
            raise ValueError(f"refine got a factor of {elements_factor}; expected 1 or more. 2 halves each cell.")
        return self.insert(divided(self._concrete("refine"), elements_factor))

    def elevate(self, times: int = 1) -> tuple["BSpline", Float[Array, "higher size"]]:
        """Give the same splines at a higher degree, interior breakpoints repeated so that the continuity stays.

        **Arguments:** by how many degrees, at least 0.

        **Returns:** the basis and the matrix of shape `(basis.size, size)` that takes coefficients to it, exact to
        rounding.

        **Raises:** `ValueError` for a negative number or while breakpoints are traced.

        >>> from infinity.basis import BSpline
        >>> higher, matrix = BSpline(elements=1, degree=1).elevate()
        >>> matrix.tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        """
        if times < 0:
            raise ValueError(f"elevate got {times} times; expected 0 or more. A degree cannot be lowered exactly.")
        points, matrix = self._concrete("elevate"), np.eye(self.size)
        for degree in range(self.degree, self.degree + times):
            higher = elevated_breakpoints(points)
            points, matrix = higher, elevation_matrix(points, higher, degree) @ matrix
        dtype = self.breakpoints.dtype
        return BSpline(breakpoints=points.astype(dtype), degree=self.degree + times), jnp.asarray(matrix, dtype)

    @eqx.filter_jit  # called eagerly, one compilation instead of many
    def powers(self) -> Float[Array, "elements powers width"]:
        """Expand the functions that live on each cell in powers of a variable from -1 to 1 across it."""

        def expand(cell):
            # Knots in halves of the cell's length, so that no power of a short cell over- or underflows.
            window = self.window(cell)
            half = nonzero(self.breakpoints[cell + 1] - self.breakpoints[cell]) / 2
            middle = jnp.ones((), window.dtype)
            orders = range(self.degree + 1)
            return jnp.stack([cell_values(window / half, middle, self.degree, k) / math.factorial(k) for k in orders])

        return jax.vmap(expand)(jnp.arange(self.elements))

    def _concrete(self, action: str) -> Float[np.ndarray, " points"]:
        """Fetch the breakpoints to the host, or raise a `ValueError` while they are traced."""
        values = known(self.breakpoints)
        if values is None:
            raise ValueError(
                f"{action} got traced breakpoints; expected known ones. Call it outside jit, vmap and grad."
            )
        return values


def equal_cells(domain: tuple, elements: int) -> Array | np.ndarray:
    """Make the breakpoints of equal cells, on the host where the domain is known there, so that both ends are exact.

    **Raises:** `ValueError` for fewer than one element or a domain without positive length.
    """
    if elements < 1:
        raise ValueError(f"BSpline got elements = {elements}; expected at least 1. Pass the number of cells.")
    low, high = domain
    dtype = jnp.result_type(low, high, 1.0)
    left, right = known(low), known(high)
    if left is None or right is None:
        return jnp.linspace(low, high, elements + 1, dtype=dtype)
    if not -np.inf < left < right < np.inf:
        raise ValueError(
            f"BSpline got the domain ({low}, {high}); expected two finite ends, the first end below the second. "
            "Swap or widen it."
        )
    return np.linspace(left, right, elements + 1).astype(dtype)
