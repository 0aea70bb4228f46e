"""Figures without a window: made directly, so that no global backend is chosen or changed."""

from typing import Any

BLUE, ORANGE, GREY = "#1f5fa8", "#d1661c", "#8a8f98"


def new_axes(rows: int = 1, columns: int = 1, size: tuple[float, float] = (4.2, 4.0)) -> Any:
    """Make a figure with a grid of axes.

    **Arguments:**

    - `rows`, `columns`: of the grid.
    - `size`: width and height of one cell in inches.

    **Returns:** the axes as an array of shape `(rows, columns)`; `axes[0, 0].figure.savefig(path)` writes them.

    **Raises:** `ModuleNotFoundError` with the line to type where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModuleNotFoundError("pictures need matplotlib: pip install 'infinity[plot]'") from error
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure.subplots(rows, columns, squeeze=False)


def tidy(ax: Any) -> None:
    """Take away what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
