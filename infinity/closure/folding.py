"""Constant folding on the host for the operations that indices, choices and counters are made of.

Only operations whose result is the same to the last bit on any device are here; everything else is evaluated by JAX
itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import indexing, packed
from .packed import Packed, elementwise, expanded, uniform

Fold = Callable[[Any, Any, Sequence[Packed]], Packed | None]


def _entrywise(function: Callable[..., np.ndarray]) -> Fold:
    def rule(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed:
        result = elementwise(function, aval.shape, *operands)
        return Packed(result.core.astype(aval.dtype, copy=False), result.shape)

    return rule


def _exact(function: Callable[..., np.ndarray], kinds: str) -> Fold:
    """Entrywise on the kinds of dtype for which NumPy and XLA agree to the last bit."""
    entrywise = _entrywise(function)

    def rule(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
        return (
            entrywise(params, aval, operands) if all(operand.core.dtype.kind in kinds for operand in operands) else None
        )

    return rule


def _convert(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    core = operands[0].core
    if core.dtype.kind not in "biuf" or np.dtype(aval.dtype).kind not in "biuf":
        return None
    if core.dtype.kind == "f" and np.dtype(aval.dtype).kind in "iu":
        limits = np.iinfo(aval.dtype)
        if not (np.isfinite(core).all() and (core > limits.min).all() and (core < limits.max).all()):
            return None
    return Packed(core.astype(aval.dtype), operands[0].shape)


def _divide(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    left, right = operands
    if left.core.dtype.kind == "f":
        return _entrywise(np.divide)(params, aval, operands)
    if left.core.dtype.kind != "i" or (right.core == 0).any():
        return None
    return _entrywise(lambda a, b: np.where(a % b == 0, a // b, a // b + ((a < 0) != (b < 0))))(params, aval, operands)


def _remainder(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    if operands[1].core.dtype.kind != "f" and (operands[1].core == 0).any():
        return None
    return _entrywise(np.fmod)(params, aval, operands)


def _select(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed:
    which, *cases = operands

    def choose(index: np.ndarray, *values: np.ndarray) -> np.ndarray:
        return np.select([index == place for place in range(len(values))], list(values))

    return elementwise(choose, aval.shape, which, *cases)


def _iota(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed:
    lengths = [1] * len(aval.shape)
    lengths[params["dimension"]] = aval.shape[params["dimension"]]
    if 0 in aval.shape:
        return uniform(0, aval.shape, aval.dtype)
    return Packed(np.arange(aval.shape[params["dimension"]], dtype=aval.dtype).reshape(lengths), aval.shape)


def _reduction(function: Callable[..., np.ndarray], exact_floats: bool) -> Fold:
    def rule(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
        operand, axes = operands[0], tuple(params["axes"])
        if 0 in operand.shape or (operand.core.dtype.kind not in "biu" and not exact_floats):
            return None
        if function is np.add.reduce:
            return Packed(np.asarray(function(expanded(operand, axes), axes), aval.dtype), aval.shape)
        return Packed(np.asarray(function(operand.core, axes), aval.dtype), aval.shape)

    return rule


def _cumulative_sum(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    operand, axis = operands[0], params["axis"]
    if operand.core.dtype.kind not in "iu" or 0 in operand.shape:
        return None
    core = expanded(operand, (axis,))
    core = np.flip(core, axis) if params["reverse"] else core
    core = np.cumsum(core, axis, dtype=aval.dtype)
    return Packed(np.flip(core, axis) if params["reverse"] else core, aval.shape)


def _gather(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    operand, indices = operands
    mode = indexing.out_of_bounds(params["mode"])
    axes = range(len(operand.shape))
    positions = indexing.gather_positions(
        indices, params["dimension_numbers"], params["slice_sizes"], operand.shape, axes, mode, len(aval.shape)
    )
    if not positions.inside.all():
        return None
    return packed.pack(indexing.take(operand, positions, axes, aval.shape, 0).core, aval.shape)


def _dynamic_slice(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed:
    operand, *starts = operands
    sizes = params["slice_sizes"]
    lower = [
        int(np.clip(int(start.core.reshape(())), 0, length - size))
        for start, length, size in zip(starts, operand.shape, sizes, strict=True)
    ]
    return packed.cut(operand, lower, [start + size for start, size in zip(lower, sizes, strict=True)])


def _integer_power(params: Any, aval: Any, operands: Sequence[Packed]) -> Packed | None:
    if params["y"] != 2:
        return None
    return _entrywise(np.square)(params, aval, operands)


STRUCTURAL: dict[str, Callable[[Any, Any, Sequence[Packed]], Packed]] = {
    "broadcast_in_dim": lambda params, aval, operands: packed.broadcast(
        operands[0], aval.shape, params["broadcast_dimensions"]
    ),
    "reshape": lambda params, aval, operands: packed.reshape(operands[0], aval.shape),
    "transpose": lambda params, aval, operands: packed.transpose(operands[0], params["permutation"]),
    "squeeze": lambda params, aval, operands: packed.squeeze(operands[0], params["dimensions"]),
    "expand_dims": lambda params, aval, operands: packed.reshape(operands[0], aval.shape),
    "slice": lambda params, aval, operands: packed.cut(
        operands[0], params["start_indices"], params["limit_indices"], params["strides"]
    ),
    "rev": lambda params, aval, operands: packed.reverse(operands[0], params["dimensions"]),
    "concatenate": lambda params, aval, operands: packed.concatenate(operands, int(params["dimension"])),
    "stack": lambda params, aval, operands: packed.stack(operands, int(params["axis"])),
    "pad": lambda params, aval, operands: packed.pad(
        operands[0], operands[1].core.reshape(()), params["padding_config"], aval.shape
    ),
}
"""Operations that move entries about: the same on constants and on abstract values."""

IDENTITIES = frozenset(
    (
        "copy",
        "copy_p",
        "stop_gradient",
        "name",
        "reduce_precision",
        "optimization_barrier",
        "device_put",
        "sharding_constraint",
        "pvary",
        "mesh_cast",
        "reshard",
        "layout_constraint",
        "nontraceable",
        "nonbatchable",
        "nondifferentiable",
        "nondifferentiable_backward",
    )
)
"""Operations that return what they are given, at least to rounding."""

_FOLDS: dict[str, Fold] = {
    "add": _exact(np.add, "biuf"),
    "add_any": _exact(np.add, "biuf"),
    "sub": _exact(np.subtract, "iuf"),
    "mul": _exact(np.multiply, "biuf"),
    "div": _divide,
    "rem": _remainder,
    "neg": _exact(np.negative, "if"),
    "max": _exact(np.maximum, "biuf"),
    "min": _exact(np.minimum, "biuf"),
    "abs": _exact(np.abs, "iuf"),
    "sign": _exact(np.sign, "iuf"),
    "floor": _exact(np.floor, "f"),
    "ceil": _exact(np.ceil, "f"),
    "square": _exact(np.square, "iuf"),
    "integer_pow": _integer_power,
    "is_finite": _exact(np.isfinite, "f"),
    "eq": _exact(np.equal, "biuf"),
    "ne": _exact(np.not_equal, "biuf"),
    "lt": _exact(np.less, "biuf"),
    "le": _exact(np.less_equal, "biuf"),
    "gt": _exact(np.greater, "biuf"),
    "ge": _exact(np.greater_equal, "biuf"),
    "and": _exact(np.bitwise_and, "biu"),
    "or": _exact(np.bitwise_or, "biu"),
    "xor": _exact(np.bitwise_xor, "biu"),
    "not": _exact(np.bitwise_not, "biu"),
    "clamp": _exact(lambda low, value, high: np.minimum(np.maximum(value, low), high), "iuf"),
    "select_n": _select,
    "convert_element_type": _convert,
    "iota": _iota,
    "reduce_sum": _reduction(np.add.reduce, False),
    "reduce_max": _reduction(np.maximum.reduce, True),
    "reduce_min": _reduction(np.minimum.reduce, True),
    "reduce_and": _reduction(np.bitwise_and.reduce, False),
    "reduce_or": _reduction(np.bitwise_or.reduce, False),
    "cumsum": _cumulative_sum,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    **STRUCTURAL,
    **{
        name: (lambda params, aval, operands: operands[0])
        for name in IDENTITIES - {"optimization_barrier", "device_put", "reduce_precision"}
    },
}


def foldable(equation: Any) -> bool:
    """Whether the host can fold this equation without JAX."""
    return equation.primitive.name in _FOLDS


def fold(equation: Any, operands: Sequence[Packed]) -> list[Packed] | None:
    """Return the results on the host, or None if JAX has to evaluate the equation."""
    rule = _FOLDS.get(equation.primitive.name)
    if rule is None or len(equation.outvars) != 1:
        return None
    if any(operand.core.dtype.kind not in "biufc" for operand in operands):
        return None
    with np.errstate(all="ignore"):
        result = rule(equation.params, equation.outvars[0].aval, operands)
    return None if result is None else [result]


def zero_mask(value: Packed) -> np.ndarray:
    """Where a constant vanishes."""
    return np.asarray(value.core == 0)
