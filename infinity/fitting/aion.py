r"""AION from a table: the direct solve for exponential families, its order, uncertainty and checks.

    y_n = f(x_n) + noise,    cov = sigma^2 F^+,    F = J^T J

The start of the model that is given does not matter: rates are found from the samples. The covariance is the Cramer-Rao bound at the solution, from the Fisher
matrix `F` of all parameters.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..descent.exponential import (
    Factors,
    floor,
    polish,
)
from ..descent.exponential.atoms import linear_pair
from ..models.aion import AION
from .aion_output import OutputFit, in_units, solve_output
from .exponential_checks import check_samples, usable, warn_of_aliases
from .generic import certificate_of, covariance_of, residuals_of, stationarity_of
from .streamed import Solution, Table
from .whiteness import whiteness

# What rounding in the given units may add to that of the solve, as a factor.
_ROUNDED_AGAIN = 20


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
    parts = [solve_output(table, rows, o, model, seed) for o in range(O)]
    warn_of_aliases([(table.names[d], omega, limit) for part in parts for d, omega, limit in part.edges], stacklevel=3)
    fitted = _assembled(parts, table, parts[0].origin)
    judged = fitted if not len(table.heldout) else _judged(table, parts, model, seed)
    return _solution(table, rows, fitted, judged, parts)


def _assembled(parts: list[OutputFit], table: Table, origin: np.ndarray) -> AION:
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


def _judged(table: Table, parts: list[OutputFit], model: AION | None, seed: int) -> AION:
    """The fit that did not see the held-out rows; with several inputs it begins from the structure found on all rows."""
    if table.x.shape[1] == 1:
        seen = [solve_output(table, table.train, o, model, seed) for o in range(table.y.shape[1])]
        return _assembled(seen, table, parts[0].origin)
    again = []
    for o, part in enumerate(parts):
        x, y, s = table.x[table.train], table.y[table.train, o], np.sqrt(table.weights[table.train])
        span = np.ptp(table.x, axis=0)
        A, alpha, omega, phase = part.parameters
        pairs = np.stack(linear_pair(A, phase), axis=-1)
        start = Factors(*(jnp.asarray(v) for v in (pairs, alpha * span[:, None], omega * span[:, None])))
        out = polish(jnp.asarray((x - part.origin) / span), jnp.asarray(y), jnp.asarray(s), start)
        again.append(dataclasses.replace(part, parameters=in_units(out.factors, span)))
    return _assembled(again, table, parts[0].origin)


def _solution(table: Table, rows: np.ndarray, fitted: AION, judged: AION, parts: list[OutputFit]) -> Solution:
    params, static = eqx.partition(fitted, eqx.is_inexact_array)
    arrays = lambda at: tuple(jnp.asarray(v[at], table.dtype) for v in (table.x, table.y, table.weights))
    data = arrays(rows)
    residuals = residuals_of(static)
    certificate = certificate_of(fitted, data)
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


def _slopes(part: OutputFit, time: np.ndarray, weights: np.ndarray) -> np.ndarray:
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


def _free(part: OutputFit) -> int:
    """Free parameters of one output, those of atoms that are there."""
    A, _, omega, _ = part.parameters
    there = A != 0
    return int(np.sum(np.where(there, np.where(omega == 0, 2, 4), 0)) - A.shape[0] * (A.shape[1] - 1))
