r"""The lowest point of a polynomial in one variable.

    min_t p(t),    p(t) = sum_k c_k t^k    or    |sum_k r_k t^k|^2 / 2

Stationary points are the real roots of `p'`. Between two neighbouring real roots of a derivative the polynomial is monotone (Rolle), so that the roots of
`p^(k)` bracket those of `p^(k-1)` and bisection finds all of them, from the highest derivative down: no complex numbers, no eigenvalues, a fixed amount
of work, and coefficients that vanish do no harm. The half line is cut at one, its far part turned to `[0, 1]` by `t = 1 / u`.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .tower import horner

_NEWTON_STEPS = 2


def square_triangle(coefficients: Float[Array, "k m"]) -> Float[Array, "j k"]:
    """A small matrix `R` with `|R v| = |sum_k r_k t^k|` for `v = (1, t, t^2, ...)`, orthogonal throughout so that small residuals keep their digits."""
    return jnp.linalg.qr(coefficients.T, mode="r")


def square_coefficients(triangle: Float[Array, "j k"]) -> Float[Array, " n"]:
    """Coefficients of `|R v|^2 / 2`, from the lowest on: sums of antidiagonals of the Gram matrix."""
    size = triangle.shape[1]
    gram = triangle.T @ triangle
    places = np.arange(size)[:, None] + np.arange(size)
    return 0.5 * jnp.zeros((2 * size - 1,), gram.dtype).at[places].add(gram)


def lowest_of_squares(
    coefficients: Float[Array, "k m"], *, positive: bool = False
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Minimise `|sum_k r_k t^k|^2 / 2` over the line, or over `t > 0`.

    **Arguments:** the residual's coefficients `(d+1, m)`; whether `t` has to be positive: then `t = 1` is a candidate, and is what is left if all else fails.

    **Returns:** `t` and the value there, which no candidate undercuts.
    """
    triangle = square_triangle(coefficients)
    k = coefficients.shape[0]

    def value(t):
        image = triangle @ t ** jnp.arange(k)
        return 0.5 * jnp.vdot(image, image)

    return _lowest(square_coefficients(triangle), value, positive)


def lowest(coefficients: Float[Array, " n"], *, positive: bool = False) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Minimise a polynomial over the line, or over `t > 0`.

    **Arguments and returns:** as for `lowest_of_squares`, with the coefficients `(n+1,)` of the polynomial itself. One that is unbounded below on the
    whole line gives `-inf`, at `t = inf` or `-inf`.
    """
    t, found = _lowest(coefficients, lambda t: horner(coefficients, t), positive)
    if positive or coefficients.shape[0] == 1:
        return t, found
    size = coefficients.shape[0]
    noise = size * jnp.finfo(coefficients.dtype).eps * jnp.max(jnp.abs(coefficients))
    counted = jnp.abs(coefficients) > noise
    degree = jnp.max(jnp.where(counted, jnp.arange(size), 0))
    leading = coefficients[degree]
    rises = (degree == 0) | ((leading > 0) & (degree % 2 == 0))
    infinite = jnp.asarray(jnp.inf, t.dtype)
    away = jnp.where((leading < 0) | (degree % 2 == 0), infinite, -infinite)
    return jnp.where(rises, t, away), jnp.where(rises, found, -infinite)


def _lowest(coefficients: Array, value: Callable, positive: bool) -> tuple[Array, Array]:
    """The best of all stationary points, each with two steps of Newton's method, and of one fixed point."""
    dtype = coefficients.dtype
    fixed = jnp.ones((1,), dtype) if positive else jnp.zeros((1,), dtype)
    if coefficients.shape[0] <= 2:
        return fixed[0], value(fixed[0])
    slope = _differentiated(coefficients)
    mirrored = slope * (-1.0) ** np.arange(slope.shape[0])
    sides = [slope] if positive else [slope, mirrored]
    # Each half line in two pieces of the unit interval: the near one, and the far one under t = 1 / u.
    pieces = jnp.stack([part for side in sides for part in (side, side[::-1])])
    roots = jax.vmap(unit_roots)(pieces.astype(dtype))
    signs = [1.0] if positive else [1.0, -1.0]
    far = lambda u: 1 / jnp.where(u > 0, u, jnp.inf)
    points = jnp.concatenate(
        [sign * part for at, sign in enumerate(signs) for part in (roots[2 * at], far(roots[2 * at + 1]))]
    )
    curvature = _differentiated(slope)
    polished = points
    for _ in range(_NEWTON_STEPS):
        bend = horner(curvature, polished)
        polished = polished - horner(slope, polished) / jnp.where(bend == 0, jnp.inf, bend)
    candidates = jnp.concatenate([fixed, points, polished])
    values = jax.vmap(value)(candidates)
    allowed = jnp.isfinite(values) & jnp.isfinite(candidates)
    if positive:
        allowed = allowed & (candidates > 0)
    best = jnp.argmin(jnp.where(allowed, values, jnp.inf))
    return candidates[best], values[best]


def _differentiated(coefficients: Array) -> Array:
    return coefficients[1:] * np.arange(1, coefficients.shape[0]) if coefficients.shape[0] > 1 else 0 * coefficients


def unit_roots(coefficients: Float[Array, " n"]) -> Float[Array, " m"]:
    """Every point of `[0, 1]` where a polynomial changes its sign.

    **Arguments:** its coefficients `(m+1,)`, lowest first.

    **Returns:** `m` sorted points; those that are no change of sign are ends of an interval without one.
    """
    m = coefficients.shape[0] - 1
    if m == 0:
        return coefficients[:0]
    dtype = coefficients.dtype
    # Rows p^(k) / k!, from the highest derivative that is not constant down to p itself.
    table = np.zeros((m, m + 1, m + 1))
    for row, k in enumerate(range(m - 1, -1, -1)):
        for i in range(m + 1 - k):
            table[row, i, i + k] = math.comb(i + k, k)
    derivatives = jnp.asarray(table, dtype) @ coefficients

    def level(roots, derivative):
        low, high = jnp.concatenate([jnp.zeros((1,), dtype), roots[:-1]]), roots
        start = jnp.sign(horner(derivative, low))
        crosses = start * jnp.sign(horner(derivative, high)) < 0

        def halve(_, ends):
            low, high = ends
            middle = 0.5 * (low + high)
            same = jnp.sign(horner(derivative, middle)) == start
            return jnp.where(same, middle, low), jnp.where(same, high, middle)

        _, found = jax.lax.fori_loop(0, jnp.finfo(dtype).nmant + 2, halve, (low, high))
        return jnp.where(crosses, found, high), None

    roots, _ = jax.lax.scan(level, jnp.ones((m,), dtype), derivatives)
    return roots
