"""A model as plain data: breakpoints, polynomials, mixing, constant, box."""

import json

from .description import Description
from .text import MARK

FORMULA = (
    "u[o] = constant[o] + sum_d additive_d[o](x[d]) + sum_m mixing[o][m] * prod_d factor_d[m](x[d]); "
    "for input d: t = (x[d] - origin) / width, the cell e has breakpoints[e] <= t < breakpoints[e+1] (the end cells go on), "
    "v = 2 * (t - breakpoints[e]) / (breakpoints[e+1] - breakpoints[e]) - 1, factor_d[m] = sum_k factors[e][m][k] * v**k, "
    "additive_d[o] = sum_k additive[e][o][k] * v**k; y[o] = u[o] for the link 'identity', exp(u[o]) for 'log'; "
    "outside the box lower .. upper: 'linear' and 'warn' take value and slope at the nearest point of the box, "
    "'clamp' the value there, 'nan' is not a number, 'error' is refused"
)


def json_data(model: Description, name: str, version: str) -> str:
    """The text of the file."""
    axes = [
        {
            "name": axis.name,
            "lower": axis.lower,
            "upper": axis.upper,
            "origin": axis.origin,
            "width": axis.width,
            "breakpoints": axis.breakpoints.tolist(),
            "factors": axis.factors.tolist(),
            "additive": axis.additive.tolist(),
        }
        for axis in model.axes
    ]
    document = {
        "format": "infinity-separable",
        "format_version": 1,
        "written": f"{MARK} {version}",
        "name": name,
        "formula": FORMULA,
        "outside": model.outside,
        "link": model.link,
        "targets": list(model.targets),
        "constant": model.constant.tolist(),
        "mixing": model.mixing.tolist(),
        "inputs": axes,
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
