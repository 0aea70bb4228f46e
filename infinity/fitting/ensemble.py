r"""The average of separable models is a separable model.

1/K sum_k [c_k + sum_d a_kd + sum_m prod_d f_kdm]  =  c + sum_d a_d + sum_km prod_d K^(-1/D) f_kdm
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compilation import brief_jit
from ..models import AbstractSeparable


def average(models: Sequence[AbstractSeparable]) -> AbstractSeparable:
    """One model with the modes of all, whose value is the mean of theirs.

    **Arguments:** models on the same bases, all with or all without mixing, additive block and constant.
    """
    return _average(tuple(models))


@brief_jit  # called eagerly, one compilation instead of many
def _average(models: tuple[AbstractSeparable, ...]) -> AbstractSeparable:
    K, first = len(models), models[0]
    shrink = K ** (-1 / first.dimensions)
    mean = lambda parts: jax.tree.map(lambda *leaves: sum(leaves) / K, *parts)
    factors = tuple(shrink * jnp.concatenate(rows) for rows in zip(*(m.factors for m in models), strict=True))
    mixings = [m.mixing for m in models if m.mixing is not None]
    mixing = jnp.concatenate(mixings, axis=1) if mixings else None
    parts = (factors, mixing, mean([m.additive for m in models]), mean([m.constant for m in models]))
    where = lambda model: (model.factors, model.mixing, model.additive, model.constant)
    return eqx.tree_at(where, first, parts, is_leaf=lambda leaf: leaf is None)


def average_covariance(
    models: Sequence[AbstractSeparable], covariances: Sequence[Float[Array | np.ndarray, "P P"]]
) -> Float[np.ndarray, "Q Q"]:
    r"""A covariance of the parameters of the average that gives its value the mean of the members' variances.

    `C = sum_k A_k V_k A_k^T / K`, where `A_k` puts the parameters of member k in their places, so that `J A_k = J_k` for the Jacobians of average and member.
    The members see the same data: their errors are not independent, and averaging does not shrink this part. What the members differ by is added, the variance
    of the starts `sum_k (u_k - u)^2 / K`: as the value is affine in the factors of one dimension, the additive block and the constant, there is a step `e_k` of
    these with `J e_k = u_k - u` everywhere, and `C` gains `sum_k e_k e_k^T / K`.
    """
    K, first = len(models), models[0]
    stretch = K * K ** (-1 / first.dimensions)
    M, sizes, O = first.modes, [array.shape[1] for array in first.factors], first.outputs
    own = sum(M * n for n in sizes)
    mixed = 0 if first.mixing is None else O * M
    rest = first.unknowns - own - mixed
    total = K * (own + mixed) + rest
    C = np.zeros((total, total))
    for k, V in enumerate(np.asarray(V, float) for V in covariances):
        places, weights, at = [], [], 0
        for n in sizes:
            places.append(at + k * M * n + np.arange(M * n))
            at += K * M * n
        if mixed:
            places.append(at + (np.arange(O)[:, None] * K * M + k * M + np.arange(M)).ravel())
            at += K * mixed
        places.append(at + np.arange(rest))
        # The mixing of a member already stands beside factors that are shrunk: its product carries 1 / K as well.
        weights = np.concatenate([np.full(own, stretch), np.full(mixed, float(K)), np.ones(rest)])
        index = np.concatenate(places)
        C[index[:, None], index] += V * weights[:, None] * weights / K
        step = _step(models, k)
        C += np.outer(step, step) / K
    return C


def _step(models: Sequence[AbstractSeparable], k: int) -> Float[np.ndarray, " Q"]:
    """The step in the parameters of the average that changes its value to that of member k."""
    whole, K = average(models), len(models)
    share = np.repeat(np.where(np.arange(K) == k, K - 1.0, -1.0), models[0].modes)
    zeros = jax.tree.map(jnp.zeros_like, eqx.filter(whole, eqx.is_inexact_array))
    less = lambda own, mean: jax.tree.map(jnp.subtract, own, mean)
    where = lambda model: (model.factors[0], model.additive, model.constant)
    parts = (
        share[:, None] * whole.factors[0],
        less(models[k].additive, whole.additive),
        less(models[k].constant, whole.constant),
    )
    step = eqx.tree_at(where, zeros, parts, is_leaf=lambda leaf: leaf is None)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(step)])
