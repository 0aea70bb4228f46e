r"""Domains that are images of a box: the equation is carried back to the box, where it has coefficients.

    int_Omega grad u . grad v = int_box  sum_ab G_ab u_a v_b,      G = |det J| J^-1 J^-T,      J = dX/dxi
    int_Omega f v             = int_box  |det J| f(X) v

A polar map gives products, so that an annulus is solved like a square; other smooth maps give few products by cross approximation.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..precision import double_precision
from .expressions import Coordinate, Expression
from .notation import function


class Mapping:
    r"""A smooth map from a box to a domain.

    **Arguments:**

    - `coordinates`: of the box.
    - `image`: a point of the box `(D,)` to a point of the domain `(D,)`, written with `jax.numpy`.
    - `box`: the ends of each coordinate, where the map is checked.

    **Raises:** `ValueError` where the map folds over or collapses, with the point.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import jax.numpy as jnp, infinity as inf
    >>> r, a = inf.pde.coordinates("r a")
    >>> annulus = inf.pde.Mapping((r, a), lambda p: jnp.array([p[0] * jnp.cos(p[1]), p[0] * jnp.sin(p[1])]), [(1, 2), (0, jnp.pi / 2)])
    >>> u, v = inf.pde.trial(), inf.pde.test()
    >>> space = inf.pde.Space({r: inf.basis.BSpline((1.0, 2.0), 8, 5), a: inf.basis.BSpline((0.0, jnp.pi / 2), 8, 5)}, dirichlet={r: "both"})
    >>> result = inf.solve(annulus.gradients(u, v) - 4 * annulus.measure * v, space)
    >>> exact = (1 - r**2) + 3 * r.log() / jnp.log(2.0)
    >>> result.solver, result.error(exact) < 1e-7
    ('fast diagonalisation in r, a', True)
    """

    def __init__(self, coordinates: Sequence[Coordinate], image: Callable[[Any], Any], box: Sequence[tuple[Any, Any]]):
        self.coordinates, self.image = tuple(coordinates), image
        if len(box) != len(self.coordinates):
            raise ValueError(
                f"a mapping of {len(self.coordinates)} coordinates got {len(box)} ranges; expected one each"
            )
        lines = [np.linspace(float(low), float(high), 13) for low, high in box]
        points = np.array(list(itertools.product(*lines)))
        with double_precision():
            jacobians = np.asarray(jax.vmap(jax.jacfwd(image))(jnp.asarray(points)))
        if jacobians.shape[1:] != (len(self.coordinates),) * 2:
            raise ValueError(
                f"a mapping takes {len(self.coordinates)} numbers and returns {jacobians.shape[1]}; expected as many. A surface is not supported"
            )
        areas = np.linalg.det(jacobians)
        self._sign = float(np.sign(areas[len(areas) // 2])) or 1.0
        bad = np.flatnonzero(self._sign * areas <= 1e-12 * np.max(np.abs(areas)))
        if len(bad):
            where = ", ".join(f"{c}={value:.4g}" for c, value in zip(self.coordinates, points[bad[0]], strict=True))
            raise ValueError(
                f"the map folds over or collapses at {where}: its Jacobian determinant is {areas[bad[0]]:.3g} there and "
                f"{areas[len(areas) // 2]:.3g} in the middle; expected one sign. Choose another map or a smaller box"
            )

    @property
    def measure(self) -> Expression:
        """The volume element `|det J|`."""
        return function(lambda *p: self._sign * jnp.linalg.det(jax.jacfwd(self.image)(jnp.stack(p))), *self.coordinates)

    def metric(self, a: int, b: int) -> Expression:
        """The coefficient `G_ab`; what is rounding is zero."""

        def entry(*p: Any) -> Any:
            J = jax.jacfwd(self.image)(jnp.stack(p))
            inverse = jnp.linalg.inv(J)
            G = self._sign * jnp.linalg.det(J) * inverse @ inverse.T
            return jnp.where(jnp.abs(G[a, b]) <= 1e-13 * jnp.sqrt(G[a, a] * G[b, b]), 0.0, G[a, b])

        return function(entry, *self.coordinates)

    def gradients(self, u: Expression, v: Expression) -> Expression:
        """`int grad u . grad v` over the domain."""
        parts = (
            self.metric(a, b) * u.d(one) * v.d(two)
            for (a, one), (b, two) in itertools.product(enumerate(self.coordinates), repeat=2)
        )
        return Expression(tuple(term for part in parts for term in part.terms))

    def pulled_back(self, fn: Callable[..., Any]) -> Expression:
        """A function of the points of the domain, one argument a direction, as one of the box."""
        return function(lambda *p: fn(*self.image(jnp.stack(p))), *self.coordinates)

    def face(self, coordinate: Coordinate) -> Expression:
        """The surface element of the faces on which a coordinate is constant: multiply it with a flux and `coordinate.at(value)`."""
        d = self.coordinates.index(coordinate)

        def element(*p: Any) -> Any:
            J = jax.jacfwd(self.image)(jnp.stack(p))
            return jnp.abs(jnp.linalg.det(J)) * jnp.linalg.norm(jnp.linalg.inv(J)[d])

        return function(element, *self.coordinates)
