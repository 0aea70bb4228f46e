r"""Cells: the intervals between neighbouring breakpoints.

cell k = [x_k, x_{k+1}),    the last one closed;    outside the domain the first and the last cell go on
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import TracerArrayConversionError
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

_COUNTED = 64  # up to here, comparing with every breakpoint is faster than a binary search


def locate(breakpoints: Float[Array, " cells_plus_one"], t: Float[Array, ""]) -> Int[Array, ""]:
    """Find the cell that holds `t`: never one of length zero, and never out of range.

    **Arguments:** sorted `breakpoints` of shape `(cells + 1,)`, whose ends are not repeated, and a point `t` of shape
    `()`.

    **Returns:** the index `k` in `0 .. cells - 1`, int32, shape `()`.
    """
    interior = breakpoints[1:-1]
    if interior.shape[0] <= _COUNTED:
        return jnp.sum(interior <= t, dtype=jnp.int32)
    return jnp.searchsorted(interior, t, side="right", method="scan_unrolled").astype(jnp.int32)


def as_point(t: Real[ArrayLike, ""], breakpoints: Float[Array, " cells_plus_one"]) -> Float[Array, ""]:
    """Make `t` an array of a floating type: its own, or that of the breakpoints for a plain number or an integer."""
    point = jnp.asarray(t)
    plain = isinstance(t, int | float) and not isinstance(t, np.generic)
    if plain or not jnp.issubdtype(point.dtype, jnp.floating):
        return point.astype(breakpoints.dtype)
    return point


def known(x: Real[ArrayLike, "..."] | list | tuple) -> Float[np.ndarray, "..."] | None:
    """Fetch the values of `x` in float64, or `None` while it is being traced."""
    try:
        return np.asarray(x).astype(np.float64)
    except TracerArrayConversionError:
        return None


def checked(breakpoints: Real[ArrayLike, "..."] | list | tuple, multiplicity: int) -> Float[Array, " points"]:
    """Make breakpoints a floating array, checked on the host unless they are traced.

    **Arguments:** `breakpoints`, and `multiplicity`, how often an interior one may be repeated.

    **Raises:** `ValueError` as `validate` does.
    """
    given = jnp.asarray(breakpoints)
    dtype = jnp.result_type(given, 1.0)
    values = known(breakpoints)
    if values is None:
        return given.astype(dtype)
    rounded = values.astype(dtype)
    validate(rounded, multiplicity)
    with jax.ensure_compile_time_eval():  # known numbers stay known inside jit, so that refinement works there
        return jnp.asarray(rounded)


def validate(breakpoints: Real[np.ndarray, "..."], multiplicity: int) -> None:
    """Refuse breakpoints that no basis can stand on.

    **Arguments:** `breakpoints` and `multiplicity`, how often an interior one may be repeated.

    **Raises:** `ValueError` unless they are one-dimensional, finite, sorted, at least two, with single ends, and no
    interior one is repeated more often than allowed.
    """
    if breakpoints.ndim != 1 or breakpoints.shape[0] < 2:
        raise ValueError(
            f"breakpoints have shape {breakpoints.shape}; expected one dimension and at least two of them. "
            "Pass a sorted array such as [0.0, 0.5, 1.0]."
        )
    if not np.all(np.isfinite(breakpoints)):
        place = int(np.flatnonzero(~np.isfinite(breakpoints))[0])
        raise ValueError(f"breakpoint {place} is {breakpoints[place]}; expected finite numbers. Remove or replace it.")
    gaps = np.diff(breakpoints)
    if np.any(gaps < 0):
        place = int(np.flatnonzero(gaps < 0)[0])
        raise ValueError(
            f"breakpoint {place + 1} ({breakpoints[place + 1]}) is below breakpoint {place} ({breakpoints[place]}); "
            "expected rising order. Sort them first."
        )
    if gaps[0] == 0 or gaps[-1] == 0:
        end = breakpoints[0] if gaps[0] == 0 else breakpoints[-1]
        raise ValueError(
            f"the domain's end {end} is given more than once; expected each end once. "
            "Ends are clamped already: give them once and a domain of positive length."
        )
    values, counts = np.unique(breakpoints, return_counts=True)
    if counts.max() > multiplicity:
        worst = int(np.argmax(counts))
        raise ValueError(
            f"breakpoint {values[worst]} is given {counts[worst]} times; expected at most {multiplicity} times at "
            "this degree. Remove repetitions or raise the degree."
        )
