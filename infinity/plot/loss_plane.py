r"""A plane of the loss, `log10 L(theta* + a e_i + b e_j)`, with the paths of minimisers projected onto it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .figure import BLUE, ORANGE, new_axes, tidy

_GRID = 161
_GREEN = "#2c8a4b"
# Decades of the loss that are told apart.
_DECADES = 3.5


def loss_plane(
    loss: Callable[[Any], Any],
    optimum: Any,
    pair: tuple[int, int],
    paths: Sequence[Any],
    names: Sequence[str],
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ax: Any = None,
) -> Any:
    """Draw two parameters of a loss, the others at the optimum, and where minimisers went.

    A path with inner iterations is drawn as one arrow from its start to its end, and the inner points as small dots; any other as a line from point to point.
    The paths do not lie in the plane: what is drawn is their projection.

    **Arguments:**

    - `loss`: many points `(K, P)` to their losses `(K,)`.
    - `optimum`: `(P,)`, marked by a star.
    - `pair`: which two parameters span the plane.
    - `paths`: each with `name`, `points` `(k, P)`, `losses` `(k,)`, `steps` and `inner`, such as `infinity.descent.paths.Path`; up to three.
    - `names`: of the parameters.
    - `limits`: of both parameters; by default around the paths.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    **Raises:** `ValueError` for a pair that is no two parameters, or more than three paths.

    ```python
    >>> import numpy as np, types
    >>> from infinity.plot import loss_plane
    >>> points = np.array([[2.0, 2.0], [1.0, 0.5], [0.0, 0.0]])
    >>> path = types.SimpleNamespace(name="descent", points=points, losses=np.array([8.0, 1.25, 0.0]), steps=2, inner=0)
    >>> ax = loss_plane(lambda p: (p**2).sum(axis=1), np.zeros(2), (0, 1), [path], ["a", "b"])
    >>> ax.get_xlabel(), ax.get_legend_handles_labels()[1]
    ('a', ['descent: 2 steps, loss 0'])

    ```
    """
    optimum = np.asarray(optimum, float)
    i, j = pair
    if i == j or not all(0 <= k < len(optimum) for k in pair):
        raise ValueError(f"pair is {pair}; expected two different parameters from 0 to {len(optimum) - 1}")
    if len(paths) > len(_STYLES):
        raise ValueError(f"got {len(paths)} paths; up to {len(_STYLES)} can be told apart, so draw fewer")
    if ax is None:
        ax = new_axes(size=(5.2, 4.6))[0, 0]
    ends = limits or tuple(_range(optimum, paths, k) for k in pair)
    a, b = (np.linspace(*end, _GRID) for end in ends)
    points = np.tile(optimum, (_GRID * _GRID, 1))
    points[:, i], points[:, j] = np.tile(a, _GRID), np.repeat(b, _GRID)
    values = np.asarray(loss(points), float).reshape(_GRID, _GRID)
    highest = np.log10(np.nanmax(values[np.isfinite(values)]))
    with np.errstate(divide="ignore"):
        height = np.clip(np.log10(values), highest - _DECADES, highest)
    levels = np.linspace(highest - _DECADES, highest, 26)
    filled = ax.contourf(a, b, height, levels=levels, cmap="Greys_r", alpha=0.75)
    filled.set_rasterized(True)
    for path, (colour, marker) in zip(paths, _STYLES, strict=False):
        _draw(ax, path, np.asarray(path.points, float)[:, [i, j]], colour, marker)
    ax.plot(*optimum[[i, j]], "*", color="black", markersize=11, markeredgecolor="white", zorder=6)
    ax.set_xlim(*ends[0])
    ax.set_ylim(*ends[1])
    ax.set_xlabel(names[i], fontsize=9)
    ax.set_ylabel(names[j], fontsize=9)
    bar = ax.figure.colorbar(filled, ax=ax, ticks=np.arange(np.ceil(levels[0]), np.floor(highest) + 1))
    bar.set_label("log10 loss", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    tidy(ax)
    return ax


_STYLES = ((ORANGE, "o"), (BLUE, "s"), (_GREEN, "^"))


def _draw(ax: Any, path: Any, points: np.ndarray, colour: str, marker: str) -> None:
    count = f"{path.steps} step{'s' if path.steps != 1 else ''}" + (f" ({path.inner} inner)" if path.inner else "")
    label = f"{path.name}: {count}, loss {path.losses[-1]:.1e}".replace("0.0e+00", "0")
    if not path.inner:
        ax.plot(
            *points.T, color=colour, lw=1.3, marker=marker, markersize=3.5, markeredgewidth=0, label=label, zorder=4
        )
        ax.plot(*points[0], "o", color="white", markeredgecolor="black", markersize=7, zorder=5)
        return
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "shrinkA": 4, "shrinkB": 5, "mutation_scale": 14}
    ax.annotate("", points[-1], points[0], arrowprops=arrow, zorder=5)
    ax.plot(
        *points[1:].T,
        ls=":",
        lw=0.8,
        color=colour,
        marker=marker,
        markersize=3,
        markeredgewidth=0,
        label=label,
        zorder=5,
    )
    ax.plot(*points[0], "o", color="white", markeredgecolor="black", markersize=7, zorder=5)


def _range(optimum: np.ndarray, paths: Sequence[Any], k: int) -> tuple[float, float]:
    """Around the optimum and all points; those further off than the starts by far leave the picture."""
    starts = [float(path.points[0][k]) for path in paths]
    reach = max([abs(start - optimum[k]) for start in starts], default=0.0) or max(abs(optimum[k]), 1.0)
    values = np.concatenate([[optimum[k]], *(np.asarray(path.points, float)[:, k] for path in paths)])
    values = values[np.abs(values - optimum[k]) <= 2.5 * reach]
    margin = max(0.12 * np.ptp(values), 0.1 * reach)
    return float(values.min() - margin), float(values.max() + margin)
