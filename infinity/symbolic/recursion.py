r"""From data to formulas, by taking apart what can be taken apart.

    solve(data) = sparse sums, scaling laws, one variable
                + for each proposal (scaling, translation, sum or product of two groups): solve(the smaller problem), put back, refined on the measurements

Scores propose, refits decide. Work is counted in fits of surrogates, never in seconds, so that a seed gives one answer.
The trace says what was tried and what came of it.
"""

import dataclasses
import itertools

import numpy as np

from .algebra import add, mul, substituted
from .candidates import Candidate, Data, best_first, is_exact, polished
from .library import find_one
from .logarithms import find_logarithms
from .monomials import find_monomials
from .operators import Allowed
from .outliers import suspects, uneven
from .pivots import ordered
from .rational import find_rationals
from .reduction import Reduction, mirrored, reductions
from .residuals import chance_of_residuals
from .scaled import find_scaled
from .separation import Split, part_of, rest_of, splits
from .simplify import simplified
from .sparse import SHORT, long_products, long_sums, sums_of
from .surrogate import Surrogate, fit_surrogate
from .tree import evaluate

# Candidates that a smaller problem gives back; of one variable, of which pairs are tried.
CARRIED, JOINED = 3, 5
# Reductions of one kind of data that are followed, and choices of pivots of each.
MOST_TAKEN, MOST_PIVOTS = 2, 2
# What a law leaves is as likely as this, or the search goes on; so that structure is not even looked for.
LIKELY, SURE = 0.01, 0.05
# Pivots beside the first ones are tried where the function falls apart with them.
APART = 1.5
# A surrogate that misses more than this part of the variance shows no structure.
POOR = 0.02
# How deep sums of products of many variables are looked for.
PRODUCTS_TO = 1
# Constants of a law that is settled before structure is looked for.
FEW = 2
# How much worse than the free surrogate a fit in fewer variables may be.
ACCEPTED = 1.3
# On clean data the free surrogate may be better by luck: a reduction that holds to this part is taken anyway.
CLEAN = 0.01


