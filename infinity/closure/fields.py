r"""The algebra of terms on whole arrays: each distinct case is worked out once.

\[ (f \circ a)_i = f(a_i), \qquad \Big(\sum_k a_{ik}\Big)_i = \bigcup_k a_{ik}, \qquad \Big(\prod_k a_{ik}\Big)_i,
\qquad (A B)_{ij} = \bigcup_k A_{ik} \cdot B_{kj}. \]
"""

import math
from collections.abc import Callable

import numpy as np

from .algebra import ONE, ZERO, Algebra
from .packed import Axes, Packed, aligned, expanded, pack, uniform

_WORD = 62
_TABLE = 1 << 22
_MAXIMUM_ROWS = 4096
_MAXIMUM_STEPS = 256


def map_one(function: Callable[[int], int], operand: Packed) -> Packed:
    """Apply a function of one value entry by entry."""
    core = operand.core
    if core.size == 1:
        return Packed(np.full(core.shape, function(int(core.reshape(-1)[0])), np.int32), operand.shape)
    distinct = _distinct(core)
    table = np.zeros(int(distinct[-1]) + 1, np.int32)
    table[distinct] = [function(int(value)) for value in distinct]
    return Packed(table[core], operand.shape)


def map_two(function: Callable[[int, int], int], left: Packed, right: Packed, shape: Axes) -> Packed:
    """Apply a function of two values entry by entry."""
    a, b = aligned(left, len(shape)), aligned(right, len(shape))
    if a.size == 1 and b.size == 1:
        value = function(int(a.reshape(-1)[0]), int(b.reshape(-1)[0]))
        return Packed(np.full((1,) * len(shape), value, np.int32), tuple(shape))
    width = int(b.max()) + 1
    pairs = a.astype(np.int64) * width + b
    distinct = _distinct(pairs)
    values = np.array([function(int(pair) // width, int(pair) % width) for pair in distinct], np.int32)
    if int(distinct[-1]) < _TABLE:
        table = np.zeros(int(distinct[-1]) + 1, np.int32)
        table[distinct] = values
        return Packed(table[pairs], tuple(shape))
    return Packed(values[np.searchsorted(distinct, pairs)], tuple(shape))


def _distinct(values: np.ndarray) -> np.ndarray:
    """Return the distinct values in ascending order."""
    largest = int(values.max())
    if largest < _TABLE and largest < 16 * values.size + 1024:
        present = np.zeros(largest + 1, bool)
        present[values.reshape(-1)] = True
        return np.flatnonzero(present)
    return np.unique(values)


def union_all(algebra: Algebra, *operands: Packed) -> int:
    """Return the union of every entry of every operand."""
    values: set[int] = set()
    for operand in operands:
        if 0 not in operand.shape:
            values.update(int(value) for value in _distinct(operand.core))
    return algebra.union(values)


def join_axes(algebra: Algebra, operand: Packed, axes: Axes, keep: bool = False) -> Packed:
    """Return the union over some axes, which are dropped, or kept with their length and uniform."""
    axes = tuple(sorted(axes))
    kept = [axis for axis in range(len(operand.shape)) if axis not in axes]
    shape = operand.shape if keep else tuple(operand.shape[axis] for axis in kept)
    if any(operand.shape[axis] == 0 for axis in axes) and not keep:
        return uniform(ZERO, shape)
    core = operand.core
    lengths = [1 if axis in axes else core.shape[axis] for axis in range(core.ndim)]
    target = lengths if keep else [core.shape[axis] for axis in kept]
    if all(core.shape[axis] == 1 for axis in axes):
        return Packed(core.reshape(target), shape)
    rows = core.transpose((*kept, *axes)).reshape(math.prod(core.shape[axis] for axis in kept), -1)
    return pack(_row_unions(algebra, rows).reshape(target), shape)


def _row_unions(algebra: Algebra, rows: np.ndarray) -> np.ndarray:
    """Return the union of each row, by sets of bits."""
    distinct = _distinct(rows)
    table = np.zeros(int(distinct[-1]) + 1, np.int64)
    table[distinct] = np.arange(len(distinct))
    place = table[rows]
    words = []
    for start in range(0, len(distinct), _WORD):
        within = (place >= start) & (place < start + _WORD)
        bits = np.where(within, np.int64(1) << np.clip(place - start, 0, _WORD - 1), 0)
        words.append(np.bitwise_or.reduce(bits, axis=1))
    codes = np.stack(words, axis=1)
    first, inverse = _unique_rows(codes)
    values = [algebra.union(int(value) for value in _distinct(rows[row])) for row in first]
    return np.array(values, np.int32)[inverse]


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first place of each distinct row, and which distinct row each row is."""
    if rows.shape[0] == 1 or rows.shape[1] == 0:
        return np.zeros(1, int), np.zeros(rows.shape[0], int)
    if rows.shape[1] == 1:
        _, first, inverse = np.unique(rows[:, 0], return_index=True, return_inverse=True)
        return first, inverse.reshape(-1)
    if (rows == rows[:1]).all():
        return np.zeros(1, int), np.zeros(rows.shape[0], int)
    rows = np.ascontiguousarray(rows)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def product_axes(algebra: Algebra, operand: Packed, axes: Axes) -> Packed:
    """Return the product over some axes, which are dropped."""
    kept = [axis for axis in range(len(operand.shape)) if axis not in axes]
    shape = tuple(operand.shape[axis] for axis in kept)
    if any(operand.shape[axis] == 0 for axis in axes):
        return uniform(ONE, shape)
    core = operand.core
    repeats = math.prod(operand.shape[axis] // core.shape[axis] for axis in axes)
    rows = core.transpose((*kept, *axes)).reshape(*[core.shape[axis] for axis in kept], -1)
    steps = rows.shape[-1]
    if steps > _MAXIMUM_STEPS:
        value = algebra.add(union_all(algebra, operand), ONE)
        return uniform(algebra.power(value, steps * repeats), shape)
    result = Packed(rows[..., 0], shape)
    for step in range(1, steps):
        result = map_two(algebra.multiply, result, Packed(rows[..., step], shape), shape)
    return pack(map_one(lambda value: algebra.power(value, repeats), result).core, shape)


def accumulate(algebra: Algebra, operand: Packed, axis: int, reverse: bool, product: bool) -> Packed:
    """Return running unions or products along one axis."""
    length = operand.shape[axis]
    combine = algebra.multiply if product else algebra.add
    if length == 0 or (not product and operand.core.shape[axis] == 1):
        return operand
    if length > _MAXIMUM_STEPS:
        if not product:
            return join_axes(algebra, map_one(lambda value: algebra.add(value, ONE), operand), (axis,), keep=True)
        joined = join_axes(algebra, operand, (axis,), keep=True)
        return map_one(lambda value: algebra.power(algebra.add(value, ONE), length), joined)
    rows = np.moveaxis(expanded(operand, (axis,)), axis, 0)
    rows = rows[::-1] if reverse else rows
    shape = tuple(size for place, size in enumerate(operand.shape) if place != axis)
    steps = [Packed(np.asarray(rows[0]), shape)]
    for row in rows[1:]:
        steps.append(map_two(combine, steps[-1], Packed(np.asarray(row), shape), shape))
    cores = [step.core for step in steps]
    result = np.stack(cores[::-1] if reverse else cores, axis)
    return pack(result, operand.shape)


def contract(
    algebra: Algebra,
    left: Packed,
    right: Packed,
    contracting: tuple[Axes, Axes],
    batch: tuple[Axes, Axes],
    shape: Axes,
) -> Packed:
    """`lax.dot_general`: unions of products over the contracted axes."""
    if any(left.shape[axis] == 0 for axis in contracting[0]):
        return uniform(ZERO, shape)
    written = [(i, j) for i, j in zip(*contracting, strict=True) if left.core.shape[i] > 1 or right.core.shape[j] > 1]
    a, free_left = _arranged(left, batch[0], contracting[0], [i for i, _ in written])
    b, free_right = _arranged(right, batch[1], contracting[1], [j for _, j in written])
    batches = len(batch[0])
    a = a.reshape(*a.shape[: batches + free_left], *[1] * free_right, a.shape[-1])
    b = b.reshape(*b.shape[:batches], *[1] * free_left, *b.shape[batches:])
    if a.shape[-1] == 1 and b.shape[-1] == 1:
        return map_two(algebra.multiply, Packed(a[..., 0], tuple(shape)), Packed(b[..., 0], tuple(shape)), shape)
    a, first_left, class_left = _row_classes(a)
    b, first_right, class_right = _row_classes(b)
    if len(first_left) * len(first_right) > _MAXIMUM_ROWS:
        a, first_left, class_left = _coarsened(algebra, a, first_left, class_left, len(first_left) >= len(first_right))
        b, first_right, class_right = _coarsened(
            algebra, b, first_right, class_right, len(first_left) * len(first_right) > _MAXIMUM_ROWS
        )

    def dot(one: int, other: int) -> int:
        pairs = np.unique(np.stack([a[first_left[one]], b[first_right[other]]]), axis=1)
        return algebra.union(algebra.multiply(int(x), int(y)) for x, y in pairs.T)

    result = map_two(dot, Packed(class_left, tuple(shape)), Packed(class_right, tuple(shape)), shape)
    return pack(result.core, shape)


def _arranged(operand: Packed, batch: Axes, contracting: Axes, written: Axes) -> tuple[np.ndarray, int]:
    """Return the core with axes in the order batch, free, contracted (those flattened into one)."""
    free = [axis for axis in range(len(operand.shape)) if axis not in batch and axis not in contracting]
    core = expanded(operand, written)
    others = [axis for axis in contracting if axis not in written]
    core = core.transpose((*batch, *free, *others, *written))
    lead = core.shape[: len(batch) + len(free)]
    return core.reshape(*lead, -1), len(free)


def _row_classes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = rows.reshape(-1, rows.shape[-1])
    first, inverse = _unique_rows(flat)
    return flat, first, inverse.reshape(rows.shape[:-1]).astype(np.int32)


def _coarsened(
    algebra: Algebra, rows: np.ndarray, first: np.ndarray, classes: np.ndarray, wanted: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows replaced by their union, column by column: wider, never wrong, and only one case."""
    if not wanted:
        return rows, first, classes
    whole = _row_unions(algebra, np.ascontiguousarray(rows[first].T))
    return whole[None], np.zeros(1, int), np.zeros_like(classes)
