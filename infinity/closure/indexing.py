r"""Where `gather` and `scatter` read and write: positions in the flattened operand.

\[ \text{out}[b, w] = \text{operand}\Big[\textstyle\sum_d s_d\,\big(\text{start}_d(b) + \text{offset}_d(w)\big)\Big] \]

with batch b, window w and strides s. Axes on which the operand is uniform drop out of the sum, and with them the
indices that only choose along those.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .packed import Axes, Packed


class Positions(NamedTuple):
    """Flat positions (axes of length one broadcast) and which of them lie inside."""

    flat: np.ndarray
    inside: np.ndarray


def gather_positions(
    indices: Packed,
    dimension_numbers: Any,
    slice_sizes: Axes,
    shape: Axes,
    axes: Axes,
    mode: str,
    rank: int,
) -> Positions:
    """Positions read by a gather from an operand of `shape`, counted along `axes` only, for a result of `rank` axes."""
    numbers = dimension_numbers
    window_axes = [
        axis
        for axis in range(len(shape))
        if axis not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    ]
    offsets = dict(zip(window_axes, numbers.offset_dims, strict=True))
    batches = [axis for axis in range(rank) if axis not in numbers.offset_dims]
    return _positions(
        indices,
        batches,
        offsets,
        dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)),
        numbers.start_index_map,
        slice_sizes,
        shape,
        axes,
        mode,
        rank,
    )


def scatter_positions(
    indices: Packed, dimension_numbers: Any, updates_shape: Axes, shape: Axes, mode: str
) -> Positions:
    """Positions written by a scatter into an operand of `shape`, one for each entry of the updates."""
    numbers = dimension_numbers
    window_axes = [
        axis
        for axis in range(len(shape))
        if axis not in (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    ]
    offsets = dict(zip(window_axes, numbers.update_window_dims, strict=True))
    sizes = [updates_shape[offsets[axis]] if axis in offsets else 1 for axis in range(len(shape))]
    batches = [axis for axis in range(len(updates_shape)) if axis not in numbers.update_window_dims]
    found = _positions(
        indices,
        batches,
        offsets,
        dict(zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True)),
        numbers.scatter_dims_to_operand_dims,
        sizes,
        shape,
        range(len(shape)),
        mode,
        len(updates_shape),
    )
    return Positions(np.broadcast_to(found.flat, updates_shape), np.broadcast_to(found.inside, updates_shape))


def _positions(
    indices: Packed,
    batches: Axes,
    offsets: dict[int, Any],
    batching: dict[int, Any],
    index_map: Axes,
    sizes: Axes,
    shape: Axes,
    axes: Axes,
    mode: str,
    rank: int,
) -> Positions:
    lengths = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]
    strides = [math.prod(lengths[axis + 1 :]) for axis in range(len(shape))]
    flat = np.zeros((1,) * rank, np.int64)
    inside = np.ones((1,) * rank, bool)
    vectors = np.broadcast_to(indices.core, (*indices.core.shape[:-1], indices.shape[-1]))
    for place, axis in enumerate(index_map):
        if axis not in axes:
            continue
        start = vectors[..., place].astype(np.int64)
        last = shape[axis] - sizes[axis]
        target = [1] * rank
        for batch, length in zip(batches, start.shape, strict=True):
            target[batch] = length
        start = start.reshape(target)
        if mode == "drop":
            inside = inside & (start >= 0) & (start <= last)
        flat = flat + strides[axis] * np.clip(start, 0, max(last, 0))
    for axis, batch in batching.items():
        if axis in axes:
            target = [1] * rank
            target[batches[batch]] = shape[axis]
            flat = flat + strides[axis] * np.arange(shape[axis]).reshape(target)
    for axis, output in offsets.items():
        if axis in axes:
            target = [1] * rank
            target[output] = sizes[axis]
            flat = flat + strides[axis] * np.arange(sizes[axis]).reshape(target)
    return Positions(flat, inside)


def out_of_bounds(mode: Any) -> str:
    """Return what happens to an index outside: `"clip"` or `"drop"` (the entry is filled or not written)."""
    return "drop" if "FILL" in str(mode) else "clip"


def take(operand: Packed, positions: Positions, axes: Axes, shape: Axes, fill: Any) -> Packed:
    """Read the operand at positions that count along `axes` only; entries outside hold `fill`."""
    keys = tuple(slice(None) if axis in axes else slice(0, 1) for axis in range(len(operand.shape)))
    source = np.broadcast_to(
        operand.core,
        [operand.shape[axis] if axis in axes else operand.core.shape[axis] for axis in range(len(operand.shape))],
    )[keys].reshape(-1)
    core = source[positions.flat] if source.size else np.full(positions.flat.shape, fill, operand.core.dtype)
    if not positions.inside.all():
        core = np.where(positions.inside, core, np.asarray(fill, core.dtype))
    return Packed(core, tuple(shape))
