r"""A form of the domain carried back to the box that a map begins from.

    X = F(xi),  J = dF/dxi:     u_Xi = sum_a (J^-1)_ai u_xia,     int_Omega = int_box |det J|,     int_face(xi_c) = int |det J| |(J^-1)_c|

All terms with the same derivatives are added up at the points of the quadrature before they are separated, so that a Laplacian has the coefficients
`|det J| J^-1 J^-T`, with the zeros of an orthogonal map.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..precision import double_precision
from .expressions import Coordinate, Expression, Factor, Function, Term
from .geometry import Mapping

# What is left of a sum of coefficients that cancel, relative to them, and counts as rounding.
_CANCELLED = 1e-13


class Geometry:
    """Points, inverse Jacobians and determinants of a map at many points, computed once for each set of them."""

    def __init__(self, mapping: Mapping):
        self.mapping = mapping

        def at(xi: Any) -> tuple[Any, Any, Any]:
            J = jax.jacfwd(mapping.image)(xi)
            return mapping.image(xi), jnp.linalg.inv(J), jnp.abs(jnp.linalg.det(J))

        self._compiled = jax.jit(jax.vmap(at))
        self._known: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(N, D)` to images `(N, D)`, inverse Jacobians `(N, D, D)` and determinants `(N,)`."""
        key = points.tobytes()
        if key not in self._known:
            padded = 1 << (len(points) - 1).bit_length()  # few sizes, few compilations
            rows = np.concatenate([points, np.repeat(points[-1:], padded - len(points), axis=0)])
            with double_precision():
                found = [np.asarray(part)[: len(points)] for part in self._compiled(jnp.asarray(rows))]
            while len(self._known) > 7:
                del self._known[next(iter(self._known))]
            self._known[key] = (found[0], found[1], found[2])
        return self._known[key]

    def known(self, fn: Function, coordinates: Sequence[Coordinate], points: np.ndarray) -> np.ndarray:
        """The values of a known function of the domain or of the box at points of the box."""
        images = self.at(points)[0]
        at = dict(zip(self.mapping.coordinates, points.T, strict=True)) | dict(zip(coordinates, images.T, strict=True))
        return np.asarray(fn.evaluate(*(at[c] for c in fn.coordinates)), float) + np.zeros(len(points))

    def form(self, form: Expression, coordinates: Sequence[Coordinate]) -> Expression:
        """A form in the coordinates of the domain as one in those of the box.

        **Raises:** `ValueError` for more than one derivative of the trial or of the test function.
        """
        groups: dict[Any, list[tuple[Term, list[tuple[int, int]]]]] = {}
        for term in form.terms:
            parts: list[tuple[tuple[Factor, ...], list[tuple[int, int]]]] = [((), [])]
            for factor in term.factors:
                turned = self._turned(term, factor, coordinates)
                parts = [((*done, one), used + place) for done, used in parts for one, place in turned]
            for factors, used in parts:
                key = (tuple(sorted(factors, key=lambda f: f.role)), term.faces)
                groups.setdefault(key, []).append((term, used))
        found = []
        for (factors, faces), together in groups.items():
            fn = Function(
                self.mapping.coordinates,
                self._sum(together, coordinates, faces),
                " + ".join(dict.fromkeys(str(t) for t, _ in together)),
            )
            found.append(Term(1.0, (fn,), factors, faces))
        return Expression(tuple(found))

    def _turned(self, term: Term, factor: Factor, coordinates: Sequence[Coordinate]) -> list[tuple[Factor, list]]:
        """A derivative in the domain as the derivatives in the box, with the places of their numbers in the inverse Jacobian."""
        outer = [(c, order) for c, order in factor.orders if c in coordinates and order]
        if not outer:
            return [(factor, [])]
        if len(factor.orders) > 1 or outer[0][1] > 1:
            raise ValueError(
                f"the term {term} takes more than one derivative of {factor}; a mapped patch takes first derivatives alone"
            )
        i = list(coordinates).index(outer[0][0])
        bare = dataclasses.replace(factor, orders=())
        return [(bare.derived(c, 1), [(a, i)]) for a, c in enumerate(self.mapping.coordinates)]

    def _sum(
        self, parts: list[tuple[Term, list[tuple[int, int]]]], coordinates: Sequence[Coordinate], faces: Any
    ) -> Any:
        """The coefficient of one product of derivatives."""

        def evaluate(*values: Any) -> np.ndarray:
            arrays = np.broadcast_arrays(*(np.asarray(value, float) for value in values))
            points = np.stack([a.ravel() for a in arrays], axis=1)
            _, inverse, size = self.at(points)
            for c, _ in faces:
                size = size * np.linalg.norm(inverse[:, self.mapping.coordinates.index(c)], axis=1)
            total, whole = np.zeros(len(points)), np.zeros(len(points))
            for term, used in parts:
                product = term.number * size
                for a, i in used:
                    product = product * inverse[:, a, i]
                for fn in term.functions:
                    product = product * self.known(fn, coordinates, points)
                total, whole = total + product, whole + np.abs(product)
            return np.where(np.abs(total) <= _CANCELLED * whole, 0.0, total).reshape(arrays[0].shape)

        return evaluate