@dataclasses.dataclass
class Search:
    """What the recursion shares: how many surrogates it may still fit and smaller problems solve, the seed, the trace, who is told, and what is allowed.

    A `cautious` search ends early where rows are `doubtful` (`infinity.symbolic.outliers`), so that it may begin anew without them.
    """

    surrogates: int = 12
    problems: int = 24
    seed: int = 0
    trace: list[str] = dataclasses.field(default_factory=list)
    listener: object = None
    allowed: Allowed = None
    root: tuple[Data, Surrogate | None] | None = None
    cautious: bool = False
    doubtful: tuple[int, ...] = ()

    @property
    def spent(self) -> bool:
        """Whether nothing is left of either."""
        return min(self.surrogates, self.problems) <= 0

    def fitted(self, data: Data) -> Surrogate | None:
        """A surrogate of some data, one less to come; that of the first data is kept."""
        if self.root is not None and self.root[0] is data:
            return self.root[1]
        self.surrogates -= 1
        surrogate = fit_surrogate(data, self.seed)
        self.root = self.root or (data, surrogate)
        return surrogate

    def say(self, depth: int, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append("  " * depth + text)
        if callable(self.listener):
            self.listener({"stage": text})


def solve(data: Data, search: Search, depth: int = 0, surrogate: Surrogate | None = None) -> list[Candidate]:
    """Candidates for the data, the best first."""
    D = len(data.columns)
    search.problems -= depth > 0
    if D == 0 or np.ptp(data.y) == 0:
        return best_first([polished(("c", 0), [float(np.average(data.y, weights=data.weights))], data, "constant")])
    turned = mirrored(data)
    if turned is not None and (smaller := turned.apply(data)) is not None:
        return put_back(turned, solve(smaller, search, depth), data)
    if D == 1:
        found = find_one(data, allowed=search.allowed)
        if not (settled(found, data, None, SURE) and len(found[0].constants) <= FEW + 1):
            found = best_first(
                [*found, *sums_of(data, True, allowed=search.allowed), *find_rationals(data, search.allowed)]
            )
        _report(search, depth, "one variable", found, data)
        return found[:JOINED]
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
    if settled(found, data, None, SURE) and len(found[0].constants) <= FEW:
        return found
    if depth <= PRODUCTS_TO:
        found = best_first([*found, *long_products(data, search.allowed)])
        _report(search, depth, f"sums of products of {D} variables", found, data)
        if settled(found, data, None, SURE) and len(found[0].constants) <= FEW:
            return found
    reduced = scaled = False
    if depth < 5 and not search.spent:
        surrogate = search.fitted(data) if surrogate is None else surrogate
        if depth == 0 and search.cautious and surrogate is not None and uneven(data, surrogate):
            search.doubtful = suspects(data, search.seed)
            if search.doubtful:
                return found
        if depth == 0 and surrogate is not None and surrogate.heldout > POOR * data.variance:
            # Few rows make a poor surrogate, whose structure is none; a scaling law needs fewer.
            found = best_first([*found, *find_scaled(data, search.allowed)])
            _report(search, depth, f"scaling laws of {D} variables", found, data)
            scaled = True
        if surrogate is not None and not settled(found, data, surrogate):
            found, reduced = _reduced(data, surrogate, search, depth, found)
    if found and is_exact(found[0], data):
        return found
    if not (reduced or scaled):
        # What a reduction leads to has seen the same laws, in fewer variables and cheaper.
        found = best_first([*found, *find_scaled(data, search.allowed)])
        _report(search, depth, f"scaling laws of {D} variables", found, data)
    if settled(found, data, surrogate):
        return found
    if surrogate is not None and depth < 5 and not search.spent:
        found = _apart(data, surrogate, search, depth, found)
    if D <= 3 and not reduced and not settled(found, data, surrogate):
        found = best_first([*found, *sums_of(data, True, allowed=search.allowed)])
        _report(search, depth, f"larger sums of {D} variables", found, data)
    if D <= 3 and depth == 0 and not settled(found, data, surrogate):
        found = best_first([*found, *long_sums(data, search.allowed)])
        _report(search, depth, f"long sums of {D} variables", found, data)
    return found[: CARRIED if depth else None]


def _reduced(
    data: Data, surrogate: Surrogate, search: Search, depth: int, found: list[Candidate]
) -> tuple[list[Candidate], bool]:
    """What the reductions of a surrogate lead to, and whether one was followed."""
    missed = surrogate.heldout
    search.say(depth, f"surrogate misses {np.sqrt(missed / max(data.variance, 1e-300)):.2g}")
    taken = 0
    for reduction in reductions(data, surrogate):
        if search.spent or taken == MOST_TAKEN:
            break
        smaller = reduction.apply(data)
        if smaller is None or not smaller.columns:
            found = best_first(
                [*found, *put_back(reduction, solve(smaller, search, depth + 1) if smaller is not None else [], data)]
            )
            continue
        fitted = search.fitted(smaller)
        if fitted is None:
            continue
        scale = _weight(smaller) / _weight(data)
        ratio = np.sqrt(fitted.heldout * scale / max(missed, 1e-12 * data.variance))
        good = ratio < ACCEPTED or (reduction.misfit < CLEAN and fitted.heldout * scale < CLEAN**2 * data.variance)
        search.say(
            depth,
            f"{reduction.kind} to {len(smaller.columns)} variables: misses {ratio:.2f} times as much, {'taken' if good else 'left'}",
        )
        if good:
            taken += 1
            found = _with_pivots(data, reduction, fitted, search, depth, found)
            if settled(found, data, surrogate):
                break
    return found, taken > 0


def _with_pivots(
    data: Data, reduction: Reduction, fitted: Surrogate, search: Search, depth: int, found: list[Candidate]
) -> list[Candidate]:
    """What a reduction leads to with the pivots that show most structure; what it was fitted with comes first where none shows any."""
    for place, (score, choice) in enumerate(ordered(reduction, fitted, data)[:MOST_PIVOTS]):
        smaller = choice.apply(data)
        if smaller is None or (place and score > APART):
            continue
        search.say(
            depth,
            f"divided as {len(choice.kept)} of {len(data.columns)}, structure {score:.2g}"
            if choice.kept
            else "as it is",
        )
        found = best_first(
            [
                *found,
                *put_back(choice, solve(smaller, search, depth + 1, fitted if choice is reduction else None), data),
            ]
        )
        if settled(found, data, None) or search.spent:
            break
    return found


def _weight(data: Data) -> float:
    return 1.0 if data.weights is None else float(np.mean(data.weights))


def _apart(data: Data, surrogate: Surrogate, search: Search, depth: int, found: list[Candidate]) -> list[Candidate]:
    """What the splits of a surrogate lead to."""
    for split in splits(data, surrogate):
        found = best_first([*found, *_joined(data, surrogate, split, search, depth)])
        if settled(found, data, surrogate) or search.spent:
            break
    return found


def settled(found: list[Candidate], data: Data, surrogate: Surrogate | None, level: float = LIKELY) -> bool:
    """Whether the best formula is exact; or short, no worse on all rows than the free surrogate on rows that it has not seen, and what it leaves is chance."""
    if not found or is_exact(found[0], data):
        return bool(found)
    best = found[0]
    close = surrogate is None or best.mean_square <= surrogate.heldout
    return best.complexity <= SHORT and close and chance_of_residuals(best, data) > level


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
    ones, out = solve(first, search, depth + 1), []
    for place, one in enumerate(ones[:2]):
        with np.errstate(all="ignore"):
            known = np.broadcast_to(np.asarray(evaluate(one.tree, first.columns, one.constants), float), data.y.shape)
        rest = rest_of(data, split, known)
        if rest is None:
            continue
        twos = solve(rest, search, depth + 1)[:JOINED]
        # Each part alone is noisier than both together, which decide.
        for front, back in itertools.product([one] if place else ones[:JOINED], twos):
            parts = (
                substituted(front.tree, [("x", d) for d in split.first]),
                substituted(back.tree, [("x", d) for d in split.second], len(front.constants)),
            )
            constants = np.concatenate([front.constants, back.constants])
            out.append(polished(mul(*parts) if split.product else add(*parts), constants, data, word, 20))
        best = best_first(out, CARRIED)
        out = [*best, *(simplified(candidate, data, 3) for candidate in best)]
        if settled(best_first(out), data, surrogate) or search.spent:
            break
    return best_first(out)


def _report(search: Search, depth: int, what: str, found: list[Candidate], data: Data) -> None:
    if found:
        search.say(
            depth,
            f"{what}: {np.sqrt(found[0].mean_square / max(data.variance, 1e-300)):.2g} ({found[0].complexity} long)",
        )
