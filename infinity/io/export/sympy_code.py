"""A model as a Python module that builds its SymPy expression: one Piecewise for each function of one input."""

from .description import Description
from .linked import SYMPY, joined
from .text import MARK, POLICIES, code_lines, docstring, nested, numbers

_BODY = '''
SYMBOLS = tuple(sympy.Symbol(name, real=True) for name in INPUTS)


def expression(target=0):
    """The expression of one target in SYMBOLS. Outside the box: {policy}."""
    with distribute(False):  # numbers stay outside of brackets, where they lose no digits
        pieces = [_pieces(d, target) for d in range(len(INPUTS))]
        total, beyond = sympy.Float(CONSTANT[target]), sympy.Integer(0)
        for value, change in (piece[1] for piece in pieces):
            total, beyond = total + value, beyond + change
        for m, weight in enumerate(MIXING[target]):
            value, change = sympy.Integer(1), sympy.Integer(0)
            for factors, _ in pieces:
                value, change = value * factors[m][0], change * factors[m][0] + value * factors[m][1]
            total, beyond = total + weight * value, beyond + weight * change
{joined}
{finish}        return total


def _pieces(d, target):
    """The factors of one input and its additive function, each as a value in the box and a change beyond it."""
    factors, additive = FACTORS[d], ADDITIVE[d]
    modes = [_function(d, [cell[m] for cell in factors]) for m in range(len(MIXING[0]))]
    return modes, _function(d, [cell[target] for cell in additive]) if additive else (sympy.Integer(0), sympy.Integer(0))


def _function(d, rows):
    x, edges = SYMBOLS[d], EDGES[d]
    last = len(rows) - 1
    inside = [(_polynomial(d, rows[e], e, x), x < edges[e + 1] if e < last else True) for e in range(len(rows))]
{ends}

def _polynomial(d, row, cell, x):
    left, right = EDGES[d][cell], EDGES[d][cell + 1]
    v = (x - left) / ((right - left) / 2) - 1
    value = sympy.Float(row[-1])
    for power in row[-2::-1]:
        value = value * v + power
    return value
'''

_ENDS = '''    low, high = LOWER[d], UPPER[d]
    at_low, at_high = (_end(d, rows, bound) for bound in (low, high))
    value = sympy.Piecewise((at_low[0], x < low), (at_high[0], x > high), *inside)
    {change}
    return value, change


def _end(d, rows, bound):
    """Value and slope at an end of the box."""
    cell = sum(bound >= edge for edge in EDGES[d][1:-1])
    left, right = EDGES[d][cell], EDGES[d][cell + 1]
    v = (bound - left) / ((right - left) / 2) - 1
    value, slope = rows[cell][-1], 0.0
    for power in rows[cell][-2::-1]:
        value, slope = value * v + power, slope * v + value
    return sympy.Float(value), sympy.Float(slope / ((right - left) / 2))
'''

_CHANGES = {
    "linear": "change = sympy.Piecewise((at_low[1] * (x - low), x < low), (at_high[1] * (x - high), x > high), (0, True))",
    "clamp": "change = sympy.Integer(0)",
}


def sympy_code(model: Description, name: str, version: str) -> str:
    """The text of the module.

    **Raises:** `ValueError` for two inputs of one name.
    """
    if len(set(model.inputs)) < len(model.inputs):
        raise ValueError(
            f"two inputs have one name in {', '.join(model.inputs)}; expected different ones for SymPy symbols"
        )
    outside = {"warn": "linear", "error": "nan"}.get(model.outside, model.outside)
    axes = model.axes
    head = (
        f'"""{docstring(name)}: a sum of products of one-dimensional splines, as a SymPy expression. {MARK} {version}."""\n\n'
        "import sympy\nfrom sympy.core.parameters import distribute\n\n"
        f"INPUTS = {model.inputs!r}\nTARGETS = {model.targets!r}\n"
        f"LOWER = ({numbers([axis.lower for axis in axes])},)\nUPPER = ({numbers([axis.upper for axis in axes])},)\n"
        f"CONSTANT = {nested(model.constant)}\nMIXING = {nested(model.mixing)}\n"
        "# For each input: ends of the cells; powers of the factors (cell, mode, power) and of the additive functions (cell, target, power),\n"
        "# in a variable from -1 to 1 across the cell.\n"
        + "".join(f"# Coded {line}.\n" for line in code_lines(model.coding))
    )
    tables = {
        "EDGES": [nested(axis.physical) for axis in axes],
        "FACTORS": [nested(axis.factors) for axis in axes],
        "ADDITIVE": [nested(axis.additive) if model.has_additive else "()" for axis in axes],
    }
    data = "".join(f"{key} = (\n    {(',' + chr(10) + '    ').join(rows)},\n)\n" for key, rows in tables.items())
    finish = ""
    branches = [joined(part, "total", "beyond", SYMPY) for part in model.parts]
    if len(set(branches)) == 1:
        link = f"        total = {branches[0]}"
    else:
        link = "\n".join(
            f"        {'el' if o else ''}if target == {o}:\n            total = {branch}"
            for o, branch in enumerate(branches)
        )
    if outside == "nan":
        ends = "    return sympy.Piecewise(*inside), sympy.Integer(0)\n"
        finish = (
            "        box = [condition for x, low, high in zip(SYMBOLS, LOWER, UPPER) for condition in (x >= low, x <= high)]\n"
            "        total = sympy.Piecewise((total, sympy.And(*box)), (sympy.nan, True))\n"
        )
    else:
        ends = _ENDS.format(change=_CHANGES[outside])
    return head + data + _BODY.format(policy=POLICIES[outside], ends=ends, finish=finish, joined=link)
