r"""Trials: separable models fitted to the first rows of a table for a few steps, and judged on the last ones.

    error = |y - g(u(x))|_rms / std(y)    on the rows kept for validation

It is always in units of the target, so that trials under different links compare.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from ..models import KHRONOS, AbstractSeparable
from .direct import DirectFit
from .samples import Samples
from .size import Size, choose_size, graded

# Rows that a trial is fitted to: enough for its unknowns, not more than needed to rank it.
PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN = 2048, 4
# Steps of a trial: enough to rank it; the one that is chosen goes on from there.
TRIAL_ITERATIONS = 20
# Steps of each of several starts, whose average is judged.
AVERAGED_ITERATIONS = 30
# A validation error below this share of the target's spread: what is left is the model's fault, not noise.
CLEAN = 0.02
# A larger model must be better by this much.
WORTHWHILE = 0.97
# On noisy data another link, or cells of equal ratio, must be much better: they make more of what goes wrong where there are few data.
LINK_WORTHWHILE = 0.8


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
    onwards: bool = False

    def __str__(self) -> str:
        average = "" if self.starts == 1 else f", average of {self.starts}"
        average = ", gone on with" if self.onwards else average
        judged = "" if self.evidence is None else f", log evidence {self.evidence:.5g}"
        cells = " on cells of equal ratio" if self.graded else ""
        return (
            f"{self.link}, degree {self.degree}, {self.functions} functions an input{cells}, {self.modes} modes{average}: "
            f"{self.unknowns} unknowns, error {self.error:.3g}{judged}, {self.seconds:.1f} s"
        )


class Attempt(NamedTuple):
    """A trial, the size of its model, its fit, of several starts the first, and which start that was."""

    trial: Trial
    size: Size
    fit: DirectFit
    member: int


class Trials:
    """What was tried on some samples, the last `validation` of which judge, and the best of it.

    **Attributes:** `made`, the attempts in their order; `best`, the one that won so far.
    """

    def __init__(self, samples: Samples, validation: int, seed: int) -> None:
        self.samples, self.validation, self.seed = samples, validation, seed
        self.outputs = samples.y.shape[1]
        self.made: list[Attempt] = []
        self.best: Attempt | None = None
        self._share = functools.cache(samples.share)

    @property
    def winner(self) -> Attempt:
        """The best attempt; there has to be one."""
        assert self.best is not None
        return self.best

    @property
    def error(self) -> float:
        """The error of the best attempt."""
        return self.winner.trial.error

    def start(self, size: Size, member: int = 0) -> AbstractSeparable:
        """One of the starts of a size."""
        return in_dtype(starting_model(size, self.outputs, self.seed + 1000 * member), self.samples.dtype)

    def rows(self, link: str, size: Size) -> int:
        """How many rows a trial is fitted to."""
        wanted = max(PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN * size.unknowns(self.outputs) // self.outputs)
        return min(len(self.samples.x) - self.validation, round(wanted / self._share(link)))

    def sized(
        self, degree: int, functions: int, modes: int, rows: float | int, on_ratios: bool | None = None
    ) -> Size | None:
        """So many functions an input, and of so many modes those for whose unknowns there are enough rows; nothing where there are for none.

        **Arguments:** the degree, functions, modes, and numbers measured for each unknown; whether on cells of equal ratio, as the best attempt by default.
        """
        numbers = (len(self.samples.x) - self.validation) * self.outputs
        try:
            one = choose_size(self.samples.x, self.outputs, 1, functions - degree, degree)
        except ValueError:
            return None
        if on_ratios is None:
            on_ratios = self.best is not None and self.best.trial.graded
        one = graded(one, self.samples.ratios) if on_ratios else one
        sizes = (one._replace(modes=m) for m in range(modes, 0, -1))
        return next((size for size in sizes if rows * size.unknowns(self.outputs) <= numbers), None)

    def others(self) -> list[Attempt]:
        """What other starts of the best size came to, the best first."""
        link, size, taken = self.winner.trial.link, self.winner.size, {self.winner.member: self.winner}
        for made in sorted(self.made, key=lambda made: made.trial.error):
            if made.trial.link == link and made.size == size and made.trial.starts == 1:
                taken.setdefault(made.member, made)
        return list(taken.values())[1:]

    def attempt(
        self,
        link: str,
        size: Size,
        *,
        starts: int = 1,
        first: int = 0,
        onwards: Attempt | None = None,
        variance: float | None = None,
        steps: int | None = None,
    ) -> Attempt:
        """Fit and judge a size under a link.

        **Arguments:** the link and the size; the number of starts to average, and the first of them; an attempt to go on with to its end instead; the noise
        variance to begin with, of the targets' own, or the usual one; the most steps, or as many as trials have.
        """
        began, samples = time.perf_counter(), self.samples
        rows, most = self.rows(link, size), steps or (TRIAL_ITERATIONS if starts == 1 else AVERAGED_ITERATIONS)
        if onwards is None:
            begins = (self.start(size, member) for member in range(first, first + starts))
            fits = [samples.fit(link, begin, rows, most_iterations=most, variance=variance) for begin in begins]
        else:
            first = onwards.member
            fits = [samples.fit(link, onwards.fit.model, rows, onwards.fit.evidence)]
        functions = max(len(row) - 1 + p for row, p in zip(size.breakpoints, size.degrees, strict=True))
        trial = Trial(
            link,
            max(size.degrees),
            functions,
            size.modes,
            size.unknowns(self.outputs),
            starts,
            samples.error(link, np.mean([fit.values for fit in fits], axis=0), self.validation),
            time.perf_counter() - began,
            graded=size.graded,
            onwards=onwards is not None,
        )
        tried = Attempt(trial, size, fits[0], first)
        self.made.append(tried)
        if self.best is None or trial.error < _margin(trial, self.best.trial) * self.error:
            self.best = tried
        return tried


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


def _margin(trial: Trial, best: Trial) -> float:
    """The share of the best error that a trial must stay below to take its place."""
    if trial.link != best.link or trial.graded != best.graded:
        return LINK_WORTHWHILE if trial.error > CLEAN else 1.0
    return WORTHWHILE if trial.unknowns > best.unknowns else 1.0


def printed(trials: Sequence[Trial]) -> str:
    """The trials, one a line, the best first."""
    return "\n".join(str(trial) for trial in sorted(trials, key=lambda trial: trial.error))
