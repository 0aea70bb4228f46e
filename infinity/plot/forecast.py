"""A time series and its model: samples and fit, the forecast of the part that was held out with its band, and what is left over."""

from typing import Any

import numpy as np

from .figure import BLUE, GREY, ORANGE, new_axes, tidy


def forecast(
    t: Any,
    y: Any,
    fit: tuple[Any, Any],
    fitted: Any,
    ahead: tuple[Any, Any, Any, Any] | None = None,
    level: float = 0.9,
    names: tuple[str, str] = ("t", "y"),
    ax: Any = None,
) -> Any:
    """Draw a fitted series, and below it the residuals.

    **Arguments:**

    - `t`, `y`: the samples, each `(N,)`.
    - `fit`: times and values of the curve, each `(K,)`.
    - `fitted`: the model's values at the samples, `(N,)`: by the fit that did not see the held-out part, where there is one.
    - `ahead`: times, forecast, and lower and upper end of the band of the held-out part, each `(n,)`; nothing where none was held out.
    - `level`: the probability of the band, for the legend.
    - `names`: of the time and of the target.
    - `ax`: two axes, for the series and for the residuals; new ones when `None`.

    **Returns:** both axes, as an array.

    **Raises:** `ValueError` for arrays of different lengths, no sample, or another number of axes.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import forecast
    >>> t = np.linspace(0.0, 1.0, 20)
    >>> ahead = (t[15:], np.cos(t[15:]), np.cos(t[15:]) - 0.1, np.cos(t[15:]) + 0.1)
    >>> axes = forecast(t, np.cos(t), (t, np.cos(t)), np.cos(t), ahead, names=("time", "load"))
    >>> axes[1].get_xlabel(), axes[0].get_ylabel()
    ('time', 'load')

    ```
    """
    t, y, fitted = (np.asarray(v, float) for v in (t, y, fitted))
    if t.ndim != 1 or not len(t) or not t.shape == y.shape == fitted.shape:
        raise ValueError(
            f"t, y and fitted must be equally long lists of numbers; got {t.shape}, {y.shape} and {fitted.shape}"
        )
    if ax is None:
        ax = series_axes(1)[:, 0]
    axes = np.asarray(ax, dtype=object).reshape(-1)
    if len(axes) != 2:
        raise ValueError(f"ax holds {len(axes)} axes; give two, for the series and for the residuals")
    above, below = axes
    size = float(np.clip(60 / np.sqrt(len(t)), 1.0, 4.0))
    above.plot(t, y, "o", color=GREY, markersize=size, markeredgewidth=0, label="samples", zorder=2)
    above.plot(*(np.asarray(v, float) for v in fit), color=BLUE, lw=1.2, label="fit to all samples", zorder=3)
    if ahead is not None:
        times, values, lower, upper = (np.asarray(v, float) for v in ahead)
        for axis in axes:
            axis.axvspan(times.min(), times.max(), color=GREY, alpha=0.10, lw=0, zorder=0)
        label = f"forecast of the held-out part, {level:.0%} band"
        above.fill_between(times, lower, upper, color=ORANGE, alpha=0.3, lw=0, zorder=1)
        above.plot(times, values, color=ORANGE, lw=1.2, ls="--", label=label, zorder=4)
        below.fill_between(times, lower - values, upper - values, color=ORANGE, alpha=0.3, lw=0, zorder=1)
    below.axhline(0.0, color=GREY, lw=0.8, zorder=1)
    below.plot(t, y - fitted, "o", color=BLUE, markersize=size, markeredgewidth=0, zorder=2)
    above.set_ylabel(names[1], fontsize=9)
    below.set_ylabel("residual", fontsize=9)
    below.set_xlabel(names[0], fontsize=9)
    above.tick_params(labelbottom=False)
    above.legend(
        markerscale=max(1.0, 3.0 / size),
        fontsize=8,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        borderaxespad=0.2,
    )
    for axis in axes:
        axis.set_xlim(t.min(), t.max())
        axis.margins(x=0.0)
        tidy(axis)
    return axes


def series_axes(targets: int) -> Any:
    """Make a figure with two axes a target, the upper one three times as tall.

    **Returns:** the axes, shape `(2, targets)`.
    """
    axes = new_axes(2, targets, (7.4, 2.3))
    axes[0, 0].get_gridspec().set_height_ratios([3, 1])
    return axes
