"""A model as C99: `void NAME_predict(const double *x, double *y)`, tables as constants, Horner's rule, nothing beyond libc (`-lm` for links)."""

import numpy as np

from .description import Description
from .linked import C, joined
from .text import MARK, POLICIES, code_lines, columns, numbers, quoted

_CODE = """
#include <math.h>

#ifdef __cplusplus
extern "C" {{
#endif
void {name}_predict(const double *x, double *y);
int {name}_inside(const double *x);
#ifdef __cplusplus
}}
#endif

enum {{ INPUTS = {D}, TARGETS = {O}, MODES = {M}, POWERS = {P}, ADDITIVE = {A}, ROWS = MODES + ADDITIVE }};

static const double lower[] = {{{lower}}};
static const double upper[] = {{{upper}}};
static const double origin[] = {{{origin}}};
static const double width[] = {{{width}}};
static const double constant[] = {{{constant}}};
static const double mixing[] = {{ /* target, mode */
    {mixing}}};

/* Ends of the cells of all inputs, one input after another; where each input begins. */
static const int first[] = {{{first}}};
static const double edges[] = {{
    {edges}}};

/* For each cell of each input, for each power, lowest first: the coefficient of every factor, then of every additive function. */
static const double table[] = {{
    {table}}};

int {name}_inside(const double *x)
{{
    for (int d = 0; d < INPUTS; d++) {{
        if (!(x[d] >= lower[d] && x[d] <= upper[d])) return 0;
    }}
    return 1;
}}

void {name}_predict(const double *x, double *y)
{{
    double value[ROWS], slope[ROWS], modes[MODES], change[MODES], after[TARGETS];
{check}    for (int o = 0; o < TARGETS; o++) y[o] = constant[o], after[o] = 0.0;
    for (int m = 0; m < MODES; m++) modes[m] = 1.0, change[m] = 0.0;
    for (int d = 0; d < INPUTS; d++) {{
        const double inside = x[d] < lower[d] ? lower[d] : x[d] > upper[d] ? upper[d] : x[d];
        const double beyond = {beyond};
        const double t = (inside - origin[d]) / width[d];
        int cell = first[d], end = first[d + 1] - 2;
        while (cell < end) {{
            const int middle = cell + (end - cell + 1) / 2;
            if (t >= edges[middle]) cell = middle; else end = middle - 1;
        }}
        const double half = (edges[cell + 1] - edges[cell]) / 2.0;
        const double v = (t - edges[cell]) / half - 1.0;
        const double step = beyond / (half * width[d]);
        const double *powers = table + (long)(cell - d) * ROWS * POWERS;
        for (int r = 0; r < ROWS; r++) value[r] = powers[(POWERS - 1) * ROWS + r], slope[r] = 0.0;
        for (int k = POWERS - 2; k >= 0; k--) {{
            for (int r = 0; r < ROWS; r++) value[r] = value[r] * v + powers[k * ROWS + r];
        }}
        if (beyond != 0.0) {{
            for (int k = POWERS - 1; k >= 1; k--) {{
                for (int r = 0; r < ROWS; r++) slope[r] = slope[r] * v + k * step * powers[k * ROWS + r];
            }}
        }}
        for (int m = 0; m < MODES; m++) {{
            change[m] = change[m] * value[m] + modes[m] * slope[m];
            modes[m] *= value[m];
        }}
        for (int o = 0; o < ADDITIVE; o++) y[o] += value[MODES + o], after[o] += slope[MODES + o];
    }}
    for (int o = 0; o < TARGETS; o++) {{
        for (int m = 0; m < MODES; m++) {{
            y[o] += mixing[o * MODES + m] * modes[m];
            after[o] += mixing[o * MODES + m] * change[m];
        }}
    }}
    {joined}
}}
"""

_CHECK = """    if (!{name}_inside(x)) {{
        for (int o = 0; o < TARGETS; o++) y[o] = NAN;
        return;
    }}
"""


def c_code(model: Description, name: str, version: str) -> str:
    """The text of the source file."""
    axes = model.axes
    box = [f", {axis.lower!r} to {axis.upper!r}" for axis in axes]
    policy = {"error": "NaN; ask NAME_inside before", "warn": POLICIES["linear"]}.get(
        model.outside, POLICIES[model.outside]
    )
    rows = [np.concatenate([axis.factors, axis.additive], axis=1).transpose(0, 2, 1).ravel() for axis in axes]
    coded = "".join(f"   Coded {line}.\n" for line in code_lines(model.coding))
    comment = (
        f"/* {quoted(name)}: a sum of products of one-dimensional splines. {MARK} {version}; C99.\n\n   x, inputs:\n{columns(model.inputs, box)}\n"
        f"   y, targets:\n{columns(model.targets)}\n   Outside the box: {policy.replace('NAME', name)}.\n"
        f"{coded}   {name}_inside(x) is 1 inside the box, else 0. Calls keep no state. */\n"
    )
    return comment + _CODE.format(
        name=name, D=len(axes), O=len(model.targets), M=model.mixing.shape[1], P=model.powers, A=axes[0].additive.shape[1],
        lower=numbers([axis.lower for axis in axes]), upper=numbers([axis.upper for axis in axes]),
        origin=numbers([axis.origin for axis in axes]), width=numbers([axis.width for axis in axes]),
        constant=numbers(model.constant), mixing=numbers(model.mixing),
        first=", ".join(str(at) for at in np.cumsum([0, *(axis.cells + 1 for axis in axes)])),
        edges=numbers(np.concatenate([axis.breakpoints for axis in axes])), table=numbers(np.concatenate(rows)),
        check=_CHECK.format(name=name) if model.outside in ("error", "nan") else "",
        joined="\n    ".join(f"y[{o}] = {joined(part, f'y[{o}]', f'after[{o}]', C)};" for o, part in enumerate(model.parts)),
        beyond="0.0" if model.outside == "clamp" else "x[d] - inside",
    )  # fmt: skip
