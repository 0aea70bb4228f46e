r"""Newton's method on the full tensor of coefficients, for up to three coordinates.

    r_i = int c(u) . (B_i, grad B_i),    J_ij = int (B_i, grad B_i) T(u) (B_j, grad B_j),    J du = -r,    u <- u + s du

The step is halved until the residual falls. Integrals are summed cell by cell, in which only `(p + 1)^D` functions live; the matrix is sparse.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from ..basis import AbstractBasis
from ..precision import double_precision
from .axis import gauss_points, restriction, tabulate
from .expressions import Coordinate
from .pointwise import Energy, Weak
from .space import Space

_ITERATIONS, _HALVINGS = 40, 12
# Cells that are integrated at once.
_CHUNK = 400


@dataclasses.dataclass(frozen=True, eq=False)
class Stationary:
    """Coefficients `(n_1, .., n_D)`, whether the residual fell to rounding, its sizes, and how many eigenvalues of a symmetric tangent are negative."""

    coefficients: np.ndarray
    converged: bool
    history: list[float]
    negative: int


class Mesh:
    """The cells of a space with the values of the functions that live there, at two more points a cell and coordinate than the largest degree.

    **Arguments:** the `space`, of up to three coordinates; a `face`, one of its coordinates and a value, for the cells and points there alone.

    **Raises:** `ValueError` for more coordinates.
    """

    def __init__(self, space: Space, face: tuple[Coordinate, float] | None = None):
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
        self.points = _outer([line.points[cells[:, d]] for d, line in enumerate(lines)], stack=True)  # (E, q^D, D)
        self.weights = _outer([line.weights[cells[:, d]] for d, line in enumerate(lines)])  # (E, q^D)
        self._lines, self._cells = lines, cells
        strides = np.cumprod((1, *self.shape[:0:-1]))[::-1]
        index = np.zeros((len(cells), 1), int)
        for d, line in enumerate(lines):
            local = (line.first[cells[:, d]][:, None] + np.arange(line.width)) * strides[d]
            index = (index[:, :, None] + local[:, None, :]).reshape(len(cells), -1)
        self.index = index  # (E, k): which coefficients live on a cell
        E = [scipy.sparse.csr_matrix(restriction(b, space.ends(c))) for c, b in space.bases.items()]
        self.free = E[0]
        for part in E[1:]:
            self.free = scipy.sparse.kron(self.free, part, format="csr")

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
        return np.stack(jets, axis=2)


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


class System:
    """Residual and tangent of a pointwise problem, inside and on faces.

    **Arguments:** `parts`, pairs of a mesh and its `tables_at_points`, the inside first; `fixed`, the values of parameters that follow the coordinates of
    the mesh in `x`, placed by `order`.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Mesh, Callable[..., Any]]],
        fixed: tuple[float, ...] = (),
        order: tuple[int, ...] | None = None,
    ):
        self.parts, self.free = list(parts), parts[0][0].free
        self._fixed, self._order = fixed, order

    def linearised(self, coefficients: np.ndarray, tangent: bool) -> tuple[np.ndarray, Any]:
        """The residual `(N,)` and, where asked for, the tangent `(N, N)`, of all functions."""
        flat = coefficients.ravel()
        residual = np.zeros(flat.size)
        rows, columns, entries = [], [], []
        chunks = ((*pair, slice(k, k + _CHUNK)) for pair in self.parts for k in range(0, len(pair[0].index), _CHUNK))
        for mesh, tables, part in chunks:
            B, index = mesh.tables(part), mesh.index[part]
            number, q, jets, width = B.shape
            jet = (B.reshape(number, q * jets, width) @ flat[index][:, :, None]).reshape(number * q, jets)
            flux, T = self._at(mesh, tables, mesh.points[part].reshape(number * q, -1), jet)
            w = mesh.weights[part].reshape(-1)
            weighted = (w[:, None] * flux).reshape(number, 1, q * jets)
            np.add.at(residual, index, (weighted @ B.reshape(number, q * jets, width))[:, 0])
            if tangent:
                turned = (w[:, None, None] * T).reshape(number, q, jets, jets) @ B
                local = np.swapaxes(B.reshape(number, q * jets, width), 1, 2) @ turned.reshape(number, q * jets, width)
                rows.append(np.repeat(index[:, :, None], width, axis=2).ravel())
                columns.append(np.repeat(index[:, None, :], width, axis=1).ravel())
                entries.append(local.ravel())
        if not tangent:
            return residual, None
        triplets = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
        return residual, scipy.sparse.csr_matrix(triplets, shape=(flat.size, flat.size))

    def _at(
        self, mesh: Mesh, tables: Callable[..., Any], points: np.ndarray, jet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fluxes and tangents in the coordinates of the mesh; the number of points is rounded up so that one program serves."""
        if self._order is not None:
            both = np.concatenate([points, np.broadcast_to(self._fixed, (len(points), len(self._fixed)))], axis=1)
            points = both[:, self._order]
            wide = np.zeros((len(jet), 1 + points.shape[1]))
            places = [0] + [1 + self._order.index(d) for d in range(jet.shape[1] - 1)]
            wide[:, places] = jet
        else:
            wide, places = jet, list(range(jet.shape[1]))
        full = _CHUNK * mesh.points.shape[1]
        missing = full - len(points) if len(mesh.index) > _CHUNK else 0
        padded = lambda a: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) if missing else a
        with double_precision():
            flux, T = (np.asarray(a)[: len(points)] for a in tables(padded(points), padded(wide)))
        return flux[:, places], T[:, places][:, :, places]


def newton(
    system: System, start: np.ndarray, *, linear: bool = False, symmetric: bool = False, tolerance: float = 1e-11
) -> Stationary:
    """Find coefficients for which the residual is zero on all free functions.

    **Arguments:** the `system`; where to `start`, with the values on the faces; whether it is `linear`, so that one step is exact; whether the
    tangent is `symmetric`,
    whose negative pivots are then counted; the `tolerance` of the last step relative to the coefficients.
    """
    free = system.free
    coefficients, history, negative = start.copy(), [], 0
    converged = False
    for _ in range(_ITERATIONS):
        residual, tangent = system.linearised(coefficients, tangent=True)
        r, J = free.T @ residual, (free.T @ tangent @ free).tocsc()
        size = _size(r, J)
        history.append(size)
        try:
            lu = scipy.sparse.linalg.splu(
                J,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0 if symmetric else 1.0,
                options={"SymmetricMode": symmetric},
            )
        except RuntimeError:
            break
        pivots = lu.U.diagonal()
        negative = int(np.sum(pivots < 0)) if symmetric else 0
        step = -lu.solve(r)
        step -= lu.solve(J @ step + r)
        if not np.all(np.isfinite(step)):
            break
        full = (free @ step).reshape(start.shape)
        length, scale = np.linalg.norm(step), max(np.linalg.norm(coefficients), 1e-30)
        damping, found = 1.0, coefficients + full
        if not linear and length > tolerance * scale:
            for _ in range(_HALVINGS):
                found = coefficients + damping * full
                trial = system.linearised(found, tangent=False)[0]
                if _size(free.T @ trial, J) <= (1 - 0.1 * damping) * size:
                    break
                damping /= 2
            else:
                break
        coefficients = found
        if linear or length <= tolerance * scale:
            converged = True
            break
    return Stationary(coefficients, converged, history, negative)


def _size(r: np.ndarray, J: Any) -> float:
    """The residual in units of the diagonal of the tangent."""
    diagonal = np.abs(J.diagonal())
    return float(np.linalg.norm(r / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))))


def is_linear(form: Energy | Weak, dimensions: int) -> bool:
    """Whether the closure check finds a quadratic energy or a linear weak form."""
    degrees = [part.degree(dimensions) for part in (form, *(part for _, _, part in form.boundary))]
    return all(degree is not None and degree <= 2 for degree in degrees)
