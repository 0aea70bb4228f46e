"""Values on a grid of two coordinates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .figure import new_axes, tidy


def field(one: Any, two: Any, values: Any, names: Sequence[str] = ("x", "y"), title: str = "", ax: Any = None) -> Any:
    """Draw a function of two coordinates; one that changes sign in colours that meet at zero.

    **Arguments:**

    - `one`, `two`: the coordinates of the grid, `(n,)` and `(k,)`.
    - `values`: `(n, k)`.
    - `names`: of the coordinates.
    - `title`: above the picture; the largest absolute value is added.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import field
    >>> t = np.linspace(0, 1, 20)
    >>> field(t, t, np.outer(t, t), title="product").get_title()
    'product, up to 1'

    ```
    """
    table = np.asarray(values, float)
    if ax is None:
        ax = new_axes(size=(4.2, 3.6))[0, 0]
    largest = float(np.max(np.abs(table)))
    signed = float(np.min(table)) < -1e-3 * largest
    limits = (
        {"vmin": -largest, "vmax": largest, "cmap": "RdBu_r"}
        if signed
        else {"vmin": 0.0, "vmax": largest, "cmap": "viridis"}
    )
    image = ax.pcolormesh(one, two, table.T, shading="gouraud", rasterized=True, **limits)
    bar = ax.figure.colorbar(image, ax=ax)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    ax.set_xlabel(names[0], fontsize=9)
    ax.set_ylabel(names[1], fontsize=9)
    ax.set_title(f"{title}, up to {largest:.2g}" if title else f"up to {largest:.2g}", fontsize=9)
    tidy(ax)
    return ax
