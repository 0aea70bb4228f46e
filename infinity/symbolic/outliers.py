r"""Odd rows: measurements that the rows around them speak against, such as a slip of the pen.

    r_n = y_n - s_{-k(n)}(x_n),    sigma = 1.4826 median |r_n|,    suspect:  |r_n| > 6 sigma  and  |r_n| > 3 second largest |r| of its neighbours

`s_{-k}` is the smooth model of the other folds, so that no row speaks for itself. What a smooth model cannot follow, such as a pole, is missed at
neighbours too, and is not odd. An odd row spoils the models that have seen it, so that the farthest rows are taken away
first, and come back where models without them miss them no more.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import KDTree

from .candidates import Data
from .surrogate import Surrogate, fit_surrogate

FOLDS = 5
# What a formula misses below this part of the largest value is rounding.
ROUNDING = 1e-12
# Values between these quantiles, and beyond by this part of the difference, are what a model may say.
WITHIN, MARGIN = (0.02, 0.98), 0.5
# Suspect is what is missed by so many deviations of the others, and by so many times what nearly all neighbours are missed by; the second level sees smaller
# slips, the first one sees better where a spoilt model makes many rows suspect.
LEVELS = ((10.0, 5.0), (6.0, 3.0))
# A formula that was found without the suspects misses those that are odd by so many of its deviations.
BY_FORMULA = 10.0
# A row that is missed by less than this part of the deviation is not odd; a smooth model may be that bad somewhere.
SMALL = 0.05
NEIGHBOURS = 6
# The parts of all rows that may be suspect and odd, how often the rest is looked at again, and which part of the farthest miss goes with it.
SUSPECT, ODD, ROUNDS, NEAR = 0.03, 0.01, 20, 0.95
# Rows beyond which two folds are enough.
MANY = 1500


def suspects(data: Data, seed: int = 0) -> tuple[int, ...]:
    """Rows, counted from 0, that may be odd; none where there are too few rows for a smooth model, or so many odd ones that they are no exception.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.outliers import suspects
    >>> x = np.random.default_rng(0).uniform(0, 1, (2, 120))
    >>> y = np.exp(x[0]) / (1 + x[1])
    >>> y[17] += 0.8
    >>> suspects(Data(tuple(x), y))
    (17,)
    """
    seen: dict[bytes, np.ndarray | None] = {}
    found = {row for far, alone in LEVELS for row in _suspects(data, seed, far, alone, seen)}
    return tuple(sorted(found))


def uneven(data: Data, surrogate: Surrogate) -> bool:
    """Whether a smooth model of all rows misses some of them by so much more than the others that suspects are worth looking for."""
    missed = np.abs(surrogate.predict(np.stack(data.columns, axis=1)) - data.y) * _roots(data)
    return bool(np.max(missed) > _bound(LEVELS[-1][0], missed, data))


def _suspects(data: Data, seed: int, far: float, alone: float, seen: dict[bytes, np.ndarray | None]) -> tuple[int, ...]:
    """The suspects of one level; `seen` keeps what models without some rows miss."""
    points = np.stack(data.columns, axis=1)
    root = _roots(data)
    most = 2 + round(SUSPECT * len(points))
    suspect = np.zeros(len(points), bool)
    known: set[bytes] = set()
    missed, bound = np.zeros(len(points)), 0.0
    while len(known) < ROUNDS and (key := suspect.tobytes()) not in known:
        known.add(key)
        if key not in seen:
            seen[key] = _missed(data, ~suspect & (root > 0), seed)
        left = seen[key]
        if left is None or suspect.sum() > 2 * most:
            return ()
        missed = np.abs(left) * root
        bound = _bound(far, missed[~suspect], data)
        fresh = (missed > bound) & ~suspect
        suspect = (suspect & (missed > bound)) | (fresh & (missed >= NEAR * np.max(missed[fresh], initial=0.0)))
    scale = points.std(axis=0)
    nearest = np.asarray(KDTree(points / scale).query(points / scale, min(NEIGHBOURS + 1, len(points)))[1])[:, 1:]
    around = np.sort(missed[nearest], axis=1)[:, -2]
    suspect &= (missed > bound) & (missed > alone * around)
    return tuple(int(n) for n in np.flatnonzero(suspect)) if suspect.sum() <= most else ()


def _roots(data: Data) -> np.ndarray:
    """Roots of the weights, of mean one."""
    return np.ones(len(data.y)) if data.weights is None else np.sqrt(data.weights / data.weights.mean())


def _deviation(missed: np.ndarray) -> float:
    """The deviation of normal residuals with this median of their sizes."""
    return 1.4826 * float(np.median(missed))


def _bound(far: float, missed: np.ndarray, data: Data) -> float:
    """What is missed by more than this is far off."""
    return max(far * _deviation(missed), SMALL * float(np.sqrt(data.variance)))


def _missed(data: Data, good: np.ndarray, seed: int) -> np.ndarray | None:
    """What models that have not seen a row miss there, odd rows by all models on average."""
    points = np.stack(data.columns, axis=1)
    missed = np.zeros(len(points))
    rows = np.flatnonzero(good)
    folds = 2 if len(rows) > MANY else FOLDS
    # A model that an odd row spoils may go anywhere; what goes beyond nearly all values, and beyond what was measured there, is brought back.
    low, high = np.quantile(data.y[rows], WITHIN)
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    fold = np.full(len(points), -1)
    fold[rows] = np.random.default_rng(seed).permutation(len(rows)) % folds
    for k in range(folds):
        seen = good & (fold != k)
        model = fit_surrogate(part_of_rows(data, seen), seed, False)
        if model is None:
            return None
        unseen = fold == k
        off = data.y - np.clip(model.predict(points), np.minimum(low, data.y), np.maximum(high, data.y))
        missed[unseen] = off[unseen]
        missed[~good] += off[~good] / folds
    return missed


def confirmed(formula: Callable[[np.ndarray], np.ndarray], data: Data, rows: tuple[int, ...]) -> tuple[int, ...]:
    """Those of some rows that a formula, found without them, says are odd: it misses them by far more than is usual."""
    with np.errstate(all="ignore"):
        missed = np.abs(formula(np.stack(data.columns, axis=1)) - data.y) * _roots(data)
    usual = max(_deviation(missed), ROUNDING * float(np.max(np.abs(data.y))))
    return tuple(row for row in rows if not missed[row] <= BY_FORMULA * usual)


def few(rows: tuple[int, ...], data: Data) -> bool:
    """Whether so few rows are odd that they are exceptions."""
    return len(rows) <= 1 + round(ODD * len(data.y))


def part_of_rows(data: Data, rows: np.ndarray) -> Data:
    """Some rows of the data."""
    weights = None if data.weights is None else data.weights[rows]
    return Data(tuple(column[rows] for column in data.columns), data.y[rows], weights)


def numbered(rows: Sequence[int]) -> str:
    """Rows counted from 0 in words, counted from 1.

    >>> from infinity.symbolic.outliers import numbered
    >>> numbered([77]), numbered([3, 77])
    ('row 78', 'rows 4 and 78')
    """
    *first, last = [str(row + 1) for row in rows]
    return f"rows {', '.join(first)} and {last}" if first else f"row {last}"


def remark(rows: Sequence[int]) -> str:
    """What a message says at its end of odd rows, counted from 0; nothing where there are none.

    >>> from infinity.symbolic.outliers import remark
    >>> remark([77])
    '; row 78 is left out, for the rows around it speak against it: look at it'
    """
    if len(rows) == 0:
        return ""
    them = "it" if len(rows) == 1 else "them"
    verb = "is" if len(rows) == 1 else "are"
    return f"; {numbered(rows)} {verb} left out, for the rows around {them} speak against {them}: look at {them}"
