"""From a table with categories and gaps to the numbers that a fit sees, and the coding that the model keeps."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .checks import check_table, input_names, named_inputs, numeric_matrix, target_names
from .coding import Coding, Column, labels_of, numbers_of, raw_matrix

MISSING = ("error", "drop", "indicator")
# More levels than this are coded by the mean of the target.
MOST_ONE_HOT = 12


class Prepared(NamedTuple):
    """A checked table of numbers.

    **Fields:** inputs `(n, K)`, targets `(n, O)`, the names of both; the coding, or nothing for numbers as they are, its target-coded columns still numbers of
    levels; the index of each row in the table that was given; a sentence about rows that were left out, or nothing.
    """

    x: Float[np.ndarray, "n K"]
    y: Float[np.ndarray, "n O"]
    names: tuple[str, ...]
    targets: tuple[str, ...]
    coding: Coding | None
    rows: Int[np.ndarray, " n"]
    note: str


def prepare(
    x: Any,
    y: Any,
    names: Sequence[str] | None,
    target: str | Sequence[str],
    categories: Sequence[str | int] | str | None,
    missing: str,
) -> Prepared:
    """Check and code a table.

    **Arguments:** as of `inf.fit`.

    **Raises:** `ValueError` naming the row, the column or the argument.
    """
    if missing not in MISSING:
        raise ValueError(f"missing is {missing!r}; expected one of {', '.join(MISSING)}")
    if not categories and missing == "error" and not _is_mixed(x):
        inputs, outputs, found, targets = check_table(x, y, names, target)
        return Prepared(inputs, outputs, found, targets, None, np.arange(len(inputs)), "")
    values = raw_matrix(x)
    given = input_names(names, values.shape[1])
    chosen = named_inputs("categories", categories, given)
    outputs = numeric_matrix(y, "y")
    if len(values) != len(outputs):
        raise ValueError(f"x has {len(values)} rows and y has {len(outputs)}; each row of x needs its row of y")
    columns = [labels_of(v) if name in chosen else numbers_of(v, name) for name, v in zip(given, values.T, strict=True)]
    gaps = np.stack([_gaps(column) for column in columns], axis=1) if columns else np.zeros((len(values), 0), bool)
    lost = np.isnan(outputs.astype(float)).any(axis=1)
    rows, note = np.arange(len(values)), ""
    if missing == "drop":
        rows = np.flatnonzero(~(gaps.any(axis=1) | lost))
        left_out = len(values) - len(rows)
        note = f"{left_out} of {len(values)} rows have missing values and were left out." if left_out else ""
        if len(rows) < 2:
            raise ValueError(
                f"{left_out} of {len(values)} rows have missing values, so fewer than two are left; leave out the columns that are mostly empty, or use "
                "missing='indicator' (--missing indicator)"
            )
    elif missing == "error" and gaps.any():
        row, d = (int(i) for i in np.argwhere(gaps)[0])
        raise ValueError(
            f"row {row + 1}, column {given[d]!r}: the value is missing; fill it in, or choose missing='drop' or missing='indicator' (--missing on the "
            "command line)"
        )
    elif lost.any():
        raise ValueError(
            f"row {int(np.argmax(lost)) + 1}: the target is missing; leave the row out, or choose missing='drop' (--missing drop on the command line)"
        )
    targets = target_names(target, outputs.shape[1])
    coded = [_learned(name, column[rows], name in chosen, targets) for name, column in zip(given, columns, strict=True)]
    coding = Coding(tuple(coded))
    numbers = np.concatenate([c.code(column[rows]) for c, column in zip(coded, columns, strict=True)], axis=1)
    dtype = values.dtype if values.dtype.kind == "f" else np.float64
    inputs, outputs, found, targets = check_table(numbers.astype(dtype), outputs[rows], coding.names, target)
    return Prepared(inputs, outputs, found, targets, coding, rows, note)


def _is_mixed(x: Any) -> bool:
    """Whether a table may hold text or gaps beside numbers."""
    try:
        return np.asarray(x).dtype.kind in "OUS"
    except ValueError:  # ragged, which the check of the table reports
        return False


def _gaps(column: np.ndarray) -> np.ndarray:
    return np.isnan(column) if column.dtype.kind == "f" else np.array([label is None for label in column], bool)


def _learned(name: str, values: np.ndarray, is_category: bool, targets: tuple[str, ...]) -> Column:
    """How a column is coded, from its values in the rows of the fit."""
    if not is_category:
        gaps = np.isnan(values)
        if not gaps.any():
            return Column(name)
        if gaps.all():
            raise ValueError(
                f"the input {name!r} has no value in any row; leave it out (--ignore {name} on the command line)"
            )
        share = float(gaps.mean())
        return Column(name, "gaps", shares=(1 - share, share), codes=((float(np.median(values[~gaps])),),))
    counts = collections.Counter(values.tolist())
    levels = sorted(counts, key=lambda level: (-counts[level], level is None, str(level)))
    if len(levels) < 2:
        raise ValueError(
            f"the input {name!r} is {levels[0]} in every row; leave it out (--ignore {name} on the command line)"
        )
    shares = tuple(counts[level] / len(values) for level in levels)
    if len(levels) > MOST_ONE_HOT:
        numbers = tuple((float(at),) * len(targets) for at in range(len(levels)))
        return Column(name, "means", tuple(levels), shares, numbers, targets)
    codes = tuple(map(tuple, np.eye(len(levels))[:, 1:].tolist()))
    return Column(name, "levels", tuple(levels), shares, codes)
