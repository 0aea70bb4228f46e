r"""Products over dimensions, and each of them with one factor left out.

    P_m = prod_d f_dm,        E_dm = prod_{e != d} f_em

Prefix times suffix products: no division and no logarithm, so zeros and signs are harmless, and the cost is `3 D` multiplications.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def product(features: Float[Array, "D *M"]) -> Float[Array, "*M"]:
    """The product over the first axis, shape `(*M,)`."""
    result = features[0]
    for row in features[1:]:
        result = result * row
    return result


def exclusive_products(features: Float[Array, "D *M"]) -> Float[Array, "D *M"]:
    """For each dimension the product of all the others, shape `(D, *M)`.

    >>> import jax.numpy as jnp
    >>> from infinity.models.products import exclusive_products
    >>> exclusive_products(jnp.array([[2.0], [0.0], [5.0]])).ravel().tolist()
    [0.0, 10.0, 0.0]
    """
    # Written out: a cumulative product is much slower on a CPU.
    before, after = [jnp.ones_like(features[0])], [jnp.ones_like(features[0])]
    for row in features[:-1]:
        before.append(before[-1] * row)
    for row in features[:0:-1]:
        after.append(after[-1] * row)
    return jnp.stack([b * a for b, a in zip(before, after[::-1], strict=True)])
