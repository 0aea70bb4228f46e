r"""What a surface may be written in: the coordinates themselves, or the invariants of a stress tensor; and the terms made of them.

    I1 = tr s,   I2 = ((tr s)^2 - tr s^2) / 2,   I3 = det s,   q = sqrt J2,   J2 = I1^2 / 3 - I2,   J3 = I3 - I1 I2 / 3 + 2 I1^3 / 27

Six columns are the components xx, yy, zz, yz, xz, xy; three are principal stresses.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from ..algebra import ZERO, add, minus, mul, power
from ..candidates import cost
from ..dynamics.terms import Library, make_library
from ..parse import read_exact
from ..tree import Tree, indices, number

INVARIANTS = ("I1", "I2", "I3", "J2", "q", "J3")
MOST_TERMS = 110


def invariants(columns: int) -> tuple[Tree, ...]:
    """The trees of `INVARIANTS` in three principal stresses or six components.

    >>> from infinity.symbolic.surfaces.features import invariants
    >>> from infinity.symbolic.tree import evaluate
    >>> [round(float(evaluate(tree, [3.0, 2.0, 1.0], ())), 6) for tree in invariants(3)]
    [6.0, 11.0, 6.0, 1.0, 1.0, 0.0]
    """
    x = [("x", d) for d in range(columns)]
    square = lambda tree: power(tree, number(2))
    pairs = (mul(x[1], x[2]), mul(x[0], x[2]), mul(x[0], x[1]))
    first = add(*x[:3])
    if columns == 3:
        second, third = add(*pairs), mul(*x)
        shear: list[Tree] = []
    else:
        shear = [square(part) for part in x[3:]]
        second = add(*pairs, *(minus(part) for part in shear))
        third = add(mul(*x[:3]), mul(number(2), *x[3:]), *(minus(mul(x[d], part)) for d, part in enumerate(shear)))
    # As a sum of squares: no digits are lost near the hydrostatic axis.
    differences = (square(add(a, minus(b))) for a, b in itertools.combinations(x[:3], 2))
    deviator = add(mul(number(1, 6), add(*differences)), *shear)
    cubic = add(third, mul(number(-1, 3), first, second), mul(number(2, 27), power(first, number(3))))
    return first, second, third, deviator, power(deviator, number(1, 2)), cubic


@dataclasses.dataclass(frozen=True)
class Family:
    """Terms as a library in features, and the features `(F,)` as a library in coordinates, with the names that they are written in."""

    names: tuple[str, ...]
    features: Library
    terms: Library

    def values(self, x: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n P"]:
        """The terms at points."""
        return self.terms.values(self.features.values(x))

    def gradients(self, x: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n P D"]:
        """Their derivatives with respect to the coordinates."""
        return np.matmul(self.terms.gradients(self.features.values(x)), self.features.gradients(x))

    def curvatures(self, x: Float[np.ndarray, "n D"], scale: Float[np.ndarray, " D"]) -> Float[np.ndarray, "n P"]:
        """`sum_j scale_j^2 d^2 theta / dx_j^2` by differences of the derivatives; it only serves corrections of second order."""
        total = np.zeros((len(x), len(self.terms.terms)))
        for j, size in enumerate(scale):
            step = 1e-4 * size * (np.arange(len(scale)) == j)
            total += size * (self.gradients(x + step)[:, :, j] - self.gradients(x - step)[:, :, j]) / 2e-4
        return total

    def only(self, chosen: Sequence[int]) -> "Family":
        """The family of some of the terms; features that these do not need are zero."""
        terms = tuple(self.terms.terms[p] for p in chosen)
        used = {f for tree in terms for f in indices(tree, "x")}
        features = tuple(tree if f in used else ZERO for f, tree in enumerate(self.features.terms))
        return Family(self.names, Library(features, self.features.states), Library(terms, self.terms.states))


def families(names: Sequence[str], stress: bool, degree: int, extra: Sequence[str]) -> list[Family]:
    """The families that compete: monomials of the coordinates, and, of stresses, products and quotients of invariants."""
    D = len(names)
    plain = make_library(tuple(names), D, degree, (), extra)
    plain = Library(tuple(tree for tree in plain.terms if tree != number(1)), D)
    same = Library(tuple(("x", d) for d in range(D)), D)
    found = [Family(tuple(names), same, plain)]
    if stress:
        own = [read_exact(text, INVARIANTS) for text in extra if not any(name in text for name in names)]
        terms = tuple(dict.fromkeys([*_products(len(INVARIANTS)), *own]))
        family = Family(INVARIANTS, Library(invariants(D), D), Library(terms, len(INVARIANTS)))
        found.insert(0, family.only(_distinct(family, D)))
    return found


def _distinct(family: Family, columns: int) -> list[int]:
    """The terms without those that are a multiple of a cheaper one everywhere: `J2/q` is `q`."""
    x = np.random.default_rng(0).uniform(1, 2, (40, columns))
    x[:, 3:] *= 0.2  # all principal stresses are positive here, so that every root exists
    values = family.values(x)
    unit = values / np.linalg.norm(values, axis=0)
    same = np.abs(unit.T @ unit) > 1 - 1e-12
    return [p for p in range(len(unit.T)) if not np.any(same[p, :p])]


def _products(features: int) -> list[Tree]:
    """Powers, products of two, quotients of two and products of two over one, the cheapest first; powers of the square root are left to what it roots."""
    x = [("x", d) for d in range(features)]
    singles = [*x, *(power(part, number(n)) for part in x for n in (2, 3)), power(x[1], number(Fraction(1, 2)))]
    pairs = [mul(a, b) for a, b in itertools.combinations(x, 2)]
    quotients = [mul(a, power(b, number(-1))) for a, b in itertools.permutations(x, 2)]
    cones = [
        mul(a, b, power(c, number(-1)))
        for a, b in itertools.combinations_with_replacement(x, 2)
        for c in x
        if c not in (a, b)
    ]
    cubes = [mul(power(x[0], number(3)), power(x[2], number(-1))), mul(x[5], power(x[4], number(-3)))]
    q = x[4]
    twice = {power(q, number(2)), mul(x[3], q)}
    found = [tree for tree in dict.fromkeys([*singles, *pairs, *quotients, *cones, *cubes]) if tree not in twice]
    return sorted(found, key=cost)[:MOST_TERMS]
