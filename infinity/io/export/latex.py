r"""A model as a LaTeX formula for reading: the sum of products, then a table of polynomials for each input (needs amsmath)."""

import math
from collections.abc import Sequence

import numpy as np

from ...fitting.links import Part
from .description import Description
from .text import MARK, code_lines

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def latex(model: Description, name: str, version: str, digits: int) -> str:
    """The text of the fragment, numbers with so many significant digits."""
    M, O, D = model.mixing.shape[1], len(model.targets), len(model.axes)
    lines = [f"% {' '.join(name.split())}. {MARK} {version}; {digits} digits; needs amsmath."]
    lines += [*(f"% Coded {line}." for line in code_lines(model.coding)), r"\begin{align*}"]
    product = (
        " ".join(f"f_{{{d + 1},m}}(x_{{{d + 1}}})" for d in range(D))
        if D <= 4
        else rf"\prod_{{d=1}}^{{{D}}} f_{{d,m}}(x_d)"
    )
    for o, target in enumerate(model.targets):
        terms = [written(model.constant[o], digits)]
        if model.has_additive:
            terms.append(rf"\sum_{{d=1}}^{{{D}}} a_{{d{f',{o + 1}' if O > 1 else ''}}}(x_d)")
        terms.append(rf"\sum_{{m=1}}^{{{M}}} w_{{{f'{o + 1},' if O > 1 else ''}m}} \, {product}")
        lines.append(rf"{_linked(model.parts[o], name_of(target), digits)} &= {' + '.join(terms)} \\")
    for o in range(O):
        lines.append(
            rf"w_{{{f'{o + 1},' if O > 1 else ''}1 \dots {M}}} &= {', '.join(written(w, digits) for w in model.mixing[o])} \\"
        )
    for d, axis in enumerate(model.axes):
        lines.append(
            rf"x_{{{d + 1}}} &= {name_of(axis.name)} \in [{written(axis.lower, digits)},\, {written(axis.upper, digits)}] \\"
        )
    lines += [r"v &= \frac{2 x - l - r}{r - l} \quad \text{in a cell } [l, r)", r"\end{align*}"]
    for d in range(D):
        lines += _table(model, d, digits)
    return "\n".join(lines) + "\n"


def _linked(part: Part, name: str, digits: int) -> str:
    """What the model describes of a target."""
    lower, upper = (written(end, digits) if math.isfinite(end) else "" for end in (part.lower, part.upper))
    if part.kind == "between":
        return rf"\log \frac{{{name} - ({lower})}}{{{upper} - {name}}}"
    if part.kind == "below":
        return rf"-\log ({upper} - {name})"
    if part.kind == "above":
        return rf"\log ({name} - ({lower}))"
    if part.kind == "square":
        return rf"{name}^2"
    if part.kind == "clip":
        ends = rf"\in [{lower},\, {upper}]" if lower and upper else rf"\ge {lower}" if lower else rf"\le {upper}"
        return rf"{name}\ (\text{{kept }} {ends})"
    return rf"\log {name}" if part.kind == "log" else name


def _table(model: Description, d: int, digits: int) -> list[str]:
    """The polynomials of one input, one cell after another."""
    axis, O = model.axes[d], len(model.targets)
    powers = ["1", "v", *(f"v^{{{k}}}" for k in range(2, model.powers))]
    lines = [r"\[", r"\begin{array}{ll|" + "r" * len(powers) + "}", rf"[l, r) & & {' & '.join(powers)} \\ \hline"]
    for e in range(axis.cells):
        left, right = (written(end, digits) for end in axis.physical[e : e + 2])
        rows = [(f"f_{{{d + 1},{m + 1}}}", row) for m, row in enumerate(axis.factors[e])]
        rows += [(f"a_{{{d + 1}{f',{o + 1}' if O > 1 else ''}}}", row) for o, row in enumerate(axis.additive[e])]
        for at, (symbol, row) in enumerate(rows):
            cell = rf"[{left},\, {right})" if at == 0 else ""
            lines.append(rf"{cell} & {symbol}(x_{{{d + 1}}}) & {_row(row, digits)} \\")
    return [*lines, r"\end{array}", r"\]"]


def _row(values: Sequence[float] | np.ndarray, digits: int) -> str:
    return " & ".join(written(value, digits) for value in values)


def written(value: float, digits: int) -> str:
    r"""A number for reading.

    >>> from infinity.io.export.latex import written
    >>> written(-0.000012345, 3), written(12.5, 3)
    ('-1.23 \\cdot 10^{-5}', '12.5')
    """
    mantissa, mark, exponent = f"{value:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if mark else mantissa


def name_of(text: str) -> str:
    """A name as upright text, its special characters escaped."""
    return rf"\text{{{''.join(_SPECIAL.get(character, character) for character in ' '.join(text.split()))}}}"
