r"""The algebra of values: sets of terms as interned numbers, every operation remembered.

\[ u + v \mapsto T_u \cup T_v, \qquad u v \mapsto \{ s t : s \in T_u,\ t \in T_v \},
\qquad f(u) \mapsto \{ f \circ \textstyle\bigvee T_u \}. \]

A set with too many terms merges upwards: wider, never wrong.
"""

from collections.abc import Iterable

from .terms import (
    POLYNOMIAL,
    UNIT,
    Level,
    Term,
    compose,
    maximal_terms,
    merge,
    merged_by_support,
    product,
)

ZERO, ONE = 0, 1
"""The value that is known to vanish, and a value that depends on no parameter."""

MAXIMUM_TERMS = 64


class ExhaustedError(Exception):
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
            raise ExhaustedError
        if len(terms) > 4 * MAXIMUM_TERMS:
            terms = merged_by_support(terms)
        maximal = maximal_terms(terms) if len(terms) <= 4 * MAXIMUM_TERMS else [merge(terms)]
        self.work += len(terms) * len(maximal) // 8
        if len(maximal) > MAXIMUM_TERMS:
            linear = [term for term in maximal if term.joint.kind == POLYNOMIAL and term.joint.degree <= 1]
            others = [term for term in maximal if not (term.joint.kind == POLYNOMIAL and term.joint.degree <= 1)]
            maximal = ([merge(linear)] if linear else []) + others
            if len(maximal) > MAXIMUM_TERMS:
                maximal = [merge(maximal)]
        return self._intern(maximal)

    def label(self, label: int) -> int:
        """Return the value of a parameter itself."""
        one = Level(POLYNOMIAL, 1)
        return self._intern((Term(one, ((one, 1 << label),)),))

    def union(self, values: Iterable[int]) -> int:
        """Return the value of a sum, or of any one of several alternatives."""
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
        """Return the value of `left + right`, and of a choice between the two."""
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
        """Return the value of `left * right`."""
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
        """Return the value of `base ** exponent` for a whole exponent that is not negative."""
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
        """Return the value of a function of one of the classes `ENTIRE`, `QUOTIENT`, `RECIPROCAL`, `OPAQUE`."""
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
