"""A model as one Python module that needs NumPy only: `predict(x)`, `(N, D) -> (N, O)`."""

import textwrap

from ...fitting.coding import Coding, Column
from ...fitting.links import Part
from .description import Description
from .linked import NUMPY, joined
from .text import MARK, POLICIES, columns, docstring, nested, numbers

_BODY = '''
def predict(x):
    """{doc}"""
    x = {coded}
    x = x[:, None] if x.ndim == 1 and len(INPUTS) == 1 else x
    if x.ndim != 2 or x.shape[1] != len(INPUTS):
        raise ValueError(f"x has shape {{x.shape}}; expected (N, {{len(INPUTS)}})")
{check}    inside = np.clip(x, LOWER, UPPER)
    beyond = {beyond}
    modes, change = np.ones((len(x), MIXING.shape[1])), np.zeros((len(x), MIXING.shape[1]))
    y = np.tile(CONSTANT, (len(x), 1))
    beyond_y = np.zeros_like(y)
    for d, (origin, width, edges, factors, additive) in enumerate(AXES):
        t = (inside[:, d] - origin) / width
        cell = np.searchsorted(edges[1:-1], t, side="right")
        half = (edges[cell + 1] - edges[cell]) / 2
        v = (t - edges[cell]) / half - 1
        step = beyond[:, d] / (half * width)
        value, slope = _horner(factors[cell], v, step)
        modes, change = modes * value, change * value + modes * slope
        if additive.size:
            value, slope = _horner(additive[cell], v, step)
            y, beyond_y = y + value, beyond_y + slope
    y, beyond_y = y + modes @ MIXING.T, beyond_y + change @ MIXING.T
    y = {joined}
{finish}    return {result}


def _horner(powers, v, step):
    """The polynomials sum_k powers[..., k] v^k, and their derivatives times step."""
    v, step = v[:, None], step[:, None]
    value, slope = powers[..., -1], np.zeros(powers.shape[:-1])
    for k in range(powers.shape[-1] - 2, -1, -1):
        slope = slope * v + value
        value = value * v + powers[..., k]
    return value, slope * step
'''

_CODED = '''
def coded(x):
    """The numbers that the model takes for the rows of a table."""
    x = x if hasattr(x, "__array__") else np.array(x, dtype=object)
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 and len(COLUMNS) == 1 else x
    if x.ndim != 2 or x.shape[1] != len(COLUMNS):
        raise ValueError(f"x has shape {x.shape}; expected (N, {len(COLUMNS)})")
    parts = []
    for name, codes, column in zip(COLUMNS, CODES, x.T):
        labels = [_label(value) for value in column]
        if isinstance(codes, dict):
            for row, label in enumerate(labels):
                if label not in codes:
                    raise ValueError(f"row {row + 1}, column {name!r}: the category {label!r} is unknown; the model knows {list(codes)}")
            parts.append(np.array([codes[label] for label in labels]))
            continue
        gaps = np.array([label is None for label in labels])
        values = np.array([np.nan if gap else float(value) for gap, value in zip(gaps, column)])
        if codes is None and gaps.any():
            raise ValueError(f"row {int(np.argmax(gaps)) + 1}, column {name!r}: the value is missing")
        parts.append(values[:, None] if codes is None else np.stack([np.where(gaps, codes, values), gaps], axis=1))
    return np.concatenate(parts, axis=1)


def _label(value):
    """A category as text, so that 1 and 1.0 are one; None for a missing one."""
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()

'''

_SLACK = "4 * np.finfo(float).eps * np.maximum(np.abs(LOWER), np.abs(UPPER))"
_CHECKS = {
    "error": f"    slack = {_SLACK}\n    if np.any((x < LOWER - slack) | (x > UPPER + slack)):\n"
    '        raise ValueError("a row of x lies outside the box of the model")\n',
    "warn": f"    slack = {_SLACK}\n    if np.any((x < LOWER - slack) | (x > UPPER + slack)):\n"
    '        warnings.warn("a row of x lies outside the box of the model", stacklevel=2)\n',
}


