r"""The derivative of a formula with respect to an input, as a formula.

(u + v)' = u' + v',    (u v)' = u' v + u v',    (u^n)' = n u^{n-1} u',    (u^v)' = u^v (v' log u + v u'/u),    f(u)' = f'(u) u'
"""

from collections.abc import Callable

from .algebra import ONE, ZERO, add, apply, minus, mul, over, power
from .tree import Tree, exact, indices, number

_INNER: dict[str, Callable[[Tree], Tree]] = {
    "exp": lambda u: apply("exp", u),
    "log": lambda u: power(u, number(-1)),
    "sin": lambda u: apply("cos", u),
    "cos": lambda u: minus(apply("sin", u)),
    "tan": lambda u: add(ONE, power(apply("tan", u), number(2))),
    "asin": lambda u: power(add(ONE, minus(power(u, number(2)))), number(-1, 2)),
    "acos": lambda u: minus(power(add(ONE, minus(power(u, number(2)))), number(-1, 2))),
    "atan": lambda u: power(add(ONE, power(u, number(2))), number(-1)),
    "sinh": lambda u: apply("cosh", u),
    "cosh": lambda u: apply("sinh", u),
    "tanh": lambda u: add(ONE, minus(power(apply("tanh", u), number(2)))),
    "abs": lambda u: over(u, apply("abs", u)),
}


def derivative(tree: Tree, index: int) -> Tree:
    """The derivative with respect to the input of an index; of `abs` away from its corner.

    >>> from infinity.symbolic.derivative import derivative
    >>> derivative(("mul", ("pow", ("x", 0), ("q", 2, 1)), ("sin", ("x", 1))), 0)
    ('mul', ('q', 2, 1), ('x', 0), ('sin', ('x', 1)))
    """
    if index not in indices(tree, "x"):
        return ZERO
    word = tree[0]
    if word == "x":
        return ONE
    if word == "add":
        return add(*(derivative(part, index) for part in tree[1:]))
    if word == "mul":
        parts = tree[1:]
        return add(*(mul(*parts[:k], derivative(part, index), *parts[k + 1 :]) for k, part in enumerate(parts)))
    if word == "pow":
        base, exponent = tree[1:]
        inner = derivative(base, index)
        if index not in indices(exponent, "x"):
            known = exact(exponent)
            lower = add(exponent, number(-1)) if known is None else number(known - 1)
            return mul(exponent, power(base, lower), inner)
        grown = mul(derivative(exponent, index), apply("log", base))
        return mul(tree, add(grown, mul(exponent, power(base, number(-1)), inner)))
    return mul(_INNER[word](tree[1]), derivative(tree[1], index))
