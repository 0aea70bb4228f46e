r"""The additive law of a table, from one Gram matrix.

    u(x) = c + sum_d a_d(x_d)

It is affine in its parameters: the samples are read once, and the strengths of its penalties are found from the normal equations alone.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..descent.evidence import BlockPenalty, Evidence, affine_optimum
from ..descent.streaming import accumulate, chunked
from ..models import KHRONOS
from ..models.separable import design
from .roughness import roughness_penalty
from .stacked import Layout, Stacked, flattened, stack, unstack

_CHUNK = 512


def fit_additive(
    start: KHRONOS, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]
) -> KHRONOS:
    """Fit a model without modes to standardised data.

    **Arguments:** a `KHRONOS` with `modes=0` on the box of `x`; inputs, targets of about unit variance and zero mean, weights.
    """
    stacked = stack(start)
    penalty = roughness_penalty(start.bases, Layout.of(stacked), x.dtype)
    arrays, w, chunks = chunked((x, y), weights, _CHUNK)
    return unstack(_solve(stacked, start.bases, penalty, (*arrays, w), jnp.asarray(chunks)), start)  # pyright: ignore[reportReturnType]


@eqx.filter_jit
def _solve(stacked: Stacked, bases, penalty: BlockPenalty, data, chunks) -> Stacked:
    theta, unravel = flattened(jax.tree.map(jnp.zeros_like, stacked), penalty.kept)

    def rows(theta, chunk):
        x, y, w = chunk
        values, J = unravel(theta).rows(jax.vmap(lambda x: design(bases, x))(x))
        return (values - y).ravel(), J[:, penalty.kept], jnp.repeat(w, y.shape[1])

    normal = accumulate(rows, theta, data, chunks)
    evidence = Evidence(jnp.ones((penalty.strengths,), theta.dtype), jnp.asarray(0.1, theta.dtype))
    samples = jnp.sum(data[2]) * data[1].shape[-1]
    return unravel(affine_optimum(normal, penalty, evidence, samples)[0])
