r"""One outer step of Infinite Descent: from any start to a point where the first-order condition holds.

    grad L(theta + delta) = 0,    L = |r|^2 / 2 or a scalar loss,

solved to tolerance inside the step by the plan that the certificate allows. A ledger counts all the work.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..precision import full_products
from .ledger import Ledger
from .lines import HIGHEST_DEGREE, joint_length, loss_length, residual_length
from .multilinear import MAX_SWEEPS, affine_block_sweeps, quadratic_block_sweeps
from .newton import Spectrum, trust_region_newton
from .plan import Plan
from .projection import Projection, Reduced
from .trust import FINISHING_STEPS, Outcome, levenberg_marquardt

# The first damping, and a more careful one for a second attempt from the same start.
DAMPINGS = (1e-3, 1.0)
# Above this many parameters the joint Hessian of the finish costs more than it gives.
FINISH_LIMIT = 1000
FINISH_ITERATIONS = 20


def history_length(max_iterations: int) -> int:
    """Places for the losses of one outer step: sweeps, every attempt with its finish, and the second-order finish."""
    return MAX_SWEEPS + len(DAMPINGS) * (max_iterations + FINISHING_STEPS + 1) + FINISH_ITERATIONS + 4


class OuterStep(NamedTuple):
    """Where an outer step ended.

    **Fields:** the flat parameters; loss before and after; `stationarity`, the cosine between the residual and the nearest column of its Jacobian
    (for a loss: the norm of the gradient relative to the largest curvature times the size of the parameters); `converged`; the ledger.
    """

    theta: Float[Array, " P"]
    start_loss: Float[Array, ""]
    loss: Float[Array, ""]
    stationarity: Float[Array, ""]
    converged: Bool[Array, ""]
    ledger: Ledger


@full_products
def step_residuals(
    residual: Callable,
    theta: Float[Array, " P"],
    plan: Plan,
    *,
    rtol: float,
    atol: float,
    max_iterations: int,
    exact_lines: bool | str = True,
) -> OuterStep:
    """The outer step for residuals `residual(theta) -> (m,)`; `exact_lines` as for the solver."""
    ledger = Ledger.empty(history_length(max_iterations), theta.dtype)
    r = residual(theta)
    start_loss = 0.5 * jnp.vdot(r, r)
    ledger = ledger.add(residuals=1).record(start_loss)
    if plan.strategy == "constant":
        zero = jnp.zeros((), theta.dtype)
        return OuterStep(theta, start_loss, start_loss, zero, jnp.isfinite(start_loss), ledger)
    projection = Projection(residual, plan.linear, plan.rest)
    if plan.strategy == "multilinear":
        theta, ledger = affine_block_sweeps(residual, theta, plan.blocks, ledger)
    _, z = projection.split(theta)
    start = projection.polish(projection.reduce(z))
    ledger = ledger.add(residuals=3, jacobians=1, factorisations=1)
    if plan.strategy == "affine":
        return _affine(projection, start, start_loss, ledger)
    degree = plan.degree if exact_lines and plan.degree is not None and 2 <= plan.degree <= HIGHEST_DEGREE else None
    settings: dict[str, Any] = {"rtol": rtol, "atol": atol, "max_iterations": max_iterations}
    if degree is not None and exact_lines == "everywhere":
        settings |= {"length": lambda point, p: joint_length(projection, point, p, degree), "line_cost": degree}
    solve = lambda damping, ledger: levenberg_marquardt(projection, start, ledger, damping=damping, **settings)
    outcome = _attempts(solve, ledger)
    theta = projection.merge(outcome.point.c, outcome.point.z)
    step = OuterStep(theta, start_loss, outcome.point.loss, outcome.flatness, outcome.converged, outcome.ledger)
    if theta.size <= FINISH_LIMIT:
        step = jax.lax.cond(step.converged, lambda s: s, lambda s: _second_order(residual, s, rtol, atol, degree), step)
    return step


def _affine(projection: Projection, point: Reduced, start_loss, ledger: Ledger) -> OuterStep:
    length = jnp.linalg.norm(point.r)
    cosines = jnp.abs(point.factor.basis.T @ point.r) / jnp.where(length > 0, length, 1.0)
    return OuterStep(
        projection.merge(point.c, point.z),
        start_loss,
        point.loss,
        jnp.max(cosines, initial=0.0),
        jnp.isfinite(point.loss),
        ledger.record(point.loss),
    )


def _attempts(solve: Callable, ledger: Ledger) -> Outcome:
    """Solve with each damping in turn until one ends near a stationary point; the lowest loss is kept."""
    empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(lambda: solve(DAMPINGS[0], ledger)))
    empty = eqx.tree_at(lambda o: (o.ledger, o.point.loss), empty, (ledger, jnp.full_like(empty.point.loss, jnp.inf)))
    dampings = jnp.asarray(DAMPINGS)

    def body(carry):
        attempt, best = carry
        new = solve(dampings[attempt], best.ledger)
        better = new.near | (new.point.loss < best.point.loss)
        kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, best)
        return attempt + 1, eqx.tree_at(lambda o: o.ledger, kept, new.ledger)

    going = lambda carry: (carry[0] < len(DAMPINGS)) & ~carry[1].near
    return jax.lax.while_loop(going, body, (0, empty))[1]


def _second_order(residual: Callable, step: OuterStep, rtol: float, atol: float, degree: int | None) -> OuterStep:
    """Newton on the whole loss where Gauss-Newton converges too slowly: large residuals, curved valleys."""
    loss = lambda theta: 0.5 * jnp.sum(residual(theta) ** 2)
    settings: dict[str, Any] = {"rtol": rtol, "atol": atol, "max_iterations": FINISH_ITERATIONS, "first": "cautious"}
    if degree is not None:
        settings |= {"length": lambda theta, p: residual_length(residual, theta, p, degree), "line_cost": degree}
    region = trust_region_newton(loss, step.theta, step.ledger, **settings)
    return step._replace(
        theta=region.theta,
        loss=region.spectrum.loss,
        stationarity=jnp.where(region.converged, _relative_gradient(region.spectrum, region.theta), step.stationarity),
        converged=region.converged,
        ledger=region.ledger,
    )


def _relative_gradient(spectrum: Spectrum, theta: Float[Array, " P"]) -> Float[Array, ""]:
    scale = jnp.max(jnp.abs(spectrum.values)) * jnp.linalg.norm(theta)
    return jnp.linalg.norm(spectrum.gradient) / jnp.where(scale > 0, scale, 1.0)


@full_products
def step_loss(
    loss: Callable,
    theta: Float[Array, " P"],
    plan: Plan,
    *,
    rtol: float,
    atol: float,
    max_iterations: int,
    exact_lines: bool | str = True,
) -> OuterStep:
    """The outer step for a scalar loss `loss(theta) -> ()`; `exact_lines` as for residuals."""
    ledger = Ledger.empty(history_length(max_iterations), theta.dtype)
    start_loss = loss(theta)
    ledger = ledger.add(residuals=1).record(start_loss)
    if plan.strategy == "constant":
        zero = jnp.zeros((), theta.dtype)
        return OuterStep(theta, start_loss, start_loss, zero, jnp.isfinite(start_loss), ledger)
    if plan.strategy == "block quadratic":
        theta, ledger = quadratic_block_sweeps(loss, theta, plan.blocks, ledger)
    settings: dict[str, Any] = {"rtol": rtol, "atol": atol, "max_iterations": max_iterations}
    settings["first"] = "newton" if plan.strategy == "quadratic" else "cautious"
    degree = plan.degree
    if exact_lines and degree is not None and 2 < degree <= 2 * HIGHEST_DEGREE:
        settings |= {"length": lambda theta, p: loss_length(loss, theta, p, degree), "line_cost": degree}
    region = trust_region_newton(loss, theta, ledger, **settings)
    stationarity = _relative_gradient(region.spectrum, region.theta)
    return OuterStep(region.theta, start_loss, region.spectrum.loss, stationarity, region.converged, region.ledger)
