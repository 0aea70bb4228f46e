r"""A monotone map of each input that spreads the measurements more evenly.

    w_d(t) = (t + F_d(t)) / 2,    F_d the share of the measurements below t

Half way between the box and the ranks: equally dense measurements stay as they are, crowded ones move apart, and no gap closes. Each `w_d` is a broken line
through the quantiles of the measurements.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LINES = 64


class Warp(eqx.Module):
    """The maps of all inputs, from the unit box to itself.

    **Fields:** `knots` `(D, K)`, rising; `heights` `(D, K)`, the values there.
    """

    knots: Float[Array, "D K"]
    heights: Float[Array, "D K"]

    def __call__(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """The map of points, on the host; beyond the ends the outermost values stay."""
        rows = zip(np.asarray(x).T, np.asarray(self.knots), np.asarray(self.heights), strict=True)
        return np.stack([np.interp(*row) for row in rows], axis=1)


def fit_warp(x: Float[np.ndarray, "N D"]) -> Warp:
    """The maps for measurements on the unit box.

    >>> import numpy as np
    >>> from infinity.fitting.warp import fit_warp
    >>> warp = fit_warp(np.array([[0.0], [0.1], [0.2], [1.0]]))
    >>> [round(float(v), 3) for v in warp(np.array([[0.0], [0.2], [1.0]]))[:, 0]]
    [0.0, 0.433, 1.0]
    """
    rows = [half_ranked(column) for column in x.T]
    padded = [[np.concatenate([row, np.full(LINES - len(row), row[-1])]) for row in pair] for pair in rows]
    return Warp(*(jnp.asarray(np.stack(part)) for part in zip(*padded, strict=True)))


def unwarped(dimensions: int) -> Warp:
    """The maps that leave the unit box as it is."""
    ends = jnp.tile(jnp.array([0.0, 1.0]), (dimensions, 1))
    return Warp(ends, ends)


def half_ranked(column: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Knots and heights of the map of one input, at most `LINES` of them."""
    values, counts = np.unique(column, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts + 1.0)
    ranks = (ranks - ranks[0]) / (ranks[-1] - ranks[0]) if len(values) > 1 else np.zeros(1)
    at = np.unique(np.interp(np.linspace(0, 1, LINES), ranks, values)) if len(values) > LINES else values
    return at, 0.5 * (at + np.interp(at, values, ranks))
