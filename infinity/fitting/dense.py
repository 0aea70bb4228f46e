r"""A Gaussian process on all measurements of a small table.

    z ~ N(0, K + S),    k(x, x') = 1 + v prod_d m_d(|x_d - x'_d| / l_d),    S = diag(s^2 / w_i),
    m_d(t) = (1 - c_d) (1 + a_d t + b_d t^2 / 3) exp(-t) + c_d exp(-t^2 / 6)

The smoothness of an input, from 0 to 3, mixes Matérn's kernels of order 1/2, 3/2 and 5/2 and their limit, Gauss's, of the curvature of the last one: `a`, `b`
and `c` are how far it is above 0, 1 and 2, each at most 1. Lengths, smoothness, variance and noise maximise the likelihood of some of the measurements, once
from a rough start in warped coordinates, and once, for laws without noise, from a smooth one in the coordinates of the box: along the warp's broken lines a
smooth law is not smooth. Each measurement is predicted from all others without another solve:

    z_i - mean_i = [K^-1 z]_i / [K^-1]_ii,    var_i = 1 / [K^-1]_ii

(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 4.2 and 5.4.)
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compilation import quick_jit
from .neighbours import SPREAD, TYPICAL, measured_anew
from .warp import Warp, fit_warp, unwarped

# Tables of up to so many rows: the factorisation is cubic.
MOST_ROWS = 2000


class _Start(NamedTuple):
    """Where the search for a kernel begins.

    **Fields:** smoothness and noise; the bounds of the smoothness; how many measurements make the likelihood for how many steps, few at first; the noise over
    the variance beyond which what was found does not count.
    """

    smoothness: float
    noise: float
    bounds: tuple[float, float]
    scored: dict[int, int]
    most_noise: float


ROUGH = _Start(0.5, 0.05, (0.0, 2.0), {200: 40, 600: 20}, np.inf)
SMOOTH = _Start(3.0, 1e-8, (3.0, 3.0), {200: 40, 600: 20, 1000: 20}, 1e-4)
_BATCH = 512


class DenseProcess(eqx.Module):
    """The process given its measurements.

    **Fields:** `points` `(N, D)`, in its own coordinates, `values` `(N, O)` and `weights` `(N,)` of the measurements; `lengths` and `smoothness` `(D,)` of the
    kernel; `variance` and `noise`, of each output in units of `scale` `(O,)`; the `warp` that makes its coordinates from those of the unit box.
    """

    points: Float[Array, "N D"]
    values: Float[Array, "N O"]
    weights: Float[Array, " N"]
    lengths: Float[Array, " D"]
    smoothness: Float[Array, " D"]
    variance: Float[Array, ""]
    noise: Float[Array, ""]
    scale: Float[Array, " O"]
    warp: Warp

    def many(self, x: Float[np.ndarray, "K D"]) -> tuple[Float[np.ndarray, "K O"], Float[np.ndarray, "K O"]]:
        """The mean at many points of the unit box, and the variance of a new measurement there."""
        import scipy.linalg

        factor, solved = self._solved
        own = 1.0 + float(self.variance) + float(self.noise)
        x = self.warp(x)
        means, variances = [np.zeros((0, len(self.scale)))], [np.zeros(0)]
        for at in range(0, len(x), _BATCH):
            rows = np.resize(x[at : at + _BATCH], (_BATCH, x.shape[1]))
            k = np.asarray(_between(self, jnp.asarray(rows, self.points.dtype)), float)[: len(x) - at]
            means.append(k @ solved)
            known = scipy.linalg.solve_triangular(factor, k.T, lower=True, check_finite=False)
            variances.append(np.maximum(own - np.sum(known**2, axis=0), float(self.noise)))
        scale = np.asarray(self.scale, float)
        return np.concatenate(means) * scale, np.concatenate(variances)[:, None] * scale**2

    def left_out(self) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Each measurement as predicted from all others, and the variance of that."""
        import scipy.linalg

        factor, solved = self._solved
        root = scipy.linalg.solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
        diagonal = np.sum(root**2, axis=0)[:, None]
        scale = np.asarray(self.scale, float)
        return np.asarray(self.values, float) - scale * solved / diagonal, scale**2 / diagonal

    def given(
        self, points: Float[np.ndarray, "n D"], values: Float[np.ndarray, "n O"], weights: Float[np.ndarray, " n"]
    ) -> "DenseProcess":
        """The same process given other measurements; those of weight zero are left out."""
        return measured_anew(self, self.warp(points), values, weights)

    @functools.cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        """Cholesky's factor of the measurements' covariance, and that matrix inverse times their values."""
        import scipy.linalg

        K = np.concatenate([np.asarray(_between(self, rows), float) for rows in jnp.array_split(self.points, 4)])
        K[np.diag_indices(len(K))] += float(self.noise) / np.asarray(self.weights, float)
        factor = scipy.linalg.cholesky(K, lower=True, overwrite_a=True, check_finite=False)
        scale = np.asarray(self.scale, float)  # zero for a target that is certain
        scaled = np.asarray(self.values, float) / np.where(scale > 0, scale, 1.0)
        return factor, scipy.linalg.cho_solve((factor, True), scaled, check_finite=False)


