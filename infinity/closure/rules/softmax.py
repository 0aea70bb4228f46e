r"""A quotient in which a common shift cancels.

\[ \frac{e^{z_i - m}}{\sum_j e^{z_j - m}} = \frac{e^{z_i}}{\sum_j e^{z_j}} \qquad \text{for every } m \text{ that is the same for all } j. \]

Softmax subtracts the largest entry before it takes exponentials. Entry by entry that makes it open; as a quotient it does not.
"""

import math
from typing import Any

from ..fields import join_axes
from ..folding import IDENTITIES
from ..interpreter import Interpreter, Scope, Value
from ..packed import Packed
from ..terms import RECIPROCAL
from .elementwise import entire


def shift_invariant_quotient(walk: Interpreter, equation: Any, scope: Scope) -> list[Value]:
    """Recognise the quotient by the equations that made its parts; empty where it is another one."""
    numerator, divisor = equation.invars
    exponential = _made_by(scope, numerator, "exp")
    difference = exponential and _made_by(scope, exponential.invars[0], "sub")
    spread = _made_by(scope, divisor, "broadcast_in_dim", "reshape")
    summed = spread and _made_by(scope, spread.invars[0], "reduce_sum")
    if not difference or not summed or summed.invars[0] is not numerator:
        return []
    shape = tuple(numerator.aval.shape)
    axes = tuple(int(axis) for axis in summed.params["axes"])
    shifted, shift = difference.invars
    value = None if hasattr(shifted, "val") else scope.values.get(shifted)
    if not isinstance(value, Packed) or len(value.shape) != len(shape):
        return []
    if not _restores(spread, axes, shape) or not _constant_along(shift, axes, shape, scope):
        return []
    powers = entire(walk, exponential, value)
    total = join_axes(walk.algebra, powers, axes, keep=True)
    cause = walk.cause(equation, "division by a quantity that depends on the parameter")
    return [walk.multiply(powers, walk.apply(RECIPROCAL, total, cause), shape)]


def _made_by(scope: Scope, variable: Any, *names: str) -> Any:
    found = None if hasattr(variable, "val") else scope.producers.get(variable)
    return found if found is not None and found.primitive.name in names else None


def _restores(spread: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether the sum is put back along the axes it was taken over."""
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    if spread.primitive.name == "broadcast_in_dim" and tuple(spread.params["broadcast_dimensions"]) != kept:
        return False
    restored = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return tuple(spread.outvars[0].aval.shape) in (restored, shape)


def _constant_along(variable: Any, axes: tuple[int, ...], shape: tuple[int, ...], scope: Scope) -> bool:
    """Whether an array is the same along `axes`, by the way it was made."""
    if hasattr(variable, "val"):
        return True
    lengths = tuple(variable.aval.shape)
    if not lengths or (len(lengths) == len(shape) and all(lengths[axis] == 1 for axis in axes)):
        return True
    maker = scope.producers.get(variable)
    while maker is not None and maker.primitive.name in IDENTITIES and len(maker.invars) == 1:
        variable = maker.invars[0]
        maker = None if hasattr(variable, "val") else scope.producers.get(variable)
    if maker is None or maker.primitive.name != "broadcast_in_dim":
        return False
    source = dict(zip(maker.params["broadcast_dimensions"], maker.invars[0].aval.shape, strict=True))
    return all(source.get(axis, 1) == 1 or math.prod(shape) == 0 for axis in axes)
