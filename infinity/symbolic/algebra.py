r"""Formulas put together and made tidy: what can be folded is folded when a node is made.

    a + (b + c) = a + b + c,    x^p x^q = x^{p+q},    (a b)^n = a^n b^n,    exp(c + u) = e^c exp u,    log(c u) = log c + log u

`tidy` also gathers constants: what holds only constants becomes one constant, so that no two of them do the same work.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .tree import Tree, children, evaluate, exact, number, walk

ZERO, ONE = number(0), number(1)


def add(*parts: Tree) -> Tree:
    """The sum, with nested sums and exact numbers gathered."""
    flat = [inner for part in parts for inner in (part[1:] if part[0] == "add" else (part,))]
    numbers = [value for part in flat if (value := exact(part)) is not None]
    rest = [part for part in flat if part[0] != "q"]
    total = sum(numbers, Fraction(0))
    if total or not rest:
        rest.append(number(total))
    return rest[0] if len(rest) == 1 else ("add", *rest)


def mul(*parts: Tree) -> Tree:
    """The product, with nested products and exact numbers gathered and powers of one base joined."""
    flat = [inner for part in parts for inner in (part[1:] if part[0] == "mul" else (part,))]
    scale = Fraction(1)
    powers: dict[Tree, Fraction] = {}
    others: list[Tree] = []
    for part in flat:
        value = exact(part)
        if value is not None:
            scale *= value
            continue
        base, exponent = (part[1], exact(part[2])) if part[0] == "pow" else (part, Fraction(1))
        if exponent is None:
            others.append(part)
        else:
            powers[base] = powers.get(base, Fraction(0)) + exponent
    if not scale:
        return ZERO
    rest = [power(base, number(exponent)) for base, exponent in powers.items() if exponent] + others
    if scale != 1 or not rest:
        rest.insert(0, number(scale))
    rest = [inner for part in rest for inner in (part[1:] if part[0] == "mul" else (part,))]
    return rest[0] if len(rest) == 1 else ("mul", *rest)


def power(base: Tree, exponent: Tree) -> Tree:
    """The power, folded where that is exact for every base that has the power at all."""
    known, value = exact(exponent), exact(base)
    if known == 1 or value == 1:
        return base
    if known == 0:
        return ONE
    if known is not None and known.denominator == 1:
        if value:
            return number(value**known.numerator)
        if base[0] == "mul":
            return mul(*(power(part, exponent) for part in base[1:]))
    inner = exact(base[2]) if base[0] == "pow" else None
    if (
        known is not None
        and inner is not None
        and (known.denominator == 1 or inner.numerator % 2 or inner.denominator % 2 == 0)
    ):
        return power(base[1], number(inner * known))
    return ("pow", base, exponent)


def apply(name: str, argument: Tree) -> Tree:
    """A function of one variable; `log` and `exp` undo each other."""
    if (name, argument[0]) in (("exp", "log"), ("log", "exp")):
        return argument[1]
    return (name, argument)


def expanded(tree: Tree) -> Tree:
    """Products of sums multiplied out, everywhere."""
    kids = children(tree)
    if not kids:
        return tree
    node = made(tree[0], [expanded(child) for child in kids])
    place = next((k for k, part in enumerate(node[1:], 1) if part[0] == "add"), None) if node[0] == "mul" else None
    if place is None:
        return node
    return add(*(expanded(mul(*node[1:place], term, *node[place + 1 :])) for term in node[place][1:]))


def minus(tree: Tree) -> Tree:
    """The negative."""
    return mul(number(-1), tree)


def over(above: Tree, below: Tree) -> Tree:
    """The quotient."""
    return mul(above, power(below, number(-1)))


def substituted(tree: Tree, inputs: Sequence[Tree], first: int = 0) -> Tree:
    """A formula of intermediate variables as one of what these stand for; its constants are counted from `first`."""
    word = tree[0]
    if word == "x":
        return tuple(inputs[tree[1]])
    if word == "c":
        return ("c", tree[1] + first)
    if word == "q":
        return tree
    return made(word, [substituted(child, inputs, first) for child in tree[1:]])


def made(word: str, parts: Sequence[Tree]) -> Tree:
    """The node of a word and its parts, folded."""
    if word == "add":
        return add(*parts)
    if word == "mul":
        return mul(*parts)
    if word == "pow":
        return power(*parts)
    return apply(word, parts[0])


def tidy(tree: Tree, constants: Any) -> tuple[Tree, np.ndarray]:
    """The same formula with no more constants than it needs, numbered in the order in which they are read.

    **Returns:** the tree and its constants, shape `(K,)`.

    >>> from infinity.symbolic.algebra import tidy
    >>> tree, constants = tidy(("mul", ("c", 0), ("exp", ("add", ("c", 1), ("x", 0)))), [2.0, 0.0])
    >>> tree, constants.tolist()
    (('mul', ('c', 0), ('exp', ('x', 0))), [2.0])
    """
    values: list[float] = [float(value) for value in constants]
    folded = _folded(tree, values)
    order: dict[int, int] = {}
    for node in walk(folded):
        if node[0] == "c":
            order.setdefault(node[1], len(order))
    renamed = _renamed(folded, order)
    return renamed, np.array([values[k] for k in order], dtype=float)


def _renamed(tree: Tree, order: dict[int, int]) -> Tree:
    if tree[0] == "c":
        return ("c", order[tree[1]])
    kids = children(tree)
    return (tree[0], *(_renamed(child, order) for child in kids)) if kids else tree


def _folded(tree: Tree, values: list[float]) -> Tree:
    kids = children(tree)
    if not kids:
        return tree
    word = tree[0]
    node = made(word, [_folded(child, values) for child in kids])
    if node[0] in ("add", "mul"):
        return _gathered(node, values)
    if node[0] == "exp" and node[1][0] == "add":
        fixed = [part for part in node[1][1:] if part[0] == "c"]
        if fixed:
            rest = [part for part in node[1][1:] if part[0] != "c"]
            new = _constant(float(np.exp(sum(values[part[1]] for part in fixed))), values)
            return mul(new, ("exp", add(*rest)))
    if node[0] in ("log", "pow") and node[1][0] == "mul" and (node[0] == "log" or exact(node[2]) is not None):
        fixed = [part for part in node[1][1:] if part[0] == "c" and values[part[1]] > 0]
        if fixed:
            rest = mul(*(part for part in node[1][1:] if part not in fixed))
            product = float(np.prod([values[part[1]] for part in fixed]))
            if node[0] == "log":
                return add(_constant(float(np.log(product)), values), ("log", rest))
            exponent = float(exact(node[2]) or 0)
            return mul(_constant(product**exponent, values), power(rest, node[2]))
    return _alone(node, values)


def _gathered(node: Tree, values: list[float]) -> Tree:
    """A sum or product with at most one constant and no exact number beside it; a sum in a product gives its constant factor away."""
    word = node[0]
    if word == "add":
        node = add(*(inner for part in node[1:] for inner in _spread(part, values)))
        if node[0] != "add":
            return node
    fixed = [part for part in node[1:] if _only_constants(part)]
    rest = [part for part in node[1:] if not _only_constants(part)]
    if any(part[0] != "q" for part in fixed) and (len(fixed) > 1 or fixed[0][0] != "c"):
        total = [float(evaluate(part, (), values)) for part in fixed]
        fixed = [_constant(float(np.sum(total) if word == "add" else np.prod(total)), values)]
    if word == "mul" and len(fixed) == 1 and fixed[0][0] == "c":
        rest = [_scale_taken(part, fixed[0][1], values) for part in rest]
    parts = [*fixed, *rest] if word == "mul" else [*rest, *fixed]
    return made(word, parts) if len(parts) > 1 else parts[0]


def _spread(part: Tree, values: list[float]) -> list[Tree]:
    """The terms of a constant times a sum inside a sum, each with its own constant, if that takes no more constants."""
    if part[0] != "mul" or len(part) != 3 or part[1][0] != "c" or part[2][0] != "add":
        return [part]
    owners = [_owner(term) for term in part[2][1:]]
    if owners.count(None) > 1:
        return [part]
    outer, terms = values[part[1][1]], []
    for term, owner in zip(part[2][1:], owners, strict=True):
        if owner is None:
            terms.append(mul(part[1], term))
        else:
            new = _constant(outer * values[owner[1]], values)
            terms.append(mul(new, *(inner for inner in term[1:] if inner != owner)) if term[0] == "mul" else new)
    return terms


def _owner(term: Tree) -> Tree | None:
    """The constant that multiplies a term."""
    return next((inner for inner in (term[1:] if term[0] == "mul" else (term,)) if inner[0] == "c"), None)


def _scale_taken(part: Tree, outer: int, values: list[float]) -> Tree:
    """A factor whose every term has a constant of its own, with the first term's constant moved into the outer one; also under an exact power."""
    base, exponent = (part[1], exact(part[2])) if part[0] == "pow" else (part, Fraction(1))
    if base[0] != "add" or exponent is None:
        return part
    owners = [_owner(term) for term in base[1:]]
    if any(owner is None for owner in owners):
        return part
    used = [owner[1] for owner in owners if owner is not None]
    scale = values[used[0]]
    if len(set(used)) < len(used) or scale == 0 or (exponent.denominator > 1 and scale < 0):
        return part
    values[outer] *= scale ** float(exponent)
    terms = []
    for term, k in zip(base[1:], used, strict=True):
        if k == used[0]:
            terms.append(mul(*(inner for inner in term[1:] if inner != ("c", k))) if term[0] == "mul" else ONE)
        else:
            values[k] /= scale
            terms.append(term)
    return power(add(*terms), number(exponent))


def _alone(node: Tree, values: list[float]) -> Tree:
    if node[0] not in ("x", "c", "q") and _only_constants(node) and any(part[0] == "c" for part in walk(node)):
        return _constant(float(evaluate(node, (), np.array(values))), values)
    return node


def _only_constants(tree: Tree) -> bool:
    return all(node[0] != "x" for node in walk(tree))


def _constant(value: float, values: list[float]) -> Tree:
    values.append(value)
    return ("c", len(values) - 1)
