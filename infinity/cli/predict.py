"""Predictions for new rows: columns are matched by name, and rows outside the model's range are counted aloud."""

import difflib
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ..fitting import Fitted, OutsideWarning, Predictor
from ..io import check_writable, column_names, load, read_table, write_table
from ..io.table import known_suffix
from .console import number
from .folder import PREDICTOR

_POLICIES = {
    "warn": "they are continued along straight lines and rest on no data",
    "clamp": "each is predicted at the nearest point of the range",
    "linear": "they are continued along straight lines",
    "nan": "their predictions are NaN",
    "extrapolate": "the formula of the model goes on there",
}


def predict(run: Path, data: Path, out: Path, ignore_extra: bool, level: float | None) -> None:
    """Predict the rows of a table and write inputs and predictions.

    **Arguments:**

    - `run`: a run folder or a model file.
    - `data`: the table.
    - `out`: the table to write.
    - `ignore_extra`: accept columns that the model does not use.
    - `level`: the probability of intervals to write, or nothing for none.

    **Raises:** `ValueError` or `OSError` for a file that cannot be used, columns that are missing or too many, or rows
    outside the model's range where its policy is `"error"`.
    """
    known_suffix(out)
    if out.exists() and data.exists() and out.samefile(data):
        raise ValueError(f"--out {out} would replace the table itself; choose another name")
    check_writable(out)
    predictor = _predictor(run)
    fitted = predictor.model
    if level is not None and predictor.scores is None:
        raise ValueError(
            f"{run} has no intervals: it holds a model alone, or one fitted without held-out rows; "
            "give the folder of a run made with --holdout above 0"
        )
    inputs = list(fitted.inputs)
    coding = fitted.coding
    categories, gaps = ((), False) if coding is None else (coding.categories, coding.has_gaps)
    targets = list(fitted.targets)
    available = column_names(data)
    known = _match(data, available, inputs, targets, ignore_extra)
    table = read_table(data, [*inputs, *known], categories, gaps)
    x = table.matrix(inputs)
    _report_outside(fitted, fitted.coded(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutsideWarning)  # reported above, with what the policy does about it
        prediction = np.asarray(predictor.predict(x), dtype=np.float64).reshape(len(x), len(targets))
        ends = None if level is None else [np.asarray(end, float) for end in predictor.intervals(x, level)]
    columns = {name: table.columns[name] for name in table.names}
    for o, name in enumerate(targets):
        columns[f"{name}_predicted"] = np.ascontiguousarray(prediction[:, o])
        for kind, end in zip(("lower", "upper"), ends or (), strict=False):
            columns[f"{name}_{kind}"] = np.ascontiguousarray(end.reshape(prediction.shape)[:, o])
    write_table(out, columns)
    print(f"{len(x)} rows predicted, written to {out}")
    for o, name in enumerate(targets):
        if name in known:
            _report_error(name, table.columns[name], prediction[:, o])


def fitted_of(run: Path) -> Fitted:
    """The model of a run folder or a model file, without what stands beside it.

    **Raises:** `ValueError` or `OSError` where there is none that was fitted to a table.
    """
    return _predictor(run).model


def _predictor(run: Path) -> Predictor:
    """The predictor of a run folder, or one that has a model file's model alone."""
    whole = run / PREDICTOR
    model = load(whole if whole.is_file() else run)
    if isinstance(model, Fitted):
        return Predictor(model, None, jnp.zeros(len(model.targets)), None, None)
    if not isinstance(model, Predictor):
        raise ValueError(
            f"{run} holds a {type(model).__name__}, not a model fitted to a table; use it from Python: inf.load"
        )
    return model


def _match(
    data: Path, available: tuple[str, ...], inputs: list[str], targets: list[str], ignore_extra: bool
) -> list[str]:
    """Check the columns by name; returns the targets that the table holds too."""
    missing = [name for name in inputs if name not in available]
    extra = [name for name in available if name not in inputs and name not in targets]
    if missing:
        near = difflib.get_close_matches(missing[0], extra, n=1)
        hint = f"; did you mean {near[0]!r} for {missing[0]!r}?" if near else f"; the model needs {', '.join(inputs)}"
        raise ValueError(f"{data} lacks {_count(missing)} of the model: {', '.join(map(repr, missing))}{hint}")
    if extra and not ignore_extra:
        raise ValueError(
            f"{data} has {_count(extra)} that the model does not know: {', '.join(map(repr, extra))}; "
            "remove them or add --ignore-extra"
        )
    # Of several targets a table may hold some; a target column that was left empty is not asked for.
    return [name for name in targets if name in available]


def _count(names: list[str]) -> str:
    return "the column" if len(names) == 1 else f"{len(names)} columns"


def _report_outside(fitted: Fitted, x: np.ndarray) -> None:
    low, high = np.array(fitted.domain, dtype=np.float64).T
    rows = np.flatnonzero(fitted.rows_outside(x))
    if len(rows) == 0:
        return
    row = int(rows[0])
    d = int(np.argmax((x[row] < low) | (x[row] > high)))
    found = (
        f"{len(rows)} of {len(x)} rows lie outside the range of the model, the first is row {row + 1} with "
        f"{fitted.names[d]} = {x[row, d]:g}, where the model knows {low[d]:g} to {high[d]:g}"
    )
    if fitted.outside == "error":
        raise ValueError(f"{found}; remove these rows, or fit with another --outside policy")
    print(f"warning: {found}; {_POLICIES[fitted.outside]}", file=sys.stderr)


def _report_error(name: str, true: np.ndarray, predicted: np.ndarray) -> None:
    good = np.isfinite(predicted) & np.isfinite(true)
    error, spread = np.sqrt(np.mean((predicted - true)[good] ** 2)) if good.any() else np.nan, np.nanstd(true)
    relative = f", NRMSE {number(float(error / spread))}" if spread > 0 else ""
    print(f"{name} is in the table: RMSE {number(float(error))}{relative}")
