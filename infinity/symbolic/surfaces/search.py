r"""Which terms a surface has: all choices of one, two and three, and what elimination leaves of all of them."""

import itertools
from collections.abc import Callable

import numpy as np

from .features import Family
from .fitting import FLOOR as ROUNDING
from .fitting import Fit, describe, fit, forms, smallest, usable

# Points that rank all choices, and points that fit the best of them.
SOME, FITTED = 200, 400
TRIPLES = 30
MOST_TERMS = 14
ELIMINATED = 30
TRIED = 12
CHUNK = 400
FLAT = 0.1


def find(family: Family, x: np.ndarray, errors: np.ndarray, say: Callable[[str], None]) -> list[Fit]:
    """The best rough fits of a family, the best description first, from some of the points."""
    x = x[np.unique(np.linspace(0, len(x) - 1, min(FITTED, len(x))).round().astype(int))]
    some = np.unique(np.linspace(0, len(x) - 1, min(SOME, len(x))).round().astype(int))
    kept, theta, gradient = usable(family, x[some], errors)
    n, found = len(x), []
    for size in (1, 2, 3):
        ranked = _ranked(theta, gradient, size, kept, family, n)
        for _, places, c in ranked[:TRIED]:
            chosen = tuple(int(p) for p in kept[list(places)])
            found.append(fit(family, chosen, x, errors, c / _sizes(family, chosen, x[some], errors), True))
    if len(kept) <= ELIMINATED:
        for places in _eliminated(theta, gradient):
            if 3 < len(places) <= MOST_TERMS:
                found.append(fit(family, tuple(int(p) for p in kept[list(places)]), x, errors, rough=True))
    good = sorted((f for f in found if f is not None), key=lambda f: f.description)
    if good:
        say(
            f"{', '.join(family.names)}: {len(good)} surfaces, the best of {len(good[0].chosen)} terms at {good[0].distance:.2g}"
        )
    return good


def _sizes(family: Family, chosen, x, errors) -> np.ndarray:
    return np.sqrt(np.mean(np.sum((family.only(chosen).gradients(x) * errors) ** 2, axis=2), axis=0))


def _ranked(
    theta, gradient, size: int, kept, family: Family, n: int
) -> list[tuple[float, tuple[int, ...], np.ndarray]]:
    """All choices of so many terms by description, each with its own weights."""
    most = theta.shape[1] if size < 3 else min(TRIPLES, theta.shape[1])
    every = list(itertools.combinations(range(most), size))
    prices = [describe(family, (p,), 1.0, n) for p in kept]
    ranked = []
    for first in range(0, len(every), CHUNK):
        part = np.array(every[first : first + CHUNK])
        some = np.moveaxis(theta[:, part], 1, 0)
        slopes = np.moveaxis(gradient[:, part], 1, 0)
        w = np.ones(some.shape[:2])
        noise, c = np.zeros(len(part)), np.ones((len(part), size))
        for _ in range(3):
            mean, A, B = forms(some, slopes, w)
            _, c = smallest(A, B)
            length = np.sum(np.einsum("sk,snkd->snd", c, slopes) ** 2, axis=2)
            # A point where the gradient vanishes must not become all that counts.
            w = 1 / (np.maximum(length, FLAT * np.median(length, axis=1, keepdims=True)) + 1e-300)
            off = np.einsum("sk,snk->sn", c, some - mean[:, None, :])
            noise = np.mean(off**2 * w, axis=1)
        ranked += [
            (n * float(np.log(d2 + ROUNDING**2)) + sum(prices[p] for p in places), tuple(places), coefficients)
            for places, d2, coefficients in zip(part.tolist(), noise, c, strict=True)
        ]
    return sorted(ranked, key=lambda item: item[0])


def _eliminated(theta: np.ndarray, gradient: np.ndarray) -> list[tuple[int, ...]]:
    """All terms, then one fewer each time: the one without which the least ratio grows least."""
    chosen = list(range(theta.shape[1]))
    w = 1 / np.maximum(np.mean(np.sum(gradient**2, axis=2), axis=1), 1e-300)
    _, A, B = forms(theta, gradient, w)
    out = []
    while len(chosen) > 1:
        out.append(tuple(chosen))
        trials = [np.ix_([*chosen[:k], *chosen[k + 1 :]], [*chosen[:k], *chosen[k + 1 :]]) for k in range(len(chosen))]
        least, _ = smallest(np.stack([A[t] for t in trials]), np.stack([B[t] for t in trials]))
        del chosen[int(np.argmin(least))]
    return out
