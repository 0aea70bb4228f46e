"""A study of one equation: `cells x degrees → inf.solve → a table, pictures, the last model`."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from .config import EquationConfig
from .console import show_pairs, show_table
from .folder import FORMAT, FORMAT_VERSION, plain


def run_study(config: EquationConfig, folder: Path, source: Path) -> dict[str, Any]:
    """Solve on all sizes, write the run folder and print the table.

    **Arguments:** the checked `config`; the run `folder`, already known to be writable and replaceable; the `source` file, which is copied there.

    **Returns:** what is in `result.json`.

    **Raises:** `ValueError` where a size is too small for the problem.
    """
    from ..io import atomic_folder, provenance, save
    from ..pde import solve
    from .equations import EQUATIONS

    wanted = config.equation
    problem = EQUATIONS[wanted.problem]()
    rows, last = [], None
    for degree in wanted.degrees:
        for cells in wanted.cells:
            form, space = problem.pose(cells, degree, wanted.modes)
            solution = solve(form, space, estimate=wanted.estimate)
            error = problem.error(solution)
            rows.append(
                {
                    "degree": degree, "cells": cells, "unknowns": solution.unknowns, "modes": solution.modes, "error": error,
                    "estimate": solution.error_estimate, "seconds": solution.seconds["solve"], "status": solution.status,
                }
            )  # fmt: skip
            last = solution
    assert last is not None
    slopes = {degree: slope([row for row in rows if row["degree"] == degree]) for degree in wanted.degrees}
    record = plain(
        {
            "format": FORMAT, "format_version": FORMAT_VERSION, "equation": problem.title, "problem": wanted.problem, "solver": last.solver,
            "rows": rows, "slopes": slopes, "space": str(last.space), "success": last.success, "status": last.status, "message": last.message,
            "dtype": "float64", **provenance(),
        }
    )  # fmt: skip
    with atomic_folder(folder) as partial:
        save(
            last.model,
            partial / "model.inf",
            header={key: record[key] for key in ("equation", "solver", "space", "message")},
        )
        notes = _draw(partial, problem, last, rows, slopes) if config.output.plots else []
        shutil.copyfile(source, partial / "config.toml")
        (partial / "result.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        written = sorted(entry.name for entry in partial.iterdir())
    _show(record, folder, written, notes)
    return record


def slope(rows: list[dict[str, Any]]) -> float | None:
    """The order of convergence in the number of cells, from the errors above rounding."""
    above = [(row["cells"], row["error"]) for row in rows if row["error"] > 1e-12]
    if len(above) < 2:
        return None
    cells, errors = np.log(np.array(above)).T
    return float(-np.polyfit(cells[-3:], errors[-3:], 1)[0])


def _show(record: dict[str, Any], folder: Path, written: list[str], notes: list[str]) -> None:
    show_pairs([("equation", record["equation"]), ("solver", record["solver"]), ("space", record["space"])])
    print()
    brief = lambda value: "-" if value is None else f"{value:.1e}"
    show_table(
        ("degree", "cells", "unknowns", "modes", "relative error", "estimate", "seconds"),
        [
            (
                str(row["degree"]), str(row["cells"]), str(row["unknowns"]), str(row["modes"]), brief(row["error"]), brief(row["estimate"]),
                f"{row['seconds']:.3f}",
            )
            for row in record["rows"]
        ],
    )  # fmt: skip
    print()
    orders = ", ".join(
        f"{value:.2f} for degree {degree}" for degree, value in record["slopes"].items() if value is not None
    )
    pairs = [("order", orders)] if orders else []
    show_pairs(
        [
            *pairs,
            ("status", f"{record['status']}: {record['message']}"),
            ("written", f"{folder}/ ({', '.join(written)})"),
            *(("note", n) for n in notes),
        ]
    )


def _draw(
    folder: Path, problem: Any, solution: Any, rows: list[dict[str, Any]], slopes: dict[int, float | None]
) -> list[str]:
    """Convergence, and solution, reference and error in one plane; without matplotlib say so and go on."""
    from .. import plot

    try:
        axes = plot.new_axes(1, 1, (5.0, 4.0))
    except ModuleNotFoundError as error:
        return [str(error)]
    series = []
    for degree, order in slopes.items():
        part = [row for row in rows if row["degree"] == degree]
        name = f"degree {degree}" + ("" if order is None else f": order {order:.1f}")
        series.append((name, [row["unknowns"] for row in part], [row["error"] for row in part]))
    plot.convergence(series, ax=axes[0, 0])
    axes[0, 0].figure.savefig(folder / "convergence.png", dpi=150)
    grid, values, reference = _plane(problem, solution)
    names = [solution.space.coordinates[d].name for d in problem.picture]
    columns = [("solution", values)] + (
        [] if reference is None else [("reference", reference), ("error", values - reference)]
    )
    drawn = plot.new_axes(1, len(columns), (4.2, 3.6))
    for ax, (title, table) in zip(drawn[0], columns, strict=True):
        plot.field(*grid, table, names, title, ax=ax)
    drawn[0, 0].figure.savefig(folder / "solution.png", dpi=150)
    return []


def _plane(problem: Any, solution: Any) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray | None]:
    """Values on a grid of the two coordinates that are drawn, the others held; of several components the first."""
    domain = solution.model.domain
    lines = [np.linspace(domain[d][0], domain[d][1], 121) for d in problem.picture]
    one, two = np.meshgrid(*lines, indexing="ij")
    points = np.zeros((one.size, len(domain)))
    points[:, problem.picture[0]], points[:, problem.picture[1]] = one.ravel(), two.ravel()
    rest = [d for d in range(len(domain)) if d not in problem.picture]
    points[:, rest] = problem.others
    first = lambda table: np.asarray(table).reshape(one.size, -1)[:, 0].reshape(one.shape)
    answer = problem.answer[0] if isinstance(problem.answer, tuple) else problem.answer
    reference = None
    if answer is not None:
        at = dict(zip(solution.space.coordinates, points.T, strict=True))
        reference = first(np.broadcast_to(answer.values(at), one.size))
    return (lines[0], lines[1]), first(solution.values(points)), reference
