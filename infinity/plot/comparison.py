"""Error against unknowns and against time, one line for each family of a comparison."""

from typing import Any

import numpy as np

from ..fitting.comparison import Comparison
from .figure import new_axes, tidy


def comparison(found: Comparison, ax: Any = None) -> Any:
    """Draw what `inf.compare` found.

    **Arguments:**

    - `found`: a `Comparison`.
    - `ax`: two matplotlib axes; new ones when `None`.

    **Returns:** the two axes: the error on held-out rows against the number of unknowns, and against seconds.

    **Raises:** `ValueError` when no fit succeeded.

    ```python
    >>> from infinity.fitting import Compared, Comparison
    >>> from infinity.plot import comparison
    >>> axes = comparison(Comparison([Compared("INN, hats", 4, 20, 1.0, 0.1), Compared("INN, hats", 8, 36, 1.5, 0.03)]))
    >>> axes[0].get_xlabel()
    'unknowns'

    ```
    """
    rows = [row for row in found.rows if np.isfinite(row.nrmse)]
    if not rows:
        raise ValueError("no fit of the comparison succeeded; print it to see why")
    axes = new_axes(1, 2)[0] if ax is None else ax
    for name in dict.fromkeys(row.family for row in rows):
        here = [row for row in rows if row.family == name]
        for place, key in zip(axes, ("unknowns", "seconds"), strict=True):
            line = sorted(here, key=lambda row, key=key: getattr(row, key))
            place.loglog(
                [getattr(row, key) for row in line],
                [row.nrmse for row in line],
                marker="o",
                markersize=4,
                linewidth=1.2,
                label=name,
            )
    for place, label in zip(axes, ("unknowns", "seconds"), strict=True):
        place.set_xlabel(label, fontsize=9)
        tidy(place)
    axes[0].set_ylabel("error on held-out rows / their spread", fontsize=9)
    axes[1].legend(fontsize=7, frameon=False)
    return axes
