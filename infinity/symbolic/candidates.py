r"""Measurements in search of a formula, and formulas in search of approval.

    score = N log(mean square + floor) + K log N + 3 cost + 4 sum_k max(0, |log10 |theta_k|| - 2)

is twice a description length: of the residuals, of `K` constants to the precision that the data allow, of the structure, and of sizes far from one, which
are mostly a sign that a formula only imitates a limit of itself.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from .algebra import tidy
from .refine import refine
from .tree import Tree, indices, size, walk

# A mean square below this part of the variance is rounding.
ROUNDING = 1e-24
STRUCTURE = 3.0


@dataclasses.dataclass(frozen=True)
class Data:
    """Columns `(N,)` of the variables, the target `(N,)` and weights `(N,)` of its squares; mean square errors are weighted."""

    columns: tuple[np.ndarray, ...]
    y: Float[np.ndarray, " N"]
    weights: Float[np.ndarray, " N"] | None = None

    @property
    def variance(self) -> float:
        """The weighted variance of the target."""
        if self.weights is None:
            return float(np.var(self.y))
        w = self.weights / self.weights.mean()
        return float(np.mean(w * (self.y - np.average(self.y, weights=w)) ** 2))


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A formula with constants `(K,)`, its (weighted) mean square error and its score; less is better."""

    tree: Tree
    constants: Float[np.ndarray, " K"]
    mean_square: float
    score: float
    origin: str

    @property
    def complexity(self) -> int:
        """The length of the formula."""
        return size(self.tree)


def polished(tree: Tree, constants: Any, data: Data, origin: str, steps: int = 40) -> Candidate | None:
    """The candidate with its constants refined on the data; `None` where it has no value somewhere."""
    try:
        with np.errstate(all="ignore"):
            tree, constants = tidy(tree, constants)
    except (ZeroDivisionError, OverflowError):
        return None
    if not np.all(np.isfinite(constants)):
        return None
    found = refine(tree, constants, data.columns, data.y, data.weights, steps)
    if found is None or not np.all(np.isfinite(found.constants)) or np.any(np.abs(found.constants) > 1e12):
        return None
    return scored(tree, found.constants, found.mean_square, data, origin)


def scored(tree: Tree, constants: Any, mean_square: float, data: Data, origin: str) -> Candidate:
    """A candidate with its score."""
    scale = 1.0 if data.weights is None else float(np.mean(data.weights))
    variance = max(data.variance, 1e-300)
    value = score_of(mean_square / scale / variance, len(data.y), np.asarray(constants, float), cost(tree))
    return Candidate(tree, np.asarray(constants, float), mean_square / scale, value, origin)


# What a function adds to its length in the description: those that physics seldom writes cost most.
RARE = {
    "exp": 0.5,
    "log": 1.0,
    "sin": 1.0,
    "cos": 1.0,
    "tanh": 1.5,
    "tan": 3.0,
    "asin": 2.5,
    "acos": 2.5,
    "atan": 2.5,
    "sinh": 3.0,
    "cosh": 2.5,
    "abs": 2.0,
}


def cost(tree: Tree) -> float:
    """The length of a formula with its functions weighed by how rare they are, and its exact numbers by how many digits they have."""
    odd = sum(0.5 * np.log2(max(abs(node[1]), 1) * node[2]) for node in walk(tree) if node[0] == "q")
    return size(tree) + sum(RARE.get(node[0], 0.0) for node in walk(tree)) + float(odd)


def score_of(relative: float, rows: int, constants: Float[np.ndarray, " K"], complexity: float) -> float:
    """Twice the description length, up to what is the same for all formulas."""
    sizes = np.abs(np.log10(np.abs(constants[constants != 0])))
    far = 4 * float(np.sum(np.maximum(sizes - 2, 0)))
    return (
        rows * float(np.log(relative + ROUNDING)) + len(constants) * float(np.log(rows)) + STRUCTURE * complexity + far
    )


def is_exact(candidate: Candidate | None, data: Data) -> bool:
    """Whether only rounding is left."""
    return candidate is not None and candidate.mean_square <= 1e-20 * max(data.variance, 1e-300)


def best_first(candidates: Iterable[Candidate | None], most: int | None = None) -> list[Candidate]:
    """Distinct formulas, the best score first."""
    seen: dict[Tree, Candidate] = {}
    for candidate in candidates:
        if candidate is None or not np.isfinite(candidate.score):
            continue
        known = seen.get(candidate.tree)
        if known is None or candidate.score < known.score:
            seen[candidate.tree] = candidate
    return sorted(seen.values(), key=lambda c: c.score)[:most]


def variables(candidate: Candidate) -> list[int]:
    """The variables that occur."""
    return list(indices(candidate.tree, "x"))
