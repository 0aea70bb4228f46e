r"""Where nodes and inner layers go: a pilot fit, equal shares of its roughness, then a joint descent.

    rho_d(t) = [int |d^{k+1} u / d x_d^{k+1}|^2 dx_e, e != d]^{1 / (2k+3)},    int_{x_i}^{x_{i+1}} rho_d dt the same for all i

With functions of degree k the error of a cell is then the same everywhere, which is optimal to first order (de Boor, Good approximation by splines with
variable knots, 1973). The start decides: from equal cells a descent ends in a poor minimum. `rho` comes from a finer pilot, of degree k + 2 on three
times as many cells, which is fitted again on cells that follow its own roughness. A coordinate map gets the same shares the other way round: its slope
is proportional to `rho`. Afterwards nodes or maps and coefficients descend together, those in which the model is affine eliminated exactly.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import Axis, CoordinateMap
from ..models import INN, KHRONOS, AbstractSeparable
from ..models.evaluator import evaluate
from .additive import fit_additive
from .checks import check_unknowns
from .direct import fit_separable
from .generic import in_dtype
from .joint import descended
from .streamed import Table, spread

Separable = TypeVar("Separable", bound=AbstractSeparable)

PILOT_CELLS = 3
PILOT_ROUNDS = 3
ROWS_PER_PILOT_UNKNOWN = 2
# A pilot of products shows where a function is rough; these rows an unknown and steps are enough for that.
ROWS_OF_PILOT, ITERATIONS_OF_PILOT = 12, 15
# Points a cell on which the roughness is summed, and the share of its mean below which it does not fall.
_FINE, _FLOOR = 16, 0.02
# Modes of the separable model that places the nodes of a full tensor product.
TENSOR_MODES = 6


def adapted_axes(
    axes: Sequence[Axis],
    x: Float[Array, "N D"],
    y: Float[Array, "N O"],
    weights: Float[Array, " N"],
    modes: int,
    seed: int,
) -> tuple[Axis, ...]:
    """Axes of the same families and sizes, nodes and maps held where a pilot fit wants them.

    **Arguments:** the axes, those with parameters are moved; samples in random order, targets of about unit variance and zero mean; the modes of the pilot.
    """
    outputs = y.shape[1]
    modes = 0 if len(axes) == 1 else modes  # one input needs no products: its pilot is affine
    affordable = len(x) * outputs / ROWS_PER_PILOT_UNKNOWN / ((modes + outputs) * len(axes))
    degrees = [axis.degree + 2 for axis in axes]
    counts = [
        int(np.clip(PILOT_CELLS * axis.elements, 4, max(affordable - p, 4)))
        for axis, p in zip(axes, degrees, strict=True)
    ]
    rows = [np.linspace(*axis.domain, count + 1).tolist() for axis, count in zip(axes, counts, strict=True)]
    densities, best = [], np.inf
    for _ in range(PILOT_ROUNDS):
        pilot = KHRONOS(breakpoints=rows, modes=modes, degree=degrees, outputs=outputs, key=jax.random.key(seed))
        found, error = _pilot_fit(in_dtype(pilot, x.dtype), x, y, weights)
        if error > 0.9 * best:
            break
        best = error
        densities = [roughness(found, d, axis.degree) for d, axis in enumerate(axes)]
        rows = [equal_shares(*density, count).tolist() for density, count in zip(densities, counts, strict=True)]
    return tuple(
        _placed(axis, *density) if jax.tree.leaves(axis) else axis
        for axis, density in zip(axes, densities, strict=True)
    )


def _pilot_fit(
    pilot: KHRONOS, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]
) -> tuple[AbstractSeparable, float]:
    """A fitted pilot and its root of the mean square error on the samples."""
    found = (
        fit_additive(pilot, x, y, weights)
        if not pilot.modes
        else fit_separable(
            pilot,
            x,
            y,
            weights,
            tolerance=1e-2,
            rows=min(len(x), -(-ROWS_OF_PILOT * pilot.unknowns // y.shape[1])),
            most_iterations=ITERATIONS_OF_PILOT,
        ).model
    )
    squares = (evaluate(found, np.asarray(x)) - np.asarray(y)) ** 2
    return found, float(np.sqrt(np.average(squares, axis=0, weights=np.asarray(weights)).sum()))


def roughness(
    model: AbstractSeparable, d: int, k: int
) -> tuple[Float[np.ndarray, " n_plus_one"], Float[np.ndarray, " n"]]:
    """`rho_d` of a separable model for functions of degree k, on small intervals between its breakpoints.

    **Returns:** their ends `(n + 1,)` and the density on each, `(n,)`.
    """
    basis = model.bases[d]
    ends = np.unique(np.asarray(basis.breakpoints, np.float64))
    shares = np.arange(_FINE) / _FINE
    edges = np.append((ends[:-1, None] + np.diff(ends)[:, None] * shares).ravel(), ends[-1])
    middles = jnp.asarray((edges[1:] + edges[:-1]) / 2, model.factors[d].dtype)
    D = np.asarray(basis.collocation(middles, k + 1), np.float64)
    curves = D @ np.asarray(model.factors[d], np.float64).T
    gram = np.ones((model.modes, model.modes))
    mean = np.ones(model.modes)
    for e, other in enumerate(model.bases):
        if e != d:
            F = np.asarray(model.factors[e], np.float64)
            length = float(other.domain[1] - other.domain[0])
            gram = gram * (F @ np.asarray(other.mass(), np.float64) @ F.T) / length
            mean = mean * (F @ np.asarray(other.load(lambda t: jnp.ones_like(t)), np.float64)) / length
    mixing = np.ones((1, model.modes)) if model.mixing is None else np.asarray(model.mixing, np.float64)
    total = np.einsum("qm,om,mn,on,qn->q", curves, mixing, gram, mixing, curves)
    if model.additive is not None:
        A = D @ np.asarray(model.additive[d], np.float64).T
        total = total + np.sum(A**2, axis=1) + 2 * np.einsum("qo,om,m,qm->q", A, mixing, mean, curves)
    density = np.maximum(total, 0.0) ** (1 / (2 * k + 3))
    return edges, density + _FLOOR * np.average(density, weights=np.diff(edges)) + np.finfo(float).tiny


def equal_shares(
    edges: Float[np.ndarray, " n_plus_one"], density: Float[np.ndarray, " n"], count: int
) -> Float[np.ndarray, " count_plus_one"]:
    """Breakpoints of `count` cells that hold equal shares of a density.

    >>> import numpy as np
    >>> from infinity.fitting.adaptive import equal_shares
    >>> equal_shares(np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0]), 2).round(3).tolist()
    [0.0, 0.667, 2.0]
    """
    height = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    points = np.interp(np.linspace(0.0, height[-1], count + 1), height, edges)
    points[0], points[-1] = edges[0], edges[-1]
    return points


def _placed(axis: Axis, edges: np.ndarray, density: np.ndarray) -> Axis:
    """The axis with its trained parts placed by a density: its nodes, or its first map, behind which the nodes are equally spaced."""
    if all(inner.logits is None for inner in axis.maps):
        nodes = equal_shares(edges, density, axis.elements)
        for inner in axis.maps:  # nodes live behind the maps
            nodes = inner.values(nodes)
        return axis.moved(nodes)
    lo, hi = axis.domain
    height = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    image = lo + (hi - lo) * height / height[-1]
    first = axis.maps[0]
    cells = len(first.breakpoints) - 1
    # Half of the map's own cells go where the image moves fast, half stay spread out.
    between = 0.5 * (edges - lo + image - lo) + lo
    points = np.interp(np.linspace(lo, hi, cells + 1), between, edges)
    points[0], points[-1] = lo, hi
    greville = CoordinateMap(points, first.degree)
    knots = np.concatenate([[0.0], np.cumsum(greville.held)]) * (hi - lo) + lo
    steps = np.diff(np.interp(knots, edges, image))
    steps = np.maximum(steps, 1e-9 * (hi - lo))
    return axis.moved(
        np.asarray(axis.nodes(), np.float64), maps=[CoordinateMap(points, first.degree, steps), *axis.maps[1:]]
    )


def shuffled(table: Table, seed: int) -> tuple[Float[Array, "N D"], Float[Array, "N O"], Float[Array, " N"]]:
    """The rows to fit in random order: inputs, targets of unit variance and zero mean, weights."""
    order = np.random.default_rng(seed).permutation(table.train)
    shift, scale = spread(table.y[order])
    cast_to = lambda part: jnp.asarray(part, table.dtype)
    return cast_to(table.x[order]), cast_to((table.y[order] - shift) / scale), cast_to(table.weights[order])


def adapted_to(table: Table, model: Any, seed: int) -> Any:
    """The model with its nodes and maps held where they serve the rows to fit; of a `HiDeNN` those of a separable model on the same axes."""
    samples = shuffled(table, seed)
    check_unknowns(model.unknowns, samples[1].size)
    if isinstance(model, AbstractSeparable):
        return adapted(in_dtype(model, table.dtype), *samples, seed=seed)
    # A separable model on the same axes stands in for the full tensor product, whose joint descent would be dense.
    stand_in = INN(
        nodes=[np.asarray(axis.nodes(), np.float64).tolist() for axis in model.axes],
        modes=1 if model.dimensions == 1 else TENSOR_MODES,
        basis=model.axes[0].family,
        outputs=model.outputs,
        trainable_nodes=True,
        constant=True,
        key=jax.random.key(seed),
        **dict(model.axes[0].settings),
    )
    return model.with_axes(adapted(in_dtype(stand_in, table.dtype), *samples, seed=seed).axes)


def adapted(
    model: Separable,
    x: Float[Array, "N D"],
    y: Float[Array, "N O"],
    weights: Float[Array, " N"],
    *,
    seed: int,
    tolerance: float = 1e-3,
) -> Separable:
    """A model whose nodes and maps, so far parameters, are held where they serve these samples best.

    **Arguments:** a separable model with trainable axes; samples in random order, targets of about unit variance and zero mean.
    """
    nodes = any(axis.gaps is not None for axis in model.axes)
    maps = any(inner.logits is not None for axis in model.axes for inner in axis.maps)
    axes = adapted_axes(model.axes, x, y, weights, max(model.modes, 1), seed)
    start = model.with_axes([axis.frozen() for axis in axes])
    fitted = cast(Separable, fit_separable(start, x, y, weights, tolerance=tolerance).model)
    return descended(fitted.trained(nodes, maps), x, y, weights).frozen()
