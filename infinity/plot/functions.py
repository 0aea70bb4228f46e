"""The functions of a one-dimensional family, on its nodes."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..basis import AbstractBasis
from .figure import BLUE, GREY, new_axes, tidy

_POINTS = 800


def functions(basis: AbstractBasis, ax: Any = None, label: str = "", highlight: int | None = None) -> Any:
    """Draw all functions of a family, one of them in colour.

    **Arguments:**

    - `basis`: the family.
    - `ax`: matplotlib axes; new ones when `None`.
    - `label`: a title.
    - `highlight`: the index of the function in colour; the middle one when `None`.

    **Returns:** the axes; the cells' ends are marked below.

    ```python
    >>> from infinity.basis import Hat
    >>> from infinity.plot import functions
    >>> functions(Hat([0.0, 0.3, 1.0]), label="hats").get_title()
    'hats'

    ```
    """
    if ax is None:
        ax = new_axes()[0, 0]
    low, high = (float(end) for end in basis.domain)
    t = np.linspace(low, high, _POINTS)
    values = np.asarray(basis.collocation(jnp.asarray(t, basis.breakpoints.dtype)))
    chosen = basis.size // 2 if highlight is None else highlight
    ax.plot(t, np.delete(values, chosen, axis=1), color=GREY, linewidth=0.7)
    ax.plot(t, values[:, chosen], color=BLUE, linewidth=1.6)
    ax.axhline(0.0, color=GREY, linewidth=0.5)
    points = np.asarray(basis.breakpoints)
    ax.plot(points, np.full(len(points), min(0.0, values.min()) - 0.08), "|", color="black", markersize=6)
    ax.set_title(label, fontsize=9)
    tidy(ax)
    return ax
