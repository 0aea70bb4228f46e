r"""How far predictions may be off: the variance from the parameters, and intervals calibrated on held-out rows.

    var u(x) = J(x) V J(x)^T + (sigma / g'(u))^2,    interval = g(u(x) +- q std u(x))

`q` is the empirical quantile of `|u_i - u(x_i)| / std u(x_i)` over n held-out rows, their `(n + 1) level`-th smallest value, interpolated where that is no
whole number: split conformal prediction with normalised scores (Lei et al., J. Am. Stat. Assoc. 113, 2018), which covers what it says whether noise or the
model's own error dominates. In small noisy tables the rows that each start of the ensemble has left out in its turn count with them (cross-validated: Barber
et al., Ann. Stat. 49, 2021). The next whole number would cover at least the level, and with few rows much more: 27 of 29 for nine tenths of 28 rows.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis
from ..compilation import quick_jit
from ..models import AbstractSeparable
from ..models.separable import design
from ..precision import full_products
from ..shapes import rows_at_once
from .links import LINKS
from .stacked import Layout, Stacked, stack

_BATCH = 512


@full_products
def parameter_variance(
    model: AbstractSeparable, x: Float[np.ndarray, "N D"], V: Float[np.ndarray, "P P"]
) -> Float[np.ndarray, "N O"]:
    """`diag(J V J^T)` of a separable model at many points of its own box.

    **Arguments:** the model; the points `(N, D)`; the covariance of its parameters in the order of its leaves.
    """
    stacked = stack(model)
    kept = jnp.asarray(Layout.of(stacked).kept([basis.size for basis in model.bases]))
    parts = []
    size = rows_at_once(_BATCH, len(x), len(V))
    for at in range(0, len(x), size):
        rows = np.resize(x[at : at + size], (size, x.shape[1]))  # all batches share a compiled program
        values = _variances(stacked, model.bases, jnp.asarray(rows, stacked.factors.dtype), jnp.asarray(V), kept)
        parts.append(np.asarray(values)[: len(x) - at])
    return np.concatenate(parts) if parts else np.zeros((0, stacked.outputs))


@quick_jit
def _variances(stacked: Stacked, bases: tuple[AbstractBasis, ...], x: Float[Array, "S D"], V, kept):
    _, J = stacked.rows(jax.vmap(lambda x: design(bases, x))(x))
    J = J[:, kept]
    return jnp.sum((J @ V) * J, axis=1).reshape(x.shape[0], -1)


def expected_deviation(
    model: AbstractSeparable,
    points: Float[np.ndarray, "N D"],
    covariance: Float[np.ndarray, "P P"] | None,
    link: str,
    u: Float[np.ndarray, "N O"],
    scale: Float[np.ndarray, " O"],
    noise: Float[np.ndarray, " O"],
) -> Float[np.ndarray, "N O"]:
    """`deviation` for the parameters of a separable model, whose outputs count in units of `scale`; without a covariance from the noise alone."""
    variance = 0.0 if covariance is None else parameter_variance(model, points, covariance) * scale**2
    return deviation(link, u, variance, noise)


def deviation(link: str, u: np.ndarray, variance: np.ndarray | float, noise: np.ndarray) -> Float[np.ndarray, "N O"]:
    """The standard deviation of a new measurement in what the link describes: `sqrt(var u + (sigma / g'(u))^2)`.

    **Arguments:** the link; values of the model `(N, O)`; their variance from the parameters; the noise of the targets `(O,)`.
    """
    slope = LINKS[link].slope(np.asarray(LINKS[link].inverse(u)))
    return np.sqrt(variance + (noise / slope) ** 2)


def conformal_quantile(scores: Float[np.ndarray, " n"], level: float) -> float:
    """The factor `q` for a level.

    **Arguments:** the scores of the held-out rows; the `level`, between 0 and 1.

    **Returns:** the `(n + 1) level`-th smallest score, interpolated; the largest where there are too few rows for the level.

    >>> import numpy as np
    >>> from infinity.fitting.uncertainty import conformal_quantile
    >>> conformal_quantile(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    n = len(scores)
    return float(np.interp((n + 1) * level, np.arange(1, n + 1), np.sort(scores)))