def numpy_code(model: Description, name: str, version: str) -> str:
    """The text of the module."""
    outside, coding = model.outside, model.coding
    given, more = (
        (model.inputs, None) if coding is None else (coding.inputs, [_kind(column) for column in coding.columns])
    )
    box = [f", {axis.lower!r} to {axis.upper!r}" for axis in model.axes]
    shape = "(N,)" if model.scalar else f"(N, {len(model.targets)})"
    doc = (
        f"{', '.join(model.targets)} at the rows of x.\n\nx: shape (N, {len(given)}), columns\n{columns(given, more or box)}\n"
        f"returns: shape {shape}, columns\n{columns(model.targets)}\nOutside the box: {POLICIES[outside]}.\n"
    )
    head = (
        f'"""{docstring(name)}: a sum of products of one-dimensional splines. {MARK} {version}; needs NumPy only."""\n\n'
        + ("import warnings\n\n" if outside == "warn" else "")
        + "import numpy as np\n\n"
        + f"INPUTS = {model.inputs!r}\nTARGETS = {model.targets!r}\n"
        + f"LOWER = np.array([{numbers([axis.lower for axis in model.axes])}])\n"
        + f"UPPER = np.array([{numbers([axis.upper for axis in model.axes])}])\n"
        + f"CONSTANT = np.array({nested(model.constant)})\nMIXING = np.array({nested(model.mixing)})\n"
        + "# For each input: origin and width of its coordinate, ends of the cells, powers of the factors (cell, mode, power) and of the additive part.\n"
        + "AXES = (\n"
    )
    axes = "".join(
        f"    (\n        {axis.origin!r},\n        {axis.width!r},\n        np.array([{numbers(axis.breakpoints, 12)}]),\n"
        f"        np.array({nested(axis.factors, 12)}),\n        np.array({nested(axis.additive, 12) if model.has_additive else '()'}),\n    ),\n"
        for axis in model.axes
    )
    finish = "    y[np.any(inside != x, axis=1)] = np.nan\n" if outside == "nan" else ""
    body = _BODY.format(
        doc=textwrap.indent(docstring(doc), "    ").lstrip() + "    ",
        coded="np.asarray(x, dtype=float)" if coding is None else "coded(x)",
        check=_CHECKS.get(outside, ""),
        beyond="np.zeros_like(x)" if outside in ("clamp", "nan") else "x - inside",
        finish=finish,
        joined=_link(model.parts),
        result="y[:, 0]" if model.scalar else "y",
    )
    return f"{head}{axes})\n\n{'' if coding is None else _codes(coding)}{body}"


def _kind(column: Column) -> str:
    return ", a category" if column.is_category else ", a number or None" if column.kind == "gaps" else ", a number"


def _codes(coding: Coding) -> str:
    """The categories and gaps of a table as data, and the function that codes them."""
    lines = []
    for column in coding.columns:
        if column.is_category:
            pairs = zip(column.levels, column.codes, strict=True)
            lines.append("{" + ", ".join(f"{level!r}: ({numbers(code)},)" for level, code in pairs) + "}")
        else:
            lines.append(repr(column.codes[0][0]) if column.kind == "gaps" else "None")
    listed = "".join(f"    {line},\n" for line in lines)
    return (
        f"COLUMNS = {coding.inputs!r}\n"
        "# For each column: nothing for a number, the number in the place of a missing one, or what each category is coded as.\n"
        f"CODES = (\n{listed})\n\n{_CODED}"
    )


def _link(parts: tuple[Part, ...]) -> str:
    branches = [joined(part, "y", "beyond_y", NUMPY) for part in parts]
    if len(set(branches)) == 1:
        return branches[0]
    each = [joined(part, f"y[:, {o}]", f"beyond_y[:, {o}]", NUMPY) for o, part in enumerate(parts)]
    return f"np.stack([{', '.join(each)}], axis=1)"
