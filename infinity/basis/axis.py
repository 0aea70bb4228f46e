r"""What the functions of one input are made from: a family, its nodes, and monotone maps before it.

    x_i = lo + (hi - lo) sum_{j <= i} g_j,    g = (1 - E e) softmax(z) + e

Nodes that are trained are sorted by construction: gaps are a softmax of the logits `z`, with a floor `e` of a few units of rounding, so that no two
nodes ever fall together; the ends stay. Nodes that are held are numbers and no parameters.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, cast, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import AbstractBasis
from .bspline import BSpline
from .composed import Composed
from .hat import Hat
from .monotone import CoordinateMap
from .patch import Patch, checked_settings

Family: TypeAlias = Literal["bspline", "hat", "patch"]


class Axis(eqx.Module):
    """The recipe of the functions of one input.

    **Arguments:**

    - `family`: `"bspline"`, `"hat"` or `"patch"`.
    - `breakpoints`: the breakpoints or nodes.
    - `settings`: what the family needs beside them, as keywords: `degree` of splines; `size`, `order`, `dilation` and so on of patches.
    - `maps`: monotone maps that the coordinate passes first.
    - `trainable`: whether the nodes are parameters.

    **Raises:** `ValueError` as the family does, or where repeated breakpoints should be trained.

    >>> from infinity.basis import Axis
    >>> Axis("bspline", [0.0, 0.4, 1.0], {"degree": 3}).size
    5
    """

    gaps: Float[Array, " elements"] | None
    maps: tuple[CoordinateMap, ...]
    family: Family = eqx.field(static=True)
    breakpoints: tuple[float, ...] = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(
        self,
        family: str,
        breakpoints: Sequence[float] | np.ndarray,
        settings: dict[str, Any] | None = None,
        *,
        maps: Sequence[CoordinateMap] = (),
        trainable: bool = False,
    ):
        if family not in get_args(Family):
            raise ValueError(f"basis is {family!r}; expected one of {', '.join(map(repr, get_args(Family)))}")
        self.family = cast(Family, family)
        self.breakpoints = tuple(float(t) for t in breakpoints)
        given = dict(settings or {})
        if family == "patch":
            self.settings = tuple(checked_settings(**given)._asdict().items())
        else:
            self.settings = tuple(sorted(given.items()))
        self.maps = tuple(maps)
        self.gaps = None
        _made(self.family, np.asarray(self.breakpoints), self.settings)  # raises for what cannot be made
        if trainable:
            lengths = np.diff(self.breakpoints)
            if np.any(lengths <= 0):
                raise ValueError("breakpoints that are repeated cannot be trained; give each once.")
            self.gaps = jnp.log(jnp.asarray(lengths / lengths.sum()))

    @property
    def size(self) -> int:
        """Number of functions."""
        extra = dict(self.settings)["degree"] - 1 if self.family == "bspline" else 0
        return len(self.breakpoints) + extra

    @property
    def domain(self) -> tuple[float, float]:
        """The two ends."""
        return self.breakpoints[0], self.breakpoints[-1]

    @property
    def degree(self) -> int:
        """The degree of the splines, the order that patches reproduce, or one."""
        settings = dict(self.settings)
        return settings.get("degree", settings.get("order", 1))

    @property
    def elements(self) -> int:
        """Number of cells of positive length between breakpoints."""
        return len(set(self.breakpoints)) - 1

    def nodes(self, dtype: Any = None) -> Float[Array, " points"]:
        """The breakpoints or nodes, where they are now, shape `(points,)`."""
        if self.gaps is None:
            # Known numbers stay known inside jit, where patches and maps need them.
            with jax.ensure_compile_time_eval():
                return jnp.asarray(self.breakpoints, dtype)
        lo, hi = self.domain
        floor = 64 * jnp.finfo(self.gaps.dtype).eps
        shares = (1 - floor * self.gaps.size) * jax.nn.softmax(self.gaps) + floor
        inner = lo + (hi - lo) * jnp.cumsum(shares)[:-1]
        ends = jnp.asarray([lo, hi], inner.dtype)
        return jnp.concatenate([ends[:1], inner, ends[1:]]).astype(dtype or inner.dtype)

    def basis(self, dtype: Any = None) -> AbstractBasis:
        """The functions, in a dtype."""
        if self.gaps is None:
            functions = _held(self.family, self.breakpoints, self.settings, jnp.result_type(dtype or float))
        else:
            functions = _made(self.family, self.nodes(dtype), self.settings)
        return Composed(functions, self.maps) if self.maps else functions

    def frozen(self) -> "Axis":
        """The same functions without parameters."""
        maps = [inner.frozen() for inner in self.maps]
        return Axis(self.family, np.asarray(self.nodes(), np.float64), dict(self.settings), maps=maps)

    def trained(self, nodes: bool = True, maps: bool = True) -> "Axis":
        """The same functions, with nodes, maps or both as parameters."""
        inner = [m.trained() if maps else m.frozen() for m in self.maps]
        points = np.asarray(self.nodes(), np.float64)
        return Axis(self.family, points, dict(self.settings), maps=inner, trainable=nodes)

    def moved(self, breakpoints: Sequence[float] | np.ndarray, maps: Sequence[CoordinateMap] | None = None) -> "Axis":
        """The same family on other breakpoints, held, and behind other maps if any are given."""
        chosen = [inner.frozen() for inner in self.maps] if maps is None else maps
        return Axis(self.family, breakpoints, dict(self.settings), maps=chosen)


def _made(family: Family, nodes: Any, settings: tuple[tuple[str, Any], ...]) -> AbstractBasis:
    """The functions of a family on nodes."""
    given = dict(settings)
    if family == "bspline":
        return BSpline(breakpoints=nodes, **given)
    return Hat(nodes) if family == "hat" else Patch(nodes, **given)


@functools.lru_cache(maxsize=512)
def _held(
    family: Family, breakpoints: tuple[float, ...], settings: tuple[tuple[str, Any], ...], dtype: Any
) -> AbstractBasis:
    """The functions on nodes that are held: made once, as a fit asks for them in each of its steps; known numbers, inside `jit` too."""
    with jax.ensure_compile_time_eval():
        return _made(family, jnp.asarray(breakpoints, dtype), settings)
