"""Which functions a formula may hold: the search is steered by them, so that a law of allowed functions is not passed over for a lookalike of others."""

from collections.abc import Iterable

from .candidates import Candidate
from .tree import FUNCTIONS, Tree, exact, walk

Allowed = frozenset[str] | None


def words_of(tree: Tree) -> frozenset[str]:
    """The functions that a formula holds; a power that is not whole is a `"sqrt"`.

    >>> from infinity.symbolic.operators import words_of
    >>> sorted(words_of(("mul", ("exp", ("x", 0)), ("pow", ("x", 1), ("q", 3, 2)))))
    ['exp', 'sqrt']
    """
    words = {node[0] for node in walk(tree) if node[0] in FUNCTIONS}
    roots = any(
        node[0] == "pow" and ((value := exact(node[2])) is None or value.denominator > 1) for node in walk(tree)
    )
    return frozenset(words | ({"sqrt"} if roots else set()))


def permits(allowed: Allowed, tree: Tree) -> bool:
    """Whether a formula holds only what is allowed; `None` allows all."""
    return allowed is None or words_of(tree) <= allowed


def permitted(allowed: Allowed, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that hold only what is allowed."""
    return [candidate for candidate in candidates if permits(allowed, candidate.tree)]
