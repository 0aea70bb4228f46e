"""The table and the picture of `uci.py`, from the file of its results."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from .tables import SOURCES, SPLITS

# Splits before this one were looked at while the method was made.
FRESH = 5

Line = dict[str, Any]


class Row(NamedTuple):
    """A row of the tables: its name, the method whose results it shows, and the fields that hold its errors on all and on new rows."""

    name: str
    method: str
    field: str
    field_new: str


class Column(NamedTuple):
    """A column of the tables: its name, the table whose results it shows, and whether test rows with a twin are left out."""

    name: str
    table: str
    new: bool = False


COLUMNS = [Column(name, name) for name in SOURCES if SOURCES[name].groups is None]
SPECIAL = [Column(name, name) for name in SOURCES if SOURCES[name].groups is not None]
SPECIAL.append(Column("wine without twins", "wine", new=True))


def rows_of(lines: list[Line]) -> list[Row]:
    """A row for each method, and one for the separable model within `infinity`."""
    methods = list(dict.fromkeys(line["method"] for line in lines))
    rows = [Row(method, method, "rmse", "rmse_new") for method in methods]
    if "infinity" in methods:
        rows.insert(0, Row("infinity, separable model alone", "infinity", "separable", "separable_new"))
    return sorted(rows, key=lambda row: row.method != "infinity")


class Results(NamedTuple):
    """Results by table, split and method."""

    lines: dict[tuple[str, int, str], Line]
    methods: tuple[str, ...]

    @staticmethod
    def of(lines: list[Line]) -> "Results":
        """The results of a file; of equal ones the last counts."""
        found = {(line["set"], line["split"], line["method"]): line for line in lines}
        return Results(found, tuple(dict.fromkeys(line["method"] for line in lines)))

    def splits(self, table: str, first: int = 0) -> list[int]:
        """The splits of a table, from the first one on, that every method has met."""
        met = lambda split: bool(self.methods) and all((table, split, method) in self.lines for method in self.methods)
        return [split for split in range(first, SPLITS) if met(split)]

    def values(self, table: str, method: str, field: str, first: int = 0) -> np.ndarray:
        """A field over these splits."""
        values = [self.lines[table, split, method][field] for split in self.splits(table, first)]
        return np.array([np.nan if value is None else value for value in values], float)

    def errors(self, row: Row, column: Column, first: int = 0) -> np.ndarray:
        """The errors of a row in a column."""
        return self.values(column.table, row.method, row.field_new if column.new else row.field, first)


def write(lines: list[Line], out: Path) -> None:
    """Write `uci.md` and `uci.png`.

    **Raises:** `ValueError` if there is no table and split that every method in the lines has met.
    """
    results, rows = Results.of(lines), rows_of(lines)
    columns = [column for column in COLUMNS if results.splits(column.table)]
    special = [column for column in SPECIAL if results.splits(column.table)]
    if not columns + special:
        raise ValueError("there is no table and split that all methods have met; run uci.py without --table first")
    text = ["# Six tables of measurements, no options set", "", *origins(lines), "", NOTE, ""]
    if columns:
        text += [
            "## Test RMSE, mean and standard deviation over all splits",
            "",
            *errors(results, rows, columns, 0),
            "",
        ]
        text += [f"## The same over splits {FRESH} to {SPLITS - 1}", "", *errors(results, rows, columns, FRESH), ""]
    if special:
        text += ["## Whole levels held out, and no twins", "", *errors(results, rows, special, 0), ""]
    text += ["## Seconds of the processor, median: search + last fit", "", *seconds(results, columns + special), ""]
    if "infinity" in results.methods:
        text += ["## Share of test rows inside the 90 % intervals of infinity", "", *coverage(results, columns), ""]
    out.mkdir(parents=True, exist_ok=True)
    (out / "uci.md").write_text("\n".join(text), encoding="utf-8")
    picture(results, rows, columns + special).savefig(out / "uci.png", dpi=150)
    print("\n".join(text))


NOTE = f"""A tenth of the rows is held out in each of {SPLITS} splits (`benchmarks/regression/tables.py`). `infinity` is `inf.fit(x, y)`, developed on the
splits 0 to {FRESH - 1}; the peers are tuned on the training part of each split (`tuning.py`, `peers.py`), one core each. The rank is the mean place among the
methods over tables and splits; the separable model alone has none, as it is a part of `infinity`. For "power, whole levels" a tenth of the levels of the
second column is held out, also in the search of the peers; "wine without twins" leaves out test rows whose inputs occur in the training part, the fits
are those of wine. The Gaussian process predicts from at most 2,000 rows. The seconds of `infinity` hold the compilation of what was not compiled before in
the same process. Runs of different dates met the machine under different loads, named above: their seconds compare to about a factor of two."""


def origins(lines: list[Line]) -> list[str]:
    """Where the lines come from, a list item for each kind of run."""
    runs: dict[tuple[str, str], tuple[Line, set[str]]] = {}
    for line in lines:
        run = line["run"]
        runs.setdefault((run["commit"], run["versions"]), (run, set()))[1].add(line["method"])
    return [
        f"- {', '.join(sorted(methods))}: {run['date']}; commit {run['commit']}; {run['device']}; {run['versions']}"
        for run, methods in runs.values()
    ] + ["- seeds: the number of the split"]


def head(first: str, columns: list[str]) -> list[str]:
    return [f"| {first} | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]


def errors(results: Results, rows: list[Row], columns: list[Column], first: int) -> list[str]:
    """A line for each row; the least mean of a column is bold."""
    ranks = mean_ranks(results, columns, first)
    best = {}
    for column in columns:
        means = [np.nanmean(results.errors(row, column, first)) for row in rows if results.splits(column.table, first)]
        best[column] = min(means, default=np.nan)
    lines = head("", [column.name for column in columns] + ["rank"])
    for row in rows:
        cells = []
        for column in columns:
            values = results.errors(row, column, first)
            if not len(values):
                cells.append("")
                continue
            mean = float(np.nanmean(values))
            shown = f"{mean:.4f}" if mean < 0.2 else f"{mean:.3f}"
            spread = f"{np.nanstd(values):.2g}"
            cells.append(f"**{shown}** ± {spread}" if mean == best[column] else f"{shown} ± {spread}")
        rank = f"{ranks[row.method]:.2f}" if row.field == "rmse" and row.method in ranks else ""
        lines.append(f"| {row.name} | " + " | ".join([*cells, rank]) + " |")
    counts = [str(len(results.splits(column.table, first))) for column in columns]
    return [*lines, "| splits | " + " | ".join([*counts, ""]) + " |"]


def mean_ranks(results: Results, columns: list[Column], first: int) -> dict[str, float]:
    """The mean place of each method over tables and splits."""
    rows = [Row(method, method, "rmse", "rmse_new") for method in results.methods]
    table = [np.stack([results.errors(row, column, first) for row in rows]) for column in columns]
    values = np.concatenate(table, axis=1)
    values = values[:, ~np.isnan(values).any(axis=0)]
    if not values.size:
        return {}
    places = 1 + np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0)
    return dict(zip(results.methods, places.mean(axis=1), strict=True))


def seconds(results: Results, columns: list[Column]) -> list[str]:
    shown = [column for column in columns if not column.new]
    lines = head("", [column.name for column in shown])
    for method in results.methods:
        cells = []
        for column in shown:
            found = [results.lines[column.table, split, method] for split in results.splits(column.table)]
            search, last = (np.median([line[part][1] for line in found]) for part in ("tuning", "fitting"))
            cells.append(f"{search:.1f} + {last:.1f}" if search else f"{last:.1f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def coverage(results: Results, columns: list[Column]) -> list[str]:
    lines = head("", [column.name for column in columns])
    for name, first in (("all splits", 0), (f"splits {FRESH} to {SPLITS - 1}", FRESH)):
        shares = [results.values(column.table, "infinity", "coverage", first) for column in columns]
        lines.append(
            f"| {name} | " + " | ".join(f"{share.mean():.3f}" if len(share) else "" for share in shares) + " |"
        )
    return lines


def picture(results: Results, rows: list[Row], columns: list[Column]) -> Figure:
    """A panel for each column: the errors of all splits and their mean, by method."""
    across = min(4, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(3.2 * across, 2.6 * down), layout="constrained")
    panels = np.atleast_2d(figure.subplots(down, across, sharey=True, squeeze=False)).ravel()
    for axes, column in zip(panels, columns, strict=False):
        for place, row in enumerate(reversed(rows)):
            values = results.errors(row, column)
            color = "C3" if row.method == "infinity" else "C0"
            axes.plot(values, np.full(len(values), place), ".", color=color, alpha=0.3, markersize=4)
            axes.plot(np.nanmean(values), place, "D", color=color, markersize=5)
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.set_title(column.name)
        axes.grid(axis="x", alpha=0.3)
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    figure.supxlabel("test RMSE: splits, and their mean")
    return figure
