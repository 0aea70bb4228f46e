"""Prediction against truth: points `(y_n, ŷ_n)` about the line `ŷ = y`."""

from typing import Any

import numpy as np

from .figure import BLUE, GREY, new_axes, tidy

_MOST_POINTS = 5000


def parity(y: Any, prediction: Any, ax: Any = None, label: str = "") -> Any:
    """Draw predictions against the true values.

    A perfect model lies on the diagonal. Of very many points an evenly spaced part is drawn; the numbers in the corner
    are of all.

    **Arguments:**

    - `y`: true values, shape `(N,)`.
    - `prediction`: predicted values, shape `(N,)`.
    - `ax`: matplotlib axes; new ones when `None`.
    - `label`: the name of the quantity.

    **Returns:** the axes.

    **Raises:** `ValueError` when the shapes differ or there is no point.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import parity
    >>> ax = parity(np.array([1.0, 2.0, 3.0]), np.array([1.1, 1.9, 3.0]), label="load")
    >>> ax.get_xlabel()
    'load, measured'

    ```
    """
    true, predicted = np.asarray(y, dtype=float), np.asarray(prediction, dtype=float)
    if true.shape != predicted.shape or true.ndim != 1 or len(true) == 0:
        raise ValueError(
            f"y and prediction must be two equally long lists of numbers; got {true.shape} and {predicted.shape}"
        )
    if ax is None:
        ax = new_axes()[0, 0]
    shown = np.unique(np.linspace(0, len(true) - 1, min(len(true), _MOST_POINTS)).round().astype(int))
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    ax.plot(ends, ends, color=GREY, linewidth=0.8, zorder=1)
    ax.scatter(true[shown], predicted[shown], s=7, color=BLUE, alpha=0.5, linewidths=0, zorder=2)
    error = np.sqrt(np.mean((predicted - true) ** 2))
    spread = np.std(true)
    lines = [f"rows {len(true)}", f"RMSE {error:.3g}"]
    if spread > 0:
        lines.append(f"NRMSE {error / spread:.3g}")
    ax.text(0.04, 0.96, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=8)
    ax.set_xlabel(f"{label}, measured" if label else "measured", fontsize=9)
    ax.set_ylabel(f"{label}, predicted" if label else "predicted", fontsize=9)
    ax.set_aspect("equal", adjustable="box")
    tidy(ax)
    return ax
