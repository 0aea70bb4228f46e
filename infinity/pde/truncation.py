r"""A full tensor as a sum of few products.

    D = 2:  the singular value decomposition, the best there is
    D > 2:  the span of each direction first (Tucker), then  sum_k e_k x (singular vectors of slice k): products that are orthogonal to one another,
    so that leaving
            out the smallest costs the root of the sum of their squares; fewer products by alternating least squares from there

(De Lathauwer, De Moor and Vandewalle, SIAM J. Matrix Anal. 21 (2000), for the span.)
"""

import numpy as np
from jaxtyping import Float

from ..models.norm import triangle
from .kronecker import Factors, along, full, khatri_rao


def truncated(
    tensor: Float[np.ndarray, "..."], tolerance: float, modes: int | None = None, size: float = 0.0, sweeps: int = 60
) -> tuple[Factors, float]:
    """A sum of products near a tensor.

    **Arguments:** the `tensor`; the error to allow, relative to its norm or to `size`, the larger of them; the most `modes`, or nothing for as many
    as it takes;
    `sweeps` of least squares.

    **Returns:** the factors `(m_d, M)` and the relative error.

    >>> import numpy as np
    >>> from infinity.pde.truncation import truncated
    >>> t = np.linspace(0, 1, 20)
    >>> factors, error = truncated(t[:, None, None] + t[:, None] * t, 1e-12)
    >>> factors[0].shape[1], error < 1e-12
    (2, True)
    """
    own = float(np.linalg.norm(tensor))
    size = max(own, size)
    if own <= tolerance / 2 * size:
        return [np.zeros((m, 0)) for m in tensor.shape], own / (size or 1.0)
    if tensor.ndim == 1:
        return [tensor[:, None].copy()], 0.0
    spans, core = tucker(tensor, tolerance / 2 * size)
    products, sizes = orthogonal_products(core)
    tails = np.sqrt(np.concatenate([np.cumsum(sizes[::-1] ** 2)[::-1], [0.0]]))
    count = max(1, int(np.argmax(tails <= tolerance / 2 * size)))
    allowed = count if modes is None else min(count, modes)
    factors = [factor[:, :allowed] for factor in products]
    if tensor.ndim > 2 and (allowed < count or (modes is None and 2 < count <= 60)):
        factors = _fewer(core, factors, products, count, tolerance / 2 * size, modes, sweeps)
    found = [Q @ factor for Q, factor in zip(spans, factors, strict=True)]
    return found, float(np.linalg.norm(tensor - full(found))) / size


def tucker(tensor: np.ndarray, threshold: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Orthonormal columns that span each direction, and the tensor in their coordinates."""
    core, spans = tensor, []
    for d in range(core.ndim):
        rows = np.moveaxis(core, d, 0).reshape(core.shape[d], -1)
        Q, s, _ = np.linalg.svd(rows if rows.shape[1] <= 4 * rows.shape[0] else triangle(rows.T).T, full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
        kept = max(1, int(np.sum(tails > threshold / np.sqrt(tensor.ndim))))
        spans.append(Q[:, :kept])
        core = along(Q[:, :kept].T, core, d)
    return spans, core


def orthogonal_products(core: np.ndarray) -> tuple[Factors, np.ndarray]:
    """A tensor as a sum of products that are orthogonal to one another, the largest first, and their sizes."""
    order = np.argsort(core.shape)[::-1]
    a, b, others = order[0], order[1], sorted(order[2:])
    moved = np.transpose(core, (*others, a, b))
    U, s, V = np.linalg.svd(moved, full_matrices=False)  # one decomposition for each slice
    ranks = np.argsort(s.ravel())[::-1]
    places = np.unravel_index(ranks, s.shape)
    sizes = s.ravel()[ranks]
    factors: list[np.ndarray] = [np.zeros(0)] * core.ndim
    for d, place in zip(others, places[:-1], strict=True):
        factors[d] = np.eye(core.shape[d])[:, place]
    factors[a] = np.swapaxes(U, -1, -2)[places].T * sizes
    factors[b] = V[places].T
    return factors, sizes


def _fewer(
    core: np.ndarray, start: Factors, products: Factors, count: int, threshold: float, modes: int | None, sweeps: int
) -> Factors:
    """The best of alternating least squares with few products; the exact sum where that is not enough."""
    if modes is not None and modes < count:
        return least_squares(core, start, threshold, sweeps)[0]
    number = max(core.shape)
    direct = pencil(core) if number < count else None
    if direct is not None:
        found, error = least_squares(core, direct, threshold, 2)
        if error <= threshold:
            return found
    while number < 0.7 * count:
        found, error = least_squares(core, [factor[:, :number] for factor in products], threshold, sweeps)
        if error <= threshold:
            return found
        number = int(np.ceil(1.4 * number))
    return start


def pencil(core: np.ndarray) -> Factors | None:
    """The products of a tensor of three directions, of which two are as long as there are products, from one eigenvalue problem.

        T(., ., w) = A diag(C^T w) B^T     for two random w:     T_1 T_2^-1 = A diag A^-1

    (Leurgans, Ross and Abel, SIAM J. Matrix Anal. 14 (1993).) Nothing where there are no such products.
    """
    if core.ndim != 3:
        return None
    order = np.argsort(core.shape)[::-1]
    moved = np.transpose(core, order)
    if moved.shape[0] != moved.shape[1] or moved.shape[2] < 2:
        return None
    one, two = np.moveaxis(moved @ np.random.default_rng(0).normal(size=(moved.shape[2], 2)), -1, 0)
    try:
        rates, A = np.linalg.eig(one @ np.linalg.inv(two))
        if np.max(np.abs(np.imag(rates))) > 1e-8 * np.max(np.abs(rates)):
            return None
        A = np.real(A)
        rest = np.tensordot(np.linalg.inv(A), moved, axes=1)  # one matrix b c^T for each product
    except np.linalg.LinAlgError:
        return None
    U, s, V = np.linalg.svd(rest, full_matrices=False)
    found: Factors = [np.zeros(0)] * 3
    for place, factor in zip(order, (A, (U[:, :, 0] * s[:, :1]).T, V[:, 0].T), strict=True):
        found[place] = factor
    return found


def least_squares(core: np.ndarray, start: Factors, threshold: float, sweeps: int) -> tuple[Factors, float]:
    """Alternating least squares of a tensor by a sum of products, from a start."""
    factors = [factor.copy() for factor in start]
    unfolded = [np.moveaxis(core, d, 0).reshape(core.shape[d], -1) for d in range(core.ndim)]
    error = before = np.inf
    for _ in range(sweeps):
        for d in range(core.ndim):
            others = [factors[e] for e in range(core.ndim) if e != d]
            grams = np.prod([factor.T @ factor for factor in others], axis=0)
            rows = khatri_rao(others)
            shift = 1e-14 * np.trace(grams) / len(grams)
            factors[d] = np.linalg.solve(grams + shift * np.eye(len(grams)), (unfolded[d] @ rows).T).T
            lengths = np.linalg.norm(factors[d], axis=0)
            if d < core.ndim - 1:
                factors[d] = factors[d] / np.where(lengths > 0, lengths, 1.0)
        error = float(np.linalg.norm(core - full(factors)))
        if error <= threshold or error > 0.9999 * before:
            break
        before = error
    return factors, error
