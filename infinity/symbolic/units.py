r"""Units as vectors of exact exponents of base dimensions, read by pint.

    dim(a b) = dim a + dim b,    dim(a^n) = n dim a,    terms of a sum have one dimension,    functions take and give numbers without one

Only dimensions count: metres and millimetres go together, for the numbers of a formula may convert between them.
"""

import functools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from .tree import Tree, exact, indices

Dimension = dict[str, Fraction]
# How the searched part of a template is written.
PLACE = "?"


@functools.cache
def _registry() -> Any:
    try:
        import pint  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError("units are read by pint, which is not installed: pip install 'infinity[units]'") from error
    return pint.UnitRegistry(non_int_type=Fraction)  # pyright: ignore[reportArgumentType]


def dimension_of(text: str, column: str) -> Dimension:
    """The dimension of a unit such as `"kg*m/s^2"`, `"MPa"` or `"1"`.

    **Raises:** `ValueError` that names the unit and the column, for text that is no unit and for scales with an offset, such as degrees Celsius.
    """
    registry = _registry()
    try:
        quantity = registry.parse_expression(str(text))
    except Exception as error:  # pint's parser raises what Python's tokeniser and its own registry raise
        raise ValueError(
            f"the unit {text!r} of {column!r} is not known ({error}); expected one such as 'kg*m/s^2', or '1'"
        ) from None
    if not hasattr(quantity, "dimensionality"):
        return {}
    if not quantity._is_multiplicative:
        raise ValueError(
            f"the unit {text!r} of {column!r} has an offset, so that powers of it mean nothing; convert the column, to kelvin say"
        )
    powers = quantity.dimensionality.items()
    return {str(base): Fraction(power).limit_denominator(12) for base, power in powers if power}


def dimensions_of_search(
    units: Mapping[str, str], names: Sequence[str], target: str, template: Tree | None = None
) -> tuple[list[Dimension], Dimension]:
    """The dimensions of the inputs and of what is searched: the target, or the place of a template, which is the input after the last one.

    **Raises:** `ValueError` that names the column that has no unit, the unit that belongs to no column, or the part of the template that does not fit.

    >>> from infinity.symbolic.template import read_template
    >>> from infinity.symbolic.units import dimensions_of_search
    >>> form = read_template("F*s + ?*s^2/2", ["F", "s"])
    >>> dimensions_of_search({"F": "N", "s": "m", "E": "J"}, ["F", "s"], "E", form)[1]  # N/m
    {'[mass]': Fraction(1, 1), '[time]': Fraction(-2, 1)}
    """
    for name in (*names, target):
        if name not in units:
            raise ValueError(f"units has none for {name!r}; give each column one, '1' for a pure number")
    expected = [*names, target, *(() if template is None else (PLACE,))]
    for name in units:
        if name not in expected:
            raise ValueError(f"units names {name!r}, which is no column; expected {', '.join(expected)}")
    inputs, whole = [dimension_of(units[name], name) for name in names], dimension_of(units[target], target)
    if PLACE in units:
        return inputs, dimension_of(units[PLACE], PLACE)
    return inputs, whole if template is None else _of_place(template, inputs, whole)


def _of_place(tree: Tree, inputs: list[Dimension], whole: Dimension) -> Dimension:
    """The dimension of the searched part, from that of the whole down to it."""
    place = len(inputs)
    wrong = ValueError(
        f"the template does not fit the units: a part of it has another one than its place needs; numbers have none here, so that where one has a unit "
        f"that of {PLACE!r} has to be given too"
    )
    while tree != ("x", place):
        inner = next(part for part in tree[1:] if place in indices(part, "x"))
        rest = [dimension(part, inputs) for part in tree[1:] if part is not inner]
        if any(part is None for part in rest) and tree[0] != "pow":
            raise wrong
        if tree[0] == "add":
            if any(part != whole for part in rest):
                raise wrong
        elif tree[0] == "mul":
            for part in rest:
                whole = _sum(whole, {base: -power for base, power in (part or {}).items()})
        elif tree[0] == "pow":
            exponent = exact(tree[2]) or Fraction(1)
            whole = {base: power / exponent for base, power in whole.items()}
        elif whole:
            raise wrong
        tree = inner
    return whole


def dimension(tree: Tree, inputs: Sequence[Dimension]) -> Dimension | None:
    """The dimension of a formula whose numbers have none; `None` where it makes no sense.

    >>> from fractions import Fraction
    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.units import dimension
    >>> metre, second = {"[length]": Fraction(1)}, {"[time]": Fraction(1)}
    >>> dimension(parse("2.0*x/t^2", ["x", "t"])[0], [metre, second])
    {'[length]': Fraction(1, 1), '[time]': Fraction(-2, 1)}
    >>> dimension(parse("x + t", ["x", "t"])[0], [metre, second]) is None
    True
    """
    word = tree[0]
    if word == "x":
        return inputs[tree[1]]
    if word in ("c", "q"):
        return {}
    parts = [dimension(part, inputs) for part in tree[1:]]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if word == "add":
        return known[0] if all(part == known[0] for part in known) else None
    if word == "mul":
        total: Dimension = {}
        for part in known:
            total = _sum(total, part)
        return total
    if word == "pow":
        exponent = exact(tree[2])
        if exponent is not None:
            return {base: power * exponent for base, power in known[0].items() if exponent}
        return {} if not known[0] and not known[1] else None
    if word == "abs":
        return known[0]
    return None if known[0] else {}


def _sum(a: Dimension, b: Dimension) -> Dimension:
    total = {base: a.get(base, Fraction(0)) + b.get(base, Fraction(0)) for base in (*a, *b)}
    return {base: power for base, power in total.items() if power}
