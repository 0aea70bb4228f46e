r"""A Gaussian process on the nearest measurements.

    r(x) ~ sum_ij k(x, x_i) [K + S]^-1_ij r_j    over the k nearest x_i,    S = diag(s^2 / w_i)
    k(x, x') = v prod_d m_d(|x_d - x'_d| / l_d),    m_d(t) = (1 + a_d t) exp(-t),    0 <= a_d <= 1

(nearest-neighbour processes: Vecchia, J. R. Stat. Soc. B 50, 1988; Datta et al., J. Am. Stat. Assoc. 111, 2016.) The smoothness `a_d` mixes Matérn's kernels
of order 1/2 and 3/2: an input along which single levels differ wants the first, a smooth one the second. The lengths, the smoothness, the variance and the
noise maximise the likelihood of measurements predicted from their own neighbours, a leave-one-out score.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..compilation import quick_jit

NEIGHBOURS = 24
# Measurements whose leave-one-out predictions make the likelihood.
SCORED = 512
# The neighbours are chosen again, by the lengths found so far, this many times.
ROUNDS, STEPS = 2, 20
# What is known of a length before: about a half of the box, give or take this in its logarithm.
TYPICAL, SPREAD = 0.5, 1.0
_BATCH = 512
_PART = 16


class NeighbourProcess(eqx.Module):
    """The process given its measurements.

    **Fields:** `points` `(N, D)`, `values` `(N, O)` and `weights` `(N,)` of the measurements; `lengths` and `smoothness` `(D,)` of the kernel; `variance` and
    `noise`, of each output in units of `scale` `(O,)`.
    """

    points: Float[Array, "N D"]
    values: Float[Array, "N O"]
    weights: Float[Array, " N"]
    lengths: Float[Array, " D"]
    smoothness: Float[Array, " D"]
    variance: Float[Array, ""]
    noise: Float[Array, ""]
    scale: Float[Array, " O"]

    def many(self, x: Float[np.ndarray, "K D"]) -> tuple[Float[np.ndarray, "K O"], Float[np.ndarray, "K O"]]:
        """The mean at many points, and the variance of a new measurement there."""
        nearest = _nearest(np.asarray(self.points), x, np.asarray(self.lengths), min(NEIGHBOURS, len(self.points)))
        means, variances = [np.zeros((0, len(self.scale)))], [np.zeros(0)]
        for at in range(0, len(x), _BATCH):
            fill = lambda rows, at=at: np.resize(rows[at : at + _BATCH], (_BATCH, rows.shape[1]))
            mean, variance = self._given(fill(x), fill(nearest), np.ones(_BATCH))
            means.append(np.asarray(mean)[: len(x) - at])
            variances.append(np.asarray(variance)[: len(x) - at])
        return np.concatenate(means), np.concatenate(variances)[:, None] * np.asarray(self.scale) ** 2

    def left_out(self) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Each measurement as predicted from its nearest others, and the variance of that."""
        points, N = np.asarray(self.points), len(self.points)
        scale = np.asarray(self.scale)
        means, variances = [], []
        for at in range(0, N, _BATCH):
            chosen = np.resize(np.arange(at, min(at + _BATCH, N)), _BATCH)
            own = _others(points, chosen, np.asarray(self.lengths), min(NEIGHBOURS, N - 1))
            mean, variance = self._given(points[chosen], own, np.asarray(self.weights)[chosen])
            means.append(np.asarray(mean)[: N - at])
            variances.append(np.asarray(variance)[: N - at])
        return np.concatenate(means), np.concatenate(variances)[:, None] * scale**2

    def _given(self, x: np.ndarray, nearest: np.ndarray, weights: np.ndarray) -> tuple[Array, Array]:
        """Mean and variance of new measurements of some weights at points, given their nearest ones."""
        kernel = (self.lengths, self.smoothness, self.variance, self.noise)
        near = _gathered((self.points, self.values, self.weights), nearest)
        return _many(kernel, near, jnp.asarray(x, self.points.dtype), jnp.asarray(weights, self.points.dtype))

    def given(
        self, points: Float[np.ndarray, "n D"], values: Float[np.ndarray, "n O"], weights: Float[np.ndarray, " n"]
    ):
        """The same process given other measurements; those of weight zero are left out."""
        return measured_anew(self, points, values, weights)


def measured_anew(
    process: Any, points: Float[np.ndarray, "n D"], values: Float[np.ndarray, "n O"], weights: Float[np.ndarray, " n"]
) -> Any:
    """A process with its kernel, and other measurements; those of weight zero are left out."""
    kept = weights > 0
    dtype = process.points.dtype
    arrays = tuple(jnp.asarray(a[kept], dtype) for a in (points, values, weights / weights[kept].mean()))
    return eqx.tree_at(lambda process: (process.points, process.values, process.weights), process, arrays)


