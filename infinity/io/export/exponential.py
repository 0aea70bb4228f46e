r"""An AION as code or data: its formula is short enough to be written out, by SymPy's printers.

    y_o = sum_j prod_d sum_p A_p e^{alpha_p s_d} cos(omega_p s_d + phi_p),    s_d = x_d - origin_d

The origin is subtracted first, as the model does it, so that times far from zero lose no digits.
"""

import json
from typing import Any

import numpy as np

from ...fitting import Fitted
from ...models import AION
from .latex import name_of, written
from .text import MARK, columns, docstring, number, numbers, quoted

_SENTENCE = "a sum of products of exponential-trigonometric atoms"
_FORMULA = (
    "y[o] = sum_j prod_d sum_p amplitude[o][j][d][p] * exp(alpha[o][j][d][p] * s[d]) * cos(omega[o][j][d][p] * s[d] + phase[o][j][d][p]), "
    "s[d] = x[d] - origin[d]; it holds everywhere"
)

_NUMPY = '''"""{title}: {sentence}. {mark}; needs NumPy only."""

import numpy

INPUTS = {inputs!r}
TARGETS = {targets!r}


def predict(x):
    """{doc}"""
    x = numpy.asarray(x, dtype=float)
    x = x[:, None] if x.ndim == 1 and len(INPUTS) == 1 else x
    if x.ndim != 2 or x.shape[1] != len(INPUTS):
        raise ValueError(f"x has shape {{x.shape}}; expected (N, {{len(INPUTS)}})")
{shifts}
    y = numpy.empty((len(x), {O}))
{values}
    return {result}
'''

_SYMPY = '''"""{title}: {sentence}, as a SymPy expression. {mark}."""

import sympy
from sympy import cos, exp
from sympy.core.parameters import distribute

INPUTS = {inputs!r}
TARGETS = {targets!r}
SYMBOLS = tuple(sympy.Symbol(name, real=True) for name in INPUTS)


def expression(target=0):
    """The expression of one target in SYMBOLS; it holds everywhere."""
    with distribute(False):  # the origin stays inside of brackets, where it loses no digits
{shifts}
        return (
{values}
        )[target]
'''

_C = """/* {title}: {sentence}. {mark}; C99.

   x, inputs:
{x}
   y, targets:
{y}
   The formula holds everywhere; {name}_inside(x) is 1 within the range of the table it was fitted to, else 0. Calls keep no state. */

#include <math.h>

#ifdef __cplusplus
extern "C" {{
#endif
void {name}_predict(const double *x, double *y);
int {name}_inside(const double *x);
#ifdef __cplusplus
}}
#endif

int {name}_inside(const double *x)
{{
    static const double lower[] = {{{lower}}};
    static const double upper[] = {{{upper}}};
    for (int d = 0; d < {D}; d++) {{
        if (!(x[d] >= lower[d] && x[d] <= upper[d])) return 0;
    }}
    return 1;
}}

void {name}_predict(const double *x, double *y)
{{
{shifts}
{values}
}}
"""


