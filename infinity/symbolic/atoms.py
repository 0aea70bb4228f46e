r"""Products of simple functions of the variables, the candidates for the terms of a sum.

    atom = prod_d f_d(x_d),    f_d in {1, x, x^2, x^3, 1/x, 1/x^2, sqrt x, sin x, cos x, exp x, exp -x, log x}

Which functions a variable may have depends on its values; the number of atoms is bounded by lowering the order of the products.
"""

import dataclasses
import functools
import itertools
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from .algebra import ONE, add, apply, mul, power
from .operators import Allowed, permits
from .tree import Tree, evaluate, number

MOST_ATOMS = 3000
# Values beyond this size, or below its inverse, have no squares.
_FAR = 1e150

# Functions of one variable by how far they are from plain: (order, exponent or function).
_POWERS = (
    (1.0, 1), (2.0, 2), (3.0, 3), (4.0, 4), (1.0, -1), (2.0, -2), (1.5, Fraction(1, 2)), (1.5, Fraction(-1, 2)), (2.5, Fraction(3, 2)), (3.0, -3),
)  # fmt: skip
_LOGARITHMS = ((3.0, 2), (4.0, 3), (3.0, -1))
_WORDS = ((1.5, "sin"), (1.5, "cos"), (2.0, "exp"), (2.0, "minus"), (2.0, "log"))


@dataclasses.dataclass(frozen=True)
class Atoms:
    """Trees of the atoms and their values `(N, A)`, the constant one first."""

    trees: tuple[Tree, ...]
    values: Float[np.ndarray, "N A"]


def make_atoms(
    columns: tuple[np.ndarray, ...], kind: str = "all", most: int = MOST_ATOMS, allowed: Allowed = None
) -> Atoms:
    """All atoms of these variables up to the order that keeps their number below `most`.

    **Arguments:** columns `(N,)` each; `kind`: `"polynomial"` for whole powers, `"whole"` also for negative ones, `"power"` also for broken ones, `"all"`
    also for functions; `"sign"` for the exponents 1 and -1 alone, in longer products; `"curved"` as `"all"`, without waves, with fourth roots, powers
    of logarithms and `1 / (1 + x)`.

    >>> import numpy as np
    >>> from infinity.symbolic.atoms import make_atoms
    >>> atoms = make_atoms((np.array([1.0, 2.0]), np.array([0.5, -1.0])), "polynomial", 8)
    >>> atoms.trees[1:4]
    (('x', 1), ('x', 0), ('pow', ('x', 1), ('q', 2, 1)))
    """
    choices = [
        [choice for choice in _choices(d, column, kind) if permits(allowed, choice[1])]
        for d, column in enumerate(columns)
    ]
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, (0,) * len(columns))]
    for order in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        some = _products(tuple(tuple(o for o, _ in choice) for choice in choices), order, most)
        if some is None:
            break
        best = some
    trees, values = [], []
    with np.errstate(all="ignore"):
        tables = [
            [np.broadcast_to(np.asarray(evaluate(t, columns, ()), float), columns[0].shape) for _, t in choice]
            for choice in choices
        ]
        for _, places in best:
            value = functools.reduce(np.multiply, (tables[d][place] for d, place in enumerate(places)))
            largest = np.max(np.abs(value))
            if not any(places) or (1 / _FAR < largest < _FAR and np.ptp(value) > 1e-12 * largest):
                trees.append(mul(*(choices[d][place][1] for d, place in enumerate(places))))
                values.append(value)
    return Atoms(tuple(trees), np.stack(values, axis=1))


def _choices(d: int, column: np.ndarray, kind: str) -> list[tuple[float, Tree]]:
    x: Tree = ("x", d)
    positive, nonzero = bool(np.min(column) > 0), bool(np.min(np.abs(column)) > 1e-9)
    found: list[tuple[float, Tree]] = [(0.0, ONE)]
    for order, exponent in _POWERS:
        if kind == "sign" and abs(exponent) != 1:
            continue
        whole = Fraction(exponent).denominator == 1
        negative = whole and nonzero and kind != "polynomial"
        if (exponent > 0 and whole) or negative or (positive and kind in ("power", "all", "curved")):
            found.append((order, power(x, number(exponent))))
    if kind in ("all", "curved"):
        for order, word in _WORDS:
            if word == "minus":
                found.append((order, apply("exp", mul(number(-1), x))))
            elif (word != "log" or positive) and not (word in ("sin", "cos") and kind == "curved"):
                found.append((order, apply(word, x)))
    if kind == "curved" and positive:
        found += [(2.5, power(x, number(sign, 4))) for sign in (1, -1)]
        found += [(order, power(apply("log", x), number(exponent))) for order, exponent in _LOGARITHMS]
    if kind == "curved" and np.min(column) > -0.5:
        found.append((2.0, power(add(x, ONE), number(-1))))
    return found


def _products(
    orders: tuple[tuple[float, ...], ...], most_order: float, most: int
) -> list[tuple[float, tuple[int, ...]]] | None:
    """Which function of each variable, for all products up to an order, sorted by it; `None` if they are too many."""
    partial: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for choice in orders:
        partial = [
            (total + own, (*places, place))
            for (total, places), (place, own) in itertools.product(partial, enumerate(choice))
            if total + own <= most_order
        ]
        if len(partial) > most:
            return None
    return sorted(partial, key=lambda item: item[0])
