r"""A Gaussian process on all measurements of a small table.

    z ~ N(0, K + S),    k(x, x') = 1 + v prod_d m_d(|x_d - x'_d| / l_d),    S = diag(s^2 / w_i),
    m_d(t) = (1 - c_d) (1 + a_d t + b_d t^2 / 3) exp(-t) + c_d exp(-t^2 / 6)

The smoothness of an input, from 0 to 3, mixes Matérn's kernels of order 1/2, 3/2 and 5/2 and their limit, Gauss's, of the curvature of the last one: `a`, `b`
and `c` are how far it is above 0, 1 and 2, each at most 1. Lengths, smoothness, variance and noise maximise the likelihood of the measurements, or of a
thousand of them, by Fisher scoring: from a rough start in warped coordinates, the likeliest of a few, or, for laws without noise, from a smooth one in the
coordinates of the box, as along the warp's broken lines a smooth law is not smooth. Some measurements tell which. Each is predicted from all others without
another solve:

    z_i - mean_i = [K^-1 z]_i / [K^-1]_ii,    var_i = 1 / [K^-1]_ii

(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 4.2 and 5.4.)
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .marginal_likelihood import MarginalLikelihood, correlations, kernel_of, tiled, unpacked
from .neighbours import SPREAD, TYPICAL, measured_anew
from .scoring import Scored, likeliest
from .warp import Warp, fit_warp, unwarped

# Tables of up to so many rows: the factorisation is cubic.
MOST_ROWS = 2000
# So many measurements make the likelihood; the first few of them tell which of the two starts is better.
FEW, MOST_SCORED = 200, 1000
# How often the likelihood is asked.
MOST_STEPS = 40
# The noise over the variance beyond which a smooth kernel does not count.
MOST_NOISE = 1e-4


class _Start(NamedTuple):
    """Where the search for a kernel begins: the lengths, noise and smoothness to try, and the bounds of the smoothness."""

    lengths: tuple[float, ...]
    noise: tuple[float, ...]
    smoothness: float
    bounds: tuple[float, float]

    def parameters(self, dimensions: int) -> list[Float[np.ndarray, " P"]]:
        """Each to try: logarithms of the lengths, smoothness of the inputs, logarithms of variance and noise."""
        one = np.ones(dimensions)
        pairs = itertools.product(self.lengths, self.noise)
        return [np.concatenate([np.log(l) * one, self.smoothness * one, np.log([1.0, noise])]) for l, noise in pairs]


ROUGH = _Start((0.5, 1.5, 4.0), (1e-3, 1e-2, 0.05, 0.3), 0.5, (0.0, 2.0))
SMOOTH = _Start((TYPICAL,), (1e-8,), 3.0, (3.0, 3.0))
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
        kernel, x = kernel_of(self.lengths, self.smoothness), self.warp(x)
        measured = tiled(np.asarray(self.points), kernel.dtype)
        means, variances = [np.zeros((0, len(self.scale)))], [np.zeros(0)]
        for at in range(0, len(x), _BATCH):
            k = 1.0 + float(self.variance) * correlations(kernel, x[at : at + _BATCH], measured)[:, : len(factor)]
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

        kernel, points = kernel_of(self.lengths, self.smoothness), np.asarray(self.points)
        K = 1.0 + float(self.variance) * correlations(kernel, points, tiled(points, kernel.dtype))[:, : len(points)]
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
    measured = lambda warp: [part[order] for part in (warp(points), values / scale, weights)]
    smooth, rough = measured(unwarped(D)), measured(warp := fit_warp(points))
    score, parameters = _likeliest(smooth, SMOOTH, _first(smooth, SMOOTH), FEW)
    begin, is_smooth = _first(rough, ROUGH), parameters[-1] - parameters[-2] <= np.log(MOST_NOISE)
    if is_smooth:
        other, begin = _likeliest(rough, ROUGH, begin, FEW)
        is_smooth = score <= other
    if is_smooth:
        rough, warp, begin = smooth, unwarped(D), parameters
    _, parameters = _likeliest(rough, SMOOTH if is_smooth else ROUGH, begin, MOST_SCORED)
    arrays = (jnp.asarray(a) for a in (warp(points), values, weights, *unpacked(parameters), scale))
    return DenseProcess(*arrays, warp=warp)


def _first(measured: list[np.ndarray], start: _Start) -> Float[np.ndarray, " P"]:
    """Which of the parameters to try is likeliest by a few measurements."""
    tried = start.parameters(measured[0].shape[1])
    if len(tried) == 1:
        return tried[0]
    goal = _goal(measured, FEW)
    return min(tried, key=lambda p: goal(p).value)


def _goal(measured: list[np.ndarray], count: int) -> Callable[[Float[np.ndarray, " P"]], Scored]:
    """The negative logarithm of the likelihood of the first measurements, with what is known of the lengths."""
    likelihood = MarginalLikelihood(*(part[:count] for part in measured))
    D = measured[0].shape[1]
    known = np.diag(np.concatenate([np.full(D, 1 / SPREAD**2), np.zeros(D + 2)]))

    def goal(p):
        here = likelihood(p)
        off = np.zeros_like(p)
        off[:D] = p[:D] - np.log(TYPICAL)
        return Scored(
            here.value + 0.5 * off @ known @ off, lambda: here.slope() + known @ off, lambda: here.information() + known
        )

    return goal


def _likeliest(
    measured: list[np.ndarray], start: _Start, parameters: np.ndarray, count: int
) -> tuple[float, np.ndarray]:
    """The least value of that goal, and where it is."""
    D = measured[0].shape[1]
    bounds = [np.log([1e-3, 30.0])] * D + [start.bounds] * D + [np.log([1e-4, 1e3]), np.log([1e-12, 30.0])]
    return likeliest(_goal(measured, count), parameters, np.array(bounds), MOST_STEPS)
