"""`inf.fit`: from a table to a model in physical units."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..closure import certify
from ..descent.solver import warn_single_precision
from ..models import KHRONOS, AbstractSeparable
from .checks import check_table, check_unknowns
from .direct import fit_separable
from .fitted import Fitted, Outside, unit_box
from .generic import GenericFit, fit_generic, residuals_of
from .result import Result, metrics_of
from .size import choose_size
from .timing import Stopwatch

_CERTIFIED_ROWS = 64


def fit(
    x: Any,
    y: Any,
    *,
    model: Any = None,
    solver: Any = None,
    names: Sequence[str] | None = None,
    target: str | Sequence[str] = "y",
    weights: Any = None,
    modes: int | None = None,
    elements: int | None = None,
    degree: int = 3,
    outside: str = "warn",
    holdout: float = 0.1,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Result:
    r"""Fit a model to a table of measurements by a direct solve.

    Without a `model`, a `KHRONOS` of a size that the table can carry is made on the box of the inputs; its smoothness is chosen by the evidence. A separable
    model that is given keeps its size and box, in physical units. Both are solved on streamed normal equations. Any other Equinox model of one point is
    solved as its certificate allows, in its own units and from its own start.

    **Arguments:**

    - `x`: inputs `(N, D)` or `(N,)`; `y`: targets `(N,)` or `(N, O)`.
    - `model`: an Equinox module, or nothing.
    - `solver`: nothing, an Optimistix solver or an Optax transformation. With a solver a separable model is solved by it, without penalties.
    - `names`, `target`: names of the columns.
    - `weights`: `(N,)`, non-negative; a weight of two counts as two measurements.
    - `modes`, `elements`, `degree`: of the `KHRONOS` that is made.
    - `outside`: what the model does outside the box of the data: `"error"`, `"warn"`, `"clamp"`, `"linear"` or `"nan"`.
    - `holdout`: share of the rows kept for judging the fit; 0 keeps none.
    - `tolerance`: relative change at which the iteration ends; by default 1e-2 of the loss for the streamed fit, whose steps are Newton-like, and 1e-8 else.
    - `seed`: of the split and of the start.
    - `progress`: called with a dictionary after each iteration of the streamed solve: its numbers and the inner `model` so far.

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
    inputs, outputs, names, targets = check_table(x, y, names, target)
    weight = _checked_weights(weights, len(inputs))
    if outside not in get_args(Outside):
        raise ValueError(f"outside is {outside!r}; expected one of {', '.join(get_args(Outside))}")
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout is {holdout}; expected a share of the rows, at least 0 and below 1")
    dtype = jnp.result_type(jnp.asarray(inputs[:1]), jnp.asarray(outputs[:1]), jnp.float32)
    if dtype == jnp.float32 and not jax.config.read("jax_enable_x64"):
        warn_single_precision()
    heldout = _held_out(len(inputs), holdout, seed)
    train = np.setdiff1d(np.arange(len(inputs)), heldout)
    count = outputs.shape[1]
    options: dict[str, Any] = {}
    # A user's model keeps its meaning and its start: only a model made here is scaled.
    shift, scale = np.zeros(count), np.ones(count)
    lower, upper = inputs.min(axis=0), inputs.max(axis=0)
    scaled = model is None
    given = model
    if model is None:
        size = choose_size(unit_box(inputs[train], lower, upper), count, modes, elements, degree)
        options = {
            "modes": size.modes,
            "elements": [len(row) - 1 for row in size.breakpoints],
            "degree": list(size.degrees),
        }
        inner: Any = KHRONOS(
            modes=size.modes, breakpoints=size.breakpoints, degree=size.degrees, outputs=count, key=jax.random.key(seed)
        )
    else:
        inner = _checked_model(model, inputs, names, count)
        if modes is not None or elements is not None:
            raise ValueError("got both a model and its size; leave out modes and elements, or the model")
    if isinstance(inner, AbstractSeparable):
        lower, upper = (lower, upper) if scaled else np.asarray(inner.domain).T
        shift, scale = outputs[train].mean(axis=0), outputs[train].std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        check_unknowns(inner.unknowns, len(train) * count)
    streamed = isinstance(inner, AbstractSeparable) and solver is None
    inner = jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, inner)
    points = unit_box(inputs, lower, upper) if scaled else inputs
    data = (
        jnp.asarray(points[train], dtype),
        jnp.asarray((outputs[train] - shift) / scale, dtype),
        jnp.asarray(weight[train], dtype),
    )
    if isinstance(inner, AbstractSeparable) and streamed:
        found = _streamed(inner, data, seed, 1e-2 if tolerance is None else tolerance, progress)
    else:
        found = fit_generic(inner, *data, solver, 1e-8 if tolerance is None else tolerance)
        options["covariance"] = "the model or the table is too large for it" if found.covariance is None else "computed"
    as_floats = lambda row: tuple(float(v) for v in row)
    fitted = Fitted(
        inner=found.model,
        lower=as_floats(lower),
        upper=as_floats(upper),
        scaled=scaled,
        shift=as_floats(shift),
        scale=as_floats(scale),
        names=names,
        targets=targets,
        outside=outside,
        scalar=np.ndim(y) == 1,
    )
    metrics = {"train": metrics_of(outputs[train], _quietly(fitted, inputs[train])), "heldout": None}
    if len(heldout):
        metrics["heldout"] = metrics_of(outputs[heldout], _quietly(fitted, inputs[heldout]))
    finite = np.isfinite(metrics["train"]["rmse"])
    success = found.converged and bool(finite)
    return Result(
        model=fitted,
        success=success,
        status="converged" if success else "diverged" if not finite else "unfinished",
        message=found.sentence,
        stationarity=found.stationarity,
        certificate=found.certificate,
        history=found.history,
        covariance=found.covariance,
        noise=np.sqrt(found.variance) * scale,
        stats=found.stats,
        metrics=metrics,
        timings=watch.seconds(),
        seed=seed,
        heldout=heldout,
        options={**options, "model": type(given if given is not None else inner).__name__, "outside": outside},
    )


