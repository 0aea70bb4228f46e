r"""A surface `sum_p c_p theta_p(x) = k` through noisy points, by their distance from it.

    distance^2 = (f - k)^2 / |S grad f|^2,     S = diag of the relative errors of the coordinates                       (Sampson)
    min over c  c^T A c / c^T B c,    A = cov_w(theta),   B = sum_n w_n (S grad theta_n)^T (S grad theta_n),   w = 1 / |S grad f|^2   (Taubin)

`B` is the covariance that noise about the points gives to the terms: a formula that is constant on the surface *and off it* has no gradient, so that
identities, and zero, are no solutions. Noise of variance s^2 shifts `theta` by `s^2/2 sum_j S_j^2 d^2 theta/dx_j^2`, which is taken off, and the weights
are those of the points moved onto the surface, where they know nothing of the noise across it: what is left of the bias is of fourth order.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from ..candidates import STRUCTURE, cost
from .features import Family

ROUNDS = 6
NEWTON = 6
# With so many terms the level is set to one, with fewer the first coefficient.
MANY = 3
# Distances below this part of the coordinates' deviations are rounding.
FLOOR = 1e-8


@dataclasses.dataclass(frozen=True)
class Fit:
    """What was fitted, and how well.

    **Fields:** the terms `(K,)` of a family with coefficients `(K,)`, the level, the standard errors `(K + 1,)` of both, zero for the one that is set to one,
    the root mean square distance in units of the relative errors, and the description length.
    """

    family: Family
    chosen: tuple[int, ...]
    coefficients: Float[np.ndarray, " K"]
    level: float
    errors: Float[np.ndarray, " L"]
    distance: float
    description: float


def smallest(A: Float[np.ndarray, "*b K K"], B: Float[np.ndarray, "*b K K"]) -> tuple[np.ndarray, np.ndarray]:
    """The least ratio of two quadratic forms and where it is taken, for a batch of pairs of matrices.

    >>> import numpy as np
    >>> from infinity.symbolic.surfaces.fitting import smallest
    >>> value, c = smallest(np.diag([4.0, 1.0]), np.diag([1.0, 2.0]))
    >>> float(np.round(value, 12)), np.abs(np.round(c / c[1], 12)).tolist()
    (0.5, [0.0, 1.0])
    """
    scale = np.sqrt(np.maximum(np.diagonal(B, axis1=-2, axis2=-1), 1e-300))
    outer = scale[..., :, None] * scale[..., None, :]
    values, V = np.linalg.eigh(B / outer)
    # Directions without gradient are identities: they are left out.
    root = np.where(values > 1e-10 * values[..., -1:], 1 / np.sqrt(np.maximum(values, 1e-300)), 0.0)
    W = V * root[..., None, :]
    inner = np.swapaxes(W, -1, -2) @ (A / outer) @ W
    inner = inner + np.where(root > 0, 0.0, 1e6 * np.max(np.abs(inner), axis=(-2, -1))[..., None] + 1.0)[
        ..., None
    ] * np.eye(A.shape[-1])
    least, U = np.linalg.eigh(inner)
    return least[..., 0], np.einsum("...ij,...j->...i", W, U[..., 0]) / scale


def forms(theta, gradient, w) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean `(.., K)`, covariance and noise covariance `(.., K, K)` of terms `(.., n, K)` with scaled gradients `(.., n, K, D)`, weights `(.., n)`."""
    share = w / np.sum(w, axis=-1, keepdims=True)
    mean = np.einsum("...n,...nk->...k", share, theta)
    off = theta - mean[..., None, :]
    A = np.einsum("...n,...nk,...nl->...kl", share, off, off)
    B = np.einsum("...n,...nkd,...nld->...kl", share, gradient, gradient)
    return mean, A, B


def fit(
    family: Family,
    chosen: tuple[int, ...],
    x: Float[np.ndarray, "n D"],
    errors: Float[np.ndarray, " D"],
    start=None,
    rough: bool = False,
) -> Fit | None:
    """Fit the coefficients and the level; `None` where that leads nowhere.

    **Arguments:** the family and which of its terms; the points; the relative errors of the coordinates; coefficients to start from; `rough` for a first look
    that takes no bias off.
    """
    terms = family.only(chosen)
    with np.errstate(all="ignore"):
        theta, gradient = terms.values(x), terms.gradients(x) * errors
        if not (np.all(np.isfinite(theta)) and np.all(np.isfinite(gradient))):
            return None
        c = (
            np.asarray(start, float)
            if start is not None
            else np.ones(len(chosen)) / np.sqrt(np.mean(gradient**2, axis=(0, 2)))
        )
        on, noise, corrected, foot = x, 0.0, theta, gradient
        k = 0.0
        rounds = 2 if rough else ROUNDS
        for round_ in range(rounds):
            slope = np.einsum("k,nkd->nd", c, foot)
            w = 1 / np.maximum(np.sum(slope**2, axis=1), 1e-30 * np.max(np.sum(slope**2, axis=1)))
            mean, _, B = forms(corrected, foot, w)
            if not (np.all(np.isfinite(w)) and np.all(np.diag(B) > 0)):
                return None
            c = _null((corrected - mean) * np.sqrt(w / np.sum(w))[:, None], B)
            k = float(mean @ c)
            if not (np.all(np.isfinite(c)) and np.isfinite(k)):
                return None
            on = project(terms, c, k, x, errors)
            if on is None:
                return None
            noise = float(np.mean(np.sum(((x - on) / errors) ** 2, axis=1)))
            foot = terms.gradients(on) * errors
            if noise > FLOOR**2 and round_ < rounds - 1 and not rough:
                corrected = theta - 0.5 * noise * terms.curvatures(on, errors)
            if not (np.all(np.isfinite(foot)) and np.all(np.isfinite(corrected))):
                return None
        return _fit(family, chosen, corrected, foot, c, k, noise)


