r"""From data to formulas, by taking apart what can be taken apart.

    solve(data) = sparse sums, scaling laws, one variable
                + for each proposal (scaling, translation, sum or product of two groups): solve(the smaller problem), put back, refined on the measurements

Scores propose, refits decide. Work is counted in fits of surrogates, never in seconds, so that a seed gives one answer.
The trace says what was tried and what came of it.
"""

import dataclasses

import numpy as np

from .algebra import add, mul, substituted
from .candidates import Candidate, Data, best_first, is_exact, polished
from .library import find_one
from .logarithms import find_logarithms
from .monomials import find_monomials
from .operators import Allowed
from .rational import find_rationals
from .reduction import Reduction, mirrored, reductions
from .scaled import find_scaled
from .separation import Split, part_of, rest_of, splits
from .simplify import simplified
from .sparse import SHORT, sums_of
from .surrogate import Surrogate, fit_surrogate
from .tree import evaluate

# Candidates that a smaller problem gives back.
CARRIED = 3
# How much worse than the free surrogate a fit in fewer variables may be.
ACCEPTED = 1.3
# On clean data the free surrogate may be better by luck: a reduction that holds to this part is taken anyway.
CLEAN = 0.01


@dataclasses.dataclass
class Search:
    """What the recursion shares: how many surrogates it may still fit, the seed, the trace, who is told about it, and the functions that formulas may hold."""

    surrogates: int = 12
    seed: int = 0
    trace: list[str] = dataclasses.field(default_factory=list)
    listener: object = None
    allowed: Allowed = None

    def say(self, depth: int, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append("  " * depth + text)
        if callable(self.listener):
            self.listener({"stage": text})


def solve(data: Data, search: Search, depth: int = 0, surrogate: Surrogate | None = None) -> list[Candidate]:
    """Candidates for the data, the best first."""
    D = len(data.columns)
    if D == 0 or np.ptp(data.y) == 0:
        return best_first([polished(("c", 0), [float(np.average(data.y, weights=data.weights))], data, "constant")])
    turned = mirrored(data)
    if turned is not None and (smaller := turned.apply(data)) is not None:
        return put_back(turned, solve(smaller, search, depth), data)
    if D == 1:
        found = find_one(data, allowed=search.allowed)
        if not (found and is_exact(found[0], data)):
            found = best_first(
                [*found, *sums_of(data, True, allowed=search.allowed), *find_rationals(data, search.allowed)]
            )
        _report(search, depth, "one variable", found, data)
        return found[:CARRIED]
    found = find_monomials(data, search.allowed)
    if found and is_exact(found[0], data):
        _report(search, depth, f"powers of {D} variables", found, data)
        return found
    found = best_first([*found, *sums_of(data, True, wide=False, allowed=search.allowed)])
    _report(search, depth, f"sums of {D} variables", found, data)
    if found and is_exact(found[0], data) and found[0].complexity <= SHORT:
        return found
    found = best_first([*found, *find_rationals(data, search.allowed)])
    if not (found and is_exact(found[0], data)):
        found = best_first([*found, *find_logarithms(data, search.allowed)])
    _report(search, depth, f"quotients of {D} variables", found, data)
    if found and is_exact(found[0], data):
        return found
    if depth < 5 and search.surrogates > 0:
        if surrogate is None:
            search.surrogates -= 1
            surrogate = fit_surrogate(data, search.seed)
        if surrogate is not None and not _enough(found, surrogate):
            found = _reduced(data, surrogate, search, depth, found)
    if found and is_exact(found[0], data):
        return found
    # Fewer variables make this search cheaper, so that it comes after the reductions.
    found = best_first([*found, *find_scaled(data, search.allowed)])
    _report(search, depth, f"scaling laws of {D} variables", found, data)
    if found and is_exact(found[0], data):
        return found
    if surrogate is not None and depth < 5 and not _enough(found, surrogate):
        found = _apart(data, surrogate, search, depth, found)
    if D <= 3 and not (found and (is_exact(found[0], data) or (surrogate is not None and _enough(found, surrogate)))):
        found = best_first([*found, *sums_of(data, True, allowed=search.allowed)])
        _report(search, depth, f"larger sums of {D} variables", found, data)
    return found[: CARRIED if depth else None]


def _reduced(data: Data, surrogate: Surrogate, search: Search, depth: int, found: list[Candidate]) -> list[Candidate]:
    """What the reductions of a surrogate lead to."""
    missed = surrogate.heldout
    search.say(depth, f"surrogate misses {np.sqrt(missed / max(data.variance, 1e-300)):.2g}")
    for reduction in reductions(data, surrogate):
        if search.surrogates <= 0:
            break
        smaller = reduction.apply(data)
        if smaller is None or not smaller.columns:
            found = best_first(
                [*found, *put_back(reduction, solve(smaller, search, depth + 1) if smaller is not None else [], data)]
            )
            continue
        search.surrogates -= 1
        fitted = fit_surrogate(smaller, search.seed)
        if fitted is None:
            continue
        scale = (
            1.0
            if smaller.weights is None
            else float(np.mean(smaller.weights)) / (1.0 if data.weights is None else float(np.mean(data.weights)))
        )
        ratio = np.sqrt(fitted.heldout * scale / max(missed, 1e-12 * data.variance))
        good = ratio < ACCEPTED or (reduction.misfit < CLEAN and fitted.heldout * scale < CLEAN**2 * data.variance)
        search.say(
            depth,
            f"{reduction.kind} to {len(smaller.columns)} variables: misses {ratio:.2f} times as much, {'taken' if good else 'left'}",
        )
        if good:
            found = best_first([*found, *put_back(reduction, solve(smaller, search, depth + 1, fitted), data)])
            if is_exact(found[0], data):
                return found
            break
    return found


def _apart(data: Data, surrogate: Surrogate, search: Search, depth: int, found: list[Candidate]) -> list[Candidate]:
    """What the splits of a surrogate lead to."""
    for split in splits(data, surrogate):
        found = best_first([*found, *_joined(data, surrogate, split, search, depth)])
        if found and (is_exact(found[0], data) or _enough(found, surrogate)):
            break
    return found


def _enough(found: list[Candidate], surrogate: Surrogate) -> bool:
    """Whether a short formula already does as well on all rows as the free surrogate on rows that it has not seen."""
    return bool(found) and found[0].complexity <= SHORT and found[0].mean_square <= surrogate.heldout


def put_back(reduction: Reduction, solved: list[Candidate], data: Data) -> list[Candidate]:
    """Formulas of the new variables as formulas of the old ones, refined on the measurements."""
    out = []
    for candidate in solved[:CARRIED]:
        tree = mul(reduction.prefactor, substituted(candidate.tree, reduction.variables))
        out.append(
            simplified(polished(tree, candidate.constants, data, f"{reduction.kind}, {candidate.origin}"), data, 3)
        )
    return best_first(out)


def _joined(data: Data, surrogate: Surrogate, split: Split, search: Search, depth: int) -> list[Candidate]:
    """Formulas of both groups, put together."""
    word = "product" if split.product else "sum"
    search.say(depth, f"{word} of {len(split.first)} and {len(split.second)} variables, score {split.score:.2g}")
    first = part_of(data, surrogate, split)
    if first is None:
        return []
    out: list[Candidate | None] = []
    for one in solve(first, search, depth + 1)[:2]:
        with np.errstate(all="ignore"):
            known = np.broadcast_to(np.asarray(evaluate(one.tree, first.columns, one.constants), float), data.y.shape)
        rest = rest_of(data, split, known)
        if rest is None:
            continue
        for two in solve(rest, search, depth + 1)[:2]:
            front = substituted(one.tree, [("x", d) for d in split.first])
            back = substituted(two.tree, [("x", d) for d in split.second], len(one.constants))
            constants = np.concatenate([one.constants, two.constants])
            tree = mul(front, back) if split.product else add(front, back)
            out.append(simplified(polished(tree, constants, data, word), data, 3))
        if any(is_exact(candidate, data) for candidate in out):
            break
    return best_first(out)


def _report(search: Search, depth: int, what: str, found: list[Candidate], data: Data) -> None:
    if found:
        search.say(
            depth,
            f"{what}: {np.sqrt(found[0].mean_square / max(data.variance, 1e-300)):.2g} ({found[0].complexity} long)",
        )
