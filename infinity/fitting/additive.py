r"""The additive law of a table, from one Gram matrix.

    u(x) = c + sum_d a_d(x_d)

It is affine in its parameters: the samples are read once, and the strengths of its penalties are found from the normal equations alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compilation import brief_jit
from ..descent.evidence import BlockPenalty, Evidence, affine_optimum, covariance
from ..descent.streaming import accumulate, chunked
from ..models import KHRONOS
from ..models.separable import design
from ..shapes import rows_at_once
from .roughness import roughness_penalty
from .stacked import Layout, Stacked, flattened, stack, unstack
from .uncertainty import parameter_variance

_CHUNK = 512


def fit_additive(
    start: KHRONOS, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]
) -> KHRONOS:
    """Fit a model without modes to standardised data.

    **Arguments:** a `KHRONOS` with `modes=0` on the box of `x`; inputs, targets of about unit variance and zero mean, weights.
    """
    return unstack(_solve(*_problem(start, x, y, weights))[0], start)  # pyright: ignore[reportReturnType]


def leverages(
    start: KHRONOS, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]
) -> Float[np.ndarray, "N O"]:
    """How much of each measurement comes back as the value of the law there, `d u_o(x_i) / d y_io`; arguments as for `fit_additive`.

    The law that has not seen a measurement misses it by the residual over one less this.
    """
    _, covariance, variance = _solve(*_problem(start, x, y, weights))
    share = parameter_variance(start, np.asarray(x), np.asarray(covariance)) / float(variance)
    return np.minimum(share * np.asarray(weights)[:, None], 1 - 1e-6)


def _problem(start: KHRONOS, x, y, weights):
    stacked = stack(start)
    penalty = roughness_penalty(start.bases, Layout.of(stacked), x.dtype)
    size = rows_at_once(_CHUNK, len(x), penalty.kept.size * y.shape[1])
    arrays, w, chunks = chunked((x, y), weights, size)
    return stacked, start.bases, penalty, (*arrays, w), jnp.asarray(chunks)


@brief_jit
def _solve(stacked: Stacked, bases, penalty: BlockPenalty, data, chunks):
    """The law, the covariance of its parameters, and the variance of the noise."""
    theta, unravel = flattened(jax.tree.map(jnp.zeros_like, stacked), penalty.kept)

    def rows(theta, chunk):
        x, y, w = chunk
        values, J = unravel(theta).rows(jax.vmap(lambda x: design(bases, x))(x))
        return (values - y).ravel(), J[:, penalty.kept], jnp.repeat(w, y.shape[1])

    normal = accumulate(rows, theta, data, chunks)
    evidence = Evidence(jnp.ones((penalty.strengths,), theta.dtype), jnp.asarray(0.1, theta.dtype))
    samples = jnp.sum(data[2]) * data[1].shape[-1]
    theta, evidence = affine_optimum(normal, penalty, evidence, samples)
    return unravel(theta), covariance(normal, penalty, evidence), evidence.variance
