r"""The link as an expression in each language: `y = g(u) + g'(u) a`, kept within the bounds, with `a` the change of `u` beyond the box."""

from typing import NamedTuple

from ...fitting.links import Part
from .text import number


class Words(NamedTuple):
    """What a language calls the exponential, the square root and the smaller and larger of two numbers, and how it writes a number."""

    exp: str
    sqrt: str
    least: str
    most: str
    literal: str = "{}"


C = Words("exp", "sqrt", "fmin", "fmax")
NUMPY = Words("np.exp", "np.sqrt", "np.minimum", "np.maximum")
SYMPY = Words("sympy.exp", "sympy.sqrt", "sympy.Min", "sympy.Max", "sympy.Float({})")


def joined(part: Part, u: str, change: str, words: Words) -> str:
    """The expression of one target.

    >>> from infinity.fitting.links import Part
    >>> joined(Part("clip", 0.0), "u", "a", NUMPY)
    'np.maximum(u + a, 0.0)'
    """
    exp, lower, upper = words.exp, *(words.literal.format(number(end)) for end in (part.lower, part.upper))
    if part.kind == "identity":
        return f"{u} + {change}"
    if part.kind == "log":
        return f"{exp}({u}) * (1 + {change})"
    if part.kind == "above":
        return f"{words.most}({lower} + {exp}({u}) * (1 + {change}), {lower})"
    if part.kind == "below":
        return f"{words.least}({upper} - {exp}(-({u})) * (1 - ({change})), {upper})"
    if part.kind == "between":
        width = words.literal.format(number(part.upper - part.lower))
        value = f"{lower} + {width} * (1 + {change} / (1 + {exp}({u}))) / (1 + {exp}(-({u})))"
        return f"{words.least}({words.most}({value}, {lower}), {upper})"
    if part.kind == "square":
        root = f"{words.sqrt}({words.most}({u}, {lower}))"
        size = words.literal.format(number(part.size))
        return f"{words.most}({root} + {change} / (2 * {words.most}({root}, {size})), {lower})"
    value = f"{u} + {change}"
    value = f"{words.most}({value}, {lower})" if part.lower > -float("inf") else value
    return f"{words.least}({value}, {upper})" if part.upper < float("inf") else value
