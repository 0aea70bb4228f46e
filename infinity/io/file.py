"""A model in one file: `zip(header.json, arrays/0.npy, arrays/1.npy, …)`, stored uncompressed.

    header.json = {"format": "infinity-model", "format_version": 1, "written": {…}, "about": {…}, "model": tree}

No pickle anywhere, and nothing is imported because a file says so: a file from a stranger cannot run code. What a file
declares is compared with what it holds before any memory is taken.
"""

import datetime
import importlib.metadata
import io
import json
import os
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import atomic_file
from .codec import Decoder, Encoder
from .vocabulary import Vocabulary

FORMAT = "infinity-model"
FORMAT_VERSION = 1
_HEADER = "header.json"
# What reading a damaged zip, header or array can raise; RecursionError is a RuntimeError.
_DAMAGE = (ValueError, KeyError, OSError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile)
_LARGEST_HEADER = 64 * 2**20


def save(model: Any, path: str | os.PathLike[str], header: dict[str, Any] | None = None) -> None:
    """Write a model to one file, whole or not at all.

    **Arguments:**

    - `model`: an Equinox module, or any tree of modules, arrays, numbers, strings, tuples, lists and dicts.
    - `path`: the file to write. An existing file is replaced in one step.
    - `header`: what else to remember about the model (seed, metrics, units), as JSON data; `read_header` gives it back.

    **Raises:** `ValueError` that names the part of the model that has no exact place in a file; `OSError` where the
    place cannot be written.

    ```python
    >>> import pathlib, tempfile
    >>> import jax, equinox as eqx
    >>> from infinity.io import load, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.inf"
    >>> layer = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    >>> save(layer, path)
    >>> bool((load(path).weight == layer.weight).all())
    True

    ```
    """
    encoder = Encoder(Vocabulary())
    tree = encoder.encode(model)
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written": provenance(),
        "about": {} if header is None else header,
        "model": tree,
    }
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"header= must be JSON data: {error}") from error
    with atomic_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEADER, text)
        for name, array in encoder.arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, _as_plain(array), version=(1, 0), allow_pickle=False)
            archive.writestr(name, buffer.getvalue())


def load(path: str | os.PathLike[str], classes: Iterable[Any] = ()) -> Any:
    """Read a model that `save` wrote; no template is needed.

    **Arguments:**

    - `path`: the file, or a run folder that holds a `model.inf`.
    - `classes`: your own classes and functions that the file may name. Infinity's and `equinox.nn`'s are known.

    **Returns:** the model, with the same types, dtypes and bits.

    **Raises:** `ValueError` for a damaged or foreign file, an unknown class, a newer format, or 64-bit arrays where
    JAX is set to 32 bits; `OSError` where the file cannot be read.

    ```python
    >>> import pathlib, tempfile
    >>> import jax.numpy as jnp
    >>> from infinity.io import load, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers.inf"
    >>> save({"a": jnp.arange(3), "b": (1, float("inf"))}, path)
    >>> load(path)["b"]
    (1, inf)

    ```
    """
    with _open(path) as archive:
        document = _read_document(archive)
        decoder = Decoder(Vocabulary(classes), lambda name, dtype, shape: _read_array(archive, name, dtype, shape))
        try:
            return decoder.decode(document["model"])
        except RecursionError as error:
            raise ValueError(f"cannot load {path}: its header is nested too deeply") from error
        except ValueError as error:
            raise ValueError(f"cannot load {path}: {error}") from error


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a model file says about itself: format, versions, date and what was passed as `header`.

    **Arguments:**

    - `path`: the file, or a run folder that holds a `model.inf`.

    **Returns:** a dict with the keys `format`, `format_version`, `written` and `about`.

    **Raises:** as `load`.

    ```python
    >>> import pathlib, tempfile
    >>> from infinity.io import read_header, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers.inf"
    >>> save([1.0, 2.0], path, header={"unit": "m"})
    >>> read_header(path)["about"]
    {'unit': 'm'}

    ```
    """
    with _open(path) as archive:
        document = _read_document(archive)
    return {key: document.get(key) for key in ("format", "format_version", "written", "about")}


def provenance() -> dict[str, Any]:
    """Return the date and the versions of the packages that decide a result's last digits."""
    packages = ("infinity", "jax", "jaxlib", "equinox", "optimistix", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {package: version_of(package) for package in packages},
    }


