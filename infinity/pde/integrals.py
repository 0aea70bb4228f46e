r"""Integrals of a term in one coordinate: matrices, vectors, and what a known function adds to the load.

int c phi_i^(a) phi_j^(b),      int c phi_i^(a),      int c phi_i^(a) g^(b)        on a face the values there

A form in D coordinates has as many terms as D, and each an integral in every coordinate, nearly all of which are the same few.
"""

import dataclasses

import numpy as np

from . import conditions
from .axis import Axis, tabulate
from .expressions import Coordinate, Expression, Term
from .kronecker import Factors
from .once import once
from .separation import contracted


class Integrals:
    """The integrals of the terms of a form, each distinct one computed once.

    **Arguments:** the `axes` of all coordinates.
    """

    def __init__(self, axes: dict[Coordinate, Axis]):
        self.axes = axes
        kinds = {axis.kind: axis for axis in axes.values()}
        self._alike = {c: kinds[axis.kind] for c, axis in axes.items()}
        self._matrix, self._vectors, self._applied = once(_matrix), once(_vectors), once(_applied)

    def coefficient(self, term: Term) -> dict[Coordinate, np.ndarray]:
        """The known functions of a term with its number, as a sum of products at the Gauss points or on the face: `(Q_d, R)` or `(1, R)`."""
        faces = dict(term.faces)
        points = {c: np.array([faces[c]]) if c in faces else axis.points for c, axis in self.axes.items()}
        return conditions.values(Expression((Term(term.number, term.functions),)), points)

    def matrices(self, term: Term, weights: dict[Coordinate, np.ndarray], product: int) -> list[np.ndarray]:
        """`int c phi_i^(a) phi_j^(b)` for one product of the coefficient, `(m, m)` a coordinate."""
        faces = dict(term.faces)
        return [
            self._matrix(axis, orders(term, c), faces.get(c), weights[c], product) for c, axis in self._alike.items()
        ]

    def vectors(self, term: Term, weights: dict[Coordinate, np.ndarray]) -> dict[Coordinate, np.ndarray]:
        """`int c phi_i^(a)` for each product of the coefficient, `(m, R)` for each coordinate that has weights."""
        faces = dict(term.faces)
        return {c: self._vectors(self._alike[c], orders(term, c)[0], faces.get(c), w) for c, w in weights.items()}

    def applied(self, term: Term, weights: dict[Coordinate, np.ndarray], known: Factors) -> Factors:
        """`int c phi_i^(a) g^(b)` for each product of the coefficient with each of a function given by its coefficients in the bases."""
        faces, alike = dict(term.faces), zip(self._alike.items(), known, strict=True)
        return [self._applied(axis, orders(term, c), faces.get(c), weights[c], g) for (c, axis), g in alike]

    def functional(self, term: Term) -> Factors:
        """`int f v` of a term without trial function, a sum of products; what is not separable is integrated first and separated then, which is smaller."""
        axes = self.axes
        mixed = [f for f in term.functions if len(f.coordinates) > 1]
        if not mixed:
            return list(self.vectors(term, self.coefficient(term)).values())
        joint = list(dict.fromkeys(c for f in mixed for c in f.coordinates))
        faces = dict(term.faces)
        points = {c: np.array([faces[c]]) if c in faces else axes[c].points for c in joint}
        alone = tuple(f for f in term.functions if len(f.coordinates) == 1)
        rest = self.coefficient(dataclasses.replace(term, functions=alone))
        tables = self.vectors(term, {c: rest[c] if c in faces else np.diag(rest[c][:, 0]) for c in joint})
        parts = contracted(mixed, points, tables)
        number = parts[joint[0]].shape[1]
        others = self.vectors(term, {c: rest[c] for c in axes if c not in parts})
        return [parts[c] if c in parts else np.repeat(others[c], number, axis=1) for c in axes]


def orders(term: Term, coordinate: Coordinate) -> tuple[int, int]:
    """How often the test and the trial function of a term are differentiated in one coordinate."""
    test, trial = 0, 0
    for factor in term.factors:
        for c, order in factor.orders:
            if c == coordinate and factor.role == "test":
                test = order
            elif c == coordinate:
                trial = order
    return test, trial


def _vectors(axis: Axis, test: int, face: float | None, weights: np.ndarray) -> np.ndarray:
    if face is not None:
        return axis.at(face, test)[:, None] * weights
    return axis.values(test).T @ (axis.weights[:, None] * weights)


def _matrix(axis: Axis, order: tuple[int, int], face: float | None, products: np.ndarray, product: int) -> np.ndarray:
    (test, trial), weights = order, products[:, product]
    if face is not None:
        return weights[0] * np.outer(axis.at(face, test), axis.at(face, trial))
    if axis.pointwise:
        return np.diag(weights)
    if np.all(weights == weights[0]):
        return axis.gram(test, trial) if weights[0] == 1 else weights[0] * axis.gram(test, trial)
    left = axis.values(test)
    right = left if test == trial else axis.values(trial)
    if np.all(weights >= 0) and test == trial:
        half = np.sqrt(axis.weights * weights)[:, None] * left
        return half.T @ half  # symmetric to the last bit
    return left.T @ ((axis.weights * weights)[:, None] * right)


def _applied(
    axis: Axis, order: tuple[int, int], face: float | None, weights: np.ndarray, known: np.ndarray
) -> np.ndarray:
    test, trial = order
    if face is not None:
        given = tabulate(axis.basis, np.array([face]), trial) @ known
        both = (weights[:, :, None] * given[:, None, :]).reshape(1, -1)
        return axis.at(face, test)[:, None] * both
    given = axis.spline_values(known, trial)
    if trial:  # the derivative of a constant is zero, not rounding
        rounding = 1e-15 * axis.largest(trial) * np.max(np.abs(known), axis=0)
        given = np.where(np.max(np.abs(given), axis=0) <= 4 * rounding, 0.0, given)
    both = (weights[:, :, None] * given[:, None, :]).reshape(len(given), -1)
    return axis.values(test).T @ (axis.weights[:, None] * both)