def _null(X: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The coefficients of the least ratio, from the rows themselves, so that exact points give them to rounding."""
    scale = np.sqrt(np.maximum(np.diag(B), 1e-300))
    values, V = np.linalg.eigh(B / np.outer(scale, scale))
    kept = values > 1e-10 * values[-1]
    if not np.any(kept) or not np.all(np.isfinite(X)):
        return np.full(len(scale), np.nan)
    W = V[:, kept] / np.sqrt(values[kept])
    return W @ np.linalg.svd(X / scale @ W, full_matrices=False)[2][-1] / scale


def project(terms: Family, c: np.ndarray, level: float, x: np.ndarray, errors: np.ndarray) -> np.ndarray | None:
    """The points moved onto the surface along the gradient; a surface that is met twice (a square) is reached as slowly as it must be."""
    on = x
    for _ in range(NEWTON):
        slope = np.einsum("k,nkd->nd", c, terms.gradients(on)) * errors
        off = terms.values(on) @ c - level
        on = on - (off / np.maximum(np.sum(slope**2, axis=1), 1e-300))[:, None] * slope * errors
        if not np.all(np.isfinite(on)):
            return None
    return on


def _fit(family: Family, chosen, corrected, foot, c, k, noise) -> Fit:
    order = sorted(range(len(chosen)), key=lambda i: (cost(family.terms.terms[chosen[i]]), chosen[i]))
    c, corrected, foot = c[order], corrected[:, order], foot[:, order]
    chosen = tuple(chosen[i] for i in order)
    n, K = corrected.shape
    length = np.sqrt(np.sum(np.einsum("k,nkd->nd", c, foot) ** 2, axis=1))
    # The residual is homogeneous in coefficients and level: one of them is set to one, the level where many terms stand against it.
    J = np.concatenate([corrected, -np.ones((n, 1))], axis=1) / length[:, None]
    fixed = K if K >= MANY and abs(k) > 1e-6 * float(np.sqrt(np.mean((corrected * c) ** 2))) else 0
    whole = np.append(c, k)
    whole = whole / whole[fixed]
    J = np.delete(J, fixed, axis=1) * abs(k if fixed else c[0])
    size = np.linalg.norm(J, axis=0)
    s2 = noise * n / max(n - K, 1)
    covariance = s2 * np.linalg.pinv((J / size).T @ (J / size), hermitian=True) / np.outer(size, size)
    errors = np.insert(np.sqrt(np.diag(covariance)), fixed, 0.0)
    return Fit(
        family, chosen, whole[:-1], float(whole[-1]), errors, float(np.sqrt(noise)), describe(family, chosen, noise, n)
    )


def describe(family: Family, chosen, noise: float, n: int) -> float:
    """Twice the description length: of the distances, of the numbers, and of the formula."""
    P = len(family.terms.terms)
    length = sum(cost(family.terms.terms[p]) + 2 for p in chosen)
    price = len(chosen) * (np.log(n) + 2 * np.log(P))
    return n * float(np.log(noise + FLOOR**2)) + float(price) + STRUCTURE * length


def usable(family: Family, x: np.ndarray, errors: np.ndarray) -> tuple[Int[np.ndarray, " T"], np.ndarray, np.ndarray]:
    """Which terms have finite values and a gradient at all points, those values and the scaled gradients, each of mean square one."""
    with np.errstate(all="ignore"):
        theta, gradient = family.values(x), family.gradients(x) * errors
        size = np.sqrt(np.mean(np.sum(gradient**2, axis=2), axis=0))
    good = (
        np.all(np.isfinite(theta), axis=0) & np.all(np.isfinite(gradient), axis=(0, 2)) & (size > 0) & np.isfinite(size)
    )
    kept = np.flatnonzero(good)
    return kept, theta[:, kept] / size[kept], gradient[:, kept] / size[kept, None]
