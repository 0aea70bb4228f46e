r"""The mean square of a sum of products, without a grid and without cancellation.

    | sum_r u_r1 x .. x u_rD |

The factors are swept once as a tensor train: the QR factorisation of one direction is absorbed into the next, and the norm of the last core is that
of the sum.
The difference of two nearly equal sums is therefore found to rounding of the sums, while the formula `<u,u> - 2 <u,v> + <v,v>` stops at the root of
that, 1e-8.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .kronecker import khatri_rao

# Numbers of a full tensor that is written out.
_TENSOR = 3_000_000


def norm(factors: Sequence[Float[np.ndarray, "_ R"]]) -> float:
    """The root of the sum of squares of the full tensor of a sum of products.

    **Arguments:** `factors`, one matrix `(m_d, R)` a direction.

    >>> import numpy as np
    >>> from infinity.pde.norm import norm
    >>> one = np.array([[1.0, 1.0], [2.0, 2.0]])
    >>> norm([one, one * [1.0, -1.0]])      # u x u - u x u
    0.0
    """
    products = factors[0].shape[1]
    small = [triangle(f) for f in factors]
    size = float(np.prod([float(len(f)) for f in small]))
    if size <= min(_TENSOR, products**2 * sum(len(f) for f in small)):  # the full tensor is less work
        half = len(small) // 2
        if half == 0:
            return float(np.linalg.norm(small[0].sum(axis=1)))
        return float(np.linalg.norm(khatri_rao(small[:half]) @ khatri_rao(small[half:]).T))
    core = np.ones((1, products))  # (r, R): the directions that are done, for each product
    for factor in small[:-1]:
        core = _reduced(core, factor)
    return float(np.linalg.norm(core @ small[-1].T))


def _reduced(core: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The triangular factor of the Khatri-Rao product of what is done and the next direction."""
    product = (core[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return triangle(product)


def triangle(matrix: np.ndarray) -> np.ndarray:
    """The triangular factor of a tall matrix; any other as it is."""
    return np.asarray(np.linalg.qr(matrix, mode="r")) if matrix.shape[0] > matrix.shape[1] else matrix
