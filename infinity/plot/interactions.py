"""Which inputs interact: two scores for each pair, additive above the diagonal, multiplicative below."""

from typing import Any

import numpy as np

from .figure import new_axes


def interactions(report: Any, ax: Any = None) -> Any:
    """Draw the scores of `inf.separability`: white where two inputs are separate.

    **Arguments:**

    - `report`: what `inf.separability` returned.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    ```python
    >>> import infinity as inf
    >>> from infinity.plot import interactions
    >>> ax = interactions(inf.separability(lambda x: x[0] * x[1] + x[2], [(1, 2)] * 3, ["a", "b", "c"]))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['a', 'b', 'c']

    ```
    """
    if ax is None:
        ax = new_axes()[0, 0]
    D = len(report.names)
    scores = np.triu(report.additive, 1) + np.tril(report.multiplicative, -1)
    shown = np.where(np.eye(D, dtype=bool), np.nan, np.clip(scores, 0, 1))
    ax.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    for i in range(D):
        for j in range(D):
            if i != j:
                ax.text(
                    j,
                    i,
                    f"{scores[i, j]:.2g}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if shown[i, j] > 0.6 else "black",
                )
    ax.set_xticks(range(D), report.names, fontsize=8)
    ax.set_yticks(range(D), report.names, fontsize=8)
    ax.set_title("sum (above), product (below)", fontsize=9)
    return ax
