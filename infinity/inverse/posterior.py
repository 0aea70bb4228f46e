r"""Calibration of many cases at once: modes by Levenberg and Marquardt's method from several starts, moments by weighted samples.

    chi2(theta) = sum ((y - f(theta)) / sigma)^2,    p(theta | y) ~ exp(-chi2 / 2) prior(theta)  on the box
    with unknown noise, integrated over sigma with the density 1 / sigma:    p(theta | y) ~ chi2(theta)^(-n / 2) prior(theta)

Starts are the best of points spread over the box, apart from each other; the model is tried there once for all cases. Samples come from a mixture of Student
distributions around the modes, so that their weights are bounded where the posterior is bent or cut off by the box.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import gammaincinv, ndtri  # scipy.stats is slow to import

from ..precision import full_products
from ..shapes import rows_at_once
from .spread import spread

STARTS = 4
SAMPLES = 128  # for each free input, at least two
_TRIED = 256
_APART = 0.15
_OVER_BOX = 8
_STEPS = 30
_FREEDOM = 5.0
_BLOCK = 4
_TINY = 1e-37  # also a normal number in single precision
_FLAT = 12.0  # one over the variance of a number that is uniform on the unit interval


class Posterior(NamedTuple):
    """Of each case, in the unit box.

    **Fields:** the `mode` `(k,)`, its `chi2`, the `information` of the observations there `(k, k)`, whether it `converged` and after how many `steps` of all
    starts together; `samples` `(S, k)` with `weights` `(S,)`.
    """

    mode: Float[Array, "*K k"]
    chi2: Float[Array, "*K"]
    information: Float[Array, "*K k k"]
    converged: Bool[Array, "*K"]
    steps: Int[Array, "*K"]
    samples: Float[Array, "*K S k"]
    weights: Float[Array, "*K S"]


@full_products
@eqx.filter_jit
def posteriors(
    predict: Any,
    y: Float[Array, "K n O"],
    sigma: Float[Array, "n O"],
    prior: tuple[Float[Array, " k"], Float[Array, " k"]],
    known_noise: bool,
) -> Posterior:
    """The posterior of each case.

    **Arguments:** `predict`, from a point of the unit box `(k,)` to `(n, O)`; the observations; their noise, ones where it is not known; the `prior`, a
    mean and one over a standard deviation (zero for none) of each free input, in units of the box; whether the noise is known.
    """
    k = prior[0].shape[0]
    tried = jnp.asarray(spread(_TRIED, k), y.dtype)
    seen = (jax.vmap(predict)(tried) / sigma).reshape(_TRIED, -1)
    draws = jnp.asarray(_draws(k), y.dtype)
    one = lambda case: _one(predict, tried, seen, case / sigma, sigma, prior, known_noise, draws)
    number = y.shape[0]
    size = rows_at_once(_BLOCK, number, (_TRIED + len(draws) * k) * math.prod(y.shape[1:]))
    count = -(-number // size)
    padded = jnp.concatenate([y, jnp.repeat(y[-1:], count * size - number, axis=0)])
    found = jax.lax.map(jax.vmap(one), padded.reshape(count, size, *y.shape[1:]))
    return jax.tree.map(lambda a: a.reshape(count * size, *a.shape[2:])[:number], found)


def _draws(k: int) -> Float[np.ndarray, "S k"]:
    """Draws of a Student distribution of unit scale."""
    uniform = spread(SAMPLES * max(k, 2), k + 1)
    z = ndtri(np.clip(uniform[:, :k], 1e-9, 1 - 1e-9))
    stretch = np.sqrt(_FREEDOM / (2 * gammaincinv(_FREEDOM / 2, np.clip(uniform[:, k], 1e-9, 1 - 1e-9))))
    return z * stretch[:, None]


def _one(
    predict: Any, tried: Array, seen: Array, y: Array, sigma: Array, prior: Any, known_noise: bool, draws: Array
) -> Posterior:
    k, n = tried.shape[1], y.size
    centre, precise = prior

    def residual(theta: Array) -> Array:
        return jnp.concatenate([(predict(theta) / sigma - y).ravel(), (theta - centre) * precise])

    cost = jnp.sum((seen - y.ravel()) ** 2, axis=1) + jnp.sum(((tried - centre) * precise) ** 2, axis=1)
    starts = _apart_from_each_other(tried, cost)
    modes, squares, J, converged, steps = jax.vmap(lambda start: _marquardt(residual, start))(starts)
    observed = jnp.sum(jax.vmap(residual)(modes)[:, :n] ** 2, axis=1)
    best = jnp.argmin(squares)
    # Unknown noise: that of the best mode, for the size of the regions that are sampled.
    variance = jnp.ones(()) if known_noise else jnp.maximum(observed[best] / max(n - k, 1), _TINY)
    gram = jnp.einsum("snk,snl->skl", J[:, :n], J[:, :n]) / variance
    precision = gram + jnp.diag(precise**2) + _FLAT * jnp.eye(k)
    root = jax.vmap(jnp.linalg.cholesky)(precision)
    log_det = jnp.sum(jnp.log(jax.vmap(jnp.diag)(root)), axis=1)
    # Each mode gets samples by Laplace's estimate of its part, and none is forgotten.
    height = -0.5 * squares / variance - log_det
    share = 0.95 * jax.nn.softmax(height) + 0.05 / STARTS
    # Which draw goes to which mode must not depend on the order of the draws.
    number = draws.shape[0]
    shuffled = np.random.default_rng(0).permutation(number)
    owner = jnp.minimum(jnp.searchsorted(jnp.cumsum(share), (shuffled + 0.5) / number), STARTS - 1)
    inverse = jax.vmap(lambda L: jax.scipy.linalg.solve_triangular(L, jnp.eye(k, dtype=L.dtype), lower=True))(root)
    samples = modes[owner] + jnp.sum(draws[:, :, None] * inverse[owner], axis=1)
    # A part of them over the whole box, for posteriors that fill it.
    over = spread(number, k)[::_OVER_BOX]
    samples = samples.at[::_OVER_BOX].set(jnp.asarray(over, samples.dtype))
    inside = jnp.all((samples >= 0) & (samples <= 1), axis=1)
    r = jax.vmap(residual)(jnp.clip(samples, 0, 1))
    chi2_there = jnp.sum(r[:, :n] ** 2, axis=1)
    if known_noise:
        likelihood = -0.5 * chi2_there
    else:
        likelihood = -0.5 * n * jnp.log(jnp.maximum(chi2_there, _TINY))
    log_posterior = likelihood - 0.5 * jnp.sum(r[:, n:] ** 2, axis=1)
    # The density of the mixture.
    away = jnp.einsum("skl,snk->snl", root, samples[None] - modes[:, None])
    scale = jnp.log(share) + log_det
    log_q = scale[:, None] - 0.5 * (_FREEDOM + k) * jnp.log1p(jnp.sum(away**2, axis=2) / _FREEDOM)
    student = math.lgamma((_FREEDOM + k) / 2) - math.lgamma(_FREEDOM / 2) - 0.5 * k * math.log(_FREEDOM * math.pi)
    log_q = jnp.logaddexp(jax.nn.logsumexp(log_q, axis=0) + student + math.log1p(-1 / _OVER_BOX), -math.log(_OVER_BOX))
    log_w = jnp.where(inside, log_posterior - log_q, -jnp.inf)
    weights = jax.nn.softmax(log_w)
    return Posterior(modes[best], observed[best], gram[best], converged[best], jnp.sum(steps), samples, weights)


def _apart_from_each_other(tried: Array, cost: Array) -> Float[Array, "S k"]:
    """The best points, each apart from the better ones."""
    starts = []
    for _ in range(STARTS):
        at = jnp.argmin(cost)
        starts.append(tried[at])
        near = jnp.max(jnp.abs(tried - tried[at]), axis=1) < _APART
        cost = jnp.where(near, jnp.inf, cost)
    return jnp.stack(starts)


def _marquardt(residual: Any, start: Array) -> tuple[Array, ...]:
    """The least sum of squares near a start, in the unit box: the point, the sum, the Jacobian there, whether it converged, and steps."""
    both = lambda theta: (residual(theta), jax.jacfwd(residual)(theta))

    def step(state: tuple) -> tuple:
        theta, r, J, damping, done, count = state
        gradient, gram = J.T @ r, J.T @ J
        held = ((theta <= 0) & (gradient > 0)) | ((theta >= 1) & (gradient < 0))
        free = ~held
        A = jnp.where(free[:, None] & free[None, :], gram, 0.0)
        scale = jnp.maximum(jnp.diag(A), 1e-12 * jnp.trace(gram) + _TINY)
        A = A + jnp.diag(damping * scale + jnp.where(held, 1.0, 0.0))
        move = _solve(A, jnp.where(held, 0.0, -gradient))
        new = jnp.clip(theta + move, 0.0, 1.0)
        new_r, new_J = both(new)
        square, new_square = jnp.sum(r**2), jnp.sum(new_r**2)
        better = new_square < square
        small = jnp.max(jnp.abs(new - theta)) < 1e-9
        done = done | small | (jnp.abs(square - new_square) <= 1e-13 * square)
        keep = lambda a, b: jnp.where(better, a, b)
        damping = jnp.where(better, jnp.maximum(damping / 5, 1e-12), damping * 4)
        return keep(new, theta), keep(new_r, r), keep(new_J, J), damping, done, count + 1

    r, J = both(start)
    state = (start, r, J, jnp.asarray(1e-2, start.dtype), jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    goes_on = lambda state: ~state[4] & (state[5] < _STEPS) & (state[3] < 1e12)
    theta, r, J, damping, done, count = jax.lax.while_loop(goes_on, step, state)
    return theta, jnp.sum(r**2), J, done | (damping >= 1e12), count


def _solve(A: Float[Array, "k k"], b: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solve with a small positive definite matrix: Cholesky's method written out, which a batch does much faster than a call a matrix."""
    k = b.shape[0]
    if k > 8:
        return jnp.linalg.solve(A, b)
    L: list[list[Any]] = [[None] * k for _ in range(k)]
    for i in range(k):
        for j in range(i + 1):
            rest = A[i, j] - sum((L[i][m] * L[j][m] for m in range(j)), jnp.zeros((), A.dtype))
            L[i][j] = jnp.sqrt(jnp.maximum(rest, _TINY)) if i == j else rest / L[j][j]
    z: list[Any] = []
    for i in range(k):
        z.append((b[i] - sum((L[i][m] * z[m] for m in range(i)), jnp.zeros((), A.dtype))) / L[i][i])
    x: list[Any] = [None] * k
    for i in reversed(range(k)):
        x[i] = (z[i] - sum((L[m][i] * x[m] for m in range(i + 1, k)), jnp.zeros((), A.dtype))) / L[i][i]
    return jnp.stack(x)
