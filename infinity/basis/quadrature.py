r"""Gauss-Legendre quadrature, generated rather than tabulated.

    int_{-1}^{1} f(x) dx ~ sum_k w_k f(x_k),    P_n(x_k) = 0,    w_k = 2 / [(1 - x_k^2) P_n'(x_k)^2]

exact for polynomials up to degree `2 n - 1`. The nodes are found by Newton's method on the Legendre polynomial `P_n`
from Tricomi's first guess `cos(pi (k - 1/4) / (n + 1/2))`.
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _legendre(n: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate `P_n` and its derivative by the three-term recurrence, for `n >= 1` and `|x| < 1`."""
    before, value = np.ones_like(x), x
    for k in range(1, n):
        before, value = value, ((2 * k + 1) * x * value - k * before) / (k + 1)
    return value, n * (before - x * value) / ((1 - x) * (1 + x))


@lru_cache(maxsize=128)
def gauss_legendre(n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    r"""Compute nodes and weights of the `n`-point Gauss-Legendre rule on `[-1, 1]`.

        sum_k w_k x_k^j = int_{-1}^{1} x^j dx,    j = 0 .. 2 n - 1

    **Arguments:** `n`, the number of points, at least 1.

    **Returns:** nodes in rising order and weights, two read-only float64 arrays of shape `(n,)`.

    **Raises:** `ValueError` for `n < 1`.

    Source: Tricomi, Ann. Mat. Pura Appl. 31 (1950), for the first guess.

    >>> from infinity.basis import gauss_legendre
    >>> nodes, weights = gauss_legendre(3)
    >>> round(float(weights @ nodes**4), 12)
    0.4
    """
    if n < 1:
        raise ValueError(f"gauss_legendre got n = {n}; expected at least one point. Pass a positive number of points.")
    k = np.arange(n, 0, -1)
    nodes = np.cos(np.pi * (k - 0.25) / (n + 0.5))
    for _ in range(5):  # quadratic convergence from a guess that is good to 1e-2 at n = 2
        value, slope = _legendre(n, nodes)
        nodes = nodes - value / slope
    nodes = (nodes - nodes[::-1]) / 2
    weights = 2 / ((1 - nodes) * (1 + nodes) * _legendre(n, nodes)[1] ** 2)
    weights = (weights + weights[::-1]) / 2
    nodes.setflags(write=False)
    weights.setflags(write=False)
    return nodes, weights


def cell_rule(
    breakpoints: Float[Array, " cells_plus_one"], points: int
) -> tuple[Float[Array, "cells points"], Float[Array, "cells points"]]:
    """Place Gauss-Legendre points in every cell, as offsets from the cell's left end, and their weights.

    Offsets rather than positions: a short cell far from zero keeps all its digits.

    **Arguments:** `breakpoints` of shape `(cells + 1,)`; `points`, the number of points a cell.

    **Returns:** offsets and weights, each `(cells, points)`; both are zero on a cell of length zero.
    """
    nodes, weights = gauss_legendre(points)
    lengths = jnp.diff(breakpoints)[:, None]
    return lengths * jnp.asarray((1 + nodes) / 2, lengths.dtype), lengths * jnp.asarray(weights / 2, lengths.dtype)
