"""Points of a level set in the plane of the two inputs that it binds together most."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .figure import BLUE, new_axes, tidy

_MOST_POINTS = 4000


def level_set(
    points: np.ndarray, names: Sequence[str], free: Sequence[str] | None = None, label: str = "", ax: Any = None
) -> Any:
    """Draw points of a level set.

    Shown are the two free inputs whose ranks are most strongly correlated: where one has to make up for the other.

    **Arguments:**

    - `points`: `(n, D)`, as in `inf.level_set(...).points`.
    - `names`: of the D inputs.
    - `free`: the inputs that may be shown; all that vary by default.
    - `label`: the title, such as the level.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    **Raises:** `ValueError` where fewer than two inputs vary.

    ```python
    >>> import numpy as np
    >>> from infinity.plot import level_set
    >>> angle = np.linspace(0.0, 1.5, 50)
    >>> ax = level_set(np.stack([np.cos(angle), np.sin(angle)], axis=1), ["a", "b"])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('a', 'b')

    ```
    """
    varies = [d for d in range(points.shape[1]) if np.ptp(points[:, d]) > 0 and (free is None or names[d] in free)]
    if len(varies) < 2:
        raise ValueError(f"{len(varies)} inputs vary over these points; a picture needs two")
    ranks = np.argsort(np.argsort(points[:, varies], axis=0), axis=0).astype(float)
    strength = np.abs(np.corrcoef(ranks.T))
    np.fill_diagonal(strength, -1.0)
    i, j = sorted(int(at) for at in np.unravel_index(np.argmax(strength), strength.shape))
    shown = points[:: max(1, len(points) // _MOST_POINTS)]
    ax = new_axes()[0, 0] if ax is None else ax
    ax.scatter(shown[:, varies[i]], shown[:, varies[j]], s=5, color=BLUE, alpha=0.5, linewidths=0)
    ax.set_xlabel(names[varies[i]], fontsize=9)
    ax.set_ylabel(names[varies[j]], fontsize=9)
    ax.set_title(label, fontsize=9)
    tidy(ax)
    return ax
