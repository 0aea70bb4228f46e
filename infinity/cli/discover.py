"""`infinity discover`: the structure found, the Pareto table, and a folder `{best.inf, result.json, formulas.tex, trace.txt, front.png, parity.png}`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..io import Table, atomic_folder, provenance, save
from ..symbolic import Discovery, discover
from .console import progress_line, show_table
from .folder import FORMAT, FORMAT_VERSION, plain


def discover_formula(
    table: Table,
    inputs: Sequence[str],
    target: str,
    folder: Path,
    operators: Sequence[str] | None,
    engine: str,
    effort: int,
    seed: int,
    plots: bool,
    units: Mapping[str, str] | None = None,
    template: str | None = None,
) -> None:
    """Search, show and write.

    **Arguments:** the table, the names of inputs and target, the folder that is written whole; the rest as for `inf.discover`.

    **Raises:** `ValueError` as `inf.discover`.
    """
    x, y = table.matrix(inputs), table.columns[target]
    with progress_line("discovering") as progress:
        found = discover(
            x, y, list(inputs), target, operators=operators, engine=engine, effort=effort, seed=seed, progress=progress, units=units, template=template
        )  # fmt: skip
    beside = "nothing else (pip install 'infinity[sr]' adds pyoperon)" if found.engine == "native" else found.engine
    print(f"plain search on the raw data beside ours: {beside}\n")
    print("structure")
    for line in found.trace:
        print(f"  {line}")
    print()
    rows = [
        [str(e), str(e.complexity), f"{e.metrics['heldout']:.2g}", f"{e.metrics.get('beyond', float('nan')):.2g}"]
        for e in found.expressions
    ]
    show_table(["formula", "length", "unseen rows", "outer rows"], rows)
    print(f"\n{found.message}")
    with atomic_folder(folder) as partial:
        save(found.best, partial / "best.inf")
        (partial / "formulas.tex").write_text(_latex(found), encoding="utf-8")
        (partial / "trace.txt").write_text("\n".join(found.trace) + "\n", encoding="utf-8")
        (partial / "result.json").write_text(
            json.dumps(_record(found, len(y), seed, effort), indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
        if plots:
            _draw(found, x, y, target, partial)
    print(f"written to {folder}")


def _latex(found: Discovery) -> str:
    lines = [rf"{e.latex()} && {e.complexity} && {e.metrics['heldout']:.2g}" for e in found.expressions]
    return (
        "% formula, length, error on unseen rows; needs amsmath.\n\\begin{align*}\n"
        + " \\\\\n".join(lines)
        + "\n\\end{align*}\n"
    )


def _record(found: Discovery, rows: int, seed: int, effort: int) -> dict:
    return {
        "format": FORMAT, "format_version": FORMAT_VERSION, "kind": "discovery", "rows": rows, "seed": seed, "effort": effort, "found": found.found,
        "odd_rows": [row + 1 for row in found.odd_rows], "message": found.message, "engine": found.engine, "written": provenance(),
        "expressions": [
            {
                "formula": e.text(17), "target": e.target, "length": e.complexity, "constants": plain(e.constants), "errors": plain(e.errors),
                "snapped": plain(e.snapped), "metrics": plain(e.metrics), "best": e is found.best,
            }
            for e in found.expressions
        ],
    }  # fmt: skip


def _draw(found: Discovery, x, y, target: str, folder: Path) -> None:
    from ..plot import front, parity

    front(found).figure.savefig(folder / "front.png", dpi=150)
    parity(y, found.best(x), label=target).figure.savefig(folder / "parity.png", dpi=150)
