"""`[discover]`: formulas of named problems under noise, or of a table with several splits, beside plain search."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import column_names, read_table
from ..symbolic import Discovery, Expression, discover
from ..symbolic.outliers import remark
from . import rivals
from .law_config import Discover, FormulaConfig
from .law_study import Case, Row, carry_out, under_noise
from .problems import PROBLEMS, Problem

NEW_POINTS = 2000
BEYOND = 0.15
# A relative error, after refitting the constants to values without noise, below which a formula has the form of the truth.
SAME = 1e-6
# A row that is missed by so many times what half of the rows are missed by is pointed out.
ODD = 15.0
LEAST_ROWS = 20
# Those that are not ours.
OTHERS = {"polynomial", "pyoperon"}


class Table:
    """The columns of a file as inputs and targets, each a formula of them."""

    def __init__(self, config: Path, wanted: Discover):
        place = config.parent / str(wanted.file)
        if not place.exists():
            hint = f" ({wanted.source})" if wanted.source else ""
            raise FileNotFoundError(
                f"{config}: there is no file {place}{hint}; discover.file is relative to the configuration"
            )
        available = column_names(place)
        texts = {**wanted.inputs, **wanted.targets}
        expressions = {}
        for name, text in texts.items():
            try:
                expressions[name] = Expression.parse(text, available, name)
            except ValueError as error:
                raise ValueError(f"{config}: {name!r}: {error}") from None
        used = [name for name in available if any(name in e.inputs for e in expressions.values())]
        read = read_table(place, used)
        full = np.full((len(next(iter(read.columns.values()))), len(available)), np.nan)
        for name in used:
            full[:, available.index(name)] = read.columns[name]
        wrong = [row for row in wanted.leave_out if row > len(full)]
        if wrong:
            raise ValueError(f"{config}: discover.leave_out names row {wrong[0]}, but {place} has {len(full)} rows")
        kept = np.setdiff1d(np.arange(len(full)), np.array(wanted.leave_out, int) - 1)
        if len(kept) < LEAST_ROWS:
            raise ValueError(f"{config}: {len(kept)} rows of {place} are left; splits need at least {LEAST_ROWS}")
        values = {name: e(full[kept]) for name, e in expressions.items()}
        for name, column in values.items():
            if not np.all(np.isfinite(column)):
                row = int(kept[np.flatnonzero(~np.isfinite(column))[0]]) + 1
                raise ValueError(f"{config}: {name} = {texts[name]} has no value in row {row} of {place}")
        self.place, self.rows = place, kept + 1
        self.x = np.stack([values[name] for name in wanted.inputs], axis=1)
        self.targets = {name: values[name] for name in wanted.targets}


def run_formulas(config: FormulaConfig, folder: Path, source: Path, table: Table | None) -> list[Case]:
    """Search, show and write; what is wrong with the file was found before."""
    wanted = config.discover
    peers, notes = rivals.present(wanted.peers)
    if table is None:
        searches = [
            functools.partial(_problem, title, PROBLEMS[name], noise, wanted, peers)
            for title, name, noise in under_noise(wanted.problems, wanted.noise)
        ]
    else:
        searches = [functools.partial(_table, target, table, y, wanted, peers) for target, y in table.targets.items()]
    return carry_out(searches, folder, source, "formulas", config.output.plots, notes)


def _told(title: str, progress: Any) -> Any:
    """Progress whose stages are those of one case."""
    return progress and (lambda event: progress({"stage": f"{title}: {event.get('stage')}"}))


def _ours(x: np.ndarray, y: np.ndarray, names: Sequence[str], target: str, wanted: Discover, seed: int, progress=None):
    start = time.process_time()
    found = discover(
        x, y, names, target, engine=wanted.engine, effort=wanted.effort, seed=seed, progress=progress
    )  # fmt: skip
    return found, time.process_time() - start


def _problem(title: str, problem: Problem, noise: float, wanted: Discover, peers: Sequence[str], progress: Any) -> Case:
    """One problem at one level of noise, judged by values without noise at new points."""
    names, target, seed = list(problem.ranges), problem.target, wanted.seed
    x, exact = problem.sample(wanted.samples, seed)
    rng = np.random.default_rng([seed, 1])
    y = exact + noise * np.std(exact) * rng.normal(size=len(exact))
    found, seconds = _ours(x, y, names, target, wanted, seed, _told(title, progress))
    searched = [("infinity", found.best, seconds)]
    searched += [(peer, *rivals.search(peer, x, y, names, target, seed, seconds)) for peer in peers]
    new = problem.sample(NEW_POINTS, seed + 1)
    outside = problem.outside(NEW_POINTS, seed + 2, BEYOND)
    rows = [
        Row(who, [str(e)], {
            "length": e.complexity, "unseen rows": e.metrics["heldout"], "new points": _missed(e, *new), "beyond": _missed(e, *outside),
            "form of the truth": _same(e, x, exact, new), "seconds": took,
        })
        for who, e, took in searched
    ]  # fmt: skip
    parity = [(target, y, found.best(x))]
    return _case(title, problem.law, found, rows, parity)


def _case(title: str, truth: str, found: Discovery, rows: list[Row], parity: list) -> Case:
    message = found.message.replace(str(found.best), "this formula")
    return Case(title, truth, message, rows, found.best, [found.best.latex()], found.trace, parity, found)


def _table(target: str, table: Table, y: np.ndarray, wanted: Discover, peers: Sequence[str], progress: Any) -> Case:
    """One target of a table: errors on the unseen rows of several splits, then the formula of all rows."""
    names, progress = list(wanted.inputs), _told(target, progress)
    count = max(1, round(wanted.holdout * len(y)))
    errors: dict[str, list[float]] = {}
    shortest: list[int | None] = []
    lengths: dict[str, list[int]] = {}
    clock: dict[str, list[float]] = {}
    measured, predicted = [], []
    for split in range(wanted.splits):
        rows = np.random.default_rng([wanted.seed, split]).permutation(len(y))
        unseen, seen = rows[:count], rows[count:]
        found, seconds = _ours(table.x[seen], y[seen], names, target, wanted, wanted.seed + split, progress)
        searched = [("infinity", found.best, seconds)]
        for peer in peers:
            searched.append(
                (peer, *rivals.search(peer, table.x[seen], y[seen], names, target, wanted.seed + split, seconds))
            )
        for who, e, took in searched:
            errors.setdefault(who, []).append(_missed(e, table.x[unseen], y[unseen], float(np.std(y))))
            lengths.setdefault(who, []).append(e.complexity)
            clock.setdefault(who, []).append(took)
        least = min((missed[-1] for who, missed in errors.items() if who in OTHERS), default=0.0)
        ours = ((e.complexity, _missed(e, table.x[unseen], y[unseen], float(np.std(y)))) for e in found.expressions)
        shortest.append(min((length for length, missed in ours if missed <= least), default=None))
        measured.append(y[unseen])
        predicted.append(found.best(table.x[unseen]))
    found, seconds = _ours(table.x, y, names, target, wanted, wanted.seed, progress)
    whole = {"infinity": found.best}
    whole |= {
        peer: rivals.search(peer, table.x, y, names, target, wanted.seed, seconds)[0] for peer in peers
    }  # fmt: skip
    listed = [
        Row(who, [str(e)], {
            "length": e.complexity, "length in splits": float(np.median(lengths[who])), "unseen rows": float(np.median(errors[who])),
            "worst split": max(errors[who]), "seconds": float(np.median(clock[who])),
            "shortest as good": _shortest(shortest) if who == "infinity" and set(peers) & OTHERS else None,
        })
        for who, e in whole.items()
    ]  # fmt: skip
    meaning = ", ".join(f"{name} = {text}" for name, text in {**wanted.inputs, target: wanted.targets[target]}.items())
    title = f"{target}, {len(y)} rows, {wanted.splits} splits"
    parity = [(f"{target}, unseen rows", np.concatenate(measured), np.concatenate(predicted))]
    case = _case(title, "", found, listed, parity)
    # Rows are those of the file, some of which may have been left out.
    said = case.message.replace(remark(found.odd_rows), remark([int(table.rows[k]) - 1 for k in found.odd_rows]))
    others = np.setdiff1d(np.arange(len(y)), found.odd_rows)
    more = odd_row(found.best, table.x[others], y[others], table.rows[others])
    return dataclasses.replace(case, message=f"{meaning}\n  {said}{more}")


def _shortest(lengths: Sequence[int | None]) -> str:
    """The length of the shortest formula of the list that misses unseen rows no more than the best of the others, over the splits that have one."""
    known = [length for length in lengths if length is not None]
    return f"{np.median(known):g} in {len(known)} of {len(lengths)}" if known else f"none in {len(lengths)}"


def odd_row(e: Expression, x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> str:
    """A line about the row that a formula misses by far more than others, which the reader of the table should look at; empty if there is none.

    >>> import numpy as np, infinity as inf
    >>> from infinity.cli.formula_study import odd_row
    >>> x, rows = np.linspace(1, 2, 40)[:, None], np.arange(1, 41)
    >>> odd_row(inf.Expression.parse("2*x", ["x"]), x, 2.01 * x[:, 0] + (rows == 7), rows).strip()
    'row 7 of the table is missed by 1, half of the rows by less than 0.015; look at it'
    """
    missed = np.abs(e(x) - y)
    k = int(np.argmax(missed))
    usual = float(np.median(missed))
    if not usual > 0 or missed[k] < ODD * usual:
        return ""
    return f"\n  row {rows[k]} of the table is missed by {missed[k]:.2g}, half of the rows by less than {usual:.2g}; look at it"


def _missed(e: Expression, x: np.ndarray, y: np.ndarray, scale: float | None = None) -> float:
    """The root mean square error, divided by the deviation."""
    with np.errstate(all="ignore"):
        error = float(np.sqrt(np.mean((e(x) - y) ** 2)))
    return error / (float(np.std(y)) if scale is None else scale) if np.isfinite(error) else float("inf")


def _same(e: Expression, x: np.ndarray, exact: np.ndarray, new: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether constants refitted to exact values leave nothing."""
    try:
        return _missed(e.refit(x, exact), *new) < SAME
    except ValueError:
        return False
