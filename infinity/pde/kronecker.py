r"""Operators and right-hand sides on a tensor product, and how they are multiplied.

    A = sum_t  A_t1 x A_t2 x .. x A_tD,        f = sum_r  f_r1 x f_r2 x .. x f_rD

Each direction keeps its distinct matrices once; terms that differ in one direction only are added up there, so that the number of terms is that of the
structure and not that of the writing.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float

from .once import once

Matrix = Float[np.ndarray, "_ _"] | Complex[np.ndarray, "_ _"]
Tensor = Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]
Factors = list[np.ndarray]  # one (m_d, R) a direction

# Matrices that agree to this much of their largest entry are one.
_SAME = 1e-14


@dataclasses.dataclass(frozen=True, eq=False)
class Kronecker:
    """A sum of Kronecker products: `banks[d]` holds the distinct matrices of direction d, a term is a number and an index into each bank."""

    banks: tuple[tuple[Matrix, ...], ...]
    terms: tuple[tuple[float, tuple[int, ...]], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of unknowns of each direction."""
        return tuple(bank[0].shape[1] for bank in self.banks)

    @property
    def size(self) -> int:
        """The number of unknowns of the full tensor."""
        return int(np.prod([float(m) for m in self.shape]))

    def matrices(self, term: int) -> tuple[Matrix, ...]:
        """The matrices of one term, without its number."""
        return tuple(bank[i] for bank, i in zip(self.banks, self.terms[term][1], strict=True))

    def apply(self, tensor: Tensor) -> Tensor:
        """The operator applied to a full tensor."""
        total = np.zeros_like(tensor, dtype=np.result_type(tensor, *(b[0] for b in self.banks)))
        for number, index in self.terms:
            part = tensor
            for d, i in enumerate(index):
                part = along(self.banks[d][i], part, d)
            total = total + number * part
        return total

    def apply_to_factors(self, factors: Factors) -> Factors:
        """The operator applied to a sum of products: as many products for each term."""
        parts = []
        for number, index in self.terms:
            part = [self.banks[d][i] @ factors[d] for d, i in enumerate(index)]
            part[0] = number * part[0]
            parts.append(part)
        return [np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True)]

    def transformed(self, left: Sequence[Matrix | None], right: Sequence[Matrix | None]) -> "Kronecker":
        """`L_d^T A_td R_d` in every direction; nothing stands for the identity."""
        banks = []
        for bank, L, R in zip(self.banks, left, right, strict=True):
            banks.append(
                tuple((m if L is None else L.T @ m) if R is None else (m if L is None else L.T @ m) @ R for m in bank)
            )
        return Kronecker(tuple(banks), self.terms)

    def normal(self) -> "Kronecker":
        """`A^T A`."""
        products = []
        for number, index in self.terms:
            for other, second in self.terms:
                products.append(
                    (
                        number * other,
                        [
                            self.banks[d][i].T @ self.banks[d][j]
                            for d, (i, j) in enumerate(zip(index, second, strict=True))
                        ],
                    )
                )
        return collected(products)

    def dense(self) -> Float[np.ndarray, "N N"]:
        """The operator as one matrix."""
        total: np.ndarray = np.zeros((self.size, self.size))
        for number, index in self.terms:
            product = np.ones((1, 1))
            for d, i in enumerate(index):
                product = np.kron(product, self.banks[d][i])
            total = total + number * product
        return total


def along(matrix: Matrix, tensor: Tensor, direction: int) -> Tensor:
    """A matrix applied in one direction of a tensor."""
    return np.moveaxis(np.tensordot(matrix, tensor, axes=(1, direction)), 0, direction)


