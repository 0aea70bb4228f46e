r"""AION from a table: the direct solve for exponential families, its order, uncertainty and checks.

    y_n = f(x_n) + noise,    cov = sigma^2 F^+,    F = J^T J

The start of the model that is given does not matter: rates are found from the samples. The covariance is the Cramer-Rao bound at the solution, from the Fisher
matrix `F` of all parameters.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..closure import certify
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
from ..descent.exponential.atoms import amplitude_and_phase, linear_pair
from ..models.aion import AION
from .exponential_checks import check_samples, usable, warn_of_aliases
from .generic import covariance_of, residuals_of, stationarity_of
from .streamed import Solution, Table
from .whiteness import whiteness

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
_CERTIFIED_ROWS = 64
# A start is good enough where its loss a degree of freedom is within this of what the poles leave at best.
_ENOUGH = 1.3
# A frequency so close to the largest that the spacing resolves may be one beyond it.
_EDGE = 0.9
# What rounding in the given units may add to that of the solve, as a factor.
_ROUNDED_AGAIN = 20


@dataclasses.dataclass
class _Part:
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


def solve_aion(table: Table, model: AION | None, seed: int) -> Solution:
    """Fit an AION to a table.

    **Arguments:** the checked table; the model whose size is wanted, or nothing: chosen by the evidence; the seed of the searches.

    **Returns:** a `Solution`.

    **Raises:** `ValueError` where the rows do not tell an AION of that size, see `check_samples`.
    """
    D, O = table.x.shape[1], table.y.shape[1]
    if model is not None and (model.dimensions, model.outputs) != (D, O):
        raise ValueError(
            f"the AION has {model.dimensions} input(s) and {model.outputs} output(s), the table {D} and {O}; expected the same"
        )
    if model is None and D > 3:
        raise ValueError(
            f"the size of an AION is chosen for up to 3 inputs; got {D}. Pass model=inf.AION(dimensions={D}, modes=.., terms=.., key=..)"
        )
    table = usable(table)
    check_samples(table, *((1, 1) if model is None else (model.modes, model.terms)))
    rows = np.sort(np.concatenate([table.train, table.heldout]))
    parts = [_solve_output(table, rows, o, model, seed) for o in range(O)]
    warn_of_aliases([(table.names[d], omega, limit) for part in parts for d, omega, limit in part.edges], stacklevel=3)
    fitted = _assembled(parts, table, parts[0].origin)
    judged = fitted if not len(table.heldout) else _judged(table, parts, model, seed)
    return _solution(table, rows, fitted, judged, parts)


def _solve_output(table: Table, rows: np.ndarray, o: int, model: AION | None, seed: int) -> _Part:
    x, y, w = table.x[rows], table.y[rows, o], table.weights[rows]
    if x.shape[1] == 1:
        return _one_dimension(samples_of(x[:, 0], y, w), None if model is None else model.terms, model)
    return _several_dimensions(x, y, w, model, seed)


def _one_dimension(samples: Samples, terms: int | None, model: AION | None) -> _Part:
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
    return _Part(
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


def _several_dimensions(x: np.ndarray, y: np.ndarray, w: np.ndarray, model: AION | None, seed: int) -> _Part:
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
    parameters = _in_units(out.factors, span)
    exact = float(out.loss) <= least
    return _Part(parameters, centre, float(out.loss), exact, bool(out.step.converged), orders, counts, edges)


def _in_range(start: Start) -> Factors:
    """A start whose atoms have squares that are numbers in the precision of the solve, on the box of length one around zero."""
    largest = float(jnp.finfo(jnp.result_type(float)).max)
    steepest = 0.9 * np.log(largest)
    pairs = np.where(np.abs(start.pairs) < np.sqrt(largest), start.pairs, 0.0)
    alpha = np.clip(start.alpha, -steepest, steepest)
    return Factors(jnp.asarray(pairs), jnp.asarray(alpha), jnp.asarray(start.omega))


def _in_units(factors: Factors, span: np.ndarray) -> tuple[np.ndarray, ...]:
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
        for exact in (True, False):
            found = lattice_starts(Y, r, P, steps=steps, exact=exact, seed=seed)
            yield from ((start, found.variance) for start in found.starts)
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


def _assembled(parts: list[_Part], table: Table, origin: np.ndarray) -> AION:
    """One model of all outputs, in canonical form."""
    terms = max(p.parameters[0].shape[2] for p in parts)
    modes = max(p.parameters[0].shape[0] for p in parts)
    models = []
    for part in parts:
        arrays = [jnp.asarray(v, table.dtype)[None] for v in part.parameters]
        one = AION.of(*arrays, origin=part.origin.tolist(), scalar=False).moved(origin.tolist())
        models.append(one.refine(modes=modes, terms=terms).canonical())
    joined = (jnp.concatenate([getattr(m, name) for m in models]) for name in ("amplitude", "alpha", "omega", "phase"))
    return AION.of(*joined, origin=models[0].origin, scalar=False)


def _judged(table: Table, parts: list[_Part], model: AION | None, seed: int) -> AION:
    """The fit that did not see the held-out rows; with several inputs it begins from the structure found on all rows."""
    if table.x.shape[1] == 1:
        seen = [_solve_output(table, table.train, o, model, seed) for o in range(table.y.shape[1])]
        return _assembled(seen, table, parts[0].origin)
    again = []
    for o, part in enumerate(parts):
        x, y, s = table.x[table.train], table.y[table.train, o], np.sqrt(table.weights[table.train])
        span = np.ptp(table.x, axis=0)
        A, alpha, omega, phase = part.parameters
        pairs = np.stack(linear_pair(A, phase), axis=-1)
        start = Factors(*(jnp.asarray(v) for v in (pairs, alpha * span[:, None], omega * span[:, None])))
        out = polish(jnp.asarray((x - part.origin) / span), jnp.asarray(y), jnp.asarray(s), start)
        again.append(dataclasses.replace(part, parameters=_in_units(out.factors, span)))
    return _assembled(again, table, parts[0].origin)


def _solution(table: Table, rows: np.ndarray, fitted: AION, judged: AION, parts: list[_Part]) -> Solution:
    params, static = eqx.partition(fitted, eqx.is_inexact_array)
    arrays = lambda at: tuple(jnp.asarray(v[at], table.dtype) for v in (table.x, table.y, table.weights))
    data = arrays(rows)
    residuals = residuals_of(static)
    certificate = certify(residuals, params, tuple(a[:_CERTIFIED_ROWS] for a in data))
    r = np.asarray(residuals(params, data))
    number = float(np.sum(table.weights[rows]))
    free = np.array([_free(p) for p in parts])
    variance = np.sum(r**2, axis=0) / np.maximum(number - free, 1.0)
    covariance = _covariance(residuals, fitted, data, variance)
    order = np.argsort(table.x[rows, 0], kind="stable")
    white = []
    if table.x.shape[1] == 1:
        slopes = [_slopes(part, table.x[rows, 0][order], table.weights[rows][order]) for part in parts]
        white = [whiteness(r[order, o].astype(float), slopes[o]) for o in range(r.shape[1])]
    scores, judged_covariance = None, None
    if len(table.heldout):
        judged_covariance = _covariance(residuals, judged, arrays(table.train), variance)
        x, y, _ = arrays(table.heldout)
        left = np.asarray(jax.vmap(judged)(x) - y, float)
        spread = variance if judged_covariance is None else variance + _spread(judged, x, judged_covariance)
        scores = np.abs(left) / np.sqrt(np.maximum(spread, np.finfo(float).tiny))
    sizes = [f"{np.sum(np.any(p.parameters[0] != 0, axis=1))}" for p in parts]
    losses = 0.5 * np.sum(r.astype(float) ** 2, axis=0)
    totals = 0.5 * np.sum(table.weights[rows, None] * table.y[rows] ** 2, axis=0)
    # Where large atoms cancel, rounding in the given units is larger than where they were solved for.
    rounding = [floor(float(total), _ROUNDED_AGAIN * float(np.finfo(r.dtype).eps)) for total in totals]
    exact = all(p.exact and loss <= least for p, loss, least in zip(parts, losses, rounding, strict=True))
    found = "exact to rounding" if exact else "the lowest loss of all starts"
    sentence = f"Direct solve of {', '.join(sizes)} atom(s), {found}; no start was needed."
    if any(
        p.orders[0]["criterion"] < min(o["criterion"] for o in p.orders[1:])
        for p in parts
        if p.orders[0].get("terms") == 0
    ):
        sentence += " The evidence is for noise alone rather than for any atom."
    counts: dict[str, Any] = {"outer_steps": 1}
    for part in parts:
        for name, value in part.counts.items():
            counts[name] = counts.get(name, 0) + value
    return Solution(
        model=fitted,
        judged=judged,
        lower=table.x.min(axis=0),
        upper=table.x.max(axis=0),
        scaled=False,
        shift=np.zeros(len(parts)),
        scale=np.ones(len(parts)),
        link="identity",
        converged=all(p.converged for p in parts),
        sentence=sentence,
        stationarity=stationarity_of(residuals, params, data),
        noise=np.sqrt(variance),
        covariance=covariance,
        scores=scores,
        judged_covariance=judged_covariance,
        judged_levels=None,
        levels=None,
        judged_local=None,
        local=None,
        certificate=certificate,
        stats=counts,
        history=[{"output": o, **order} for o, part in enumerate(parts) for order in part.orders],
        trials=[],
        options={
            "orders": [p.orders for p in parts],
            "whiteness": white,
            "covariance": "computed" if covariance is not None else "too large",
        },
    )


def _covariance(residuals: Callable, model: AION, data: tuple, variance: np.ndarray) -> np.ndarray | None:
    """The Cramer-Rao bound of the parameters, for outputs whose noise has the given variances."""
    unit = covariance_of(residuals, eqx.filter(model, eqx.is_inexact_array), data, 1.0)
    if unit is None:
        return None
    # Each output has parameters of its own: a part of each of the four fields.
    scale = np.sqrt(np.tile(np.repeat(variance, model.amplitude[0].size), 4))
    return np.asarray(unit) * scale[:, None] * scale


def _spread(model: AION, x: Float[Array, "N D"], covariance: np.ndarray) -> Float[np.ndarray, "N O"]:
    """The variance of the values at points that comes from the parameters."""
    theta, unravel = ravel_pytree(model)
    J = np.asarray(jax.jacfwd(lambda theta: jax.vmap(unravel(theta))(x))(theta), float)
    spread = np.einsum("nop,pq,noq->no", J, covariance, J, optimize=True)
    return np.where(np.isnan(spread), np.inf, np.maximum(spread, 0.0))


def _slopes(part: _Part, time: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What the slopes of a signal by its parameters span at the samples, `(N, 4 K)`, in units of time that keep them of one size."""
    amplitude, alpha, omega, _ = (v.ravel()[:, None] for v in part.parameters)
    t = time - part.origin[0]
    there = (amplitude != 0).ravel()
    # Only the span counts: each atom is brought to at most one.
    growth = alpha * t - np.max(alpha * t, axis=1, keepdims=True)
    envelope = np.sqrt(weights) * np.exp(growth)
    angle, share = omega * t, t / np.max(np.abs(t))
    cosine, sine = envelope * np.cos(angle), envelope * np.sin(angle)
    # Where there is no frequency, it is no parameter.
    moving = np.where(omega > 0, sine * share, 0.0)
    return np.concatenate([v[there] for v in (cosine, sine, cosine * share, moving)]).T


def _free(part: _Part) -> int:
    """Free parameters of one output, those of atoms that are there."""
    A, _, omega, _ = part.parameters
    there = A != 0
    return int(np.sum(np.where(there, np.where(omega == 0, 2, 4), 0)) - A.shape[0] * (A.shape[1] - 1))
