r"""The likelihood of measurements under a Gaussian process, its slope and its average information.

    -log L = z^T K^-1 z / 2 + log det K / 2,    dL_i = tr((K^-1 - a a^T) dK_i) / 2,    A_ij = a^T dK_i K^-1 dK_j a / 2,    a = K^-1 z

of each target, summed; `K` is the covariance of `infinity.fitting.dense`. `A`, the mean of the observed and the expected information, needs no product of
matrices (Gilmour, Thompson and Cullis, Biometrics 51, 1995).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compilation import quick_jit
from .scoring import Scored

# Points along a side of a tile: all tables share the programs of one tile. So many rows of it at a time stay in the cache.
_SIDE, _ROWS = 128, 32
# Points of a tile whose slopes are found together.
_POINTS = 8
# Of a likelihood so many pairs of points stay in the cache; programs are of so many blocks of them.
_PAIRS, _BLOCKS = 4096, 8


def correlation(t: Float[Array, "D *b"], smoothness: Float[Array, " D"]) -> Float[Array, "*b"]:
    """The product of the kernels of all inputs, at distances in units of their lengths."""
    smoothness = smoothness.reshape(-1, *[1] * (t.ndim - 1))
    a, b, c = (jnp.clip(smoothness - order, 0, 1) for order in range(3))
    mixed = (1 - c) * (1 + t * (a + t * b / 3)) + c * jnp.exp(t - t**2 / 6)
    return jnp.exp(jnp.sum(jnp.log(jnp.maximum(mixed, jnp.finfo(mixed.dtype).tiny)) - t, axis=0))


def unpacked(p: Float[np.ndarray, " P"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lengths, smoothness, variance and noise of parameters; some noise stays, so that close measurements do no harm."""
    D = len(p) // 2 - 1
    variance, noise = np.exp(p[-2]), np.exp(p[-1])
    return np.exp(p[:D]), p[D:-2], np.asarray(variance), np.asarray(noise + _least() * (1 + variance))


def _least() -> float:
    """The least noise, in units of the whole variance: the covariances are rounded to the precision that JAX works in."""
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    # In single precision the rounding of thousands of rows adds up to more than the smaller power.
    return eps ** (0.7 if eps < 1e-10 else 0.5)


def kernel_of(lengths: Any, smoothness: Any) -> Float[Array, " D2"]:
    """Lengths and smoothness of the inputs as `correlations` takes them."""
    return jnp.concatenate([jnp.log(jnp.asarray(lengths)), jnp.asarray(smoothness)])


def correlations(
    kernel: Float[Array, " D2"], x: Float[np.ndarray, "m D"], others: list[Array]
) -> Float[np.ndarray, "m n"]:
    """The correlations of points with others, which are `tiled` and fill columns to the end of the last tile."""
    rows = [
        np.concatenate([np.asarray(_tile(kernel, part, tile), float) for tile in others], axis=1)
        for part in tiled(x, kernel.dtype)
    ]
    return np.concatenate(rows)[: len(x)]


