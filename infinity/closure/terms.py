r"""How parameters enter a value: an algebra of terms.

A value is a finite sum of *terms*; a term says, for each label (a leaf or a slice of one) and for all labels together,
in which class of functions it lies. The classes form a chain, each closed under sums and products:

\[
\underbrace{\mathbb R[\theta]_{\le d}}_{\text{polynomial}} \subset \underbrace{\mathbb R[\theta,
e^{\ell(\theta)}]}_{\text{exponential}} \subset \underbrace{\operatorname{Frac} \mathbb R[\theta,
e^{\ell(\theta)}]}_{\text{rational}} \subset \underbrace{\operatorname{Frac} \mathbb R[\theta,
e^{p(\theta)}]}_{\text{reparametrisable}} \subset \text{open}, \]

with linear forms l and polynomials p, over the complex numbers where sines and cosines need it. A label's class holds
the other labels fixed. Degrees are upper bounds, so a term covers every term below it and a set of terms keeps only its
maximal ones.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

POLYNOMIAL, EXPONENTIAL, RATIONAL, REPARAMETRISABLE, OPEN = range(5)
FAMILIES = ("polynomial", "exponential", "rational", "open", "open")

ENTIRE, QUOTIENT, RECIPROCAL, OPAQUE = "entire", "quotient", "reciprocal", "opaque"
"""Classes of functions: exp, sin, cosh; tanh, logistic, tan; 1/x; everything else."""

MAXIMUM_CAUSES = 4


class Level(NamedTuple):
    """A class of functions: its place in the chain, the degree of a polynomial, and what lifted it there."""

    kind: int
    degree: int = 0
    causes: tuple[int, ...] = ()


class Term(NamedTuple):
    """One summand: the class in all labels together, and in each label with the others fixed.

    Labels of the same class stand together, as the bits of one integer.
    """

    joint: Level
    groups: tuple[tuple[Level, int], ...]

    def items(self) -> Iterator[tuple[int, Level]]:
        """Each label with its class."""
        for level, mask in self.groups:
            for label in bits(mask):
                yield label, level

    @property
    def mask(self) -> int:
        """All labels, as bits."""
        whole = 0
        for _, mask in self.groups:
            whole |= mask
        return whole


def bits(mask: int) -> Iterator[int]:
    """Return the places of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


Groups = tuple[tuple[Level, int], ...]
CONSTANT = Level(POLYNOMIAL)
UNIT = Term(CONSTANT, ())


def join(left: Level, right: Level) -> Level:
    """Return the smallest class that holds both."""
    if left.kind != right.kind:
        return left if left.kind > right.kind else right
    if left.kind == POLYNOMIAL:
        return left if left.degree >= right.degree else right
    if left.causes == right.causes:
        return left
    return Level(left.kind, 0, tuple(sorted(set(left.causes) | set(right.causes)))[:MAXIMUM_CAUSES])


def times(left: Level, right: Level) -> Level:
    """Return the class of products."""
    if left.kind == right.kind == POLYNOMIAL:
        return Level(POLYNOMIAL, left.degree + right.degree)
    return join(left, right)


def below(left: Level, right: Level) -> bool:
    """Whether the class `left` lies within `right`."""
    return left.kind < right.kind or (left.kind == right.kind and left.degree <= right.degree)


def compose(function: str, level: Level, cause: int) -> Level:
    """Return the class of `function(u)` for u in `level`."""
    kind = level.kind
    if kind == POLYNOMIAL and level.degree == 0:
        return level
    if function == ENTIRE:
        lifted = (EXPONENTIAL if level.degree == 1 else REPARAMETRISABLE) if kind == POLYNOMIAL else OPEN
    elif function == QUOTIENT:
        lifted = (RATIONAL if level.degree == 1 else REPARAMETRISABLE) if kind == POLYNOMIAL else OPEN
    elif function == RECIPROCAL:
        lifted = max(kind, RATIONAL)
    else:
        lifted = OPEN
    return level if lifted == kind else Level(lifted, 0, (cause,))


