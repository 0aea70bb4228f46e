r"""The Cox-de Boor recursion inside one cell, for values and for derivatives of any order.

    B_{i,q}(t) = (t - U_i) B_{i,q-1}(t) / (U_{i+q} - U_i) + (U_{i+q+1} - t) B_{i+1,q-1}(t) / (U_{i+q+1} - U_{i+1})
    d/dt B_{i,q}(t) = q [ B_{i,q-1}(t) / (U_{i+q} - U_i) - B_{i+1,q-1}(t) / (U_{i+q+1} - U_{i+1}) ]

On the cell `[U_m, U_{m+1})` only `B_{m-q,q} .. B_{m,q}` differ from zero. A triangle of `p` rows therefore gives all
of them, the last `order` rows by the second formula and the rows before by the first (de Boor, A Practical Guide to
Splines, chapter X).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def nonzero(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Replace zeros by one, to divide by where the quotient is not used."""
    return jnp.where(x == 0, jnp.ones_like(x), x)


@partial(jax.jit, static_argnames=("degree", "order"), inline=True)  # called eagerly, one compilation instead of many
def cell_values(
    window: Float[Array, " twice_degree"], offset: Float[Array, ""], degree: int, order: int
) -> Float[Array, " degree_plus_one"]:
    """Evaluate the `order`-th derivatives of the `degree + 1` B-splines that do not vanish on a cell.

    **Arguments:**

    - `window`: the knots `U_{m-p+1} .. U_{m+p}` around the cell `[U_m, U_{m+1})`, less `U_m`; shape `(2 * degree,)`.
    - `offset`: `t - U_m`, shape `()`. Inside the cell every factor below is then non-negative, whatever the rounding.
    - `degree`, `order`: the degree `p` and the order of the derivative, both static.

    **Returns:** values of shape `(degree + 1,)`, finite also on a cell of length zero.
    """
    dtype = jnp.result_type(window, offset)
    if order > degree:
        return jnp.zeros((degree + 1,), dtype)
    values = jnp.ones((1,), dtype)
    for q in range(1, degree + 1):
        lower, upper = window[degree - q : degree], window[degree : degree + q]
        # Every gap holds the cell, so it is zero only on a cell of length zero.
        share = values / nonzero(upper - lower)
        if q <= degree - order:
            rising, falling = (offset - lower) * share, (upper - offset) * share
        else:
            rising, falling = q * share, -q * share
        values = jnp.pad(rising, (1, 0)) + jnp.pad(falling, (0, 1))
    return values


def refuse_negative(order: int) -> None:
    """Raise a `ValueError` for a derivative of negative order."""
    if order < 0:
        raise ValueError(f"got a derivative of order {order}; expected 0 or more. Use `antiderivative` to integrate.")
