"""Numbers from typed files: Parquet columns, and NPZ arrays of `N` numbers or of `N × D`.

Truth values become 0 and 1, integers must be exact as float64; text is read where it is asked for; dates, nested and object
columns are refused by name, and nothing is ever unpickled.
"""

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_LARGEST_EXACT = 2**53


def import_parquet(path: Path) -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`, or a sentence that says how to install them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            f"{path}: Parquet files need pyarrow, which is not installed: pip install 'infinity[tables]'"
        ) from error
    return pyarrow, pyarrow.parquet


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file."""
    return _parquet(path).schema_arrow.names


def read_parquet(
    path: Path, wanted: Sequence[str], categories: Sequence[str] = (), gaps: bool = False
) -> dict[str, np.ndarray]:
    """Return the wanted columns of a Parquet file, numbers as float64 and categories as text or numbers.

    **Arguments:**

    - `path`: the file.
    - `wanted`: the columns to read.
    - `categories`: those of them that may hold text; missing ones are `None`.
    - `gaps`: whether numbers may be missing, and are NaN then.

    **Returns:** `{name: (N,)}`.

    **Raises:** `ValueError` naming the file, the row and the column.
    """
    pyarrow, _ = import_parquet(path)
    file = _parquet(path)
    types = pyarrow.types
    for name in wanted:
        kind = file.schema_arrow.field(name).type
        inner = kind.value_type if types.is_dictionary(kind) else kind
        if name in categories and (types.is_string(inner) or types.is_large_string(inner)):
            continue
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise ValueError(_not_numbers(path, name, str(kind)))
    try:
        content = file.read(columns=list(wanted))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged: {_one_line(error)}") from error
    arrays = {}
    for name in wanted:
        column = content.column(name).combine_chunks()
        if name in categories:
            arrays[name] = np.array(column.to_pylist(), dtype=object)
            continue
        if column.null_count and not gaps:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) + 1
            raise ValueError(
                f"{path}, row {row}, column {name!r}: the value is missing; remove the row, fill in the value, or fit with --missing drop or "
                "--missing indicator"
            )
        missing = column.is_null().to_numpy(zero_copy_only=False)
        filled = column.drop_null().to_numpy(zero_copy_only=False)
        values = np.full(len(missing), np.nan)
        values[~missing] = _as_float64(path, name, filled, gaps)
        arrays[name] = values
    return arrays


def npz_names(path: Path) -> list[str]:
    """Return the names of the columns of an NPZ file."""
    with _npz(path) as file:
        return [name for key in file.files for name in _split(path, key, _member(path, file, key))]


def read_npz(
    path: Path, wanted: Sequence[str], categories: Sequence[str] = (), gaps: bool = False
) -> dict[str, np.ndarray]:
    """Return the wanted columns of an NPZ file; arguments, result and errors as `read_parquet`."""
    columns = {}
    with _npz(path) as file:
        for key in file.files:
            columns.update(_split(path, key, _member(path, file, key)))
    lengths = {name: len(column) for name, column in columns.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first]:
            raise ValueError(
                f"{path}: {first!r} has {lengths[first]} rows and {name!r} has {length}; all arrays need one length"
            )
    text = lambda name: name in categories and columns[name].dtype.kind == "U"
    return {
        name: _as_labels(columns[name]) if text(name) else _as_float64(path, name, columns[name], gaps)
        for name in wanted
    }


def _parquet(path: Path) -> Any:
    pyarrow, parquet = import_parquet(path)
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged or not a Parquet file: {_one_line(error)}") from error


@contextlib.contextmanager
def _npz(path: Path) -> Iterator[Any]:
    # The file is opened here, because numpy leaves it open when it turns out to be damaged.
    with path.open("rb") as content:
        try:
            file = np.load(content, allow_pickle=False)
        except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise ValueError(f"{path} is damaged or not an NPZ file: {_one_line(error)}") from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} holds a single array; write it with np.savez under a name")
        if not file.files:
            raise ValueError(f"{path} holds no arrays")
        yield file


def _member(path: Path, file: Any, key: str) -> np.ndarray:
    try:
        array = file[key]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(_not_numbers(path, key, "object")) from error
        raise ValueError(f"{path}: the array {key!r} is damaged: {_one_line(error)}") from error
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path}: the array {key!r} is damaged: {_one_line(error)}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: the entry {key!r} is not an array")
    return array


def _split(path: Path, key: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """One column for an array of `N` numbers, `D` numbered ones for a matrix."""
    if array.ndim == 1:
        return {key: array}
    if array.ndim == 2:
        return {f"{key}{d}": column for d, column in enumerate(array.T)}
    raise ValueError(
        f"{path}: the array {key!r} has shape {array.shape}; a column has shape (N,), several columns (N, D)"
    )


def _as_labels(values: np.ndarray) -> np.ndarray:
    return np.array([text.strip() or None for text in values.tolist()], dtype=object)


def _as_float64(path: Path, name: str, values: np.ndarray, gaps: bool) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise ValueError(_not_numbers(path, name, str(values.dtype)))
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and len(values):
        large = np.flatnonzero(
            (values > _LARGEST_EXACT) | (values < -_LARGEST_EXACT if values.dtype.kind == "i" else False)
        )
        for row in large:
            number = int(values[row])
            if int(float(number)) != number:
                raise ValueError(
                    f"{path}, row {row + 1}, column {name!r}: the integer {number} is too large to be exact "
                    "as a float64; rescale the column, or leave it out"
                )
    column = values.astype(np.float64)
    bad = np.flatnonzero(np.isinf(column) if gaps else ~np.isfinite(column))
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"{path}, row {row + 1}, column {name!r}: {values[row]} is not a finite number; "
            "remove the row or fill in the value"
        )
    return column


def _not_numbers(path: Path, name: str, kind: str) -> str:
    return (
        f"{path}, column {name!r}: it holds {kind}, not numbers; leave it out (--ignore {name}), "
        "name a column of text as a category (--categorical), or turn it into numbers"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
