r"""Formulas judged: constants snapped where that is safe, errors on rows that the constants have not seen, and which formula is recommended."""

import numpy as np
from jaxtyping import Float

from .candidates import Candidate, Data, best_first, polished, variables
from .expression import Expression
from .refine import refine
from .snapping import snapped
from .squares import contracted
from .tree import evaluate
from .verdict import EXACT

FOLDS = 5
SHOWN = 16
# A longer formula is looked at if it leaves less than this part of what the shorter ones leave.
STEP = 0.9
# How much more than the least a recommended formula may miss of unseen rows.
FAIR = 1.05
# Student's distribution, the steps to its scale, and the smallest square of that against the mean square.
FREEDOM, ITERATIONS, TINY = 4.0, 60, 1e-12


def judged(
    candidates: list[Candidate], data: Data, names: tuple[str, ...], target: str, seed: int
) -> list[tuple[Expression, Candidate]]:
    """The best candidates as expressions, with constants snapped where that is safe and errors on rows that the constants have not seen."""
    scale = max(float(np.sqrt(data.variance)), 1e-300)
    out: list[tuple[Expression, Candidate]] = []
    for plain in _spread(candidates, data):
        candidate, record = snapped(plain, data)
        shorter = polished(contracted(candidate.tree), candidate.constants, data, candidate.origin, 1)
        candidate = shorter if shorter is not None and shorter.complexity < candidate.complexity else candidate
        if any(candidate.tree == other.tree for _, other in out):
            continue
        found = refine(candidate.tree, candidate.constants, data.columns, data.y, data.weights, 3)
        if found is None:
            continue
        missed = _cross_validated(candidate, data, seed)
        metrics = {
            "data": float(np.sqrt(candidate.mean_square)) / scale,
            "heldout": float(np.sqrt(_mean_square(*missed))) / scale,
            "typical": typical_size(*missed) / scale,
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


def _spread(candidates: list[Candidate], data: Data) -> list[Candidate]:
    """The best few by score, and the front of length against what is missed."""
    weights = np.ones(len(data.y)) if data.weights is None else data.weights
    sized = []
    for candidate in candidates:
        with np.errstate(all="ignore"):
            value = np.asarray(evaluate(candidate.tree, list(data.columns), candidate.constants), float)
        sized.append((candidate.complexity, typical_size(value - data.y, weights), candidate))
    fewer, least = [], np.inf
    for _, size, candidate in sorted(sized, key=lambda item: item[:2]):
        if size < STEP * least:
            fewer, least = [*fewer, candidate], size
    return best_first([*candidates[:5], *fewer], SHOWN)


def unseen(candidate: Candidate | Expression, data: Data, seed: int) -> float:
    """Mean square error by cross-validation of the constants."""
    return _mean_square(*_cross_validated(candidate, data, seed))


def _cross_validated(candidate: Candidate | Expression, data: Data, seed: int) -> tuple[np.ndarray, np.ndarray]:
    fold = np.random.default_rng(seed).permutation(len(data.y)) % FOLDS
    return _refitted(candidate, data, [fold == k for k in range(FOLDS)])


def typical_size(r: Float[np.ndarray, " N"], w: Float[np.ndarray, " N"]) -> float:
    r"""A size of residuals that few far-off rows say little about: by the likelihood of Student's distribution with `nu = 4`.

        s exp((nu + 1)/2 mean log(1 + r^2 / (nu s^2))),    s^2 = mean of (nu + 1) r^2 / (nu + r^2 / s^2)

    Of two formulas the one of smaller size is the likelier one; for normal residuals sizes are in the ratio of the root mean squares.

    >>> import numpy as np
    >>> from infinity.symbolic.judging import typical_size
    >>> r = np.random.default_rng(0).normal(size=200)
    >>> spoilt = np.where(np.arange(200) == 7, 50.0, r)
    >>> bool(typical_size(2 * r, np.ones(200)) / typical_size(r, np.ones(200)) > 1.999)
    True
    >>> bool(typical_size(spoilt, np.ones(200)) < 1.2 * typical_size(r, np.ones(200)))
    True
    """
    if not np.all(np.isfinite(r)):
        return float("inf")
    square = float(np.average(r**2, weights=w))
    if square == 0:
        return 0.0
    t, nu = r**2 / square, FREEDOM
    s = 1.0
    for _ in range(ITERATIONS):
        s = float(np.average((nu + 1) * t / (nu + t / s), weights=w))
    # Where most rows are met exactly the likelihood has no bound.
    s = max(s, TINY)
    return float(np.sqrt(square * s) * np.exp((nu + 1) / 2 * np.average(np.log1p(t / (nu * s)), weights=w)))


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
            errors.append(_mean_square(*_refitted(candidate, data, [outer])))
    return max(errors, default=None)


def _refitted(candidate: Candidate | Expression, data: Data, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What the formula misses in some parts of the rows, for each with constants of the other rows; and the weights."""
    residuals, known = [], []
    weights = np.ones(len(data.y)) if data.weights is None else data.weights
    for out in parts:
        columns = [column[~out] for column in data.columns]
        found = refine(candidate.tree, candidate.constants, columns, data.y[~out], weights[~out], 15)
        constants = candidate.constants if found is None else found.constants
        with np.errstate(all="ignore"):
            value = np.asarray(evaluate(candidate.tree, [column[out] for column in data.columns], constants), float)
        residuals.append(np.broadcast_to(value, out.sum()) - data.y[out])
        known.append(weights[out])
    return np.concatenate(residuals), np.concatenate(known)


def _mean_square(residuals: np.ndarray, weights: np.ndarray) -> float:
    total = float(np.sum(weights * residuals**2))
    return total / float(np.sum(weights)) if np.isfinite(total) else float("inf")


def front(expressions: list[Expression], best: Expression) -> tuple[Expression, ...]:
    """From the shortest on, those that predict unseen rows better than all before them, and the recommended one."""
    kept: list[Expression] = []
    for e in sorted(expressions, key=lambda e: (e.complexity, e.metrics["heldout"])):
        least = min((other.metrics["heldout"] for other in kept), default=np.inf)
        if not kept or e is best or e.metrics["heldout"] < least * (1 - 1e-3):
            kept.append(e)
    return tuple(kept)


def recommended(listed: list[tuple[Expression, Candidate]]) -> tuple[Expression, Candidate]:
    """The shortest description among those that unseen rows do not speak against; a few odd rows have no say."""
    least = min(e.metrics["typical"] for e, _ in listed)
    fair = [(e, c) for e, c in listed if e.metrics["typical"] <= max(FAIR * least, EXACT)]
    return min(fair, key=lambda pair: pair[1].score)
