r"""Values and derivatives from one row of polynomials.

f_i(v) = sum_k P_ki v^k,    d^r f_i / dt^r = sum_{k>=r} P_ki k! / (k - r)! v^{k-r} / (h/2)^r,    v = 2 offset / h - 1
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def row_values(
    row: Float[Array, "powers width"], offset: Float[Array, ""], half: Float[Array, ""], order: int
) -> Float[Array, " width"]:
    """Evaluate the derivatives of static `order` of the polynomials of one cell at an offset from its left end; `half` is half its length."""
    count = row.shape[0]
    if order >= count:
        return jnp.zeros(row.shape[1:], row.dtype)
    v = offset / half - 1
    value = row[count - 1] * math.perm(count - 1, order)
    for k in range(count - 2, order - 1, -1):
        value = value * v + row[k] * math.perm(k, order)
    return value if order == 0 else value / half**order
