r"""Which candidates are tried for a table, in which order: link, kind of functions, cells, number of modes, starts.

Functions of a smooth law are polynomials, which converge faster than any spline; functions with kinks or noise are cubic splines. Both have the same
number of functions, so the trials of a round share one compiled program. Cells of equal ratio are tried where an input spans decades. More modes, or finer
splines, are tried afterwards, where the table can carry them.

Without noise the best models differ by orders of magnitude in what one start finds: sums of products have poor local optima, in which large modes nearly
cancel and a small one is missing. So each promising link and kind of cells gets polynomials of many modes, the best of them further starts, and the best
few of all go on to their end.
"""

from collections.abc import Sequence

import numpy as np

from .dense import fit_dense
from .links import squared, squares_count_from
from .size import ROWS_PER_UNKNOWN, Size, graded
from .trials import CLEAN, Attempt, Trial, Trials

FUNCTIONS, MORE_MODES, FEW_MODES, MOST_MODES = 8, 2.5, 6, 20
DENSE_MODES, DENSE_ROWS_PER_UNKNOWN = 8, 1.5
SQUARE_MODES, SQUARE_STARTS = 16, 3
# Further starts are tried where the first one left less than this share of the error.
SQUARE_PROMISING = 0.9
RICH_FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN = 12, 8, 1.2
# Below this error more modes are not worth their time.
RANK_ABOVE = 1e-3
FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN, FINE_ABOVE = 14, 4, 2.0, 0.01
# Below this error, where smoother functions or more modes have left this share of the first one, it is not noise that is left: every promising kind gets a
# trial, and the best further starts.
SHARP, GAINED = 0.03, 0.8
# These begin with a noise variance that was seen to be no more: from a larger one the small modes of the law die before they are found. Their steps rank them.
SHARP_OPTIONS = {"variance": CLEAN**2, "steps": 40}
# What leaves less than this is no noise; a law that leaves more to polynomials of many modes gets fewer functions an input of more modes.
HARD, HARD_FUNCTIONS, HARD_MODES = 2e-3, 6, 12
# Links whose errors are within this factor of the best are judged by a Gaussian process of so many rows, where there is to be a local stage.
NEAR, PROCESS_ROWS = 2.0, 200
# A link this much worse on the first size is not promising.
HOPELESS = 10.0
# Further starts, at most, as many as this work allows, in operations; and how many attempts go on to their end.
MOST_STARTS, STARTS_WORK, FINALISTS = 4, 1e11, 2
# Kinds whose first start came within this factor of the best get them, too: at most so many kinds.
RIVAL, MOST_KINDS = 3.0, 2


def search(trials: Trials, base: Size, links: Sequence[str], free: bool, local: bool) -> Attempt:
    """Try candidates for a table.

    **Arguments:** the trials to add to; the size that the table carries without further thought; the links to choose from; whether others may be chosen, too;
    whether a local stage may be added.
    """
    y = trials.samples.y
    errors = [trials.attempt(link, base).trial.error for link in links]
    promising = [link for link, error in zip(links, errors, strict=True) if error <= HOPELESS * min(errors)]
    functions, modes = trials.winner.trial.functions, base.modes
    on_ratios = graded(base, trials.samples.ratios)
    if on_ratios.graded:
        trials.attempt(trials.winner.trial.link, on_ratios)
    smooth = trials.sized(FUNCTIONS - 1, FUNCTIONS, modes, ROWS_PER_UNKNOWN) if functions == FUNCTIONS else None
    if smooth is not None:
        trials.attempt(trials.winner.trial.link, smooth)
    chosen = trials.winner.trial
    dense = None
    if chosen.error < CLEAN or modes < FEW_MODES:
        # Without noise a smooth law is pinned down by few rows an unknown, and what few modes leave over looks like noise.
        dense = trials.sized(FUNCTIONS - 1, FUNCTIONS, DENSE_MODES, DENSE_ROWS_PER_UNKNOWN)
        dense = dense if dense is not None and dense.modes > modes else None
        if dense is not None:
            trials.attempt(chosen.link, dense, **(SHARP_OPTIONS if chosen.error < CLEAN else {}))
    if trials.error < HARD or (trials.error < SHARP and trials.error < GAINED * min(errors)):
        _sharpen(trials, promising, dense or smooth, local)
    square, bar = None, trials.error
    if free and bar > CLEAN and 0 <= y.min() < squares_count_from(y)[0]:
        # A norm has a kink at zero that no number of modes describes; its square may have none, but needs all of its modes at once.
        square = trials.sized(FUNCTIONS - 1, FUNCTIONS, SQUARE_MODES, DENSE_ROWS_PER_UNKNOWN)
        for first in range(SQUARE_STARTS):
            if square is None:
                break
            tried = trials.attempt(squared(y), square, first=first)
            if tried.trial.error < bar and not tried.fit.converged:
                trials.attempt(squared(y), square, onwards=tried)
            if trials.error < CLEAN or trials.error > SQUARE_PROMISING * bar:
                break
    if trials.winner.size is not square or trials.error > CLEAN:
        # A square that leaves much over may be better than few modes and no better than many.
        _enlarge(trials, chosen, base, square)
    return trials.winner


