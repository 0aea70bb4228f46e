"""What a run prints at its end: a short table, the atoms of an AION, and the comparisons that were asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .console import number, r_squared, show_pairs, show_table
from .planes import show_paths
from .series import notes_on, show_atoms


def summarise_run(record: dict[str, Any], folder: Path, written: Sequence[str], notes: Sequence[str]) -> None:
    """Print the summary of a run.

    **Arguments:**

    - `record`: what is in `result.json`.
    - `folder`: the run folder.
    - `written`: the names of its files.
    - `notes`: what else to say.
    """
    data, train, heldout = record["data"], record["metrics"]["train"], record["metrics"]["heldout"]
    timings, alone = record["timings"], record["metrics"].get("separable")
    rows = f"{train['rows']} for fitting" + (f", {heldout['rows']} held out" if heldout else "")
    pairs = [
        ("data", f"{data['source']}: {data['rows']} rows ({rows})"),
        ("inputs", ", ".join(data["inputs"])),
        ("target", ", ".join(data["targets"])),
        ("unknowns", str(record["unknowns"])),
        ("NRMSE", f"{number(train['nrmse'])} fitted" + (f", {number(heldout['nrmse'])} held out" if heldout else "")),
        *([("separable", f"NRMSE {number(alone['nrmse'])} held out, the smooth model alone")] if alone else []),
        ("R2", f"{r_squared(train['r2'])} fitted" + (f", {r_squared(heldout['r2'])} held out" if heldout else "")),
        *(notes_on(record) if "atoms" in record else []),
        ("seconds", f"{timings['run']:.2f} solving, {timings['compile']:.2f} compiling"),
        ("status", f"{record['status']}: {record['message']}"),
        ("written", f"{folder}/ ({', '.join(written)})"),
        *(("note", note) for note in notes),
    ]
    show_pairs(pairs)
    if record.get("atoms"):
        print()
        show_atoms(record)
    if record.get("planes"):
        print()
        show_paths(record["planes"])
    if record.get("peers"):
        print()
        ours = {"name": "infinity", "seconds": timings["run"] + timings["compile"], **(heldout or train)}
        show_table(
            ("model", "NRMSE held out", "R2", "seconds"),
            [
                (p["name"], number(p["nrmse"]), r_squared(p["r2"]), f"{p['seconds']:.2f}")
                for p in [ours, *record["peers"]]
            ],
        )
