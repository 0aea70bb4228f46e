r"""A formula from text, read by a grammar of its own and never by an interpreter.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = "-" signed | power
    power   = atom (("^" | "**") signed)?
    atom    = number | name | function "(" sum ")" | "(" sum ")"

A name is an input if it is one of the given names, whatever it means elsewhere; a number with a point or an exponent is a constant that a refit may move,
an integer is exact. Names that hold other characters stand in backquotes.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from .algebra import add, apply, minus, mul, over, power
from .tree import FUNCTIONS, Tree, number, replaced

_TOKEN = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|`([^`]+)`|([^\W\d]\w*)|(\*\*|[-+*/^()]))"
)


def parse(text: str, names: Sequence[str]) -> tuple[Tree, np.ndarray]:
    """Read a formula.

    **Arguments:** the text; the names of the inputs, in the order of their columns.

    **Returns:** the tree and the constants, shape `(K,)`.

    **Raises:** `ValueError` that names the place.

    >>> from infinity.symbolic.parse import parse
    >>> parse("2.5*exp(-lambda) + S/2", ["lambda", "S"])[0]
    ('add', ('mul', ('c', 0), ('exp', ('mul', ('q', -1, 1), ('x', 0)))), ('mul', ('q', 1, 2), ('x', 1)))
    """
    reader = _Reader(text, list(names))
    tree = reader.sum()
    if reader.at < len(reader.tokens):
        raise ValueError(f"{text!r} has {reader.tokens[reader.at][1]!r} where an operator or its end was expected")
    return tree, np.array(reader.constants, dtype=float)


def read_exact(text: str, names: Sequence[str]) -> Tree:
    """A formula from text in which every number stays as it is."""
    tree, constants = parse(text, names)
    ratios = [Fraction(repr(value)).as_integer_ratio() for value in constants.tolist()]
    return replaced(tree, {("c", k): ("q", above, below) for k, (above, below) in enumerate(ratios)})


class _Reader:
    def __init__(self, text: str, names: list[str]):
        self.text, self.names = text, names
        self.constants: list[float] = []
        self.at = 0
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if not found:
                raise ValueError(f"{text!r} has {text[place:].strip()[0]!r}, which is no part of a formula")
            kind = ("number", "name", "name", "sign")[(found.lastindex or 1) - 1]
            self.tokens.append((kind, found.group(found.lastindex or 1)))
            place = found.end()

    def peek(self) -> str:
        kind, word = self.tokens[self.at] if self.at < len(self.tokens) else ("sign", "")
        return word if kind == "sign" else ""

    def take(self) -> tuple[str, str]:
        if self.at == len(self.tokens):
            raise ValueError(f"{self.text!r} ends where a number, a name or a bracket was expected")
        self.at += 1
        return self.tokens[self.at - 1]

    def sum(self) -> Tree:
        tree = self.product()
        while self.peek() in ("+", "-"):
            sign = self.take()[1]
            part = self.product()
            tree = add(tree, part if sign == "+" else minus(part))
        return tree

    def product(self) -> Tree:
        tree = self.signed()
        while self.peek() in ("*", "/"):
            sign = self.take()[1]
            part = self.signed()
            tree = mul(tree, part) if sign == "*" else over(tree, part)
        return tree

    def signed(self) -> Tree:
        if self.peek() == "-":
            self.take()
            return minus(self.signed())
        return self.power()

    def power(self) -> Tree:
        tree = self.atom()
        if self.peek() in ("^", "**"):
            self.take()
            return power(tree, self.signed())
        return tree

    def atom(self) -> Tree:
        kind, word = self.take()
        if kind == "number":
            if word.isdigit():
                return number(int(word))
            self.constants.append(float(word))
            return ("c", len(self.constants) - 1)
        if kind == "name":
            if word in self.names:
                return ("x", self.names.index(word))
            if (word in FUNCTIONS or word == "sqrt") and self.peek() == "(":
                argument = self.bracket()
                return power(argument, number(1, 2)) if word == "sqrt" else apply(word, argument)
            known = ", ".join([*FUNCTIONS, "sqrt"])
            raise ValueError(
                f"{self.text!r} names {word!r}, which is no input ({', '.join(self.names)}) and no function ({known})"
            )
        if word == "(":
            self.at -= 1
            return self.bracket()
        raise ValueError(f"{self.text!r} has {word!r} where a number, a name or a bracket was expected")

    def bracket(self) -> Tree:
        self.take()
        tree = self.sum()
        if self.take()[1] != ")":
            raise ValueError(f"{self.text!r} has a bracket that is not closed")
        return tree
