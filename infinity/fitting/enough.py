r"""The plainest separable model that is accurate enough, from few rows.

    mean e^2 + 2 std(e^2) / sqrt(n) <= accuracy^2,    e = (y - g(u(x))) / std(y)    on n rows that are not fitted

Sizes are tried from the plainest on, links on the plainest alone. Each is fitted to a few rows an unknown, a few steps at a time, as long as that helps, and
the first that suffices is the answer: neither more rows nor more steps, nor another size, are worth their time then. Rows are drawn from all of the table,
those that weigh much under the link more likely, to fit and to judge.
"""

import dataclasses
import functools
import time

import numpy as np

from .candidates import FUNCTIONS, MOST_MODES, SQUARE_MODES
from .links import squared, squares_count_from
from .samples import Samples
from .selection import Selected
from .size import Size, choose_size
from .trials import Trial, in_dtype, starting_model

# Rows that are drawn, at most, and the share that judges, at most so many.
ROWS, VALIDATION, JUDGED = 40_000, 0.25, 10_000
# Rows of a fit: at least so many, and so many an unknown; more where unknowns are few enough that a step takes no more operations for them.
FEWEST_ROWS, ROWS_PER_UNKNOWN, MORE_ROWS_PER_UNKNOWN, STEP_WORK = 2_048, 3.5, 20, 4e9
# Standard errors of the mean square that are added to it: where few rows make most of the error, others may make more.
STANDARD_ERRORS = 2.0
# Fewer rows than this are not worth a search of its own.
FEWEST = 1_000
# Steps of a round, rounds, and the share of the error that a further one must stay below.
STEPS, ROUNDS, WORTHWHILE = 10, 6, 0.75
# An error that is near enough for more rows, how many times more, to bring it there.
NEAR, MORE_ROWS = 2.0, 3
# An error that more modes will hardly bring there: another link comes first.
FAR = 10.0
FEW_MODES, MORE_MODES = 4, 10


def select_enough(samples: Samples, links: tuple[str, ...] | None, seed: int, accuracy: float) -> Selected | None:
    """The first model that suffices, or nothing.

    **Arguments:** samples in random order on the unit box; the links to choose from, or nothing for a free choice; the seed of the starts; the error that
    suffices.
    """
    if len(samples.x) < FEWEST:
        return None
    outputs, y = samples.y.shape[1], samples.y
    judged = min(round(VALIDATION * len(y)), JUDGED)
    most = min(len(y), ROWS) - judged
    trials: list[Trial] = []
    found: Selected | None = None

    @functools.cache
    def parts(link: str) -> tuple[Samples, Samples, float]:
        """Rows to fit, and rows that judge, in the same units; and what share of equal rows drawn ones are worth."""
        scaled = samples.scaled(link)
        units = dataclasses.replace(samples, units=(scaled.shift, scaled.scale), capacity=min(len(y), ROWS))
        first, last = units.split(round(VALIDATION * len(y)))
        return first, last.drawn(link, judged, seed), first.drawn(link, FEWEST_ROWS, seed).share(link)

    def attempt(link: str, size: Size) -> float:
        """The error that a size reaches under a link."""
        nonlocal found
        began = time.perf_counter()
        pool, judges, share = parts(link)
        unknowns = size.unknowns(outputs)
        affordable = 0.0 if size is few else min(MORE_ROWS_PER_UNKNOWN * unknowns, STEP_WORK / unknowns**2)
        rows = min(most, round(max(FEWEST_ROWS / share, ROWS_PER_UNKNOWN * unknowns / outputs, affordable / outputs)))
        part = pool.drawn(link, rows, seed).beside(judges)
        fit, fitted, error, taken, more = None, part, np.inf, 0, False
        model = in_dtype(starting_model(size, outputs, seed), samples.dtype)
        while taken < ROUNDS:
            new = part.fit(link, model, len(part.x) - judged, None if fit is None else fit.evidence, STEPS)
            before, now = error, part.error(link, new.values, judged, STANDARD_ERRORS)
            if now < error:
                fit, fitted, error, model = new, part, now, new.model
            taken += 1
            if error <= accuracy:
                break
            if now > WORTHWHILE * before:
                if more or error > NEAR * accuracy or rows == most:
                    break
                more, rows = True, min(most, MORE_ROWS * rows)
                part = pool.drawn(link, rows, seed).beside(judges)
        functions = max(len(row) - 1 + p for row, p in zip(size.breakpoints, size.degrees, strict=True))
        seconds = time.perf_counter() - began
        trials.append(Trial(link, max(size.degrees), functions, size.modes, size.unknowns(outputs), 1, error, seconds))
        if fit is not None and error <= accuracy:
            found = Selected(link, fitted, [fit], trials, size, None, enough=True)
        return error

    free = links is None and outputs == 1
    if links is None:
        links = ("identity", "log") if free and y.min() > 0 and y.max() > 3 * y.min() else ("identity",)
    plain = sizes(samples.first(ROWS).x, outputs)
    if not plain:
        return None
    few, *more = plain
    errors: dict[str, float] = {}
    for link in links:
        errors[link] = attempt(link, few)
        if found is not None:
            return found
    best = min(errors, key=errors.__getitem__)
    norm, far = None, FAR
    if free and more and 0 <= y.min() < squares_count_from(y)[0]:
        norm = more[0]._replace(modes=SQUARE_MODES)
    for size in (*more, None):
        # A norm's square takes polynomials at once, where other links are far off; what is near takes finer sizes first.
        if norm is not None and errors[best] > far * accuracy:
            attempt(squared(y), norm)
            norm = None
        if size is None or found is not None:
            break
        errors[best], far = min(errors[best], attempt(best, size)), NEAR
    return found


def sizes(x: np.ndarray, outputs: int) -> list[Size]:
    """Sizes from the plainest on, as far as there are rows for them."""
    found = []
    for modes, degree in ((FEW_MODES, 3), (MORE_MODES, FUNCTIONS - 1), (MORE_MODES, 3), (MOST_MODES, FUNCTIONS - 1)):
        size = choose_size(x, outputs, 1, FUNCTIONS - degree, degree)._replace(modes=modes)
        if ROWS_PER_UNKNOWN * size.unknowns(outputs) > len(x) * outputs:
            break
        found.append(size)
    return found
