r"""Inversion along one coordinate, the others held.

    u(z + t e_d) = sum_m w_m f_dm(z_d + t) + a_d(z_d + t) + rest,    w_m = prod_{e != d} f_em(z_e)

is one polynomial a cell in `t`: where its values at a few points of each cell change sign, the nearest change is searched; where they do not, all roots of the
polynomials are.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from ..shapes import rounded_up
from .bernstein import from_powers, roots_of
from .pieces import Pieces
from .projection import bracket, values
from .subject import Subject

_PER_CELL = 4
_LINES = 128  # points on a line of a function that is no spline
_ROWS = 8192


def along_coordinate(
    subject: Subject, z: Float[np.ndarray, "n D"], d: int, level: float, tolerance: float
) -> tuple[Float[np.ndarray, "n D"], Bool[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Move points along dimension `d` to the nearest place where the function has the level.

    **Returns:** the points, those that failed where they were; whether each arrived; evaluations.
    """
    grid = _grid(subject, d)
    z = np.array(z, float)
    low, high, crossed = z.copy(), z.copy(), np.zeros(len(z), bool)
    for start in range(0, len(z), _ROWS):
        rows = slice(start, start + _ROWS)
        below = _on_lines(subject, z[rows], d, grid) < level
        change = below[:, 1:] != below[:, :-1]
        away = np.abs((grid[1:] + grid[:-1]) / 2 - z[rows, d : d + 1])
        nearest = np.argmin(np.where(change, away, np.inf), axis=1)
        crossed[rows] = change.any(axis=1)
        low[rows, d], high[rows, d] = grid[nearest], grid[nearest + 1]
    at = np.flatnonzero(crossed)
    success, count = np.zeros(len(z), bool), np.zeros(len(z), np.int32)
    if len(at):
        filled = np.resize(at, rounded_up(max(len(at), 64)))
        one, other, at_level, close = (
            jnp.asarray(a, subject.dtype) for a in (low[filled], high[filled], level, tolerance)
        )
        points, arrived, steps = (
            np.asarray(a)[: len(at)] for a in bracket(subject.function, one, other, at_level, close)
        )
        z[at] = np.where(arrived[:, None], points, z[at])
        success[at], count[at] = arrived, steps
    missed = np.flatnonzero(~success)
    if len(missed) and subject.pieces is not None:
        for start in range(0, len(missed), _ROWS):
            _all_roots(subject.pieces, z, success, missed[start : start + _ROWS], d, level, tolerance)
    return z, success, count


def _grid(subject: Subject, d: int) -> Float[np.ndarray, " G"]:
    """Points of a line at which signs are compared."""
    if subject.pieces is None:
        return np.linspace(0, 1, _LINES + 1)
    edges = subject.pieces.dimensions[d].edges
    steps = np.arange(_PER_CELL) / _PER_CELL
    return np.append((edges[:-1, None] + np.diff(edges)[:, None] * steps).ravel(), 1.0)


def _weights(pieces: Pieces, z: Float[np.ndarray, "n D"], d: int) -> Float[np.ndarray, "n lanes"]:
    """What the functions of dimension `d` are multiplied with, the additive part with one; and the rest, in the last column."""
    others = [piece(column) for e, (piece, column) in enumerate(zip(pieces.dimensions, z.T, strict=True)) if e != d]
    modes = (
        np.prod([p[:, :-1] for p in others], axis=0)
        if others
        else np.ones((len(z), pieces.dimensions[d].powers.shape[2] - 1))
    )
    rest = pieces.constant + sum((p[:, -1] for p in others), np.zeros(len(z)))
    return np.concatenate([modes, np.ones((len(z), 1)), rest[:, None]], axis=1)


def _on_lines(subject: Subject, z: np.ndarray, d: int, grid: np.ndarray) -> Float[np.ndarray, "n G"]:
    if subject.pieces is not None:
        weights = _weights(subject.pieces, z, d)
        return weights[:, :-1] @ subject.pieces.dimensions[d](grid).T + weights[:, -1:]
    points = np.repeat(z, len(grid), axis=0)
    points[:, d] = np.tile(grid, len(z))
    return np.asarray(values(subject.function, jnp.asarray(points, subject.dtype)), float).reshape(len(z), -1)


def _all_roots(
    pieces: Pieces, z: np.ndarray, success: np.ndarray, rows: np.ndarray, d: int, level: float, tolerance: float
) -> None:
    """Solve the polynomials of the lines of some points, and move them to the nearest root."""
    piece, weights = pieces.dimensions[d], _weights(pieces, z[rows], d)
    powers = np.einsum("nm,ekm->nek", weights[:, :-1], piece.powers)
    powers[:, :, 0] += weights[:, -1:] - level
    b = powers.reshape(-1, powers.shape[2]) @ from_powers(powers.shape[2] - 1).T
    near = np.flatnonzero((b.min(axis=1) <= tolerance) & (b.max(axis=1) >= -tolerance))
    line = roots_of(b[near], np.full(len(near), tolerance))
    which = near[np.concatenate([line.which, line.vanishing])]
    t = np.concatenate([line.t, np.full(len(line.vanishing), 0.5)])
    point, cell = np.divmod(which, len(piece.left))
    place = np.clip(piece.left[cell] + 2 * piece.half[cell] * t, 0, 1)
    away = np.abs(place - z[rows[point], d])
    for at in np.argsort(-away):  # the nearest is written last
        z[rows[point[at]], d] = place[at]
        success[rows[point[at]]] = True
