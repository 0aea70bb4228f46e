r"""Patch interpolants of C-HiDeNN: hats times radial point interpolants that reproduce polynomials.

    u(x) = sum_i N_i(x) sum_{j in A_s(i)} W_ij(x) u_j,    W_i(x) = [R(x), P(x)] G_i^{-1},    G_i = [[R, P], [P^T, 0]]

`N_i` are the linear hats, `A_s(i)` the nodes within `s` edges of node `i`, `R_j(x) = phi(|x - x_j| / (a h))` a radial kernel, `P` the monomials up to
degree `p`; the weights of node `j` are the first `|A|` entries (Park, Lu et al., Comput. Mech. 72, 2023; Liu and Gu, radial point interpolation). So
`u(x_j) = u_j`, polynomials up to `p` are met exactly, and `u` is continuously differentiable.

The monomials are centred at the node and scaled by the patch, `G_i` is inverted in float64 or better, and the result is written down as one
polynomial a cell. A call is a short local polynomial, right to rounding in float32 too, where the formula itself would lose all digits.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from .base import AbstractBasis, Function
from .cells import checked, known
from .chebyshev import chebyshev_points, to_powers
from .radial import RadialKernel, radial_kernel
from .table import row_values

# Samples a cell for functions that are no polynomials; their last powers are then below rounding on any cell that the functions resolve.
_SMOOTH_POWERS = 16


class Patch(AbstractBasis):
    r"""Patch interpolants on nodes, cardinal and reproducing: the functions of C-HiDeNN and INN.

    **Arguments:**

    - `nodes`: strictly rising, shape `(n,)`.
    - `size`: the patch size `s`: the nodes within so many edges take part.
    - `order`: the polynomial order `p <= s` that is reproduced; by default `s`.
    - `dilation`: `a`, the reach of the kernel in mean distances of nodes. From `4 s` on, and with nothing given, the cubic spline is `|r|^3`.
    - `kernel`: `"cubic spline"`, `"cubed"`, `"gaussian"` or `"multiquadric"`.
    - `frequencies`, `rates`: reproduces `sin(f x)` and `cos(f x)` for each frequency, `exp(r x)` for each rate, besides the polynomials; each function
      needs one more node in every patch.

    Nodes may be traced, and differentiated with respect to, where the interpolant is one polynomial an element: with `|r|^3` and no frequencies or rates.

    **Fields:** `nodes`; `breakpoints`, the nodes and where a kernel changes its polynomial; `table` `(cells, powers, width)`; `first` `(cells,)`.

    **Raises:** `ValueError` for unsorted or repeated nodes, `size < order`, fewer nodes than a patch, an unknown kernel.

    >>> import jax, jax.numpy as jnp
    >>> from infinity.basis import Patch
    >>> b = Patch(jnp.linspace(0.0, 1.0, 9), size=2, order=2)
    >>> round(float(b(0.3) @ b.nodes**2), 5)
    0.09
    """

    nodes: Float[Array, " n"]
    breakpoints: Float[Array, " points"]
    table: Float[Array, "elements powers width"]
    first: Int[Array, " elements"]
    degree: int = eqx.field(static=True)

    def __init__(
        self,
        nodes: Real[ArrayLike, "..."] | list | tuple,
        size: int = 2,
        order: int | None = None,
        dilation: float | int | None = None,
        *,
        kernel: str = "cubic spline",
        frequencies: Sequence[float | int] = (),
        rates: Sequence[float | int] = (),
    ):
        self.nodes = checked(nodes, multiplicity=1)
        settings = checked_settings(size, order, dilation, kernel, frequencies, rates)
        n, least = self.nodes.shape[0], settings.size + 1
        if n < least:
            raise ValueError(
                f"Patch got {n} nodes and size={size}; expected at least {least}, one more than the size. Add nodes or take a smaller size."
            )
        values, dtype = known(self.nodes), self.nodes.dtype
        if values is None:
            if not settings.scale_free:
                raise ValueError(
                    "Patch got traced nodes and a kernel whose polynomial changes within elements; nodes can be traced with |r|^3 only. "
                    "Leave out dilation, kernel, frequencies and rates."
                )
            table, self.breakpoints = _table(jnp, self.nodes, settings), self.nodes
            cells = np.arange(n - 1)
        else:
            points, cells, table = _known_table(values.tobytes(), settings)
            self.breakpoints = jnp.asarray(points, dtype)
        self.table = jnp.asarray(table, dtype)
        self.first = jnp.asarray(_first(n, settings.size)[cells], jnp.int32)
        self.degree = self.table.shape[1] - 1

    @property
    def size(self) -> int:
        """Number of functions, one a node."""
        return self.nodes.shape[0]

    @property
    def width(self) -> int:
        """Number of functions on a cell, `min(2 s + 2, n)`."""
        return self.table.shape[2]

    @property
    def continuity(self) -> int:
        """Continuous with their slopes."""
        return 1

    def within(self, cell: Int[Array, ""], offset: Float[Array, ""], order: int) -> tuple[Int[Array, ""], Array]:
        """Evaluate the functions of a cell from its row of polynomials."""
        half = (self.breakpoints[cell + 1] - self.breakpoints[cell]) / 2
        return self.first[cell], row_values(self.table[cell], offset, half, order)

    def powers(self) -> Float[Array, "elements powers width"]:
        """Expand the functions that live on each cell in powers of a variable from -1 to 1 across it."""
        return self.table

    def interpolate(self, f: Function) -> Float[Array, "n *outputs"]:
        """Take the values of `f` at the nodes: `(size, *outputs)` from `f` of a point."""
        return jax.vmap(f)(self.nodes)


class Settings(NamedTuple):
    """What a patch is made with, beside its nodes."""

    size: int
    order: int
    dilation: float
    kernel: str
    frequencies: tuple[float, ...]
    rates: tuple[float, ...]

    @property
    def scale_free(self) -> bool:
        """Whether the kernel is `|r|^3` on any mesh and nothing but polynomials is reproduced."""
        return (
            radial_kernel(self.kernel).cubed_below > 0
            and (self.kernel == "cubed" or self.dilation >= 4 * self.size)
            and not self.frequencies + self.rates
        )


def checked_settings(
    size: int = 2,
    order: int | None = None,
    dilation: float | int | None = None,
    kernel: str = "cubic spline",
    frequencies: Sequence[float | int] = (),
    rates: Sequence[float | int] = (),
) -> Settings:
    """Check the arguments of a patch; `ValueError` as `Patch`."""
    radial_kernel(kernel)
    order = size if order is None else order
    if order < 1 or size < order:
        raise ValueError(
            f"Patch got size={size} and order={order}; expected 1 <= order <= size. A patch at the end of the mesh has size + 1 nodes."
        )
    extra = 2 * len(frequencies) + len(rates)
    if size < order + extra:
        raise ValueError(
            f"Patch got size={size} for order={order} and {extra} functions to reproduce; expected a size of at least {order + extra}."
        )
    if dilation is not None and not (np.isfinite(dilation) and dilation > 0):
        raise ValueError(f"Patch got dilation={dilation}; expected a positive number such as 20.")
    limit = 4.0 * size if dilation is None else float(dilation)
    return Settings(int(size), int(order), limit, kernel, tuple(map(float, frequencies)), tuple(map(float, rates)))


def _first(n: int, s: int) -> np.ndarray:
    """For each element the first of the `min(2 s + 2, n)` nodes that take part."""
    return np.clip(np.arange(n - 1) - s, 0, n - min(2 * s + 2, n))


class _Patches(NamedTuple):
    """All patches: node indices and whether they exist `(n, 2s+1)`, centres and half lengths `(n,)`, distances that the kernel takes as one, and `G^-1`."""

    nodes: np.ndarray
    valid: np.ndarray
    half: Any
    reach: Any
    limit: np.ndarray
    weights: Any


def _patches(xp: Any, nodes: Any, settings: Settings) -> _Patches:
    """Invert the moment matrix of every patch; missing nodes at the ends have rows and columns of the identity."""
    n, s = nodes.shape[0], settings.size
    index = np.arange(n)[:, None] + np.arange(-s, s + 1)
    valid = (index >= 0) & (index < n)
    index = np.clip(index, 0, n - 1)
    here = nodes[index]
    last, first = here.max(axis=1), here.min(axis=1)
    half = xp.maximum(last - nodes, nodes - first)
    mean = (last - first) / (valid.sum(axis=1) - 1)
    reach = settings.dilation * mean
    kernel = radial_kernel(settings.kernel)
    # With traced nodes this is known from the settings alone.
    limit = (
        np.ones(n, bool)
        if xp is not np or settings.scale_free
        else np.asarray(last - first <= kernel.cubed_below * reach)
    )
    xi = (here - nodes[:, None]) / half[:, None]
    R = _radial(xp, xi[:, :, None], xi[:, None, :], half, reach, limit, kernel)
    P = _reproduced(xp, xi, half, settings)
    both = valid[:, :, None] & valid[:, None, :]
    R, P = xp.where(both, R, 0), xp.where(valid[:, :, None], P, 0)
    R = R + xp.asarray(np.eye(2 * s + 1)) * ~valid[:, :, None]
    q = P.shape[2]
    G = xp.concatenate(
        [xp.concatenate([R, P], axis=2), xp.concatenate([xp.swapaxes(P, 1, 2), xp.zeros((n, q, q), R.dtype)], axis=2)],
        axis=1,
    )
    return _Patches(index, valid, half, reach, limit, _inverse(xp, G)[:, :, : 2 * s + 1])


def _radial(xp: Any, x: Any, centre: Any, half: Any, reach: Any, limit: np.ndarray, kernel: RadialKernel) -> Any:
    """The kernel between scaled positions of each patch: `|xi|^3` in the limit, `phi(|xi| half / reach)` else."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    distance = xp.abs(x - centre)
    if limit.all():
        return distance**3
    scaled = kernel.value(xp, distance * (half / reach).reshape(shape))
    return xp.where(limit.reshape(shape), distance**3, scaled)


