r"""Sums of products of atoms on a tensor grid: poles a dimension, then which of them belong together.

    Y = sum_j f_j1 (x) ... (x) f_jD,    f_jd = B_d b_jd,    Y = C x_1 B_1 ... x_D B_D

The poles of dimension `d` come from one Hankel matrix of all the fibres along it; with noise matrices of several lengths are tried, and the poles that leave
least of the fibres are taken. In the basis `B_d` of their cosines and sines the core `C` holds one block of rank one for each term. Without noise the blocks
are the connected parts of the core; with noise the assignment of atoms to terms that holds most of its energy is searched.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .atoms import columns
from .pencil import esprit, subspace

# Energy of a block of the core, relative to the largest, that is rounding of exact data.
_ROUNDING = 1e-16
RESTARTS = 60
# Lengths of the windows that a noisy Hankel matrix is tried with, as shares of the samples along an axis.
WINDOWS = (0.5, 0.65, 0.8)


class Start(NamedTuple):
    """A start for the refinement: pairs `(r, D, P, 2)` and rates `(r, D, P)`, in the coordinates of the grid."""

    pairs: np.ndarray
    alpha: np.ndarray
    omega: np.ndarray


def axis_poles(Y: np.ndarray, axis: int, step: float, most: int, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """The rates `(K,)`, `(K,)` along one axis of the grid, at most `most` of them, in falling energy, from the window that leaves least of the samples."""
    n = Y.shape[axis]
    fibres = np.moveaxis(Y, axis, -1).reshape(-1, n)
    if len(fibres) > n:
        # A rotation of the fibres keeps their space: no more of them than samples are needed.
        fibres = np.asarray(np.linalg.qr(fibres, mode="r"))
    if exact:
        lengths = [max(n // 2 + 1, min(2 * most + 1, n - 1))]
    else:
        lengths = sorted({max(int(share * n), min(2 * most + 1, n - 1)) for share in WINDOWS})
    tried = [_poles(fibres, rows, step, most, exact) for rows in lengths]
    return min(tried, key=lambda poles: poles[0])[1:]


def _poles(fibres: np.ndarray, rows: int, step: float, most: int, exact: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """The sum of squares that the rates from a Hankel matrix of so many rows leave, and these rates."""
    n = fibres.shape[1]
    space = subspace(fibres, rows)
    order = min(2 * most, space.vectors.shape[1] - 1, rows - 1)
    if exact:
        order = min(order, int(np.sum(space.singular > 1e-11 * space.singular[0])))
    poles = esprit(space.vectors[:, :order], step)
    there = np.asarray(poles.present)
    alpha, omega = np.asarray(poles.alpha)[there], np.asarray(poles.omega)[there]
    t = np.arange(n) * step - 0.5 * (n - 1) * step
    B = basis(t, alpha, omega)
    coefficients = np.linalg.lstsq(B, fibres.T)[0].reshape(len(alpha), 2, -1)
    energy = np.sum(coefficients**2, axis=(1, 2)) * np.sum((B**2).reshape(n, len(alpha), 2), axis=(0, 2))
    kept = np.argsort(-energy)[:most]
    alpha, omega = alpha[kept], omega[kept]
    B = basis(t, alpha, omega)
    left = np.sum((B @ np.linalg.lstsq(B, fibres.T)[0] - fibres.T) ** 2)
    return float(left), alpha, omega


def basis(t: np.ndarray, alpha: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """Columns `e^{alpha t} cos`, `e^{alpha t} sin` of each atom, `(n, 2 K)`."""
    cosine, sine = columns(t, np.clip(alpha, -600, 600), omega)
    return np.stack([cosine.T, sine.T], axis=2).reshape(len(t), -1)


def core_of(Y: np.ndarray, bases: list[np.ndarray]) -> np.ndarray:
    """The core `C` of least squares, for columns of unit length."""
    core = Y
    for d, B in enumerate(bases):
        length = np.maximum(np.linalg.norm(B, axis=0), 1e-300)
        solved = np.linalg.lstsq(B / length, np.moveaxis(core, d, 0).reshape(core.shape[d], -1), rcond=1e-12)[0]
        moved = np.moveaxis(core, d, 0).shape[1:]
        core = np.moveaxis(solved.reshape(-1, *moved), 0, d)
    return core


def block_energies(core: np.ndarray) -> np.ndarray:
    """The energy of each block of two by two by ... entries, one axis a dimension."""
    shape = [v for size in core.shape for v in (size // 2, 2)]
    return np.sum(core.reshape(shape) ** 2, axis=tuple(range(1, 2 * core.ndim, 2)))


def connected_terms(energies: np.ndarray) -> list[list[np.ndarray]]:
    """The connected parts of the core: for each term, the atoms of each dimension."""
    offsets = np.cumsum([0, *energies.shape])
    parent = list(range(offsets[-1]))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    used = set()
    for place in np.argwhere(energies > _ROUNDING * np.max(energies)):
        nodes = [int(offsets[d] + k) for d, k in enumerate(place)]
        used.update(nodes)
        for node in nodes[1:]:
            parent[root(node)] = root(nodes[0])
    terms: dict[int, list[list[int]]] = {}
    for node in sorted(used):
        d = int(np.searchsorted(offsets, node, side="right")) - 1
        terms.setdefault(root(node), [[] for _ in energies.shape])[d].append(node - int(offsets[d]))
    return [[np.asarray(atoms, int) for atoms in term] for term in terms.values()]


def assignments(energies: np.ndarray, rank: int, count: int, seed: int) -> list[list[np.ndarray]]:
    """Assignments of the atoms to terms of nearly equal size that hold most energy, the best first, distinct.

    **Arguments:** the energies of the blocks `(K_1, ..., K_D)`; the number of terms; how many assignments; a seed.

    **Returns:** for each, one array of labels `(K_d,)` a dimension.
    """
    generator = np.random.default_rng(seed)
    shape = energies.shape

    def held(labels):
        same = np.ones(shape, bool)
        first = labels[0].reshape(-1, *[1] * (len(shape) - 1))
        for d in range(1, len(shape)):
            same &= first == labels[d].reshape([-1 if e == d else 1 for e in range(len(shape))])
        return float(np.sum(energies[same]))

    found: dict[tuple, tuple[float, list[np.ndarray]]] = {}

    def note(labels, value):
        named = _named(labels, rank)
        found.setdefault(tuple(np.concatenate(named)), (value, named))

    for _ in range(RESTARTS):
        labels = [generator.permutation(np.arange(K) % rank) for K in shape]
        best, improved = held(labels), True
        while improved:
            improved = False
            for d, K in enumerate(shape):
                for i, k in itertools.combinations(range(K), 2):
                    if labels[d][i] == labels[d][k]:
                        continue
                    labels[d][[i, k]] = labels[d][[k, i]]
                    value = held(labels)
                    note(labels, value)
                    if value > best * (1 + 1e-12):
                        best, improved = value, True
                    else:
                        labels[d][[i, k]] = labels[d][[k, i]]
        note(labels, best)
    ordered = sorted(found.values(), key=lambda pair: -pair[0])
    return [labels for _, labels in ordered[:count]]


def _named(labels: list[np.ndarray], rank: int) -> list[np.ndarray]:
    """The same assignment with the terms numbered as they come in the first dimension."""
    present = labels[0][np.sort(np.unique(labels[0], return_index=True)[1])]
    rename = np.empty(rank, int)
    rename[present] = np.arange(len(present))
    rename[np.setdiff1d(np.arange(rank), present)] = np.arange(len(present), rank)
    return [rename[label] for label in labels]


def rank_one(core: Float[np.ndarray, "*K"], sweeps: int = 20) -> list[np.ndarray]:
    """The best product of vectors for a tensor, by power iteration from its leading singular vectors; the size is in the first."""
    D = core.ndim
    unfold = lambda d: np.moveaxis(core, d, 0).reshape(core.shape[d], -1)
    vectors = [np.linalg.svd(unfold(d), full_matrices=False)[0][:, 0] for d in range(D)]
    size = 0.0
    for _ in range(sweeps):
        for d in range(D):
            value = core
            for e in reversed(range(D)):
                if e != d:
                    value = np.tensordot(value, vectors[e], axes=(e, 0))
            size = np.linalg.norm(value)
            vectors[d] = value / size if size > 0 else value
    vectors[D - 1] = vectors[D - 1] * size
    return vectors


def start_from(
    core: np.ndarray,
    bases: list[np.ndarray],
    poles: list[tuple[np.ndarray, np.ndarray]],
    terms: list[list[np.ndarray]],
    atoms: int,
) -> Start:
    """Rank-one factors of the blocks of each term, as pairs and rates; a term with fewer atoms than `atoms` gets atoms of no amplitude."""
    r, D = len(terms), core.ndim
    pairs, alpha, omega = np.zeros((r, D, atoms, 2)), np.zeros((r, D, atoms)), np.zeros((r, D, atoms))
    for j, term in enumerate(terms):
        rows = [np.stack([2 * k, 2 * k + 1], 1).ravel() for k in term]
        if any(len(row) == 0 for row in rows):
            continue
        vectors = rank_one(core[np.ix_(*rows)])
        for d, (row, vector, kept) in enumerate(zip(rows, vectors, term, strict=True)):
            length = np.maximum(np.linalg.norm(bases[d][:, row], axis=0), 1e-300)
            values = (vector / length).reshape(-1, 2)
            strongest = np.argsort(-np.sum(vector.reshape(-1, 2) ** 2, axis=1))[:atoms]
            n = len(strongest)
            pairs[j, d, :n] = values[strongest]
            alpha[j, d, :n], omega[j, d, :n] = poles[d][0][kept[strongest]], poles[d][1][kept[strongest]]
    return Start(pairs, alpha, omega)


class Starts(NamedTuple):
    """Starts, the most promising first, and half the sum of squares a degree of freedom that the poles leave when any of their products may occur."""

    starts: list[Start]
    variance: float


def lattice_starts(
    Y: np.ndarray, rank: int, atoms: int, *, steps: list[float], exact: bool, count: int = 4, seed: int = 0
) -> Starts:
    """Starts for a sum of `rank` products of `atoms` atoms a dimension from samples on a grid centred at zero.

    **Arguments:** the samples `(n_1, ..., n_D)`; rank and atoms; the steps of the grid; whether the samples are exact; how many starts; the seed of the search.
    """
    poles = [axis_poles(Y, d, step, rank * atoms, exact) for d, step in enumerate(steps)]
    centred = [np.arange(n) * step - 0.5 * (n - 1) * step for n, step in zip(Y.shape, steps, strict=True)]
    bases = [basis(t, *p) for t, p in zip(centred, poles, strict=True)]
    core = core_of(Y, bases)
    energies = block_energies(core)
    variance = _left(Y, core, bases) / max(Y.size - core.size, 1)
    starts = []
    if exact:
        terms = connected_terms(energies)
        if len(terms) == rank and all(len(k) <= atoms for term in terms for k in term):
            return Starts([start_from(core, bases, poles, terms, atoms)], variance)
    for labels in assignments(energies, rank, count, seed):
        terms = [[np.flatnonzero(label == j) for label in labels] for j in range(rank)]
        starts.append(start_from(core, bases, poles, terms, atoms))
    return Starts(starts, variance)


def _left(Y: np.ndarray, core: np.ndarray, bases: list[np.ndarray]) -> float:
    """Half the sum of squares that the whole core leaves."""
    for d, B in enumerate(bases):
        core = np.moveaxis(np.tensordot(B / np.maximum(np.linalg.norm(B, axis=0), 1e-300), core, axes=(1, d)), 0, d)
    return 0.5 * float(np.sum((Y - core) ** 2))
