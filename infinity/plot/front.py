"""The Pareto front of a search: error on unseen rows against the length of the formula."""

from typing import Any

from .figure import BLUE, GREY, ORANGE, new_axes, tidy


def front(discovery: Any, ax: Any = None) -> Any:
    """Draw the formulas that `inf.discover` lists, the recommended one marked.

    **Arguments:**

    - `discovery`: what `inf.discover` returned.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    ```python
    >>> import numpy as np, infinity as inf
    >>> from infinity.plot import front
    >>> x = np.random.default_rng(0).uniform(1, 2, (50, 2))
    >>> front(inf.discover(x, x[:, 0] / x[:, 1])).get_yscale()
    'log'

    ```
    """
    if ax is None:
        ax = new_axes(size=(5.2, 3.6))[0, 0]
    listed = discovery.expressions
    lengths = [e.complexity for e in listed]
    errors = [max(e.metrics["heldout"], 1e-17) for e in listed]
    ax.step(lengths, errors, where="post", color=GREY, linewidth=0.8)
    ax.scatter(lengths, errors, s=18, color=BLUE, zorder=2)
    best = discovery.best
    ax.scatter(
        [best.complexity],
        [max(best.metrics["heldout"], 1e-17)],
        s=60,
        facecolors="none",
        edgecolors=ORANGE,
        linewidths=1.6,
        zorder=3,
    )
    ax.set_yscale("log")
    ax.set_xlabel("length of the formula", fontsize=9)
    ax.set_ylabel("error on unseen rows / deviation", fontsize=9)
    tidy(ax)
    return ax
