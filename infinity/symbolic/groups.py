r"""Dimensionless groups, exactly: the theorem of Buckingham in fractions.

    A = dimensions of the inputs, one column each;    pivots = columns that span its range
    x_j / prod_pivots x_i^{a_ij} has no dimension,   A_pivots a_j = A_j;      y / prod_pivots x_i^{p_i} has none,   A_pivots p = dim y

The pivots are chosen so that the exponents are as small as they can be, whole ones first. The search then has only the groups as inputs: what it finds
is consistent, and it has fewer variables to look at.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from .algebra import ONE, mul, power
from .reduction import Reduction
from .tree import Tree, number
from .units import Dimension

# Choices of pivots that are looked at, for many inputs.
MOST = 200


def group_reductions(inputs: Sequence[Dimension], target: Dimension, most: int = 2) -> list[Reduction]:
    """The reductions to dimensionless groups, the simplest exponents first.

    **Raises:** `ValueError` where no product of powers of the inputs has the dimension of the target.

    >>> from fractions import Fraction
    >>> from infinity.symbolic.groups import group_reductions
    >>> L, T = "[length]", "[time]"
    >>> length, gravity = {L: Fraction(1)}, {L: Fraction(1), T: Fraction(-2)}
    >>> group_reductions([length, gravity, {}], {T: Fraction(1)})[0].prefactor
    ('mul', ('pow', ('x', 0), ('q', 1, 2)), ('pow', ('x', 1), ('q', -1, 2)))
    """
    import sympy

    bases = sorted({base for dimension in (*inputs, target) for base in dimension})
    column = lambda dimension: [sympy.Rational(*dimension.get(b, Fraction(0)).as_integer_ratio()) for b in bases]
    D = len(inputs)
    A = sympy.Matrix([column(dimension) for dimension in inputs]).T if bases else sympy.zeros(0, D)
    y = sympy.Matrix(column(target)) if bases else sympy.zeros(0, 1)
    rank = A.rank() if bases else 0
    if (sympy.Matrix.hstack(A, y).rank() if bases else 0) > rank:
        raise ValueError(
            "no product of powers of the inputs has the unit of the target; add what carries it as an input, such as a constant of nature, or leave units out"
        )
    found = []
    for pivots in itertools.islice(itertools.combinations(range(D), rank), MOST):
        square = A[:, list(pivots)]
        if square.rank() < rank:
            continue
        solve = lambda right, square=square: _fractions((square.T * square).inv() * square.T * right) if rank else []
        others = [d for d in range(D) if d not in pivots]
        exponents = [solve(A[:, d]) for d in others]
        found.append((_price(exponents, solve(y)), pivots, others, exponents, solve(y)))
    found.sort(key=lambda item: item[0])
    return [_reduction(*item[1:]) for item in found[:most]]


def _fractions(column: Any) -> list[Fraction]:
    return [Fraction(int(value.p), int(value.q)) for value in column]


def _price(exponents: list[list[Fraction]], front: list[Fraction]) -> float:
    """How long the groups are when their exponents are made whole, and how long and broken the prefactor is."""
    groups = sum(_scale(row) * (1 + sum(abs(value) for value in row)) for row in exponents)
    return float(groups) + 0.5 * sum(abs(float(value)) + (value.denominator > 1) for value in front)


def _scale(row: list[Fraction]) -> int:
    return math.lcm(*(value.denominator for value in row)) if row else 1


def _reduction(pivots, others, exponents, front) -> Reduction:
    variables: list[Tree] = []
    for d, row in zip(others, exponents, strict=True):
        scale = _scale(row)
        powers = [power(("x", i), number(-value * scale)) for i, value in zip(pivots, row, strict=True) if value]
        variables.append(mul(power(("x", d), number(scale)), *powers))
    prefactor = mul(*(power(("x", i), number(value)) for i, value in zip(pivots, front, strict=True) if value), ONE)
    return Reduction("units", tuple(variables), prefactor, 0.0)
