"""One run: `table → inf.fit → run folder → a short table`, shared by `infinity fit` and `infinity run`."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .certificate import summarise
from .console import number, progress_line, r_squared, show_pairs, show_table
from .folder import FORMAT, FORMAT_VERSION, PREDICTOR, plain


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the rows come from, and the rows: `x` of shape `(N, D)`, of objects where some inputs are `categories`, and `y` of shape `(N, O)`."""

    place: str
    x: np.ndarray
    y: np.ndarray
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    categories: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """The choices of a run, with the command line's defaults; of `lower` and `upper` none, one for all targets, or one a target."""

    modes: int | None = None
    elements: int | None = None
    degree: int | None = None
    link: str | None = None
    local: bool | None = None
    holdout: float = 0.1
    seed: int = 0
    outside: str = "warn"
    precision: str = "float64"
    plots: bool = True
    missing: str = "error"
    levels: tuple[str, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()


def execute(
    source: Source,
    options: FitOptions,
    folder: Path,
    config: Path | None = None,
    peers: Sequence[str] = (),
    journal: Path | None = None,
) -> dict[str, Any]:
    """Fit a table, write the run folder and print the summary.

    **Arguments:**

    - `source`: the table.
    - `options`: the choices.
    - `folder`: the run folder, already known to be writable and replaceable.
    - `config`: the configuration file to copy into the folder.
    - `peers`: other regressors to fit to the same rows and compare.
    - `journal`: where finished fits are kept until the run is, or nothing.

    **Returns:** what is in `result.json`.

    **Raises:** `ValueError` for data that cannot be fitted.
    """
    from ..fitting import fit
    from ..io import atomic_folder, save

    dtype = np.dtype(options.precision)
    x = _in_precision(source.x, source.inputs, dtype, source.categories)
    y = _in_precision(source.y, source.targets, dtype)
    several = len(source.targets) > 1
    with progress_line(f"fitting {source.place}") as progress:
        result = fit(
            x, y if several else y[:, 0], names=list(source.inputs),
            target=list(source.targets) if several else source.targets[0],
            modes=options.modes, elements=options.elements, degree=options.degree, link=options.link, local=options.local, outside=options.outside,
            categories=source.categories, missing=options.missing, levels=options.levels, bounds=_bounds(options, source.targets),
            holdout=options.holdout, seed=options.seed, progress=progress, journal=journal,
        )  # fmt: skip
    record = _record(source, options, result)
    if peers:
        from .peers import compare

        kept = _kept(source, options)
        places = np.searchsorted(kept, result.heldout)
        record["peers"] = compare(peers, result.model.coded(source.x[kept]), source.y[kept], places, options.seed)
    record = plain(record)
    notes = []
    with atomic_folder(folder) as partial:
        about = {key: record[key] for key in ("data", "metrics", "status", "message", "seed", "options")}
        save(result.model, partial / "model.inf", header=about)
        save(result.predictor, partial / PREDICTOR, header=about)
        if options.plots:
            notes = _draw(partial, source, x, y, result, _kept(source, options))
        if config is not None:
            shutil.copyfile(config, partial / "config.toml")
        (partial / "result.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        written = sorted(entry.name for entry in partial.iterdir())
    _summarise(record, folder, written, notes)
    return record


def _in_precision(
    values: np.ndarray, names: Sequence[str], dtype: np.dtype, categories: Sequence[str] = ()
) -> np.ndarray:
    """The numbers of a table in a precision; a number too large for it would turn into an infinity that nobody typed."""
    if values.dtype != object:
        with np.errstate(over="ignore"):
            changed = values.astype(dtype)
        _check_overflow(changed, values, names, dtype.name)
        return changed
    changed = values.copy()
    numbers = [d for d, name in enumerate(names) if name not in categories]
    changed[:, numbers] = _in_precision(values[:, numbers].astype(float), [names[d] for d in numbers], dtype)
    return changed


def _bounds(options: FitOptions, targets: Sequence[str]) -> tuple[Any, Any] | None:
    """The bounds as `inf.fit` takes them."""
    ends = []
    for name, given in (("lower", options.lower), ("upper", options.upper)):
        if len(given) not in (0, 1, len(targets)):
            raise ValueError(
                f"{name} has {len(given)} bounds for {len(targets)} targets; give one for all, or one for each (inf for none)"
            )
        ends.append(None if not given else given[0] if len(given) == 1 else list(given))
    return None if ends == [None, None] else (ends[0], ends[1])


def _kept(source: Source, options: FitOptions) -> np.ndarray:
    """The rows that were fitted or held out."""
    if options.missing != "drop":
        return np.arange(len(source.x))
    gap = lambda table: np.array([[value is None or value != value for value in row] for row in table]).any(axis=1)
    return np.flatnonzero(~(gap(source.x) | gap(source.y)))


def _check_overflow(values: np.ndarray, original: np.ndarray, names: Sequence[str], precision: str) -> None:
    bad = np.argwhere(~np.isfinite(values) & np.isfinite(original))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise ValueError(
            f"row {row + 1}, column {names[column]!r}: {original[row, column]:g} is too large for {precision}; "
            "rescale the column or leave out --float32"
        )


def _record(source: Source, options: FitOptions, result: Any) -> dict[str, Any]:
    import jax

    from ..io import provenance

    leaves = [leaf for leaf in jax.tree.leaves(result.model.inner) if hasattr(leaf, "dtype") and leaf.dtype.kind == "f"]
    device = jax.devices()[0]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "data": {
            "source": source.place,
            "rows": len(source.x),
            "inputs": source.inputs,
            "targets": source.targets,
        },
        "unknowns": sum(leaf.size for leaf in leaves),
        "metrics": result.metrics,
        "success": result.success,
        "status": result.status,
        "message": result.message,
        "stationarity": result.stationarity,
        "certificate": summarise(result.certificate),
        "timings": result.timings,
        "stats": result.stats,
        "seed": result.seed,
        "options": dataclasses.asdict(options) | result.options,
        "device": {"platform": device.platform, "kind": device.device_kind},
        "dtype": options.precision,
        **provenance(),
    }


def _draw(folder: Path, source: Source, x: np.ndarray, y: np.ndarray, result: Any, kept: np.ndarray) -> list[str]:
    """Draw both pictures of the held-out rows; without matplotlib say so and go on."""
    from .. import plot

    rows = np.asarray(result.heldout) if len(result.heldout) else kept
    try:
        axes = plot.new_axes(1, len(source.targets))
    except ModuleNotFoundError as error:
        return [str(error)]
    prediction = result.heldout_prediction if len(result.heldout) else result.predict(x[rows]).reshape(len(rows), -1)
    for o, name in enumerate(source.targets):
        plot.parity(y[rows, o], prediction[:, o], ax=axes[0, o], label=name)
    axes[0, 0].figure.savefig(folder / "parity.png", dpi=150)
    drawn = plot.factors(result.predict, x[kept], source.inputs, source.targets[0])
    drawn[0].figure.savefig(folder / "factors.png", dpi=150)
    return []


def _summarise(record: dict[str, Any], folder: Path, written: Sequence[str], notes: Sequence[str]) -> None:
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
        ("seconds", f"{timings['run']:.2f} solving, {timings['compile']:.2f} compiling"),
        ("status", f"{record['status']}: {record['message']}"),
        ("written", f"{folder}/ ({', '.join(written)})"),
        *(("note", note) for note in notes),
    ]
    show_pairs(pairs)
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
