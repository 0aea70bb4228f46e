r"""From samples of a function on a cell to its powers there.

    f(v) = sum_{k<n} c_k v^k,    v_j = cos(pi (j + 1/2) / n),    exact for polynomials of degree below n

Sampling at the Chebyshev points and going through Chebyshev polynomials, `T_k(v_j) = cos(pi k (j + 1/2) / n)`, loses no digits but those of the
powers themselves.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float


@lru_cache(maxsize=64)
def chebyshev_points(n: int) -> Float[np.ndarray, " n"]:
    """The `n` Chebyshev points in (-1, 1), shape `(n,)`, read-only."""
    points = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    points.setflags(write=False)
    return points


@lru_cache(maxsize=64)
def to_powers(n: int) -> Float[np.ndarray, "n n"]:
    """The matrix `(n, n)` from values at the Chebyshev points to the powers of `v`, lowest first, read-only.

    >>> import numpy as np
    >>> from infinity.basis.chebyshev import chebyshev_points, to_powers
    >>> bool(np.allclose(to_powers(3) @ (1 + 2 * chebyshev_points(3) ** 2), [1, 0, 2]))
    True
    """
    k, j = np.arange(n)[:, None], np.arange(n)[None]
    transform = 2 / n * np.cos(np.pi * k * (j + 0.5) / n)
    transform[0] /= 2
    powers = np.stack([np.pad(np.polynomial.chebyshev.cheb2poly(row), (0, n))[:n] for row in np.eye(n)], axis=1)
    matrix = powers @ transform
    matrix.setflags(write=False)
    return matrix
