r"""How parameters enter a value: an algebra of terms.

A value is a finite sum of *terms*; a term says, for each label (a leaf or a slice of one) and for all labels together, in which class of functions
it lies. The classes form a chain, each closed under sums and products:

\[
\underbrace{\mathbb R[\theta]_{\le d}}_{\text{polynomial}} \subset \underbrace{\mathbb R[\theta, e^{\ell(\theta)}]}_{\text{exponential}}
\subset \underbrace{\operatorname{Frac} \mathbb R[\theta, e^{\ell(\theta)}]}_{\text{rational}}
\subset \underbrace{\operatorname{Frac} \mathbb R[\theta, e^{p(\theta)}]}_{\text{reparametrisable}} \subset \text{open},
\]

with linear forms l and polynomials p, over the complex numbers where sines and cosines need it. A label's class holds the other labels fixed. Degrees
are upper bounds, so a term covers every term below it and a set of terms keeps only its maximal ones. Values are interned: a set of terms is an
integer, and every operation is remembered.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple

POLYNOMIAL, EXPONENTIAL, RATIONAL, REPARAMETRISABLE, OPEN = range(5)
FAMILIES = ("polynomial", "exponential", "rational", "open", "open")

ENTIRE, QUOTIENT, RECIPROCAL, OPAQUE = "entire", "quotient", "reciprocal", "opaque"
"""Classes of functions: exp, sin, cosh; tanh, logistic, tan; 1/x; everything else."""

ZERO, ONE = 0, 1
"""The value that is known to vanish, and a value that depends on no parameter."""

MAXIMUM_TERMS = 64
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
    """The places of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


Groups = tuple[tuple[Level, int], ...]
CONSTANT = Level(POLYNOMIAL)
UNIT = Term(CONSTANT, ())


def join(left: Level, right: Level) -> Level:
    """The smallest class that holds both."""
    if left.kind != right.kind:
        return left if left.kind > right.kind else right
    if left.kind == POLYNOMIAL:
        return left if left.degree >= right.degree else right
    if left.causes == right.causes:
        return left
    return Level(left.kind, 0, tuple(sorted(set(left.causes) | set(right.causes)))[:MAXIMUM_CAUSES])


def times(left: Level, right: Level) -> Level:
    """The class of products."""
    if left.kind == right.kind == POLYNOMIAL:
        return Level(POLYNOMIAL, left.degree + right.degree)
    return join(left, right)


def below(left: Level, right: Level) -> bool:
    """Whether the class `left` lies within `right`."""
    return left.kind < right.kind or (left.kind == right.kind and left.degree <= right.degree)


def compose(function: str, level: Level, cause: int) -> Level:
    """The class of `function(u)` for u in `level`."""
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
    """The smallest single term above all `terms`."""
    joint = CONSTANT
    groups: Groups = ()
    for term in terms:
        joint = join(joint, term.joint)
        groups = _combined(groups, term.groups, join)
    return Term(joint, groups)


def product(one: Term, other: Term) -> Term:
    """The term of products."""
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
    """A bound on the degree of a term in a set of labels together, the others fixed; None if it is no polynomial there."""
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


class Exhausted(Exception):
    """The algebra was given a budget of work and has spent it."""


