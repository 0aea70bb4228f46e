r"""Products over dimensions, and each of them with one factor left out.

    P_m = prod_d f_dm,        E_dm = prod_{e != d} f_em

Prefix times suffix products: no division and no logarithm, so zeros and signs are harmless, and the cost is `3 D` multiplications.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def product(features: Float[Array, "D M"]) -> Float[Array, " M"]:
    """The product over the first axis, shape `(M,)`."""
    result = features[0]
    for row in features[1:]:
        result = result * row
    return result


def exclusive_products(features: Float[Array, "D M"]) -> Float[Array, "D M"]:
    """For each dimension the product of all the others, shape `(D, M)`.

    >>> import jax.numpy as jnp
    >>> from infinity.models.products import exclusive_products
    >>> exclusive_products(jnp.array([[2.0], [0.0], [5.0]])).ravel().tolist()
    [0.0, 10.0, 0.0]
    """
    ones = jnp.ones_like(features[:1])
    before = jnp.concatenate([ones, jnp.cumprod(features[:-1], axis=0)])
    after = jnp.concatenate([jnp.cumprod(features[:0:-1], axis=0)[::-1], ones])
    return before * after