def _reproduced(xp: Any, xi: Any, half: Any, settings: Settings) -> Any:
    """The reproduced functions at scaled positions, on a new last axis; sines and exponentials around the centre span the same as around zero."""
    x = xi * half.reshape((-1,) + (1,) * (xi.ndim - 1))
    parts = [xi**k for k in range(settings.order + 1)]
    parts += [wave(f * x) for f in settings.frequencies for wave in (xp.sin, xp.cos)]
    parts += [xp.exp(r * x) for r in settings.rates]
    return xp.stack(parts, axis=-1)


def _inverse(xp: Any, G: Any) -> Any:
    """Invert; on the host the result is refined with residuals in extended precision where the machine has it."""
    identity = np.broadcast_to(np.eye(G.shape[1]), G.shape)
    if xp is not np:
        return jnp.linalg.solve(G, jnp.asarray(identity, G.dtype))
    scale = 1 / np.sqrt(np.abs(G).max(axis=2))
    scaled = scale[:, :, None] * G * scale[:, None, :]
    rough = np.linalg.inv(scaled.astype(np.float64)).astype(G.dtype)
    for _ in range(3):
        rough = rough + rough @ (identity - scaled @ rough)
    return scale[:, :, None] * rough * scale[:, None, :]


def _table(xp: Any, nodes: Any, settings: Settings, points: Any = None, cells: np.ndarray | None = None) -> Any:
    """The powers of all functions on each cell, `(cells, powers, width)`; `cells` says in which element each cell lies."""
    n, s = nodes.shape[0], settings.size
    points = nodes if points is None else points
    cells = np.arange(n - 1) if cells is None else cells
    kernel = radial_kernel(settings.kernel)
    polynomial = kernel.degree is not None and not settings.frequencies + settings.rates
    count = max(3, settings.order) + 2 if polynomial else _SMOOTH_POWERS
    patches = _patches(xp, nodes, settings)
    v = chebyshev_points(count)
    left, right = points[:-1], points[1:]
    x = left[:, None] + (right - left)[:, None] * (1 + v) / 2
    total = 0.0
    for side in (0, 1):  # the patch of the left node, that of the right one
        i = cells + side
        xi = (x - nodes[i][:, None]) / patches.half[i][:, None]
        here = (nodes[patches.nodes[i]] - nodes[i][:, None]) / patches.half[i][:, None]
        chosen = _Patches(*(part[i] for part in patches))
        R = _radial(xp, xi[:, :, None], here[:, None, :], chosen.half, chosen.reach, chosen.limit, kernel)
        R = xp.where(chosen.valid[:, None, :], R, 0)
        W = xp.concatenate([R, _reproduced(xp, xi, chosen.half, settings)], axis=2) @ chosen.weights
        far = nodes[cells + 1 - side][:, None]
        hat = (x - far) / (nodes[i][:, None] - far)
        total = total + xp.pad(hat[:, :, None] * W, ((0, 0), (0, 0), (side, 1 - side)))
    # From the slots e - s .. e + 1 + s to the nodes first .. first + width - 1.
    slots = _first(n, s)[cells][:, None] + np.arange(min(2 * s + 2, n)) - (cells[:, None] - s)
    inside = (slots >= 0) & (slots < 2 * s + 2)
    taken = xp.take_along_axis(total, np.clip(slots, 0, 2 * s + 1)[:, None, :], axis=2)
    taken = xp.where(inside[:, None, :], taken, 0)
    return xp.asarray(to_powers(count), taken.dtype) @ taken


