r"""Measurements at places that were measured before.

    u*(x) = u(x) + c_k (z_k - u(x)),    c_k = a / (a + s^2 / k),    a = max(sigma^2 - s^2, 0)

`z_k` is the mean of k measurements at exactly this place, `sigma^2` the variance of what the model leaves over at new places, `s^2` that of repeated
measurements about their mean, the pure error. Where repeats agree far better than the model does, as copies in a table do, the earlier measurement says more
than the model; where they differ as much, nothing changes. (pure error and lack of fit: Fisher, J. R. Stat. Soc. 85, 1922.)
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .rows import sorted_rows

# Repeats must tell their variance this well, and differ from what the model leaves over by more than chance allows.
FEWEST_REPEATS, CHANCE = 10, 0.01


class Repeats(NamedTuple):
    """What repeated measurements say: their variance about the mean of their place `(O,)`, and from how many degrees of freedom."""

    variance: Float[np.ndarray, " O"]
    freedom: int


def repeats_of(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N O"]) -> Repeats:
    """The variance of repeated measurements, `sum (y - mean of the place)^2 / (N - places)`.

    >>> import numpy as np
    >>> from infinity.fitting.twins import repeats_of
    >>> repeats_of(np.array([[1.0], [2.0], [1.0]]), np.array([[3.0], [0.0], [5.0]]))
    Repeats(variance=array([2.]), freedom=1)
    """
    _, place = _places(x)
    freedom = len(x) - int(place.max()) - 1
    means = _means(place, y, np.ones(len(x)))
    return Repeats(np.sum((y - means[place]) ** 2, axis=0) / max(freedom, 1), freedom)


class Twins(eqx.Module):
    """What is known at measured places.

    **Fields:** the `places` `(n, D)`; the mean of the measurements there, `values` `(n, O)`; their number, or the sum of their weights, `counts` `(n,)`; the
    variance of repeats, `pure`, and of what the model leaves over elsewhere, `total`, both `(O,)`.
    """

    places: Float[Array, "n D"]
    values: Float[Array, "n O"]
    counts: Float[Array, " n"]
    pure: Float[Array, " O"]
    total: Float[Array, " O"]

    def given(
        self, x: Float[np.ndarray, "N D"], z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
    ) -> "Twins":
        """The same with other measurements; those of weight zero are left out."""
        kept = weights > 0
        first, place = _places(x[kept])
        counts = np.bincount(place, weights[kept])
        arrays = (x[kept][first], _means(place, z[kept], weights[kept]), counts)
        dtype = self.pure.dtype
        where = lambda twins: (twins.places, twins.values, twins.counts)
        return eqx.tree_at(where, self, tuple(jnp.asarray(a, dtype) for a in arrays))

    def corrected(
        self, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"]
    ) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values and the standard deviations of a new measurement, corrected where there are measurements at the same place."""
        known = {row.tobytes(): i for i, row in enumerate(np.asarray(self.places) + 0.0)}
        index = np.array([known.get(row.tobytes(), -1) for row in np.asarray(x, self.places.dtype) + 0.0], int)
        met = np.flatnonzero(index >= 0)
        pure, total = np.asarray(self.pure), np.asarray(self.total)
        counts = np.asarray(self.counts)[index[met], None]
        excess = np.maximum(total - pure, 0.0)
        share = excess / (excess + pure / counts)
        value, std = np.array(value), np.array(std)
        value[met] += share * (np.asarray(self.values)[index[met]] - value[met])
        std[met] = np.sqrt((1 - share) * std[met] ** 2 + share * pure * (1 + 1 / counts))
        return value, std


def find_twins(
    x: Float[np.ndarray, "N D"],
    z: Float[np.ndarray, "N O"],
    weights: Float[np.ndarray, " N"],
    repeats: Repeats,
    total: Float[np.ndarray, " O"],
) -> Twins | None:
    """What is known at measured places, or nothing where repeats are too few or do not agree better than the model with new places.

    **Arguments:** inputs, targets and weights; what repeats say, in units of `z`; the variance of what the model leaves over at new places.
    """
    import scipy.stats  # slow to import

    variance, freedom = repeats
    if freedom < FEWEST_REPEATS:
        return None
    ratio = variance / np.where(total > 0, total, 1.0)
    if np.any(scipy.stats.chi2.cdf(ratio * freedom, freedom) > CHANCE):
        return None
    # As if one more repeat had erred like the model: no finite number of them shows that there is no error.
    pure = (freedom * variance + total) / (freedom + 1)
    empty = (np.zeros((0, x.shape[1])), np.zeros((0, z.shape[1])), np.zeros(0), pure, total)
    return Twins(*(jnp.asarray(a) for a in empty)).given(x, z, weights)


def _places(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the first row at each place, and the place of each row."""
    order, new = sorted_rows(x)
    place = np.empty(len(x), int)
    place[order] = np.cumsum(new) - 1
    return order[new], place


def _means(place: np.ndarray, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    counts = np.bincount(place, weights)
    return np.stack([np.bincount(place, weights * column) / counts for column in z.T], axis=1)