def merge(terms: Iterable[Term]) -> Term:
    """Return the smallest single term above all `terms`."""
    joint = CONSTANT
    groups: Groups = ()
    for term in terms:
        joint = join(joint, term.joint)
        groups = _combined(groups, term.groups, join)
    return Term(joint, groups)


def product(one: Term, other: Term) -> Term:
    """Return the term of products."""
    return Term(times(one.joint, other.joint), _combined(one.groups, other.groups, times))


def _combined(left: Groups, right: Groups, combine: Callable[[Level, Level], Level]) -> Groups:
    """Both groupings laid over one another."""
    if left == right and combine is join:
        return left
    found: dict[Level, int] = {}
    rest_right = dict(right)
    for level, mask in left:
        rest = mask
        for other, mask_other in right:
            common = rest & mask_other
            if common:
                both = combine(level, other)
                found[both] = found.get(both, 0) | common
                rest ^= common
                rest_right[other] &= ~common
        if rest:
            found[level] = found.get(level, 0) | rest
    for level, rest in rest_right.items():
        if rest:
            found[level] = found.get(level, 0) | rest
    return tuple(sorted(found.items()))


def degree_within(term: Term, labels: Iterable[int]) -> int | None:
    """Bound a term's degree in some labels together, the others fixed; None if it is no polynomial there."""
    wanted = 0
    for label in labels:
        wanted |= 1 << label
    total = 0
    for level, mask in term.groups:
        common = mask & wanted
        if common and level.kind != POLYNOMIAL:
            return None
        total += level.degree * common.bit_count()
    return min(total, term.joint.degree) if term.joint.kind == POLYNOMIAL else total


def merged_by_support(terms: set[Term]) -> set[Term]:
    """Merge the terms that depend on the same labels."""
    groups: dict[int, list[Term]] = {}
    for term in terms:
        groups.setdefault(term.mask, []).append(term)
    return {merge(group) for group in groups.values()}


def _covers(upper: Term, lower: Term) -> bool:
    """Whether a term lies within another: class by class, its labels are among those of the same class or above."""
    if not below(lower.joint, upper.joint):
        return False
    for level, mask in lower.groups:
        for other, other_mask in upper.groups:
            if below(level, other):
                mask &= ~other_mask
        if mask:
            return False
    return True


def maximal_terms(terms: set[Term]) -> list[Term]:
    """Drop each term that another covers, keeping the causes of equals.

    Terms of the same signature cannot cover one another unless they are equal but for their causes, so only different
    signatures are compared.
    """
    if len(terms) <= 1:
        return list(terms)
    equal: dict[tuple[Any, Any], Term] = {}
    for term in terms:
        same = (term.joint[:2], _bare(term))
        equal[same] = merge((equal[same], term)) if same in equal else term
    buckets: dict[tuple[Any, ...], list[Term]] = {}
    for (joint, bare), term in equal.items():
        counts = sorted(((kind, degree, mask.bit_count()) for (kind, degree), mask in bare), reverse=True)
        buckets.setdefault((joint, *counts), []).append(term)
    if len(buckets) == 1:
        return next(iter(buckets.values()))
    kept: list[Term] = []
    for signature in sorted(buckets, key=lambda one: (one[0], sum(count[-1] for count in one[1:]), one), reverse=True):
        above = list(kept)
        for term in buckets[signature]:
            place = next((place for place, other in enumerate(above) if _covers(other, term)), None)
            if place is None:
                kept.append(term)
            else:
                above[place] = kept[place] = merge((kept[place], term))
    return kept


def _bare(term: Term) -> tuple[tuple[tuple[int, int], int], ...]:
    """Return the groups without causes."""
    found: dict[tuple[int, int], int] = {}
    for level, mask in term.groups:
        key = (level.kind, level.degree)
        found[key] = found.get(key, 0) | mask
    return tuple(sorted(found.items()))
