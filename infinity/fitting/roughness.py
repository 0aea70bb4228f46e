r"""How smooth a separable model has to be: a penalty on the size and one on the slope of every factor.

    sum_d sum_m a_dm^T (lambda_0 Q_d + lambda_d R_d) a_dm,    Q_d = int B B^T dw,    R_d = int (dB/dw) (dB/dw)^T dw

`w` runs from 0 to 1 and covers each cell of the basis in the same time. Where cells are short because there are many data, a factor may change quickly; where
few data stand far apart, it may not. Summed over the factors of a mode, the penalty on their size also prunes modes that the data do not need.
"""

import jax.numpy as jnp
import numpy as np

from ..basis import AbstractBasis
from ..compilation import brief_jit
from ..descent.evidence import BlockPenalty, PenaltyBlocks
from .stacked import Layout


def roughness_penalty(bases: tuple[AbstractBasis, ...], layout: Layout, dtype) -> BlockPenalty:
    """The penalty on a stacked model.

    One strength for the size of all factors and one for the slopes in each dimension, the same again for the additive block, and one for the mixing.
    """
    D, M, n, O = layout.D, layout.M, layout.n, layout.O
    matrices = np.zeros((D, 2, n, n))
    matrices[:, 0] = np.eye(n)  # the fill is held at zero
    for d, basis in enumerate(bases):
        size = basis.size
        matrices[d, 0, :size, :size], matrices[d, 1, :size, :size] = integrals(basis)
    d = np.repeat(np.arange(D), M)
    starts, groups, which = [np.arange(D * M) * n], [np.stack([np.zeros_like(d), 1 + d], axis=1)], [d]
    strengths = 1 + D
    if layout.additive:
        d = np.repeat(np.arange(D), O)
        starts.append(layout.after_mixing + np.arange(D * O) * n)
        groups.append(np.stack([np.full_like(d, strengths), 1 + strengths + d], axis=1))
        which.append(d)
        strengths += 1 + D
    cat = lambda parts: jnp.asarray(np.concatenate(parts), jnp.int32)
    families = [PenaltyBlocks(jnp.asarray(matrices[np.concatenate(which)], dtype), cat(starts), cat(groups))]
    if layout.mixing:
        identity = jnp.broadcast_to(jnp.eye(M, dtype=dtype), (O, 1, M, M))
        places = layout.after_factors + np.arange(O) * M
        families.append(PenaltyBlocks(identity, cat([places]), jnp.full((O, 1), strengths, jnp.int32)))
        strengths += 1
    kept = jnp.asarray(layout.kept([basis.size for basis in bases]), jnp.int32)
    return BlockPenalty(tuple(families), kept, strengths, layout.unknowns)


@brief_jit
def integrals(basis: AbstractBasis):
    """`Q_d` and `R_d` of a family."""
    edges = basis.breakpoints
    pace = basis.elements * jnp.diff(edges)  # dx/dw in each cell
    slope = lambda t: pace[jnp.clip(jnp.searchsorted(edges, t, side="right") - 1, 0, basis.elements - 1)]
    exact = basis.degree + 1
    return basis.gram(0, 0, lambda t: 1 / slope(t), exact), basis.gram(1, 1, slope, exact)
