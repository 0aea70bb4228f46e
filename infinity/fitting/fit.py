"""`inf.fit`: from a table to a model in physical units."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..descent.solver import warn_single_precision
from ..models import AION, AbstractSeparable, HiDeNN, Oblique
from ..precision import full_products
from .adaptive import adapted_to
from .aion import solve_aion
from .arguments import check_accuracy, checked_model, checked_policy, checked_weights, held_out, is_exponential
from .checks import check_unknowns, numeric_matrix, target_names
from .fitted import Fitted, unit_box
from .generic import fit_generic
from .journal import open_journal
from .levels import check_levels, chosen_levels
from .links import links_to_try
from .oblique import solve_oblique
from .predictor import Predictor
from .preparation import prepare
from .result import Result, metrics_of
from .rows import distinct_rows
from .selection import described
from .size import choose_size
from .streamed import Solution, Table, solve_streamed, spread
from .target_coding import with_means
from .tensor import fit_tensor
from .timing import Stopwatch
from .trials import starting_model


@full_products
def fit(
    x: Any,
    y: Any,
    *,
    model: Any = None,
    solver: Any = None,
    names: Sequence[str] | None = None,
    target: str | Sequence[str] = "y",
    weights: Any = None,
    categories: Sequence[str | int] | None = None,
    missing: str = "error",
    bounds: Any = None,
    levels: Sequence[str | int] | None = None,
    modes: int | None = None,
    elements: int | None = None,
    degree: int | None = None,
    growth: int = 0,
    link: str | None = None,
    local: bool | None = None,
    outside: str | None = None,
    holdout: float | int = 0.1,
    tolerance: float | None = None,
    accuracy: float | int | None = None,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> Result:
    r"""Fit a model to a table of measurements by a direct solve.

    Without a `model`, link, kind of functions, number of modes and the number of starts that are averaged are selected on rows kept for validation, and
    the smoothness by the evidence; any of `modes`, `elements` or `degree` fixes the size. A separable model that is given keeps its size and box, in
    physical units. All these are solved on streamed normal equations, judged on held-out rows, and then fitted once more to all rows. Any other Equinox
    model of one point is solved as its certificate allows, in its own units and from its own start; a small
    exponential family also from starts that are read off its traced program.

    **Arguments:**

    - `x`: inputs `(N, D)` or `(N,)`; `y`: targets `(N,)` or `(N, O)`.
    - `model`: an Equinox module; `"aion"` for a sum of exponential-trigonometric atoms whose number is chosen; or nothing. An `AION` is solved for directly,
      from no start: of one input the last rows are held out, as a forecast.
    - `solver`: nothing, an Optimistix solver or an Optax transformation. With a solver a separable model is solved by it, without penalties.
    - `names`, `target`: names of the columns.
    - `weights`: `(N,)`, non-negative; a weight of two counts as two measurements, and so do two equal rows.
    - `categories`: names or indices of the inputs that are categories; their values may be text. Up to 12 levels get a column of 0 and 1 each, save the most
      frequent one; more are coded by the mean of the target, shrunk and cross-fitted.
    - `missing`: what becomes of NaN, `None` and empty text: `"error"`; `"drop"`, rows with a missing input or target are left out; `"indicator"`, inputs get
      the median and a column that says so, categories a level of their own.
    - `bounds`: `(lower, upper)` of the target, each a number, one number a target, or nothing. No prediction leaves them.
    - `levels`: names or indices of numeric inputs whose values repeat: each of their values gets an effect of its own, shrunk by the evidence, beside the
      smooth law. `predict` and `intervals` use them, `result.model` does not; a new value has none. `result.options["levels"]` holds their standard deviations.
    - `modes`, `elements`, `degree`: of the `KHRONOS` that is made.
    - `growth`: how often a separable model that is given may be refined, from coarse to fine: its cells halved or modes added, as long as the evidence rises.
    - `link`: `"identity"`; `"log"`, the logarithm of a positive target or of its distance from its one bound; `"logit"` between two bounds; `"square"`, for
      lengths and other norms. Selected if nothing is given, identity with a fixed size.
    - `local`: whether to add a local stage, an additive law and a Gaussian process on the nearest measurements, and up to 2,000 rows one on all of them, where
      that makes the error on the validation rows smaller; with nothing given it is tried for tables of up to 20,000 rows that the separable model does not
      explain to 0.2 %.
    - `outside`: what the model does outside the box of the data: `"error"`, `"warn"`, `"clamp"`, `"linear"`, `"nan"`, or, for an AION and its default,
      `"extrapolate"`; else the default is `"warn"`.
    - `holdout`: share of the rows kept for judging the fit and calibrating intervals; 0 keeps none.
    - `tolerance`: relative change at which the iteration ends; by default 1e-2 of the loss for the streamed fit, whose steps are Newton-like, and 1e-8 else.
    - `accuracy`: the error that suffices, as a part of the target's standard deviation. Models are tried from the plainest on, on as few rows as they need,
      and the first one that meets rows kept for validation to this accuracy is the answer; with nothing given the best one is looked for, on all rows.
    - `seed`: of the split and of the start.
    - `progress`: called with a dictionary after each iteration of the streamed solve: its numbers and the inner `model` so far.
    - `journal`: a folder, new or of an interrupted run of the same fit: what is finished is kept there, and read instead of fitted again. It stays.

    **Returns:** a `Result`.

    **Raises:** `ValueError` that names the row, the column or the argument.

    !!! example

        >>> import jax, numpy as np, infinity as inf
        >>> jax.config.update("jax_enable_x64", True)
        >>> x = np.random.default_rng(0).uniform(size=(400, 2))
        >>> result = inf.fit(x, np.exp(x[:, 0]) * np.sin(3 * x[:, 1]))
        >>> result.metrics["heldout"]["nrmse"] < 1e-3
        True
    """
    watch = Stopwatch()
    measured = numeric_matrix(y, "y")
    links = links_to_try(link, bounds, measured, target_names(target, measured.shape[1]))
    prepared = prepare(x, y, names, target, categories, missing)
    inputs, outputs, names, targets = prepared[:4]
    coding = prepared.coding
    weight = checked_weights(weights, len(measured))[prepared.rows]
    exponential = is_exponential(model, solver)
    outside = checked_policy(outside, exponential)
    dtype = jnp.result_type(jnp.asarray(inputs[:1]), jnp.asarray(outputs[:1]), jnp.float32)
    if dtype == jnp.float32 and not jax.config.read("jax_enable_x64"):
        warn_single_precision()
    first, summed = distinct_rows(inputs, outputs, weight)
    weight = np.copy(weight)  # not the caller's
    weight[first] = summed
    rows = np.sort(first)
    heldout = held_out(inputs, rows, holdout, seed, ahead=exponential and inputs.shape[1] == 1)
    train = np.delete(rows, np.searchsorted(rows, heldout))
    if coding is not None:
        coding, inputs = with_means(coding, inputs, outputs, weight, train, heldout, seed)
    columns = chosen_levels(levels, names, coding)
    check_levels(inputs[train], names, columns)
    table = Table(inputs, outputs, weight, train, heldout, len(inputs) - len(rows), names, targets, dtype)
    if isinstance(model, str):
        model = None
    if model is not None:
        model = checked_model(model, inputs, names, outputs.shape[1])
        if modes is not None or elements is not None or degree is not None:
            raise ValueError("got both a model and its size; leave out modes, elements and degree, or the model")
    if exponential and any(part is not None for part in (local, modes, elements, degree, bounds, levels)):
        raise ValueError(
            "an AION has no local, modes, elements, degree, bounds or levels here; leave them out, or pass inf.AION(...) of the wanted size"
        )
    if local and any(part is not None for part in (model, solver, modes, elements, degree)):
        raise ValueError(
            "local=True goes with a model that is selected; leave out model, solver, modes, elements and degree, or local"
        )
    if columns and (model is not None or solver is not None):
        raise ValueError("levels goes with a model that is made here; leave out model and solver, or levels")
    if growth and (growth < 0 or not isinstance(model, AbstractSeparable) or solver is not None):
        raise ValueError(
            f"growth is {growth}; expected 0, or a positive number with a separable model and without a solver"
        )
    if accuracy is not None:
        check_accuracy(accuracy)
        if any(part is not None for part in (model, solver, modes, elements, degree, levels)) or exponential or local:
            raise ValueError(
                "accuracy ends the selection of a model; leave out model, solver, modes, elements, degree, levels and local=True, or accuracy"
            )
    if columns and links is None:
        links = ("identity",)
    streamed = solver is None and not exponential and (model is None or isinstance(model, AbstractSeparable))
    oblique = solver is None and isinstance(model, Oblique)
    moved = "Directions were found from the slopes of a pilot and a joint descent." if oblique else ""
    if solver is None and isinstance(model, AbstractSeparable | HiDeNN) and model.trainable_axes:
        model = adapted_to(table, model, seed)
        moved = "Nodes and inner layers were placed by a pilot fit and a joint descent, and held for the last solve."
    if journal is not None and not streamed:
        raise ValueError("journal keeps the fits of a separable model by the direct solve; leave it out")
    if streamed:
        size = (modes, elements, degree)
        tolerance = 1e-2 if tolerance is None else tolerance
        kept = None
        if journal is not None:
            choices = {
                "modes": modes,
                "elements": elements,
                "degree": degree,
                "links": links and list(links),
                "local": local,
                "levels": list(columns),
            }
            choices |= {
                "accuracy": accuracy,
                "holdout": holdout,
                "tolerance": tolerance,
                "seed": seed,
                "dtype": str(dtype),
            }
            kept = open_journal(journal, (inputs, outputs, weight), choices)
        solution = solve_streamed(
            table,
            cast(AbstractSeparable | None, model),
            size,
            links=links,
            local=local,
            columns=columns,
            seed=seed,
            tolerance=tolerance,
            progress=progress,
            journal=kept,
            growth=growth,
            accuracy=accuracy,
        )
    elif oblique:
        tolerance = 1e-2 if tolerance is None else tolerance
        rest = {"links": links, "local": local, "columns": columns, "progress": progress, "journal": None}
        solution = solve_oblique(table, cast(Oblique, model), seed, tolerance, **rest)
    elif exponential:
        if link not in (None, "identity"):
            raise ValueError(f"link is {link!r}; an AION describes the target itself")
        solution = solve_aion(table, model if isinstance(model, AION) else None, seed)
    else:
        if link not in (None, "identity"):
            raise ValueError(f"link is {link!r}; a model that another solver fits describes the target itself")
        solution = _generic(
            table,
            model,
            (modes, elements, degree),
            solver,
            seed,
            1e-8 if tolerance is None else tolerance,
            "identity" if links is None else links[0],
        )
    as_floats = lambda row: tuple(float(v) for v in row)
    fitted = lambda inner, coding: Fitted(
        inner=inner,
        lower=as_floats(solution.lower),
        upper=as_floats(solution.upper),
        scaled=solution.scaled,
        shift=as_floats(solution.shift),
        scale=as_floats(solution.scale),
        names=names,
        targets=targets,
        outside=outside,
        scalar=np.ndim(y) == 1,
        link=solution.link,
        coding=coding,
    )
    noise = jnp.asarray(solution.noise)
    arrays = (solution.covariance, solution.judged_covariance, solution.scores)
    covariance, judged_covariance, scores = (None if a is None else jnp.asarray(a) for a in arrays)
    final = Predictor(fitted(solution.model, coding), covariance, noise, scores, solution.local, solution.levels)
    judged = Predictor(
        fitted(solution.judged, None)._quiet(),
        judged_covariance,
        noise,
        None,
        solution.judged_local,
        solution.judged_levels,
    )
    if isinstance(solution.model, HiDeNN) and covariance is not None and len(heldout):
        # Fitted once, without these rows, so that the model itself is judged.
        mean, std = dataclasses.replace(judged, covariance=covariance).predict(inputs[heldout], return_std=True)
        scores = jnp.abs(outputs[heldout] - mean.reshape(len(heldout), -1)) / std.reshape(len(heldout), -1)
        final = dataclasses.replace(final, scores=scores)
    # A local stage knows the rows that it was given: how well it meets them says nothing.
    smooth = dataclasses.replace(judged, local=None)
    metrics = {"train": metrics_of(outputs[train], _predicted(smooth, inputs[train])), "heldout": None}
    prediction = _predicted(judged, inputs[heldout]).reshape(len(heldout), outputs.shape[1])
    if len(heldout):
        metrics["heldout"] = metrics_of(outputs[heldout], prediction)
        if judged.local is not None or judged.levels is not None:
            metrics["separable"] = metrics_of(outputs[heldout], _predicted(judged.model, inputs[heldout]))
    finite = np.isfinite(metrics["train"]["rmse"])
    success = solution.converged and bool(finite)
    return Result(
        predictor=final,
        success=success,
        status="converged" if success else "diverged" if not finite else "unfinished",
        message=" ".join(part for part in (solution.sentence, moved, prepared.note) if part),
        stationarity=solution.stationarity,
        certificate=solution.certificate,
        history=solution.history,
        stats=solution.stats,
        metrics=metrics,
        timings=watch.seconds(),
        seed=seed,
        heldout=prepared.rows[heldout],
        heldout_prediction=prediction,
        trials=solution.trials,
        options={
            **solution.options,
            "model": type(solution.model if model is None else model).__name__,
            "outside": outside,
        },
        judged=judged if exponential and len(heldout) else None,
    )


def _generic(table: Table, model: Any, size: tuple, solver: Any, seed: int, tolerance: float, link: str) -> Solution:
    """Any model by a generic solver, or a separable one by the solver that was asked for."""
    count = table.y.shape[1]
    lower, upper = table.x.min(axis=0), table.x.max(axis=0)
    options: dict[str, Any] = {}
    shift, scale = np.zeros(count), np.ones(count)
    inner, points = model, table.x
    if model is None:
        points = unit_box(table.x, lower, upper)
        modes, elements, degree = size
        chosen = choose_size(points[table.train], count, modes, elements, 3 if degree is None else degree)
        options = described(chosen)
        inner = starting_model(chosen, count, seed)
    if isinstance(inner, AbstractSeparable | HiDeNN):
        lower, upper = (lower, upper) if model is None else np.asarray(inner.domain).T
        shift, scale = spread(table.y[table.train])
        check_unknowns(inner.unknowns, len(table.train) * count)
    inner = jax.tree.map(lambda leaf: leaf.astype(table.dtype) if eqx.is_inexact_array(leaf) else leaf, inner)
    data = (
        jnp.asarray(points[table.train], table.dtype),
        jnp.asarray((table.y[table.train] - shift) / scale, table.dtype),
        jnp.asarray(table.weights[table.train], table.dtype),
    )
    direct = solver is None and isinstance(inner, HiDeNN)
    found = fit_tensor(inner, *data) if direct else fit_generic(inner, *data, solver, tolerance)
    options["covariance"] = "the model or the table is too large for it" if found.covariance is None else "computed"
    return Solution(
        model=found.model,
        judged=found.model,
        lower=lower,
        upper=upper,
        scaled=model is None,
        shift=shift,
        scale=scale,
        link=link,
        converged=found.converged,
        sentence=found.sentence,
        stationarity=found.stationarity,
        noise=scale * np.sqrt(found.variance),
        covariance=found.covariance,
        scores=None,
        judged_covariance=None,
        judged_levels=None,
        levels=None,
        judged_local=None,
        local=None,
        certificate=found.certificate,
        stats=found.stats,
        history=found.history,
        trials=[],
        options=options,
    )


def _predicted(fitted: Fitted | Predictor, x: np.ndarray) -> np.ndarray:
    return np.asarray(fitted.predict(x))
