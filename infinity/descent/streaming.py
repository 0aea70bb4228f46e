r"""Normal equations of many samples in constant memory.

    G = sum_chunks J_k^T W_k J_k,    g = sum_chunks J_k^T W_k r_k,    L = sum_chunks r_k^T W_k r_k / 2

A model that knows its own derivatives offers `rows(theta, chunk) -> (r, J, w)`; the sums run over chunks, so that beyond the samples
themselves memory does not grow with their number. `G` only shapes the step. The
gradient `g` is summed afresh from the residuals at every point, so the solution is that of
`g = 0` and the squared condition number of `G` costs iterations, not accuracy (the corrected semi-normal equations of Björck, Linear Algebra Appl. 88, 1987).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ..shapes import rounded_up

# A symmetric product is made in so many panels, none narrower than this.
PANELS = 4
SMALLEST_PANEL = 64

Rows = Callable[[Float[Array, " P"], PyTree], tuple[Float[Array, " k"], Float[Array, "k P"], Float[Array, " k"]]]
Residuals = Callable[[Float[Array, " P"], PyTree], tuple[Float[Array, " k"], Float[Array, " k"]]]


class Normal(eqx.Module):
    """Gram matrix `(P, P)`, gradient `(P,)` and loss of a weighted sum of squares."""

    gram: Float[Array, "P P"]
    gradient: Float[Array, " P"]
    loss: Float[Array, ""]


def chunked(
    arrays: PyTree, weights: Float[Array | np.ndarray, " N"], size: int, capacity: int | None = None
) -> tuple[PyTree, Float[Array, "chunks size"], int]:
    """Cut samples into chunks of equal size.

    **Arguments:** a pytree of arrays with a leading axis of N samples; their weights `(N,)`; the samples in a chunk; `capacity`, a number
    of samples to leave room for.

    **Returns:** the arrays with leading axes `(chunks, size)`, the weights likewise, and how many chunks hold samples. The rest is filled with the last sample
    at weight zero, up to one of few numbers of chunks, so that tables of nearly the same length share a compiled program.
    """
    number = weights.shape[0]
    used = max(1, -(-number // size))
    chunks = rounded_up(max(used, -(-(capacity or 0) // size)))
    missing = chunks * size - number

    # NumPy compiles nothing anew for another number of samples.
    def cut(array):
        array = np.asarray(array)
        filled = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        return jnp.asarray(filled.reshape(chunks, size, *array.shape[1:]))

    padded = np.concatenate([np.asarray(weights), np.zeros(missing, weights.dtype)])
    return jax.tree.map(cut, arrays), jnp.asarray(padded.reshape(chunks, size)), used


def accumulate(
    rows: Rows, theta: Float[Array, " P"], chunks: PyTree, count: Int[Array, ""], width: int | None = None
) -> Normal:
    """Gram matrix, gradient and loss at `theta`, chunk by chunk.

    **Arguments:** `rows` gives the residuals `(k,)`, their Jacobian `(k, P)` and the weights `(k,)` of a chunk; `chunks` is a pytree with a leading axis of
    chunks, of which the first `count` are used: one compiled program serves a part of the samples and all of them; `width` is the number of
    columns of `J` where it is that of some parameters only.
    """
    P = theta.shape[0] if width is None else width

    def add(chunk, total: Normal) -> Normal:
        r, J, w = rows(theta, chunk)
        weighted = w[:, None] * J
        loss = 0.5 * jnp.sum(w * r * r)
        return Normal(_add_product(total.gram, weighted, J), total.gradient + weighted.T @ r, total.loss + loss)

    zero = Normal(jnp.zeros((P, P), theta.dtype), jnp.zeros((P,), theta.dtype), jnp.zeros((), theta.dtype))
    total = _over(chunks, count, add, zero)
    upper = jnp.triu(total.gram)
    return Normal(upper + jnp.triu(upper, 1).T, total.gradient, total.loss)


def _add_product(
    gram: Float[Array, "P P"], left: Float[Array, "k P"], right: Float[Array, "k P"]
) -> Float[Array, "P P"]:
    """Add the upper triangle of a symmetric product, in panels that leave out most of the lower one."""
    P = gram.shape[0]
    panel = max(-(-P // PANELS), SMALLEST_PANEL)
    for start in range(0, P, panel):
        gram = gram.at[start : start + panel, start:].add(left[:, start : start + panel].T @ right[:, start:])
    return gram


def accumulate_gradient(
    residuals: Residuals,
    theta: Float[Array, " P"],
    chunks: PyTree,
    count: Int[Array, ""],
    first: Int[Array, ""] | int = 0,
) -> tuple[Float[Array, " P"], Float[Array, ""]]:
    """Gradient and loss at `theta` without the Gram matrix: one pass over the samples in `O(P)` memory.

    **Arguments:** `residuals` gives the residuals `(k,)` and weights `(k,)` of a chunk; `first`, the chunk to begin with; the others as for `accumulate`.
    """

    def chunk_loss(theta, chunk):
        r, w = residuals(theta, chunk)
        return 0.5 * jnp.sum(w * r * r)

    def add(chunk, total):
        loss, gradient = jax.value_and_grad(chunk_loss)(theta, chunk)
        return total[0] + gradient, total[1] + loss

    return _over(chunks, count, add, (jnp.zeros_like(theta), jnp.zeros((), theta.dtype)), first)


def accumulate_loss(
    residuals: Residuals, theta: Float[Array, " P"], chunks: PyTree, count: Int[Array, ""]
) -> Float[Array, ""]:
    """The weighted sum of squares over two at `theta`."""

    def add(chunk, total):
        r, w = residuals(theta, chunk)
        return total + 0.5 * jnp.sum(w * r * r)

    return _over(chunks, count, add, jnp.zeros((), theta.dtype))


def _over(chunks: PyTree, count: Int[Array, ""], add: Callable, total, first: Int[Array, ""] | int = 0):
    """Fold `add(chunk, total)` over the chunks from the first one on to the last one counted."""
    take = lambda at: jax.tree.map(lambda array: jax.lax.dynamic_index_in_dim(array, at, keepdims=False), chunks)
    return jax.lax.fori_loop(first, count, lambda at, total: add(take(at), total), total)
