r"""A Gaussian process on all measurements of a small table.

    z ~ N(0, K + S),    k(x, x') = 1 + v prod_d m_d(|x_d - x'_d| / l_d),    S = diag(s^2 / w_i),
    m_d(t) = (1 - c_d) (1 + a_d t + b_d t^2 / 3) exp(-t) + c_d exp(-t^2 / 6)

The smoothness of an input, from 0 to 3, mixes Matérn's kernels of order 1/2, 3/2 and 5/2 and their limit, Gauss's, of the curvature of the last one: `a`, `b`
and `c` are how far it is above 0, 1 and 2, each at most 1. Lengths, smoothness, variance and noise maximise the likelihood of the measurements, or of a
thousand of them, by Fisher scoring: from a rough start in warped coordinates, or, for laws without noise, from a smooth one in the coordinates of the box,
as along the warp's broken lines a smooth law is not smooth. A few measurements tell which. Each measurement is predicted from all others without another solve:

    z_i - mean_i = [K^-1 z]_i / [K^-1]_ii,    var_i = 1 / [K^-1]_ii

(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 4.2 and 5.4.)
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .marginal_likelihood import MarginalLikelihood, correlation, unpacked
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
    """Where the search for a kernel begins: smoothness and noise, and the bounds of the smoothness."""

    smoothness: float
    noise: float
    bounds: tuple[float, float]

    def parameters(self, dimensions: int) -> Float[np.ndarray, " P"]:
        """Logarithms of the lengths, smoothness of the inputs, logarithms of variance and noise."""
        lengths = np.full(dimensions, np.log(TYPICAL))
        return np.concatenate([lengths, np.full(dimensions, self.smoothness), np.log([1.0, self.noise])])


ROUGH, SMOOTH = _Start(0.5, 0.05, (0.0, 2.0)), _Start(3.0, 1e-8, (3.0, 3.0))
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
    measured = lambda warp: [part[order] for part in (warp(points), values / scale, weights)]
    start, warp = SMOOTH, unwarped(D)
    score, parameters = _likeliest(measured(warp), SMOOTH, SMOOTH.parameters(D), FEW)
    if parameters[-1] - parameters[-2] > np.log(MOST_NOISE):
        start, warp, parameters = ROUGH, fit_warp(points), ROUGH.parameters(D)
    else:
        other, found = _likeliest(measured(fit_warp(points)), ROUGH, ROUGH.parameters(D), FEW)
        if other < score:
            start, warp, parameters = ROUGH, fit_warp(points), found
    _, parameters = _likeliest(measured(warp), start, parameters, MOST_SCORED)
    arrays = (jnp.asarray(a) for a in (warp(points), values, weights, *unpacked(parameters), scale))
    return DenseProcess(*arrays, warp=warp)


def _likeliest(
    measured: list[np.ndarray], start: _Start, parameters: np.ndarray, count: int
) -> tuple[float, np.ndarray]:
    """The least negative logarithm of the likelihood of the first measurements, with what is known of the lengths, and where it is."""
    likelihood = MarginalLikelihood(*(part[:count] for part in measured))
    D = measured[0].shape[1]
    known = np.zeros((len(parameters), len(parameters)))
    known[:D, :D] = np.eye(D) / SPREAD**2
    bounds = [np.log([1e-3, 30.0])] * D + [start.bounds] * D + [np.log([1e-4, 1e3]), np.log([1e-12, 30.0])]

    def goal(p):
        here = likelihood(p)
        off = np.zeros_like(p)
        off[:D] = p[:D] - np.log(TYPICAL)
        return Scored(
            here.value + 0.5 * off @ known @ off, here.slope + known @ off, lambda: here.information() + known
        )

    return likeliest(goal, parameters, np.array(bounds), MOST_STEPS)


@eqx.filter_jit
def _between(process: DenseProcess, x: Float[Array, "K D"]) -> Float[Array, "K N"]:
    """The covariance of points with the measurements."""
    t = jnp.abs(x.T[:, :, None] - process.points.T[:, None]) / process.lengths[:, None, None]
    return 1.0 + process.variance * correlation(t, process.smoothness)
