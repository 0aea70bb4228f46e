r"""The size of a sum of products in the mean square, without a grid and without cancellation.

    | sum_r u_r1 x .. x u_rD |

The factors are swept once as a tensor train: the triangular factor of what is done is multiplied into the next direction and reduced again, and the norm of
the last core is that of the sum. The difference of two nearly equal sums is found to rounding of the sums, while the formula `<u,u> - 2 <u,v> + <v,v>`
stops at the root of that, 1e-8.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

# Numbers of a table of two directions up to which the tensor of three is summed.
_TABLE = 50_000_000


def norm(factors: Sequence[Float[np.ndarray, "_ R"]]) -> float:
    """The root of the sum of squares of the full tensor of a sum of products.

    **Arguments:** `factors`, one matrix `(m_d, R)` a direction.

    >>> import numpy as np
    >>> from infinity.models.norm import norm
    >>> one = np.array([[1.0, 1.0], [2.0, 2.0]])
    >>> norm([one, one * [1.0, -1.0]])      # u x u - u x u
    0.0
    """
    small = [triangle(factor) for factor in factors]
    rows, products = max(len(factor) for factor in small), factors[0].shape[1]
    if (
        len(small) == 3 and 2 * rows < products and rows**2 * products < _TABLE
    ):  # the full tensor is less than its triangles
        first, second, third = small
        return float(np.linalg.norm((first[:, None, :] * second[None, :, :]).reshape(-1, products) @ third.T))
    core = np.ones((1, factors[0].shape[1]))  # (r, R): the directions that are done, for each product
    for factor in small[:-1]:
        core = triangle((core[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1]))
    return float(np.linalg.norm(core @ small[-1].T))


def triangle(matrix: Float[np.ndarray, "m R"]) -> Float[np.ndarray, "n R"]:
    """The triangular factor of a tall matrix; any other as it is."""
    return np.asarray(np.linalg.qr(matrix, mode="r")) if matrix.shape[0] > matrix.shape[1] else matrix
