r"""Exact refinement: the same spline in a larger space, by knot insertion and by degree elevation.

    B_j[U] = sum_i alpha_j(i) B_i[V],    V a refinement of U,    alpha_j the discrete B-spline
    B_{j,p}[u_0 .. u_{p+1}] = 1/(p+1) sum_r B_{p+1}[u_0 .. u_r, u_r .. u_{p+1}]

The discrete B-splines follow the recursion of the B-splines themselves (Cohen, Lyche and Riesenfeld, Discrete
B-splines and subdivision techniques, 1980: the Oslo algorithm); elevation writes each function as a mean of functions
one degree higher, each with one of its knots doubled (Prautzsch, Degree elevation of B-spline curves, 1984). Both
only ever add non-negative numbers, so the matrices are right to a few units in the last place on any mesh, and each
of their rows sums to one.
"""

import numpy as np
from jaxtyping import Float


def clamped(breakpoints: Float[np.ndarray, " points"], degree: int) -> Float[np.ndarray, " knots"]:
    """Make the knots `U`: the breakpoints with each end given `degree + 1` times."""
    return np.pad(breakpoints, degree, mode="edge")


def discrete_bspline(
    local: Float[np.ndarray, " degree_plus_two"], fine: Float[np.ndarray, " knots"]
) -> tuple[int, Float[np.ndarray, " some"]]:
    """Write one B-spline in the space of finer knots.

    **Arguments:** the `degree + 2` knots of the B-spline; the `fine` clamped knots, among them those of the B-spline.

    **Returns:** the index of the first coefficient that may differ from zero, and that and its followers.
    """
    degree = local.shape[0] - 2
    start, stop = (int(np.searchsorted(fine, end)) for end in (local[0], local[-1]))
    index = np.arange(start, stop)[:, None]
    alpha = ((local[:-1] <= fine[index]) & (fine[index] < local[1:])).astype(np.float64)
    for q in range(1, degree + 1):
        gaps = local[q:] - local[:-q]
        share = np.divide(alpha, gaps, out=np.zeros_like(alpha), where=gaps > 0)  # no function lives on a gap of zero
        knot = fine[index + q]
        alpha = (knot - local[: -q - 1]) * share[:, :-1] + (local[q + 1 :] - knot) * share[:, 1:]
    return start, alpha[:, 0]


def insertion_matrix(
    coarse: Float[np.ndarray, " coarse_points"], fine: Float[np.ndarray, " fine_points"], degree: int
) -> Float[np.ndarray, "fine_size coarse_size"]:
    """Build the matrix from coefficients on `coarse` breakpoints to those on `fine` ones, which hold the coarse."""
    U, V = clamped(coarse, degree), clamped(fine, degree)
    matrix = np.zeros((V.shape[0] - degree - 1, U.shape[0] - degree - 1))
    for j in range(matrix.shape[1]):
        start, alpha = discrete_bspline(U[j : j + degree + 2], V)
        matrix[start : start + alpha.shape[0], j] = alpha
    return matrix


def elevation_matrix(
    coarse: Float[np.ndarray, " coarse_points"], fine: Float[np.ndarray, " fine_points"], degree: int
) -> Float[np.ndarray, "fine_size coarse_size"]:
    """Build the matrix from coefficients of `degree` to those of `degree + 1` on `elevated_breakpoints`."""
    U, V = clamped(coarse, degree), clamped(fine, degree + 1)
    matrix = np.zeros((V.shape[0] - degree - 2, U.shape[0] - degree - 1))
    for j in range(matrix.shape[1]):
        local = U[j : j + degree + 2]
        for r in range(degree + 2):
            start, alpha = discrete_bspline(np.insert(local, r, local[r]), V)
            matrix[start : start + alpha.shape[0], j] += alpha / (degree + 1)
    return matrix


def elevated_breakpoints(breakpoints: Float[np.ndarray, " points"]) -> Float[np.ndarray, " more"]:
    """Repeat every distinct interior breakpoint once more: the continuity stays while the degree rises by one."""
    return np.sort(np.concatenate([breakpoints, np.unique(breakpoints[1:-1])]))


def divided(breakpoints: Float[np.ndarray, " points"], factor: int) -> Float[np.ndarray, " inserted"]:
    """Find the breakpoints to insert so that each cell of positive length is divided into `factor` equal ones."""
    ends = np.unique(breakpoints)
    shares = np.arange(1, factor) / factor
    return (ends[:-1, None] + np.diff(ends)[:, None] * shares).ravel()
