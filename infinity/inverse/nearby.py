r"""Where a level is near to each start, from the values on a coarse grid; for few dimensions.

    p the node nearest to z that has a neighbour on the other side of the level,    z -> z - (u(p) - c + g (z - p)) g / |g|^2,    g differences at p

that is the foot of the perpendicular from `z` on the tangent of the level set near `p`: starts that lie beside one another stay so. The nodes are found
for all places at once by a distance transform. Where the level set ends at a face, or has a corner, many starts have the same nearest point; they may be
spread over all of the set instead.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

# The nodes of one side of the grid, by dimensions; in more, so few nodes say nothing.
SIDES = {1: 2048, 2: 45, 3: 12}
# How far from its node, in cells, a foot may lie.
_FAR = 1.5


def grid(dimensions: int) -> Float[np.ndarray, "N D"]:
    """The nodes of the grid on the unit box, the last coordinate fastest."""
    line = np.linspace(0, 1, SIDES[dimensions])
    return np.stack(np.meshgrid(*[line] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)


def nearby(
    z: Float[np.ndarray, "n D"], rest: Float[np.ndarray, " N"], spread: bool = False
) -> Float[np.ndarray, "n D"]:
    """Points near the level set, each near its start.

    **Arguments:** starts on the unit box; the values less the level at the nodes of the `grid`; whether starts whose nearest point is an end or a corner of the
    set are `spread` over it, at random.

    **Returns:** the points, in the box; the starts themselves where no two neighbours lie on different sides.

    >>> import numpy as np
    >>> from infinity.inverse.nearby import grid, nearby
    >>> rest = np.linalg.norm(grid(2) - 0.5, axis=1) - 0.3
    >>> bool(np.abs(np.linalg.norm(nearby(np.array([[0.5, 0.6], [0.9, 0.9]]), rest) - 0.5, axis=1) - 0.3).max() < 5e-3)
    True
    """
    from scipy.ndimage import distance_transform_edt  # slow to import

    D = z.shape[1]
    side = SIDES[D]
    table = rest.reshape((side,) * D)
    beside = _beside(table > 0)
    if not beside.any():
        return z
    places: Any = distance_transform_edt(~beside, return_distances=False, return_indices=True)
    nearest = np.ravel_multi_index(tuple(places), table.shape).ravel()
    slopes = np.stack([np.gradient(table, axis=d).ravel() for d in range(D)], axis=1)
    nodes = np.stack(np.unravel_index(np.arange(table.size), table.shape), axis=1)

    def foot(in_cells: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The foot of the perpendicular on the tangent at a node, from it and in cells."""
        g, away = slopes[at], in_cells - nodes[at]
        t = (rest[at] + np.sum(g * away, axis=1)) / np.maximum(np.sum(g * g, axis=1), 1e-300)
        return away - t[:, None] * g

    in_cells = z * (side - 1)
    at = nearest[np.ravel_multi_index(tuple(np.rint(in_cells).astype(int).T), table.shape)]
    away = foot(in_cells, at)
    if spread:
        found = nodes[at] + away
        same = np.any((np.abs(away) > _FAR) | (found < 0) | (found > side - 1), axis=1)
        random, own = np.random.default_rng(0), int(same.sum())
        at[same] = random.choice(np.flatnonzero(beside), own)
        away[same] = foot(nodes[at[same]] + random.uniform(-0.5, 0.5, (own, D)), at[same])
    found = nodes[at] + np.clip(away, -_FAR, _FAR)
    return np.clip(found / (side - 1), 0.0, 1.0)


def _beside(above: np.ndarray) -> np.ndarray:
    """Which nodes have a neighbour on the other side."""
    beside = np.zeros(above.shape, bool)
    for d in range(above.ndim):
        lower, upper = ((slice(None),) * d + (part,) for part in (slice(None, -1), slice(1, None)))
        changes = above[lower] != above[upper]
        beside[lower] |= changes
        beside[upper] |= changes
    return beside
