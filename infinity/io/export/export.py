"""The one door: `export(model, to, path)`, a model in, text out."""

import os
from pathlib import Path
from typing import Any

from ...fitting import Fitted, Result
from ...models import AION
from ..atomic import atomic_file
from ..file import version_of
from .c_code import c_code
from .description import describe
from .exponential import exponential_text
from .json_data import json_data
from .latex import latex
from .numpy_code import numpy_code
from .sympy_code import sympy_code
from .text import MARK, identifier

# The formats and how their files end.
FORMATS = {"numpy": ".py", "c": ".c", "sympy": "_sympy.py", "latex": ".tex", "json": ".json"}


def export(
    model: Any,
    to: str,
    path: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    digits: int = 6,
    force: bool = False,
) -> str:
    r"""Write a fitted separable model, or an AION, as code or data that needs no Infinity.

    **Arguments:**

    - `model`: what `inf.fit` returned, or its `Fitted` model; a separable model inside, such as `KHRONOS`, or an `AION`, whose JSON holds its atoms.
    - `to`: `"numpy"`, a module with `predict(x)`, `(N, D)` to `(N,)` or `(N, O)`; `"c"`, C99 with `void NAME_predict(const double *x, double *y)` and
      `int NAME_inside(const double *x)`; `"sympy"`, a module with `SYMBOLS` and `expression(target=0)`; `"latex"`, a formula and tables; `"json"`, the
      numbers with the formula that joins them.
    - `path`: the file to write, or nothing for the text alone.
    - `name`: of the C function and in the headings; from the file's name if not given, else `model`.
    - `digits`: of the numbers in LaTeX. All others are written so that they read back to the same bits.
    - `force`: replace a file at `path` even if no export wrote it.

    **Returns:** the text.

    A model with categories or missing values: the module for NumPy takes the table as it was fitted, the other formats take coded columns and say in a comment
    (JSON: in `coding`) what each category is coded as.

    Outside the box the code does what the model does; where it cannot warn or raise an error, C and SymPy give the straight lines for `"warn"`
    and NaN for `"error"`. The values agree with the model's to rounding, in double precision.

    **Raises:** `ValueError` for a model that cannot be written out, an unknown format, or a foreign file at `path`;
    `OSError` where the place cannot be written.

    >>> import jax, infinity as inf
    >>> inner = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=1, degree=1, key=jax.random.key(0))
    >>> fitted = inf.Fitted(inner, (0.0, 0.0), (2.0, 1.0), True, (0.0,), (1.0,), ("a", "b"), ("y",), "linear", True)
    >>> text = inf.export(fitted, "numpy")
    >>> namespace = {}
    >>> exec(text, namespace)
    >>> import numpy as np
    >>> x = np.array([[0.5, 0.25], [2.0, 1.5]])
    >>> bool(np.allclose(namespace["predict"](x), fitted.predict(x), rtol=1e-5))
    True
    """
    if to not in FORMATS:
        raise ValueError(f"export got to={to!r}; expected one of {', '.join(FORMATS)}")
    if not 1 <= digits <= 17:
        raise ValueError(f"export got digits={digits}; expected 1 to 17")
    given = name if name is not None else "model" if path is None else Path(path).name.partition(".")[0]
    called, version = identifier(given), version_of("infinity") or "0"
    fitted = model.model if isinstance(model, Result) else model
    if isinstance(fitted, Fitted) and isinstance(fitted.inner, AION):
        text = exponential_text(fitted, to, called, version, digits)
        _write(text, path, force)
        return text
    described = describe(model)
    if to == "latex":
        text = latex(described, called, version, digits)
    else:
        write = {"numpy": numpy_code, "c": c_code, "sympy": sympy_code, "json": json_data}[to]
        text = write(described, called, version)
    _write(text, path, force)
    return text


def _write(text: str, path: str | os.PathLike[str] | None, force: bool) -> None:
    if path is None:
        return
    if not force:
        check_ours(path)
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def check_ours(path: str | os.PathLike[str]) -> None:
    """Refuse a file that exists and that no export wrote.

    **Raises:** `ValueError` that names the file.
    """
    place = Path(path)
    if not place.is_file():
        return
    with place.open("rb") as file:
        start = file.read(2000)
    if MARK.encode() not in start:
        raise ValueError(
            f"{place} exists and was not written by an export; choose another name, or replace it with --force (force=True)"
        )
