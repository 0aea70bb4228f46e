r"""`inf.discover`: a table in, a short list of closed forms out, each with an honest error.

Structure is read off a separable surrogate, one-dimensional searches run on the parts, every formula is refitted to the measurements, and rows that
the constants
have not seen decide. Where a plain engine is installed, it searches the raw data too, and competes on equal terms.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..fitting.checks import check_finite, check_table
from .candidates import Candidate, Data, best_first, is_exact, polished
from .engines import check_operators, chosen, plain_search
from .expression import Expression
from .groups import group_reductions
from .judging import front, judged, recommended
from .operators import permitted
from .outliers import confirmed, few, numbered, part_of_rows, remark, suspects
from .parts import renewed
from .recursion import SURE, Search, put_back, settled, solve
from .template import read_template, with_template
from .units import Dimension, dimension, dimensions_of_search
from .variations import varied
from .verdict import rounding, verdict

LEAST_ROWS = 10
# Without odd rows a formula has to miss unseen rows by less than this part of what the first one misses there.
BETTER = 0.9


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What `inf.discover` gives back.

    **Fields:**

    - `best`: the formula that is recommended; `expressions`: the Pareto list of length against error, shortest first.
    - `found`: whether `best` may be called a law of these data: exact to rounding, or no worse than a smooth model on unseen rows, with a description that
      chance does not explain and residuals that are chance (`infinity.symbolic.verdict`); `message` says why or why not.
    - `trace`: what was tried, what was accepted and why; `engine`: what searched the raw data beside us.
    - `odd_rows`: rows, counted from 0, that the rows around them speak against (`infinity.symbolic.outliers`) and that were left out, because without them
      a much better formula was found; all errors are then those of the other rows. `message` names them, counted from 1.
    """

    best: Expression
    expressions: tuple[Expression, ...]
    found: bool
    message: str
    trace: tuple[str, ...]
    engine: str
    odd_rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        rows = [f"{e.complexity:>4}  {e.metrics.get('heldout', float('nan')):9.2g}  {e}" for e in self.expressions]
        return "\n".join([self.message, "", "long  held out   formula", *rows])


# What a search recommends, if anything, and rows for which it ended early.
Attempt = tuple[Discovery | None, tuple[int, ...]]


