r"""Sums of few atoms: `T(y) = sum_k c_k atom_k(x)` for a handful of outer functions `T`.

The Gram matrix of all atoms gives the best pair of atoms exhaustively; the best pairs grow one atom at a time, each atom in turn is exchanged for a
better one, and the description length says when to stop. Rows that `T` distorts are weighted by `1 / T'(y)^2`, and the formula that solves for `y`
is refined on
the measurements themselves.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .algebra import add, apply, mul, power
from .atoms import Atoms, make_atoms
from .candidates import Candidate, Data, best_first, is_exact, polished
from .operators import Allowed, permits
from .simplify import simplified
from .tree import Tree, number

MOST_TERMS = 6
BEAM = 3
# Terms of the longest descriptions, and how many sums are followed on the way.
LONG_TERMS = 8
# Rows that choosing the outer functions and eliminating see.
ROWS = 600
# Rows that growing sees.
GROWN = 250
# Products of powers among which sums are grown.
PRODUCTS = 1500
# Up to this length an exact formula is not questioned.
SHORT = 30


@dataclasses.dataclass(frozen=True)
class Outer:
    """`T`, its derivative, and the tree of its inverse; `fits` says where it may be used."""

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[Tree], Tree]
    fits: Callable[[np.ndarray], bool]


# Values of the atoms, target and weights to the atoms that are chosen and their coefficients.
Search = Callable[[np.ndarray, np.ndarray, np.ndarray], list[tuple[list[int], np.ndarray]]]

_always = lambda y: True
_positive = lambda y: bool(np.min(y) > 0)
_nonzero = lambda y: bool(np.min(y) > 0 or np.max(y) < 0)
OUTER = (
    Outer("y", lambda y: y, np.ones_like, lambda t: t, _always),
    Outer("1/y", lambda y: 1 / y, lambda y: -1 / y**2, lambda t: power(t, number(-1)), _nonzero),
    Outer("y^2", lambda y: y**2, lambda y: 2 * y, lambda t: power(t, number(1, 2)), _positive),
    Outer("1/y^2", lambda y: y**-2, lambda y: -2 * y**-3, lambda t: power(t, number(-1, 2)), _positive),
    Outer("sqrt y", np.sqrt, lambda y: 0.5 / np.sqrt(y), lambda t: power(t, number(2)), _positive),
    Outer("log y", np.log, lambda y: 1 / y, lambda t: apply("exp", t), _positive),
    Outer("exp y", np.exp, np.exp, lambda t: apply("log", t), lambda y: bool(np.ptp(y) < 30 and np.max(np.abs(y)) < 30)),
    Outer("sin y", np.sin, np.cos, lambda t: apply("asin", t), lambda y: bool(np.max(np.abs(y)) < 1.57)),
    Outer("cos y", np.cos, lambda y: -np.sin(y), lambda t: apply("acos", t), lambda y: bool(np.min(y) > 0 and np.max(y) < 3.14)),
)  # fmt: skip


def find_sums(
    data: Data,
    atoms: Atoms,
    outer: tuple[Outer, ...] = OUTER,
    clean: bool = False,
    search: Search | None = None,
    most: int | None = 2,
    kept: int = 4,
) -> list[Candidate]:
    """Search sparse sums.

    **Arguments:** the data; the atoms at all rows; the outer functions; whether the data are clean, so that the search may stop at a formula that is exact;
    how the sums are chosen, `grow` or `eliminate`; how many of the outer functions are promising at most, or nothing for all of them; how
    many sums are kept.

    **Returns:** candidates, the best first.

    >>> import numpy as np
    >>> from infinity.symbolic.atoms import make_atoms
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.sparse import find_sums
    >>> x = np.random.default_rng(0).uniform(1, 3, (3, 100))
    >>> best = find_sums(Data(tuple(x), np.sqrt(x[0]**2 + 2 * x[1] * x[2])), make_atoms(tuple(x), "polynomial", 100))[0]
    >>> best.mean_square < 1e-20
    True
    """
    found: list[Candidate | None] = []
    some = np.unique(np.linspace(0, len(data.y) - 1, min(ROWS, len(data.y))).round().astype(int))
    for T, z, weights in _promising(data, atoms, outer, some, most):
        for chosen, c in (search or grow)(atoms.values[some], z[some], weights[some] / weights[some].mean()):
            tree = T.inverse(add(*(mul(("c", k), atoms.trees[a]) for k, a in enumerate(chosen))))
            found.append(polished(tree, c, data, f"sum, {T.name}", 15))
        if clean and any(is_exact(candidate, data) for candidate in found):
            break
    best = best_first(found, kept)
    short = [candidate for candidate in best[:2] if candidate.complexity <= 2 * SHORT]
    return best_first([*best, *(simplified(candidate, data, 3) for candidate in short)])


def _promising(
    data: Data, atoms: Atoms, outer: tuple[Outer, ...], some: np.ndarray, most: int | None
) -> list[tuple[Outer, np.ndarray, np.ndarray]]:
    """The outer functions under which the plainest atoms leave least of the target itself, or all, with transformed target and weights."""
    ranked = []
    plain = atoms.values[some][:, : max(2, min(100, len(some) // 4))]
    for T in outer:
        if not T.fits(data.y):
            continue
        with np.errstate(all="ignore"):
            z, slope = T.forward(data.y), T.slope(data.y)
        weights = 1 / np.maximum(slope**2, 1e-12 * np.max(slope**2))
        weights = weights if data.weights is None else weights * data.weights
        root = np.sqrt(weights[some])
        Q = np.linalg.qr(plain * root[:, None])[0]
        y = z[some] * root
        # Where several leave only rounding, the first one is the plainest.
        left = max(float(np.sum((y - Q @ (Q.T @ y)) ** 2)), 1e-20 * float(np.sum(data.y[some] ** 2)))
        ranked.append((left, len(ranked), T, z, weights))
    ranked.sort(key=lambda item: item[:2])
    return [
        (T, z, weights)
        for left, _, T, z, weights in ranked[:most]
        if most is None or left <= 9 * ranked[0][0] + 1e-18 * np.sum(data.y**2)
    ]


def grow(
    A: Float[np.ndarray, "n A"],
    z: Float[np.ndarray, " n"],
    w: Float[np.ndarray, " n"],
    most_terms: int = MOST_TERMS,
    width: int = BEAM,
    answers: int = 3,
) -> list[tuple[list[int], np.ndarray]]:
    """Sums of up to `most_terms` terms, the best of each number, with their coefficients: the `answers` of least description length; `width` are followed."""
    A, z, w = (part[:: max(1, len(z) // GROWN)] for part in (A, z, w))
    root = np.sqrt(w)[:, None]
    scaled = A * root
    norms = np.linalg.norm(scaled, axis=0)
    B = scaled / np.where(norms > 0, norms, 1.0)
    y = z * root[:, 0]
    total = float(y @ y)
    kept = _worth_keeping(B, y)
    B, n = B[:, kept], len(y)
    G, r = B.T @ B, B.T @ y
    beam = _pairs(G, r, 4 * width)
    results: dict[int, tuple[float, tuple[int, ...]]] = {1: (total - float(np.max(r**2)), (int(np.argmax(r**2)),))}
    for terms in range(2, most_terms + 1):
        plain = sorted(beam, key=lambda chosen: float(np.sum(_orthogonal(B, y, chosen)[1] ** 2)))
        scored = sorted({exchanged(B, y, chosen) for chosen in plain[: width + 1]})
        results[terms] = scored[0]
        if scored[0][0] <= 1e-22 * total or terms >= n // 3:
            break
        beam = [chosen for _, chosen in scored[:width]]
        beam = list({tuple(sorted((*chosen, extra))) for chosen in beam for extra in best_extra(B, y, chosen, width)})
    length = {
        terms: n * np.log(max(left, 1e-24 * total)) + terms * (np.log(n) + 9.0) for terms, (left, _) in results.items()
    }
    best = sorted(length, key=lambda terms: length[terms])[:answers]
    answer = []
    for terms in best:
        chosen = list(results[terms][1])
        c = np.linalg.lstsq(B[:, chosen], y, rcond=1e-14)[0]
        places = kept[chosen]
        answer.append((places.tolist(), c / np.where(norms[places] > 0, norms[places], 1.0)))
    return answer


def _worth_keeping(B: np.ndarray, y: np.ndarray, most: int = 500) -> np.ndarray:
    """The constant, the plainest atoms, and those that say most about the residual of the plainest ones."""
    if B.shape[1] <= most:
        return np.arange(B.shape[1])
    first = B[:, : min(40, len(y) // 4)]
    Q = np.linalg.qr(first)[0]
    r = y - Q @ (Q.T @ y)
    gain = np.abs(B.T @ r) + 0.3 * np.abs(B.T @ (y / np.linalg.norm(y))) * np.linalg.norm(r)
    gain[: most // 2] = np.inf
    return np.sort(np.argsort(-gain, kind="stable")[:most])


def _pairs(G: np.ndarray, r: np.ndarray, most: int) -> list[tuple[int, ...]]:
    """The pairs of atoms that explain most."""
    determinant = 1 - G**2
    gain = (r[:, None] ** 2 + r[None] ** 2 - 2 * G * np.outer(r, r)) / np.where(determinant > 1e-9, determinant, np.inf)
    gain[np.tril_indices(len(r))] = -np.inf
    best = np.argpartition(-gain.ravel(), min(most, gain.size - 1))[:most]
    pairs = [(int(k // len(r)), int(k % len(r))) for k in best[np.argsort(-gain.ravel()[best])]]
    return [pair for pair in pairs if gain[pair] > -np.inf]


def _orthogonal(B: np.ndarray, y: np.ndarray, chosen: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    Q = np.linalg.qr(B[:, list(chosen)])[0]
    return Q, y - Q @ (Q.T @ y)


def _gains(B: np.ndarray, Q: np.ndarray, r: np.ndarray) -> np.ndarray:
    left = 1 - np.sum((Q.T @ B) ** 2, axis=0)
    return np.where(left > 1e-10, (B.T @ r) ** 2 / np.maximum(left, 1e-10), 0.0)


def best_extra(B: np.ndarray, y: np.ndarray, chosen: tuple[int, ...], most: int = BEAM) -> list[int]:
    """The atoms that take most off the rest when they join the chosen ones, the best first."""
    gains = _gains(B, *_orthogonal(B, y, chosen))
    return [int(k) for k in np.argsort(-gains)[:most] if gains[k] > 0]


def exchanged(B: np.ndarray, y: np.ndarray, chosen: tuple[int, ...], rounds: int = 2) -> tuple[float, tuple[int, ...]]:
    """The sum after each of its atoms in turn was exchanged for the best one, as long as that helps."""
    _, r = _orthogonal(B, y, chosen)
    left = float(r @ r)
    for _ in range(rounds):
        before = left
        for place in range(len(chosen)):
            rest = (*chosen[:place], *chosen[place + 1 :])
            Q, r = _orthogonal(B, y, rest) if rest else (np.zeros((len(y), 1)), y)
            gains = _gains(B, Q, r)
            best = int(np.argmax(gains))
            now = float(r @ r - gains[best])
            if best not in rest and now < left * (1 - 1e-9) - 1e-30:
                chosen, left = tuple(sorted((*rest, best))), max(now, 0.0)
        if left >= before * (1 - 1e-6):
            break
    _, r = _orthogonal(B, y, chosen)
    return float(r @ r), tuple(sorted(chosen))


def eliminate(
    A: Float[np.ndarray, "n A"], z: Float[np.ndarray, " n"], w: Float[np.ndarray, " n"]
) -> list[tuple[list[int], np.ndarray]]:
    """All atoms at once, then fewer and fewer of them, the least significant ones first: the sums of least description length.

    Where there are more rows than atoms this finds what a greedy choice among strongly correlated atoms does not.
    """
    root = np.sqrt(w)
    n, total = len(z), float(np.sum(w * z**2))
    seen = [
        (n * np.log(max(left, 1e-24 * total)) + len(places) * (np.log(n) + 9.0), places, c)
        for left, places, c in elimination(A * root[:, None], z * root, 2 * MOST_TERMS)
    ]
    seen.sort(key=lambda item: item[0])
    return [(places.tolist(), c) for _, places, c in seen[:2]]


def elimination(
    A: Float[np.ndarray, "n A"], z: Float[np.ndarray, " n"], most: int
) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """For each number of atoms up to `most` that is come by: what is left of the squares, the atoms, their coefficients; the largest number first.

    >>> import numpy as np
    >>> from infinity.symbolic.sparse import elimination
    >>> A = np.random.default_rng(0).normal(size=(40, 6))
    >>> [places.tolist() for _, places, _ in elimination(A, 3 * A[:, 1] - A[:, 4], 2)]
    [[1, 4], [1]]
    """
    n = len(z)
    norms = np.linalg.norm(A, axis=0)
    B, y = A / np.where(norms > 0, norms, 1.0), z
    chosen = np.arange(A.shape[1])
    total = float(y @ y)
    # Everything that follows happens in the span of all atoms.
    Q, B = np.linalg.qr(B)
    beyond, y = total - float(np.sum((Q.T @ y) ** 2)), Q.T @ y
    beyond = max(beyond, 0.0) if beyond > 1e-12 * total else float(np.sum((z - Q @ y) ** 2))
    seen: list[tuple[float, np.ndarray, np.ndarray]] = []
    while len(chosen):
        U, s, V = np.linalg.svd(B[:, chosen], full_matrices=False)
        safe = np.where(s > 1e-11 * s[0], s, np.inf)
        c = V.T @ ((U.T @ y) / safe)
        left = float(np.sum((y - B[:, chosen] @ c) ** 2)) + beyond
        if len(chosen) <= most:
            seen.append((left, chosen, c / np.where(norms[chosen] > 0, norms[chosen], 1.0)))
        t = np.abs(c) / np.sqrt(np.sum((V.T / safe) ** 2, axis=1) + 1e-300)
        order = np.argsort(t)
        # Atoms that surely say nothing go together.
        dull = int(np.sum(t < 0.5 * np.sqrt(left / max(n - len(chosen), 1))))
        away = max(1, min(dull, len(chosen) // 5)) if len(chosen) > most else 1
        chosen = np.delete(chosen, order[:away])
    return seen


def sums_of(data: Data, clean: bool, wide: bool = True, allowed: Allowed = None) -> list[Candidate]:
    """Sparse sums: of the plain powers by elimination, for each outer function; then, if `wide`, of larger sets of atoms by growing.

    On clean data the search stops at the first exact formula that is short: a sum under a root may be exact as a square that was multiplied out.
    """
    found: list[Candidate] = []
    few = min(120, len(data.y) // 4)
    outer = tuple(T for T in OUTER if permits(allowed, T.inverse(("x", 0))))
    plain = tuple(T for T in OUTER[:4] if T in outer)
    for kind in ("polynomial", "power", "all"):
        if kind == "all" and not wide:
            break
        atoms = make_atoms(data.columns, kind, few, allowed)
        found = best_first([*found, *find_sums(data, atoms, plain if kind == "power" else outer, clean, eliminate)], 12)
        if clean and found and is_exact(found[0], data) and found[0].complexity <= SHORT:
            return found
    if clean and found and is_exact(found[0], data):
        return found
    if wide and len(data.columns) <= 2:
        found = best_first(
            [*found, *find_sums(data, make_atoms(data.columns, "all", 1000, allowed), outer, clean, grow)], 12
        )
    return found


def long_products(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Sparse sums of products of powers of many variables, grown term by term, for every outer function: noise hides which one is right until the end."""
    outer = tuple(T for T in OUTER if permits(allowed, T.inverse(("x", 0))))
    kinds = ("sign", "whole", *(["power"] if any(np.min(column) > 0 for column in data.columns) else []))
    sets = (make_atoms(data.columns, kind, PRODUCTS, allowed) for kind in kinds)
    return best_first(c for atoms in sets for c in find_sums(data, atoms, outer, False, grow, None))


def long_sums(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Sums of up to eight terms among functions that bend in many ways: where no law is found, short descriptions of several lengths."""
    outer = tuple(T for T in OUTER if permits(allowed, T.inverse(("x", 0))))
    atoms = make_atoms(data.columns, "curved", PRODUCTS, allowed)
    search = functools.partial(grow, most_terms=LONG_TERMS, width=LONG_TERMS, answers=LONG_TERMS)
    return find_sums(data, atoms, outer, False, search, None, LONG_TERMS * len(OUTER))
