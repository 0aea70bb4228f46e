r"""A formula as a tree: nested tuples of known words, so that it can be compared, kept in a file and read by no interpreter.

    ("x", i)            the i-th input               ("c", k)   the k-th constant
    ("q", p, q)         the exact number p / q       ("add", a, b, ..)   ("mul", a, b, ..)   ("pow", a, b)
    (f, a)              a function of one variable, f one of `FUNCTIONS`

Derivatives with respect to the constants are those of `infinity.symbolic.tape`, so that a refit needs no compilation.
"""

import functools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

Tree: TypeAlias = tuple[Any, ...]

# Value and derivative of each function of one variable, the derivative in terms of the argument and of the value.
FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any, Any], Any]]] = {
    "exp": (lambda m, a: m.exp(a), lambda m, a, v: v),
    "log": (lambda m, a: m.log(a), lambda m, a, v: 1 / a),
    "sin": (lambda m, a: m.sin(a), lambda m, a, v: m.cos(a)),
    "cos": (lambda m, a: m.cos(a), lambda m, a, v: -m.sin(a)),
    "tan": (lambda m, a: m.tan(a), lambda m, a, v: 1 + v * v),
    "asin": (lambda m, a: m.arcsin(a), lambda m, a, v: 1 / m.sqrt(1 - a * a)),
    "acos": (lambda m, a: m.arccos(a), lambda m, a, v: -1 / m.sqrt(1 - a * a)),
    "atan": (lambda m, a: m.arctan(a), lambda m, a, v: 1 / (1 + a * a)),
    "sinh": (lambda m, a: m.sinh(a), lambda m, a, v: m.cosh(a)),
    "cosh": (lambda m, a: m.cosh(a), lambda m, a, v: m.sinh(a)),
    "tanh": (lambda m, a: m.tanh(a), lambda m, a, v: 1 - v * v),
    "abs": (lambda m, a: m.abs(a), lambda m, a, v: m.sign(a)),
}
MANY = ("add", "mul")


def number(value: int | Fraction, below: int = 1) -> Tree:
    """The exact number `value / below`."""
    exact = Fraction(value) / below
    return ("q", exact.numerator, exact.denominator)


def exact(tree: Tree) -> Fraction | None:
    """The number that a tree is, `None` where it is none."""
    return _fraction(tree[1], tree[2]) if tree[0] == "q" else None


@functools.lru_cache(4096)
def _fraction(above: int, below: int) -> Fraction:
    return Fraction(above, below)


def variable(index: int) -> Tree:
    """The input with an index."""
    return ("x", index)


def constant(index: int) -> Tree:
    """The constant with an index."""
    return ("c", index)


def children(tree: Tree) -> tuple[Tree, ...]:
    """The parts of a node that are trees."""
    return () if tree[0] in ("x", "c", "q") else tree[1:]


def walk(tree: Tree) -> Iterator[Tree]:
    """All nodes, parents first."""
    yield tree
    for child in children(tree):
        yield from walk(child)


def size(tree: Tree) -> int:
    """How long a formula is: its inputs, constants, numbers, operations and functions, a sum of n parts being n - 1 operations."""
    own = len(tree) - 2 if tree[0] in MANY else 1
    return own + sum(size(child) for child in children(tree))


@functools.lru_cache(16384)
def indices(tree: Tree, kind: str) -> tuple[int, ...]:
    """The inputs (`"x"`) or the constants (`"c"`) that occur, sorted."""
    return tuple(sorted({node[1] for node in walk(tree) if node[0] == kind}))


def replaced(tree: Tree, parts: dict[Tree, Tree]) -> Tree:
    """The tree with some of its leaves put in the place of others."""
    if tree in parts:
        return parts[tree]
    kids = children(tree)
    return (tree[0], *(replaced(child, parts) for child in kids)) if kids else tree


def check(tree: Any, inputs: int, constants: int) -> None:
    """Refuse what is no formula, so that a file from a stranger is only ever read.

    **Raises:** `ValueError` that names the part.
    """
    if not isinstance(tree, tuple) or not tree or not isinstance(tree[0], str):
        raise ValueError(f"{tree!r} is no part of a formula; expected a tuple that begins with a word")
    word, rest = tree[0], tree[1:]
    if word in ("x", "c"):
        most = inputs if word == "x" else constants
        if len(rest) != 1 or type(rest[0]) is not int or not 0 <= rest[0] < most:
            raise ValueError(f"{tree!r} names an input or a constant that is not there; there are {most}")
    elif word == "q":
        if len(rest) != 2 or any(type(part) is not int for part in rest) or rest[1] <= 0:
            raise ValueError(f"{tree!r} is no fraction; expected two integers, the second one positive")
    else:
        fits = (word in MANY and len(rest) >= 2) or (word == "pow" and len(rest) == 2)
        if not fits and not (word in FUNCTIONS and len(rest) == 1):
            raise ValueError(f"a formula knows no {word!r} of {len(rest)} parts; it knows {', '.join(known_words())}")
        for child in rest:
            check(child, inputs, constants)


def known_words() -> list[str]:
    """The operations and functions of which formulas are made."""
    return ["add", "mul", "pow", *FUNCTIONS]


def evaluate(tree: Tree, columns: Any, constants: Any, module: Any = np) -> Any:
    """The value of a tree.

    **Arguments:** a value or an array for each input; one number for each constant; `module`, NumPy or `jax.numpy`.

    >>> from infinity.symbolic.tree import evaluate
    >>> float(evaluate(("mul", ("c", 0), ("pow", ("x", 0), ("q", 1, 2))), [4.0], [3.0]))
    6.0
    """
    word = tree[0]
    if word == "x":
        return columns[tree[1]]
    if word == "c":
        return constants[tree[1]]
    if word == "q":
        return tree[1] / tree[2]
    if word == "pow":
        base = evaluate(tree[1], columns, constants, module)
        return power(base, exact(tree[2]), evaluate(tree[2], columns, constants, module), module)
    parts = [evaluate(child, columns, constants, module) for child in tree[1:]]
    if word in MANY:
        total = parts[0]
        for part in parts[1:]:
            total = total + part if word == "add" else total * part
        return total
    return FUNCTIONS[word][0](module, parts[0])


def power(base: Any, known: Fraction | None, exponent: Any, module: Any) -> Any:
    """`base ** exponent`, by multiplication and roots where the exponent is known to allow it."""
    if known is None:
        return base**exponent
    if known.denominator == 2 and abs(known) < 4:
        root = module.sqrt(base)
        whole = base ** ((abs(known.numerator) - 1) // 2) if abs(known.numerator) > 1 else 1
        return whole * root if known > 0 else 1 / (whole * root)
    if known.denominator == 1:
        whole = base ** abs(known.numerator)
        return whole if known >= 0 else 1 / whole
    return base**exponent
