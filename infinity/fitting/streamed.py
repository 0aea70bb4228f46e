"""The streamed solve of a table: selection or a given model, judged on held-out rows, then fitted once more to all rows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..closure import Certificate
from ..models import AbstractSeparable
from ..models.evaluator import evaluate
from .checks import check_unknowns
from .enough import select_enough
from .fitted import unit_box
from .generic import CERTIFIED_ROWS, certificate_of
from .journal import Journal
from .levels import LevelEffects, with_effects
from .links import LINKS
from .local import LocalStage
from .samples import Samples, Scaled
from .selection import Selected, combined, described, noise_of, select
from .size import ratios
from .trials import Trial
from .twins import repeats_of
from .uncertainty import expected_deviation

# Held-out rows that calibrate intervals, at most: a share of them is then known to a third of a percent.
MOST_SCORED = 20_000


class Table(NamedTuple):
    """A checked table.

    **Fields:** inputs `(N, D)`, targets `(N, O)` and weights `(N,)`; the distinct rows to fit and to judge by; how many rows were copies of others; the
    names of the columns; the dtype to work in.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    train: np.ndarray
    heldout: np.ndarray
    copies: int
    names: tuple[str, ...]
    targets: tuple[str, ...]
    dtype: Any


class Solution(NamedTuple):
    """A solved model in the units it was solved in, and how to get from there to physical ones.

    **Fields:** `model`, from all rows, and `judged`, without the held-out ones; the box, whether the model lives on the unit box, `shift`, `scale` and
    `link` of the targets; how the solve ended; `noise` `(O,)` in units of the targets; the covariance of the parameters; the `scores` `(n, O)` of rows not
    seen, for intervals; the covariance of `judged`; the effects of levels and the local stages beside `judged` and `model`; the certificate, counts, history,
    the trials of the selection, and what was chosen.
    """

    model: Any
    judged: Any
    lower: np.ndarray
    upper: np.ndarray
    scaled: bool
    shift: np.ndarray
    scale: np.ndarray
    link: str
    converged: bool
    sentence: str
    stationarity: float
    noise: np.ndarray
    covariance: Any
    scores: np.ndarray | None
    judged_covariance: Any
    judged_levels: LevelEffects | None
    levels: LevelEffects | None
    judged_local: LocalStage | None
    local: LocalStage | None
    certificate: Certificate
    stats: dict[str, Any]
    history: list[dict[str, Any]]
    trials: list[Trial]
    options: dict[str, Any]


