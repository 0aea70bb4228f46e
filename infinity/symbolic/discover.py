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
from .candidates import Candidate, Data, best_first, is_exact, polished, variables
from .engines import check_operators, chosen, plain_search
from .expression import Expression
from .groups import group_reductions
from .operators import permitted
from .parts import renewed
from .recursion import SURE, Search, put_back, settled, solve
from .refine import refine
from .snapping import snapped
from .squares import contracted
from .template import read_template, with_template
from .tree import evaluate
from .units import Dimension, dimension, dimensions_of_search
from .variations import varied
from .verdict import EXACT, rounding, verdict

LEAST_ROWS = 10
FOLDS = 5
SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What `inf.discover` gives back.

    **Fields:**

    - `best`: the formula that is recommended; `expressions`: the Pareto list of length against error, shortest first.
    - `found`: whether `best` may be called a law of these data: exact to rounding, or no worse than a smooth model on unseen rows, with a description that
      chance does not explain and residuals that are chance (`infinity.symbolic.verdict`); `message` says why or why not.
    - `trace`: what was tried, what was accepted and why; `engine`: what searched the raw data beside us.
    """

    best: Expression
    expressions: tuple[Expression, ...]
    found: bool
    message: str
    trace: tuple[str, ...]
    engine: str

    def __str__(self) -> str:
        rows = [f"{e.complexity:>4}  {e.metrics.get('heldout', float('nan')):9.2g}  {e}" for e in self.expressions]
        return "\n".join([self.message, "", "long  held out   formula", *rows])


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
    gives one answer.
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
    search = Search(
        effort, 2 * effort, seed, listener=progress, allowed=None if allowed is None else frozenset(allowed)
    )
    place = len(data.columns)
    form = None if template is None else read_template(template, names)
    known = None if units is None else dimensions_of_search(units, names, target, form)

    def searched(part: Data) -> list[Candidate]:
        """Formulas for what is not known, of the functions and the units that were asked for."""
        found = solve(part, search) if known is None else _by_groups(part, known, search)
        if not (settled(found, part, None, SURE) and len(found[0].constants) <= 1):
            found = renewed(varied(found, part, search.allowed), part, search.allowed)
        if beside != "native" and not (found and is_exact(found[0], part)):
            search.say(0, f"plain search on the raw data by {beside}")
            found = best_first([*found, *plain_search(beside, part, seed, 200_000, allowed=search.allowed)])
        if known is not None:
            found = [candidate for candidate in found if dimension(candidate.tree, known[0]) == known[1]]
        return permitted(search.allowed, found)

    candidates = searched(data) if form is None else with_template(form, data, place, searched)
    listed = judged(candidates, data, names, target, seed)
    if not listed:
        raise ValueError(
            f"no formula of the operators {', '.join(operators or ())} has a value at all rows; allow more operators"
            if operators
            else "no formula with these units has a value at all rows; leave units out to see the others"
        )
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
    return Discovery(best, _pareto([e for e, _ in listed], best), found, message, tuple(search.trace), beside)


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


def judged(
    candidates: list[Candidate], data: Data, names: tuple[str, ...], target: str, seed: int
) -> list[tuple[Expression, Candidate]]:
    """The best candidates as expressions, with constants snapped where that is safe and errors on rows that the constants have not seen."""
    scale = max(float(np.sqrt(data.variance)), 1e-300)
    out: list[tuple[Expression, Candidate]] = []
    for plain in _spread(candidates):
        candidate, record = snapped(plain, data)
        shorter = polished(contracted(candidate.tree), candidate.constants, data, candidate.origin, 1)
        candidate = shorter if shorter is not None and shorter.complexity < candidate.complexity else candidate
        if any(candidate.tree == other.tree for _, other in out):
            continue
        found = refine(candidate.tree, candidate.constants, data.columns, data.y, data.weights, 3)
        if found is None:
            continue
        metrics = {
            "data": float(np.sqrt(candidate.mean_square)) / scale,
            "heldout": float(np.sqrt(_unseen(candidate, data, seed))) / scale,
        }
        beyond = _beyond(candidate, data)
        if beyond is not None:
            metrics["beyond"] = float(np.sqrt(beyond)) / scale
        errors = np.sqrt(np.diag(found.covariance))
        expression = Expression(
            candidate.tree, tuple(candidate.constants.tolist()), names, target, tuple(errors.tolist()), record, metrics
        )
        out.append((expression, candidate))
    return out


def _spread(candidates: list[Candidate]) -> list[Candidate]:
    """The best few by score, and the front of length against error."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.complexity, c.mean_square)):
        if not front or candidate.mean_square < 0.5 * front[-1].mean_square:
            front.append(candidate)
    return best_first([*candidates[:5], *front], SHOWN)


def _unseen(candidate: Candidate, data: Data, seed: int) -> float:
    """Mean square error by cross-validation of the constants."""
    fold = np.random.default_rng(seed).permutation(len(data.y)) % FOLDS
    return _refitted(candidate, data, [fold == k for k in range(FOLDS)])


def _beyond(candidate: Candidate, data: Data) -> float | None:
    """The mean square error at outer rows of constants refitted without them, for the input where it is worst.

    Outer rows of an input are the 7.5 % of smallest and of largest values; `None` where too few rows are left for the constants.
    """
    errors = []
    for d in variables(candidate):
        x = data.columns[d]
        low, high = np.quantile(x, [0.075, 0.925])
        outer = (x < low) | (x > high)
        if 0 < outer.sum() < len(x) - len(candidate.constants):
            errors.append(_refitted(candidate, data, [outer]))
    return max(errors, default=None)


def _refitted(candidate: Candidate, data: Data, parts: list[np.ndarray]) -> float:
    total, weight = 0.0, 0.0
    weights = np.ones(len(data.y)) if data.weights is None else data.weights
    for out in parts:
        columns = [column[~out] for column in data.columns]
        found = refine(candidate.tree, candidate.constants, columns, data.y[~out], weights[~out], 15)
        constants = candidate.constants if found is None else found.constants
        with np.errstate(all="ignore"):
            value = np.asarray(evaluate(candidate.tree, [column[out] for column in data.columns], constants), float)
        total += float(np.sum(weights[out] * (value - data.y[out]) ** 2))
        weight += float(np.sum(weights[out]))
    return total / weight if np.isfinite(total) else float("inf")


def _pareto(expressions: list[Expression], best: Expression) -> tuple[Expression, ...]:
    """From the shortest on, those that predict unseen rows better than all before them, and the recommended one."""
    kept: list[Expression] = []
    for e in sorted(expressions, key=lambda e: (e.complexity, e.metrics["heldout"])):
        least = min((other.metrics["heldout"] for other in kept), default=np.inf)
        if not kept or e is best or e.metrics["heldout"] < least * (1 - 1e-3):
            kept.append(e)
    return tuple(kept)


def recommended(listed: list[tuple[Expression, Candidate]]) -> tuple[Expression, Candidate]:
    """The shortest description among those that unseen rows do not speak against."""
    least = min(e.metrics["heldout"] for e, _ in listed)
    fair = [(e, c) for e, c in listed if e.metrics["heldout"] <= max(1.05 * least, EXACT)]
    return min(fair, key=lambda pair: pair[1].score)
