r"""What each input does on its own: `g_d(t) = mean over n of u(x_n with x_d = t)`, the partial dependence.

For a separable model these are its factor curves, weighted by what the other factors are on average; for any other
model they are the main effects.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .figure import BLUE, GREY, ORANGE, new_axes, tidy

_MOST_ROWS = 256
_MOST_LABELS = 6


def partial_dependence(
    predict: Callable[[Any], Any], x: Any, dimension: int, points: int = 61
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average a model over the rows of a table while one input takes given values.

    **Arguments:**

    - `predict`: many points `(K, D)` to their values `(K,)` or `(K, O)`.
    - `x`: the rows to average over, shape `(N, D)`; of many rows 256 evenly spaced ones are taken.
    - `dimension`: which input varies, over its range in `x`, or over its categories there.
    - `points`: how many values it takes, if these are numbers.

    **Returns:** `(t, mean, spread)`: the values of shape `(points,)`, text for categories, the mean of shape `(points, O)`, and the standard
    deviation over the rows of the curve about its own mean, of shape `(points, O)`. A spread says that the effect of
    this input depends on the others.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import partial_dependence
    >>> x = np.random.default_rng(0).uniform(size=(50, 2))
    >>> t, mean, spread = partial_dependence(lambda x: 3 * x[:, 0] + x[:, 1], x, dimension=0)
    >>> round(float((mean[-1] - mean[0])[0] / (t[-1] - t[0])), 6), bool(spread.max() < 1e-12)
    (3.0, True)

    ```
    """
    rows = np.asarray(x)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).round().astype(int))]
    column = _numbers(np.asarray(x)[:, dimension])
    if column is None:
        t = np.array(sorted({str(value) for value in np.asarray(x)[:, dimension] if value is not None}), object)
        points = len(t)
    else:
        low, high = float(np.nanmin(column)), float(np.nanmax(column))
        # linspace may pass the last value by one rounding, and so leave the model's domain.
        t = np.clip(np.linspace(low, high, points), low, high).astype(column.dtype)
    repeated = np.repeat(rows[None], points, axis=0)
    repeated[:, :, dimension] = t[:, None]
    values = np.asarray(predict(repeated.reshape(points * len(rows), -1)), dtype=float)
    values = values.reshape(points, len(rows), -1)
    centred = values - values.mean(axis=0)
    return t, values.mean(axis=1), centred.std(axis=1)


def _numbers(column: np.ndarray) -> np.ndarray | None:
    """The numbers of a column, NaN for missing ones; nothing for categories."""
    if column.dtype != object:
        return column
    try:
        return column.astype(float)
    except (TypeError, ValueError):
        return None


def factors(
    predict: Callable[[Any], Any],
    x: Any,
    names: Sequence[str] | None = None,
    target: str = "y",
    output: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the effect of each input, side by side on one vertical scale.

    The band shows how far the effect depends on the other inputs: without a band the input acts by addition alone.

    **Arguments:**

    - `predict`: many points `(K, D)` to their values `(K,)` or `(K, O)`.
    - `x`: rows to average over, shape `(N, D)`.
    - `names`: of the inputs.
    - `target`: name of the value.
    - `output`: which of several outputs.
    - `ax`: an array with at least `D` axes; new ones when `None`.

    **Returns:** the axes, as a flat array.

    **Raises:** `ValueError` when there are fewer axes than inputs.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import factors
    >>> x = np.random.default_rng(0).uniform(size=(50, 2))
    >>> axes = factors(lambda x: x[:, 0] * x[:, 1], x, names=["width", "height"])
    >>> [ax.get_xlabel() for ax in axes]
    ['width', 'height']

    ```
    """
    rows = np.asarray(x)
    dimensions = rows.shape[1]
    names = [f"x{d}" for d in range(dimensions)] if names is None else names
    if ax is None:
        columns = min(dimensions, 4)
        ax = new_axes(math.ceil(dimensions / columns), columns, (2.4, 2.1))
        caption = f"{target} against each input, averaged over the others (band: how much these change the curve)"
        ax[0, 0].figure.suptitle(caption if columns > 2 else target, fontsize=9)
    axes = np.asarray(ax, dtype=object).reshape(-1)
    if len(axes) < dimensions:
        raise ValueError(f"the model has {dimensions} inputs and ax holds {len(axes)} axes; give one for each input")
    curves = [partial_dependence(predict, rows, d) for d in range(dimensions)]
    low = min(float((mean - spread)[:, output].min()) for _, mean, spread in curves)
    high = max(float((mean + spread)[:, output].max()) for _, mean, spread in curves)
    margin = 0.05 * (high - low) or 1.0
    for d, (t, mean, spread) in enumerate(curves):
        m, s = mean[:, output], spread[:, output]
        if t.dtype == object:
            axes[d].errorbar(np.arange(len(t)), m, s, fmt="o", color=BLUE, ecolor=ORANGE, markersize=4)
            axes[d].set_xticks(np.arange(len(t)), list(t) if len(t) <= _MOST_LABELS else [""] * len(t), fontsize=7)
        else:
            axes[d].fill_between(t, m - s, m + s, color=ORANGE, alpha=0.25, linewidth=0)
            axes[d].plot(t, m, color=BLUE, linewidth=1.5)
            shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 60)).round().astype(int)), d]
            axes[d].plot(shown, np.full(len(shown), low - margin), "|", color=GREY, markersize=4, clip_on=False)
        axes[d].set_ylim(low - margin, high + margin)
        axes[d].set_xlabel(names[d], fontsize=9)
        if d % 4 == 0:
            axes[d].set_ylabel(target, fontsize=9)
        tidy(axes[d])
    for unused in axes[dimensions:]:
        unused.set_visible(False)
    return axes[:dimensions]
