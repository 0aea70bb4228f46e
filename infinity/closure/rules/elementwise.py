r"""Entry by entry: sums, products, quotients, powers and functions of one value.

\[ \exp(a + b x) \in \text{exponential}, \qquad \tanh(a + b x),\ \tfrac{1}{p} \in \text{rational},
\qquad \exp(p) \in \text{reparametrisable},
\qquad |u|,\ \sqrt u,\ \max(u, 0) \in \text{open}. \]
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..algebra import ONE
from ..constants import Constant
from ..fields import map_one
from ..folding import IDENTITIES
from ..interpreter import Interpreter, Rule, Value
from ..packed import Packed, aligned, uniform
from ..terms import ENTIRE, OPAQUE, OPEN, POLYNOMIAL, QUOTIENT, RECIPROCAL

_ENTIRE = ("exp", "exp2", "expm1", "sin", "cos", "sinh", "cosh")
_QUOTIENT = ("tanh", "logistic", "tan")
_LARGEST_POWER = 64
_DIFFICULT = {
    "abs": "absolute value",
    "max": "maximum",
    "min": "minimum",
    "clamp": "clipping",
    "sign": "sign",
    "floor": "rounding",
    "ceil": "rounding",
    "round": "rounding",
    "rem": "remainder",
    "sqrt": "square root",
    "rsqrt": "inverse square root",
    "cbrt": "cube root",
    "log": "logarithm",
    "log1p": "logarithm",
    "log2": "logarithm",
    "eq": "comparison",
    "ne": "comparison",
    "lt": "comparison",
    "le": "comparison",
    "gt": "comparison",
    "ge": "comparison",
    "eq_to": "comparison",
    "lt_to": "comparison",
    "le_to": "comparison",
    "is_finite": "comparison",
    "and": "logical operation",
    "or": "logical operation",
    "xor": "logical operation",
    "not": "logical operation",
}
_OTHERS = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bessel_i0e",
    "bessel_i1e",
    "digamma",
    "erf",
    "erf_inv",
    "erfc",
    "igamma",
    "igammac",
    "igamma_grad_a",
    "lgamma",
    "nextafter",
    "polygamma",
    "regularized_incomplete_beta",
    "zeta",
    "population_count",
    "clz",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "random_gamma_grad",
    "mulhi",
]


def _shape(equation: Any) -> tuple[int, ...]:
    return tuple(equation.outvars[0].aval.shape)


def _add(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [walk.add(walk.terms(inputs[0]), walk.terms(inputs[1]), _shape(equation))]


def _multiply(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [walk.multiply(walk.terms(inputs[0]), walk.terms(inputs[1]), _shape(equation))]


def _same(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return list(inputs)


def _first(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [inputs[0]]


def _stop_gradient(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    walk.assume(
        "stop_gradient is taken for the identity: the verdict is on values, not on the derivatives that JAX would give",
        equation,
    )
    return [inputs[0]]


def _reciprocal(walk: Interpreter, equation: Any, divisor: Value) -> Packed:
    """1/u, where u may depend on parameters."""
    if isinstance(divisor, Constant):
        return uniform(ONE, divisor.shape)
    walk.assume("A divisor that depends on parameters does not vanish", equation)
    return walk.apply(RECIPROCAL, divisor, walk.cause(equation, "division by a quantity that depends on the parameter"))


def _divide(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [walk.multiply(walk.terms(inputs[0]), _reciprocal(walk, equation, inputs[1]), _shape(equation))]


def _power(walk: Interpreter, value: Packed, exponent: int) -> Packed:
    return map_one(lambda number: walk.algebra.power(number, exponent), value)


def _integer_power(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    exponent = int(equation.params["y"])
    power = _power(walk, walk.terms(inputs[0]), abs(exponent))
    return [power if exponent >= 0 else _reciprocal(walk, equation, power)]


def _square(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [_power(walk, walk.terms(inputs[0]), 2)]


def _one_minus_square(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [map_one(lambda number: walk.algebra.add(ONE, walk.algebra.power(number, 2)), walk.terms(inputs[0]))]


def _polynomial(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    r"""Horner's rule: \( a_0 + x (a_1 + x (a_2 + \dots)) \)."""
    value, *coefficients = (walk.terms(one) for one in inputs)
    shape = _shape(equation)
    result = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = walk.add(coefficient, walk.multiply(result, value, shape), shape)
    return [result]