def fit_dense(
    points: Float[np.ndarray, "N D"], values: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"], seed: int
) -> DenseProcess:
    """Fit the process to measurements.

    **Arguments:** points of the unit box; values of about zero mean; weights; the seed that draws the measurements of the likelihood.

    >>> import numpy as np
    >>> from infinity.fitting.dense import fit_dense
    >>> x = np.random.default_rng(0).uniform(size=(80, 2))
    >>> process = fit_dense(x, np.sin(3 * x[:, :1]) * x[:, 1:], np.ones(80), 0)
    >>> mean, variance = process.many(np.array([[0.5, 0.5]]))
    >>> bool(abs(mean[0, 0] - 0.5 * np.sin(1.5)) < 1e-2)
    True
    """
    kept = weights > 0
    points, values, weights = points[kept], values[kept], weights[kept] / weights[kept].mean()
    N, D = points.shape
    scale = np.sqrt(np.mean(values**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    order = np.random.default_rng(seed).permutation(N)
    ends = []
    for warp, start in ((fit_warp(points), ROUGH), (unwarped(D), SMOOTH)):
        parameters = [np.full(D, np.log(TYPICAL)), np.full(D, start.smoothness), np.log([1.0, start.noise])]
        bounds = [(np.log(1e-3), np.log(30.0))] * D + [start.bounds] * D + [np.log([1e-4, 1e3]), np.log([1e-12, 30.0])]
        measured = [part[order] for part in (warp(points), values / scale, weights)]
        search = functools.partial(_likeliest, measured, bounds)
        first, *more = start.scored.items()
        score, found = search(np.concatenate(parameters), *first)
        if found[-1] - found[-2] < np.log(start.most_noise):
            ends.append((score, found, search, more, warp))
    # The likelier one goes on with more measurements.
    _, parameters, search, more, warp = min(ends, key=lambda end: end[0])
    for count, steps in more:
        _, parameters = search(parameters, count, steps)
    kernel = _unpacked(parameters)
    arrays = (jnp.asarray(a) for a in (warp(points), values, weights, *kernel, scale))
    return DenseProcess(*arrays, warp=warp)


def _likeliest(
    measured: list[np.ndarray], bounds: list[Any], parameters: np.ndarray, count: int, steps: int
) -> tuple[float, np.ndarray]:
    """The least negative logarithm of the likelihood of the first measurements, with what is known of the lengths, and where it is."""
    import scipy.optimize  # slow to import

    points, Z, W = (part[:count] for part in measured)
    D = points.shape[1]
    pairs = np.tril_indices(len(points), -1)
    apart = jnp.asarray(np.abs(points[pairs[0]] - points[pairs[1]]))

    def goal(p):
        value, slope = _likelihood(p, apart, pairs, Z, W)
        off = (p[:D] - np.log(TYPICAL)) / SPREAD
        slope[:D] += off / SPREAD
        return value + 0.5 * np.sum(off**2), slope

    found: Any = scipy.optimize.minimize(
        goal, parameters, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps}
    )
    return (float(found.fun), found.x) if np.all(np.isfinite(found.x)) else (np.inf, parameters)


def _unpacked(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lengths, smoothness, variance and noise; some noise stays, so that close measurements do no harm."""
    D = len(p) // 2 - 1
    variance, noise = np.exp(p[-2]), np.exp(p[-1])
    return np.exp(p[:D]), p[D:-2], np.asarray(variance), np.asarray(noise + _least() * (1 + variance))


def _least() -> float:
    """The least noise, in units of the whole variance: the covariances are rounded to the precision that JAX works in."""
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    # In single precision the rounding of thousands of rows adds up to more than the smaller power.
    return eps ** (0.7 if eps < 1e-10 else 0.5)


def _likelihood(p: np.ndarray, apart: Float[Array, "pairs D"], pairs: Any, Z: np.ndarray, W: np.ndarray):
    """Negative logarithm of the likelihood of values `(n, O)` with weights, and its gradient; infinite where rounding leaves no positive definite matrix.

    With `C = O K^-1 - K^-1 Z Z^T K^-1` the gradient is `tr(C dK) / 2`, so that only the kernel is differentiated.
    """
    import scipy.linalg

    lapack: Any = scipy.linalg.lapack
    lengths, _, variance, noise = _unpacked(p)
    n, O = Z.shape
    kernel = jnp.asarray(p[: 2 * len(lengths)])
    K = np.empty((n, n))
    K[pairs] = 1.0 + variance * np.asarray(_correlations(kernel, apart), float)
    K[np.diag_indices(n)] = 1.0 + variance + noise / W
    factor, failed = lapack.dpotrf(K, lower=1)
    if failed:
        return np.inf, np.zeros_like(p)
    inverse = lapack.dpotri(factor, lower=1)[0]
    a = scipy.linalg.cho_solve((factor, True), Z, check_finite=False)
    C = O * inverse - a @ a.T
    beside, diagonal = C[pairs], np.diagonal(C)
    total, slope = _pull(kernel, apart, jnp.asarray(beside))
    # The diagonal counts half, as each pair stands twice in the trace.
    ridge = 0.5 * np.sum(diagonal / W)
    own = variance * (float(total) + 0.5 * np.sum(diagonal))
    floor = _least() * variance * ridge
    value = 0.5 * np.sum(a * Z) + O * np.sum(np.log(np.diagonal(factor)))
    return value, np.concatenate([variance * np.asarray(slope, float), [own + floor, np.exp(p[-1]) * ridge]])


def _correlation(t: Float[Array, "*b D"], smoothness: Float[Array, " D"]) -> Float[Array, "*b"]:
    a, b, c = (jnp.clip(smoothness - order, 0, 1) for order in range(3))
    mixed = (1 - c) * (1 + t * (a + t * b / 3)) + c * jnp.exp(t - t**2 / 6)
    return jnp.exp(jnp.sum(jnp.log(jnp.maximum(mixed, jnp.finfo(mixed.dtype).tiny)) - t, axis=-1))


@quick_jit
def _correlations(kernel: Float[Array, " D2"], apart: Float[Array, "pairs D"]) -> Float[Array, " pairs"]:
    return _of_pairs(kernel, apart)


@quick_jit
def _pull(kernel: Float[Array, " D2"], apart: Float[Array, "pairs D"], beside: Float[Array, " pairs"]):
    """The sum of all correlations times given numbers, and its gradient."""
    return jax.value_and_grad(lambda kernel: jnp.vdot(beside, _of_pairs(kernel, apart)))(kernel)


def _of_pairs(kernel: Float[Array, " D2"], apart: Float[Array, "pairs D"]) -> Float[Array, " pairs"]:
    D = apart.shape[1]
    return _correlation(apart / jnp.exp(kernel[:D]), kernel[D:])


@eqx.filter_jit
def _between(process: DenseProcess, x: Float[Array, "K D"]) -> Float[Array, "K N"]:
    """The covariance of points with the measurements."""
    t = jnp.abs(x[:, None] - process.points[None]) / process.lengths
    return 1.0 + process.variance * _correlation(t, process.smoothness)
