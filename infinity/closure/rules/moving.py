"""Moving entries about: slices, gathers, scatters, sorting.

With known indices the rule moves the abstract entries exactly as the program would.
"""

from typing import Any

import numpy as np

from .. import indexing, packed
from ..algebra import ONE
from ..constants import Constant
from ..fields import join_axes, map_one, product_axes, union_all
from ..folding import STRUCTURAL
from ..interpreter import Interpreter, Rule, Value
from ..packed import Packed, full, pack, uniform
from ..terms import OPAQUE

_MANY = 1 << 22


def _structural(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    move = STRUCTURAL[equation.primitive.name]
    return [move(equation.params, equation.outvars[0].aval, [walk.terms(value) for value in inputs])]


def _split(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand, axis = walk.terms(inputs[0]), int(equation.params["axis"])
    results: list[Value] = []
    start = 0
    for size in equation.params["sizes"]:
        lower = [0] * len(operand.shape)
        upper = list(operand.shape)
        lower[axis], upper[axis] = start, start + size
        results.append(packed.cut(operand, lower, upper))
        start += size
    return results


def _unstack(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand, axis = walk.terms(inputs[0]), int(equation.params["axis"])
    moved = packed.transpose(operand, (axis, *(other for other in range(len(operand.shape)) if other != axis)))
    return [packed.entry(moved, place) for place in range(operand.shape[axis])]


def _tile(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand = walk.terms(inputs[0])
    shape = equation.outvars[0].aval.shape
    axes = [axis for axis, length in enumerate(operand.core.shape) if length > 1 and shape[axis] != operand.shape[axis]]
    return [Packed(join_axes(walk.algebra, operand, axes, keep=True).core, tuple(shape))]


def _chosen(walk: Interpreter, equation: Any, indices: list[Value], results: list[Value], what: str) -> list[Value]:
    """Results reached through indices that may depend on parameters."""
    if any(isinstance(index, Packed) for index in indices):
        return walk.decided(equation, indices, results, f"{what} at an index that depends on the parameter")
    return results


def _gather(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand, indices = walk.terms(inputs[0]), inputs[1]
    aval, params = equation.outvars[0].aval, equation.params
    shape = tuple(aval.shape)
    numbers = params["dimension_numbers"]
    axes = [axis for axis, length in enumerate(operand.core.shape) if length > 1]
    if 0 in shape or 0 in operand.shape:
        return [uniform(ONE, shape)]
    chosen = [
        axis for axis in axes if axis in numbers.start_index_map and params["slice_sizes"][axis] < operand.shape[axis]
    ]
    known = uniform(0, indices.shape)
    if chosen:
        known = indices.packed() if isinstance(indices, Constant) else None
        if known is None:
            operand = join_axes(walk.algebra, operand, chosen, keep=True)
            axes = [axis for axis in axes if axis not in chosen]
            known = uniform(0, indices.shape)
    mode = indexing.out_of_bounds(params["mode"])
    positions = indexing.gather_positions(known, numbers, params["slice_sizes"], operand.shape, axes, mode, len(shape))
    found = indexing.take(operand, positions, axes, shape, ONE)
    return _chosen(walk, equation, [indices], [pack(found.core, shape)], "reading")


def _dynamic_slice(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand, starts = walk.terms(inputs[0]), inputs[1:]
    sizes = equation.params["slice_sizes"]
    lower: list[int] = []
    unknown: list[int] = []
    deciding: list[Value] = []
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        room = operand.shape[axis] - size
        entries = walk.entries(start) if room and operand.core.shape[axis] > 1 else np.zeros(())
        if entries is None:
            unknown.append(axis)
        if room and isinstance(start, Packed):
            deciding.append(start)
        lower.append(0 if entries is None else int(np.clip(int(entries), 0, room)))
    joined = join_axes(walk.algebra, operand, unknown, keep=True)
    found = packed.cut(joined, lower, [start + size for start, size in zip(lower, sizes, strict=True)])
    return _chosen(walk, equation, deciding, [found], "reading")


def _dynamic_update_slice(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    operand, update, starts = walk.terms(inputs[0]), walk.terms(inputs[1]), inputs[2:]
    known = [
        walk.entries(start) if operand.shape[axis] != update.shape[axis] else np.zeros(())
        for axis, start in enumerate(starts)
    ]
    deciding: list[Value] = [start for start in starts if isinstance(start, Packed)]
    if 0 in update.shape:
        return [operand]
    if all(entry is not None for entry in known) and np.prod(operand.shape) <= _MANY:
        result = full(operand).copy()
        lower = [
            int(np.clip(int(entry), 0, length - size))
            for entry, length, size in zip(known, operand.shape, update.shape, strict=True)
            if entry is not None
        ]
        result[tuple(slice(start, start + size) for start, size in zip(lower, update.shape, strict=True))] = full(
            update
        )
        return [pack(result)]
    written = union_all(walk.algebra, update)
    joined = map_one(lambda number: walk.algebra.add(walk.algebra.add(number, written), ONE), operand)
    return _chosen(walk, equation, deciding, [joined], "writing")


def _scatter(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Written, added, multiplied or compared into place; several updates of one place come together."""
    operand, indices, updates = walk.terms(inputs[0]), inputs[1], walk.terms(inputs[2])
    algebra, name = walk.algebra, equation.primitive.name
    adding, multiplying, writing = (
        name in ("scatter-add", "scatter-sub", "scatter_sub"),
        name == "scatter-mul",
        name == "scatter",
    )
    if not (adding or multiplying or writing) or (writing and not _plain(equation)):
        cause = walk.cause(equation, f"{name} has no addition theorem")
        return walk.everywhere(equation, walk.opened(inputs, cause))
    if 0 in updates.shape or 0 in operand.shape:
        return [operand]
    simple = operand.core.size == 1 and updates.core.size == 1 and adding
    known = None
    if (
        isinstance(indices, Constant)
        and not simple
        and np.prod(operand.shape) <= _MANY
        and np.prod(updates.shape) <= _MANY
    ):
        known = indices.packed()
    if known is None:
        written = union_all(algebra, updates)
        if multiplying:
            count = int(np.prod(updates.shape))
            factor = algebra.add(algebra.power(algebra.add(written, ONE), count), ONE)
            joined = map_one(lambda number: algebra.multiply(number, factor), operand)
        else:
            joined = map_one(lambda number: algebra.add(number, written), operand)
        return _chosen(walk, equation, [indices], [joined], "writing")
    mode = indexing.out_of_bounds(equation.params["mode"])
    positions = indexing.scatter_positions(
        known, equation.params["dimension_numbers"], updates.shape, operand.shape, mode
    )
    inside = positions.inside.reshape(-1)
    places, values = positions.flat.reshape(-1)[inside], full(updates).reshape(-1)[inside]
    result = full(operand).copy().reshape(-1)
    order = np.lexsort((values, places))
    places, values = places[order], values[order]
    hit, first = np.unique(places, return_index=True)
    single = np.diff(np.append(first, len(places))) == 1
    _combine(walk, result, hit[single], values[first[single]], adding, multiplying)
    bounds = np.append(first, len(places))
    for place in np.flatnonzero(~single):
        group = [int(value) for value in values[bounds[place] : bounds[place + 1]]]
        if multiplying:
            whole = product_axes(algebra, Packed(np.array(group, np.int32), (len(group),)), (0,)).core.reshape(())
        else:
            whole = algebra.union(group)
        _combine(walk, result, hit[place : place + 1], np.array([whole], np.int32), adding, multiplying)
    return [pack(result.reshape(operand.shape))]


def _combine(
    walk: Interpreter, result: np.ndarray, places: np.ndarray, values: np.ndarray, adding: bool, multiplying: bool
) -> None:
    if not places.size:
        return
    if not (adding or multiplying):
        result[places] = values
        return
    combine = walk.algebra.add if adding else walk.algebra.multiply
    keys, inverse = np.unique(np.stack([result[places], values]), axis=1, return_inverse=True)
    combined = np.array([combine(int(old), int(new)) for old, new in keys.T], np.int32)
    result[places] = combined[inverse.reshape(-1)]


def _plain(equation: Any) -> bool:
    """Whether a scatter only overwrites (`scatter_apply` passes a function)."""
    program = equation.params.get("update_jaxpr")
    return program is None or not getattr(program, "eqns", ())


def _sort(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    axis, keys = equation.params["dimension"], inputs[: equation.params["num_keys"]]
    joined: list[Value] = [join_axes(walk.algebra, walk.terms(value), (axis,), keep=True) for value in inputs]
    if any(isinstance(key, Packed) for key in keys):
        return walk.decided(equation, keys, joined, "an order that depends on the parameter")
    return joined


def _along_axes(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Largest, smallest and where: open in everything along the axes."""
    axes = equation.params["axes"]
    cause = walk.cause(equation, f"{equation.primitive.name} has no addition theorem")
    return [walk.apply(OPAQUE, join_axes(walk.algebra, walk.terms(inputs[0]), axes), cause)]


def _running(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Return running maxima and the like."""
    cause = walk.cause(equation, f"{equation.primitive.name} has no addition theorem")
    joined = join_axes(walk.algebra, walk.terms(inputs[0]), (equation.params["axis"],), keep=True)
    return [walk.apply(OPAQUE, joined, cause)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(STRUCTURAL, _structural),
    "split": _split,
    "unstack": _unstack,
    "tile": _tile,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    **dict.fromkeys(
        ("scatter", "scatter-add", "scatter-sub", "scatter_sub", "scatter-mul", "scatter-min", "scatter-max"), _scatter
    ),
    "sort": _sort,
    **dict.fromkeys(
        ("reduce_max", "reduce_min", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"), _along_axes
    ),
    **dict.fromkeys(("cummax", "cummin", "cumlogsumexp"), _running),
}