def tiled(points: np.ndarray, dtype: Any) -> list[Array]:
    """Points in parts of one size, the last one filled up."""
    count = -(-len(points) // _SIDE)
    return [jnp.asarray(part, dtype) for part in np.split(np.resize(points, (count * _SIDE, points.shape[1])), count)]


class MarginalLikelihood:
    """The likelihood of values `(n, O)` at points `(n, D)`, with weights `(n,)`.

    A call with parameters, the logarithms of the lengths, the smoothness of the inputs and the logarithms of variance and noise, gives a `Scored`, infinite
    where rounding leaves no positive definite matrix.
    """

    def __init__(
        self, points: Float[np.ndarray, "n D"], values: Float[np.ndarray, "n O"], weights: Float[np.ndarray, " n"]
    ):
        self._points, self._values, self._weights = points, values, weights
        self._pairs: Any = np.tril_indices(len(points), -1)
        apart = [self._blocks(np.abs(column[self._pairs[0]] - column[self._pairs[1]])) for column in points.T]
        self._apart = [jnp.asarray(part) for part in np.stack(apart, axis=2)]

    def _blocks(self, numbers: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, "parts blocks size"]:
        """One number a pair in blocks, the last ones filled up with zeros."""
        size = _BLOCKS * _PAIRS
        return np.pad(numbers, (0, -len(numbers) % size)).reshape(-1, _BLOCKS, _PAIRS)

    def __call__(self, p: Float[np.ndarray, " P"]) -> Scored:
        """The value at parameters, and what makes slope and information."""
        import scipy.linalg  # slow to import

        lapack: Any = scipy.linalg.lapack
        Z, W, pairs = self._values, self._weights, self._pairs
        lengths, _, variance, noise = unpacked(p)
        n, O = Z.shape
        kernel = jnp.asarray(p[: 2 * len(lengths)])
        K = np.empty((n, n))
        related = np.concatenate([np.asarray(_correlations(kernel, part), float).ravel() for part in self._apart])
        K[pairs] = 1.0 + variance * related[: len(pairs[0])]
        K[np.diag_indices(n)] = 1.0 + variance + noise / W
        factor, failed = lapack.dpotrf(K, lower=1)
        if failed:
            return Scored(np.inf, lambda: np.zeros_like(p), lambda: np.zeros((len(p), len(p))))
        a = scipy.linalg.cho_solve((factor, True), Z, check_finite=False)
        value = 0.5 * np.sum(a * Z) + O * np.sum(np.log(np.diagonal(factor)))

        def slope() -> Float[np.ndarray, " P"]:
            C = O * lapack.dpotri(factor, lower=1)[0] - a @ a.T
            diagonal, beside = np.diagonal(C), self._blocks(C[pairs])
            pulls = [_pull(kernel, part, jnp.asarray(own)) for part, own in zip(self._apart, beside, strict=True)]
            total, of_kernel = (np.sum(np.asarray(part, float), axis=0) for part in zip(*pulls, strict=True))
            # The diagonal counts half, as each pair stands twice in the trace.
            ridge = 0.5 * np.sum(diagonal / W)
            own = variance * (total + 0.5 * np.sum(diagonal))
            floor = _least() * variance * ridge
            return np.concatenate([variance * of_kernel, [own + floor, np.exp(p[-1]) * ridge]])

        def information() -> Float[np.ndarray, "P P"]:
            A = np.zeros((len(p), len(p)))
            tiles = tiled(self._points, kernel.dtype)
            beside = np.split(np.pad(a, ((0, len(tiles) * _SIDE - n), (0, 0))), len(tiles))
            parts = [sum(_slopes(kernel, x, *other) for other in zip(tiles, beside, strict=True)) for x in tiles]
            slopes = variance * np.concatenate([np.asarray(part, float) for part in parts])[:n]
            for o in range(O):
                of_variance = Z[:, o] - np.sum(a[:, o]) - (noise - _least() * variance) / W * a[:, o]
                moved = np.column_stack([slopes[:, o], of_variance, np.exp(p[-1]) / W * a[:, o]])
                half = scipy.linalg.solve_triangular(factor, moved, lower=True, check_finite=False)
                A += 0.5 * half.T @ half
            return A

        return Scored(float(value), slope, information)


@quick_jit
def _tile(kernel: Float[Array, " D2"], x: Float[Array, "S D"], points: Float[Array, "S D"]) -> Float[Array, "S S"]:
    return jax.lax.map(lambda rows: _between(kernel, rows, points), x.reshape(-1, _ROWS, x.shape[1])).reshape(
        _SIDE, _SIDE
    )


@quick_jit
def _correlations(kernel: Float[Array, " D2"], apart: Float[Array, "blocks D size"]) -> Float[Array, "blocks size"]:
    return jax.lax.map(lambda block: _of_block(kernel, block), apart)


@quick_jit
def _pull(kernel: Float[Array, " D2"], apart: Float[Array, "blocks D size"], beside: Float[Array, "blocks size"]):
    """The sum of some correlations times given numbers, and its gradient."""

    def one(block):
        return jax.value_and_grad(lambda kernel: jnp.vdot(block[1], _of_block(kernel, block[0])))(kernel)

    return jax.tree.map(lambda parts: jnp.sum(parts, axis=0), jax.lax.map(one, (apart, beside)))


@quick_jit
def _slopes(
    kernel: Float[Array, " D2"], x: Float[Array, "S D"], points: Float[Array, "S D"], a: Float[Array, "S O"]
) -> Float[Array, "S O D2"]:
    """The slopes of the correlations of each point of a tile with the others, times given numbers."""

    def one(point):
        return jax.jacrev(lambda kernel: _between(kernel, point[None], points)[0] @ a)(kernel)

    return jax.lax.map(one, x, batch_size=_POINTS)


def _between(kernel: Float[Array, " D2"], x: Float[Array, "m D"], points: Float[Array, "n D"]) -> Float[Array, "m n"]:
    return _of_block(kernel, jnp.abs(x.T[:, :, None] - points.T[:, None]))


def _of_block(kernel: Float[Array, " D2"], apart: Float[Array, "D *size"]) -> Float[Array, "*size"]:
    D = len(apart)
    return correlation(apart / jnp.exp(kernel[:D]).reshape(D, *[1] * (apart.ndim - 1)), kernel[D:])
