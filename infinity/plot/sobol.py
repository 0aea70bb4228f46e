"""Sobol indices as bars: the share of the variance that each input has alone, and with all its interactions."""

from typing import Any

import numpy as np

from .figure import BLUE, GREY, ORANGE, new_axes, tidy

_MOST_BARS = 20


def sobol(indices: Any, output: int = 0, ax: Any = None) -> Any:
    """Draw the first-order and total indices of each input, the largest total on top.

    Where the two bars end together, the input acts by addition alone. Of many inputs the 20 with the largest total are drawn.

    **Arguments:**

    - `indices`: what `inf.sobol` returns.
    - `output`: which of several outputs.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    **Raises:** `ValueError` for an output that is not there, or that is constant.

    ```python
    >>> import jax, infinity as inf
    >>> from infinity.plot import sobol
    >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=4, outputs="scalar", key=jax.random.key(0))
    >>> ax = sobol(inf.sobol(model))
    >>> ax.get_xlabel()
    'share of the variance of y'

    ```
    """
    D = len(indices.names)
    if not 0 <= output < len(indices.targets):
        raise ValueError(f"output is {output}; expected an index from 0 to {len(indices.targets) - 1}")
    target = indices.targets[output]
    first, total = indices.first.reshape(-1, D)[output], indices.total.reshape(-1, D)[output]
    if not np.all(np.isfinite(total)):
        raise ValueError(f"the output {target!r} is constant, so no input has a share of its variance")
    shown = np.argsort(-total, kind="stable")[:_MOST_BARS]
    if ax is None:
        ax = new_axes(size=(4.2, 1.1 + 0.28 * len(shown)))[0, 0]
    place = np.arange(len(shown))
    ax.barh(place, total[shown], height=0.7, color=ORANGE, alpha=0.35, linewidth=0, label="with interactions")
    ax.barh(place, first[shown], height=0.7, color=BLUE, linewidth=0, label="alone")
    ax.set_yticks(place, [indices.names[d] for d in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set_xlim(0, max(1.0, float(total.max())))
    ax.set_xlabel(f"share of the variance of {target}", fontsize=9)
    if len(shown) < D:
        ax.text(
            0.98,
            0.02,
            f"{D - len(shown)} smaller inputs not shown",
            transform=ax.transAxes,
            ha="right",
            fontsize=7,
            color=GREY,
        )
    ax.legend(
        fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=2, reverse=True
    )
    tidy(ax)
    return ax
