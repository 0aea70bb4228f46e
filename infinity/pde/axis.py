r"""One coordinate of a space, in functions that are orthonormal and ordered by frequency.

    phi = B E X,    int phi_i phi_j = delta_ij,    int phi_i' phi_j' = lambda_i delta_ij,    lambda_1 <= lambda_2 <= ..

`B` are the splines, `E` keeps those combinations that meet the homogeneous or periodic conditions. In these functions the mean square of a function
is the sum of
squares of its coefficients, derivatives are nearly diagonal, and a smooth solution has coefficients that decay, so that rounding stays at rounding
although the
condition of the splines does not. A coordinate in which nothing is differentiated (a parameter) needs no Galerkin method: the equation is solved at
each Gauss
point, `phi_i(t_q) = delta_iq / sqrt(w_q)`, and the result is projected.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate
import scipy.linalg
from jaxtyping import Float

from ..basis import AbstractBasis, BSpline
from ..basis.quadrature import gauss_legendre
from ..precision import double_precision
from .expressions import Coordinate

Ends = Literal["free", "left", "right", "both", "periodic", "splines"]


def tabulate(basis: AbstractBasis, points: Float[np.ndarray, " Q"], order: int) -> Float[np.ndarray, "Q n"]:
    """Derivatives of all functions of a family at many points, in double precision."""
    if isinstance(basis, BSpline):  # compiled once and for all, where JAX compiles for every number of cells
        breakpoints, p = np.asarray(basis.breakpoints, float), basis.degree
        knots = np.concatenate([breakpoints[:1].repeat(p), breakpoints, breakpoints[-1:].repeat(p)])
        if order > p:
            return np.zeros((len(points), basis.size))
        splines = scipy.interpolate.BSpline(knots, np.eye(basis.size), p)
        return np.asarray(splines(points, order) if order else splines(points))
    with double_precision():
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), basis)
        return np.asarray(wide.collocation(jnp.asarray(points), order))


def lowered(basis: AbstractBasis, order: int) -> AbstractBasis:
    """The splines that derivatives of a given order are."""
    if not order:
        return basis
    return BSpline(breakpoints=np.asarray(basis.breakpoints, float).tolist(), degree=basis.degree - order)


def gauss_points(basis: AbstractBasis, number: int) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
    """Points and weights of all cells that have a length."""
    ends = np.unique(np.asarray(basis.breakpoints, float))
    nodes, weights = gauss_legendre(number)
    lengths = np.diff(ends)[:, None]
    return (ends[:-1, None] + lengths * (1 + nodes) / 2).ravel(), (lengths * weights / 2).ravel()


class Axis:
    """One coordinate of a space.

    **Arguments:** the `coordinate`; its `basis`; which `ends` are held at zero, or `"periodic"`, or `"splines"` for these as they
    are, whose derivatives are tabulated as the splines of lower degree;
    `pointwise`, whether the equation is solved at each Gauss point; `points`, Gauss points a cell.

    **Fields:** `points` and `weights` of the quadrature, `(Q,)`; `size`, the number of unknowns; `frequencies`, the `lambda_i`, `(size,)`.
    """

    def __init__(
        self,
        coordinate: Coordinate,
        basis: AbstractBasis,
        ends: Ends = "free",
        pointwise: bool = False,
        points: int | None = None,
    ):
        self.coordinate, self.basis, self.ends, self.pointwise = coordinate, basis, ends, pointwise
        number = (basis.degree + (1 if pointwise else 4)) if points is None else points
        tables = _tables(_key(basis), ends, number)
        self.points, self.weights = tables.points, tables.weights
        self._modal = tables
        self.size = len(self.points) if pointwise else tables.X.shape[1]
        self.frequencies = np.zeros(self.size) if pointwise else tables.frequencies

    def values(self, order: int = 0) -> Float[np.ndarray, "Q _"]:
        """Derivatives of the functions at the Gauss points."""
        if not self.pointwise:
            return self._modal.table(order)
        if order:
            raise ValueError(f"{self.coordinate} is a parameter here and cannot be differentiated")
        return np.diag(1 / np.sqrt(self.weights))

    def gram(self, left: int, right: int) -> Float[np.ndarray, "_ _"]:
        """Integrals of products of two derivatives."""
        return np.eye(self.size) if self.pointwise else self._modal.gram(left, right)

    def at(self, value: float, order: int = 0) -> Float[np.ndarray, " _"]:
        """Derivatives of the functions at one point."""
        if self.ends == "splines":
            return tabulate(lowered(self.basis, order), np.array([value]), 0)[0]
        return tabulate(self.basis, np.array([value]), order)[0] @ self._modal.X

    def spline_values(self, coefficients: Float[np.ndarray, "n R"], order: int = 0) -> Float[np.ndarray, "Q R"]:
        """Derivatives at the Gauss points of functions given by their coefficients in the basis."""
        return self._modal.splines(order) @ coefficients

    def coefficients(self, unknowns: Float[np.ndarray, "size R"]) -> Float[np.ndarray, "n R"]:
        """Coefficients in the basis of functions given by their unknowns; exact, or the best approximation for a parameter."""
        if self.pointwise:
            return self._modal.project(unknowns / np.sqrt(self.weights)[:, None])
        return self._modal.X @ unknowns

    def project(self, values: Float[np.ndarray, "Q R"]) -> Float[np.ndarray, "n R"]:
        """Coefficients in the basis of the best approximation, without boundary conditions, of functions given at the Gauss points."""
        return self._modal.project(values)

    @property
    def fitting_points(self) -> Float[np.ndarray, " _"]:
        """The Gauss points and the two ends."""
        return np.concatenate([self.points, np.asarray(self.basis.breakpoints, float)[[0, -1]]])

    @property
    def fitting(self) -> Float[np.ndarray, "n _"]:
        """From values at the fitting points to coefficients in the basis: the best approximation that meets the values at the ends which are held."""
        return self._modal.fitting

    @property
    def kind(self) -> tuple[Any, bool]:
        """The same for axes whose functions and integrals are the same."""
        return self._modal, self.pointwise

    def largest(self, order: int) -> float:
        """The largest derivative of a function of the basis at a Gauss point."""
        return self._modal.largest(order)

    @property
    def ones(self) -> Float[np.ndarray, " size"]:
        """The unknowns of the function one, or of its best approximation where it does not meet the conditions."""
        return self.values().T @ self.weights

    @property
    def holds_constants(self) -> bool:
        """Whether the function one meets the conditions."""
        return abs(float(np.sum(self.ones**2) / np.sum(self.weights)) - 1) < 1e-10


class _Tables:
    """What depends only on the basis and the conditions, kept for all spaces that share them."""

    def __init__(self, basis: AbstractBasis, ends: Ends, number: int):
        self.basis, self.ends = basis, ends
        self.points, self.weights = gauss_points(basis, number)
        self._splines: dict[int, np.ndarray] = {}
        self._modal: dict[int, np.ndarray] = {}
        self._grams: dict[tuple[int, int], np.ndarray] = {}
        self._largest: dict[int, float] = {}
        self._whole: Any = None
        if ends == "splines":
            self.X, self.frequencies = np.eye(basis.size), np.zeros(basis.size)
            return
        E = restriction(basis, ends)
        B, root = self.splines(0) @ E, np.sqrt(self.weights)[:, None]
        scale = np.linalg.norm(root * B, axis=0)
        if np.any(scale == 0):
            raise ValueError(
                f"function {int(np.argmin(scale))} of a basis of {basis.size} vanishes at all Gauss points; expected points inside the cells of each function"
            )
        R = np.linalg.qr(root * (B / scale), mode="r")
        inverse = scipy.linalg.solve_triangular(R, np.eye(len(R))) / scale[:, None]
        slopes = root * (self.splines(1) @ E @ inverse)
        _, V = np.linalg.eigh(slopes.T @ slopes)
        X = E @ (scipy.linalg.solve_triangular(R, V) / scale[:, None])
        self.X, self.frequencies = self._refined(X)

    def _refined(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two Newton steps towards exact orthogonality: an eigensolver is accurate to rounding of the largest frequency, this to that of each."""
        root = np.sqrt(self.weights)[:, None]
        for _ in range(2):
            values, slopes = root * (self.splines(0) @ X), root * (self.splines(1) @ X)
            X = X + X @ correction(slopes.T @ slopes, values.T @ values)
        slopes = root * (self.splines(1) @ X)
        return X, np.sum(slopes**2, axis=0)

    def splines(self, order: int) -> np.ndarray:
        if order not in self._splines:
            self._splines[order] = tabulate(self.basis, self.points, order)
        return self._splines[order]

    def table(self, order: int) -> np.ndarray:
        if order not in self._modal and self.ends == "splines":
            self._modal[order] = tabulate(lowered(self.basis, order), self.points, 0)
        elif order not in self._modal:
            self._modal[order] = self.splines(order) @ self.X
        return self._modal[order]

    def gram(self, left: int, right: int) -> np.ndarray:
        if (left, right) not in self._grams:
            root = np.sqrt(self.weights)[:, None]
            one = root * self.table(left)
            self._grams[left, right] = one.T @ (one if left == right else root * self.table(right))
        return self._grams[left, right]

    @functools.cached_property
    def fitting(self) -> np.ndarray:
        held = [k for k, side in enumerate(("left", "right")) if self.ends in (side, "both", "splines")]
        n, number = self.basis.size, len(self.points)
        columns = [(0, n - 1)[k] for k in held]
        rest = np.setdiff1d(np.arange(n), columns)
        B, root = self.splines(0), np.sqrt(self.weights)[:, None]
        Q, R = np.linalg.qr(root * B[:, rest])
        best = scipy.linalg.solve_triangular(R, Q.T * root.T)
        matrix = np.zeros((n, number + 2))
        matrix[rest, :number] = best
        for k, column in zip(held, columns, strict=True):
            matrix[column, number + k] = 1.0
            matrix[rest, number + k] = -best @ B[:, column]
        return matrix

    def largest(self, order: int) -> float:
        if order not in self._largest:
            self._largest[order] = float(np.max(np.abs(self.splines(order))))
        return self._largest[order]

    def project(self, values: np.ndarray) -> np.ndarray:
        root = np.sqrt(self.weights)[:, None]
        if self._whole is None:
            self._whole = np.linalg.qr(root * self.splines(0))
        Q, R = self._whole
        return scipy.linalg.solve_triangular(R, Q.T @ (root * values))


