r"""Hat functions on sorted nodes: the linear finite element.

    N_i(t) = (t - x_{i-1}) / (x_i - x_{i-1}) before x_i,    (x_{i+1} - t) / (x_{i+1} - x_i) after it,    zero beyond the neighbours

so that `N_i(x_j) = delta_ij` and a coefficient is the value at its node.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from .base import AbstractBasis, Function
from .bspline import BSpline
from .cells import checked


class Hat(AbstractBasis):
    r"""Linear hats on nodes, the functions of HiDeNN (Saha et al., Comput. Methods Appl. Mech. Eng. 373, 2021).

    **Arguments:** `nodes`, strictly rising, at least two, shape `(n,)`; they may be traced, and differentiated with respect to.

    The same functions as `BSpline(breakpoints=nodes, degree=1)`, which `spline` returns: the coefficients carry over unchanged.

    **Raises:** `ValueError` for nodes that are unsorted, repeated, not finite or fewer than two.

    >>> from infinity.basis import Hat
    >>> Hat([0.0, 1.0, 3.0])(2.0).tolist()
    [0.0, 0.5, 0.5]
    """

    breakpoints: Float[Array, " n"]
    degree: int = eqx.field(static=True)

    def __init__(self, nodes: Real[ArrayLike, "..."] | list | tuple):
        self.breakpoints = checked(nodes, multiplicity=1)
        self.degree = 1

    @property
    def nodes(self) -> Float[Array, " n"]:
        """The nodes, shape `(n,)`."""
        return self.breakpoints

    @property
    def size(self) -> int:
        """Number of functions, one a node."""
        return self.breakpoints.shape[0]

    @property
    def width(self) -> int:
        """Two functions live on a cell."""
        return 2

    @property
    def continuity(self) -> int:
        """Continuous, without continuous slopes."""
        return 0

    def within(self, cell: Int[Array, ""], offset: Float[Array, ""], order: int) -> tuple[Int[Array, ""], Array]:
        """Evaluate the two functions of a cell; the first has the index of the cell."""
        length = self.breakpoints[cell + 1] - self.breakpoints[cell]
        if order > 1:
            return cell, jnp.zeros((2,), jnp.result_type(length, offset))
        rising = offset / length if order == 0 else jnp.ones_like(offset) / length
        falling = (length - offset) / length if order == 0 else -rising
        return cell, jnp.stack([falling, rising])

    def powers(self) -> Float[Array, "elements 2 2"]:
        """Expand both functions of each cell, `(1 - v) / 2` and `(1 + v) / 2`."""
        one = jnp.asarray([[0.5, 0.5], [-0.5, 0.5]], self.breakpoints.dtype)
        return jnp.broadcast_to(one, (self.elements, 2, 2))

    def interpolate(self, f: Function) -> Float[Array, "n *outputs"]:
        """Take the values of `f` at the nodes.

        **Arguments:** `f` from a point, shape `()`, to values of any shape.

        **Returns:** shape `(size, *outputs)`.
        """
        return jax.vmap(f)(self.nodes)

    def spline(self) -> BSpline:
        """Give the same functions as a spline of degree one, with the same coefficients."""
        return BSpline(breakpoints=self.breakpoints, degree=1)

    def insert(self, nodes: Real[ArrayLike, "..."] | list | tuple) -> tuple["Hat", Float[Array, "finer size"]]:
        """Give the same piecewise linear functions on more nodes, with the matrix that takes coefficients there, exact to rounding.

        **Raises:** `ValueError` as `BSpline.insert`, or where a node is there already.
        """
        finer, matrix = self.spline().insert(nodes)
        return Hat(finer.breakpoints), matrix

    def refine(self, elements_factor: int = 2) -> tuple["Hat", Float[Array, "finer size"]]:
        """Divide each cell into equal ones; **returns** the finer hats and the matrix to them."""
        finer, matrix = self.spline().refine(elements_factor)
        return Hat(finer.breakpoints), matrix
