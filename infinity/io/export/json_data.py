"""A model as plain data: breakpoints, polynomials, mixing, constant, box."""

import json
import math
from typing import Any

from ...fitting.coding import Column
from .description import Description
from .text import MARK

FORMULA = (
    "u[o] = constant[o] + sum_d additive_d[o](x[d]) + sum_m mixing[o][m] * prod_d factor_d[m](x[d]); "
    "for input d: t = (x[d] - origin) / width, the cell e has breakpoints[e] <= t < breakpoints[e+1] (the end cells go on), "
    "v = 2 * (t - breakpoints[e]) / (breakpoints[e+1] - breakpoints[e]) - 1, factor_d[m] = sum_k factors[e][m][k] * v**k, "
    "additive_d[o] = sum_k additive[e][o][k] * v**k; y[o] = g(u[o]) by links[o].kind: 'identity' u; 'clip' u between lower and upper; "
    "'log' exp(u); 'above' lower + exp(u); 'below' upper - exp(-u); 'between' lower + (upper - lower) / (1 + exp(-u)); 'square' sqrt(max(u, 0)); "
    "inputs are coded as coding says: codes[i] for levels[i], null for a missing value; "
    "outside the box lower .. upper: 'linear' and 'warn' take value and slope of y (of 'clip': u; of 'square': the slope where y is size, at least) at the "
    "nearest point of the box, within the bounds, "
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
        "links": [
            {"kind": part.kind, "lower": _finite(part.lower), "upper": _finite(part.upper), "size": part.size}
            for part in model.parts
        ],
        "coding": None if model.coding is None else [_coded(column) for column in model.coding.columns],
        "targets": list(model.targets),
        "constant": model.constant.tolist(),
        "mixing": model.mixing.tolist(),
        "inputs": axes,
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _coded(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind,
        "columns": list(column.names),
        "levels": list(column.levels),
        "codes": [list(code) for code in column.codes],
    }
