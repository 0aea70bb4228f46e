"""Finished fits on disk, so that an interrupted selection goes on where it was: `journal/{about.json, <digest>.inf, …}`.

A fit is known by the digest of all that decides it: rows, start, evidence and options. One that is in the journal is read, not fitted again, so that
what is resumed gives the same bits as what was never interrupted. Each file is written whole or not at all.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..models import AbstractSeparable
from .direct import DirectFit
from .stacked import unstack

FORMAT = "infinity-journal"
_ABOUT = "about.json"


def is_journal(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a journal."""
    return _about(Path(folder)).get("format") == FORMAT


def _about(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclasses.dataclass(frozen=True)
class Journal:
    """The finished fits of one table with one set of options.

    **Fields:** the folder, which is made when the first fit is finished, and what it says about itself.
    """

    folder: Path
    about: dict[str, Any]

    def once(self, start: AbstractSeparable, inputs: dict[str, Any], fit: Callable[[], DirectFit]) -> DirectFit:
        """A fit from the journal, or what `fit` finds, which is kept.

        **Arguments:** the start and everything else that decides the fit; the fit.
        """
        from ..io import load, save
        from ..io.digest import digest

        place = self.folder / f"{digest({**inputs, 'start': start})}.inf"
        if place.exists():
            kept = load(place)
            return DirectFit(model=unstack(kept["state"].stacked, start), **kept)
        found = fit()
        self._begin()
        names = (field.name for field in dataclasses.fields(DirectFit) if field.name != "model")
        save({name: getattr(found, name) for name in names}, place)
        return found

    def _begin(self) -> None:
        from ..io import atomic_file

        if not (self.folder / _ABOUT).exists():
            with atomic_file(self.folder / _ABOUT) as partial:
                partial.write_text(json.dumps(self.about, indent=2) + "\n", encoding="utf-8")


def open_journal(folder: str | os.PathLike[str], rows: Sequence[np.ndarray], options: dict[str, Any]) -> Journal:
    """The journal of a fit, new or to go on with.

    **Arguments:** the folder; the arrays of the table; the options, as JSON data.

    **Raises:** `ValueError` where the folder holds something else, or the journal of other rows or options.
    """
    from ..io import provenance
    from ..io.digest import digest

    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise ValueError(f"journal is the file {place}; give a folder, which may be new")
    about = {"format": FORMAT, "format_version": 1, "rows": digest(list(rows)), "options": options}
    about = {**about, "versions": {name: provenance()["versions"][name] for name in ("infinity", "jax", "jaxlib")}}
    if not is_journal(place):
        if place.exists() and any(place.iterdir()):
            raise ValueError(f"{place} holds files that are not a journal, and is left alone; give another folder")
        return Journal(place, about)
    old = _about(place)
    differences = [] if old.get("rows") == about["rows"] else ["other rows"]
    for part in ("options", "versions"):
        before, now = old.get(part, {}), about[part]
        names = [name for name in now if before.get(name) != now[name]]
        differences += [f"{name} {before.get(name)!r} and not {now[name]!r}" for name in names]
    if old.get("format_version") != about["format_version"] or differences:
        reason = ", ".join(differences) or "another format version"
        raise ValueError(
            f"the journal {place} is of another fit: it has {reason}. Resume with the same table, options and versions, or start anew without it"
        )
    return Journal(place, about)
