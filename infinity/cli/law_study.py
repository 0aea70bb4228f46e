"""A study of laws: for each case the formula, a table of errors beside other searches, LaTeX, the law as a file, and pictures.

The run folder holds `{result.json, config.toml, formulas.tex, trace.txt, parity.png, front.png, CASE.inf}`.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import atomic_folder, provenance, save
from .console import progress_line, show_table
from .folder import FORMAT, FORMAT_VERSION, plain


@dataclasses.dataclass(frozen=True)
class Row:
    """One search: who, the formulas that it found, and the cells of the table by their heading; numbers that are not known are `None`."""

    who: str
    formulas: Sequence[str]
    cells: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """One law that was searched for.

    **Arguments:** its `title`; the `truth` as text, if it is known; the `rows`, ours first; what is saved (`law`); its `latex`; the `trace`; points
    `(label, measured, predicted)` for the parity plot; the discovery whose front is drawn, if there is one.
    """

    title: str
    truth: str
    message: str
    rows: Sequence[Row]
    law: Any
    latex: Sequence[str]
    trace: Sequence[str]
    parity: Sequence[tuple[str, np.ndarray, np.ndarray]]
    front: Any = None


def under_noise(problems: Iterable[str], levels: Iterable[float]) -> Iterator[tuple[str, str, float]]:
    """The title of each problem at each level of noise, its name, and the level."""
    levels = list(levels)
    yield from ((f"{name}, {100 * noise:g} % noise", name, noise) for name in problems for noise in levels)


def carry_out(
    searches: Iterable[Callable[[Any], Case]], folder: Path, source: Path, kind: str, plots: bool, notes: Sequence[str]
) -> list[Case]:
    """Search, show each case when it is there, and write the run folder; a search is given what shows its progress, or nothing."""
    cases: list[Case] = []
    with progress_line("discovering") as progress:
        for search in searches:
            cases.append(search(progress))
            show(cases[-1])
            print()
    write(cases, folder, source, kind, plots, notes)
    return cases


def show(case: Case) -> None:
    """Print a case."""
    print(case.title)
    if case.truth:
        print(f"  truth: {case.truth}")
    print(f"  {case.message}\n")
    width = max(len(row.who) for row in case.rows)
    for row in case.rows:
        for at, formula in enumerate(row.formulas):
            print(f"{row.who if at == 0 else '':<{width}}  {formula}")
    print()
    headings = list(case.rows[0].cells)
    show_table(["", *headings], [[row.who, *(_cell(row.cells.get(h)) for h in headings)] for row in case.rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def write(cases: Sequence[Case], folder: Path, source: Path, kind: str, plots: bool, notes: Sequence[str]) -> None:
    """Write the run folder and say what it holds."""
    record = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "kind": kind, "written": provenance(), "notes": list(notes),
        "cases": [
            {
                "title": case.title, "truth": case.truth, "message": case.message,
                "rows": [{"who": row.who, "formulas": list(row.formulas), **row.cells} for row in case.rows],
            }
            for case in cases
        ],
    }  # fmt: skip
    notes = list(notes)
    with atomic_folder(folder) as partial:
        for case in cases:
            save(case.law, partial / f"{_slug(case.title)}.inf")
        lines = [f"% {case.title}\n" + "".join(f"\\[ {text} \\]\n" for text in case.latex) for case in cases]
        (partial / "formulas.tex").write_text("\n".join(lines), encoding="utf-8")
        traces = [f"{case.title}\n" + "".join(f"  {line}\n" for line in case.trace) for case in cases]
        (partial / "trace.txt").write_text("\n".join(traces), encoding="utf-8")
        (partial / "result.json").write_text(
            json.dumps(plain(record), indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
        shutil.copyfile(source, partial / "config.toml")
        if plots:
            notes += _draw(cases, partial)
        written = sorted(entry.name for entry in partial.iterdir())
    for note in notes:
        print(f"note: {note}")
    print(f"written to {folder}: {', '.join(written)}")


def _slug(title: str) -> str:
    return re.sub(r"[^\w.]+", "-", title.replace(" %", "%").replace("%", " percent")).strip("-").lower()


def _draw(cases: Sequence[Case], folder: Path) -> list[str]:
    """Predictions against measurements and the fronts, a row of panels for each case; without matplotlib say so and go on."""
    from ..plot import front, new_axes, parity

    panels = [(case, *part) for case in cases for part in case.parity]
    columns = min(3, len(panels))
    try:
        axes = new_axes(-(-len(panels) // columns), columns, (4.0, 3.9))
    except ModuleNotFoundError as error:
        return [str(error)]
    for ax in axes.ravel()[len(panels) :]:
        ax.set_axis_off()
    for ax, (case, label, measured, predicted) in zip(axes.ravel(), panels, strict=False):
        known = np.isfinite(predicted)
        parity(measured[known], predicted[known], ax=ax, label=label)
        ax.set_title(case.title, fontsize=9)
    axes[0, 0].figure.savefig(folder / "parity.png", dpi=150)
    listed = [case for case in cases if case.front is not None]
    if listed:
        columns = min(3, len(listed))
        axes = new_axes(-(-len(listed) // columns), columns, (4.4, 3.2))
        for ax in axes.ravel()[len(listed) :]:
            ax.set_axis_off()
        for ax, case in zip(axes.ravel(), listed, strict=False):
            front(case.front, ax=ax)
            ax.set_title(case.title, fontsize=9)
        axes[0, 0].figure.savefig(folder / "front.png", dpi=150)
    return []
