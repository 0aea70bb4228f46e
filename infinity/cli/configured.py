"""Runs from configuration files: every file is checked before the first one runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import check_writable, column_names, read_table
from . import peers
from .columns import choose_categories, choose_columns
from .config import AnyConfig, Config, Data, EquationConfig, load_config
from .console import number, r_squared, show_table
from .folder import check_replaceable
from .inversion import InvertOptions
from .law_config import DynamicsConfig, FormulaConfig, SurfaceConfig
from .problems import PROBLEMS
from .task import FitOptions, Source, execute


def run_configs(paths: Sequence[Path], float32: bool, set_precision: Callable[[bool], None]) -> None:
    """Carry out the runs of one or more configuration files, and compare them at the end.

    **Arguments:**

    - `paths`: the TOML files.
    - `float32`: single precision, whatever the files say.
    - `set_precision`: called with whether a run is in single precision, before its first array.

    **Raises:** `ValueError` or `OSError` for the first thing that is wrong with any of the files.
    """
    configs = [load_config(path) for path in paths]
    folders = [Path(config.output.folder or f"runs/{path.stem}") for path, config in zip(paths, configs, strict=True)]
    for path, config, folder in zip(paths, configs, folders, strict=True):
        if sum(other.resolve() == folder.resolve() for other in folders) > 1:
            raise ValueError(f"{path}: another of these runs also writes to {folder}; give each its own output.folder")
        check_replaceable(folder)
        check_writable(folder)
        if isinstance(config, Config) and (config.compare.peers or config.data.dataset):
            peers.check_available()
    sources = [_source(path, config) for path, config in zip(paths, configs, strict=True)]
    records, fitted = [], []
    for path, config, folder, source in zip(paths, configs, folders, sources, strict=True):
        if not isinstance(config, Config):
            _study(config, source, folder, path, float32, set_precision, first=not records)
            records.append(None)
            continue
        assert isinstance(source, Source)
        single = float32 or config.fit.precision == "float32"
        set_precision(single)
        if records:
            print()
        asked = config.invert and InvertOptions(**config.invert.model_dump())
        records.append(execute(source, _options(config, single), folder, path, config.compare.peers, asked=asked))
        fitted.append((folder, records[-1]))
    if len(fitted) > 1:
        print()
        show_table(("run", "rows", "inputs", "unknowns", "NRMSE held out", "R2", "seconds", "status"), [
            (
                str(folder), str(record["data"]["rows"]), str(len(record["data"]["inputs"])), str(record["unknowns"]),
                number(_judged(record)["nrmse"]), r_squared(_judged(record)["r2"]),
                f"{record['timings']['run'] + record['timings']['compile']:.1f}", record["status"],
            )
            for folder, record in fitted
        ])  # fmt: skip


def _source(path: Path, config: AnyConfig) -> Any:
    """The rows of a run, where it has some before it begins."""
    if isinstance(config, Config):
        return load_source(path, config.data)
    if isinstance(config, FormulaConfig) and config.discover.file is not None:
        from .formula_study import Table

        return Table(path, config.discover)
    return None


def _study(
    config: AnyConfig,
    source: Any,
    folder: Path,
    path: Path,
    float32: bool,
    set_precision: Callable[[bool], None],
    first: bool,
) -> None:
    """One study of an equation or of laws."""
    if float32:
        raise ValueError(f"{path}: equations and laws are found in double precision; leave out --float32")
    set_precision(False)
    if not first:
        print()
    if isinstance(config, EquationConfig):
        from .solving import run_study

        run_study(config, folder, path)
    elif isinstance(config, FormulaConfig):
        from .formula_study import run_formulas

        run_formulas(config, folder, path, source)
    elif isinstance(config, SurfaceConfig):
        from .surface_study import run_surfaces

        run_surfaces(config, folder, path)
    elif isinstance(config, DynamicsConfig):
        from .dynamics_study import run_motions

        run_motions(config, folder, path)


def _judged(record: dict) -> dict:
    return record["metrics"]["heldout"] or record["metrics"]["train"]


def _options(config: Config, single: bool) -> FitOptions:
    model, fit = config.model, config.fit
    return FitOptions(
        missing=config.data.missing, levels=tuple(model.levels), lower=_ends(model.lower), upper=_ends(model.upper),
        modes=model.modes, elements=model.elements, degree=model.degree, link=model.link, local=model.local, accuracy=model.accuracy,
        holdout=fit.holdout, seed=fit.seed,
        outside=fit.outside, precision="float32" if single else "float64", plots=config.output.plots, model=model.kind, terms=model.terms,
        start=tuple(config.planes.start or ()),
    )  # fmt: skip


def _ends(bound: float | list[float] | None) -> tuple[float, ...]:
    return () if bound is None else tuple(bound) if isinstance(bound, list) else (bound,)


def load_source(path: Path, data: Data) -> Source:
    """Read, generate or fetch the rows of a `[data]` section.

    **Arguments:**

    - `path`: the configuration file; `file = "..."` is relative to its folder.
    - `data`: the section.

    **Returns:** the rows with the names of their columns.

    **Raises:** `ValueError` or `OSError` that names the table and the column.
    """
    if data.file is not None:
        place = path.parent / data.file
        targets = [data.target] if isinstance(data.target, str) else list(data.target or ())
        inputs = choose_columns(str(place), column_names(place), targets, data.inputs, data.ignore)
        categories = choose_categories(str(place), inputs, data.categorical)
        table = read_table(place, [*inputs, *targets], categories, data.missing != "error")
        return Source(
            str(place), table.matrix(inputs), table.matrix(targets), tuple(inputs), tuple(targets), tuple(categories)
        )
    if data.generate is not None:
        problem = PROBLEMS[data.generate]
        x, y = problem.sample(data.samples, data.seed)
        return _select(data, f"{data.generate} ({problem.source})", x, y, list(problem.ranges), problem.target)
    from sklearn.datasets import load_diabetes

    table: Any = load_diabetes(scaled=False)
    return _select(data, f"{data.dataset}", table["data"], table["target"], table["feature_names"], "progression")


def _select(data: Data, place: str, x: np.ndarray, y: np.ndarray, names: Sequence[str], target: str) -> Source:
    """Return the chosen inputs of a table that is already in memory."""
    wanted = [target] if data.target is None else [data.target] if isinstance(data.target, str) else list(data.target)
    if wanted != [target]:
        raise ValueError(f"{place} has the one target {target!r}; got {', '.join(wanted)}")
    inputs = choose_columns(place, [*names, target], wanted, data.inputs, data.ignore)
    columns = [list(names).index(name) for name in inputs]
    return Source(place, np.asarray(x, float)[:, columns], np.asarray(y, float)[:, None], tuple(inputs), (target,))
