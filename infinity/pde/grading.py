r"""Cells that gather where a solution is singular.

    u ~ r^lambda at a corner:    x_i = (i / n)^beta,    beta = (p + 1/2) / lambda

For `beta > p / lambda` splines of degree `p` have the rates of a smooth solution again: `h^p` in the slope and `h^(p+1)` in the value (Babuska, Kellogg
and Pitkaranta, Numer. Math. 33 (1979)). On an angle `omega` between faces that are held alike `lambda` is `pi / omega`: 2/3 in an L-shape.
"""

import numpy as np

from ..basis import BSpline


def graded(
    domain: tuple[float | int, float | int],
    elements: int,
    degree: int,
    towards: str = "left",
    exponent: float | int = 2 / 3,
) -> BSpline:
    """Splines on cells that gather at an end.

    **Arguments:** the `domain`; the number of `elements`; the `degree`; the end that the cells gather `towards`, `"left"` or `"right"`; the `exponent`
    `lambda` of the singularity there.

    **Raises:** `ValueError` for anything else.

    >>> from infinity.pde import graded
    >>> [round(float(x), 4) for x in graded((0.0, 1.0), 4, 2).breakpoints]
    [0.0, 0.0055, 0.0743, 0.34, 1.0]
    """
    if towards not in ("left", "right"):
        raise ValueError(f'graded got towards={towards!r}; expected "left" or "right"')
    if not exponent > 0 or elements < 1:
        raise ValueError(
            f"graded got exponent={exponent} and {elements} elements; expected a positive exponent and at least one element"
        )
    low, high = float(domain[0]), float(domain[1])
    power = max(1.0, (degree + 0.5) / float(exponent))
    steps = np.linspace(0.0, 1.0, elements + 1) ** power
    points = low + (high - low) * steps if towards == "left" else high - (high - low) * steps[::-1]
    points[[0, -1]] = low, high
    if np.any(np.diff(points) <= 0):
        raise ValueError(
            f"graded got {elements} elements of degree {degree} at the exponent {exponent:g}; their cells at the end are below rounding. "
            "Use fewer elements, or move the end to zero"
        )
    return BSpline(breakpoints=points.tolist(), degree=degree)