def fit_process(
    points: Float[np.ndarray, "N D"], values: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"], seed: int
) -> NeighbourProcess:
    """Fit the process to measurements.

    **Arguments:** points on a box of about unit size; values of about zero mean; weights; the seed that draws the measurements to score.
    """
    import scipy.optimize  # slow to import

    kept = weights > 0
    points, values, weights = points[kept], values[kept], weights[kept] / weights[kept].mean()
    N, D = points.shape
    scale = np.sqrt(np.mean(values**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    chosen = np.resize(np.random.default_rng(seed).permutation(N), SCORED)
    parameters = np.concatenate([np.full(D, np.log(0.2)), np.full(D, 0.5), np.log([0.5, 0.5])])
    bounds = [(np.log(1e-3), np.log(30.0))] * D + [(0.0, 1.0)] * D + [(np.log(1e-6), np.log(30.0))] * 2
    measured = (points, values / scale, weights)
    dtype = jnp.result_type(float)
    for _ in range(ROUNDS):
        own = _others(points, chosen, np.exp(parameters[:D]), min(NEIGHBOURS, N - 1))
        arrays = (_gathered(measured, own), _gathered(measured, chosen))

        def goal(p, arrays=arrays):
            value, slope = (np.asarray(v, float) for v in _score(jnp.asarray(p, dtype), *arrays))
            off = (p[:D] - np.log(TYPICAL)) / SPREAD
            return value + np.sum(off**2) / SCORED, slope + np.pad(2 * off / SPREAD / SCORED, (0, D + 2))

        found: Any = scipy.optimize.minimize(
            goal, parameters, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
        )
        parameters = found.x if np.all(np.isfinite(found.x)) else parameters
    kernel = _unpacked(jnp.asarray(parameters, dtype))
    arrays = (jnp.asarray(a) for a in (points, values, weights, *kernel, scale))
    return NeighbourProcess(*arrays)


def _gathered(arrays: Any, rows: Int[np.ndarray, "..."]) -> tuple[Array, ...]:
    """Some rows of arrays, taken before the compiled program so that it does not depend on how many there are."""
    return tuple(jnp.asarray(np.asarray(array)[rows]) for array in arrays)


@quick_jit
def _many(kernel, near, x: Float[Array, "K D"], weights: Float[Array, " K"]):
    """Mean and variance of new measurements at points, given the places, values and weights of their nearest ones."""
    points, values, own = near
    one = lambda p, v, w, x, weight: _conditional(p, v, w, x, *kernel, weight)  # pyright: ignore[reportCallIssue]
    return jax.vmap(one)(points, values, own, x, weights)


@quick_jit
def _score(parameters: Float[Array, " D2"], near, chosen):
    """Negative logarithm of the likelihood of measurements given their neighbours, over their number, and its gradient."""

    def value(parameters, part):
        kernel = _unpacked(parameters)
        (points, values, weights), (x, measured, weight) = part
        one = lambda p, v, w, x, weight: _conditional(p, v, w, x, *kernel, weight)
        mean, var = jax.vmap(one)(points, values, weights, x, weight)
        return jnp.sum(jnp.log(var)[:, None] + (measured - mean) ** 2 / var[:, None])

    # Some at a time stay in the cache.
    parts = jax.tree.map(lambda a: a.reshape(-1, _PART, *a.shape[1:]), (near, chosen))
    sums = jax.lax.map(lambda part: jax.value_and_grad(value)(parameters, part), parts)
    return jax.tree.map(lambda part: jnp.sum(part, axis=0) / chosen[1].size, sums)


def _unpacked(parameters: Float[Array, " D2"]):
    """Lengths, smoothness, variance and noise; some noise stays, so that close measurements do no harm."""
    D = len(parameters) // 2 - 1
    variance, noise = jnp.exp(parameters[-2:])
    least = jnp.sqrt(jnp.finfo(parameters.dtype).eps) * variance
    return jnp.exp(parameters[:D]), parameters[D:-2], variance, noise + least


def _conditional(points, values, weights, x, lengths, smoothness, variance, noise, weight=1.0):
    """Mean `(O,)` and variance of a new measurement at `x` given k others.

    With `a = K^-1 k` and `b = K^-1 values` held fixed, what is written here has the value and the derivative of the textbook's formulas, so that no
    derivative is taken through a factorisation: `d mean = b (dk - dK a)`, `d var = -2 a dk + a dK a`.
    """
    K = variance * _correlation(points[:, None] - points[None], lengths, smoothness) + jnp.diag(noise / weights)
    k = variance * _correlation(points - x, lengths, smoothness)
    factor = jax.scipy.linalg.cho_factor(jax.lax.stop_gradient(K))
    solved = jax.scipy.linalg.cho_solve(factor, jax.lax.stop_gradient(jnp.column_stack([k, values])))
    a, b = solved[:, 0], solved[:, 1:]
    left = k - K @ a
    return a @ values + left @ b, variance + noise / weight - jnp.vdot(a, k + left)


def _correlation(
    difference: Float[Array, "*b D"], lengths: Float[Array, " D"], smoothness: Float[Array, " D"]
) -> Float[Array, "*b"]:
    t = jnp.abs(difference) / lengths
    return jnp.exp(jnp.sum(jnp.log1p(smoothness * t) - t, axis=-1))  # the derivative of a product would cost more


def _nearest(points: np.ndarray, x: np.ndarray, lengths: np.ndarray, count: int) -> Int[np.ndarray, "K k"]:
    """The nearest points in units of the lengths."""
    from scipy.spatial import KDTree  # slow to import

    tree = KDTree(points / lengths)
    return np.asarray(tree.query(x / lengths, k=count)[1]).reshape(len(x), count)


def _others(points: np.ndarray, chosen: np.ndarray, lengths: np.ndarray, count: int) -> Int[np.ndarray, "K k"]:
    """The nearest points of chosen ones without themselves, which may stand behind others at the same place."""
    near = _nearest(points, points[chosen], lengths, count + 1)
    order = np.argsort(near == chosen[:, None], axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)[:, :count]
