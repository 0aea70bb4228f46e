r"""Newton's method on the full tensor of coefficients, for up to three coordinates.

    r_i = int c(u) . (B_i, grad B_i),    J_ij = int (B_i, grad B_i) T(u) (B_j, grad B_j),    J du = -r,    u <- u + s du

The step is halved until the residual falls. Integrals are summed cell by cell, in which only `(p + 1)^D` functions live; the matrix is sparse.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from ..precision import double_precision
from .mesh import Mesh
from .pointwise import Energy, Weak

_ITERATIONS, _HALVINGS = 40, 12
# Cells that are integrated at once.
_CHUNK = 400


@dataclasses.dataclass(frozen=True, eq=False)
class Stationary:
    """Coefficients, shaped like the start, whether the residual fell to rounding, its sizes, and how many eigenvalues of a symmetric tangent are negative."""

    coefficients: np.ndarray
    converged: bool
    history: list[float]
    negative: int


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Cells that are integrated, what stands on them, and the unknown of each function; with components `k` of each of them."""

    mesh: Mesh
    tables: Callable[..., Any]
    numbers: np.ndarray


class System:
    """Residual and tangent of a pointwise problem, inside and on faces.

    **Arguments:** `parts`, each a mesh, its `tables_at_points` and the unknowns `(n, )` of its functions; `free`, a matrix from the unknowns that are sought to
    all of them; the number of `components`, the last index of the unknowns; `fixed`, the values of parameters that follow the coordinates of the mesh in `x`,
    placed by `order`.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        free: Any,
        components: int = 1,
        fixed: tuple[float, ...] = (),
        order: tuple[int, ...] | None = None,
    ):
        self.parts, self.free, self.components = list(parts), free, components
        self._fixed, self._order = fixed, order

    def linearised(self, coefficients: np.ndarray, tangent: bool) -> tuple[np.ndarray, Any]:
        """The residual `(N,)` and, where asked for, the tangent `(N, N)`, of all functions."""
        count = self.components
        values = coefficients.reshape(-1, count)
        residual = np.zeros(values.shape)
        rows, columns, entries = [], [], []
        chunks = ((p, slice(k, k + _CHUNK)) for p in self.parts for k in range(0, len(p.mesh.index), _CHUNK))
        for whole, part in chunks:
            mesh = whole.mesh
            B, index = mesh.tables(part), whole.numbers[mesh.index[part]]
            number, q, jets, width = B.shape
            flat = B.reshape(number, q * jets, width)
            jet = np.moveaxis((flat @ values[index]).reshape(number * q, jets, count), 2, 1)
            flux, T = self._at(whole, mesh.points[part].reshape(number * q, -1), jet)
            w = mesh.weights[part].reshape(-1)
            weighted = np.moveaxis(w[:, None, None] * flux, 1, 2).reshape(number, q * jets, count)
            np.add.at(residual, index, np.swapaxes(flat, 1, 2) @ weighted)
            for a, b in itertools.product(range(count), repeat=2) if tangent else ():
                inner = T[:, a, :, b]
                if count > 1 and not np.any(inner):
                    continue
                turned = (w[:, None, None] * inner).reshape(number, q, jets, jets) @ B
                local = np.swapaxes(flat, 1, 2) @ turned.reshape(number, q * jets, width)
                rows.append(np.repeat(index[:, :, None] * count + a, width, axis=2).ravel())
                columns.append(np.repeat(index[:, None, :] * count + b, width, axis=1).ravel())
                entries.append(local.ravel())
        if not tangent:
            return residual.ravel(), None
        triplets = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
        return residual.ravel(), scipy.sparse.csr_matrix(triplets, shape=(values.size, values.size))

    def _at(self, part: Part, points: np.ndarray, jet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fluxes `(n, O, J)` and tangents `(n, O, J, O, J)` in the coordinates of the mesh; the number of points is rounded up so that one program serves."""
        mesh, count = part.mesh, self.components
        if self._order is not None:
            both = np.concatenate([points, np.broadcast_to(self._fixed, (len(points), len(self._fixed)))], axis=1)
            points = both[:, self._order]
            wide = np.zeros((len(jet), count, 1 + points.shape[1]))
            places = [0] + [1 + self._order.index(d) for d in range(jet.shape[2] - 1)]
            wide[:, :, places] = jet
        else:
            wide, places = jet, list(range(jet.shape[2]))
        full = _CHUNK * mesh.points.shape[1]
        missing = full - len(points) if len(mesh.index) > _CHUNK else 0
        padded = lambda a: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) if missing else a
        with double_precision():
            found = part.tables(padded(points), padded(wide.reshape(len(wide), -1)))
        flux, T = (np.asarray(a)[: len(points)] for a in found)
        flux, T = flux.reshape(wide.shape), T.reshape(len(T), *wide.shape[1:] * 2)
        return flux[:, :, places], T[:, :, places][..., places]


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