def discover(
    x: Any,
    y: Any,
    names: Sequence[str] | None = None,
    target: str = "y",
    *,
    weights: Any = None,
    engine: str = "auto",
    operators: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    template: str | None = None,
    effort: int = 12,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Discovery:
    r"""Find closed forms `y = f(x)` in measurements.

    **Arguments:**

    - `x`: inputs `(N, D)` or `(N,)`, at least ten rows; `y`: the target `(N,)`; `names` of the inputs, any text, and of the `target`.
    - `weights`: `(N,)`, non-negative; a row of weight two counts as two of weight one. pyoperon searches without
    them; its formulas are refitted with them.
    - `engine`: what searches the raw data beside the native search: `"pyoperon"`, `"pysr"`, `"native"` for nothing, or `"auto"`: pyoperon where it
    is installed.
    - `operators`: the functions that a formula may hold, such as `["exp", "sqrt"]`; all that are known if nothing is given. The native search tries no
    others, and goes on where it would have stopped at a formula of others; what an engine finds is left out where it holds others.
    - `units`: the unit of every column and of the target, such as `{"m": "kg", "v": "m/s", "E": "J"}`, `"1"` for a pure number. The search then goes through
    dimensionless groups, and formulas whose units do not agree are left out. Needs pint (`pip install 'infinity[units]'`).
    - `template`: what is known of the formula, with one `?` for what is searched: `"m*g*h + ?"`, `"exp(-t)*?"`, `"sqrt(?)"`. With `units` too, the unit
    of `?` is derived; numbers of the template that have a unit hide it: then give it, as that of `"?"`.
    - `effort`: how many surrogates the search may fit, and half of how many smaller problems it may solve; work is counted, not timed, so that a seed
    gives one answer. With 0 no odd rows are looked for.
    - `seed`: of the rows that are held out and of the engine.
    - `progress`: called with a dictionary at each step.

    **Returns:** a `Discovery`.

    **Raises:** `ValueError` that names the row, the column or the argument: fewer than ten rows, constant or duplicate columns, numbers that are not
    finite, an operator
    or engine that is not known.

    >>> import numpy as np, infinity as inf
    >>> x = np.random.default_rng(0).uniform(1, 3, (200, 3))
    >>> found = inf.discover(x, 2 * x[:, 0] * x[:, 1]**2 / x[:, 2], names=["m", "v", "r"])
    >>> print(found.best)
    y = 2*m*v^2/r
    """
    data, names, target = _checked(x, y, names, target, weights)
    allowed = check_operators(operators)
    beside = chosen(engine)
    if type(effort) is not int or effort < 0:
        raise ValueError(
            f"effort is {effort!r}; expected how many surrogates may be fitted, a whole number of at least 0"
        )
    form = None if template is None else read_template(template, names)
    known = None if units is None else dimensions_of_search(units, names, target, form)

    def attempt(rows: Data, trace: list[str], cautious: bool = False, among: Sequence[Expression] = ()) -> Attempt:
        """What is found in some rows, or which of some formulas is recommended for them; and doubtful rows for which the search ended early."""
        search = Search(
            effort,
            2 * effort,
            seed,
            trace,
            progress,
            None if allowed is None else frozenset(allowed),
            cautious=cautious,
        )
        searched = lambda part: _searched(part, search, known, beside)
        if among:
            candidates = best_first(polished(e.tree, e.constants, rows, "known") for e in among)
        else:
            candidates = searched(rows) if form is None else with_template(form, rows, len(rows.columns), searched)
        listed = judged(candidates, rows, names, target, seed)
        snapped = {e.tree: e.snapped for e in among}
        listed = [(dataclasses.replace(e, snapped=e.snapped or snapped.get(e.tree, ())), c) for e, c in listed]
        return (_decided(listed, rows, search, beside) if listed else None), search.doubtful

    first, doubtful = attempt(data, [], cautious=True)
    without = None
    if doubtful:
        without = _without_odd_rows(first, doubtful, data, attempt)
        if without is not None and without.found:
            return without
        # The first search ended early.
        first, _ = attempt(data, [*without.trace] if without else [])
    if first is None:
        raise ValueError(
            f"no formula of the operators {', '.join(operators or ())} has a value at all rows; allow more operators"
            if operators
            else "no formula with these units has a value at all rows; leave units out to see the others"
        )
    # A row that is far off makes a lookalike a law among so much noise.
    sound = first.found and not confirmed(first.best, data, tuple(range(len(data.y))))
    if not (doubtful or sound or effort == 0):
        doubtful = suspects(data, seed)
        without = _without_odd_rows(first, doubtful, data, attempt) if doubtful else None
    return without if without is not None and _is_better(without, first, data) else first


def _without_odd_rows(
    first: Discovery | None, doubtful: tuple[int, ...], data: Data, attempt: Callable[..., Attempt]
) -> Discovery | None:
    """What is found without rows that the others speak against; `None` where they are no exceptions."""
    without = lambda rows: part_of_rows(data, ~np.isin(np.arange(len(data.y)), rows))
    trace = [*(first.trace if first else ()), f"once more without {numbered(doubtful)}"]
    second, _ = attempt(without(doubtful), trace)
    odd = () if second is None else confirmed(second.best, data, doubtful)
    if second is None or not few(odd, data):
        return None
    # Rows that only a smooth model misses come back, and what the first search found has its say.
    last, _ = attempt(without(odd), [*second.trace], among=[*second.expressions, *(first.expressions if first else ())])
    return last and dataclasses.replace(last, message=f"{last.message}{remark(odd)}", odd_rows=odd)


def _is_better(without: Discovery, first: Discovery, data: Data) -> bool:
    """Whether what was found without odd rows misses the other rows by clearly less than what was found with them."""
    others = part_of_rows(data, ~np.isin(np.arange(len(data.y)), without.odd_rows))
    off = first.best(np.stack(others.columns, axis=1)) - others.y
    missed = float(np.sqrt(np.mean(off**2) / max(others.variance, 1e-300)))
    return without.best.metrics["heldout"] < BETTER * missed


def _searched(
    part: Data, search: Search, known: tuple[list[Dimension], Dimension] | None, beside: str
) -> list[Candidate]:
    """Formulas for what is not known, of the functions and the units that were asked for."""
    found = solve(part, search) if known is None else _by_groups(part, known, search)
    if search.doubtful:
        return permitted(search.allowed, found)
    if not (settled(found, part, None, SURE) and len(found[0].constants) <= 1):
        found = renewed(varied(found, part, search.allowed), part, search.allowed)
    if beside != "native" and not (found and is_exact(found[0], part)):
        search.say(0, f"plain search on the raw data by {beside}")
        found = best_first([*found, *plain_search(beside, part, search.seed, 200_000, allowed=search.allowed)])
    if known is not None:
        found = [candidate for candidate in found if dimension(candidate.tree, known[0]) == known[1]]
    return permitted(search.allowed, found)


def _decided(listed: list[tuple[Expression, Candidate]], data: Data, search: Search, beside: str) -> Discovery:
    """What is recommended of the judged formulas, and whether it is a law."""
    surrogate = None
    if recommended(listed)[0].metrics["heldout"] >= rounding(data):
        surrogate = search.fitted(data)
    if surrogate is not None:
        points = np.stack(data.columns, axis=1)
        smooth, scale = surrogate.predict(points), max(float(np.sqrt(data.variance)), 1e-300)
        listed = [
            (e.with_metrics(surrogate=float(np.sqrt(np.mean((e(points) - smooth) ** 2))) / scale), c) for e, c in listed
        ]
    best, candidate = recommended(listed)
    found, message = verdict(best, candidate, data, surrogate)
    return Discovery(best, front([e for e, _ in listed], best), found, message, tuple(search.trace), beside)


def _by_groups(data: Data, known: tuple[list[Dimension], Dimension], search: Search) -> list[Candidate]:
    """What is found in dimensionless groups, for the simplest choices of them."""
    found: list[Candidate] = []
    for reduction in group_reductions(*known):
        smaller = reduction.apply(data)
        if smaller is None:
            continue
        search.say(0, f"units leave {len(smaller.columns)} groups of {len(data.columns)} variables")
        found = best_first([*found, *put_back(reduction, solve(smaller, search, 1), data)])
        if found and is_exact(found[0], data):
            break
    return found


def _checked(
    x: Any, y: Any, names: Sequence[str] | None, target: str, weights: Any
) -> tuple[Data, tuple[str, ...], str]:
    inputs, outputs, names, targets = check_table(x, y, names, target)
    if outputs.shape[1] != 1:
        raise ValueError(f"y has {outputs.shape[1]} columns; discover one target at a time")
    if len(inputs) < LEAST_ROWS:
        raise ValueError(f"the table has {len(inputs)} rows; a formula needs at least {LEAST_ROWS}")
    for i in range(inputs.shape[1]):
        for j in range(i):
            if np.array_equal(inputs[:, i], inputs[:, j]):
                raise ValueError(
                    f"the inputs {names[j]!r} and {names[i]!r} are equal in every row; leave one of them out"
                )
    known = None
    if weights is not None:
        known = np.asarray(weights, float)
        if known.shape != (len(inputs),) or np.min(known) < 0 or not np.any(known > 0):
            raise ValueError(f"weights have shape {known.shape}; expected ({len(inputs)},), non-negative, not all zero")
        check_finite(known[:, None], ("weights",))
    return Data(tuple(inputs.astype(float).T), outputs[:, 0].astype(float), known), names, targets[0]
