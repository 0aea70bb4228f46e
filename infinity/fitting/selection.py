r"""Which separable model for this table: link, kind of functions, number of modes, one model or the average of several.

Trials are fitted to the first rows and judged on others, always in units of the target:

    error = |y - g(u(x))|_rms / std(y)    on the rows kept for validation

Functions of a smooth law are polynomials, which converge faster than any spline; functions with kinks or noise are cubic splines. Both have the same
number of functions, so the trials of a round share one compiled program. More modes, or finer splines, are tried afterwards, where the table can carry
them. Noisy data get several starts, whose average is one separable model; clean data get one.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..descent.evidence import Evidence
from ..models import KHRONOS, AbstractSeparable
from .direct import DirectFit, fit_separable
from .ensemble import average, average_covariance
from .links import LINKS
from .size import ROWS_PER_UNKNOWN, Size, choose_size

# Share of the rows that judge trials, and their bounds.
VALIDATION, FEWEST, MOST = 0.15, 20, 2000
# Below so many rows there are none to spare for trials.
FEWEST_TO_SELECT = 60
# Rows that a trial is fitted to: enough for its unknowns, not more than needed to rank it.
PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN = 2048, 4
# Steps of a trial: enough to rank it; the one that is chosen goes on from there.
TRIAL_ITERATIONS = 20
# A validation error below this share of the target's spread: what is left is the model's fault, not noise.
CLEAN = 0.02
# A larger model must be better by this much.
WORTHWHILE = 0.97
FUNCTIONS, MORE_MODES, FEW_MODES, MOST_MODES = 8, 2.5, 6, 20
DENSE_MODES, DENSE_ROWS_PER_UNKNOWN = 8, 1.5
# Below this error more modes are not worth their time.
RANK_ABOVE = 1e-3
FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN, FINE_ABOVE = 14, 4, 2.0, 0.01
# The covariance of an average is kept up to this many parameters.
LARGEST_COVARIANCE = 6000
MOST_MEMBERS = 4
# Seconds that the starts of an ensemble may take, at so many operations a second.
ENSEMBLE_WORK = 6 * 2e10

Progress = Callable[[dict[str, Any]], None]


class Trial(NamedTuple):
    """A model that was tried, and its error on the rows kept for validation."""

    link: str
    degree: int
    functions: int
    modes: int
    unknowns: int
    error: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.link}, degree {self.degree}, {self.functions} functions an input, {self.modes} modes: "
            f"{self.unknowns} unknowns, error {self.error:.3g}, {self.seconds:.1f} s"
        )


class Selected(NamedTuple):
    """What was selected and fitted.

    A link with shift and scale of the targets, the fits (several to be averaged), the trials, and the size of a model made here.
    """

    link: str
    shift: np.ndarray
    scale: np.ndarray
    fits: list[DirectFit]
    trials: list[Trial]
    size: Size | None
    seed: int
    tables: "Callable[..., _Table]"

    def refit(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> list[DirectFit]:
        """The same fits from where they ended, to all rows of a table."""
        order = np.random.default_rng(self.seed).permutation(len(x))
        table = self.tables(x[order], y[order], weights[order])
        table.units = (self.shift, self.scale)
        return [table.fit(self.link, fit.model, None, fit.evidence) for fit in self.fits]


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


def described(size: Size) -> dict[str, Any]:
    """A size in words for a result."""
    return {
        "modes": size.modes,
        "elements": [len(row) - 1 for row in size.breakpoints],
        "degree": list(size.degrees),
    }


class _Table:
    """The rows in random order, and everything that does not depend on the trial."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, dtype, tolerance: float, progress, capacity: int
    ):
        self.capacity = capacity
        self.units: tuple[np.ndarray, np.ndarray] | None = None
        self.x, self.y, self.weights, self.dtype, self.tolerance, self.progress = (
            x,
            y,
            weights,
            dtype,
            tolerance,
            progress,
        )
        self.validation = int(np.clip(VALIDATION * len(x), FEWEST, MOST))

    def scaled(self, link: str):
        """Targets of about zero mean and unit variance in what the link describes, the weights, shift and scale."""
        forward, _, weight = LINKS[link]
        z = forward(self.y)
        shift, scale = (z.mean(axis=0), z.std(axis=0)) if self.units is None else self.units
        scale = np.where(scale > 0, scale, 1.0)
        # Each target counts in units of its own size.
        size = np.sqrt(np.mean(self.y**2, axis=0)) if link != "identity" else 1.0
        w = self.weights * weight(self.y / size).mean(axis=1)
        return (z - shift) / scale, w * (self.weights.sum() / w.sum()), shift, scale

    def fit(
        self,
        link: str,
        start: AbstractSeparable,
        rows: int | None,
        evidence: Evidence | None = None,
        most_iterations: int | None = None,
    ) -> DirectFit:
        """Fit a start to the first rows, or to all."""
        z, w, _, _ = self.scaled(link)
        x, z, w = (jnp.asarray(a, self.dtype) for a in (self.x, z, w))
        return fit_separable(
            start,
            x,
            z,
            w,
            tolerance=self.tolerance,
            progress=self.progress,
            rows=rows,
            evidence=evidence,
            capacity=self.capacity,
            most_iterations=most_iterations,
        )

    def error(self, link: str, found: DirectFit) -> float:
        """Error on the last rows in units of the target's spread."""
        _, _, shift, scale = self.scaled(link)
        count = self.validation
        u = found.values[-count:]
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.asarray(LINKS[link].inverse(shift + scale * u)) - self.y[-count:]
            value = np.sqrt(np.mean((difference / self.y.std(axis=0)) ** 2))
        return float(value) if np.isfinite(value) else np.inf


