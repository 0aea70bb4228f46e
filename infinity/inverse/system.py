r"""Two separable models in two variables: all common roots, by subdivision.

    F = (u_1 - c_1, u_2 - c_2),    Y F with Y the inverse Jacobian in the middle of a box

A box goes where the Bernstein coefficients of `F` or of `Y F` have one sign; it holds at most one root where the derivatives of `Y F`, bounded by
differences of coefficients, make a strictly diagonally dominant matrix; else it is quartered.
"""

import numpy as np
from jaxtyping import Float

from .bernstein import from_values, halves
from .pieces import Piece, Pieces

_MOST = 20_000
_SMALLEST = 2.0**-30
_SAME = 1e-9


def solve_system(pieces: list[Pieces], levels: list[float]) -> tuple[np.ndarray, np.ndarray, int]:
    """Roots `(k, 2)` on the unit box, places that stay open `(j, 2)`, and the number of boxes that were examined."""
    if not np.all(np.isfinite(levels)):
        return np.zeros((0, 2)), np.zeros((0, 2)), 0
    b, low, width, zero = _boxes(pieces, levels)
    found, open_places, examined = [], [], 0
    while len(b):
        examined += len(b)
        b, low, width, zero = _without_excluded(b, low, width, zero)
        preconditioned, regular = _preconditioned(b)
        gone = np.any(_one_sign(preconditioned, _carried(b, zero)), axis=1) & regular
        b, low, width, zero, preconditioned = (a[~gone] for a in (b, low, width, zero, preconditioned))
        single = _injective(preconditioned) & regular[~gone]
        root, arrived = _newton(pieces, levels, low, width, single)
        inside = np.all((root >= low - _SAME * width) & (root <= low + width * (1 + _SAME)), axis=1)
        done = single & arrived & inside
        found.append(root[done])
        b, low, width, zero = (a[~done] for a in (b, low, width, zero))
        tiny = np.all(width <= _SMALLEST, axis=1)
        if len(b) > _MOST:  # the curves run together: say where, and stop
            tiny[:] = True
        open_places.append((low + width / 2)[tiny])
        b, low, width, zero = _quartered(*(a[~tiny] for a in (b, low, width, zero)))
    points = _distinct(np.concatenate(found) if found else np.zeros((0, 2)), _SAME)
    doubtful = np.concatenate(open_places) if open_places else np.zeros((0, 2))
    doubtful = _distinct(doubtful[:_MOST], 1e-3 if len(doubtful) > 1000 else 1e-6)
    return points, _apart(doubtful, points), examined


def _boxes(pieces: list[Pieces], levels: list[float]) -> tuple[np.ndarray, ...]:
    """Bernstein coefficients `(K, 2, p + 1, q + 1)` of both functions on all pairs of cells, corners, widths, and what counts as zero `(K, 2)`."""
    edges = [np.unique(np.concatenate([p.dimensions[d].edges for p in pieces])) for d in range(2)]
    edges = [e[np.append(True, np.diff(e) > 1e-13)] for e in edges]
    degrees = [max(p.dimensions[d].powers.shape[1] for p in pieces) - 1 for d in range(2)]
    enlarged = sum(from_values(degree)[2] for degree in degrees)
    b, zero = [], []
    for one, level in zip(pieces, levels, strict=True):
        x, y = (_on_cells(one.dimensions[d], edges[d], degrees[d]) for d in range(2))
        modes = np.einsum("aim,bjm->abij", x[..., :-1], y[..., :-1])
        whole = modes + x[:, None, :, None, -1] + y[None, :, None, :, -1] + one.constant - level
        size = np.einsum("aim,bjm->abij", np.abs(x[..., :-1]), np.abs(y[..., :-1])).max(axis=(2, 3))
        size = size + np.abs(x[..., -1]).max(1)[:, None] + np.abs(y[..., -1]).max(1) + abs(one.constant) + abs(level)
        b.append(whole.reshape(-1, degrees[0] + 1, degrees[1] + 1))
        zero.append(2 * enlarged * np.finfo(float).eps * size.ravel())
    corners = np.stack([m.ravel() for m in np.meshgrid(*(e[:-1] for e in edges), indexing="ij")], axis=1)
    widths = np.stack([m.ravel() for m in np.meshgrid(*(np.diff(e) for e in edges), indexing="ij")], axis=1)
    return np.stack(b, axis=1), corners, widths, np.stack(zero, axis=1)


def _on_cells(piece: Piece, edges: np.ndarray, degree: int) -> Float[np.ndarray, "E n lanes"]:
    """Bernstein coefficients of the functions of one dimension between the given edges."""
    nodes, fit, _ = from_values(degree)
    middle = (edges[1:] + edges[:-1]) / 2
    points = edges[:-1, None] + np.diff(edges)[:, None] * nodes
    values = piece.at(np.repeat(piece.cell(middle)[:, None], degree + 1, axis=1), points)
    return np.einsum("ij,ejm->eim", fit, values)


