r"""A separable model with one output as polynomials of one variable, on the unit box.

    u(z) = c + sum_d a_d(z_d) + sum_m prod_d f_dm(z_d),    f_dm, a_d = sum_k powers[e, k, m] v^k,    v = (z - left_e) / half_e - 1

on the cell `e` of dimension `d`. The last column of the powers is the additive part `a_d`, the others are the modes. Inputs whose value is known are
contracted: their factors become weights of the modes.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..basis import AbstractBasis
from ..models import AbstractSeparable


class Piece(NamedTuple):
    """The functions of one dimension.

    **Fields:** `edges` `(E + 1,)` of the cells within the box; `left` end and `half` length of each `(E,)`; `powers` `(E, P, M + 1)`; `smooth`, how many
    derivatives are continuous, -1 for none.
    """

    edges: Float[np.ndarray, " edges"]
    left: Float[np.ndarray, " E"]
    half: Float[np.ndarray, " E"]
    powers: Float[np.ndarray, "E P lanes"]
    smooth: int

    def cell(self, z: Float[np.ndarray, "*N"]) -> Int[np.ndarray, "*N"]:
        """The cell that holds each coordinate."""
        return np.clip(np.searchsorted(self.edges, z, side="right") - 1, 0, len(self.left) - 1)

    def at(self, cell: Int[np.ndarray, "*N"], z: Float[np.ndarray, "*N"], order: int = 0) -> Float[np.ndarray, "..."]:
        """Derivatives of all functions by the polynomials of given cells, `(*N, M + 1)`."""
        powers = self.powers
        for _ in range(order):
            powers = powers[:, 1:] * np.arange(1, powers.shape[1])[:, None] / self.half[:, None, None]
        v = ((z - self.left[cell]) / self.half[cell] - 1)[..., None]
        if powers.shape[1] == 0:
            return np.zeros((*np.shape(z), powers.shape[2]))
        value = powers[cell, -1]
        for k in range(powers.shape[1] - 2, -1, -1):
            value = value * v + powers[cell, k]
        return value

    def __call__(self, z: Float[np.ndarray, "*N"], order: int = 0) -> Float[np.ndarray, "..."]:
        """Derivatives of all functions at coordinates, `(*N, M + 1)`."""
        return self.at(self.cell(z), z, order)


class Pieces(NamedTuple):
    """The dimensions that are free, and the constant."""

    dimensions: tuple[Piece, ...]
    constant: float

    def values(self, z: Float[np.ndarray, "N D"]) -> Float[np.ndarray, " N"]:
        """The values at points, on the host."""
        parts = [piece(column) for piece, column in zip(self.dimensions, z.T, strict=True)]
        return self.constant + sum(p[:, -1] for p in parts) + np.prod([p[:, :-1] for p in parts], axis=0).sum(axis=1)


def pieces_of(
    model: AbstractSeparable,
    output: int,
    origin: Float[np.ndarray, " D"],
    length: Float[np.ndarray, " D"],
    known: dict[int, float],
) -> Pieces:
    """Polynomials of one output of a model.

    **Arguments:** the model; which output; the map from the unit box to its coordinates, `origin + length z`; known inputs, in its coordinates, by dimension.

    """
    M = model.modes
    weights = np.ones(M) if model.mixing is None else np.asarray(model.mixing, float)[output]
    constant = 0.0 if model.constant is None else float(model.constant[output])
    free = []
    for d, whole in enumerate(lanes_of(model, origin, length)):
        piece = whole._replace(powers=whole.powers[:, :, [*range(M), M + output]])
        if d in known:
            values = piece(np.array([(known[d] - origin[d]) / length[d]]))[0]
            weights, constant = weights * values[:M], constant + float(values[M])
        else:
            free.append(piece)
    if free:
        free[0].powers[:, :, :M] *= weights
    return Pieces(tuple(free), constant)


def lanes_of(model: AbstractSeparable, origin: Float[np.ndarray, " D"], length: Float[np.ndarray, " D"]) -> list[Piece]:
    """The functions of each dimension on the unit box: the modes, then the additive part of each output."""
    pieces, M, O = [], model.modes, model.outputs
    rows = model.factors
    if model.additive is not None:
        rows = tuple(jnp.concatenate(pair) for pair in zip(model.factors, model.additive, strict=True))
    # The bases are made here, not in the compiled program: where maps bend the functions the cells hang on numbers.
    bases = model.bases
    for d, (basis, powers) in enumerate(zip(bases, _powers(bases, rows), strict=True)):
        points = np.asarray(basis.breakpoints, float)
        unit = (points - origin[d]) / length[d]
        kept = np.flatnonzero((np.diff(unit) > 0) & (unit[1:] > 1e-12) & (unit[:-1] < 1 - 1e-12))
        edges = np.append(unit[kept], unit[kept[-1] + 1])
        edges[0], edges[-1] = 0.0, 1.0
        lanes = np.zeros((len(kept), powers.shape[1], M + O))
        lanes[:, :, : powers.shape[2]] = np.asarray(powers, float)[kept]
        pieces.append(Piece(edges, unit[kept], np.diff(unit)[kept] / 2, lanes, basis.continuity))
    return pieces


@eqx.filter_jit
def _powers(bases: tuple[AbstractBasis, ...], rows: tuple[Float[Array, "L _"], ...]) -> list[Float[Array, "E P L"]]:
    """Powers of some functions of each dimension, a dimension after another."""
    return [b.piecewise(r).coefficients.transpose(1, 2, 0) for b, r in zip(bases, rows, strict=True)]
