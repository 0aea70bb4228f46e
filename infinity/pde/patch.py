r"""One patch of a domain: a space on a box, and the map that takes the box there.

X = F(xi),    xi = F^-1(X) by Newton's method,    int f = int |det F'| f(F)
"""

import dataclasses
import functools

import numpy as np

from .gluing import box_points
from .pullback import Geometry
from .space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class Patch:
    """A space on a box, and the map from it to the domain, or nothing where it is the box itself."""

    space: Space
    geometry: Geometry | None

    @functools.cached_property
    def box(self) -> np.ndarray:
        """The ends of each coordinate, `(D, 2)`."""
        return np.array([np.asarray(b.breakpoints, float)[[0, -1]] for b in self.space.bases.values()])

    def image(self, points: np.ndarray) -> np.ndarray:
        """Points of the box in the domain, `(N, D)`."""
        return points if self.geometry is None else self.geometry.at(points)[0]

    def measure(self, points: np.ndarray) -> np.ndarray:
        """The volume element, `(N,)`."""
        return np.ones(len(points)) if self.geometry is None else self.geometry.at(points)[2]

    def inverse(self, images: np.ndarray) -> np.ndarray:
        """Points of the box with given images, by Newton's method from the nearest of a grid."""
        if self.geometry is None:
            return images
        grid = box_points([np.linspace(low, high, 13) for low, high in self.box])
        start = self.image(grid)
        xi = grid[np.argmin(np.sum((images[:, None] - start[None]) ** 2, axis=2), axis=1)]
        length = self.box[:, 1] - self.box[:, 0]
        for _ in range(20):
            at, inverse, _ = self.geometry.at(xi)
            xi = np.clip(
                xi + np.einsum("nij,nj->ni", inverse, images - at), self.box[:, 0] - length, self.box[:, 1] + length
            )
        return np.where(np.abs(self.image(xi) - images) <= 1e-9 * np.max(np.ptp(start, axis=0)), xi, np.inf)

    def holds(self, images: np.ndarray, margin: float) -> np.ndarray:
        """Whether points of the domain lie in the patch, further inside than a part of its length."""
        xi, length = self.inverse(images), self.box[:, 1] - self.box[:, 0]
        inside = (xi > self.box[:, 0] + margin * length) & (xi < self.box[:, 1] - margin * length)
        return np.all(inside, axis=1)