def _one_sign(b: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Whether each function `(K, 2)` keeps away from zero on its box."""
    return (b.min(axis=(2, 3)) > zero) | (b.max(axis=(2, 3)) < -zero)


def _without_excluded(b: np.ndarray, low: np.ndarray, width: np.ndarray, zero: np.ndarray) -> tuple[np.ndarray, ...]:
    kept = ~np.any(_one_sign(b, zero), axis=1)
    return b[kept], low[kept], width[kept], zero[kept]


def _jacobian(b: np.ndarray) -> np.ndarray:
    """About the Jacobian in the middle of each box, in its own units `(K, 2, 2)`: the mean slopes of the coefficients."""
    across = b[:, :, -1, :].mean(axis=2) - b[:, :, 0, :].mean(axis=2)
    up = b[:, :, :, -1].mean(axis=2) - b[:, :, :, 0].mean(axis=2)
    return np.stack([across, up], axis=2)


def _inverse(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    J = _jacobian(b)
    determinant = J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]
    size = np.abs(J).max(axis=(1, 2)) ** 2
    regular = np.abs(determinant) > 1e-10 * np.where(size > 0, size, 1.0)
    safe = np.where(regular, determinant, 1.0)
    flipped = np.stack([J[:, 1, 1], -J[:, 0, 1], -J[:, 1, 0], J[:, 0, 0]], axis=1).reshape(-1, 2, 2)
    return flipped / safe[:, None, None], regular


def _preconditioned(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of `Y F`, and whether there is a `Y`."""
    Y, regular = _inverse(b)
    return np.einsum("kij,kjab->kiab", Y, b), regular


def _carried(b: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """What counts as zero after the combination."""
    return np.einsum("kij,kj->ki", np.abs(_inverse(b)[0]), zero)


def _injective(b: np.ndarray) -> np.ndarray:
    """Whether the derivatives of both functions make a strictly diagonally dominant matrix everywhere on the box."""
    p, q = b.shape[2] - 1, b.shape[3] - 1
    if p == 0 or q == 0:
        return np.zeros(len(b), bool)
    across, up = p * np.diff(b, axis=2), q * np.diff(b, axis=3)
    first = across[:, 0].min(axis=(1, 2)) - np.abs(up[:, 0]).max(axis=(1, 2))
    second = up[:, 1].min(axis=(1, 2)) - np.abs(across[:, 1]).max(axis=(1, 2))
    return (first > 0) & (second > 0)


def _newton(
    pieces: list[Pieces], levels: list[float], low: np.ndarray, width: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method from the middle of the wanted boxes, with the polynomials of their cells; the points, and whether each arrived."""
    middle = low + width / 2
    root, arrived = middle.copy(), np.zeros(len(low), bool)
    at = np.flatnonzero(wanted)
    z, step = middle[at], np.zeros((len(at), 2))
    for _ in range(30):
        F, J = np.empty((len(at), 2)), np.empty((len(at), 2, 2))
        for i, (one, level) in enumerate(zip(pieces, levels, strict=True)):
            x, y = ([p.at(p.cell(middle[at, d]), z[:, d], o) for o in (0, 1)] for d, p in enumerate(one.dimensions))
            F[:, i] = np.sum(x[0][:, :-1] * y[0][:, :-1], 1) + x[0][:, -1] + y[0][:, -1] + one.constant - level
            J[:, i, 0] = np.sum(x[1][:, :-1] * y[0][:, :-1], 1) + x[1][:, -1]
            J[:, i, 1] = np.sum(x[0][:, :-1] * y[1][:, :-1], 1) + y[1][:, -1]
        determinant = J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]
        safe = np.where(determinant == 0, np.inf, determinant)
        step = np.stack([J[:, 1, 1] * F[:, 0] - J[:, 0, 1] * F[:, 1], J[:, 0, 0] * F[:, 1] - J[:, 1, 0] * F[:, 0]], 1)
        step = step / safe[:, None]
        z = np.clip(z - step, low[at] - width[at], low[at] + 2 * width[at])
        if not len(at) or np.abs(step).max() < 1e-15:
            break
    if len(at):
        root[at], arrived[at] = z, np.all(np.abs(step) < 1e-11, axis=1)
    return root, arrived


def _quartered(b: np.ndarray, low: np.ndarray, width: np.ndarray, zero: np.ndarray) -> tuple[np.ndarray, ...]:
    across, up = halves(b.shape[2] - 1), halves(b.shape[3] - 1)
    parts, corners = [], []
    for i in (0, 1):
        for j in (0, 1):
            parts.append(np.einsum("ai,kcij,bj->kcab", across[i], b, up[j]))
            corners.append(low + width / 2 * np.array([i, j]))
    return np.concatenate(parts), np.concatenate(corners), np.tile(width / 2, (4, 1)), np.tile(zero, (4, 1))


def _distinct(points: np.ndarray, same: float) -> np.ndarray:
    """Points without those that lie on an earlier one."""
    kept: list[np.ndarray] = []
    for point in points:
        if not kept or np.min(np.max(np.abs(np.array(kept) - point), axis=1)) > same:
            kept.append(point)
    return np.array(kept).reshape(-1, 2)


def _apart(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Points that are not beside one of the others."""
    if not len(points) or not len(others):
        return points
    return points[np.min(np.max(np.abs(points[:, None] - others), axis=2), axis=1) > 10 * _SMALLEST]