def _general_power(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    base, exponent = inputs
    shape = _shape(equation)
    if isinstance(base, Constant) and isinstance(exponent, Packed):
        walk.assume("The constant base of a power is positive", equation)
        return [walk.add(entire(walk, equation, exponent), uniform(ONE, base.shape), shape)]
    known = exponent.packed() if isinstance(exponent, Constant) else None
    if known is not None and known.core.size:
        values = np.unique(known.core)
        if len(values) == 1 and float(values[0]).is_integer() and abs(float(values[0])) <= _LARGEST_POWER:
            power = _power(walk, walk.terms(base), abs(int(values[0])))
            return [power if values[0] >= 0 else _reciprocal(walk, equation, power)]
    return _opaque(walk, equation, inputs)


def entire(walk: Interpreter, equation: Any, value: Packed) -> Packed:
    """Apply an exponential, a sine or a hyperbolic sine."""
    return map_one(lambda number: walk.algebra.apply(ENTIRE, number, _lifting_cause(walk, equation, number)), value)


def _lifting_cause(walk: Interpreter, equation: Any, number: int) -> int:
    """Why a function of this value is not closed, in words."""
    name = equation.primitive.name
    kinds = {term.joint.kind for term in walk.algebra.sets[number]}
    if kinds == {POLYNOMIAL}:
        degree = max(term.joint.degree for term in walk.algebra.sets[number])
        if degree <= 1:
            return walk.cause(equation, f"{name} of an affine expression")
        return walk.cause(
            equation,
            f"{name} of a polynomial of degree {degree}; reparametrisable: with the polynomial's own coefficients as "
            "parameters it is closed",
        )
    inner = "an expression that is open already" if OPEN in kinds else "an expression that is no polynomial"
    return walk.cause(equation, f"{name} of {inner}")


def _function(kind: str) -> Rule:
    def rule(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
        value = walk.terms(inputs[0])
        return [map_one(lambda number: walk.algebra.apply(kind, number, _lifting_cause(walk, equation, number)), value)]

    return rule


def _opaque(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Open in everything that flows in, entry by entry."""
    name = equation.primitive.name
    words = f" ({_DIFFICULT[name]})" if name in _DIFFICULT else ""
    cause = walk.cause(equation, f"{name}{words} has no addition theorem")
    shape = _shape(equation)
    whole = walk.terms(inputs[0])
    for value in inputs[1:]:
        whole = walk.add(whole, walk.terms(value), shape)
    return [walk.apply(OPAQUE, Packed(aligned(whole, len(shape)), shape), cause)]


def _convert(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    if not jnp.issubdtype(equation.params["new_dtype"], jnp.inexact):
        cause = walk.cause(equation, "conversion to whole numbers or booleans is piecewise constant")
        return [walk.apply(OPAQUE, walk.terms(inputs[0]), cause)]
    return [inputs[0]]


def _complex_part(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    walk.assume("Complex numbers are pairs of real ones: affine means affine over the reals")
    return [inputs[0]]


def _select(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    which, *cases = inputs
    shape = _shape(equation)
    terms = [walk.terms(case) for case in cases]
    if isinstance(which, Packed):
        cause = walk.cause(equation, "a choice that depends on the parameter (where, a comparison)")
        union = terms[0]
        for case in terms[1:]:
            union = walk.add(union, case, shape)
        chooser = walk.apply(OPAQUE, which, cause)
        widened = map_one(lambda number: walk.algebra.add(number, ONE), union)
        return [walk.multiply(widened, chooser, shape)]
    if all(case.core.size == 1 for case in terms) and len({int(case.core.reshape(())) for case in terms}) == 1:
        return [terms[0]]
    known = which.packed()
    if known is None:
        union = terms[0]
        for case in terms[1:]:
            union = walk.add(union, case, shape)
        return [union]
    selector = aligned(known, len(shape))
    core = np.select([selector == place for place in range(len(terms))], [aligned(case, len(shape)) for case in terms])
    return [Packed(core.astype(np.int32), shape)]


RULES: dict[str, Rule] = {
    "add": _add,
    "add_any": _add,
    "sub": _add,
    "complex": _add,
    "mul": _multiply,
    "neg": _first,
    "real": _complex_part,
    "imag": _complex_part,
    "conj": _complex_part,
    "div": _divide,
    "integer_pow": _integer_power,
    "square": _square,
    "one_minus_square": _one_minus_square,
    "polynomial": _polynomial,
    "pow": _general_power,
    "convert_element_type": _convert,
    "select_n": _select,
    "select_if_vmap": lambda walk, equation, inputs: _select(walk, equation, [inputs[0], inputs[2], inputs[1]]),
    **{name: _function(ENTIRE) for name in _ENTIRE},
    **{name: _function(QUOTIENT) for name in _QUOTIENT},
    **dict.fromkeys((*_DIFFICULT, *_OTHERS), _opaque),
    **dict.fromkeys(IDENTITIES, _same),
    "stop_gradient": _stop_gradient,
}
