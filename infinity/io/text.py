"""Numbers from text: a header line, then `N` lines of `D` cells.

Two ways to the same columns. The fast one hands the whole file to numpy, and is taken at its word only when every cell
became a finite number. Everything else (text in columns that nobody asked for, or a mistake somewhere) takes the
careful way, cell by cell, which finds the first cell that is wrong and says why.
"""

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_MISSING = {"", "na", "n/a", "nan", "null", "none", "missing", "?", "-", "."}
_LARGEST_EXACT = 2.0**53
_LARGEST_HEADER = 2**20


def text_names(path: Path, delimiter: str | None) -> list[str]:
    """Return the names in the header of a text table."""
    return _header(path, delimiter)[0]


def read_text(
    path: Path,
    delimiter: str | None,
    names: Sequence[str],
    wanted: Sequence[str],
    categories: Sequence[str] = (),
    gaps: bool = False,
) -> dict[str, np.ndarray]:
    """Return the wanted columns of a text table, numbers as float64 and categories as text.

    **Arguments:**

    - `path`: the file.
    - `delimiter`: what separates the cells; found from the header when `None`.
    - `names`: every column of the file.
    - `wanted`: the columns to read.
    - `categories`: those of them that hold text; an empty cell is `None`.
    - `gaps`: whether numbers may be missing, and are NaN then.

    **Returns:** `{name: (N,)}` in the order of `wanted`.

    **Raises:** `ValueError` naming the file, the line and the column of the first bad cell.
    """
    _, delimiter, line = _header(path, delimiter)
    columns = None if categories else _read_fast(path, delimiter, line, names, wanted)
    if columns is None or not all(_trustworthy(column) for column in columns.values()):
        return _read_carefully(path, delimiter, line, names, wanted, categories, gaps)
    return columns


def _header(path: Path, delimiter: str | None) -> tuple[list[str], str, int]:
    """Return the names, the delimiter and the number of the header's line."""
    commented = None
    for line, text in _lines(path):
        if text.startswith("#"):
            commented = commented or line
        elif text.strip():
            break
    else:
        raise ValueError(f"{path} has no header and no data")
    if len(text) > _LARGEST_HEADER:
        raise ValueError(f"{path}, line {line}: this line is longer than a header can be; is it a text table?")
    if delimiter is None:
        bare = re.sub(r'"[^"]*"', "", text)
        delimiter = max(",;\t", key=bare.count)
    try:
        cells = [
            cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
        ]
    except csv.Error as error:
        raise ValueError(f"{path}, line {line}: the header cannot be read ({error})") from error
    if all(_is_number(cell) for cell in cells):
        hint = f" Line {commented} starts with # and was taken as a comment." if commented else ""
        shown = ", ".join(cells[:4]) + (", …" if len(cells) > 4 else "")
        raise ValueError(
            f"{path} has no header: line {line} is all numbers ({shown}). "
            f"Add a first line that names the columns.{hint}"
        )
    return cells, delimiter, line


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its number; a clear error where it is not UTF-8 text."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for text in file:
                line += 1
                if "\0" in text:
                    raise ValueError(
                        f"{path}, line {line}: a zero byte, so this is UTF-16 or no text at all; save it as UTF-8"
                    )
                yield line, text
    except UnicodeDecodeError as error:
        # The decoder works in blocks, so the line is counted again in bytes.
        line = _line_of_bad_byte(path) or line + 1
        raise ValueError(
            f"{path}, line {line}: this is not UTF-8 text ({error.reason}); save the file as UTF-8"
        ) from error


def _line_of_bad_byte(path: Path) -> int | None:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError:
                return line
    return None


def _read_fast(
    path: Path, delimiter: str, line: int, names: Sequence[str], wanted: Sequence[str]
) -> dict[str, np.ndarray] | None:
    """Return the wanted columns, or `None` when numpy could not make numbers of all their cells."""
    # Columns that nobody asked for are kept as one character each, so that rows of unequal length still show.
    fields = [(f"f{i}", np.float64 if name in wanted else "U1") for i, name in enumerate(names)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty body, which the caller reports
            rows = np.loadtxt(
                path,
                dtype=np.dtype(fields),
                delimiter=delimiter,
                skiprows=line,
                comments=None,
                quotechar='"',
                encoding="utf-8-sig",
                ndmin=1,
            )
    except ValueError:
        return None
    return {name: np.ascontiguousarray(rows[f"f{names.index(name)}"]) for name in wanted}


def _trustworthy(column: np.ndarray) -> bool:
    """Whether all values are finite and small enough that an integer among them cannot have been rounded."""
    return bool((np.abs(column) < _LARGEST_EXACT).all())


def _read_carefully(
    path: Path,
    delimiter: str,
    line: int,
    names: Sequence[str],
    wanted: Sequence[str],
    categories: Sequence[str] = (),
    gaps: bool = False,
) -> dict[str, np.ndarray]:
    places = [(names.index(name), name) for name in wanted if name not in categories]
    texts = [(names.index(name), name) for name in categories]
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    for number, row in _rows(path, delimiter, line):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {number}: {len(row)} cells where the header names {len(names)} columns"
                + _ragged_hint(row, names)
            )
        for place, name in places:
            cell = row[place]
            try:
                value = float(cell)
            except ValueError:
                value = np.inf
            # float() takes "1_000" for a thousand and rounds long integers; neither passes unseen.
            if not abs(value) < _LARGEST_EXACT or "_" in cell:
                gap = gaps and cell.strip().lower() in _MISSING
                value = np.nan if gap else _exact(path, delimiter, line, number, row, place, name)
            values[name].append(value)
        for place, name in texts:
            values[name].append(row[place].strip() or None)
    kinds = {name: object if name in categories else np.float64 for name in wanted}
    return {name: np.array(column, dtype=kinds[name]) for name, column in values.items()}


