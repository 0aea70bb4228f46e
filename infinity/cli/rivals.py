"""What else finds a formula for the same rows: our own search without structure, pyoperon where it is installed, and a polynomial.

All are judged in the same way: constants by cross-validation, and the shortest description among the formulas that unseen rows do not speak against.
"""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..symbolic import Expression
from ..symbolic.candidates import Data
from ..symbolic.discover import discover
from ..symbolic.engines import installed, plain_search
from ..symbolic.judging import judged, recommended

LEAST_SECONDS = 5.0
EVALUATIONS = 200_000
FOLDS = 5
HIGHEST = 6


def present(peers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of the peers that are installed, and a note for each other one."""
    absent = [name for name in peers if name == "pyoperon" and name not in installed()]
    notes = [f"{name} is not installed, so that it is left out: pip install 'infinity[sr]'" for name in absent]
    return [name for name in peers if name not in absent], notes


def search(
    peer: str, x: np.ndarray, y: np.ndarray, names: Sequence[str], target: str, seed: int, seconds: float
) -> tuple[Expression, float]:
    """The formula of one peer, and the processor seconds that it took.

    **Arguments:** the peer's name; rows `(N, D)` and `(N,)`; names; the seed; how many processor seconds an engine may search (at least five).
    """
    start = time.process_time()
    if np.ptp(y) <= 1e-12 * np.max(np.abs(y)):
        best = Expression.parse(repr(float(np.mean(y))), list(names), target).with_metrics(heldout=0.0)
    elif peer == "plain":
        best = discover(x, y, names, target, engine="native", effort=0, seed=seed).best
    elif peer == "polynomial":
        best = polynomial(x, y, names, target, seed)
    else:
        data = Data(tuple(np.asarray(x, float).T), np.asarray(y, float))
        found, round_ = [], 0
        while time.process_time() - start < max(seconds, LEAST_SECONDS):
            found += plain_search(peer, data, 1000 * seed + round_, EVALUATIONS)
            round_ += 1
        best = recommended(judged(found, data, tuple(names), target, seed))[0]
    return best, time.process_time() - start


def polynomial(x: np.ndarray, y: np.ndarray, names: Sequence[str], target: str, seed: int = 0) -> Expression:
    """The full polynomial of the inputs or of their logarithms, whose degree cross-validation chooses.

    >>> import numpy as np
    >>> from infinity.cli.rivals import polynomial
    >>> x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    >>> p = polynomial(x, 1 + 2 * x[:, 0] * x[:, 1] ** 2, ["a", "b"], "y")
    >>> round(float(p([0.5, 2.0])), 9)
    5.0
    """
    fold = np.random.default_rng(seed).permutation(len(y)) % FOLDS
    best: tuple[float, Any, Any, bool] | None = None
    for logged in (False, True) if np.any(np.min(x, axis=0) > 0) else (False,):
        z = np.where(np.min(x, axis=0) > 0, np.log(np.maximum(x, 1e-300)), x) if logged else x
        for degree in range(1, HIGHEST + 1):
            powers = [p for p in itertools.product(range(degree + 1), repeat=x.shape[1]) if sum(p) <= degree]
            A = np.stack([np.prod(z ** np.array(p), axis=1) for p in powers], axis=1)
            if len(powers) > len(y) // 2:
                break
            missed = 0.0
            for k in range(FOLDS):
                c = _least_squares(A[fold != k], y[fold != k])
                missed += float(np.sum((A[fold == k] @ c - y[fold == k]) ** 2))
            if best is None or missed < best[0] * (1 - 1e-9):
                best = (missed, powers, _least_squares(A, y), logged)
    if best is None:
        raise ValueError(f"{len(y)} rows are too few for a polynomial of {x.shape[1]} inputs")
    missed, powers, c, logged = best
    terms = []
    for p, value in zip(powers, c.tolist(), strict=True):
        factors = [
            f"{_factor(name, bool(logged and np.min(column) > 0))}^{k}"
            for name, column, k in zip(names, x.T, p, strict=True)
            if k
        ]
        terms.append("*".join([f"({value!r})" if value >= 0 else f"(0 - {-value!r})", *factors]))
    made = Expression.parse(" + ".join(terms), list(names), target)
    return made.with_metrics(heldout=float(np.sqrt(missed / len(y)) / np.std(y)))


def _factor(name: str, logged: bool) -> str:
    return f"log(`{name}`)" if logged else f"`{name}`"


def _least_squares(A: np.ndarray, y: np.ndarray) -> np.ndarray:
    size = np.sqrt(np.sum(A**2, axis=0))
    return np.linalg.lstsq(A / size, y, rcond=1e-12)[0] / size
