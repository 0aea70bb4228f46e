r"""The mean square of a sum of products, without a grid and without cancellation.

    | sum_r u_r1 x .. x u_rD |

The factors are swept once as a tensor train: the QR factorisation of one direction is absorbed into the next, and the norm of the last core is that of the sum.
The difference of two nearly equal sums is therefore found to rounding of the sums, while the formula `<u,u> - 2 <u,v> + <v,v>` stops at the root of that, 1e-8.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def norm(factors: Sequence[Float[np.ndarray, "_ R"]]) -> float:
    """The root of the sum of squares of the full tensor of a sum of products.

    **Arguments:** `factors`, one matrix `(m_d, R)` a direction.

    >>> import numpy as np
    >>> from infinity.pde.norm import norm
    >>> one = np.array([[1.0, 1.0], [2.0, 2.0]])
    >>> norm([one, one * [1.0, -1.0]])      # u x u - u x u
    0.0
    """
    if len(factors) == 1:
        return float(np.linalg.norm(factors[0].sum(axis=1)))
    core = np.ones((1, factors[0].shape[1]))  # (r, R): the directions that are done, for each product
    for factor in factors[:-1]:
        core = _reduced(core, factor)
    return float(np.linalg.norm(core @ factors[-1].T))


def _reduced(core: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The triangular factor of the Khatri-Rao product of what is done and the next direction."""
    product = (core[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return np.linalg.qr(product, mode="r") if len(product) > product.shape[1] else product
