r"""One output of a table as an AION: rates from the samples of one input, or products of atoms in several.

    one input: atoms by the direct solve of signals;    several: starts from a grid, or from smooth surrogates of scattered samples, each polished

Where no size is given it is chosen by what an atom more explains.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..descent.exponential import (
    Factors,
    Samples,
    SignalFit,
    Start,
    criterion,
    floor,
    lattice_starts,
    polish,
    samples_of,
    solve_signal,
)
from ..descent.exponential.atoms import amplitude_and_phase
from ..models.aion import AION
from .streamed import Table

# Sizes (modes, terms) that are tried where none is given, for more than one input.
_SIZES = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (3, 1), (2, 3), (3, 2), (3, 3))
_PATIENCE = 3
# Cells of the splines that scattered samples are first described by, and starts that are tried in all.
_CELLS = (8, 12, 20)
_MOST_STARTS = 16
# Points a dimension of the grid on which a smooth surrogate of scattered samples is read.
_GRID = {2: 32, 3: 20}
# The surrogate has unknowns for this share of the rows, and at least so many functions an input.
_SHARE = 0.7
_SMALLEST = 3
# A start is good enough where its loss a degree of freedom is within this of what the poles leave at best.
_ENOUGH = 1.3
# A frequency so close to the largest that the spacing resolves may be one beyond it.
_EDGE = 0.9


@dataclasses.dataclass
class OutputFit:
    """One output solved for: parameters `(r, D, P)` each, at `origin`.

    `edges` are frequencies close to the largest that the spacing resolves: the input, the frequency, the largest.
    """

    parameters: tuple[np.ndarray, ...]
    origin: np.ndarray
    loss: float
    exact: bool
    converged: bool
    orders: list[dict[str, Any]]
    counts: dict[str, int]
    edges: list[tuple[int, float, float]]


def solve_output(table: Table, rows: np.ndarray, o: int, model: AION | None, seed: int) -> OutputFit:
    """Solve one output of some rows of a table for the atoms of a model's size, or of a size that is chosen."""
    x, y, w = table.x[rows], table.y[rows, o], table.weights[rows]
    if x.shape[1] == 1:
        return _one_dimension(samples_of(x[:, 0], y, w), None if model is None else model.terms, model)
    return _several_dimensions(x, y, w, model, seed)


