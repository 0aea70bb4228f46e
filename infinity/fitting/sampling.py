r"""Where to measure next: the points of largest predictive variance, one after another.

    v(x) = sum_o J_o V J_o^T / sigma_o^2,    x* = argmax v,    V <- V - V J*^T (Sigma + J* V J*^T)^-1 J* V

with the Jacobian `J = du/dtheta` at the solution, the covariance `V` of the parameters and the noise `Sigma = diag(sigma^2)`: a measurement at `x*` changes
`V` by one rank an output, wherever its value turns out to be. Only the products of the candidates with `V` are kept, never `V` itself.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..precision import full_products
from .fitted import Fitted
from .result import Result

_BATCH = 1024


@full_products
def sample_next(result: Result, count: int, candidates: int = 4096, seed: int = 0) -> Any:
    """Choose points that tell a fit the most.

    Greedy: each point is the candidate where the model is least certain once the points before it are measured, with the noise of the fit. No point is chosen
    twice. With several outputs, all are measured at each point and their variances are added, each in units of its noise. The certainty is that of the model
    that was fitted: what the model cannot represent, it does not ask about.

    **Arguments:**

    - `result`: of `inf.fit`, with a covariance.
    - `count`: number of points.
    - `candidates`: how many points of a Sobol sequence on the box, shifted at random, are compared. Memory grows with their number times the parameters'.
    - `seed`: of that shift.

    **Returns:** `(count, D)` in physical units inside the box, in the order of choice; with categories an array of objects, as `predict` takes it.
    Nothing in it is missing.

    **Raises:** `ValueError` where there is no covariance, the noise is zero, or `count` is not between 1 and `candidates`.

    !!! example

        >>> import jax, numpy as np, infinity as inf
        >>> jax.config.update("jax_enable_x64", True)
        >>> x = np.concatenate([np.linspace(0, 0.4, 40), np.linspace(0.8, 1, 20)])
        >>> y = np.sin(6 * x) + 0.01 * np.random.default_rng(0).normal(size=60)
        >>> result = inf.fit(x, y, elements=6)
        >>> point = inf.sample_next(result, 1)
        >>> point.shape, bool(0.4 < point[0, 0] < 0.8)
        ((1, 1), True)
    """
    if result.covariance is None:
        raise ValueError(
            f"this fit has no covariance, so no point is known to be better than another; {result.options['covariance']}"
        )
    if not 1 <= count <= candidates:
        raise ValueError(f"got count={count} of candidates={candidates}; expected 1 <= count <= candidates")
    noise = np.asarray(result.noise, float)
    if not np.all(noise > 0):
        raise ValueError("the noise of this fit is zero, so nothing is uncertain; take points of your own choice")
    from scipy.stats import qmc  # slow to import

    model = result.model
    coding = model.coding
    number = len(model.inputs)
    sequence = qmc.Sobol(number, scramble=False).random_base2((candidates - 1).bit_length())[:candidates]
    share = (sequence + np.random.default_rng(seed).random(number)) % 1
    first = range(number) if coding is None else [group[0] for group in coding.groups]
    lower, upper = (np.asarray(end)[list(first)] for end in (model.lower, model.upper))
    table = lower + (upper - lower) * share
    if coding is not None and coding.categories:
        table = table.astype(object)
        for d, column in enumerate(coding.columns):
            if column.is_category:
                levels = np.array([level for level in column.levels if level is not None], object)
                table[:, d] = levels[(share[:, d] * len(levels)).astype(int)]
    points = model.coded(table)
    dtype = result.covariance.dtype
    parts = [
        _jacobians(model._quiet(), jnp.asarray(points[at : at + _BATCH], dtype)) for at in range(0, candidates, _BATCH)
    ]
    rows = np.concatenate([np.asarray(part, float) for part in parts]) / noise[:, None]
    chosen, _ = greedy(rows, np.asarray(result.covariance, float), count)
    return table[chosen]


def greedy(
    rows: Float[np.ndarray, "K O P"], covariance: Float[np.ndarray, "P P"], count: int
) -> tuple[Int[np.ndarray, " count"], Float[np.ndarray, "steps K"]]:
    """Choose rows of largest variance, each measured with unit noise before the next is chosen.

    **Returns:** the indices in the order of choice, and the variances of all rows before each choice and after the last, `(count + 1, K)`.
    """
    K, O, P = rows.shape
    flat = rows.reshape(K * O, P)
    images = flat @ covariance
    variance = np.einsum("kop,kop->k", images.reshape(K, O, P), rows)
    removed = np.zeros((K * O, O * count))
    chosen: list[int] = []
    history = [variance]
    for step in range(count):
        open_to_choice = variance.copy()
        open_to_choice[chosen] = -np.inf
        best = int(np.argmax(open_to_choice))
        at, done = slice(best * O, (best + 1) * O), O * step
        cross = images @ flat[at].T - removed[:, :done] @ removed[at, :done].T
        root = np.linalg.cholesky(np.eye(O) + (cross[at] + cross[at].T) / 2)
        new = scipy.linalg.solve_triangular(root, cross.T, lower=True).T
        removed[:, done : done + O] = new
        variance = variance - np.sum(new.reshape(K, O * O) ** 2, axis=1)
        chosen.append(best)
        history.append(variance)
    return np.array(chosen), np.stack(history)


@eqx.filter_jit
def _jacobians(model: Fitted, x: Float[Array, "K D"]) -> Float[Array, "K O P"]:
    """The derivative of the value with respect to the free parameters, in physical units of the outputs."""
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(params)
    value = lambda theta, point: jnp.atleast_1d(eqx.combine(unravel(theta), static)(point))
    return jax.vmap(jax.jacrev(value), in_axes=(None, 0))(theta, x)
