r"""A formula as text: for people, for Python, for C, for LaTeX and as a SymPy expression; one walk, five vocabularies.

Numbers of code read back to the same bits. Names of columns are only ever looked up, never read as code: a column may be called `S`, `lambda` or `E`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from .tree import Tree, exact

_SUM, _PRODUCT, _POWER, _ATOM = range(4)


@dataclasses.dataclass(frozen=True)
class Style:
    """How one language writes numbers, powers and functions."""

    number: Callable[[float], str]
    fraction: Callable[[Fraction], str]
    power: Callable[[str, str], str]
    root: Callable[[str], str]
    function: Callable[[str, str], str]
    quotient: Callable[[str, str], str] | None = None
    times: str = "*"


def _plain_fraction(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def _code_fraction(value: Fraction) -> str:
    return f"{value.numerator}.0" if value.denominator == 1 else f"({value.numerator}.0/{value.denominator}.0)"


def plain(digits: int) -> Style:
    """For people; `parse` reads it back."""

    def number(value: float) -> str:
        text = f"{value:.{digits}g}"
        return text if any(mark in text for mark in ".en") else f"{text}.0"

    power = lambda base, exponent: f"{base}^{exponent}"
    return Style(number, _plain_fraction, power, lambda a: f"sqrt({a})", lambda f, a: f"{f}({a})")


NUMPY_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
NUMPY = Style(
    repr, _code_fraction, lambda base, exponent: f"{base}**{exponent}", lambda a: f"np.sqrt({a})",
    lambda f, a: f"np.{NUMPY_NAMES.get(f, f)}({a})",
)  # fmt: skip
C = Style(
    repr, _code_fraction, lambda base, exponent: f"pow({base}, {exponent})", lambda a: f"sqrt({a})",
    lambda f, a: f"{'fabs' if f == 'abs' else f}({a})",
)  # fmt: skip


def latex_style(digits: int, number: Callable[[float, int], str]) -> Style:
    """For a page; `number` writes a float with so many digits."""
    names = {"asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan"}
    fraction = lambda value: (
        str(value.numerator)
        if value.denominator == 1
        else rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    )
    function = lambda f, a: rf"\left|{a}\right|" if f == "abs" else rf"{names.get(f, chr(92) + f)}\left({a}\right)"
    return Style(
        lambda value: number(value, digits), fraction, lambda base, exponent: f"{base}^{{{exponent}}}", lambda a: rf"\sqrt{{{a}}}", function,
        lambda above, below: rf"\frac{{{above}}}{{{below}}}", r" \, ",
    )  # fmt: skip


def write(tree: Tree, names: Sequence[str], constants: Any, style: Style) -> str:
    """The text of a formula in a style."""
    return _write(tree, names, constants, style)[0]


def _write(tree: Tree, names: Sequence[str], constants: Any, style: Style) -> tuple[str, int]:
    word = tree[0]
    rec = lambda node: _write(node, names, constants, style)
    if word == "x":
        return str(names[tree[1]]), _ATOM
    if word == "c":
        value = float(constants[tree[1]])
        return style.number(value), _SUM if value < 0 else _ATOM
    if word == "q":
        value = Fraction(tree[1], tree[2])
        return style.fraction(value), _SUM if value < 0 else _ATOM if value.denominator == 1 else _PRODUCT
    if word == "add":
        text = ""
        for at, child in enumerate(tree[1:]):
            part = rec(child)[0]
            text += part if at == 0 else f" - {part[1:]}" if part.startswith("-") else f" + {part}"
        return text, _SUM
    if word == "mul":
        return _product(tree, rec, style)
    if word == "pow":
        return _power(tree, rec, style)
    return style.function(word, rec(tree[1])[0]), _ATOM


def _bracketed(part: tuple[str, int], least: int, style: Style) -> str:
    text, level = part
    if level >= least:
        return text
    return rf"\left({text}\right)" if style.quotient else f"({text})"


def _product(tree: Tree, rec: Callable[[Tree], tuple[str, int]], style: Style) -> tuple[str, int]:
    above, below, sign, scale = [], [], "", Fraction(1)
    for child in tree[1:]:
        value = exact(child)
        exponent = exact(child[2]) if child[0] == "pow" else None
        if value is not None:
            scale *= value
        elif exponent is not None and exponent < 0:
            below.append(
                child[1] if exponent == -1 else ("pow", child[1], ("q", -exponent.numerator, exponent.denominator))
            )
        else:
            above.append(child)
    texts = []
    for child in above:
        part = rec(child)
        if child[0] == "c" and part[0].startswith("-") and not sign:
            sign, part = "-", (part[0][1:], _ATOM)
        alone = style.quotient is not None and len(above) == 1 and bool(below)
        texts.append(part[0] if alone else _bracketed(part, _PRODUCT, style))
    if scale < 0:
        sign, scale = ("" if sign else "-"), -scale
    one = style.fraction(Fraction(1))
    if scale.numerator != 1 or not texts:
        texts.insert(0, style.fraction(Fraction(scale.numerator)))
    top = style.times.join(texts)
    unders = [rec(child) for child in below]
    if scale.denominator != 1:
        unders.insert(0, (style.fraction(Fraction(scale.denominator)), _ATOM))
    if not unders:
        return sign + top, _SUM if sign else _PRODUCT
    if style.quotient is not None:
        bottom = unders[0][0] if len(unders) == 1 else style.times.join(_bracketed(u, _PRODUCT, style) for u in unders)
        return sign + style.quotient(top or one, bottom), _SUM if sign else _PRODUCT
    bottom = (
        _bracketed(unders[0], _POWER, style)
        if len(unders) == 1
        else f"({style.times.join(_bracketed(u, _PRODUCT, style) for u in unders)})"
    )
    return f"{sign}{top}/{bottom}", _SUM if sign else _PRODUCT


def _power(tree: Tree, rec: Callable[[Tree], tuple[str, int]], style: Style) -> tuple[str, int]:
    value = exact(tree[2])
    if value is not None and value < 0:
        return _product(("mul", tree), rec, style)
    if value == Fraction(1, 2):
        return style.root(rec(tree[1])[0]), _ATOM
    exponent = rec(tree[2])
    if style is C:
        return style.power(rec(tree[1])[0], exponent[0]), _ATOM
    upper = exponent[0] if style.quotient is not None else _bracketed(exponent, _ATOM, style)
    return style.power(_bracketed(rec(tree[1]), _ATOM, style), upper), _POWER


def to_sympy(tree: Tree, symbols: Any, constants: Any) -> Any:
    """The tree built from SymPy's own objects, without any text."""
    import sympy

    word = tree[0]
    if word == "x":
        return symbols[tree[1]]
    if word == "c":
        return sympy.Float(float(constants[tree[1]]), 17)
    if word == "q":
        return sympy.Rational(tree[1], tree[2])
    parts = [to_sympy(child, symbols, constants) for child in tree[1:]]
    known: dict[str, Any] = {"add": sympy.Add, "mul": sympy.Mul, "pow": sympy.Pow, "abs": sympy.Abs}
    return known[word](*parts) if word in known else getattr(sympy, word)(*parts)
