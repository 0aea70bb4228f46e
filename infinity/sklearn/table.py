r"""A table as the estimators fit it: distinct rows with their weights, inputs on the unit box, targets of mean zero and variance one.

    t = (x - lower) / (upper - lower),    z = (y - shift) / scale

A weight counts measurements, so rows that are equal in all inputs and targets are one row with the sum of their weights, and rows of weight zero are none.
The rows are sorted. A fit therefore depends neither on the order of the rows nor on whether a row is repeated or weighted.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..fitting.rows import distinct_rows


class Table(NamedTuple):
    """**Fields:** the rows `t`, `z` and `weights`; which input `columns` are kept, and whether they vary; which targets vary; the scaling."""

    t: Float[np.ndarray, "n K"]
    z: Float[np.ndarray, "n O"]
    weights: Float[np.ndarray, " n"]
    columns: Int[np.ndarray, " K"]
    any_input: bool
    varying: Bool[np.ndarray, " O"]
    lower: Float[np.ndarray, " K"]
    upper: Float[np.ndarray, " K"]
    shift: Float[np.ndarray, " O"]
    scale: Float[np.ndarray, " O"]

    @property
    def measurements(self) -> float:
        """What counts as the number of rows: no more than the sum of the weights, and no more than there are distinct rows."""
        return min(float(len(self.t)), float(self.weights.sum()))


def checked_weights(sample_weight: Any, rows: int) -> Float[np.ndarray, " N"]:
    """One weight a row; ones for nothing.

    **Raises:** `ValueError` for a wrong shape, negative or infinite numbers, and weights too small to count as two measurements.
    """
    if sample_weight is None:
        return np.ones(rows)
    weights = np.asarray(sample_weight, np.float64)
    weights = np.full(rows, weights) if weights.ndim == 0 else weights
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight has shape {weights.shape}; expected ({rows},), one number for each row")
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ValueError(f"sample_weight of row {bad[0] + 1} is {weights[bad[0]]}; expected a number of at least 0")
    if not weights.any():
        raise ValueError("every sample_weight is zero; give some row a positive weight")
    if weights.sum() < 2:
        raise ValueError(
            f"sample_weight sums to {weights.sum():g}; a weight counts measurements and a fit needs two. "
            "Multiply the weights, so that their mean is one for relative weights"
        )
    return weights


def prepare(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]) -> Table:
    """Merge, sort and scale a table; constant inputs are left out, and if there are no others the first stays, on a box around it."""
    kept = weights > 0
    x, y, weights = x[kept] + 0.0, y[kept] + 0.0, weights[kept]
    first, weights = distinct_rows(x, y, weights)
    x, y = x[first], y[first]
    varies = (x != x[0]).any(axis=0)
    any_input = bool(varies.any())
    columns = np.flatnonzero(varies) if any_input else np.array([0])
    x = x[:, columns]
    lower, upper = x.min(axis=0), x.max(axis=0)
    if not any_input:
        half = 0.5 * np.maximum(1.0, np.abs(lower))
        lower, upper = lower - half, upper + half
    varying = (y != y[0]).any(axis=0)
    shift = np.where(varying, np.average(y, axis=0, weights=weights), y[0])
    scale = np.where(varying, np.sqrt(np.average((y - shift) ** 2, axis=0, weights=weights)), 1.0)
    scale = np.where(scale > 0, scale, 1.0)
    return Table(
        (x - lower) / (upper - lower),
        (y - shift) / scale,
        weights,
        columns,
        any_input,
        varying,
        lower,
        upper,
        shift,
        scale,
    )
