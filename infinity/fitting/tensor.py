r"""The direct fit of a full tensor-product interpolant: affine in its values, smoothness by the evidence.

    min_U  sum_n w_n (u(x_n) - y_n)^2 / (2 sigma^2) + U^T (lambda_0 Q_1 x .. x Q_D + sum_d lambda_d Q_1 x .. x R_d x .. x Q_D) U / 2

`Q_d` is the mass and `R_d` the stiffness matrix of dimension d in the coordinate in which all cells are equally long. Where a cell holds no sample the
penalty alone decides: the interpolant is as flat there as its neighbours allow.
"""

from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis
from ..descent.evidence import BlockPenalty, Evidence, PenaltyBlocks, affine_optimum, covariance
from ..descent.streaming import Normal, accumulate, chunked
from ..models import HiDeNN
from ..models.on_axes import rebuilt
from ..models.separable import design
from ..shapes import rows_at_once
from .generic import GenericFit, certificate_of, residuals_of, stationarity_of
from .roughness import integrals

# The Gram matrix of all values is dense.
MOST_VALUES = 2500
_CHUNK = 512
_UPDATES = 15
_LARGEST_COVARIANCE = 2**25


def fit_tensor(
    model: HiDeNN, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]
) -> GenericFit:
    """Fit a `HiDeNN`, its nodes held, to standardised data.

    **Raises:** `ValueError` for more values than one dense matrix serves.
    """
    bases, shape = model.bases, model.values.shape
    P, O = int(np.prod(shape[:-1])), shape[-1]
    if P > MOST_VALUES:
        raise ValueError(
            f"the model has {P} values for each output; the direct solve takes at most {MOST_VALUES}. Use fewer elements, or the separable INN or KHRONOS."
        )
    penalty = _penalty(bases, x.dtype)
    arrays, w, chunks = chunked((x, y), weights, rows_at_once(_CHUNK, len(x), P))
    solved = [_solve(bases, penalty, (arrays[0], arrays[1][..., o : o + 1], w), jnp.asarray(chunks)) for o in range(O)]
    values = jnp.stack([theta for theta, _, _ in solved], axis=-1).reshape(shape)
    fitted = rebuilt(model, values=values)
    params, static = eqx.partition(fitted, eqx.is_inexact_array)
    residuals, data = residuals_of(static), (x, y, weights)
    r = residuals(params, data)
    effective = sum(float(count) for _, _, count in solved)
    numbers = float(jnp.sum(weights)) * O
    V = None
    if (P * O) ** 2 <= _LARGEST_COVARIANCE:
        V = jnp.zeros((P, O, P, O), x.dtype)
        for o, (_, block, _) in enumerate(solved):
            V = V.at[:, o, :, o].set(block)
        V = V.reshape(P * O, P * O)
    return GenericFit(
        fitted,
        True,
        "The values are affine: solved at once, with smoothness by the evidence.",
        stationarity_of(residuals, params, data),
        float(jnp.sum(r**2)) / max(numbers - effective, 0.1 * numbers),
        V,
        certificate_of(fitted, data),
        {"iterations": _UPDATES, "effective": effective},
        [],
    )


def _penalty(bases: tuple[AbstractBasis, ...], dtype) -> BlockPenalty:
    """One strength for the size of all values, one for the slopes along each dimension."""
    parts = [integrals(basis) for basis in bases]
    product = lambda chosen: reduce(np.kron, (np.asarray(parts[d][k], np.float64) for d, k in enumerate(chosen)))
    D = len(bases)
    matrices = np.stack([product([0] * D), *(product([int(e == d) for e in range(D)]) for d in range(D))])
    P = matrices.shape[1]
    family = PenaltyBlocks(
        jnp.asarray(matrices[None], dtype), jnp.zeros((1,), jnp.int32), jnp.arange(1 + D, dtype=jnp.int32)[None]
    )
    return BlockPenalty((family,), jnp.arange(P, dtype=jnp.int32), 1 + D, P)


@eqx.filter_jit
def _solve(bases: tuple[AbstractBasis, ...], penalty: BlockPenalty, data, chunks):
    """The values of one output, their covariance and their effective number."""
    sizes = [basis.size for basis in bases]

    def rows(_, chunk):
        x, y, w = chunk
        B = jax.vmap(lambda x: design(bases, x))(x)
        J = B[:, 0, : sizes[0]]
        for d, size in enumerate(sizes[1:], start=1):
            J = (J[:, :, None] * B[:, d, None, :size]).reshape(len(y), -1)
        return -y.ravel(), J, w

    theta = jnp.zeros((penalty.size,), data[0].dtype)
    normal: Normal = accumulate(rows, theta, data, chunks)
    evidence = Evidence(jnp.full((penalty.strengths,), 1e-2, theta.dtype), jnp.asarray(0.01, theta.dtype))
    theta, evidence = affine_optimum(normal, penalty, evidence, jnp.sum(data[2]), _UPDATES)
    V = covariance(normal, penalty, evidence)
    return theta, V, jnp.sum(V * normal.gram) / evidence.variance
