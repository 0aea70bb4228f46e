r"""Which separable model for this table: link, kind of functions, number of modes, one model or the average of several.

Trials are fitted to the first rows and judged on others, always in units of the target:

    error = |y - g(u(x))|_rms / std(y)    on the rows kept for validation

Functions of a smooth law are polynomials, which converge faster than any spline; functions with kinks or noise are cubic splines. Both have the same
number of functions, so the trials of a round share one compiled program. Cells of equal ratio are tried where an input spans decades. More modes, or finer
splines, are tried afterwards, where the table can carry them. Noisy data get several starts, whose average is one separable model; clean data get one.
In a small table each start leaves out other rows, so that most of the table judges what they find together; the last fits have all rows.
Where it makes the error smaller, a local stage is added.
"""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from ..models import KHRONOS, AbstractSeparable
from .dense import MOST_ROWS
from .direct import DirectFit
from .ensemble import average, average_covariance
from .growing import grown
from .levels import TURNS, LevelEffects
from .links import squared, squares_count_from
from .local import LocalStage
from .samples import Samples, Scaled
from .size import ROWS_PER_UNKNOWN, Size, choose_size, graded
from .uncertainty import expected_deviation

# Share of the rows that judge trials, and their bounds.
VALIDATION, FEWEST, MOST = 0.15, 20, 20_000
# Below so many rows there are none to spare for trials.
FEWEST_TO_SELECT = 60
# Rows that a trial is fitted to: enough for its unknowns, not more than needed to rank it.
PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN = 2048, 4
# Steps of a trial: enough to rank it; the one that is chosen goes on from there.
TRIAL_ITERATIONS = 20
# Steps of each start on noisy data: further ones only follow the noise, and the average is no better for them.
NOISY_ITERATIONS, NOISY_AGAIN = 30, 12
# A validation error below this share of the target's spread: what is left is the model's fault, not noise.
CLEAN = 0.02
# A larger model must be better by this much.
WORTHWHILE = 0.97
# On noisy data another link, or cells of equal ratio, must be much better: they make more of what goes wrong where there are few data.
LINK_WORTHWHILE = 0.8
FUNCTIONS, MORE_MODES, FEW_MODES, MOST_MODES = 8, 2.5, 6, 20
DENSE_MODES, DENSE_ROWS_PER_UNKNOWN = 8, 1.5
SQUARE_MODES, SQUARE_STARTS = 16, 3
# Further starts are tried where the first one left less than this share of the error.
SQUARE_PROMISING = 0.9
RICH_FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN = 12, 8, 1.2
# Below this error more modes are not worth their time.
RANK_ABOVE = 1e-3
FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN, FINE_ABOVE = 14, 4, 2.0, 0.01
# The covariance of an average is kept up to this many parameters.
LARGEST_COVARIANCE = 6000
MOST_MEMBERS = 4
# A local stage must make the error smaller by this much.
LOCAL_WORTHWHILE = 0.99
# Below this error one start is as good as the average of several, and nothing is left to a local stage, which keeps the rows of the table: at most so many.
LOCAL_ABOVE, MOST_LOCAL_ROWS = 2e-3, 20_000
# Seconds that the starts of an ensemble may take, at so many operations a second.
ENSEMBLE_WORK = 6 * 2e10


class Trial(NamedTuple):
    """A model that was tried, and its error on the rows kept for validation; with an `evidence`, its logarithm, the error is that on the rows fitted."""

    link: str
    degree: int
    functions: int
    modes: int
    unknowns: int
    starts: int
    error: float
    seconds: float
    evidence: float | None = None
    graded: bool = False

    def __str__(self) -> str:
        average = "" if self.starts == 1 else f", average of {self.starts}"
        judged = "" if self.evidence is None else f", log evidence {self.evidence:.5g}"
        cells = " on cells of equal ratio" if self.graded else ""
        return (
            f"{self.link}, degree {self.degree}, {self.functions} functions an input{cells}, {self.modes} modes{average}: "
            f"{self.unknowns} unknowns, error {self.error:.3g}{judged}, {self.seconds:.1f} s"
        )


def _grown_trial(link: str, model: AbstractSeparable, evidence: float, error: float, seconds: float) -> Trial:
    functions = max(axis.size for axis in model.axes)
    return Trial(link, max(model.degrees), functions, model.modes, model.unknowns, 1, error, seconds, evidence)


