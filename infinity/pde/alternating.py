r"""Few products instead of a full tensor: one direction after another, each a linear solve.

    min_W  1/2 <W, A W> - <f, W>,    W = sum_m w_m1 x .. x w_mD
    for direction d:   sum_t A_td W_d H_t = sum_r f_rd h_r^T,    H_t = prod_{e != d} W_e^T A_te W_e,    h_r = prod_{e != d} W_e^T f_re

Where the matrices of a direction are diagonal, this is one `M x M` system for each of its functions. What is not symmetric and positive is minimised as
`|A W - f|^2`, which the same sweeps do for `A^T A` and `A^T f`. Products are added one by one, each first fitted alone to what is left; where the
space holds the
constants, the additive functions `sum_d f_d(x_d)` are solved for first, in one linear system, because random starts stall there.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..models.norm import norm
from .additive import additive
from .definite import is_positive
from .diagonalisation import diagonal
from .kronecker import Factors, Kronecker, concatenated, scaled
from .once import each
from .tensor import SENTENCE, SingularSystemError

_SWEEPS, _ALONE, _MOST = 12, 6, 60
_SHIFT = 1e-13
# Rounding of a relative residual, and the decrease for the work of a new product below which no more are added.
_FLOOR, _STALL = 1e-13, 0.98


@dataclasses.dataclass(frozen=True, eq=False)
class Products:
    """A sum of products, the words for how it was found, the residual relative to the load, and the one that was wanted."""

    factors: Factors
    solver: str
    residual: float
    wanted: float


def solve_products(
    operator: Kronecker, load: Factors, ones: Sequence[np.ndarray | None], modes: int | None, tolerance: float | None
) -> Products:
    """Solve for few products.

    **Arguments:** the `operator` and the `load` in orthonormal functions; the unknowns of the function one in each direction that has it, `ones`;
    the most `modes`; the relative
    `tolerance`, by default what rounding allows.

    **Raises:** `SingularSystemError` where the space holds the function one and the operator does not see it.
    """
    _check_constants(operator, ones)
    diagonals = each(operator.banks, diagonal)
    if is_positive(operator):
        words = "alternating solves"
        problem, target = operator, load
    else:
        words = "alternating minimal residual"
        problem, target = operator.normal(), _adjoint(operator, load)
        diagonals = each(problem.banks, diagonal)
    turn = [None if f is None else f.right for f in diagonals]
    inner = problem.transformed([None if f is None else f.left for f in diagonals], turn)
    sweep = Sweeps(
        inner,
        [f if t is None else t.T @ f for t, f in zip(turn, target, strict=True)],
        [f is not None for f in diagonals],
    )
    reached = max(_FLOOR, 0.05 * tolerance) if tolerance is not None else _FLOOR
    turned = [o if t is None or o is None else np.linalg.solve(t, o) for t, o in zip(turn, ones, strict=False)]
    start = additive(inner, sweep.load, turned)
    factors, error = sweep.run(start, _MOST if modes is None else modes, reached)
    if start is not None:
        words += " from the additive solution"
    back = [f if t is None else t @ f for t, f in zip(turn, factors, strict=True)]
    return Products(back, words, error, reached)


def _check_constants(operator: Kronecker, ones: Sequence[np.ndarray | None]) -> None:
    if any(one is None for one in ones) or len(ones) < len(operator.banks):
        return
    one = [part[:, None] for part in ones if part is not None]
    image = operator.apply_to_factors(one)
    sizes = [
        abs(number) * np.prod([np.linalg.norm(m) for m in operator.matrices(t)])
        for t, (number, _) in enumerate(operator.terms)
    ]
    if norm(image) <= 1e-13 * max(sizes) * norm(one):
        raise SingularSystemError(SENTENCE)


def _adjoint(operator: Kronecker, load: Factors) -> Factors:
    transposed = Kronecker(tuple(tuple(m.T for m in bank) for bank in operator.banks), operator.terms)
    return transposed.apply_to_factors(load)


class Sweeps:
    """The alternating solves of one symmetric positive problem."""

    def __init__(self, operator: Kronecker, load: Factors, diagonal: Sequence[bool]):
        self.operator, self.load = operator, pruned(load)
        self.numbers = np.array([number for number, _ in operator.terms])
        self.index = np.array([index for _, index in operator.terms])  # (T, D)
        self.diagonal = [
            np.stack([np.diag(m) for m in bank]) if flag else None
            for bank, flag in zip(operator.banks, diagonal, strict=True)
        ]
        self.weights = _weights(operator)
        # Products that cancel leave their rounding.
        self.scale = float(np.sqrt(np.sum(self._sizes(self.load) ** 2)))

    def run(self, factors: Factors | None, modes: int, reached: float) -> tuple[Factors, float]:
        """Add products until the residual is below `reached`, relative to the load, or there are as many as allowed."""
        factors = [np.zeros((len(f), 0)) for f in self.load] if factors is None else factors
        error = self.residual(factors)
        stalled = 0
        while error > reached and factors[0].shape[1] < modes and stalled < 4:
            rest = pruned(concatenated(self.load, scaled(self.operator.apply_to_factors(factors), -1.0)))
            alone = concatenated(factors, self._sweeps(self._started(rest), rest, _ALONE))
            tried = self._sweeps(alone, self.load, _SWEEPS) if alone[0].shape[1] > 1 else alone
            found = self.residual(tried)
            if not found < error:
                tried, found = alone, self.residual(alone)
            stalled += not found < _STALL * error
            if not found < error:
                break
            factors, error = tried, found
        return factors, error

    def residual(self, factors: Factors) -> float:
        """`|f - A W| / |f|`, each frequency weighted by what it does to the solution."""
        rest = concatenated(self.load, scaled(self.operator.apply_to_factors(factors), -1.0))
        return norm(self._weighted(rest)) / self.scale if self.scale > 0 else 0.0

    def _weighted(self, factors: Factors) -> Factors:
        return [w[:, None] * f for w, f in zip(self.weights, factors, strict=True)]

    def _sizes(self, factors: Factors) -> np.ndarray:
        """The norm of each weighted product."""
        return np.prod([np.linalg.norm(f, axis=0) for f in self._weighted(factors)], axis=0)

    def _started(self, rest: Factors) -> Factors:
        """The largest product of what is left, smoothed by the operator's own weights."""
        largest = int(np.argmax(self._sizes(rest)))
        return [w[:, None] * f[:, [largest]] for w, f in zip(self.weights, rest, strict=True)]

    def _sweeps(self, factors: Factors, load: Factors, most: int) -> Factors:
        factors = [f.copy() for f in factors]
        directions, M = len(factors), factors[0].shape[1]
        before = np.inf
        for _ in range(most):
            factors = _balanced(factors)
            after, after_load = self._suffixes(factors, load)
            left = self.numbers[:, None, None] * np.ones((1, M, M))
            left_load = np.ones((load[0].shape[1], M))
            for d in range(directions):
                H, h = left * after[d], left_load * after_load[d]
                factors[d] = self._solved(d, H, load[d] @ h)
                if d < directions - 1:
                    lengths = np.linalg.norm(factors[d], axis=0)
                    factors[d] = factors[d] / np.where(lengths > 0, lengths, 1.0)
                left, left_load = left * self._grams(d, factors[d]), left_load * (load[d].T @ factors[d])
            energy = float(np.sum(left_load))
            if abs(energy - before) <= 1e-15 * abs(energy):
                break
            before = energy
        return factors

    def _suffixes(self, factors: Factors, load: Factors) -> tuple[list, list]:
        """For each direction the products of all later ones."""
        M = factors[0].shape[1]
        after: list = [np.ones((len(self.numbers), M, M))]
        after_load: list = [np.ones((load[0].shape[1], M))]
        for d in range(len(factors) - 1, 0, -1):
            after.append(after[-1] * self._grams(d, factors[d]))
            after_load.append(after_load[-1] * (load[d].T @ factors[d]))
        return after[::-1], after_load[::-1]

    def _grams(self, d: int, factor: np.ndarray) -> np.ndarray:
        """`W^T A_t W` for each term."""
        rows = self.diagonal[d]
        if rows is None:
            grams = np.stack([factor.T @ (m @ factor) for m in self.operator.banks[d]])
        else:
            grams = (
                np.einsum("im,bi,in->bmn", factor, rows, factor, optimize=True)
                if factor.shape[1] > 1
                else (rows @ factor**2)[:, :, None]
            )
        return grams[self.index[:, d]]

    def _solved(self, d: int, H: np.ndarray, right: np.ndarray) -> np.ndarray:
        bank = self.operator.banks[d]
        parts = np.stack([np.sum(H[self.index[:, d] == b], axis=0) for b in range(len(bank))])
        M, n = parts.shape[1], len(bank[0])
        rows = self.diagonal[d]
        if rows is not None:
            if M == 1:
                return right / (rows.T @ parts[:, 0, 0])[:, None]
            systems = np.tensordot(rows.T, parts, axes=1)
            shift = _SHIFT * np.trace(systems, axis1=1, axis2=2) / M
            return np.linalg.solve(systems + shift[:, None, None] * np.eye(M), right[:, :, None])[:, :, 0]
        system = sum(np.kron(matrix, part) for matrix, part in zip(bank, parts, strict=True))
        size = np.sqrt(np.abs(np.diag(system)))
        size = np.where(size > 0, size, 1.0)
        equal = system / np.outer(size, size) + _SHIFT * 10 * np.eye(M * n)
        return (np.linalg.solve(equal, right.ravel() / size) / size).reshape(n, M)