def _streamed(inner: AbstractSeparable, data, seed: int, tolerance: float, progress) -> GenericFit:
    """The streamed solve of a separable model, in the form that any solve returns."""
    params, static = eqx.partition(inner, eqx.is_inexact_array)
    few = jax.tree.map(lambda a: a[:_CERTIFIED_ROWS], data)
    certificate = certify(residuals_of(static), params, few)
    found = fit_separable(inner, *data, seed=seed, tolerance=tolerance, progress=progress)
    iterations, change = found.counts["iterations"], f"below {tolerance:g} of the loss"
    sentence = (
        f"The last steps changed the loss by {change}, after {iterations} iterations."
        if found.converged
        else f"The loss still fell by more than {tolerance:g} a step after {iterations} iterations."
    )
    return GenericFit(
        found.model,
        found.converged,
        sentence,
        found.stationarity,
        found.variance,
        found.covariance,
        certificate,
        {**found.counts, "effective": found.effective},
        found.history,
    )


def _quietly(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    return np.asarray(fitted._quiet().predict(x))


def _held_out(rows: int, share: float, seed: int) -> np.ndarray:
    number = round(share * rows)
    number = number if rows - number >= 2 else 0
    return np.sort(np.random.default_rng(seed).permutation(rows)[:number])


def _checked_weights(weights: Any, rows: int) -> np.ndarray:
    if weights is None:
        return np.ones(rows)
    values = np.asarray(weights, float)
    if values.shape != (rows,):
        raise ValueError(f"weights has shape {values.shape}; expected ({rows},), one for each row")
    bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(bad):
        raise ValueError(f"row {bad[0] + 1}: the weight is {values[bad[0]]}; expected a finite number of at least 0")
    if not np.any(values > 0):
        raise ValueError("all weights are zero; give some row a positive one")
    return values


def _checked_model(model: Any, x: np.ndarray, names: tuple[str, ...], outputs: int) -> Any:
    if not callable(model):
        raise ValueError(f"model is {type(model).__name__}; expected an Equinox module that maps a point (D,) to (O,)")
    if isinstance(model, AbstractSeparable):
        if model.dimensions != x.shape[1] or model.outputs != outputs:
            raise ValueError(
                f"the model has {model.dimensions} inputs and {model.outputs} outputs, the table {x.shape[1]} and {outputs}"
            )
        lower, upper = np.asarray(model.domain).T
        outside = np.argwhere((x < lower) | (x > upper))
        if len(outside):
            row, d = (int(i) for i in outside[0])
            raise ValueError(
                f"row {row + 1}, column {names[d]!r}: {x[row, d]:g} lies outside the model's domain [{lower[d]:g}, {upper[d]:g}]; "
                "make the model on a box that holds the data"
            )
    return model
