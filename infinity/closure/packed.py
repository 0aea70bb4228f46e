r"""Arrays that store one entry along every axis on which all entries agree.

\[ a_{i_1 \dots i_n} = c_{\,j_1 \dots j_n}, \qquad j_k = i_k \text{ or } 0. \]

Most abstract values are equal for all samples and all units of a layer, so the analysis of a wide network over
thousands of samples costs as much as that of a narrow one over a single sample, and nothing is lost: where entries
differ, they are stored.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Axes = Sequence[Any]
"""Axes or lengths; JAX gives some of them as NumPy integers."""


class Packed(NamedTuple):
    """An array of `shape`; an axis of `core` has the same length, or length one where all entries agree."""

    core: np.ndarray
    shape: tuple[int, ...]


def uniform(value: Any, shape: Axes, dtype: Any = np.int32) -> Packed:
    """Return the array that holds one value everywhere."""
    return Packed(np.full((1,) * len(shape), value, dtype), tuple(shape))


def full(packed: Packed) -> np.ndarray:
    """Return the array written out (a view where entries repeat)."""
    return np.broadcast_to(packed.core, packed.shape)


def pack(core: np.ndarray, shape: Axes | None = None) -> Packed:
    """Store one entry along each axis on which all entries agree."""
    shape = core.shape if shape is None else tuple(shape)
    if 0 in shape:
        return Packed(np.zeros((1,) * len(shape), core.dtype), shape)
    for axis, length in enumerate(core.shape):
        if length > 1:
            first = core[(slice(None),) * axis + (slice(0, 1),)]
            second = core[(slice(None),) * axis + (slice(1, 2),)]
            if np.array_equal(first, second) and (core == first).all():
                core = first
    return Packed(core, shape)


def aligned(packed: Packed, rank: int) -> np.ndarray:
    """Return the core, a scalar's with as many axes as `rank`."""
    return packed.core if packed.core.ndim == rank else packed.core.reshape((1,) * rank)


def elementwise(function: Callable[..., np.ndarray], shape: Axes, *operands: Packed) -> Packed:
    """Apply a function entry by entry."""
    return Packed(np.asarray(function(*(aligned(operand, len(shape)) for operand in operands))), tuple(shape))


def expanded(packed: Packed, axes: Axes) -> np.ndarray:
    """Return the core with the named axes written out."""
    shape = [packed.shape[axis] if axis in axes else length for axis, length in enumerate(packed.core.shape)]
    return np.broadcast_to(packed.core, shape)


def broadcast(packed: Packed, shape: Axes, dimensions: Iterable[Any]) -> Packed:
    """`lax.broadcast_in_dim`."""
    lengths = [1] * len(shape)
    for source, target in enumerate(dimensions):
        lengths[target] = packed.core.shape[source]
    return Packed(packed.core.reshape(lengths), tuple(shape))


def reshape(packed: Packed, shape: Axes) -> Packed:
    """`lax.reshape`; groups of axes that are uniform stay so."""
    shape = tuple(shape)
    if packed.core.size <= 1 or 0 in shape:
        return Packed(packed.core.reshape((1,) * len(shape)), shape)
    axes, before, after = [], [], []
    for old, new in _groups(packed.shape, shape):
        lengths = [packed.core.shape[axis] for axis in old]
        if all(length == 1 for length in lengths):
            before.append(1)
            after.extend([1] * len(new))
        else:
            axes.extend(old)
            before.append(math.prod(packed.shape[axis] for axis in old))
            after.extend(shape[axis] for axis in new)
    core = np.ascontiguousarray(expanded(packed, axes))
    return pack(core.reshape(before).reshape(after), shape)


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return the finest pairing of consecutive axes of equal total length."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        left = [i] if i < len(old) else []
        right = [j] if j < len(new) else []
        i, j = i + len(left), j + len(right)
        while math.prod(old[k] for k in left) != math.prod(new[k] for k in right):
            if math.prod(old[k] for k in left) < math.prod(new[k] for k in right):
                left.append(i)
                i += 1
            else:
                right.append(j)
                j += 1
        groups.append((left, right))
    return groups


def transpose(packed: Packed, permutation: Axes) -> Packed:
    """`lax.transpose`."""
    return Packed(packed.core.transpose(permutation), tuple(packed.shape[axis] for axis in permutation))


def squeeze(packed: Packed, axes: Axes) -> Packed:
    """`lax.squeeze`."""
    shape = tuple(length for axis, length in enumerate(packed.shape) if axis not in axes)
    lengths = [length for axis, length in enumerate(packed.core.shape) if axis not in axes]
    return Packed(packed.core.reshape(lengths), shape)


def cut(packed: Packed, starts: Axes, limits: Axes, strides: Axes | None = None) -> Packed:
    """`lax.slice`."""
    strides = [1] * len(starts) if strides is None else strides
    shape = tuple(len(range(*triple)) for triple in zip(starts, limits, strides, strict=True))
    keys = tuple(
        slice(None) if length == 1 else slice(start, limit, stride)
        for length, start, limit, stride in zip(packed.core.shape, starts, limits, strides, strict=True)
    )
    return pack(packed.core[keys], shape)


def reverse(packed: Packed, axes: Axes) -> Packed:
    """`lax.rev`."""
    return Packed(np.flip(packed.core, tuple(axes)) if axes else packed.core, packed.shape)


def pad(packed: Packed, value: Any, configuration: Sequence[Any], shape: Axes) -> Packed:
    """`lax.pad`, with negative and interior padding."""
    axes = [axis for axis, entry in enumerate(configuration) if tuple(entry) != (0, 0, 0)]
    if packed.core.size == 1 and packed.core.reshape(()) == value:
        return Packed(packed.core, tuple(shape))
    if 0 in packed.shape:
        return uniform(value, shape, packed.core.dtype)
    core = expanded(packed, axes)
    for axis in axes:
        low, high, interior = configuration[axis]
        length = core.shape[axis] + (core.shape[axis] - 1) * interior
        lengths = list(core.shape)
        lengths[axis] = max(low, 0) + length + max(high, 0)
        result = np.full(lengths, value, core.dtype)
        before = (slice(None),) * axis
        result[(*before, slice(max(low, 0), max(low, 0) + length, interior + 1))] = core
        core = result[(*before, slice(max(-low, 0), lengths[axis] - max(-high, 0)))]
    return pack(core, shape)


def concatenate(operands: Sequence[Packed], axis: int) -> Packed:
    """`lax.concatenate`."""
    shape = list(operands[0].shape)
    shape[axis] = sum(operand.shape[axis] for operand in operands)
    kept = [operand for operand in operands if operand.shape[axis]] or [operands[0]]
    lengths = np.max([operand.core.shape for operand in kept], axis=0)
    cores = []
    for operand in kept:
        target = lengths.copy()
        target[axis] = operand.shape[axis]
        cores.append(np.broadcast_to(operand.core, target))
    if 0 in shape:
        return Packed(kept[0].core[(slice(0, 1),) * len(shape)], tuple(shape))
    return pack(np.concatenate(cores, axis), shape)


def stack(operands: Sequence[Packed], axis: int = 0) -> Packed:
    """Join along a new axis."""

    def lifted(operand: Packed) -> Packed:
        shape = (*operand.shape[:axis], 1, *operand.shape[axis:])
        return Packed(np.expand_dims(operand.core, axis), shape)

    return concatenate([lifted(operand) for operand in operands], axis)


def entry(packed: Packed, index: int) -> Packed:
    """Return the part at `index` along the leading axis."""
    return Packed(np.asarray(packed.core[index if packed.core.shape[0] > 1 else 0]), packed.shape[1:])
