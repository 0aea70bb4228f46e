"""One run: `table → inf.fit → run folder → a short table`, shared by `infinity fit` and `infinity run`."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import inversion
from .certificate import summarise
from .console import progress_line
from .folder import FORMAT, FORMAT_VERSION, PREDICTOR, plain
from .planes import compare_paths, describe_paths, draw_planes
from .series import check_times, describe_atoms, draw_series
from .summary import summarise_run


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
    """The choices of a run, with the command line's defaults.

    Of `lower` and `upper` none, one for all targets, or one a target; of `start` none, or where minimisers are compared from.
    """

    modes: int | None = None
    elements: int | None = None
    degree: int | None = None
    link: str | None = None
    local: bool | None = None
    accuracy: float | None = None
    holdout: float = 0.1
    seed: int = 0
    outside: str | None = None
    precision: str = "float64"
    plots: bool = True
    missing: str = "error"
    levels: tuple[str, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    model: str = "khronos"
    terms: int | None = None
    start: tuple[float, ...] = ()


def execute(
    source: Source,
    options: FitOptions,
    folder: Path,
    config: Path | None = None,
    peers: Sequence[str] = (),
    journal: Path | None = None,
    asked: Any = None,
) -> dict[str, Any]:
    """Fit a table, write the run folder and print the summary.

    **Arguments:**

    - `source`: the table.
    - `options`: the choices.
    - `folder`: the run folder, already known to be writable and replaceable.
    - `config`: the configuration file to copy into the folder.
    - `peers`: other regressors to fit to the same rows and compare.
    - `journal`: where finished fits are kept until the run is, or nothing.
    - `asked`: the `InvertOptions` of what to ask the fitted model, or nothing.

    **Returns:** what is in `result.json`.

    **Raises:** `ValueError` for data that cannot be fitted.
    """
    from ..fitting import fit
    from ..io import atomic_folder, save

    dtype = np.dtype(options.precision)
    x = _in_precision(source.x, source.inputs, dtype, source.categories)
    y = _in_precision(source.y, source.targets, dtype)
    several = len(source.targets) > 1
    model = _model(source, options)
    if model is not None and len(source.inputs) == 1:
        check_times(x, source.inputs[0])
    with progress_line(f"fitting {source.place}") as progress:
        result = fit(
            x, y if several else y[:, 0], names=list(source.inputs),
            target=list(source.targets) if several else source.targets[0],
            model=model, modes=options.modes if model is None else None, elements=options.elements, degree=options.degree,
            link=options.link, local=options.local, accuracy=options.accuracy, outside=options.outside,
            categories=source.categories, missing=options.missing, levels=options.levels or None, bounds=_bounds(options, source.targets),
            holdout=options.holdout, seed=options.seed, progress=progress, journal=journal if model is None else None,
        )  # fmt: skip
    record = _record(source, options, result)
    kept = _kept(source, options)
    if peers:
        from .peers import compare

        places = np.searchsorted(kept, result.heldout)
        record["peers"] = compare(peers, result.model.coded(source.x[kept]), source.y[kept], places, options.seed)
    compared = compare_paths(x[kept], y[kept], result, options.start) if options.start else None
    if compared is not None:
        record["planes"] = describe_paths(compared)
    found = None
    if asked is not None:
        found = inversion.find(result.model, asked)
        record["inversion"] = inversion.describe(found)
    record = plain(record)
    notes = []
    with atomic_folder(folder) as partial:
        about = {key: record[key] for key in ("data", "metrics", "status", "message", "seed", "options")}
        save(result.model, partial / "model.inf", header=about)
        save(result.predictor, partial / PREDICTOR, header=about)
        if options.plots:
            notes = _draw(partial, source, x, y, result, kept)
        if compared is not None and options.plots and not notes:
            draw_planes(compared, partial / "planes.png")
        if asked is not None and found is not None:
            inversion.write(partial, result.model, found, asked, options.plots and not notes)
        if config is not None:
            shutil.copyfile(config, partial / "config.toml")
        (partial / "result.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        written = sorted(entry.name for entry in partial.iterdir())
    summarise_run(record, folder, written, notes)
    if found is not None:
        print()
        inversion.show(found)
    return record


def _model(source: Source, options: FitOptions) -> Any:
    """What `inf.fit` takes as its model: nothing where one is selected, an AION of a wanted size, or the word for one whose size is chosen."""
    if options.model == "khronos":
        return None
    if options.modes is None and options.terms is None:
        return "aion"
    import jax

    from ..models import AION

    modes, terms, key = options.modes or 1, options.terms or 1, jax.random.key(options.seed)
    return AION(len(source.inputs), modes=modes, terms=terms, outputs=len(source.targets), key=key)


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

    exponential = result.options["model"] == "AION"
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
        **({"atoms": describe_atoms(result), "origin": result.model.inner.origin} if exponential else {}),
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
    if result.options["model"] == "AION" and len(source.inputs) == 1:
        drawn = draw_series(x[kept], y[kept], result, kept, (source.inputs[0], source.targets))
        drawn[0, 0].figure.savefig(folder / "forecast.png", dpi=150)
        return []
    drawn = plot.factors(result.predict, x[kept], source.inputs, source.targets[0])
    drawn[0].figure.savefig(folder / "factors.png", dpi=150)
    return []