def exponential_text(fitted: Fitted, to: str, name: str, version: str, digits: int) -> str:
    r"""The text of a fitted AION.

    **Arguments:** the `fitted` model; the format; the name of the C function and in headings; the version of Infinity; `digits` in LaTeX.

    **Raises:** `ValueError` where the formula alone is not the fitted model: another policy outside the box than its own formula.

    >>> import infinity as inf
    >>> from infinity.io.export.exponential import exponential_text
    >>> atom = inf.AION.of([2.0], [-0.5], [3.0], [0.25], scalar=False)
    >>> fitted = inf.Fitted(atom, (0.0,), (1.0,), False, (0.0,), (1.0,), ("t",), ("y",), "extrapolate", True)
    >>> print(exponential_text(fitted, "latex", "atom", "0", 3).splitlines()[2])
    \text{y} &= 2.0 e^{- 0.5 s_{1}} \cos{\left(3.0 s_{1} + 0.25 \right)} \\
    """
    inner: AION = fitted.inner
    if fitted.outside != "extrapolate" or fitted.coding is not None or fitted.scaled or fitted.link != "identity":
        raise ValueError(
            f"export got a fitted AION with outside={fitted.outside!r}; only its formula alone can be written out: "
            "fit with outside='extrapolate' (--outside extrapolate)"
        )
    if to == "json":
        return _json(fitted, name, version)
    if to == "latex":
        return _latex(fitted, name, version, digits)
    shown, inputs, targets = [f"s{d}" for d in range(inner.dimensions)], fitted.names, fitted.targets
    formulas = _formulas(inner, shown)
    common = {
        "title": docstring(name),
        "sentence": _SENTENCE,
        "mark": f"{MARK} {version}",
        "inputs": inputs,
        "targets": targets,
    }
    origins = list(enumerate(inner.origin))
    if to == "numpy":
        from sympy.printing.numpy import NumPyPrinter

        write = NumPyPrinter({"full_prec": True}).doprint
        shape = "(N,)" if fitted.scalar else f"(N, {len(targets)})"
        doc = f"{', '.join(targets)} at the rows of x, shape (N, {len(inputs)}), columns {', '.join(inputs)}; returns shape {shape}. It holds everywhere."
        return _NUMPY.format(
            **common, O=len(targets), doc=docstring(doc), result="y[:, 0]" if fitted.scalar else "y",
            shifts="\n".join(f"    s{d} = x[:, {d}] - {number(t0)}" for d, t0 in origins),
            values="\n".join(f"    y[:, {o}] = {write(formula)}" for o, formula in enumerate(formulas)),
        )  # fmt: skip
    if to == "sympy":
        from sympy import sstr

        if len(set(inputs)) < len(inputs):
            raise ValueError(
                f"two inputs have one name in {', '.join(inputs)}; expected different ones for SymPy symbols"
            )
        return _SYMPY.format(
            **common,
            shifts="\n".join(f"        s{d} = SYMBOLS[{d}] - sympy.Float({number(t0)})" for d, t0 in origins),
            values="\n".join(f"            sympy.sympify({sstr(formula, full_prec=True)})," for formula in formulas),
        )
    from sympy import ccode

    box = [f", {lower!r} to {upper!r}" for lower, upper in fitted.domain]
    return _C.format(
        title=quoted(name), sentence=_SENTENCE, mark=common["mark"], name=name, D=len(inputs), x=columns(inputs, box), y=columns(targets),
        lower=numbers(fitted.lower), upper=numbers(fitted.upper),
        shifts="\n".join(f"    const double s{d} = x[{d}] - {number(t0)};" for d, t0 in origins),
        values="\n".join(f"    y[{o}] = {ccode(formula, standard='C99')};" for o, formula in enumerate(formulas)),
    )  # fmt: skip


def _formulas(inner: AION, symbols: list[str], digits: int | None = None) -> list[Any]:
    """The expression of each target in the distance from the origin."""
    about_zero = AION.of(inner.amplitude, inner.alpha, inner.omega, inner.phase, scalar=False)
    return about_zero.sympy(symbols, digits)


def _latex(fitted: Fitted, name: str, version: str, digits: int) -> str:
    from sympy import latex

    inner: AION = fitted.inner
    formulas = _formulas(inner, [f"s_{d + 1}" for d in range(inner.dimensions)], digits)
    lines = [f"% {' '.join(name.split())}. {MARK} {version}; {digits} digits; needs amsmath.", r"\begin{align*}"]
    lines += [
        rf"{name_of(target)} &= {latex(formula)} \\" for target, formula in zip(fitted.targets, formulas, strict=True)
    ]
    for d, (input_name, t0) in enumerate(zip(fitted.names, inner.origin, strict=True), start=1):
        # The origin belongs to the numbers of the formula: all its digits.
        lines.append(rf"s_{{{d}}} &= {name_of(input_name)} - ({written(t0, 17)}) \\")
    return "\n".join([*lines, r"\end{align*}"]) + "\n"


def _json(fitted: Fitted, name: str, version: str) -> str:
    inner: AION = fitted.inner
    document = {
        "format": "infinity-aion",
        "format_version": 1,
        "written": f"{MARK} {version}",
        "name": name,
        "formula": _FORMULA,
        "targets": list(fitted.targets),
        "inputs": [
            {"name": column, "lower": float(low), "upper": float(high), "origin": float(t0)}
            for column, (low, high), t0 in zip(fitted.names, fitted.domain, inner.origin, strict=True)
        ],
        **{
            field: np.asarray(getattr(inner, field), float).tolist()
            for field in ("amplitude", "alpha", "omega", "phase")
        },
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
