r"""Growth: the same function in a larger space.

    u = sum_i c_i B_i = sum_k (T c)_k B'_k,    T the matrix of knot insertion or degree elevation

A new mode starts with one factor at zero, a new layer as the identity, so that values stay what they are to rounding.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..basis import Axis, BSpline, CoordinateMap
from ..basis.refinement import divided
from ..precision import full_products
from .boxes import each
from .on_axes import rebuilt
from .separable import AbstractSeparable
from .starts import starting_factors

Separable = TypeVar("Separable", bound=AbstractSeparable)


@full_products
def refined(
    model: Separable,
    *,
    elements: int | Sequence[int] | None = None,
    degree: int | Sequence[int] | None = None,
    modes: int | None = None,
    layers: int | None = None,
    key: PRNGKeyArray | None = None,
) -> Separable:
    """Prolong a separable model of splines or hats exactly; arguments, result and errors as of `KHRONOS.refine`."""
    name = type(model).__name__
    finer, matrices = [], []
    degrees = model.degrees if degree is None else each(name, "degree", degree, model.dimensions, least=0)
    counts = [axis.elements for axis in model.axes]
    wanted = counts if elements is None else each(name, "elements", elements, model.dimensions)
    for d, axis in enumerate(axis.frozen() for axis in model.axes):
        if wanted[d] % counts[d] or degrees[d] < model.degrees[d]:
            raise ValueError(
                f"refine got elements={wanted[d]}, degree={degrees[d]} for dimension {d}, which has elements={counts[d]}, "
                f"degree={model.degrees[d]}; the first must be a multiple and the second not smaller."
            )
        changed, matrix = _prolonged(axis, wanted[d] // counts[d], degrees[d], model.factors[d].dtype)
        if layers is not None:
            if layers < 1 + len(axis.maps):
                raise ValueError(f"refine got layers={layers} for a model of {1 + len(axis.maps)}; expected no fewer.")
            lo, hi = axis.domain
            grid = np.linspace(lo, hi, axis.elements + 1)
            added = [CoordinateMap(grid)] * (layers - 1 - len(axis.maps))
            changed = changed.moved(changed.breakpoints, maps=[*axis.maps, *added])
        finer.append(changed)
        matrices.append(matrix)
    prolong = lambda arrays: tuple(array @ matrix.T for array, matrix in zip(arrays, matrices, strict=True))
    factors, mixing = prolong(model.factors), model.mixing
    if modes is not None and modes != model.modes:
        if modes < model.modes or key is None:
            raise ValueError(
                f"refine got modes={modes} for a model of {model.modes}; expected more, and a key for the new ones."
            )
        factors, mixing = _more_modes(factors, mixing, modes - model.modes, key)
    additive = None if model.additive is None else prolong(model.additive)
    return rebuilt(model, factors=factors, mixing=mixing, additive=additive, axes=tuple(finer))


def _prolonged(axis: Axis, parts: int, degree: int, dtype: Any) -> tuple[Axis, Float[Array, "finer size"]]:
    """An axis with every cell cut into equal parts and the degree raised, and the matrix to it."""
    if parts == 1 and degree == axis.degree:
        return axis, jnp.eye(axis.size, dtype=dtype)
    if axis.family == "patch":
        raise ValueError(
            "refine got a model of patch interpolants, which do not lie in a finer space of their kind; use inf.models.convert, which returns the error."
        )
    if axis.family == "hat" and degree > 1:
        raise ValueError(
            f"refine got degree={degree} for hats; convert the model to splines first: inf.models.convert."
        )
    points = np.asarray(axis.breakpoints)
    spline = BSpline(breakpoints=jnp.asarray(points, dtype), degree=axis.degree)
    matrix = jnp.eye(axis.size, dtype=dtype)
    if degree > axis.degree:
        spline, matrix = spline.elevate(degree - axis.degree)
    if parts > 1:
        spline, inserted = spline.insert(divided(np.asarray(spline.breakpoints, np.float64), parts))
        matrix = inserted @ matrix
    settings = {**dict(axis.settings), "degree": degree} if axis.family == "bspline" else dict(axis.settings)
    return Axis(axis.family, np.asarray(spline.breakpoints, np.float64), settings, maps=axis.maps), matrix


def _more_modes(factors: tuple[Array, ...], mixing: Array | None, number: int, key: PRNGKeyArray):
    """More modes whose product is zero."""
    new = starting_factors(key, number, [factor.shape[1] for factor in factors])
    new = (jnp.zeros_like(new[0]), *new[1:])
    factors = tuple(jnp.concatenate([old, added.astype(old.dtype)]) for old, added in zip(factors, new, strict=True))
    if mixing is not None:
        mixing = jnp.concatenate([mixing, jnp.ones_like(mixing[:, :1]).repeat(number, 1)], 1)
    return factors, mixing