def version_of(package: str) -> str | None:
    """Return the installed version of a package, `None` where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _open(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Return the archive at `path`, each of whose entries is known to lie within the file."""
    place = Path(path)
    if place.is_dir():
        if not (place / "model.inf").is_file():
            raise ValueError(f"{place} is a folder without a model.inf; give a run folder or a model file")
        place = place / "model.inf"
    if not place.exists():
        raise FileNotFoundError(f"there is no model file {place}")
    foreign = f"{place} is not a model file of Infinity, or it is damaged"
    try:
        archive = zipfile.ZipFile(place)
    except PermissionError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{foreign} ({error})") from error
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    # We store without compression, so a declared size that exceeds the file is a lie, not a small text.
    honest = all(
        entry.compress_type == zipfile.ZIP_STORED
        and entry.file_size == entry.compress_size <= place.stat().st_size
        and not entry.flag_bits & 1
        for entry in entries
    )
    if _HEADER not in names or len(set(names)) != len(names) or not honest:
        archive.close()
        raise ValueError(f"{foreign} (it is a zip, but not one that inf.save wrote)")
    return archive


def _read_document(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the JSON header, with its format and version checked."""
    damaged = f"{archive.filename} is not a model file of Infinity, or it is damaged"
    if archive.getinfo(_HEADER).file_size > _LARGEST_HEADER:
        raise ValueError(f"{damaged} (its header is larger than {_LARGEST_HEADER} bytes)")
    try:
        document = json.loads(archive.read(_HEADER))
    except _DAMAGE as error:
        raise ValueError(f"{damaged} (its header cannot be read: {error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or "model" not in document:
        raise ValueError(f"{damaged} (its header does not say {FORMAT!r})")
    version = document.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{damaged} (its format version is {version!r})")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{archive.filename} has format version {version} and this version of Infinity reads up to "
            f"{FORMAT_VERSION}. Update it: pip install --upgrade infinity"
        )
    return document


def _as_plain(array: np.ndarray) -> np.ndarray:
    """Return the array in C order and little-endian; small floats that `.npy` cannot name become unsigned integers."""
    array = np.asarray(array, order="C")
    if array.dtype.kind == "V":
        return array.view(f"<u{array.dtype.itemsize}")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _read_array(archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array called `name`, if the file holds exactly the bytes that its header declares."""
    if name not in archive.namelist():
        raise ValueError(f"the array {name!r} is missing; the file is damaged")
    try:
        content = archive.read(name)
        buffer = io.BytesIO(content)
        if np.lib.format.read_magic(buffer) != (1, 0):
            raise ValueError("another npy version")
        found_shape, fortran, found_dtype = np.lib.format.read_array_header_1_0(buffer)
    except _DAMAGE as error:
        raise ValueError(f"the array {name!r} is damaged ({error})") from error
    plain = np.dtype(f"<u{dtype.itemsize}") if dtype.kind == "V" else dtype.newbyteorder("<")
    if found_dtype != plain or found_shape != shape or fortran:
        raise ValueError(
            f"the array {name!r} has dtype {found_dtype} and shape {found_shape}, "
            f"but the header says {dtype} and {shape}"
        )
    body = content[buffer.tell() :]
    # Python integers, for a product of declared sizes may pass 2**63.
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != len(body):
        raise ValueError(
            f"the array {name!r} holds {len(body)} bytes, but its shape {shape} needs {count * dtype.itemsize}"
        )
    flat = np.frombuffer(body, plain)
    flat = flat.view(dtype) if dtype.kind == "V" else flat.astype(dtype.newbyteorder("="))
    return flat.reshape(shape).copy()