def correction(K: Float[np.ndarray, "m m"], M: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    r"""The step `P` of Newton's method after which `I + P` diagonalises two nearly diagonal symmetric matrices.

        M_ij + P_ij + P_ji = delta_ij,    K_ij + lambda_i P_ij + lambda_j P_ji = lambda_i delta_ij

    (Ogita and Aishima, Japan J. Indust. Appl. Math. 35 (2018), for one matrix.) Equal eigenvalues are only made orthogonal.
    """
    diagonal = np.diag(M)
    rates = np.diag(K) / diagonal
    gap = rates[:, None] - rates[None, :]
    equal = np.abs(gap) <= 1e-9 * (np.abs(rates[:, None]) + np.abs(rates[None, :]))
    P = (rates[None, :] * M - K) / np.where(equal, 1.0, gap)
    P = np.where(equal, -M / 2, P)
    np.fill_diagonal(P, (1 - diagonal) / 2)
    return P


def restriction(basis: AbstractBasis, ends: Ends) -> Float[np.ndarray, "n m"]:
    """Combinations of the functions that meet the conditions at the ends."""
    n = basis.size
    if ends == "periodic":
        low, high = np.asarray(basis.breakpoints, float)[[0, -1]]
        length = (high - low) / max(basis.elements, 1)
        rows = [
            (tabulate(basis, np.array([low]), k)[0] - tabulate(basis, np.array([high]), k)[0]) * length**k
            for k in range(max(basis.degree, 1))
        ]
        if n <= len(rows):
            raise ValueError(
                f"a periodic basis of degree {basis.degree} has {n} functions; expected more than {len(rows)}. Use more elements"
            )
        return scipy.linalg.null_space(np.array(rows))
    first, last = (1 if ends in ("left", "both") else 0), (n - 1 if ends in ("right", "both") else n)
    if last - first < 1:
        raise ValueError(
            f"a basis of {n} functions has none left that vanishes at its ends; use more elements or a higher degree"
        )
    return np.eye(n)[:, first:last]


def _key(basis: AbstractBasis) -> tuple:
    leaves, structure = jax.tree.flatten(basis)
    return structure, tuple(
        (np.asarray(leaf).dtype.str, np.asarray(leaf).shape, np.asarray(leaf).tobytes()) for leaf in leaves
    )


@functools.lru_cache(maxsize=256)
def _tables(key: tuple, ends: Ends, number: int) -> _Tables:
    structure, leaves = key
    with double_precision():
        arrays = [jnp.asarray(np.frombuffer(data, dtype).reshape(shape)) for dtype, shape, data in leaves]
    return _Tables(jax.tree.unflatten(structure, arrays), ends, number)
