"""A fitted model as code or data: `run folder → NAME.py, NAME.c, NAME_sympy.py, NAME.tex or NAME.json`."""

from pathlib import Path

from ..io import check_writable, load
from ..io.export import FORMATS, check_ours, export


def write_export(run: Path, to: str, out: Path | None, digits: int, force: bool) -> None:
    """Write a model as code or data.

    **Arguments:**

    - `run`: a run folder or a model file.
    - `to`: the format.
    - `out`: the file to write; beside the run and named after it if not given; `-` for standard output.
    - `digits`: of numbers in LaTeX.
    - `force`: replace a file that no export wrote.

    **Raises:** `ValueError` or `OSError` for a model that cannot be written out or a place that cannot be written.
    """
    place = run.resolve()
    name = place.name if place.is_dir() else place.stem
    if out is not None and str(out) == "-":
        print(export(load(run), to, name=name, digits=digits), end="")
        return
    target = place.parent / f"{name}{FORMATS[to]}" if out is None else out
    check_writable(target)
    if not force:
        check_ours(target)
    fitted = load(run)
    export(fitted, to, target, name=name if out is None else None, digits=digits, force=force)
    print(f"{', '.join(fitted.targets)} of {', '.join(fitted.inputs)}, written to {target}")