@lru_cache(maxsize=256)
def _known_table(nodes: bytes, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Breakpoints, the element of each cell, and the table of known nodes, from extended precision to float64."""
    x = np.frombuffer(nodes, np.float64).astype(np.longdouble)
    points, cells = x, np.arange(len(x) - 1)
    kernel = radial_kernel(settings.kernel)
    if kernel.kinks and not settings.scale_free:
        patches = _patches(np, x, settings)
        kinks = []
        for z in kernel.kinks:
            away = np.where(patches.limit, np.inf, z * patches.reach)[:, None]
            here = np.where(patches.valid, x[patches.nodes], np.nan)
            # A patch speaks on the two elements beside its node only.
            lower, upper = (
                x[np.clip(np.arange(len(x)) - 1, 0, None)],
                x[np.clip(np.arange(len(x)) + 1, None, len(x) - 1)],
            )
            for at in (here - away, here + away):
                kinks.append(at[(at > lower[:, None]) & (at < upper[:, None])])
        kinks = np.unique(np.concatenate(kinks))
        element = np.clip(np.searchsorted(x, kinks, side="right") - 1, 0, len(x) - 2)
        near = np.minimum(kinks - x[element], x[element + 1] - kinks) < 1e-6 * np.diff(x)[element]
        kinks = kinks[~near]
        keep = np.append(True, np.diff(kinks) > 1e-6 * np.diff(x).min()) if len(kinks) else np.zeros(0, bool)
        points = np.sort(np.concatenate([x, kinks[keep]]))
        cells = np.clip(np.searchsorted(x, points[:-1], side="right") - 1, 0, len(x) - 2)
    table = np.asarray(_table(np, x, settings, points, cells), np.float64)
    points = np.asarray(points, np.float64)
    for array in (points, table):
        array.setflags(write=False)
    return points, cells, table
