r"""A family behind monotone maps: functions of a learned coordinate.

    B_i(t) = b_i(s(t)),    s = s_{L-1} o .. o s_1

Between the breakpoints of the maps and the places that the maps take to breakpoints of `b`, each function is one polynomial, of the product of the degrees.
"""

from collections.abc import Callable
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .base import AbstractBasis
from .cells import known, locate
from .chebyshev import chebyshev_points, to_powers
from .monotone import CoordinateMap


class Composed(AbstractBasis):
    r"""The functions of a family, of a coordinate that monotone maps have moved.

    **Arguments:** `outer`, the family; `maps`, one `CoordinateMap` or more, the first one applied first, all on the domain of `outer`.

    Known maps give cells on which all functions are polynomials, so that integrals are exact. While maps or nodes are traced the cells are those of the first
    map: values and derivatives are right, integrals are not exact.

    **Raises:** `ValueError` without maps, or for maps on another domain.

    >>> import jax.numpy as jnp
    >>> from infinity.basis import BSpline, Composed, CoordinateMap
    >>> b = Composed(BSpline(elements=4, degree=2), (CoordinateMap([0.0, 0.5, 1.0], degree=2),))
    >>> bool(jnp.allclose(b(0.3), BSpline(elements=4, degree=2)(0.3), atol=1e-6))
    True
    """

    outer: AbstractBasis
    maps: tuple[CoordinateMap, ...]
    breakpoints: Float[Array, " points"]
    cells: Int[Array, " elements"] | None
    degree: int = eqx.field(static=True)

    def __init__(self, outer: AbstractBasis, maps: tuple[CoordinateMap, ...]):
        if not maps:
            raise ValueError("Composed got no maps; expected at least one. Use the family itself.")
        domain = known(jnp.stack(outer.domain))
        for inner in maps:
            ends = np.array([inner.breakpoints[0], inner.breakpoints[-1]])
            if domain is not None and not np.allclose(ends, domain, rtol=1e-6):
                raise ValueError(
                    f"a map lives on [{ends[0]:g}, {ends[1]:g}] and the functions on [{domain[0]:g}, {domain[1]:g}]; "
                    "expected one domain. Make the map on the domain of the functions."
                )
        self.outer, self.maps = outer, tuple(maps)
        dtype = outer.breakpoints.dtype
        points = known(outer.breakpoints)
        if points is None or any(known(inner.increments()) is None for inner in maps):
            self.breakpoints, self.cells = jnp.asarray(maps[0].breakpoints, dtype), None
        else:
            held = all(inner.logits is None for inner in maps)
            # Maps without parameters are told apart by what is static in them.
            recipe = tuple((inner.breakpoints, inner.degree, inner.held) for inner in maps)
            ends, cells = _held_cells(points.tobytes(), recipe) if held else _cells(points, self.maps)
            self.breakpoints, self.cells = jnp.asarray(ends.astype(dtype)), jnp.asarray(cells, jnp.int32)
        self.degree = outer.degree * int(np.prod([inner.degree for inner in maps]))

    @property
    def size(self) -> int:
        """Number of functions, those of the family."""
        return self.outer.size

    @property
    def width(self) -> int:
        """Number of functions on a cell."""
        return self.outer.width

    @property
    def continuity(self) -> int:
        """That of the family or of its maps, whichever is less."""
        return min(self.outer.continuity, *(inner.degree - 1 for inner in self.maps))

    def image(self, t: Float[Array, ""]) -> Float[Array, ""]:
        """The coordinate in which the family is evaluated, shape `()`."""
        for inner in self.maps:
            t = inner(t)
        return t

    def within(self, cell: Int[Array, ""], offset: Float[Array, ""], order: int) -> tuple[Int[Array, ""], Array]:
        """Evaluate the family at the image of the point; derivatives by the chain rule."""
        t = self.breakpoints[cell] + offset
        points = self.outer.breakpoints
        # Known cells lie within one cell of the family, whatever side of its end rounding puts a point on.
        there = locate(points, self.image(t)) if self.cells is None else self.cells[cell]
        first, _ = self.outer.within(there, jnp.zeros_like(t), 0)
        values: Callable = lambda t: self.outer.within(there, self.image(t) - points[there], 0)[1]
        for _ in range(order):
            values = jax.jacfwd(values)
        return first, values(t)

    @eqx.filter_jit  # called eagerly, one compilation instead of many
    def powers(self) -> Float[Array, "elements powers width"]:
        """Expand the functions that live on each cell in powers of a variable from -1 to 1 across it."""
        count = self.degree + 1
        shares = jnp.asarray((1 + chebyshev_points(count)) / 2, self.breakpoints.dtype)
        lengths = jnp.diff(self.breakpoints)
        values = lambda cell, share: self.within(cell, share * lengths[cell], 0)[1]
        cells = jnp.arange(self.elements, dtype=jnp.int32)
        sampled = jax.vmap(lambda cell: jax.vmap(lambda share: values(cell, share))(shares))(cells)
        return jnp.einsum("kq,eqi->eki", jnp.asarray(to_powers(count), sampled.dtype), sampled, precision="highest")


@lru_cache(maxsize=256)
def _held_cells(points: bytes, recipe: tuple) -> tuple[np.ndarray, np.ndarray]:
    """`_cells` of maps without parameters, remembered: a model asks for its functions at every call."""
    return _cells(np.frombuffer(points), tuple(CoordinateMap(*parts) for parts in recipe))


def _cells(points: Float[np.ndarray, " outer"], maps: tuple[CoordinateMap, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All places where a polynomial ends, breakpoints taken back through the maps before them, and the cell of the family that each cell goes to."""
    ends = [np.asarray(maps[0].breakpoints)]
    for level in range(1, len(maps) + 1):
        inner = np.asarray(maps[level].breakpoints)[1:-1] if level < len(maps) else points[1:-1]
        ends.append(preimage(inner, maps[:level]))
    places = np.unique(np.concatenate(ends))
    keep = np.append(np.diff(places) > 1e-12 * (places[-1] - places[0]), True)  # the right one of two: the end stays
    keep[0] = True
    places = places[keep]
    middles = _images((places[1:] + places[:-1]) / 2, maps)
    return places, np.clip(np.searchsorted(points, middles, side="right") - 1, 0, len(points) - 2)


def preimage(
    values: Float[np.ndarray, " n"], maps: tuple[CoordinateMap, ...], steps: int = 60
) -> Float[np.ndarray, " n"]:
    """Where the composed maps take given values, by bisection, in float64."""
    low = np.full(len(values), maps[0].breakpoints[0])
    high = np.full(len(values), maps[0].breakpoints[-1])
    for _ in range(steps):
        middle = (low + high) / 2
        below = _images(middle, maps) < values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _images(t: Float[np.ndarray, " n"], maps: tuple[CoordinateMap, ...]) -> Float[np.ndarray, " n"]:
    for inner in maps:
        t = inner.values(t)
    return t
