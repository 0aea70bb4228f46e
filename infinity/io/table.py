"""A table from a file: `{name: column of float64}`, or one sentence that names the file, the row and the column.

Text formats (CSV, TSV) are in `infinity.io.text`, typed ones (Parquet, NPZ) in `infinity.io.typed`; here is what they
share. Rows of text files are named by the line that an editor shows, rows of typed files by their number from 1.
"""

import csv
import dataclasses
import difflib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .atomic import atomic_file
from .text import read_text, text_names
from .typed import npz_names, parquet_names, read_npz, read_parquet

_TEXT = {".csv": None, ".tsv": "\t", ".tab": "\t", ".txt": None}
_FORMATS = ".csv, .tsv, .txt, .parquet and .npz"


@dataclasses.dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    **Arguments:**

    - `names`: the columns in their order.
    - `columns`: `{name: values of shape (N,)}`, float64; categories are objects, text or `None`.
    """

    names: tuple[str, ...]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns[self.names[0]])

    def matrix(self, names: Sequence[str] | None = None) -> np.ndarray:
        """Return the named columns side by side, shape `(N, len(names))`, of objects if one is; all of them when `names` is `None`."""
        return np.stack([self.columns[name] for name in (self.names if names is None else names)], axis=1)


def column_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of the columns of a table, without reading its rows.

    **Arguments:**

    - `path`: a CSV, TSV, Parquet or NPZ file.

    **Returns:** the names in their order.

    **Raises:** `ValueError` or `OSError`, as `read_table`.
    """
    place, suffix = _existing(path)
    if suffix in _TEXT:
        names = text_names(place, _TEXT[suffix])
    else:
        names = parquet_names(place) if suffix == ".parquet" else npz_names(place)
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        where = ", ".join(str(i + 1) for i, name in enumerate(names) if name == repeated[0])
        raise ValueError(f"{place}: columns {where} are all called {repeated[0]!r}; give each column its own name")
    return tuple(names)


def read_table(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    categories: Sequence[str] = (),
    gaps: bool = False,
) -> Table:
    r"""Read the columns of a table as float64, and those that are named as categories as text.

    Accepts CSV (comma, semicolon or tab, with a header), TSV, Parquet (needs pyarrow) and NPZ (equally long arrays; a
    matrix `x` of shape `(N, D)` becomes `x0 … x{D-1}`). Lines of text files that start with `#` and empty lines are
    skipped. Nothing else is skipped, filled in, rounded or guessed.

    **Arguments:**

    - `path`: the file; its ending tells the format.
    - `columns`: the columns that must hold numbers, in the order wanted; all of them when `None`. Others may hold
        anything.
    - `categories`: those of the columns that hold text; an empty cell is `None`, all other text is a category.
    - `gaps`: whether numbers may be missing (an empty cell, `nan`, `NA`, `?` and the like), and are NaN then.

    **Returns:** a `Table`.

    **Raises:** `OSError` for a file that cannot be read; `ValueError` for a cell that is not a finite number, a missing
    or repeated column, rows of unequal length, or a damaged file. Each names the file, the row and the column.

    ```python
    >>> import pathlib, tempfile
    >>> from infinity.io import read_table
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = path.write_text("a,b\n1,2\n3,4\n")
    >>> read_table(path).columns["b"].tolist()
    [2.0, 4.0]

    ```
    """
    place, suffix = _existing(path)
    names = column_names(place)
    wanted = tuple(names if columns is None else columns)
    for name in wanted:
        if name not in names:
            raise ValueError(f"{place} has no column {name!r}; {_nearest(name, names)}")
        if not name:
            raise ValueError(
                f"{place}: column {names.index(name) + 1} has no name. Name it, or if pandas wrote it as an index, "
                "write the table with index=False"
            )
    if suffix in _TEXT:
        arrays = read_text(place, _TEXT[suffix], names, wanted, categories, gaps)
    else:
        arrays = (read_parquet if suffix == ".parquet" else read_npz)(place, wanted, categories, gaps)
    table = Table(wanted, arrays)
    if len(table) == 0:
        raise ValueError(f"{place} has column names but no rows of data")
    return table


def write_table(path: str | os.PathLike[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write columns to a CSV, TSV, Parquet or NPZ file, whole or not at all.

    Text formats carry as many digits as are needed to read the same numbers back.

    **Arguments:**

    - `path`: the file; its ending tells the format.
    - `columns`: `{name: values of shape (N,)}`.

    **Raises:** `ValueError` for an unknown ending; `OSError` where the place cannot be written.

    ```python
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from infinity.io import read_table, write_table
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "out.csv"
    >>> write_table(path, {"a": np.array([0.1, 0.2])})
    >>> read_table(path).columns["a"].tolist()
    [0.1, 0.2]

    ```
    """
    place, suffix = Path(path), known_suffix(path)
    with atomic_file(place) as partial:
        if suffix in _TEXT:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter=_TEXT[suffix] or ",", lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        elif suffix == ".npz":
            # Not np.savez: it takes the names as keywords, and a column may be called "file".
            with zipfile.ZipFile(partial, "w") as archive:
                for name, column in columns.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, _as_text(column), allow_pickle=False)
        else:
            from .typed import import_parquet

            pyarrow, parquet = import_parquet(place)
            parquet.write_table(pyarrow.table(dict(columns)), partial)


def _as_text(column: np.ndarray) -> np.ndarray:
    """Categories as text; nothing is unpickled, so nothing is pickled."""
    return np.array(["" if value is None else str(value) for value in column]) if column.dtype == object else column


def known_suffix(path: str | os.PathLike[str]) -> str:
    """Return the ending of a table's file name, if it is one that can be read and written; else a `ValueError`."""
    suffix = Path(path).suffix.lower()
    if suffix in _TEXT or suffix in (".parquet", ".npz"):
        return suffix
    if suffix in (".gz", ".zip", ".bz2", ".xz"):
        raise ValueError(f"{path} is compressed; unpack it first")
    if suffix in (".xls", ".xlsx", ".ods"):
        raise ValueError(f"{path} is a spreadsheet; save the sheet as CSV first")
    raise ValueError(f"{path}: the ending {suffix!r} is not a table format known here; those are {_FORMATS}")


def _existing(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the path and its ending, if there is a file of a known format with something in it."""
    place = Path(path)
    if place.is_dir():
        raise IsADirectoryError(f"{place} is a folder; give the file of a table ({_FORMATS})")
    if not place.exists():
        siblings = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        near = difflib.get_close_matches(place.name, siblings, n=1)
        hint = f"; did you mean {place.parent / near[0]}?" if near else ""
        raise FileNotFoundError(f"there is no file {place}{hint}")
    suffix = known_suffix(place)
    try:
        with place.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise OSError(f"{place} cannot be read: {error.strerror}") from error
    if not start:
        raise ValueError(f"{place} is empty")
    kinds = {b"PAR1": ".parquet", b"PK\x03\x04": ".npz"}
    kind = kinds.get(start)
    if suffix in _TEXT and (kind is not None or start[:2] == b"\x1f\x8b"):
        what = {".parquet": "a Parquet file", ".npz": "a zip or NPZ file"}.get(kind or "", "compressed with gzip")
        raise ValueError(f"{place} is {what}, not text; rename it or unpack it")
    return place, suffix


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"it has {shown}"
