r"""A sum of products of one-dimensional sums of atoms, on samples in several dimensions, refined from a start.

    f(x) = sum_j prod_d sum_p e^{alpha_jdp x_d} (c_jdp cos(omega_jdp x_d) + s_jdp sin(omega_jdp x_d))

The function is affine in the pairs `(c, s)` of each dimension. Those of the first are eliminated exactly, and the rest moves by the trust region of
`infinity.descent`: the same variable projection as for any partly affine model.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..outer import OuterStep, step_residuals
from ..plan import Plan


class Factors(NamedTuple):
    """Rates and pairs of `r` terms, `D` dimensions and `P` atoms."""

    pairs: Float[Array | np.ndarray, "r D P 2"]
    alpha: Float[Array | np.ndarray, "r D P"]
    omega: Float[Array | np.ndarray, "r D P"]


def factor_values(factors: Factors, x: Float[Array | np.ndarray, "N D"]) -> Float[Array, "r D N"]:
    """The one-dimensional functions at the coordinates of the samples."""
    t = x.T[None, :, None, :]
    envelope = jnp.exp(factors.alpha[..., None] * t)
    angle = factors.omega[..., None] * t
    c, s = factors.pairs[..., 0][..., None], factors.pairs[..., 1][..., None]
    return jnp.sum(envelope * (c * jnp.cos(angle) + s * jnp.sin(angle)), axis=2)


def values(factors: Factors, x: Float[Array | np.ndarray, "N D"]) -> Float[Array, " N"]:
    """The function at the samples."""
    return jnp.sum(jnp.prod(factor_values(factors, x), axis=1), axis=0)


def balanced(factors: Factors) -> Factors:
    """The same function with pairs of equal length in every dimension of a term."""
    length = jnp.sqrt(jnp.sum(factors.pairs**2, axis=(2, 3)))
    safe = jnp.where(length > 0, length, 1.0)
    mean = jnp.exp(jnp.mean(jnp.log(safe), axis=1, keepdims=True))
    return factors._replace(pairs=factors.pairs * (mean / safe)[..., None, None])


class Polished(NamedTuple):
    """Refined factors, half the sum of squares there, and the outer step that found them."""

    factors: Factors
    loss: Float[Array, ""]
    step: OuterStep


@functools.partial(jax.jit, static_argnames=("max_iterations",))
def polish(
    x: Float[Array, "N D"],
    y: Float[Array, " N"],
    s: Float[Array, " N"],
    start: Factors,
    max_iterations: int = 60,
) -> Polished:
    """Minimise the weighted sum of squares from a start.

    **Arguments:** samples in boxes of about unit length; the roots of the weights; the start; bound on the iterations.
    """
    theta, unravel = ravel_pytree(balanced(start))
    r, D, P = start.alpha.shape
    places = np.arange(2 * r * D * P).reshape(r, D, 2 * P)
    linear = places[:, 0].ravel()
    rest = np.setdiff1d(np.arange(theta.size), linear)
    residual = lambda theta: s * (values(unravel(theta), x) - y)
    plan = Plan("partial", linear, rest, (), "")
    eps = float(jnp.finfo(y.dtype).eps)
    step = step_residuals(residual, theta, plan, rtol=10 * eps**0.75, atol=0.0, max_iterations=max_iterations)
    return Polished(balanced(unravel(step.theta)), step.loss, step)
