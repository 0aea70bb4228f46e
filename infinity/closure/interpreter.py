"""Walk a traced program and find how the parameters enter each of its values.

Every value is either a constant (`Constant`, computed only on demand) or a packed array of sets of terms. Rules, one
for each primitive, live in `rules`; a primitive without a rule makes everything it touches open, by name.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import jax_internals
from .algebra import ONE, ZERO, Algebra
from .constants import Constant, folded
from .fields import map_one, map_two, union_all
from .folding import foldable, zero_mask
from .packed import Packed, full, uniform
from .terms import OPAQUE

Value = Constant | Packed
Rule = Callable[["Interpreter", Any, list[Value]], list[Value]]
Pattern = Callable[["Interpreter", Any, "Scope"], list[Value]]

_ZEROS_LOOKED_FOR = 1 << 14


class Cause(NamedTuple):
    """An operation that lifts parameters out of the polynomials, and where it stands in the user's code."""

    primitive: str
    file: str | None
    line: int | None
    reason: str


class Scope(NamedTuple):
    """What is known so far within one program: the value of each variable, and the equation that made it."""

    values: dict[Any, Value]
    producers: dict[Any, Any]


class Interpreter:
    """One walk over a program, with the labels of its parameters."""

    rules: dict[str, Rule]
    calls: frozenset[str]
    patterns: dict[str, Pattern]

    def __init__(self, algebra: Algebra, remembered: dict[Any, tuple[Any, list[Constant]]]) -> None:
        self.algebra = algebra
        self.causes: list[Cause] = []
        self.assumptions: dict[str, None] = {}
        self.everything = ONE
        self.precision = 0.0
        self._causes: dict[Cause, int] = {}
        self._remembered = remembered
        self._places: list[tuple[str, int] | None] = [jax_internals.caller()]
        self.jitted = 0

    # ---------------------------------------------------------------- where

    def place(self, equation: Any) -> tuple[str, int] | None:
        """File and line in the user's code that an equation came from."""
        return jax_internals.user_frame(equation, self.jitted > 0, self._places[-1])

    def cause(self, equation: Any | None, reason: str, primitive: str = "") -> int:
        """Return the number of a cause, the same for the same line and reason."""
        file, line = (self.place(equation) if equation is not None else None) or (None, None)
        cause = Cause(equation.primitive.name if equation is not None else primitive, file, line, reason)
        number = self._causes.setdefault(cause, len(self.causes))
        if number == len(self.causes):
            self.causes.append(cause)
        return number

    def assume(self, sentence: str, equation: Any | None = None) -> None:
        """Note something that the verdict rests on."""
        place = self.place(equation) if equation is not None else None
        self.assumptions[f"{sentence} ({place[0]}:{place[1]})." if place else f"{sentence}."] = None

    # ---------------------------------------------------------------- walk

    def run(self, program: Any, constants: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
        """Return the values of a program's results."""
        scope = Scope({}, {})
        for variable, value in zip(program.constvars, constants, strict=True):
            changing = jax_internals.is_reference(variable.aval)
            scope.values[variable] = self._reference(variable) if changing else self._known(variable, value)
        scope.values.update(zip(program.invars, arguments, strict=True))
        for equation in program.eqns:
            inputs = [self._read(scope, atom) for atom in equation.invars]
            outputs = self.equation(equation, inputs, scope)
            scope.values.update(zip(equation.outvars, outputs, strict=True))
            scope.producers.update(dict.fromkeys(equation.outvars, equation))
        return [self._read(scope, atom) for atom in program.outvars]

    def within(
        self, equation: Any, program: Any, constants: Sequence[Any], arguments: Sequence[Value], jit: bool = False
    ) -> list[Value]:
        """Run the program of a call, a branch or a loop; its lines fall back to the line of `equation`."""
        self._places.append(self.place(equation))
        self.jitted += jit
        try:
            return self.run(program, constants, arguments)
        finally:
            self.jitted -= jit
            self._places.pop()

    def _reference(self, variable: Any) -> Packed:
        """Return a captured mutable reference, which anything may have been written to."""
        cause = self.cause(None, "a mutable reference, whose contents are not followed", "reference")
        return uniform(self.algebra.apply(OPAQUE, self.everything, cause), getattr(variable.aval, "shape", ()))

    def _known(self, variable: Any, value: Any) -> Constant:
        """Return the constant of a captured array, the same object each time so that what follows is remembered."""
        if isinstance(value, Constant):
            return value
        key = ("captured", id(value))
        if key not in self._remembered:
            self._remembered[key] = (value, [Constant.from_value(value, variable.aval.shape, variable.aval.dtype)])
        return self._remembered[key][1][0]

    def _read(self, scope: Scope, atom: Any) -> Value:
        if not isinstance(atom, jax_internals.Literal):
            return scope.values[atom]
        key = ("literal", id(atom))
        if key not in self._remembered:
            aval: Any = atom.aval
            self._remembered[key] = (
                atom,
                [Constant.from_value(atom.val, getattr(aval, "shape", ()), getattr(aval, "dtype", np.dtype(bool)))],
            )
        return self._remembered[key][1][0]

    def equation(self, equation: Any, inputs: list[Value], scope: Scope) -> list[Value]:
        """Return the values of one equation's results."""
        if any(jax_internals.is_reference(variable.aval) for variable in equation.outvars):
            cause = self.cause(equation, "a mutable reference, whose contents are not followed")
            return self.everywhere(equation, self.algebra.apply(OPAQUE, self.everything, cause))
        try:
            outputs = self._applied(equation, inputs, scope)
        except KeyError as missing:  # another version of JAX keeps this primitive's parameters elsewhere
            if not isinstance(missing.args[0], str) or missing.args[0] in equation.params:
                raise
            outputs = self.unknown(equation, inputs)
        return [self._settled(output, variable) for output, variable in zip(outputs, equation.outvars, strict=True)]

    def _applied(self, equation: Any, inputs: list[Value], scope: Scope) -> list[Value]:
        """Apply the rule of an equation's primitive."""
        name = equation.primitive.name
        if name in self.calls:
            return self.rules[name](self, equation, inputs)
        constants = [value for value in inputs if isinstance(value, Constant)]
        if len(constants) == len(inputs):
            return list(self.fold(equation, constants))
        if name in self.patterns:
            found = self.patterns[name](self, equation, scope)
            if found:
                return found
        rule = self.rules.get(name)
        return rule(self, equation, inputs) if rule is not None else self.unknown(equation, inputs)

    def fold(self, equation: Any, constants: list[Constant]) -> list[Constant]:
        """Return the results of an equation on constants, the same objects for the same inputs."""
        key = (id(equation), *(id(constant) for constant in constants))
        if key not in self._remembered:
            self._remembered[key] = ((equation, constants), folded(equation, constants, foldable(equation)))
        return self._remembered[key][1]

    def _settled(self, value: Value, variable: Any) -> Value:
        """Return a value without parameters becomes a constant."""
        aval: Any = variable.aval
        if isinstance(value, Constant) or not hasattr(aval, "dtype"):
            return value
        if int(value.core.max(initial=ZERO)) > ONE:
            self.precision = max(self.precision, jax_internals.epsilon(aval.dtype))
            return value
        if (value.core == ZERO).all() and not jax_internals.is_key_type(aval.dtype):
            return Constant.from_packed(uniform(0, value.shape, aval.dtype), aval.dtype)
        return Constant.unknown(value.shape, aval.dtype)

    # ---------------------------------------------------------------- what rules share

    def terms(self, value: Value) -> Packed:
        """Return a value as sets of terms; zeros of a small constant are known to vanish."""
        if isinstance(value, Packed):
            return value
        known = None if jax_internals.is_key_type(value.dtype) else value.cheap()
        if known is None or known.core.size > _ZEROS_LOOKED_FOR or 0 in value.shape:
            return uniform(ONE, value.shape)
        mask = zero_mask(known)
        if not mask.any():
            return uniform(ONE, value.shape)
        return Packed(np.where(mask, ZERO, ONE).astype(np.int32), value.shape)

    def apply(self, function: str, value: Packed, cause: int) -> Packed:
        """Return a function of one of the classes of `terms`, entry by entry."""
        return map_one(lambda number: self.algebra.apply(function, number, cause), value)

    def add(self, left: Packed, right: Packed, shape: Sequence[int]) -> Packed:
        """Sum or alternative, entry by entry."""
        return map_two(self.algebra.add, left, right, shape)

    def multiply(self, left: Packed, right: Packed, shape: Sequence[int]) -> Packed:
        """Product, entry by entry."""
        return map_two(self.algebra.multiply, left, right, shape)

    def opened(self, inputs: Iterable[Value], cause: int) -> int:
        """One value that depends in any way whatever on all that the inputs depend on."""
        everything = union_all(self.algebra, *(value for value in inputs if isinstance(value, Packed)))
        return self.algebra.apply(OPAQUE, everything, cause)

    def everywhere(self, equation: Any, number: int) -> list[Value]:
        """Every entry of every result holds one value."""
        return [uniform(number, getattr(variable.aval, "shape", ())) for variable in equation.outvars]

    def unknown(self, equation: Any, inputs: list[Value]) -> list[Value]:
        """No rule: open in everything that flows in."""
        name = equation.primitive.name
        cause = self.cause(equation, f"no closed form is known for the operation {name!r}")
        return self.everywhere(equation, self.opened(inputs, cause))

    def decided(self, equation: Any, decision: Iterable[Value], outcomes: list[Value], reason: str) -> list[Value]:
        """Outcomes that a parameter-dependent decision chooses between: open in what decides, unchanged in the rest."""
        number = self.opened(decision, self.cause(equation, reason))
        results: list[Value] = []
        for outcome in outcomes:
            terms = self.terms(outcome) if isinstance(outcome, Packed) else uniform(ONE, outcome.shape)
            results.append(map_one(lambda value: self.algebra.multiply(self.algebra.add(value, ONE), number), terms))
        return results

    def alternatives(self, options: Sequence[list[Value]]) -> list[Value]:
        """One of several lists of results, nobody knows which."""
        return [self.either(values) for values in zip(*options, strict=True)]

    def either(self, values: Sequence[Value]) -> Value:
        """One of several values, nobody knows which."""
        first = values[0]
        if all(value is first for value in values):
            return first
        if all(isinstance(value, Constant) for value in values):
            return Constant.unknown(first.shape, first.dtype) if isinstance(first, Constant) else first
        result = self.terms(first)
        for value in values[1:]:
            result = self.add(result, self.terms(value), result.shape)
        return result

    def entries(self, value: Value) -> np.ndarray | None:
        """Return a constant's entries written out, or None where they are not known."""
        packed = value.packed() if isinstance(value, Constant) else None
        return None if packed is None else full(packed)