def spread(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each target, one where it does not vary."""
    scale = y.std(axis=0)
    return y.mean(axis=0), np.where(scale > 0, scale, 1.0)


def solve_streamed(
    table: Table,
    model: AbstractSeparable | None,
    size: tuple[int | None, int | None, int | None],
    *,
    links: tuple[str, ...] | None,
    local: bool | None,
    columns: Sequence[int],
    seed: int,
    tolerance: float,
    progress: Callable[[dict[str, Any]], None] | None,
    journal: Journal | None,
    growth: int = 0,
    accuracy: float | None = None,
) -> Solution:
    """Fit a separable model to a table.

    **Arguments:** the table; a model or nothing; modes, elements and degree or nothing; the links to choose from, or nothing; the seed; the tolerance of the
    fits; a callback; where finished fits are kept, or nothing; the columns whose levels have effects; how often a given model may be refined; the error that
    suffices.
    """
    if model is None:
        lower, upper = table.x.min(axis=0), table.x.max(axis=0)
        # In the precision in which the model will be asked: repeated places and levels are met again by equal coordinates.
        points = unit_box(table.x.astype(table.dtype), lower, upper)
    else:
        lower, upper = np.asarray(model.domain).T
        points = table.x
        check_unknowns(model.unknowns, len(table.train) * table.y.shape[1])
    samples = Samples(
        points[table.train],
        table.y[table.train],
        table.weights[table.train],
        dtype=table.dtype,
        tolerance=tolerance,
        progress=progress,
        capacity=len(table.train) + len(table.heldout),
        repeats=repeats_of(points, table.y),
        journal=journal,
        ratios=ratios(table.x[table.train]),
    ).shuffled(seed)
    selected = None if accuracy is None else select_enough(samples, links, seed, accuracy)
    if selected is None:
        selected = select(
            samples, given=model, size=size, links=links, local=local, columns=columns, seed=seed, growth=growth
        )
    if selected.enough:
        samples = selected.samples
    fits, scaled = selected.fits, samples.scaled(selected.link)
    judged, judged_covariance = combined(fits)
    noise = noise_of(fits, scaled)
    scores, final, local_stage, levels = None, fits, selected.local, selected.levels
    if len(table.heldout):
        scores = _scores(table, points, judged, judged_covariance, noise, selected, scaled)
        if not selected.enough:
            every = np.union1d(table.train, table.heldout)
            again = selected.refit(points[every], table.y[every], table.weights[every], seed)
            final, local_stage, levels = again.fits, again.local, again.levels
    whole, covariance = combined(final) if final is not fits else (judged, judged_covariance)
    counts = {key: sum(fit.counts[key] for fit in final) for key in final[0].counts}
    iterations = counts["iterations"] // len(final)
    converged = all(fit.converged for fit in fits)
    taken = len(fits[0].history)
    if selected.most_iterations is not None:
        converged = True
        sentence = (
            f"The data are noisy: {len(fits)} starts of at most {selected.most_iterations} iterations were averaged."
        )
    elif selected.enough:
        converged = True
        sentence = "The fit ended where it was accurate enough."
    elif converged:
        sentence = f"The last steps changed the loss by below {tolerance:g} of it, after {taken} iterations."
    else:
        sentence = f"The loss still fell by more than {tolerance:g} a step after {taken} iterations."
    sample = tuple(jnp.asarray(a[:CERTIFIED_ROWS], table.dtype) for a in (samples.x, scaled.z, samples.weights))
    certificate = certificate_of(fits[0].model, sample)
    options = {"link": selected.link, "members": len(fits), "copies": table.copies}
    if selected.local is not None:
        options["local"] = [float(balance) for balance in selected.local.balance.weight]
        if selected.local.dense is not None:
            options["dense"] = [float(balance) for balance in selected.local.dense_balance.weight]
        options["twins"] = selected.local.twins is not None
    if levels is not None:
        deviations = np.sqrt(np.asarray(levels.spread)) * scaled.scale
        options["levels"] = {table.names[c]: row.tolist() for c, row in zip(levels.columns, deviations, strict=True)}
    if selected.size is not None:
        options = {**described(selected.size), **options}
    return Solution(
        model=whole,
        judged=judged,
        lower=lower,
        upper=upper,
        scaled=model is None,
        shift=scaled.shift,
        scale=scaled.scale,
        link=selected.link,
        converged=converged,
        sentence=sentence,
        stationarity=max(fit.stationarity for fit in fits),
        noise=noise,
        covariance=None if covariance is None else jnp.asarray(covariance),
        scores=scores,
        judged_covariance=judged_covariance,
        judged_levels=selected.levels,
        levels=levels,
        judged_local=selected.local,
        local=local_stage,
        certificate=certificate,
        stats={**counts, "iterations": iterations, "effective": float(np.mean([fit.effective for fit in fits]))},
        history=fits[0].history,
        trials=selected.trials,
        options={
            **options,
            "covariance": "computed" if covariance is not None else "the average has too many parameters for it",
        },
    )


def _scores(
    table: Table,
    points: np.ndarray,
    judged: AbstractSeparable,
    covariance: np.ndarray | None,
    noise: np.ndarray,
    selected: Selected,
    scaled: Scaled,
) -> np.ndarray:
    """How far rows are off that a fit has not seen, in what the link describes, in standard deviations of their prediction, `(n, O)`.

    They are the held-out rows and, in small tables, those that each start has left out in its turn: of a few held-out rows alone the quantile would vary.
    """
    rows, link = table.heldout[:: -(-len(table.heldout) // MOST_SCORED)], selected.link
    value = evaluate(judged, points[rows])
    u = scaled.shift + scaled.scale * value
    std = expected_deviation(judged, points[rows], covariance, link, u, scaled.scale, noise) / scaled.scale
    if selected.local is not None:
        value, std = selected.local.mixed(points[rows], value, std)
    if selected.levels is not None:
        value, std = with_effects(selected.levels, points[rows], value, std)
    u = scaled.shift + scaled.scale * value
    u = (
        u if link in ("identity", "log") else np.asarray(LINKS[link].forward(np.asarray(LINKS[link].inverse(u))))
    )  # within the bounds
    scores = np.abs(LINKS[link].forward(table.y[rows]) - u) / (scaled.scale * std)
    return scores if selected.scores is None else np.concatenate([scores, selected.scores])
