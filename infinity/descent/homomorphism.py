r"""Resummation of a traced program, operation by operation.

    exp(t D) (u + v) = exp(t D) u + exp(t D) v,    exp(t D) (u v) = (exp(t D) u) (exp(t D) v),    exp(t D) f(u) = f(exp(t D) u)

with `D = delta . d` the derivative along the direction: the Taylor tower of a sum, a product or a function is the sum, product or function of the towers,
so that the sum of the whole tower is found level by level (Batley and Saha, arXiv:2510.05489; our reading). What is left of a level is data at the base point:

    polynomial          c_0 + c_1 t + ... + c_d t^d,          the tower ends by itself
    exp(a + b t)        E e^{bt},                             E = e^a
    sin, cos(a + b t)   S cos bt + C sin bt, C cos bt - S sin bt,    S = sin a, C = cos a
    tanh, 1/u, ...      the function of the resummed argument, which by its addition theorem is a quotient of such sums

The addition theorems of hyperbolic functions are not evaluated as they stand: `(T + tanh bt) / (1 + T tanh bt)` has no digits left where a large step
meets a large argument, the function of `a + b t` has all of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..closure import jax_internals
from .directions import Along
from .tower import horner, tower_of

# A polynomial of higher degree is cheaper as the product of its factors.
_HIGHEST_DEGREE = 32
_CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "checkpoint"}
_CALLS |= {"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}
# Linear in all operands that move together; the others are indices or predicates.
_LINEAR = {"add", "sub", "add_any", "neg", "real", "imag", "reduce_sum", "cumsum", "reduce_window_sum", "reshape"}
_LINEAR |= {"squeeze", "broadcast_in_dim", "expand_dims", "transpose", "rev", "slice", "split", "pad", "concatenate"}
_LINEAR |= {"copy", "copy_p"}
# The places of the operands in which an operation is linear while the others stay.
_LINEAR_IN = {
    "gather": {0},
    "dynamic_slice": {0},
    "dynamic_update_slice": {0, 1},
    "scatter-add": {0, 2},
    "div": {0},
    "select_n": None,
}
_BILINEAR = frozenset({"mul", "dot_general", "conv_general_dilated"})


class Series(NamedTuple):
    """A value that is a polynomial in `t`: its coefficients, lowest first."""

    coefficients: tuple[Any, ...]


class Place(NamedTuple):
    """A value that is known once `t` is: `kind` is `"data"` (a constant), `"series"` or `"result"`, `number` its place among those."""

    kind: str
    number: int


class Step(NamedTuple):
    """One operation to be done for each `t`: the places of its operands, where its results go, and what it does with the operands."""

    operands: tuple[Place, ...]
    apply: Callable[..., list[Any]]


class Program:
    """What has to be computed for each `t`, from data at the base point.

    **Fields:** `steps` in order; `outputs`, the places of the results. The data are kept apart, so that a program is static and its data are arrays.
    """

    def __init__(self, steps: tuple[Step, ...], outputs: tuple[Place, ...]):
        self.steps, self.outputs = steps, outputs

    def run(self, data: Sequence[Any], series: Sequence[Any], t: Any) -> list[Any]:
        """The outputs at `t`."""
        values: dict[Place, Any] = {Place("data", index): array for index, array in enumerate(data)}

        def read(place: Place) -> Any:
            if place not in values:
                values[place] = horner(series[place.number], t)
            return values[place]

        count = 0
        for step in self.steps:
            for result in step.apply(t, *(read(place) for place in step.operands)):
                values[Place("result", count)] = result
                count += 1
        return [read(place) for place in self.outputs]


class Resummation:
    """One walk over a traced program in `t`. A value is an array, a `Series`, or the `Place` of a result that needs `t`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.data: list[Any] = []
        self.series: list[Any] = []
        # The name and the slope `b` of each exponential, sine and cosine of something affine.
        self.atoms: list[tuple[str, Any]] = []
        self._places: dict[int, tuple[Any, Place]] = {}
        self._results = 0

    def place(self, value: Any) -> Place:
        """Where a value will be found for each `t`; arrays and series become data."""
        if isinstance(value, Place):
            return value
        known = self._places.get(id(value))
        if known is None:
            if isinstance(value, Series):
                self.series.append(jnp.stack(value.coefficients))
                place = Place("series", len(self.series) - 1)
            else:
                self.data.append(value)
                place = Place("data", len(self.data) - 1)
            known = self._places[id(value)] = (value, place)
        return known[1]

    def defer(self, operands: Sequence[Any], results: int, apply: Callable[..., list[Any]]) -> list[Any]:
        """Leave an operation until `t` is known."""
        self.steps.append(Step(tuple(self.place(value) for value in operands), apply))
        first, self._results = self._results, self._results + results
        return [Place("result", first + number) for number in range(results)]

    def run(self, program: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Walk a program; **returns** the values of its results."""
        scope = dict(zip(program.constvars, constants, strict=True))
        scope.update(zip(program.invars, arguments, strict=True))
        literal = lambda atom: jnp.asarray(atom.val, atom.aval.dtype)
        read = lambda atom: literal(atom) if isinstance(atom, jax_internals.Literal) else scope[atom]
        for equation in program.eqns:
            results = self.equation(equation, [read(atom) for atom in equation.invars])
            scope.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in program.outvars]

    def equation(self, equation: Any, values: list[Any]) -> list[Any]:
        """The values of the results of one operation."""
        moving = {place for place, value in enumerate(values) if isinstance(value, Series | Place)}
        if not moving:
            return jax_internals.bind(equation, values)
        name = equation.primitive.name
        called = jax_internals.sub_program(equation) if name in _CALLS else None
        if called is not None:
            return self.run(called[0], called[1], values)
        if all(isinstance(values[place], Series) for place in moving):
            found = self._polynomial(equation, name, values, moving) or self._atom(name, values)
            if found is not None:
                return found
        return self.defer(values, len(equation.outvars), lambda _, *operands: jax_internals.bind(equation, operands))

    # ---------------------------------------------------------------- towers that end

    def _polynomial(self, equation: Any, name: str, values: list[Any], moving: set[int]) -> list[Any] | None:
        """Coefficients of a result that is a polynomial again; `None` where none is known to be."""
        if not all(jnp.issubdtype(variable.aval.dtype, jnp.inexact) for variable in equation.outvars):
            return None
        if name == "convert_element_type" or name in _LINEAR:
            return _linear(equation, values, set(range(len(values))))
        if name in _LINEAR_IN:
            places = _LINEAR_IN[name] or set(range(1, len(values)))
            return _linear(equation, values, places) if moving <= places else None
        if name in _BILINEAR:
            return _bilinear(lambda left, right: jax_internals.bind(equation, [left, right])[0], *values)
        if name in ("square", "integer_pow"):
            power = 2 if name == "square" else equation.params["y"]
            result: Any = values[0]
            if power < 1 or power * (len(result.coefficients) - 1) > _HIGHEST_DEGREE:
                return None
            for _ in range(power - 1):
                (result,) = _bilinear(jnp.multiply, result, values[0]) or [None]
            return [result]
        return None

    # ---------------------------------------------------------------- towers with an addition theorem

    def _atom(self, name: str, values: list[Any]) -> list[Any] | None:
        """Exponentials, sines and cosines of something affine in `t`, from their values at the base point."""
        if name not in ("exp", "sin", "cos") or len(values[0].coefficients) != 2:
            return None
        a, b = values[0].coefficients
        if jnp.iscomplexobj(a):
            return None
        self.atoms.append((name, b))
        if name == "exp":
            # Very large exponents stay where the step may undo them, so that no factor overflows alone.
            bound = 0.05 * math.log(float(jnp.finfo(a.dtype).max))
            near = jnp.clip(a, -bound, bound)
            return self.defer([jnp.exp(near), a - near, b], 1, lambda t, E, rest, b: [E * jnp.exp(rest + b * t)])
        C, S = jnp.cos(a), jnp.sin(a)
        if name == "sin":
            return self.defer([C, S, b], 1, lambda t, C, S, b: [S * jnp.cos(b * t) + C * jnp.sin(b * t)])
        return self.defer([C, S, b], 1, lambda t, C, S, b: [C * jnp.cos(b * t) - S * jnp.sin(b * t)])


def _linear(equation: Any, values: list[Any], places: set[int]) -> list[Any]:
    """Apply an operation that is linear in the operands at `places` to each power of `t`."""
    degree = max(len(value.coefficients) for value in values if isinstance(value, Series)) - 1

    def at(power: int, place: int) -> Any:
        value = values[place]
        if not isinstance(value, Series):
            return value if power == 0 or place not in places else jnp.zeros_like(value)
        return value.coefficients[power] if power < len(value.coefficients) else jnp.zeros_like(value.coefficients[0])

    levels = [
        jax_internals.bind(equation, [at(power, place) for place in range(len(values))]) for power in range(degree + 1)
    ]
    return [Series(tuple(level)) for level in zip(*levels, strict=True)]


def _bilinear(multiply: Callable, left: Any, right: Any) -> list[Any] | None:
    """The product of two polynomials: a convolution of their coefficients."""
    first = left.coefficients if isinstance(left, Series) else (left,)
    second = right.coefficients if isinstance(right, Series) else (right,)
    degree = len(first) + len(second) - 2
    if degree > _HIGHEST_DEGREE:
        return None
    sums: list[Any] = [None] * (degree + 1)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            term = multiply(one, other)
            sums[i + j] = term if sums[i + j] is None else sums[i + j] + term
    return [Series(tuple(sums))]


def resummed(line: Along) -> tuple[Program, tuple[Any, ...], tuple[Any, ...]]:
    """Resum a function along a line.

    **Returns:** the program in `t`, its data, and the coefficients of its polynomials, each `(degree + 1, ...)`.
    """
    walk = Resummation()
    outputs = tuple(walk.place(value) for value in _walked(walk, line))
    data = tuple(value if isinstance(value, jax.Array) else jnp.asarray(value) for value in walk.data)
    return Program(tuple(walk.steps), outputs), data, tuple(walk.series)


def terminating(line: Along, degree: int) -> tuple[Any, ...]:
    """The `degree + 1` coefficients of each output of a function that is certified to be a polynomial along a line.

    They are read off the program where every operation on the way keeps a polynomial, and are Taylor coefficients otherwise.
    """
    values = _walked(Resummation(), line)
    if any(isinstance(value, Place) for value in values):
        return tuple(jax.tree.leaves(tower_of(line, degree).coefficients))

    def padded(value: Any) -> Any:
        known = value.coefficients if isinstance(value, Series) else (jnp.asarray(value),)
        missing = degree + 1 - len(known)
        return jnp.stack([*known[: degree + 1], *[jnp.zeros_like(known[0])] * missing])

    return tuple(padded(value) for value in values)


def slopes(line: Along) -> list[tuple[str, Any]]:
    """The exponentials, sines and cosines along a line whose argument is affine in `t`: the name of each, and the slope of its argument."""
    walk = Resummation()
    _walked(walk, line)
    return walk.atoms


def _walked(walk: Resummation, line: Along) -> list[Any]:
    return walk.run(line.program.jaxpr, line.program.consts, [Series((line.zero, jnp.ones_like(line.zero)))])


def polynomial_program(outputs: int) -> Program:
    """The program of outputs that are all polynomials in `t`."""
    return Program((), tuple(Place("series", index) for index in range(outputs)))