class Selected(NamedTuple):
    """What was selected and fitted.

    **Fields:** a link, the samples, the fits (several to be averaged), the trials, the size of a model made here, the local stage, how many iterations
    a fit was given where that was not left to its convergence, the effects of levels, or nothing, whether the fits are accurate enough as they are, what
    fits to other rows begin from, where that is not what these ended at, and how far rows are off that each start has left out in its turn, `(n, O)`, in
    standard deviations of their prediction, or nothing.
    """

    link: str
    samples: Samples
    fits: list[DirectFit]
    trials: list[Trial]
    size: Size | None
    local: LocalStage | None
    most_iterations: int | None = None
    levels: LevelEffects | None = None
    enough: bool = False
    starts: tuple[AbstractSeparable, ...] | None = None
    scores: np.ndarray | None = None

    def refit(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int) -> "Selected":
        """The same fits and local stage, to other rows."""
        scaled = self.samples.scaled(self.link)
        units = (scaled.shift, scaled.scale)
        return self.refitted(
            dataclasses.replace(self.samples, x=x, y=y, weights=weights, units=units, offset=None).shuffled(seed)
        )

    def refitted(self, samples: Samples) -> "Selected":
        """The same fits and local stage, to all of some samples.

        Of few noisy rows the fits begin anew: what these rows cannot tell from noise dies out in the first fit, and does not come back with a few rows more.
        """
        most = None if self.most_iterations is None else NOISY_AGAIN
        fits, levels = self.fits, self.levels
        for _ in range(1 if levels is None else TURNS):
            samples = samples.less(levels)
            if self.starts is None:
                fits = [samples.fit(self.link, fit.model, evidence=fit.evidence, most_iterations=most) for fit in fits]
            else:
                fits = [samples.fit(self.link, start, most_iterations=self.most_iterations) for start in self.starts]
            if levels is not None:
                values = np.mean([fit.values for fit in fits], axis=0)
                levels = samples.levels(self.link, values, levels.columns)
        samples = samples.less(levels)
        scaled = samples.scaled(self.link)
        arrays = (np.asarray(a, float) for a in (samples.x, scaled.z, scaled.weights))
        local = None if self.local is None else self.local.given(*arrays)
        return self._replace(samples=samples, fits=fits, local=local, levels=levels)


def combined(fits: Sequence[DirectFit]) -> tuple[AbstractSeparable, np.ndarray | None]:
    """The model of one fit or the average of several, and the covariance of its parameters."""
    models = [fit.model for fit in fits]
    if len(fits) == 1:
        return models[0], np.asarray(fits[0].covariance)
    whole = average(models)
    large = whole.unknowns > LARGEST_COVARIANCE
    return whole, None if large else average_covariance(models, [fit.covariance for fit in fits])


def starting_model(size: Size, outputs: int, seed: int) -> KHRONOS:
    """A `KHRONOS` of a size, on the unit box."""
    return KHRONOS(
        modes=size.modes,
        breakpoints=size.breakpoints,
        degree=size.degrees,
        outputs=outputs,
        key=jax.random.key(seed),
    )