def _sharpen(trials: Trials, links: Sequence[str], many: Size | None, local: bool) -> None:
    """Without noise: many modes under every promising link and on either kind of cells, further starts of the best, and the best few to their end."""
    plain = None if many is None else trials.sized(max(many.degrees), FUNCTIONS, many.modes, 0, on_ratios=False)
    sizes = set() if plain is None else {plain, graded(plain, trials.samples.ratios)}
    for link in links:
        for size in sorted(sizes, key=lambda size: size.graded):
            if (link, size) not in [(made.trial.link, made.size) for made in trials.made]:
                trials.attempt(link, size, **SHARP_OPTIONS)
    sharp = [made for made in trials.made if made.size in sizes] or [trials.winner]
    best = min(sharp, key=_error)
    if best.trial.error > HARD:
        more = trials.sized(HARD_FUNCTIONS - 1, HARD_FUNCTIONS, HARD_MODES, DENSE_ROWS_PER_UNKNOWN, best.size.graded)
        if more is not None and more.modes > best.size.modes:
            best = min([best, *(trials.attempt(link, more, **SHARP_OPTIONS) for link in links)], key=_error)
        if local:
            best = trials.best = _beside_a_process(trials, links, best)
            links = (best.trial.link,)
    rows, unknowns = trials.rows(best.trial.link, best.size), best.trial.unknowns
    count = min(MOST_STARTS, int(STARTS_WORK / (2.0 * rows * trials.outputs * unknowns**2 * SHARP_OPTIONS["steps"])))
    alike = sizes if best.size in sizes else {best.size}
    rivals = [made for made in trials.made if made.trial.link in links and made.size in alike]
    near = [made for made in sorted(rivals, key=_error) if made.trial.error <= RIVAL * best.trial.error]
    kinds = list(dict.fromkeys((made.trial.link, made.size) for made in near))[:MOST_KINDS]
    for member in range(1, 1 + count):
        for link, size in kinds:
            trials.attempt(link, size, first=member, **SHARP_OPTIONS)
    for attempt in sorted((made for made in trials.made if made.trial.link in links), key=_error)[:FINALISTS]:
        if not attempt.fit.converged:
            trials.attempt(attempt.trial.link, attempt.size, onwards=attempt)


def _beside_a_process(trials: Trials, links: Sequence[str], best: Attempt) -> Attempt:
    """The best attempt, or that of another link which is about as good, but whose targets a Gaussian process describes better: a local stage will be one."""
    samples = trials.samples.first(PROCESS_ROWS)
    near = []
    for link in links:
        own = min((made for made in trials.made if made.trial.link == link), key=_error)
        if own.trial.error <= NEAR * best.trial.error:
            near.append(own)
    if len(near) < 2:
        return best

    def left_out(attempt: Attempt) -> float:
        scaled = samples.scaled(attempt.trial.link)
        x, z, w = (np.asarray(a, float) for a in (samples.x, scaled.z, scaled.weights))
        mean, _ = fit_dense(x, z, w, trials.seed).left_out()
        return samples.error(attempt.trial.link, mean, len(mean))

    return min(near, key=left_out)


def _error(attempt: Attempt) -> float:
    return attempt.trial.error


def _enlarge(trials: Trials, chosen: Trial, base: Size, square: Size | None) -> None:
    """More modes, richer or finer functions, where the error leaves room for them and the rows suffice."""
    functions, modes = chosen.functions, base.modes
    larger = trials.sized(
        chosen.degree, functions, min(round(MORE_MODES * modes), MOST_MODES), ROWS_PER_UNKNOWN, chosen.graded
    )
    if larger is not None and larger.modes > modes >= FEW_MODES and trials.error > RANK_ABOVE:
        trials.attempt(chosen.link, larger)
    # Where many modes win, of the target or of its square, there are rows enough for them, and finer functions of fewer would cost more than they give.
    size = trials.winner.size
    wide = size is larger or (size is square and size.modes > modes)
    rich = None
    if trials.error > CLEAN and not wide:
        # One start of a rich model errs wildly where there are few data, the average of two does not; the evidence decides how much of it is used.
        rich = trials.sized(3, RICH_FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN)
        if rich is None or rich.modes < FEW_MODES:
            rich = trials.sized(3, FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN)
        rich = rich if rich is not None and rich.unknowns(trials.outputs) > chosen.unknowns else None
        if rich is not None:
            trials.attempt(chosen.link, rich, starts=2)
    if trials.error > FINE_ABOVE and rich is None and not wide:
        # The evidence decides how much of a fine spline is used, so that it needs fewer rows an unknown.
        finer = trials.sized(3, FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN)
        if finer is not None:
            trials.attempt(chosen.link, finer)