def _rows(path: Path, delimiter: str, header: int) -> Iterator[tuple[int, list[str]]]:
    """Return the rows below the header with the number of their last line; empty lines and comments are left out."""
    number = header

    def counted() -> Iterator[str]:
        nonlocal number
        for line, text in _lines(path):
            number = line
            if line > header and not text.startswith("#"):
                yield text

    reader = csv.reader(counted(), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if row:
                yield number, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {number}: {error}; is a quotation mark left open?") from error


def _exact(path: Path, delimiter: str, header: int, number: int, row: list[str], place: int, name: str) -> float:
    """Return the value of a suspicious cell, or the sentence that says what is wrong with it."""
    cell = row[place].strip()
    where = f"{path}, line {number}, column {name!r}"
    if re.fullmatch(r"[+-]?\d+", cell):
        if len(cell) < 400 and abs(int(cell)) < 2**1023 and int(float(cell)) == int(cell):
            return float(cell)
        raise ValueError(
            f"{where}: the integer {_short(cell)} is too large to be exact as a float64; "
            "rescale the column, or leave it out"
        )
    if _is_number(cell):
        value = float(cell)
        if np.isfinite(value):
            return value
        if any(character.isdigit() for character in cell):
            raise ValueError(f"{where}: {_short(cell)} is larger than a float64 can hold; rescale the column")
    if cell.lower() in _MISSING:
        raise ValueError(
            f"{where}: the value is missing ({cell!r}); remove the row, fill in the value, or fit with --missing drop or --missing indicator"
        )
    if re.fullmatch(r"[+-]?(inf|infinity)", cell, re.IGNORECASE):
        raise ValueError(f"{where}: {cell!r} is not a finite number; remove the row or fill in the value")
    if _is_text_column(path, delimiter, header, place):
        raise ValueError(
            f"{where}: the column holds text ({_short(cell)!r}); name it as a category (--categorical {name}), leave it out (--ignore {name}), "
            "or turn it into numbers"
        )
    hint = _cell_hint(cell) or f"; correct it, or name the column as a category (--categorical {name})"
    raise ValueError(f"{where}: {_short(cell)!r} is not a number{hint}")


def _is_text_column(path: Path, delimiter: str, header: int, place: int) -> bool:
    """Whether the first rows hold no number at all in this column."""
    for count, (_, row) in enumerate(_rows(path, delimiter, header)):
        if count >= 100:
            break
        if place < len(row) and (_is_number(row[place]) or _cell_hint(row[place])):
            return False
    return True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _cell_hint(cell: str) -> str:
    """Say what a cell that a person would read as a number, or as yes and no, should look like."""
    cell = cell.strip()
    if re.fullmatch(r"[+-]?\d{1,3}([,'_  ]\d{3})+(\.\d*)?", cell):
        return "; write it without thousands separators"
    if re.fullmatch(r"[+-]?\d+,\d*(e[+-]?\d+)?", cell, re.IGNORECASE):
        return "; write decimals with a point, not a comma"
    if cell.lower() in ("true", "false", "yes", "no"):
        return "; write yes and no as 1 and 0"
    if re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?( +[+-]?[\d.]+(e[+-]?\d+)?)+", cell, re.IGNORECASE):
        return "; separate the columns by commas, semicolons or tabs, not by spaces"
    if re.fullmatch(r"[€$£]? ?[+-]?[\d.]+ ?(%|[a-zA-Zµ°]{1,4})?", cell):
        return "; write the number alone, without its unit"
    return ""


def _ragged_hint(row: list[str], names: Sequence[str]) -> str:
    if len(row) == len(names) + 1 and not row[-1].strip():
        return "; remove the delimiter at the end of the line"
    if len(row) > len(names):
        return "; put cells that contain the delimiter in quotation marks, and write decimals with a point"
    return "; write an empty cell's value out, or remove the line"


def _short(cell: str) -> str:
    return cell if len(cell) <= 30 else cell[:27] + "…"