def in_dtype(model: AbstractSeparable, dtype: Any) -> AbstractSeparable:
    """A model with its numbers in a precision."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, model)


def described(size: Size) -> dict[str, Any]:
    """A size in words for a result."""
    return {
        "modes": size.modes,
        "elements": [len(row) - 1 for row in size.breakpoints],
        "degree": list(size.degrees),
    }


def select(
    samples: Samples,
    *,
    given: AbstractSeparable | None,
    size: tuple[int | None, int | None, int | None],
    links: tuple[str, ...] | None,
    local: bool | None,
    columns: Sequence[int],
    seed: int,
    growth: int = 0,
) -> Selected:
    """Select and fit a model.

    **Arguments:** the samples in random order, their inputs on the unit box unless a model is given; a model to fit as it is, or nothing; modes, elements and
    degree to fix the size, or nothing; the links to choose from, the first for a fixed size, or nothing for a free choice; whether to try a local stage, or
    nothing for a choice; the columns whose levels have effects; the seed of the starts; how often a given model may be refined.
    """
    x, y = samples.x, samples.y
    outputs = y.shape[1]

    def start(size: Size, member: int = 0) -> AbstractSeparable:
        return in_dtype(starting_model(size, outputs, seed + 1000 * member), samples.dtype)

    if given is not None or any(part is not None for part in size) or len(x) < FEWEST_TO_SELECT:
        modes, elements, degree = size
        fixed = None if given is not None else choose_size(x, outputs, modes, elements, 3 if degree is None else degree)
        begin = in_dtype(given, samples.dtype) if given is not None else start(fixed)  # pyright: ignore[reportArgumentType]
        name = "identity" if links is None else links[0]
        if local:
            raise ValueError(
                f"the table has {len(x)} rows to fit; local=True needs at least {FEWEST_TO_SELECT} of them. Leave it out"
            )
        levels = None
        if columns and fixed is not None:
            levels = samples.first_levels(name, columns, fixed, 0)
            samples = samples.less(levels)
        first, trials = samples.fit(name, begin), []
        if growth:
            first, tried = grown(samples, name, first, growth, seed)
            trials = [_grown_trial(name, *attempt) for attempt in tried]
        found = Selected(name, samples, [first], trials, fixed, None, None, levels)
        return found if levels is None else found.refitted(samples)

    validation = int(np.clip(VALIDATION * len(x), FEWEST, MOST))
    trials: list[Trial] = []
    best: tuple[Trial, Size, DirectFit] | None = None

    def attempt(
        name: str, size: Size, functions: int, starts: int = 1, pilot: DirectFit | None = None, first: int = 0
    ) -> tuple[Trial, DirectFit]:
        nonlocal best
        began = time.perf_counter()
        rows, most = pilot_rows(name, size), TRIAL_ITERATIONS if starts == 1 else NOISY_ITERATIONS
        if pilot is None:
            members = range(first, first + starts)
            found = [samples.fit(name, start(size, member), rows, most_iterations=most) for member in members]
        else:
            found = [samples.fit(name, pilot.model, rows, pilot.evidence)]
        trial = Trial(
            name,
            max(size.degrees),
            functions,
            size.modes,
            size.unknowns(outputs),
            starts,
            samples.error(name, np.mean([fit.values for fit in found], axis=0), validation),
            time.perf_counter() - began,
            graded=spans and graded(size, samples.ratios) == size,
        )
        trials.append(trial)
        if best is None or trial.error < _margin(trial, best[0]) * best[0].error:
            best = (trial, size, found[0])
        return trial, found[0]

    share = functools.cache(samples.share)

    def pilot_rows(name: str, size: Size) -> int:
        wanted = max(PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN * size.unknowns(outputs) // outputs)
        return min(len(x) - validation, round(wanted / share(name)))

    def sized(degree: int, functions: int, modes: int, rows: float | int) -> Size | None:
        """So many functions an input, and of so many modes those for whose unknowns there are enough rows."""
        numbers = (len(x) - validation) * outputs
        try:
            one = choose_size(x, outputs, 1, functions - degree, degree)
        except ValueError:
            return None
        one = graded(one, samples.ratios) if best is not None and best[0].graded else one
        sizes = (one._replace(modes=m) for m in range(modes, 0, -1))
        return next((size for size in sizes if rows * size.unknowns(outputs) <= numbers), None)

    free = links is None and outputs == 1
    if links is None:
        links = ("identity", "log") if free and y.min() > 0 and y.max() > 3 * y.min() else ("identity",)
    base, levels = choose_size(x, outputs, None, None, 3), None
    if columns:
        levels = samples.first_levels(links[0], columns, base, validation)
        samples = samples.less(levels)
    modes, functions = base.modes, max(len(row) - 1 + p for row, p in zip(base.breakpoints, base.degrees, strict=True))
    on_ratios = graded(base, samples.ratios)
    spans = on_ratios != base
    for name in links:
        attempt(name, base, functions)
    assert best is not None
    if spans:
        attempt(best[0].link, on_ratios, functions)
    smooth = sized(FUNCTIONS - 1, FUNCTIONS, modes, ROWS_PER_UNKNOWN) if functions == FUNCTIONS else None
    if smooth is not None:
        attempt(best[0].link, smooth, functions)
    chosen, square = best[0], None
    if free and chosen.error > CLEAN and 0 <= y.min() < squares_count_from(y)[0]:
        # A norm has a kink at zero that no number of modes describes; its square may have none, but needs all of its modes at once.
        square = sized(FUNCTIONS - 1, FUNCTIONS, SQUARE_MODES, DENSE_ROWS_PER_UNKNOWN)
        for first in range(SQUARE_STARTS if square is not None else 0):
            tried, fit = attempt(squared(y), square, FUNCTIONS, first=first)
            if tried.error < chosen.error and not fit.converged:
                attempt(squared(y), square, FUNCTIONS, pilot=fit)
            if best[0].error < CLEAN or best[0].error > SQUARE_PROMISING * chosen.error:
                break
    if best[0] is chosen or best[0].error > CLEAN:
        # A square that leaves much over may be better than few modes and no better than many.
        if chosen.error < CLEAN or modes < FEW_MODES:
            # Without noise a smooth law is pinned down by few rows an unknown, and what few modes leave over looks like noise.
            dense = sized(FUNCTIONS - 1, FUNCTIONS, DENSE_MODES, DENSE_ROWS_PER_UNKNOWN)
            if dense is not None and dense.modes > modes:
                attempt(chosen.link, dense, FUNCTIONS)
        larger = sized(chosen.degree, functions, min(round(MORE_MODES * modes), MOST_MODES), ROWS_PER_UNKNOWN)
        if larger is not None and larger.modes > modes >= FEW_MODES and best[0].error > RANK_ABOVE:
            attempt(chosen.link, larger, functions)
        # Where many modes win, of the target or of its square, there are rows enough for them, and finer functions of fewer would cost more than they give.
        wide = best[1] is larger or (best[1] is square and best[1].modes > modes)
        rich = None
        if best[0].error > CLEAN and not wide:
            # One start of a rich model errs wildly where there are few data, the average of two does not; the evidence decides how much of it is used.
            rich, count = sized(3, RICH_FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN), RICH_FUNCTIONS
            if rich is None or rich.modes < FEW_MODES:
                rich, count = sized(3, FUNCTIONS, RICH_MODES, RICH_ROWS_PER_UNKNOWN), FUNCTIONS
            rich = rich if rich is not None and rich.unknowns(outputs) > chosen.unknowns else None
            if rich is not None:
                attempt(chosen.link, rich, count, starts=2)
        if best[0].error > FINE_ABOVE and rich is None and not wide:
            # The evidence decides how much of a fine spline is used, so that it needs fewer rows an unknown.
            finer = sized(3, FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN)
            if finer is not None:
                attempt(chosen.link, finer, FINE_FUNCTIONS)
    trial, size, pilot = best
    cost = len(x) * outputs * float(size.unknowns(outputs)) ** 2 * 2 * 40
    members = 1 if trial.error < LOCAL_ABOVE else int(np.clip(ENSEMBLE_WORK / cost, 1, MOST_MEMBERS))
    noisy = NOISY_ITERATIONS if trial.error > CLEAN else None
    if local is None:
        local = trial.error > LOCAL_ABOVE and len(x) <= MOST_LOCAL_ROWS
    if noisy is None:
        pilot = samples.fit(trial.link, pilot.model, pilot_rows(trial.link, size), pilot.evidence)
    if members == 1 and not local:
        fits = [samples.fit(trial.link, pilot.model, evidence=pilot.evidence, most_iterations=noisy)]
        found = Selected(trial.link, samples, fits, trials, size, None, noisy, levels)
        return found if levels is None else found.refitted(samples)
    unseen = len(x) - validation
    fits = [samples.fit(trial.link, pilot.model, unseen, pilot.evidence, most_iterations=noisy and NOISY_AGAIN)]
    # Of few noisy rows each start leaves out others, which judge it.
    folds = min(members, len(x) // validation) if noisy and levels is None and len(x) <= MOST_ROWS else 1
    values = [np.array(fits[0].values)]
    for member in range(1, members):
        order = np.roll(np.arange(len(x)), (member % folds) * validation)
        fits.append(samples.reordered(order).fit(trial.link, start(size, member), unseen, most_iterations=noisy))
        values.append(np.asarray(fits[-1].values)[np.argsort(order)])
    found, scores = Selected(trial.link, samples, fits, trials, size, None, noisy, levels), None
    if local:
        alone = np.mean(values, axis=0)
        for fold in range(folds):
            part = slice(len(x) - (fold + 1) * validation, len(x) - fold * validation)
            alone[part] = np.mean([v[part] for v in values[fold::folds]], axis=0)
        count = folds * validation
        deviations = _deviations(samples, trial.link, fits, np.mean([v[-count:] for v in values], axis=0))
        box = fits[0].model.domain
        stage, scores = samples.local(trial.link, alone, deviations, folds, box, base, seed, LOCAL_WORTHWHILE)
        found = found._replace(local=stage)
    if folds == 1:
        return found.refitted(samples)
    return found._replace(starts=tuple(start(size, member) for member in range(members)), scores=scores)


def _deviations(samples: Samples, link: str, fits: Sequence[DirectFit], values: np.ndarray) -> np.ndarray:
    """The standard deviation that the average of some fits expects of the last rows, in what it describes; its values there."""
    whole, covariance = combined(fits)
    scaled = samples.scaled(link)
    points = np.asarray(samples.x[-len(values) :], float)
    u = scaled.shift + scaled.scale * values
    noise = noise_of(fits, scaled)
    return expected_deviation(whole, points, covariance, link, u, scaled.scale, noise) / scaled.scale


def noise_of(fits: Sequence[DirectFit], scaled: Scaled) -> np.ndarray:
    """The standard deviation of the noise of each target."""
    return scaled.noise * np.sqrt(np.mean([float(fit.evidence.variance) for fit in fits]))


def _margin(trial: Trial, best: Trial) -> float:
    """The share of the best error that a trial must stay below to take its place."""
    if trial.link != best.link or trial.graded != best.graded:
        return LINK_WORTHWHILE if trial.error > CLEAN else 1.0
    return WORTHWHILE if trial.unknowns > best.unknowns else 1.0


def printed(trials: Sequence[Trial]) -> str:
    """The trials, one a line, the best first."""
    return "\n".join(str(trial) for trial in sorted(trials, key=lambda trial: trial.error))
