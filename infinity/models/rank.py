r"""How well any sum of M products can do: the rank floor.

    floor_d(M) = sqrt(sum_{m > M} s_m^2 / sum_m s_m^2),    s the singular values of u unfolded along dimension d

By the theorem of Eckart and Young no sum of M products, with any functions and any coordinate maps, comes closer in the mean square than the largest of
these (for two dimensions: exactly so close).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import gauss_legendre

# Gauss points a dimension.
_POINTS = {2: 200, 3: 48}


def rank_floor(
    u: Callable[[Float[Array, " D"]], Array], domain: list[tuple[float, float]], modes: int, points: int | None = None
) -> float:
    """The least relative error in the mean square that `modes` products can reach on a box of two or three dimensions.

    **Arguments:** `u` from a point `(D,)` to a value of shape `()` or `(1,)`; the box; the number of modes; Gauss points a dimension.

    **Raises:** `ValueError` for another number of dimensions: the table of values would not fit.

    >>> import jax.numpy as jnp
    >>> from infinity.models.rank import rank_floor
    >>> rank_floor(lambda x: jnp.sin(x[0] + x[1]), [(0.0, 1.0)] * 2, modes=2) < 1e-6
    True
    """
    D = len(domain)
    if D not in _POINTS:
        raise ValueError(f"rank_floor got {D} dimensions; expected 2 or 3, for it tabulates the function.")
    nodes, weights = gauss_legendre(points or _POINTS[D])
    grids = [lo + (hi - lo) * (1 + nodes) / 2 for lo, hi in domain]
    mesh = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, D)
    table = np.asarray(jax.jit(jax.vmap(u))(jnp.asarray(mesh)), np.float64).reshape([len(nodes)] * D)
    for d in range(D):
        table = table * np.sqrt(weights / 2).reshape([-1 if e == d else 1 for e in range(D)])
    floors = []
    for d in range(D):
        s = np.linalg.svd(np.moveaxis(table, d, 0).reshape(len(nodes), -1), compute_uv=False)
        floors.append(np.sqrt(np.sum(s[modes:] ** 2) / np.sum(s**2)))
    return float(max(floors))
