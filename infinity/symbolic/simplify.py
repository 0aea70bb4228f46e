r"""What a candidate does not need is taken away: terms and factors that do not pay, and exponents that are as good as simple fractions.

Each change is refitted and kept where the description length falls; the order is that of the gain.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .algebra import expanded, made
from .candidates import Candidate, Data, polished
from .tree import Tree, children, indices, number, walk

# Fractions that an exponent may be, and how far a fitted one may lie from it.
EXPONENTS = tuple(sorted({Fraction(n, d) for d in (1, 2, 3, 4) for n in range(-12, 13) if abs(n / d) <= 6}))
_NEAR = 0.26


def simplified(candidate: Candidate | None, data: Data, rounds: int = 8) -> Candidate | None:
    """The candidate after all changes that pay."""
    if candidate is None:
        return None
    for _ in range(rounds):
        tried = (polished(tree, constants, data, candidate.origin, 25) for tree, constants in changes(candidate))
        better = [trial for trial in tried if trial is not None and trial.score < candidate.score]
        if not better:
            return candidate
        candidate = min(better, key=lambda c: c.score)
    return candidate


def changes(candidate: Candidate) -> Iterator[tuple[Tree, np.ndarray]]:
    """Simpler formulas nearby: multiplied out, exponents as fractions, constants as zero or one."""
    flat = expanded(candidate.tree)
    if flat != candidate.tree and len(indices(flat, "c")) == len(candidate.constants) == sum(
        node[0] == "c" for node in walk(flat)
    ):
        yield flat, candidate.constants
    exponents = {node[2][1] for node in walk(candidate.tree) if node[0] == "pow" and node[2][0] == "c"}
    for k in exponents:
        value = float(candidate.constants[k])
        for near in nearest_fractions(value):
            yield with_number(candidate.tree, k, near), candidate.constants
    for k, value in enumerate(candidate.constants.tolist()):
        if k in exponents:
            continue
        yield with_number(candidate.tree, k, Fraction(0)), candidate.constants
        if abs(abs(value) - 1) < 0.2:
            yield with_number(candidate.tree, k, Fraction(round(value))), candidate.constants


def nearest_fractions(value: float, most: int = 2) -> list[Fraction]:
    """Simple fractions near a number, the nearest first; zero is among them."""
    near = sorted(EXPONENTS, key=lambda f: abs(float(f) - value))[:most]
    return [f for f in near if abs(float(f) - value) < _NEAR]


def with_number(tree: Tree, index: int, value: Fraction) -> Tree:
    """The tree with a constant made an exact number, folded."""
    if tree == ("c", index):
        return number(value)
    kids = children(tree)
    if not kids:
        return tree
    return made(tree[0], [with_number(child, index, value) for child in kids])
