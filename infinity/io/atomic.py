"""All or nothing on disk: `write(temporary); rename(temporary, final)`.

A reader sees the old file or the new one, never half of one, because `os.replace` within one folder is atomic.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


def _sibling(path: Path) -> Path:
    """Return a hidden, unused name beside `path`, so that the final rename stays on one file system."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.partial"


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before the work starts whether `path` could be written after it.

    Makes and removes an empty folder where the output would go; missing parents count as writable when the nearest
    existing one is. Nothing is left behind.

    **Arguments:**

    - `path`: the file or folder that will be written later.

    **Raises:** `OSError` that names the folder and the reason.
    """
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(f"cannot write {path}: {folder} is a file, not a folder; choose another place")
    probe = _sibling(folder / "probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise OSError(
            f"cannot write {path}: the folder {folder} is not writable ({error.strerror}); choose another place"
        ) from error


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to `path` on success, remove it on any failure.

    **Arguments:**

    - `path`: where the finished file goes. Its folder is made when missing.

    **Returns:** a context manager that gives the temporary `Path`.

    **Raises:** `OSError` where the folder cannot be written.

    ```python
    >>> import pathlib, tempfile
    >>> from infinity.io.atomic import atomic_file
    >>> final = pathlib.Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with atomic_file(final) as partial:
    ...     _ = partial.write_text("1 2 3")
    >>> final.read_text()
    '1 2 3'

    ```
    """
    final = Path(path)
    check_writable(final)
    if final.is_dir():
        raise OSError(f"cannot write the file {final}: a folder of that name exists; choose another name")
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = _sibling(final)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder to fill; put it in the place of `path` on success, remove it on any failure.

    An existing folder at `path` is replaced as a whole. The caller decides whether that is allowed.

    **Arguments:**

    - `path`: where the finished folder goes. Its parents are made when missing.

    **Returns:** a context manager that gives the temporary folder.

    **Raises:** `OSError` where the place cannot be written.
    """
    final = Path(path).absolute()
    check_writable(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial, old = _sibling(final), _sibling(final)
    partial.mkdir()
    try:
        yield partial
        if final.exists():
            final.rename(old)
        try:
            partial.rename(final)
        except BaseException:
            if old.exists():
                old.rename(final)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