def _balanced(factors: Factors) -> Factors:
    """The same products with factors of equal lengths."""
    lengths = [np.linalg.norm(f, axis=0) for f in factors]
    with np.errstate(divide="ignore"):
        mean = np.exp(np.mean(np.log(lengths), axis=0))
    return [
        f * np.where(length > 0, mean / np.where(length > 0, length, 1.0), 0.0)
        for f, length in zip(factors, lengths, strict=True)
    ]


def _weights(operator: Kronecker) -> list[np.ndarray]:
    """For each direction how much less a frequency does to the solution than the lowest, if all others are at their lowest."""
    lowest = np.array(
        [[abs(bank[i][0, 0]) for bank, i in zip(operator.banks, index, strict=True)] for _, index in operator.terms]
    )
    numbers = np.abs([number for number, _ in operator.terms])
    weights, diagonals = [], each(operator.banks, lambda bank: np.abs([np.diag(m) for m in bank]))
    for d in range(len(operator.banks)):
        others = numbers * np.prod(np.delete(lowest, d, axis=1), axis=1)
        rates = others @ diagonals[d][[index[d] for _, index in operator.terms]]
        weights.append(
            np.minimum(np.min(rates) / np.where(rates > 0, rates, 1.0), 1.0)
            if np.min(rates) > 0
            else np.ones(len(rates))
        )
    return weights


def pruned(factors: Factors) -> Factors:
    """Without the products that are nothing beside the others."""
    sizes = np.prod([np.linalg.norm(f, axis=0) for f in factors], axis=0)
    kept = sizes > 1e-17 * np.max(sizes) if len(sizes) and np.max(sizes) > 0 else np.arange(len(sizes)) == 0
    return [f[:, kept] for f in factors]
