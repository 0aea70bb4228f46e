"""A run folder: `{model.inf, predictor.inf, result.json, parity.png, factors.png | forecast.png, config.toml}`, put in place whole.

An older run may be replaced; a folder that holds anything else never is. Until a run is finished its folder holds a `journal/` of what is, which the
finished run replaces with the rest.
"""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "infinity-run"
FORMAT_VERSION = 1
PREDICTOR = "predictor.inf"
JOURNAL = "journal"


def check_replaceable(folder: str | os.PathLike[str]) -> None:
    """Refuse an output folder that exists and is not an older run.

    **Arguments:**

    - `folder`: where a run will be written.

    **Raises:** `ValueError` that names the folder.
    """
    place = Path(folder)
    if not place.exists():
        return
    if not place.is_dir():
        raise ValueError(f"{place} is a file; choose another --out folder")
    if place.resolve() == Path.cwd():
        raise ValueError("the run folder cannot be the current folder; choose another --out folder")
    if any(place.iterdir()) and not _is_run(place) and not _is_interrupted(place):
        raise ValueError(
            f"{place} holds files that are not an Infinity run, and is left alone; choose another --out folder"
        )


def journal_of(folder: Path, resume: bool) -> Path:
    """The journal of a run, as the run wants it: that of an interrupted one, or none yet.

    **Arguments:**

    - `folder`: the run folder, already known to be writable and replaceable.
    - `resume`: whether to go on with an interrupted run; else what one left is removed.

    **Returns:** the folder of the journal.

    **Raises:** `ValueError` where there is no run to resume.
    """
    from ..fitting.journal import is_journal

    journal = folder / JOURNAL
    if resume and not is_journal(journal):
        raise ValueError(
            f"{folder} holds no interrupted fit to resume; leave out --resume, or name its folder with --out"
        )
    if not resume and is_journal(journal):
        shutil.rmtree(journal)
    return journal


def _is_interrupted(place: Path) -> bool:
    from ..fitting.journal import is_journal

    return is_journal(place / JOURNAL) and len(list(place.iterdir())) == 1


def _is_run(place: Path) -> bool:
    try:
        found = json.loads((place / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def plain(value: Any) -> Any:
    """Turn results into JSON data: arrays become lists, and numbers that are not finite become null.

    **Arguments:**

    - `value`: numbers, strings, arrays, and mappings and sequences of them. Anything else becomes its text.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic) or hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    return str(value)
