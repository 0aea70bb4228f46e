r"""The cells of a space, with the values and gradients of the functions that live there.

B_i(x) = prod_d B_id(x_d):    on a cell (p + 1)^D functions, at q^D Gauss points        on the image of a box  grad_X = J^-T grad
"""

import numpy as np

from ..basis import AbstractBasis
from .axis import gauss_points, tabulate
from .expressions import Coordinate
from .pullback import Geometry
from .space import Space


class Mesh:
    """The cells of a space with the values of the functions that live there, at two more points a cell and coordinate than the largest degree.

    **Arguments:** the `space`, of up to three coordinates; a `face`, one of its coordinates and a value, for the cells and points there alone; a `geometry`,
    which takes its box to a domain, in whose coordinates points, measures and gradients are then.

    **Raises:** `ValueError` for more coordinates.
    """

    def __init__(self, space: Space, face: tuple[Coordinate, float] | None = None, geometry: Geometry | None = None):
        bases = list(space.bases.values())
        if len(bases) > 3:
            raise ValueError(
                f"Energy and Weak take up to three coordinates; got {len(bases)}. Name parameters, or write a linear form as a sum of products"
            )
        number = max(b.degree for b in bases) + 2
        at = {} if face is None else {face[0]: face[1]}
        lines = [_Line(b, number, at.get(c)) for c, b in space.bases.items()]
        self.shape = tuple(b.size for b in bases)
        cells = np.stack(
            [a.ravel() for a in np.meshgrid(*(np.arange(len(line.first)) for line in lines), indexing="ij")], axis=1
        )
        self.points: np.ndarray = _outer(
            [line.points[cells[:, d]] for d, line in enumerate(lines)], stack=True
        )  # (E, q^D, D)
        self.weights: np.ndarray = _outer([line.weights[cells[:, d]] for d, line in enumerate(lines)])  # (E, q^D)
        self._lines, self._cells = lines, cells
        strides = np.cumprod((1, *self.shape[:0:-1]))[::-1]
        index = np.zeros((len(cells), 1), int)
        for d, line in enumerate(lines):
            local = (line.first[cells[:, d]][:, None] + np.arange(line.width)) * strides[d]
            index = (index[:, :, None] + local[:, None, :]).reshape(len(cells), -1)
        self.index = index  # (E, k): which coefficients live on a cell
        self._inverse: np.ndarray | None = None
        if geometry is not None:
            images, inverse, measure = geometry.at(self.points.reshape(-1, len(lines)))
            if face is not None:  # the element of the face
                measure = measure * np.linalg.norm(inverse[:, space.coordinates.index(face[0])], axis=1)
            self.points = images.reshape(self.points.shape)
            self.weights = self.weights * measure.reshape(self.weights.shape)
            self._inverse = inverse.reshape(*self.weights.shape, len(lines), len(lines))

    def tables(self, part: slice) -> np.ndarray:
        """Values and gradients of the functions of some cells, `(E, q^D, D + 1, k)`."""
        cells, lines = self._cells[part], self._lines
        jets = []
        for a in range(len(lines) + 1):
            factors = [line.values[int(a == d + 1)][cells[:, d]] for d, line in enumerate(lines)]
            total = factors[0]
            for factor in factors[1:]:
                total = (total[:, :, None, :, None] * factor[:, None, :, None, :]).reshape(
                    len(cells), total.shape[1] * factor.shape[1], total.shape[2] * factor.shape[2]
                )
            jets.append(total)
        found = np.stack(jets, axis=2)
        if self._inverse is not None:
            found[:, :, 1:] = np.einsum("eqai,eqak->eqik", self._inverse[part], found[:, :, 1:])
        return found


class _Line:
    """One coordinate cell by cell: points and weights `(cells, q)`, values and derivatives `(cells, q, p + 1)`, the first function of each cell.

    On a face it is one cell with one point.
    """

    def __init__(self, basis: AbstractBasis, number: int, at: float | None = None):
        rule = gauss_points(basis, number) if at is None else (np.array([at]), np.ones(1))
        self.points, self.weights = (table.reshape(-1, number if at is None else 1) for table in rule)
        self.width = basis.degree + 1
        full = [tabulate(basis, self.points.ravel(), k).reshape(*self.points.shape, -1) for k in (0, 1)]
        alive = np.abs(full[0]).max(axis=1) > 0
        self.first = np.minimum(np.argmax(alive, axis=1), basis.size - self.width)
        columns = self.first[:, None] + np.arange(self.width)
        self.values = [np.take_along_axis(table, columns[:, None, :], axis=2) for table in full]


def _outer(parts: list[np.ndarray], stack: bool = False) -> np.ndarray:
    """Products, or all combinations, of the points of each cell."""
    grids = []
    for d, part in enumerate(parts):
        shape = [len(part)] + [1] * len(parts)
        shape[d + 1] = part.shape[1]
        grids.append(part.reshape(shape))
    if stack:
        full = np.broadcast_arrays(*grids)
        return np.stack([grid.reshape(len(grid), -1) for grid in full], axis=2)
    total = grids[0]
    for grid in grids[1:]:
        total = total * grid
    return total.reshape(len(total), -1)
