"""Truncated Taylor towers against the resummed one: `|sum_(n<=N) c_n t^n - line(t)|` over `t`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .figure import BLUE, GREY, ORANGE, new_axes, tidy

_POINTS = 121
_FLOOR = 1e-17


def towers(
    line: Any,
    orders: Sequence[int] = (1, 2, 4, 8, 16, 32),
    reach: float = 1.0,
    truth: Any = None,
    ax: Any = None,
) -> Any:
    """Draw how far truncated towers are off along a line.

    The largest error over all outputs is drawn on a logarithmic scale, from light to dark with growing order.

    **Arguments:**

    - `line`: what `inf.resum` returns.
    - `orders`: the orders at which the tower is cut off.
    - `reach`: the largest `t`.
    - `truth`: the function of `t` itself, evaluated afresh; where it is given, the error of the resummed line against it is drawn, too.
    - `ax`: matplotlib axes; new ones when `None`.

    **Returns:** the axes.

    **Raises:** `ValueError` for no order, or a reach that is not positive.

    ```python
    >>> import jax.numpy as jnp, infinity as inf
    >>> from infinity.plot import towers
    >>> line = inf.resum(jnp.cos, jnp.array(0.0), jnp.array(6.0))
    >>> ax = towers(line, orders=(2, 8))
    >>> [curve.get_label() for curve in ax.lines[:2]]
    ['order 2', 'order 8']

    ```
    """
    if not orders or not reach > 0:
        raise ValueError(f"orders is {orders!r} and reach {reach!r}; expected one order at least and a positive reach")
    if ax is None:
        ax = new_axes(size=(5.6, 4.0))[0, 0]
    t = np.linspace(0.0, reach, _POINTS)[1:]
    exact = _at(line, t)
    tallest = line.truncated(int(max(orders)))
    dark = np.linspace(0.25, 1.0, len(orders))
    for order, shade in zip(orders, dark, strict=True):
        error = np.max(np.abs(_at(tallest.truncated(int(order)), t) - exact), axis=1)
        ax.plot(t, np.maximum(error, _FLOOR), color=BLUE, alpha=shade, lw=1.3, label=f"order {order}")
    if truth is not None:
        error = np.max(np.abs(_at(truth, t) - exact), axis=1)
        ax.plot(t, np.maximum(error, _FLOOR), color=ORANGE, lw=1.6, label="resummed")
    ax.axhline(np.finfo(float).eps, color=GREY, lw=0.7, ls=":")
    ax.set_yscale("log")
    ax.set_ylim(bottom=_FLOOR)
    ax.set_xlabel("t, in steps", fontsize=9)
    ax.set_ylabel("largest error", fontsize=9)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    tidy(ax)
    return ax


def _at(function: Any, t: np.ndarray) -> np.ndarray:
    """All numbers of the output at each `t`, shape `(points, numbers)`."""
    import jax

    leaves = jax.tree.leaves(jax.jit(jax.vmap(function))(t))
    return np.concatenate([np.asarray(leaf, dtype=float).reshape(len(t), -1) for leaf in leaves], axis=1)
