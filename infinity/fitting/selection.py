r"""The separable model of a table: the candidate that its trials favour, as one model or the average of several starts.

Noisy data get several starts, whose average is one separable model; clean data get one. In a small table each start leaves out other rows, so that most of
the table judges what they find together; the last fits have all rows. Where it makes the error smaller, a local stage is added.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..models import AbstractSeparable
from .candidates import search
from .dense import MOST_ROWS
from .direct import DirectFit
from .ensemble import average, average_covariance
from .growing import grown
from .levels import TURNS, LevelEffects
from .local import LocalStage
from .samples import Samples, Scaled
from .size import Size, choose_size
from .trials import CLEAN, Trial, Trials, in_dtype, starting_model
from .uncertainty import expected_deviation

# Share of the rows that judge trials, and their bounds.
VALIDATION, FEWEST, MOST = 0.15, 20, 20_000
# Below so many rows there are none to spare for trials.
FEWEST_TO_SELECT = 60
# Steps of each start on noisy data, where further ones only follow the noise and the average is no better for them; and of a fit that goes on from there.
NOISY_ITERATIONS, NOISY_AGAIN = 30, 12
# The covariance of an average is kept up to this many parameters.
LARGEST_COVARIANCE = 6000
MOST_MEMBERS = 4
# A local stage must make the error smaller by this much.
LOCAL_WORTHWHILE = 0.99
# Below this error one start is as good as the average of several, and nothing is left to a local stage, which keeps the rows of the table: at most so many.
LOCAL_ABOVE, MOST_LOCAL_ROWS = 2e-3, 20_000
# Seconds that the starts of an ensemble may take, at so many operations a second.
ENSEMBLE_WORK = 6 * 2e10


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

    if given is not None or any(part is not None for part in size) or len(x) < FEWEST_TO_SELECT:
        if local:
            raise ValueError(
                f"the table has {len(x)} rows to fit; local=True needs at least {FEWEST_TO_SELECT} of them. Leave it out"
            )
        return _fitted_as_it_is(samples, given, size, "identity" if links is None else links[0], columns, seed, growth)

    validation = int(np.clip(VALIDATION * len(x), FEWEST, MOST))
    free = links is None and outputs == 1
    if links is None:
        links = ("identity", "log") if free and y.min() > 0 and y.max() > 3 * y.min() else ("identity",)
    base, levels = choose_size(x, outputs, None, None, 3), None
    if columns:
        levels = samples.first_levels(links[0], columns, base, validation)
        samples = samples.less(levels)
    tried = Trials(samples, validation, seed)
    best = search(tried, base, links, free, local is not False and len(x) <= MOST_ROWS)
    trial, pilot, trials = best.trial, best.fit, [attempt.trial for attempt in tried.made]
    cost = len(x) * outputs * float(best.size.unknowns(outputs)) ** 2 * 2 * 40
    members = 1 if trial.error < LOCAL_ABOVE else int(np.clip(ENSEMBLE_WORK / cost, 1, MOST_MEMBERS))
    noisy = NOISY_ITERATIONS if trial.error > CLEAN else None
    if local is None:
        local = trial.error > LOCAL_ABOVE and len(x) <= MOST_LOCAL_ROWS
    if noisy is None and not pilot.converged:
        pilot = samples.fit(trial.link, pilot.model, tried.rows(trial.link, best.size), pilot.evidence)
    if members == 1 and not local:
        fits = [samples.fit(trial.link, pilot.model, evidence=pilot.evidence, most_iterations=noisy)]
        found = Selected(trial.link, samples, fits, trials, best.size, None, noisy, levels)
        return found if levels is None else found.refitted(samples)
    unseen = len(x) - validation
    fits = [samples.fit(trial.link, pilot.model, unseen, pilot.evidence, most_iterations=noisy and NOISY_AGAIN)]
    # Of few noisy rows each start leaves out others, which judge it.
    folds = min(members, len(x) // validation) if noisy and levels is None and len(x) <= MOST_ROWS else 1
    values = [np.array(fits[0].values)]
    # Without noise the other starts have come far already, and go on from there.
    others = [] if noisy else tried.others()[: members - 1]
    numbers = list(dict.fromkeys([best.member, *(other.member for other in others), *range(members)]))[:members]
    for member in range(1, members):
        order = np.roll(np.arange(len(x)), (member % folds) * validation)
        model, evidence = tried.start(best.size, numbers[member]), None
        if member <= len(others):
            model, evidence = others[member - 1].fit.model, others[member - 1].fit.evidence
        fits.append(samples.reordered(order).fit(trial.link, model, unseen, evidence, most_iterations=noisy))
        values.append(np.asarray(fits[-1].values)[np.argsort(order)])
    found, scores = Selected(trial.link, samples, fits, trials, best.size, None, noisy, levels), None
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
    return found._replace(starts=tuple(tried.start(best.size, number) for number in numbers), scores=scores)


def _fitted_as_it_is(
    samples: Samples,
    given: AbstractSeparable | None,
    size: tuple[int | None, int | None, int | None],
    link: str,
    columns: Sequence[int],
    seed: int,
    growth: int,
) -> Selected:
    """A given model, or one of a given size, fitted without trials, and refined as often as is asked."""
    x, outputs = samples.x, samples.y.shape[1]
    modes, elements, degree = size
    fixed = None if given is not None else choose_size(x, outputs, modes, elements, 3 if degree is None else degree)
    model = given if fixed is None else starting_model(fixed, outputs, seed)
    assert model is not None
    levels = None
    if columns and fixed is not None:
        levels = samples.first_levels(link, columns, fixed, 0)
        samples = samples.less(levels)
    first, trials = samples.fit(link, in_dtype(model, samples.dtype)), []
    if growth:
        first, tried = grown(samples, link, first, growth, seed)
        trials = [_grown_trial(link, *attempt) for attempt in tried]
    found = Selected(link, samples, [first], trials, fixed, None, None, levels)
    return found if levels is None else found.refitted(samples)


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
