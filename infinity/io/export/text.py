"""Numbers and names as text: `repr` gives the shortest text that reads back as the same float64."""

import json
import keyword
import re
from typing import Any

import numpy as np

from ...fitting.coding import Coding

# The first lines of every exported file hold this, so that a newer export may replace an older one and nothing else.
MARK = "Written by Infinity"

_C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short "
    "signed sizeof static struct switch typedef union unsigned void volatile while main"
)

POLICIES = {
    "error": "an error",
    "warn": "continued along straight lines, with a warning",
    "linear": "continued along straight lines",
    "clamp": "the value at the nearest point of the box",
    "nan": "NaN",
}


def number(value: Any) -> str:
    """A float as text that reads back to the same bits."""
    return repr(float(value))


def numbers(values: Any, indent: int = 4, a_line: int = 4) -> str:
    """Many floats, separated by commas, a few a line."""
    flat = [number(value) for value in np.ravel(values)]
    lines = [", ".join(flat[at : at + a_line]) for at in range(0, len(flat), a_line)]
    return (",\n" + " " * indent).join(lines)


def nested(values: np.ndarray, indent: int = 4) -> str:
    """An array as nested Python tuples, an innermost one a line."""
    if values.ndim == 1:
        return f"({', '.join(number(value) for value in values)},)" if len(values) else "()"
    inner = (",\n" + " " * (indent + 1)).join(nested(row, indent + 1) for row in values)
    return f"({inner},)"


def identifier(text: str, fallback: str = "model") -> str:
    """A name that both Python and C accept: other characters become underscores."""
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_") or fallback
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) or name in _C_WORDS.split(" ") else name


def quoted(text: str) -> str:
    """A name in double quotes, on one line, safe inside comments of C and docstrings of Python."""
    return json.dumps(text, ensure_ascii=False).replace("*/", "* /").replace("/*", "/ *")


def docstring(text: str) -> str:
    """The text as the inside of a Python docstring."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def code_lines(coding: Coding | None) -> list[str]:
    """What the categories and missing values of a table are in the columns of the model, one line an input that is coded."""
    lines = []
    for column in () if coding is None else coding.columns:
        if column.kind == "gaps":
            lines.append(
                f"{quoted(column.name)}: missing -> {number(column.codes[0][0])}, 1.0; any number -> itself, 0.0"
            )
        elif column.is_category:
            names = ("missing" if level is None else quoted(level) for level in column.levels)
            pairs = (
                f"{name} -> {', '.join(map(number, code))}" for name, code in zip(names, column.codes, strict=True)
            )
            lines.append(f"{quoted(column.name)}: {'; '.join(pairs)}")
    return lines


def columns(names: tuple[str, ...], details: list[str] | None = None) -> str:
    """One line a name, numbered as in the formula."""
    more = details or [""] * len(names)
    return "\n".join(
        f"    {at}  {quoted(name)}{detail}" for at, (name, detail) in enumerate(zip(names, more, strict=True))
    )