class Algebra:
    """Interned sets of terms with remembered operations; sets are integers, `ZERO` and `ONE` among them."""

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self.work = 0
        self.sets: list[tuple[Term, ...]] = []
        self._index: dict[frozenset[Term], int] = {}
        self._sums: dict[tuple[int, int], int] = {}
        self._products: dict[tuple[int, int], int] = {}
        self._unions: dict[frozenset[int], int] = {}
        self._applied: dict[tuple[str, int, int], int] = {}
        self._intern(())
        self._intern((UNIT,))

    def __len__(self) -> int:
        return len(self.sets)

    def _intern(self, terms: Iterable[Term]) -> int:
        key = frozenset(terms)
        number = self._index.get(key)
        if number is None:
            number = len(self.sets)
            self._index[key] = number
            self.sets.append(tuple(sorted(key)))
        return number

    def _reduced(self, terms: set[Term]) -> int:
        """Intern the maximal terms; above the cap, terms merge upwards."""
        self.work += len(terms)
        if self.budget is not None and self.work > self.budget:
            raise Exhausted
        if len(terms) > 4 * MAXIMUM_TERMS:
            terms = _merged_by_support(terms)
        maximal = maximal_terms(terms) if len(terms) <= 4 * MAXIMUM_TERMS else [merge(terms)]
        if len(maximal) > MAXIMUM_TERMS:
            linear = [term for term in maximal if term.joint.kind == POLYNOMIAL and term.joint.degree <= 1]
            others = [term for term in maximal if not (term.joint.kind == POLYNOMIAL and term.joint.degree <= 1)]
            maximal = ([merge(linear)] if linear else []) + others
            if len(maximal) > MAXIMUM_TERMS:
                maximal = [merge(maximal)]
        return self._intern(maximal)

    def label(self, label: int) -> int:
        """The value of a parameter itself."""
        one = Level(POLYNOMIAL, 1)
        return self._intern((Term(one, ((one, 1 << label),)),))

    def union(self, values: Iterable[int]) -> int:
        """The value of a sum, or of any one of several alternatives."""
        key = frozenset(values)
        if len(key) <= 2:
            ordered = tuple(sorted(key))
            return ZERO if not ordered else ordered[0] if len(ordered) == 1 else self.add(*ordered)
        result = self._unions.get(key)
        if result is None:
            result = self._reduced({term for value in key for term in self.sets[value]})
            self._unions[key] = result
        return result

    def add(self, left: int, right: int) -> int:
        """The value of `left + right`, and of a choice between the two."""
        if left == right or right == ZERO:
            return left
        if left == ZERO:
            return right
        key = (left, right) if left < right else (right, left)
        result = self._sums.get(key)
        if result is None:
            result = self._reduced(set(self.sets[left]) | set(self.sets[right]))
            self._sums[key] = result
        return result

    def multiply(self, left: int, right: int) -> int:
        """The value of `left * right`."""
        if left == ZERO or right == ZERO:
            return ZERO
        if left == ONE:
            return right
        if right == ONE:
            return left
        key = (left, right) if left < right else (right, left)
        result = self._products.get(key)
        if result is None:
            result = self._reduced({product(one, other) for one in self.sets[left] for other in self.sets[right]})
            self._products[key] = result
        return result

    def power(self, base: int, exponent: int) -> int:
        """The value of `base ** exponent` for a whole exponent that is not negative."""
        if exponent == 0:
            return ONE
        result, square = None, base
        while True:
            if exponent & 1:
                result = square if result is None else self.multiply(result, square)
            exponent >>= 1
            if not exponent:
                return result if result is not None else ONE
            square = self.multiply(square, square)

    def apply(self, function: str, value: int, cause: int) -> int:
        """The value of a function of one of the classes `ENTIRE`, `QUOTIENT`, `RECIPROCAL`, `OPAQUE`."""
        if value <= ONE:
            return ONE
        key = (function, value, cause)
        result = self._applied.get(key)
        if result is None:
            whole = merge(self.sets[value])
            groups: dict[Level, int] = {}
            for level, mask in whole.groups:
                lifted = compose(function, level, cause)
                groups[lifted] = groups.get(lifted, 0) | mask
            result = self._intern((Term(compose(function, whole.joint, cause), tuple(sorted(groups.items()))),))
            self._applied[key] = result
        return result


def _merged_by_support(terms: set[Term]) -> set[Term]:
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

    Terms of the same signature cannot cover one another unless they are equal but for their causes, so only different signatures are compared.
    """
    if len(terms) <= 1:
        return list(terms)
    equal: dict[Hashable, Term] = {}
    for term in terms:
        same = (term.joint[:2], _bare(term))
        equal[same] = merge((equal[same], term)) if same in equal else term
    buckets: dict[tuple[tuple[int, int], ...], list[Term]] = {}
    for (joint, bare), term in equal.items():  # pyright: ignore[reportGeneralTypeIssues]
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
    """The groups without causes."""
    found: dict[tuple[int, int], int] = {}
    for level, mask in term.groups:
        key = (level.kind, level.degree)
        found[key] = found.get(key, 0) | mask
    return tuple(sorted(found.items()))