def select(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    given: AbstractSeparable | None,
    size: tuple[int | None, int | None, int | None],
    link: str | None,
    seed: int,
    tolerance: float,
    dtype,
    progress: Progress | None,
    capacity: int,
) -> Selected:
    """Select and fit a model.

    **Arguments:** inputs `(N, D)`, on the unit box unless a model is given; targets `(N, O)` in physical units; weights `(N,)`; a model to fit as it is, or
    nothing; modes, elements and degree to fix the size, or nothing; a link, or nothing for a choice; the seed; the tolerance of the fits; the dtype to work
    in; a callback; the rows of the whole table, those of a later refit included.
    """
    outputs = y.shape[1]
    order = np.random.default_rng(seed).permutation(len(x))
    tables = lambda x, y, weights: _Table(x, y, weights, dtype, tolerance, progress, capacity)
    table = tables(x[order], y[order], weights[order])
    x, y = table.x, table.y

    def start(size: Size, member: int = 0) -> AbstractSeparable:
        return in_dtype(starting_model(size, outputs, seed + 1000 * member))

    def in_dtype(model: AbstractSeparable) -> AbstractSeparable:
        return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, model)

    if given is not None or any(part is not None for part in size) or len(x) < FEWEST_TO_SELECT:
        modes, elements, degree = size
        fixed = None if given is not None else choose_size(x, outputs, modes, elements, 3 if degree is None else degree)
        begin = in_dtype(given) if given is not None else start(fixed)  # pyright: ignore[reportArgumentType]
        name = link or "identity"
        _, _, shift, scale = table.scaled(name)
        return Selected(name, shift, scale, [table.fit(name, begin, None)], [], fixed, seed, tables)

    trials: list[Trial] = []
    best: tuple[Trial, Size, DirectFit] | None = None

    def attempt(name: str, size: Size, functions: int) -> Trial:
        nonlocal best
        began = time.perf_counter()
        found = table.fit(name, start(size), pilot_rows(size), most_iterations=TRIAL_ITERATIONS)
        trial = Trial(
            name,
            max(size.degrees),
            functions,
            size.modes,
            size.unknowns(outputs),
            table.error(name, found),
            time.perf_counter() - began,
        )
        trials.append(trial)
        if best is None or trial.error < (1 if trial.unknowns <= best[0].unknowns else WORTHWHILE) * best[0].error:
            best = (trial, size, found)
        return trial

    def pilot_rows(size: Size) -> int:
        wanted = max(PILOT_ROWS, PILOT_ROWS_PER_UNKNOWN * size.unknowns(outputs) // outputs)
        return min(len(x) - table.validation, wanted)

    def sized(degree: int, functions: int, modes: int, rows: float | int) -> Size | None:
        """So many functions an input, and of so many modes those for whose unknowns there are enough rows."""
        numbers = (len(x) - table.validation) * outputs
        try:
            one = choose_size(x, outputs, 1, functions - degree, degree)
        except ValueError:
            return None
        sizes = (one._replace(modes=m) for m in range(modes, 0, -1))
        return next((size for size in sizes if rows * size.unknowns(outputs) <= numbers), None)

    links = ["identity"] if link is None else [link]
    if link is None and outputs == 1 and y.min() > 0 and y.max() > 3 * y.min():
        links.append("log")
    base = choose_size(x, outputs, None, None, 3)
    modes, functions = base.modes, max(len(row) - 1 + p for row, p in zip(base.breakpoints, base.degrees, strict=True))
    attempt(links[0], base, functions)
    smooth = sized(FUNCTIONS - 1, FUNCTIONS, modes, ROWS_PER_UNKNOWN) if functions == FUNCTIONS else None
    for name in links[1:]:
        attempt(name, base, functions)
    assert best is not None
    if smooth is not None:
        attempt(best[0].link, smooth, functions)
    chosen = best[0]
    if chosen.error < CLEAN or modes < FEW_MODES:
        # Without noise a smooth law is pinned down by few rows an unknown, and what few modes leave over looks like noise.
        dense = sized(FUNCTIONS - 1, FUNCTIONS, DENSE_MODES, DENSE_ROWS_PER_UNKNOWN)
        if dense is not None and dense.modes > modes:
            attempt(chosen.link, dense, FUNCTIONS)
    larger = sized(chosen.degree, functions, min(round(MORE_MODES * modes), MOST_MODES), ROWS_PER_UNKNOWN)
    if larger is not None and larger.modes > modes >= FEW_MODES and chosen.error > RANK_ABOVE:
        attempt(chosen.link, larger, functions)
    if chosen.error > FINE_ABOVE:
        # The evidence decides how much of a fine spline is used, so that it needs fewer rows an unknown.
        finer = sized(3, FINE_FUNCTIONS, FINE_MODES, FINE_ROWS_PER_UNKNOWN)
        if finer is not None:
            attempt(chosen.link, finer, FINE_FUNCTIONS)
    trial, size, pilot = best
    _, _, shift, scale = table.scaled(trial.link)
    cost = len(x) * outputs * float(size.unknowns(outputs)) ** 2 * 2 * 40
    members = 1 if trial.error < CLEAN else int(np.clip(ENSEMBLE_WORK / cost, 1, MOST_MEMBERS))
    pilot = table.fit(trial.link, pilot.model, pilot_rows(size), pilot.evidence)
    fits = [table.fit(trial.link, pilot.model, None, pilot.evidence)]
    fits += [table.fit(trial.link, start(size, member), None) for member in range(1, members)]
    return Selected(trial.link, shift, scale, fits, trials, size, seed, tables)


def printed(trials: Sequence[Trial]) -> str:
    """The trials, one a line, the best first."""
    return "\n".join(str(trial) for trial in sorted(trials, key=lambda trial: trial.error))
