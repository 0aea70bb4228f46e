"""Errors against unknowns, both logarithmic, one line a method."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .figure import new_axes, tidy

_COLOURS = ("#1f5fa8", "#d1661c", "#2c8a4b", "#7a4fa3", "#8a8f98", "#b03a5b")
_MARKERS = "os^Dvp"


def convergence(
    series: Sequence[tuple[str, Sequence[Any], Sequence[Any]]], measure: str = "relative L2 error", ax: Any = None
) -> Any:
    """Draw how errors fall.

    **Arguments:**

    - `series`: for each line its name, the unknowns and the errors.
    - `measure`: what the errors are.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    ```python
    >>> from infinity.plot import convergence
    >>> ax = convergence([("degree 2: order 3.0", [16, 32, 64], [1e-2, 1.25e-3, 1.6e-4])])
    >>> ax.get_xscale(), ax.get_legend_handles_labels()[1]
    ('log', ['degree 2: order 3.0'])

    ```
    """
    if ax is None:
        ax = new_axes(size=(5.0, 4.0))[0, 0]
    for number, (name, unknowns, errors) in enumerate(series):
        style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
        ax.loglog(unknowns, np.maximum(errors, 1e-300), lw=1.3, markersize=4, markeredgewidth=0, label=name, **style)
    marks = sorted({count for _, unknowns, _ in series for count in unknowns})
    spaced: list[float] = []
    for mark in marks:
        if not spaced or mark >= 1.5 * spaced[-1]:
            spaced.append(mark)
    ax.set_xticks(spaced, [f"{mark:g}" for mark in spaced])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("unknowns", fontsize=9)
    ax.set_ylabel(measure, fontsize=9)
    ax.legend(fontsize=8, frameon=False)
    ax.grid(True, which="major", lw=0.4, alpha=0.5)
    tidy(ax)
    return ax
