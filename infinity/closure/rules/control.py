"""Programs within programs: calls, branches, scans and loops.

A loop is unrolled while it stays concrete and short; otherwise its carried values are joined until they no longer grow,
and what still grows then is taken for open. Neither can make a verdict too strong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import jax_internals
from ..algebra import ONE
from ..constants import Constant
from ..fields import join_axes
from ..interpreter import Interpreter, Rule, Value
from ..packed import Packed, entry, stack, uniform

_UNROLLED = 20_000
_JOINED = 8
_WIDENED = 8


def _call(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Return a call: walk what is called."""
    found = jax_internals.sub_program(equation)
    if found is None:
        constants = [value for value in inputs if isinstance(value, Constant)]
        return list(walk.fold(equation, constants)) if len(constants) == len(inputs) else walk.unknown(equation, inputs)
    program, constants = found
    if equation.primitive.name.startswith("custom_") and any(isinstance(value, Packed) for value in inputs):
        walk.assume(
            "A custom derivative rule is taken to be the derivative of the function that it belongs to", equation
        )
    jit = equation.primitive.name in ("jit", "pjit")
    return walk.within(equation, program, constants, inputs, jit)


def _branches(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    which, operands = inputs[0], inputs[1:]
    branches = [branch for branch in equation.params["branches"] if not jax_internals.is_raise(branch.jaxpr)]
    if 0 < len(branches) < len(equation.params["branches"]):
        walk.assume("A check at run time passes", equation)
        if len(branches) == 1:
            return walk.within(equation, branches[0].jaxpr, branches[0].consts, operands)
    elif isinstance(which, Constant) and branches:
        entries = walk.entries(which)
        if entries is not None:
            place = int(np.clip(int(entries), 0, len(branches) - 1))
            branches = [branches[place]]
            return walk.within(equation, branches[0].jaxpr, branches[0].consts, operands)
    branches = branches or list(equation.params["branches"])
    joined = walk.alternatives([walk.within(equation, branch.jaxpr, branch.consts, operands) for branch in branches])
    if isinstance(which, Packed):
        return walk.decided(equation, [which], joined, "a branch that depends on the parameter")
    return joined


def _step(value: Value, index: int) -> Value:
    """One step's part of what a scan goes over."""
    if isinstance(value, Packed):
        return entry(value, index)
    if not value.known or jax_internals.is_key_type(value.dtype):
        return Constant.unknown(value.shape[1:], value.dtype)

    def recipe(whole: Constant = value) -> Packed | None:
        packed = whole.packed()
        return None if packed is None else entry(packed, index)

    return Constant(value.shape[1:], value.dtype, True, value.cost, recipe)


def _stacked(walk: Interpreter, values: Sequence[Value]) -> Value:
    """Return the steps' results along a new leading axis."""
    constants = [value for value in values if isinstance(value, Constant)]
    if len(constants) == len(values):
        first = constants[0]
        known = all(value.known for value in constants) and not jax_internals.is_key_type(first.dtype)

        def recipe() -> Packed | None:
            parts = [value.packed() for value in constants]
            return (
                stack([part for part in parts if part is not None]) if all(part is not None for part in parts) else None
            )

        cost = sum(value.cost for value in constants)
        return Constant((len(values), *first.shape), first.dtype, known, cost, recipe)
    return stack([walk.terms(value) for value in values])


def _scan(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    params = equation.params
    program, length = params["jaxpr"], params["length"]
    constants, carried = jax_internals.scan_layout(equation)
    captured, carry = inputs[:constants], list(inputs[constants : constants + carried])
    over = inputs[constants + carried :]
    if length == 0 or length * _size(program.jaxpr) > _UNROLLED:
        return _joined_scan(walk, equation, captured, carry, over)
    order = range(length - 1, -1, -1) if params["reverse"] else range(length)
    results: list[list[Value]] = []
    for index in order:
        found = walk.within(
            equation, program.jaxpr, program.consts, [*captured, *carry, *(_step(value, index) for value in over)]
        )
        carry = found[:carried]
        results.append(found[carried:])
    if params["reverse"]:
        results.reverse()
    return [*carry, *(_stacked(walk, column) for column in zip(*results, strict=True))]


def _size(program: Any) -> int:
    """How many equations a program runs, calls included."""
    total = 1
    for equation in program.eqns:
        found = jax_internals.sub_program(equation)
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += 1 + (repeats * _size(found[0]) if found is not None else 0)
        total += sum(_size(branch.jaxpr) for branch in equation.params.get("branches", ()))
    return total


def _joined_scan(
    walk: Interpreter, equation: Any, captured: list[Value], carry: list[Value], over: list[Value]
) -> list[Value]:
    """Return a long scan: every step at once."""
    program, carried = equation.params["jaxpr"], len(carry)
    steps: list[Value] = []
    for value in over:
        if isinstance(value, Constant):
            steps.append(Constant.unknown(value.shape[1:], value.dtype))
        else:
            steps.append(entry(join_axes(walk.algebra, value, (0,), keep=True), 0))

    def body(values: list[Value]) -> list[Value]:
        return walk.within(equation, program.jaxpr, program.consts, [*captured, *values, *steps])

    carry, results = _fixed_point(walk, equation, carry, [*captured, *steps], body)
    outputs: list[Value] = list(carry)
    for place, value in enumerate(results[carried:]):
        shape = tuple(equation.outvars[carried + place].aval.shape)
        outputs.append(
            Constant.unknown(shape, value.dtype) if isinstance(value, Constant) else Packed(value.core[None], shape)
        )
    return outputs


def _fixed_point(
    walk: Interpreter, equation: Any, carry: list[Value], others: list[Value], body: Any
) -> tuple[list[Value], list[Value]]:
    """Carried values that one more step leaves as they are, and the results of that step."""
    rounds = _JOINED + _WIDENED
    carry = [_forgotten(value) for value in carry]
    results: list[Value] = []
    for attempt in range(rounds + 1):
        results = body(carry)
        grown = [
            walk.either([_forgotten(before), _forgotten(after)]) for before, after in zip(carry, results, strict=False)
        ]
        changed = [not _equal(before, after) for before, after in zip(carry, grown, strict=True)]
        if not any(changed):
            return carry, results
        if attempt >= _JOINED:
            cause = walk.cause(
                equation, "a loop too long to unroll in which the dependence on the parameter grows from step to step"
            )
            everything = attempt >= rounds - 1
            number = walk.opened(
                [*grown, *others] if everything else [value for value, new in zip(grown, changed, strict=True) if new],
                cause,
            )
            if everything:
                grown = list[Value](uniform(number, value.shape) for value in grown)
            else:
                grown = [
                    uniform(walk.algebra.add(number, ONE), value.shape) if new else value
                    for value, new in zip(grown, changed, strict=True)
                ]
        carry = grown
    return carry, results


def _forgotten(value: Value) -> Value:
    """Return a constant whose value may change from step to step."""
    return Constant.unknown(value.shape, value.dtype) if isinstance(value, Constant) and value.known else value


def _equal(before: Value, after: Value) -> bool:
    if isinstance(before, Constant) or isinstance(after, Constant):
        return isinstance(before, Constant) and isinstance(after, Constant)
    return bool((before.core == after.core).all())


def _while(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    params = equation.params
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    test_count, body_count = params["cond_nconsts"], params["body_nconsts"]
    tested, captured = inputs[:test_count], inputs[test_count : test_count + body_count]
    carry = list(inputs[test_count + body_count :])

    def again(values: list[Value]) -> Value:
        return walk.within(equation, test.jaxpr, test.consts, [*tested, *values])[0]

    def step(values: list[Value]) -> list[Value]:
        return walk.within(equation, body.jaxpr, body.consts, [*captured, *values])

    budget = _UNROLLED // (_size(test.jaxpr) + _size(body.jaxpr))
    for _ in range(budget):
        entries = walk.entries(again(carry))
        if entries is None:
            break
        if not bool(entries):
            return carry
        carry = step(carry)
    carry, _ = _fixed_point(walk, equation, carry, captured, step)
    decision = again(carry)
    if isinstance(decision, Packed):
        return walk.decided(equation, [decision], carry, "a loop whose number of steps depends on the parameter")
    return carry


_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "custom_vmap_call",
    "composite",
    "xla_call",
    "noinline",
)

CALLS = frozenset(_CALLS)

RULES: dict[str, Rule] = {**dict.fromkeys(_CALLS, _call), "cond": _branches, "scan": _scan, "while": _while}
