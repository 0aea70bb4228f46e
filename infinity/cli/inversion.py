"""Inversion of a fitted model: `run folder → points with a wanted value, extremes, or calibrated inputs → a table`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..fitting import Fitted
from ..inverse import Extremum, LevelSet, Roots, calibrate, level_set, maximise, minimise, roots
from ..io import check_writable, column_names, read_table, write_table
from ..io.table import known_suffix
from ..models import KHRONOS
from .columns import nearest
from .console import number, show_pairs, show_table

TABLE = "inverted.csv"


@dataclasses.dataclass(frozen=True)
class InvertOptions:
    """What is asked: points with a `value`, how many, with which inputs held (`fix`), how and from where; the `least` and the `greatest` value."""

    value: float | None = None
    count: int = 1000
    fix: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    target: str | None = None
    method: str = "projection"
    coordinate: str | None = None
    seed: int = 0
    least: bool = False
    greatest: bool = False


@dataclasses.dataclass(frozen=True)
class Inversion:
    """What was found: the points, or nothing where none were asked for, and the extremes."""

    points: LevelSet | Roots | None
    extremes: dict[str, Extremum]


def read_fixed(given: Sequence[str] | None) -> dict[str, Any]:
    """Turn `name=value` into a mapping; what is no number stays a word.

    **Raises:** `ValueError` for what has no equals sign, or a name that is given twice.

    >>> read_fixed(["speed=3.5", "colour=red"])
    {'speed': 3.5, 'colour': 'red'}
    """
    fixed: dict[str, Any] = {}
    for entry in given or ():
        name, equals, value = entry.rpartition("=")
        if not equals or not name.strip():
            raise ValueError(f"--fix {entry!r} is not name=value; write --fix speed=3.5 for example")
        if name.strip() in fixed:
            raise ValueError(f"--fix names {name.strip()!r} twice; give it one value")
        try:
            fixed[name.strip()] = float(value)
        except ValueError:
            fixed[name.strip()] = value.strip()
    return fixed


def find(model: Fitted, options: InvertOptions) -> Inversion:
    """Do what is asked with a fitted model: with one free input all points, else many.

    **Raises:** `ValueError` where nothing is asked, and as `inf.level_set` and `inf.minimise`.
    """
    if options.value is None and not options.least and not options.greatest:
        raise ValueError("nothing is asked; give the value to reach, or ask for the least or the greatest one")
    known, points = dict(options.fix), None
    if options.value is not None:
        single = len(model.inputs) - len(known) == 1 and isinstance(model.inner, KHRONOS)
        if single and options.method == "projection":
            points = roots(model, options.value, known=known, target=options.target)
            if not len(points.points):
                low, high = (f(model, known=known, target=options.target).value for f in (minimise, maximise))
                raise ValueError(
                    f"the value {options.value:g} is nowhere reached; for these inputs the model has {low:.6g} to {high:.6g}"
                )
        else:
            key = jax.random.key(options.seed)
            points = level_set(
                model, options.value, options.count, key=key, known=known, target=options.target,
                method=options.method, coordinate=options.coordinate,
            )  # fmt: skip
    asked = {"least": minimise} if options.least else {}
    asked |= {"greatest": maximise} if options.greatest else {}
    return Inversion(points, {name: ask(model, known=known, target=options.target) for name, ask in asked.items()})


def describe(found: Inversion) -> dict[str, Any]:
    """What was found as JSON data, without the points themselves."""
    record: dict[str, Any] = {
        name: {"value": e.value, "bound": e.bound, "certified": e.certified, "point": dict(zip(e.names, e.point.tolist(), strict=True))}
        for name, e in found.extremes.items()
    }  # fmt: skip
    if found.points is not None:
        record |= {"points": len(found.points.points), "message": found.points.message}
    return record


def columns_of(model: Fitted, found: LevelSet | Roots, target: str | None) -> dict[str, np.ndarray]:
    """The points as columns of a table, with what the model has there; those that failed are left out."""
    points = found.points[found.success] if isinstance(found, LevelSet) else found.points
    values = np.asarray(jax.vmap(dataclasses.replace(model, outside="clamp"))(points)).reshape(len(points), -1)
    o = 0 if target is None else model.targets.index(target)
    return {**dict(zip(found.names, points.T, strict=True)), model.targets[o]: values[:, o]}


def write(folder: Path, model: Fitted, found: Inversion, options: InvertOptions, picture: bool) -> None:
    """Write the points into a folder as a table, and a picture of the two inputs that they bind together most."""
    points = found.points
    if points is None:
        return
    columns = columns_of(model, points, options.target)
    write_table(folder / TABLE, columns)
    free = [name for name in model.names if name not in options.fix]
    if picture and len(free) > 1 and isinstance(points, LevelSet):
        from .. import plot

        ax = plot.level_set(points.points, points.names, free, label=f"{points.target} = {points.value:g}")
        ax.figure.savefig(folder / "inverted.png", dpi=150)


def show(found: Inversion) -> None:
    """Print what was found."""
    pairs = [] if found.points is None else [("points", found.points.message)]
    for name, e in found.extremes.items():
        where = ", ".join(f"{n} = {v:.6g}" for n, v in zip(e.names, e.point, strict=True))
        pairs += [(name, e.message), ("at", where)]
    show_pairs(pairs)


def invert(model: Fitted, options: InvertOptions, out: Path) -> None:
    """Find what is asked, write the points and print the rest."""
    if options.value is not None:
        known_suffix(out)
        check_writable(out)
    found = find(model, options)
    if found.points is not None:
        columns = columns_of(model, found.points, options.target)
        write_table(out, columns)
    show(found)
    if found.points is not None:
        print(f"written to {out}")


def calibrate_table(model: Fitted, table: Path, fix: Mapping[str, Any], noise: float | None, out: Path | None) -> None:
    """Infer the inputs that a table of observations lacks.

    **Arguments:** the model; a table with its targets and the known inputs as columns; inputs with one value for all rows; the standard deviation of the
    observations, or nothing; where to write samples of the posterior, or nothing.

    **Raises:** `ValueError` for columns the model does not know, a missing target, and as `inf.calibrate`.
    """
    available = column_names(table)
    for name in available:
        if name not in model.inputs and name not in model.targets:
            raise ValueError(
                f"{table} has the column {name!r}, which the model does not know; {nearest(name, [*model.inputs, *model.targets])}"
            )
    missing = [name for name in model.targets if name not in available]
    if missing:
        raise ValueError(f"{table} lacks the observed {missing[0]!r}; calibration compares the model with it")
    twice = [name for name in fix if name in available]
    if twice:
        raise ValueError(f"{twice[0]!r} is both fixed and a column of {table}; leave one out")
    if out is not None:
        known_suffix(out)
        check_writable(out)
    coding = model.coding
    inputs = [name for name in model.inputs if name in available]
    categories, gaps = ((), False) if coding is None else (coding.categories, coding.has_gaps)
    rows = read_table(table, [*inputs, *model.targets], [c for c in categories if c in inputs], gaps)
    known = {**{name: rows.columns[name] for name in inputs}, **fix}
    observed = np.stack([rows.columns[name] for name in model.targets], axis=1)
    found = calibrate(model, known, observed[:, 0] if len(model.targets) == 1 else observed, noise=noise)
    low, high = found.interval(0.95)
    show_table(
        ("input", "mean", "deviation", "95 % from", "to", "narrowed by"),
        [
            (name, number(float(found.mean[i])), number(float(found.std[i])), number(float(low[i])), number(float(high[i])),
             f"{100 * float(found.identifiability[i]):.0f} %")
            for i, name in enumerate(found.names)
        ],
    )  # fmt: skip
    size = f"{float(found.noise):.3g}, " + ("as given" if noise is not None else "from the residuals")
    show_pairs([("noise", size), ("status", f"{found.status}: {found.message}")])
    if out is not None:
        columns = dict(zip(found.names, found.samples.T, strict=True))
        write_table(out, {**{name: np.ascontiguousarray(c) for name, c in columns.items()}, "weight": found.weights})
        print(f"samples of the posterior written to {out}")
