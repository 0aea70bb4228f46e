r"""AION from a table: the direct solve for exponential families, its order, uncertainty and checks.

    y_n = f(x_n) + noise,    cov = sigma^2 F^+,    F = J^T J

The start of the model that is given does not matter: rates are found from the samples. The covariance is the Cramer-Rao bound at the solution, from the Fisher
matrix `F` of all parameters.
"""

import dataclasses
import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..closure import certify
from ..descent.exponential import (
    Factors,
    Samples,
    SignalFit,
    criterion,
    floor,
    lattice_starts,
    polish,
    samples_of,
    solve_signal,
)
from ..models.aion import AION
from .generic import covariance_of, residuals_of, stationarity_of
from .streamed import Solution, Table, spread
from .whiteness import whiteness

# Sizes (modes, terms) that are tried where none is given, for more than one input.
_SIZES = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (3, 1), (2, 3), (3, 2), (3, 3))
_PATIENCE = 3
# Points a dimension of the grid on which a smooth surrogate of scattered samples is read.
_GRID = {2: 32, 3: 20}
_CERTIFIED_ROWS = 64
# A start is good enough where its loss a degree of freedom is within this of what the poles leave at best.
_ENOUGH = 1.3
# A frequency so close to the largest that the spacing resolves may be one beyond it.
_EDGE = 0.97


class AliasWarning(UserWarning):
    """A frequency lies at the edge of what the spacing of the samples resolves."""


@dataclasses.dataclass
class _Part:
    """One output solved for: parameters `(r, D, P)` each, at `origin`."""

    parameters: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    origin: np.ndarray
    loss: float
    exact: bool
    converged: bool
    orders: list[dict[str, Any]]
    counts: dict[str, int]


def solve_aion(table: Table, model: AION | None, seed: int) -> Solution:
    """Fit an AION to a table.

    **Arguments:** the checked table; the model whose size is wanted, or nothing: chosen by the evidence; the seed of the searches.

    **Returns:** a `Solution`.

    **Raises:** `ValueError` for fewer samples than unknowns, and for a target that is zero everywhere.
    """
    D, O = table.x.shape[1], table.y.shape[1]
    rows = np.sort(np.concatenate([table.train, table.heldout]))
    if model is not None and len(rows) < 4 * model.amplitude[0].size:
        size = model.amplitude[0].size
        raise ValueError(
            f"{len(rows)} rows for {4 * size} unknowns a target; expected at least as many rows. Use fewer terms or modes, or measure more."
        )
    if model is None and D > 3:
        raise ValueError(f"the size of an AION is chosen for up to 3 inputs; got {D}. Pass model=inf.AION(dimensions={D}, modes=.., terms=.., key=..)")
    if len(rows) < 4 * D:
        raise ValueError(f"{len(rows)} rows; expected at least {4 * D}, the unknowns of the smallest AION of {D} input(s)")
    parts = [_solve_output(table, rows, o, model, seed) for o in range(O)]
    fitted = _assembled(parts, table, parts[0].origin)
    judged = fitted if not len(table.heldout) else _judged(table, parts, model, seed)
    return _solution(table, rows, fitted, judged, parts)


def _solve_output(table: Table, rows: np.ndarray, o: int, model: AION | None, seed: int) -> _Part:
    x, y, w = table.x[rows], table.y[rows, o], table.weights[rows]
    if not np.any(y):
        raise ValueError(f"column {table.targets[o]!r} is zero in every row; there is nothing to describe. Is it the right column?")
    if x.shape[1] == 1:
        return _one_dimension(samples_of(x[:, 0], y, w), None if model is None else model.terms, model)
    return _several_dimensions(x, y, w, model, seed)


