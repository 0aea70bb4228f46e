r"""Squares of differences that were multiplied out, put together again: exact algebra that changes no value.

c a^2 ± 2 c a b + c b^2 = c g^2 (a / g ± b / g)^2,    a, b monomials, g what they share
"""

import itertools
from fractions import Fraction

from .algebra import add, made, mul, power
from .tree import Tree, children, exact, number

# A term of a sum: its exact number and the whole exponent of each base.
Term = tuple[Fraction, dict[Tree, Fraction]]


def contracted(tree: Tree) -> Tree:
    """The formula with its perfect squares of two terms written as squares; exact numbers only, constants stay as they are.

    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.squares import contracted
    >>> from infinity.symbolic.written import plain, write
    >>> tree, _ = parse("sqrt(a^2 - 2*a*b + b^2 + 4*c)", ["a", "b", "c"])
    >>> write(contracted(tree), ["a", "b", "c"], [], plain(6))
    'sqrt((a - b)^2 + 4*c)'
    """
    kids = children(tree)
    if not kids:
        return tree
    tree = made(tree[0], [contracted(child) for child in kids])
    while tree[0] == "add":
        shorter = _one_square(tree[1:])
        if shorter is None:
            break
        tree = shorter
    return tree


def _one_square(parts: tuple[Tree, ...]) -> Tree | None:
    terms = [_term(part) for part in parts]
    for i, j in itertools.combinations(range(len(parts)), 2):
        one, other = terms[i], terms[j]
        if one is None or other is None or one[0] != other[0]:
            continue
        a, b = _root(one[1]), _root(other[1])
        if a is None or b is None:
            continue
        mixed = {base: e for base in {**a, **b} if (e := a.get(base, Fraction(0)) + b.get(base, Fraction(0)))}
        for k, term in enumerate(terms):
            if k not in (i, j) and term is not None and term[1] == mixed and abs(term[0]) == 2 * abs(one[0]):
                sign = 1 if term[0] == 2 * one[0] else -1
                rest = [part for place, part in enumerate(parts) if place not in (i, j, k)]
                return add(_square(one[0], a, b, sign), *rest)
    return None


def _square(scale: Fraction, a: dict[Tree, Fraction], b: dict[Tree, Fraction], sign: int) -> Tree:
    zero = Fraction(0)
    shared = {base: min(a.get(base, zero), b.get(base, zero)) for base in {**a, **b}}
    left = lambda one: _monomial({base: one.get(base, zero) - shared[base] for base in shared})
    inner = add(left(a), mul(number(sign), left(b)))
    return mul(number(scale), _monomial({base: 2 * e for base, e in shared.items()}), power(inner, number(2)))


def _monomial(exponents: dict[Tree, Fraction]) -> Tree:
    return mul(number(1), *(power(base, number(e)) for base, e in exponents.items() if e))


def _root(exponents: dict[Tree, Fraction]) -> dict[Tree, Fraction] | None:
    """Half the exponents, `None` where they are not even, for the root of a square is no power."""
    if any(e.denominator != 1 or e.numerator % 2 for e in exponents.values()):
        return None
    return {base: e / 2 for base, e in exponents.items()}


def _term(part: Tree) -> Term | None:
    """The number and the exponents of a product of powers; `None` where a factor is a constant that may move."""
    scale, exponents = Fraction(1), {}
    for factor in part[1:] if part[0] == "mul" else (part,):
        value = exact(factor)
        if value is not None:
            scale *= value
            continue
        base, e = (factor[1], exact(factor[2])) if factor[0] == "pow" else (factor, Fraction(1))
        if factor[0] == "c" or e is None:
            return None
        exponents[base] = exponents.get(base, Fraction(0)) + e
    return scale, exponents
