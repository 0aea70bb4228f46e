"""`infinity dynamics` and `infinity surface`: laws that are no formula for one column, in a folder `{law.inf, result.json, law.tex, trace.txt}`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import Table, atomic_folder, provenance, save
from ..symbolic import Dynamics, Expression, Surface, discover_dynamics, discover_surface
from ..symbolic.dynamics.samples import LEAST
from .console import progress_line
from .folder import FORMAT, FORMAT_VERSION, plain


def find_dynamics(
    table: Table,
    time: str,
    states: Sequence[str],
    controls: Sequence[str],
    folder: Path,
    degree: int,
    terms: Sequence[str],
    trajectory: str | None = None,
) -> None:
    """Search equations of motion, show them and write them.

    **Arguments:** the table; the columns of times, states and controls; the folder; the library; the column that names the trajectory of a row, whose rows
    need not stand together.

    **Raises:** `ValueError` as `inf.discover_dynamics`.
    """
    parts = [] if trajectory is None else _trajectories(table, time, trajectory)
    of = lambda values: values if trajectory is None else [values[part] for part in parts]
    drive = of(table.matrix(controls)) if controls else None
    with progress_line("discovering") as progress:
        found = discover_dynamics(
            of(table.columns[time]), of(table.matrix(states)), list(states), controls=drive, control_names=list(controls) if controls else None,
            degree=degree, terms=terms, progress=progress,
        )  # fmt: skip
    _finish(found, list(found.equations), {"noise": plain(found.noise)}, folder)


def _trajectories(table: Table, time: str, column: str) -> list[np.ndarray]:
    """The rows of each trajectory, in the order in which they come.

    **Raises:** `ValueError` that names the trajectory whose times do not increase or that has too few rows.
    """
    labels = table.columns[column]
    if None in labels.tolist():
        raise ValueError(f"row {labels.tolist().index(None) + 1} has nothing in the column {column!r} of trajectories")
    parts = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]
    for part in parts:
        label, times = labels[part[0]], table.columns[time][part]
        if len(part) < LEAST:
            raise ValueError(f"trajectory {label!r} has {len(part)} rows; each needs at least {LEAST}")
        if np.min(np.diff(times)) <= 0:
            at = int(np.argmin(np.diff(times) > 0))
            raise ValueError(
                f"the times of trajectory {label!r} do not increase: {times[at]:g}, then {times[at + 1]:g}"
            )
    return parts


def find_surface(
    table: Table, names: Sequence[str], folder: Path, stress: bool, degree: int, terms: Sequence[str], seed: int
) -> None:
    """Search the formula that holds on all rows, show it and write it.

    **Raises:** `ValueError` as `inf.discover_surface`.
    """
    with progress_line("discovering") as progress:
        found = discover_surface(
            table.matrix(names), list(names), stress=stress, degree=degree, terms=terms, seed=seed, progress=progress
        )
    more = {"equation": found.equation, "level": found.level, "level_error": found.level_error, "noise": found.noise}
    _finish(found, [found.expression], more, folder)


def _finish(found: Dynamics | Surface, expressions: list[Expression], more: dict[str, Any], folder: Path) -> None:
    print(found)
    record = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "kind": type(found).__name__.lower(), "found": found.found, "message": found.message,
        "metrics": {key: value if np.isfinite(value) else None for key, value in found.metrics.items()}, "written": provenance(), **more,
        "expressions": [
            {"target": e.target, "formula": e.text(17), "constants": plain(e.constants), "errors": plain(e.errors)} for e in expressions
        ],
    }  # fmt: skip
    with atomic_folder(folder) as partial:
        save(found, partial / "law.inf")
        (partial / "law.tex").write_text("".join(f"\\[ {e.latex()} \\]\n" for e in expressions), encoding="utf-8")
        (partial / "trace.txt").write_text("\n".join(found.trace) + "\n", encoding="utf-8")
        (partial / "result.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\nwritten to {folder}")