def _one_dimension(samples: Samples, terms: int | None, model: AION | None) -> _Part:
    if model is not None and model.modes > 1:
        # A sum of sums is one sum.
        terms = model.modes * model.terms
    longest = max(1, len(samples.t) // 4)
    fit: SignalFit = solve_signal(samples, terms, max_terms=min(8, longest))
    limit = samples.finest / samples.span
    close = fit.omega[fit.omega > _EDGE * limit]
    if len(close):
        warnings.warn(
            f"a frequency of {close[0]:.6g} radians a unit of time lies at the edge of what the spacing resolves, {limit:.6g}; "
            "it may stand for a higher one (aliasing). Sample more densely, or at unequal steps.",
            AliasWarning,
            stacklevel=5,
        )
    values = (fit.amplitude, fit.alpha, fit.omega, fit.phase)
    width = max(terms or 1, len(fit.alpha))
    padded = [np.pad(v, (0, width - len(v))) for v in values]
    if model is not None:
        padded = [v.reshape(model.modes, 1, -1) for v in padded]
    else:
        padded = [v[None, None] for v in padded]
    orders = [
        {"terms": a.atoms, "loss": a.loss, "criterion": a.criterion, "start": a.source} for a in fit.attempts
    ]
    return _Part(tuple(padded), np.array([fit.origin]), fit.loss, fit.exact, fit.converged, orders, fit.counts)


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
    for r, P in sizes:
        unknowns = 4 * r * P * x.shape[1]
        if model is None and unknowns > len(y) // 2:
            break
        starts, variance = _starts(points, y, s, grid, r, P, seed)
        polished = []
        for start in starts:
            out = polish(jnp.asarray(points), jnp.asarray(y), jnp.asarray(s), Factors(*(jnp.asarray(v) for v in start)))
            counts["starts"] += 1
            for name in ("iterations", "residuals", "jacobians"):
                counts[name] += int(getattr(out.step.ledger, name))
            polished.append(out)
            if float(out.loss) <= max(least, _ENOUGH * variance * (len(y) - unknowns)):
                break
        out = min(polished, key=lambda p: float(p.loss) if np.isfinite(float(p.loss)) else np.inf)
        loss = float(out.loss)
        value = criterion(loss, r * P * x.shape[1], 0, float(np.sum(w)), least)
        orders.append({"modes": r, "terms": P, "loss": loss, "criterion": value, "start": "grid" if grid else "surrogate"})
        since += 1
        if best is None or value < best[0]:
            best, since = (value, out), 0
        if loss <= least or since >= _PATIENCE:
            break
    if best is None:
        raise ValueError(f"{len(y)} rows; expected at least {8 * x.shape[1]} to choose the size of an AION of {x.shape[1]} inputs")
    out = best[1]
    pairs = np.asarray(out.factors.pairs)
    c, d = pairs[..., 0], pairs[..., 1]
    parameters = (np.hypot(c, d), np.asarray(out.factors.alpha) / span[:, None], np.asarray(out.factors.omega) / span[:, None], np.arctan2(-d, c))
    return _Part(parameters, centre, float(out.loss), float(out.loss) <= least, bool(out.step.converged), orders, counts)


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


def _starts(points, y, s, grid, r: int, P: int, seed: int) -> tuple[list, float]:
    """Starts, and half a sum of squares a degree of freedom that a good fit reaches."""
    if grid is not None:
        Y, steps = grid
        exact = lattice_starts(Y, r, P, steps=steps, exact=True, seed=seed).starts
        noisy = lattice_starts(Y, r, P, steps=steps, exact=False, seed=seed)
        return [*exact, *noisy.starts], noisy.variance
    Y, steps = _surrogate(points, y, s, r, seed)
    # What a smooth surrogate leaves says nothing about the samples: only an exact fit ends the search early.
    return lattice_starts(Y, r, P, steps=steps, exact=False, count=6, seed=seed).starts, 0.0


def _surrogate(points, y, s, r: int, seed: int) -> tuple[np.ndarray, list[float]]:
    """Scattered samples read on a grid, through a separable spline model of as many modes."""
    from .fit import fit

    D = points.shape[1]
    n = _GRID.get(D, 12)
    cells = int(np.clip(len(y) / (3 * r * D) - 5, 4, n))
    smooth = fit(
        points, y, weights=s**2, modes=r, elements=cells, degree=5, holdout=0, seed=seed, outside="linear"
    ).model
    axes = [np.linspace(-0.5, 0.5, n)] * D
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, D)
    return np.asarray(smooth.predict(mesh)).reshape([n] * D), [1 / (n - 1)] * D


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AliasWarning)
            seen = [_solve_output(table, table.train, o, model, seed) for o in range(table.y.shape[1])]
        return _assembled(seen, table, parts[0].origin)
    again = []
    for o, part in enumerate(parts):
        x, y, s = table.x[table.train], table.y[table.train, o], np.sqrt(table.weights[table.train])
        span = np.ptp(table.x, axis=0)
        A, alpha, omega, phase = part.parameters
        pairs = np.stack([A * np.cos(phase), -A * np.sin(phase)], axis=-1)
        start = Factors(*(jnp.asarray(v) for v in (pairs, alpha * span[:, None], omega * span[:, None])))
        out = polish(jnp.asarray((x - part.origin) / span), jnp.asarray(y), jnp.asarray(s), start)
        c, d = (np.asarray(out.factors.pairs[..., k]) for k in range(2))
        parameters = (np.hypot(c, d), np.asarray(out.factors.alpha) / span[:, None], np.asarray(out.factors.omega) / span[:, None], np.arctan2(-d, c))
        again.append(dataclasses.replace(part, parameters=parameters))
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
    covariance = covariance_of(residuals, params, data, 1.0)
    if covariance is not None:
        # Each output has noise of its own; its parameters are a quarter of each field.
        scale = np.sqrt(np.tile(np.repeat(variance, fitted.amplitude[0].size), 4))
        covariance = np.asarray(covariance) * scale[:, None] * scale
    order = np.argsort(table.x[rows, 0], kind="stable")
    white = [whiteness(r[order, o], int(free[o])) for o in range(r.shape[1])] if table.x.shape[1] == 1 else []
    scores, judged_covariance = None, None
    if len(table.heldout):
        judged_params = eqx.partition(judged, eqx.is_inexact_array)[0]
        seen = arrays(table.train)
        judged_covariance = covariance_of(residuals, judged_params, seen, float(np.mean(variance)))
        left = np.asarray(residuals(judged_params, arrays(table.heldout))) / np.sqrt(table.weights[table.heldout])[:, None]
        scores = left / np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    sizes = [f"{np.sum(np.any(p.parameters[0] != 0, axis=1))}" for p in parts]
    exact = all(p.exact for p in parts)
    found = "exact to rounding" if exact else "the lowest loss of all starts"
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
        sentence=f"Direct solve of {', '.join(sizes)} atom(s), {found}; no start was needed.",
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
        options={"orders": [p.orders for p in parts], "whiteness": white, "covariance": "computed" if covariance is not None else "too large"},
    )


def _free(part: _Part) -> int:
    """Free parameters of one output, those of atoms that are there."""
    A, _, omega, _ = part.parameters
    there = A != 0
    return int(np.sum(np.where(there, np.where(omega == 0, 2, 4), 0)) - A.shape[0] * (A.shape[1] - 1))