def _one_dimension(samples: Samples, terms: int | None, model: AION | None) -> OutputFit:
    if model is not None and model.modes > 1:
        # A sum of sums is one sum.
        terms = model.modes * model.terms
    longest = max(1, (len(samples.t) - 1) // 4)
    fit: SignalFit = solve_signal(samples, terms, max_terms=min(8, longest))
    edges = _edges(fit.omega[None], [samples.finest / samples.span])
    values = (fit.amplitude, fit.alpha, fit.omega, fit.phase)
    width = max(terms or 1, len(fit.alpha))
    padded = [np.pad(v, (0, width - len(v))) for v in values]
    amplitude, alpha, omega, phase = (v.reshape(1 if model is None else model.modes, 1, -1) for v in padded)
    orders = [{"terms": a.atoms, "loss": a.loss, "criterion": a.criterion, "start": a.source} for a in fit.attempts]
    return OutputFit(
        (amplitude, alpha, omega, phase),
        np.array([fit.origin]),
        fit.loss,
        fit.exact,
        fit.converged,
        orders,
        fit.counts,
        edges,
    )


def _edges(omega: np.ndarray, limits: list[float]) -> list[tuple[int, float, float]]:
    """Frequencies `(D, K)` that are close to the limit of their input."""
    return [(d, float(w), limit) for d, limit in enumerate(limits) for w in np.unique(omega[d]) if w > _EDGE * limit]


def _several_dimensions(x: np.ndarray, y: np.ndarray, w: np.ndarray, model: AION | None, seed: int) -> OutputFit:
    lower, upper = x.min(axis=0), x.max(axis=0)
    span = upper - lower
    centre = 0.5 * (lower + upper)
    points = (x - centre) / span
    s = np.sqrt(w)
    total = 0.5 * float(np.sum((s * y) ** 2))
    least = floor(total, float(np.finfo(np.asarray(y).dtype).eps))
    sizes = _SIZES if model is None else ((model.modes, model.terms),)
    counts = {"starts": 0, "iterations": 0, "residuals": 0, "jacobians": 0}
    orders: list[dict[str, Any]] = []
    best: tuple[float, Any] | None = None
    since = 0
    grid = _as_grid(points, y)
    # Those of one rank serve all numbers of atoms.
    surrogates = functools.cache(lambda r: _surrogates(points, y, s, r, seed))
    distinct = min(len(np.unique(column)) for column in points.T)
    for r, P in sizes:
        unknowns = 4 * r * P * x.shape[1]
        if model is None and (unknowns > len(y) // 2 or distinct < 4 * P):
            continue
        if model is None and grid is None and _surrogate_size(len(y), r, x.shape[1]) < _SMALLEST:
            continue
        polished = []
        for start, variance in itertools.islice(_starts(grid, surrogates, r, P, seed), _MOST_STARTS):
            out = polish(jnp.asarray(points), jnp.asarray(y), jnp.asarray(s), _in_range(start))
            counts["starts"] += 1
            for name in ("iterations", "residuals", "jacobians"):
                counts[name] += int(getattr(out.step.ledger, name))
            polished.append(out)
            if float(out.loss) <= max(least, _ENOUGH * variance * (len(y) - unknowns)):
                break
        out = min(polished, key=lambda p: float(p.loss) if np.isfinite(float(p.loss)) else np.inf)
        loss = float(out.loss)
        value = criterion(loss, r * P * x.shape[1], 0, float(np.sum(w)), least)
        orders.append(
            {"modes": r, "terms": P, "loss": loss, "criterion": value, "start": "grid" if grid else "surrogate"}
        )
        since += 1
        if best is None or value < best[0]:
            best, since = (value, out), 0
        if loss <= least or since >= _PATIENCE:
            break
    if best is None:
        raise ValueError(
            f"{len(y)} rows; too few to choose the size of an AION of {x.shape[1]} inputs, which takes about {10 * x.shape[1]}. Measure more, or pass a model."
        )
    out = best[1]
    omega = np.abs(np.asarray(out.factors.omega))
    limits = [] if grid is None else [float(np.pi / step) for step in grid[1]]
    edges = [
        (k, w / span[k], limit / span[k]) for k, w, limit in _edges(omega.swapaxes(0, 1).reshape(len(span), -1), limits)
    ]
    parameters = in_units(out.factors, span)
    exact = float(out.loss) <= least
    return OutputFit(parameters, centre, float(out.loss), exact, bool(out.step.converged), orders, counts, edges)


def _in_range(start: Start) -> Factors:
    """A start whose atoms have squares that are numbers in the precision of the solve, on the box of length one around zero."""
    largest = float(jnp.finfo(jnp.result_type(float)).max)
    steepest = 0.9 * np.log(largest)
    pairs = np.where(np.abs(start.pairs) < np.sqrt(largest), start.pairs, 0.0)
    alpha = np.clip(start.alpha, -steepest, steepest)
    return Factors(jnp.asarray(pairs), jnp.asarray(alpha), jnp.asarray(start.omega))


def in_units(factors: Factors, span: np.ndarray) -> tuple[np.ndarray, ...]:
    """Amplitude, rates and phase from pairs and rates on the box of length one."""
    pairs, alpha, omega = (np.asarray(v) for v in factors)
    amplitude, phase = amplitude_and_phase(pairs[..., 0], pairs[..., 1])
    return np.asarray(amplitude), alpha / span[:, None], omega / span[:, None], np.asarray(phase)


def _as_grid(points: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, list[float]] | None:
    """The samples as an array and the steps, if they fill a tensor grid of equal steps, else nothing."""
    axes = [np.unique(np.round(column, 9)) for column in points.T]
    if np.prod([len(a) for a in axes]) != len(points) or any(len(a) < 4 for a in axes):
        return None
    steps = [float(np.mean(np.diff(a))) for a in axes]
    if any(np.max(np.abs(np.diff(a) - step)) > 1e-3 * step for a, step in zip(axes, steps, strict=True)):
        return None
    places = tuple(np.searchsorted(a, np.round(column, 9)) for a, column in zip(axes, points.T, strict=True))
    Y = np.full([len(a) for a in axes], np.nan)
    Y[places] = y
    return None if np.isnan(Y).any() else (Y, steps)


def _starts(grid, surrogates: Callable, r: int, P: int, seed: int) -> Iterator[tuple[Start, float]]:
    """Starts, the most promising first, each with half a sum of squares a degree of freedom that a good fit reaches."""
    if grid is not None:
        Y, steps = grid
        exact = lattice_starts(Y, r, P, steps=steps, exact=True, seed=seed)
        if len(exact.starts) == 1:
            yield exact.starts[0], 0.0
        noisy = lattice_starts(Y, r, P, steps=steps, exact=False, seed=seed)
        # Where a pole was missed, what the others leave says nothing of a good fit.
        variance = min(exact.variance, noisy.variance)
        yield from ((start, variance) for start in noisy.starts + exact.starts)
        return
    for Y, steps in surrogates(r):
        # What a smooth surrogate leaves says nothing about the samples: only an exact fit ends the search early.
        yield from ((start, 0.0) for start in lattice_starts(Y, r, P, steps=steps, exact=False, seed=seed).starts)


def _surrogate_size(rows: int, r: int, D: int) -> int:
    """How many functions an input the surrogate may have: its modes, and an additive part, take a share of the rows."""
    return int((_SHARE * rows - 1) / ((r + 1) * D))


def _surrogates(points, y, s, r: int, seed: int) -> list[tuple[np.ndarray, list[float]]]:
    """Scattered samples read on a grid through separable spline models, the one of the lowest error on held-out rows first."""
    from .fit import fit

    D = points.shape[1]
    n = _GRID.get(D, 12)
    size = _surrogate_size(len(y), r, D)
    if size < _SMALLEST:
        raise ValueError(
            f"{len(y)} scattered rows for an AION of {r} mode(s) and {D} inputs; expected at least {int(_SMALLEST * (r + 1) * D / _SHARE) + 2}, or a grid of "
            "equal steps. Use fewer modes, or measure more."
        )
    degree = min(5, size - 1)
    axes = [np.linspace(-0.5, 0.5, n)] * D
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, D)
    found = []
    for cells, modes in itertools.product(sorted({min(c, size - degree) for c in _CELLS}), (r, r + 1)):
        if modes > r and _surrogate_size(len(y), modes, D) < cells + degree:
            continue
        smooth = fit(points, y, weights=s**2, modes=modes, elements=cells, degree=degree, seed=seed, outside="linear")
        error = (smooth.metrics["heldout"] or smooth.metrics["train"])["nrmse"]
        found.append((error, np.asarray(smooth.model.predict(mesh)).reshape([n] * D)))
    found.sort(key=lambda pair: pair[0])
    return [(Y, [1 / (n - 1)] * D) for error, Y in found if error <= 3 * found[0][0] or error < 0.1]
