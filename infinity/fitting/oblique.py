r"""Fitting a model with a mixing layer: directions from the slopes of a pilot, then a joint descent.

    C = mean of grad u grad u^T,    C w = lambda w

The slopes of a ridge function `g(w . x)` all point along `w`, so that the leading eigenvectors of the outer product of gradients of a first, separable fit
are the first guess (Constantine, Dow and Wang, SIAM J. Sci. Comput. 36, 2014: active subspaces). Then nodes are placed along all coordinates,
directions and coefficients descend together, and both once more.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..models import KHRONOS, AbstractSeparable, Oblique
from ..models.evaluator import evaluate
from ..models.rank import rank_floor
from .adaptive import adapted_axes, shuffled
from .checks import check_unknowns
from .direct import fit_separable
from .generic import in_dtype
from .joint import descended
from .streamed import Solution, Table, solve_streamed

_SLOPES = 2000
_ROUNDS = 2
_BATCH = 65536


def adapted_oblique(
    model: Oblique,
    x: Float[Array, "N D"],
    y: Float[Array, "N O"],
    weights: Float[Array, " N"],
    *,
    seed: int,
) -> Oblique:
    """An `Oblique` whose directions, axes and coefficients serve these samples best; the axes of its separable part are held.

    **Arguments:** the model; samples in random order, targets of about unit variance and zero mean.
    """
    separable = in_dtype(model.separable.frozen(), x.dtype)
    K, D = model.weights.shape
    pilot = KHRONOS(
        [(0.0, 1.0)] * D,
        modes=max(4, separable.modes),
        elements=max(axis.elements for axis in separable.axes),
        outputs=y.shape[1],
        key=jax.random.key(seed),
    )
    lower, upper = jnp.asarray(model.box, x.dtype).T
    unit = (x - lower) / (upper - lower)
    first = fit_separable(in_dtype(pilot, x.dtype), unit, y, weights, tolerance=1e-2).model
    slopes = _slopes(first, unit[:_SLOPES]).reshape(-1, D)
    _, vectors = jnp.linalg.eigh(slopes.T @ slopes)
    directions = vectors[:, ::-1][:, :K].T
    current = model.with_parts(separable, directions / jnp.abs(directions).sum(axis=1, keepdims=True))
    best, least = current, np.inf
    for _ in range(_ROUNDS):
        coordinates = _coordinates(current, x)
        trained = separable.trained(nodes=True, maps=False).axes
        axes = adapted_axes(trained, coordinates, y, weights, max(separable.modes, 1), seed)
        start = separable.with_axes([axis.frozen() for axis in axes])
        fitted = fit_separable(start, coordinates, y, weights, tolerance=1e-3)
        current = descended(current.with_parts(fitted.model), x, y, weights)
        coordinates = np.asarray(_coordinates(current, x))
        error = float(np.mean((evaluate(current.separable, coordinates) - np.asarray(y)) ** 2))
        if error < least:
            best, least = current, error
    return best


def solve_oblique(table: Table, model: Oblique, seed: int, tolerance: float, **settings: Any) -> Solution:
    """Directions and axes by descent, then the streamed solve of the separable part in these coordinates.

    **Arguments:** the table in physical units; the model; the seed; the tolerance and further settings of the last solve.
    """
    samples = shuffled(table, seed)
    check_unknowns(model.unknowns, samples[1].size)
    placed = adapted_oblique(model, *samples, seed=seed)
    coordinates = np.concatenate(
        [
            np.asarray(_coordinates(placed, jnp.asarray(rows, table.dtype)))
            for rows in np.array_split(table.x, -(-len(table.x) // _BATCH))
        ]
    )
    unit = np.clip(coordinates, 0.0, 1.0)  # rounding may leave the box by a unit
    found = solve_streamed(
        table._replace(x=unit), placed.separable, (None, None, None), seed=seed, tolerance=tolerance, **settings
    )
    lower, upper = np.asarray(model.box).T
    options = {**found.options, "directions": np.asarray(placed.weights, float).tolist()}
    if model.dimensions in (2, 3) and model.outputs == 1:
        whole = placed.with_parts(found.model)
        options["rank_floor"] = rank_floor(whole, list(model.box), placed.separable.modes)
    held = placed.weights.size
    padded = lambda V: None if V is None else np.pad(np.asarray(V), ((held, 0), (held, 0)))
    return found._replace(
        model=placed.with_parts(found.model),
        judged=placed.with_parts(found.judged),
        lower=lower,
        upper=upper,
        covariance=padded(found.covariance),
        judged_covariance=padded(found.judged_covariance),
        options=options,
    )


@eqx.filter_jit
def _slopes(model: AbstractSeparable, x: Float[Array, "N D"]) -> Float[Array, "N O D"]:
    return jax.vmap(jax.jacfwd(model))(x)


@eqx.filter_jit
def _coordinates(model: Oblique, x: Float[Array, "N D"]) -> Float[Array, "N E"]:
    return jax.vmap(model.coordinates)(x)
