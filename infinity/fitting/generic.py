r"""Fitting any Equinox model: its residuals go to an Optimistix or Optax solver, Infinite Descent unless another is given.

r_n(theta) = sqrt(w_n) (u(x_n; theta) - y_n)
"""

import dataclasses
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..closure import Certificate, certify
from ..descent import InfiniteDescent, Orthogonal
from ..descent.search import LARGEST

Module = TypeVar("Module", bound=eqx.Module)

# Rows on which a model is certified.
CERTIFIED_ROWS = 64
# The dense Jacobian of the direct solve must fit in memory: numbers in it, at most.
_LARGEST_JACOBIAN = 2**28
_LARGEST_COVARIANCE = 2**25
_FIRST_ORDER_STEPS = 20_000
# An exponential family is searched for starts up to so many numbers times unknowns times eliminated unknowns.
_LARGEST_SEARCH = 50_000


class GenericFit(NamedTuple):
    """A model solved by a generic solver."""

    model: eqx.Module
    converged: bool
    sentence: str
    stationarity: float
    variance: float
    covariance: Float[Array, "P P"] | None
    certificate: Certificate
    stats: dict[str, Any]
    history: list[dict[str, Any]]


def residuals_of(static: Any):
    """The residual function `(params, (x, y, weights)) -> (N, O)` of a model without its arrays."""

    def residuals(params, data):
        x, y, weights = data
        value = jax.vmap(eqx.combine(params, static))(x).reshape(y.shape)
        return jnp.sqrt(weights)[:, None] * (value - y)

    return residuals


def certificate_of(model: eqx.Module, data: tuple, rows: int = CERTIFIED_ROWS) -> Certificate:
    """The certificate of the residuals of a model on the first rows of `(x, y, weights)`: how parameters enter does not depend on the others."""
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return certify(residuals_of(static), params, tuple(jnp.asarray(a[:rows]) for a in data))


def in_dtype(model: Module, dtype: Any) -> Module:
    """The model with its floating arrays in one dtype."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, model)


def chosen_solver(solver: Any, tolerance: float) -> Any:
    """An Optimistix solver from nothing, an Optimistix solver or an Optax transformation."""
    if solver is None:
        return InfiniteDescent(rtol=tolerance, atol=tolerance)
    if isinstance(solver, optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser):
        return solver
    if isinstance(solver, optax.GradientTransformation):
        return optx.OptaxMinimiser(solver, rtol=tolerance, atol=tolerance)
    raise ValueError(
        f"solver is {type(solver).__name__}; expected None, an Optimistix least-squares solver or minimiser, or an Optax transformation"
    )


def _searchable(certificate: Certificate, numbers: int) -> bool:
    """Whether a search for starts is possible and cheap."""
    eliminated = len(certificate.affine_set.indices)
    rest = certificate.size - eliminated
    return (
        certificate.family == "exponential" and rest <= LARGEST and numbers * rest * (eliminated + 1) <= _LARGEST_SEARCH
    )


def fit_generic(model: eqx.Module, x: Array, y: Array, weights: Array, solver: Any, tolerance: float) -> GenericFit:
    """Fit a model to data.

    **Arguments:** an Equinox model of one point; inputs `(N, D)`, targets `(N, O)`, weights `(N,)`; the solver; its tolerance.

    **Raises:** `ValueError` where the model has no parameters, gives the wrong shape, or is too large for a dense direct solve.
    """
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, _ = ravel_pytree(params)
    if not theta.size:
        raise ValueError("the model has no free parameters: none of its leaves is an array of floats")
    shape = jax.eval_shape(lambda p: jax.vmap(eqx.combine(p, static))(x), params).shape
    if shape not in (y.shape, y.shape[:1] if y.shape[1] == 1 else y.shape):
        raise ValueError(
            f"the model gives shape {shape[1:]} for one point; expected ({y.shape[1]},) as there are {y.shape[1]} targets"
        )
    residuals, data = residuals_of(static), (x, y, weights)
    certificate = certificate_of(model, data, 256)
    method = chosen_solver(solver, tolerance)
    if solver is None and _searchable(certificate, y.size):
        method = dataclasses.replace(method, start="search")
    if isinstance(method, InfiniteDescent) and theta.size * y.size > _LARGEST_JACOBIAN:
        raise ValueError(
            f"a direct solve of {theta.size} unknowns from {y.size} numbers needs a Jacobian of {theta.size * y.size:.1e} entries; "
            f"expected at most {_LARGEST_JACOBIAN:.1e}. Fit fewer rows, or pass solver=optax.adam(1e-3)."
        )
    first_order = isinstance(method, optx.OptaxMinimiser)
    solution = optx.least_squares(
        residuals, method, params, args=data, throw=False, max_steps=_FIRST_ORDER_STEPS if first_order else 256
    )
    converged = bool(solution.result == optx.RESULTS.successful)
    solved = eqx.combine(solution.value, static)
    r = residuals(solution.value, data)
    numbers = float(jnp.sum(weights)) * y.shape[1]
    variance = float(jnp.sum(r**2)) / max(numbers - theta.size, 1.0)
    sentence = (
        solution.state.plan.sentence if isinstance(method, InfiniteDescent) else f"Solved by {type(method).__name__}."
    )
    stats = {
        key: np.asarray(value).item()
        for key, value in solution.stats.items()
        if np.ndim(value) == 0 and value is not None
    }
    history = []
    if isinstance(method, InfiniteDescent):
        losses = np.asarray(solution.state.ledger.history)
        history = [{"iteration": i, "loss": float(loss)} for i, loss in enumerate(losses[np.isfinite(losses)])]
    return GenericFit(
        solved,
        converged,
        sentence,
        stationarity_of(residuals, solution.value, data),
        variance,
        covariance_of(residuals, solution.value, data, variance),
        certificate,
        stats,
        history,
    )


def stationarity_of(residuals, params, data) -> float:
    """`|J^T r| / (|J| |r|)` with `|J|` estimated by its action on the gradient."""
    flat, unravel = ravel_pytree(params)
    fn = lambda theta: residuals(unravel(theta), data).ravel()
    r, pull = jax.vjp(fn, flat)
    (gradient,) = pull(r)
    length = jnp.linalg.norm(gradient)
    _, image = jax.jvp(fn, (flat,), (gradient / jnp.where(length > 0, length, 1.0),))
    bottom = jnp.linalg.norm(r) * jnp.linalg.norm(image)
    return float(length / jnp.where(bottom > 0, bottom, 1.0))


def covariance_of(residuals, params, data, variance: float) -> Array | None:
    """The covariance of the flat parameters, `variance` times the pseudo-inverse of `J^T J`; nothing where it would not fit in memory."""
    flat, unravel = ravel_pytree(params)
    if flat.size**2 + flat.size * data[1].size > _LARGEST_COVARIANCE:
        return None
    factor = Orthogonal(jax.jacfwd(lambda theta: residuals(unravel(theta), data).ravel())(flat))
    root = factor.right / factor.cutoff()[:, None] / factor.scale
    return variance * root.T @ root