def collected(products: Sequence[tuple[float, Sequence[Matrix]]]) -> Kronecker:
    """Find equal matrices, and add up the terms that differ in one direction only."""
    directions = len(products[0][1])
    banks = _Banks(directions)
    terms: dict[tuple[int, ...], float] = {}
    seen: dict[tuple[int, int], tuple[int, float]] = {}
    for number, matrices in products:
        index, factor = [], number
        for d, matrix in enumerate(matrices):
            if (d, id(matrix)) not in seen:  # the products keep it alive
                seen[d, id(matrix)] = banks.enter(d, matrix)
            place, scale = seen[d, id(matrix)]
            index.append(place)
            factor *= scale
        if factor:
            terms[tuple(index)] = terms.get(tuple(index), 0.0) + factor
    if not terms:
        terms = {tuple(banks.enter(d, np.zeros_like(m))[0] for d, m in enumerate(products[0][1])): 0.0}
    while _merged(terms, banks):
        pass
    kept = [sorted({index[d] for index in terms}) for d in range(directions)]
    return Kronecker(
        tuple(tuple(banks.matrices[d][i] for i in kept[d]) for d in range(directions)),
        tuple((number, tuple(kept[d].index(i) for d, i in enumerate(index))) for index, number in terms.items()),
    )


def _merged(terms: dict[tuple[int, ...], float], banks: "_Banks") -> bool:
    """Add up the terms that differ in one direction only; whether there were any."""
    changed = False
    for d, bank in enumerate(banks.matrices):
        groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for index in terms:
            groups.setdefault((*index[:d], *index[d + 1 :]), []).append(index)
        for members in groups.values():
            if len(members) > 1:
                matrix = np.sum([terms.pop(index) * bank[index[d]] for index in members], axis=0)
                place, scale = banks.enter(d, matrix)
                index = (*members[0][:d], place, *members[0][d + 1 :])
                terms[index] = terms.get(index, 0.0) + scale
                changed = True
    return changed


class _Banks:
    """The distinct matrices of each direction, up to a number; what directions share stays one array."""

    def __init__(self, directions: int):
        self.matrices: list[list[np.ndarray]] = [[] for _ in range(directions)]
        self._normed, self._kept = once(_normed), once(identity_if_near)

    def enter(self, direction: int, matrix: np.ndarray) -> tuple[int, float]:
        """Where a matrix stands in a direction, and the number that the one there is to be multiplied with."""
        bank = self.matrices[direction]
        number, normed = self._normed(matrix)
        for place, known in enumerate(bank):
            against, other = self._normed(known)
            if other.shape == normed.shape and np.max(np.abs(other - normed)) <= _SAME:
                return place, number / against
        bank.append(self._kept(matrix))
        return len(bank) - 1, 1.0


def _normed(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """A matrix by its largest entry, and that."""
    number = (float(matrix.flat[np.argmax(np.abs(matrix))]) if matrix.size else 0.0) or 1.0
    return number, matrix / number


def identity_if_near(matrix: np.ndarray) -> np.ndarray:
    """The identity instead of what differs from it by rounding."""
    if matrix.shape[0] == matrix.shape[1] and np.max(np.abs(matrix - np.eye(len(matrix)))) <= 1e-11:
        return np.eye(len(matrix))
    return matrix


def full(factors: Factors) -> Float[np.ndarray, "..."]:
    """The full tensor of a sum of products."""
    if len(factors) == 1:
        return factors[0].sum(axis=1)
    half = len(factors) // 2
    rows, columns = khatri_rao(factors[:half]), khatri_rao(factors[half:])
    return (rows @ columns.T).reshape([len(factor) for factor in factors])


def khatri_rao(factors: Factors) -> Float[np.ndarray, "_ R"]:
    """The products of all entries, one row for each index and one column for each product."""
    total = factors[0]
    for factor in factors[1:]:
        total = (total[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[1])
    return total


def concatenated(*sums: Factors) -> Factors:
    """The sum of several sums of products."""
    return [np.concatenate(rows, axis=1) for rows in zip(*sums, strict=True)]


def scaled(factors: Factors, number: float) -> Factors:
    """A sum of products times a number."""
    return [number * factors[0], *factors[1:]]
