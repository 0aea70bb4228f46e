r"""Infinite Descent as an Optax gradient transformation.

    theta+ = argmin |r_B(theta)|^2 / 2 + |R (theta - theta_k)|^2 / 2 + mu |theta - theta_k|^2 / 2,    update = theta+ - theta_k
    R+^T R+ = gamma (R^T R + J_B^T J_B)

`B` is the batch of this update. With `gamma = mu = 0` this is the outer step of `InfiniteDescent` on that batch. With `gamma = 1` the past batches count as
much as this one through their normal matrix: for affine residuals this is recursive least squares, whose iterate after one pass is the solution for all data;
`0 < gamma < 1` forgets. The added rows are affine in the parameters, so what is closed stays closed. `R` is updated by a QR factorisation, never as `R^T R`.
"""

import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from ..closure import certify
from ..precision import full_products
from .ledger import Ledger
from .outer import DAMPINGS, OuterStep, step_loss, step_residuals
from .plan import Plan, plan_loss, plan_residuals
from .projection import Projection, jacobian
from .solver import LOSS_LIMIT, OpenModelWarning, warn_single_precision
from .trust import levenberg_marquardt

# Beyond this many parameters the triangle of past batches does not fit.
AVERAGE_LIMIT = 3000

_LOOP = """    optimiser = inf.infinite_descent(residuals)           # residuals(params, batch)
    state = optimiser.init(params)
    for batch in batches:
        updates, state = optimiser.update(None, state, params, args=batch)
        params = optax.apply_updates(params, updates)
A function residuals(params) of one argument needs no args; under optax.masked or optax.multi_transform give whole=params, too."""


class TransformState(NamedTuple):
    """State between updates.

    **Fields:** `updates`, their number; `loss` on the last batch at its start and `reached` after it; `converged`, whether that batch was solved to
    tolerance; `iterations` of the trust region in all; `triangle` `(P, P)`, the root `R` of the normal matrix of past batches (empty without
    averaging); `mu`, the damping of the trust region, which is handed on where an update makes a few `steps` only.
    """

    updates: Int[Array, ""]
    loss: Float[Array, ""]
    reached: Float[Array, ""]
    converged: Bool[Array, ""]
    iterations: Int[Array, ""]
    triangle: Float[Array, "P P"]
    mu: Float[Array, ""]


def infinite_descent(
    fn: Callable,
    *,
    damping: float | int = 0.0,
    average: float | int = 0.0,
    rtol: float = 1e-8,
    atol: float = 1e-8,
    steps: int | None = None,
    max_iterations: int = 500,
    strict: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""An Optax optimiser whose update is the outer step of `InfiniteDescent` on the current batch.

    \[ \theta^+ = \arg\min_\theta \tfrac12 |r_B(\theta)|^2 + \tfrac12 |R (\theta - \theta_k)|^2 + \tfrac\mu2 |\theta - \theta_k|^2,
    \qquad R_+^T R_+ = \gamma\,(R^T R + J_B^T J_B). \]

    **Arguments:**

    - `fn`: `fn(params, args)` gives residuals, or a loss of shape `()`; a function of `params` alone is taken as well.
    - `damping`: `mu`, how strongly an update is held back, in squared residuals per squared parameter. For losses, too.
    - `average`: `gamma`, how much past batches count: 0 forgets them (the batch is all data), 1 keeps all (recursive least squares), between them they fade.
        Residuals only.
    - `steps`: None for the whole outer step; a number for updates of that many trust-region iterations, without retries and finish, the region handed on
        from update to update: short updates for a loop that watches its loss. Affine residuals are solved at once all the same. Losses are not affected.
    - `rtol`, `atol`, `max_iterations`, `strict`: as for `InfiniteDescent`; `max_iterations` bounds the work of one update.

    **Returns:** an `optax.GradientTransformationExtraArgs`. `update(grads, state, params, args=batch)` gives the difference to the solution, for
    `optax.apply_updates` or `equinox.apply_updates`. The gradients are not used and may be None. Other keywords (`value`, `grad`, `value_fn`, ...) are
    accepted and ignored. Works in `optax.chain` (but not before a line search or a scaling by gradients), `optax.masked`, `optax.multi_transform`, `jit`,
    `lax.scan`, `optimistix.OptaxMinimiser` and on partitioned Equinox models. In `optax.masked` a transformation does not see the frozen leaves: give them with
    `whole=params`. `fn` is certified when the update is traced; call it in `jax.jit`, where that happens once.

    Where the loss is not finite, before or after, the update is zero and `state.converged` false.

    **Raises:** `ValueError` at construction for settings out of range; in `update` where params or args are missing, with the loop to write;
    for complex parameters, and for more parameters than the method holds.

    ```python
    >>> import jax.numpy as jnp, optax, infinity as inf
    >>> def residuals(params, batch):
    ...     x, y = batch
    ...     return params["a"] * x + params["b"] - y
    >>> batch = (jnp.arange(4.0), 2 * jnp.arange(4.0) + 1)
    >>> optimiser = inf.infinite_descent(residuals)
    >>> params = {"a": jnp.array(0.0), "b": jnp.array(0.0)}
    >>> updates, state = optimiser.update(None, optimiser.init(params), params, args=batch)
    >>> params = optax.apply_updates(params, updates)
    >>> {name: round(float(value), 4) for name, value in params.items()}
    {'a': 2.0, 'b': 1.0}

    ```
    """
    if not damping >= 0:
        raise ValueError(f"infinite_descent got damping={damping!r}; expected a number from 0 on.")
    if not 0 <= average <= 1:
        raise ValueError(
            f"infinite_descent got average={average!r}; expected a number from 0 (forget) to 1 (keep all)."
        )
    if steps is not None and steps < 1:
        raise ValueError(
            f"infinite_descent got steps={steps!r}; expected a number from 1 on, or None for the whole outer step."
        )
    alone = _takes_params_alone(fn)
    settings: dict[str, Any] = {"rtol": rtol, "atol": atol, "max_iterations": max_iterations}

    def init(params: PyTree) -> TransformState:
        theta, _ = ravel_pytree(params)
        dtype = theta.dtype if jnp.issubdtype(theta.dtype, jnp.inexact) else jnp.zeros(()).dtype
        infinite, size = jnp.asarray(jnp.inf, dtype), theta.size if average else 0
        if size > AVERAGE_LIMIT:
            raise ValueError(
                f"infinite_descent(average={average}) got {size} parameters; the triangle of past batches is dense, so at most "
                f"{AVERAGE_LIMIT} are taken. Freeze some with optax.masked, or give all data at once with average=0."
            )
        zero = jnp.zeros((), jnp.int32)
        damped = jnp.asarray(DAMPINGS[0], dtype)
        return TransformState(zero, infinite, infinite, jnp.array(False), zero, jnp.zeros((size, size), dtype), damped)

    def update(updates, state: Any, params=None, *, args=None, whole=None, **foreign):
        del foreign
        theta, unravel, evaluate, is_loss = _problem(fn, alone, params, args, whole)
        if is_loss and average:
            raise ValueError(
                "infinite_descent(average=...) got a loss; averaging needs residuals. Return them, or set average=0."
            )
        plan = _plan(evaluate, theta, is_loss, strict)
        extra = _held_back(state.triangle, theta, damping)

        mu = state.mu
        held = lambda v: jnp.concatenate([evaluate(v), extra(v)])
        if is_loss:
            loss = lambda v: evaluate(v) + 0.5 * jnp.sum(extra(v) ** 2)
            outer = step_loss(loss, theta, plan, **settings)
        elif steps is None or plan.strategy in ("constant", "affine"):
            outer = step_residuals(held, theta, plan, **settings)
        else:
            outer, mu = _short_step(held, theta, plan, mu, settings | {"max_iterations": steps})
        finite = jnp.all(jnp.isfinite(outer.theta)) & jnp.isfinite(outer.start_loss) & jnp.isfinite(outer.loss)
        new = jnp.where(finite, outer.theta, theta)
        triangle = _remembered(evaluate, new, state.triangle, average) if average else state.triangle
        return unravel(new - theta), _after(state, outer, finite, triangle, mu)

    return optax.GradientTransformationExtraArgs(init, update)


def _after(state: TransformState, outer: OuterStep, finite: Array, triangle: Array, mu: Array) -> TransformState:
    dtype = state.loss.dtype
    count = state.updates + 1
    iterations = state.iterations + outer.ledger.iterations + outer.ledger.newton
    losses = outer.start_loss.astype(dtype), outer.loss.astype(dtype)
    return TransformState(count, *losses, outer.converged & finite, iterations, triangle, mu)


@full_products
def _short_step(
    residual: Callable, theta: Array, plan: Plan, mu: Array, settings: dict[str, Any]
) -> tuple[OuterStep, Array]:
    """A few iterations of the trust region on the reduced problem, and the damping for the next ones."""
    projection = Projection(residual, plan.linear, plan.rest)
    ledger = Ledger.empty(settings["max_iterations"] + 1, theta.dtype)
    start_loss = 0.5 * jnp.sum(residual(theta) ** 2)
    point = projection.reduce(projection.split(theta)[1])
    ended = levenberg_marquardt(projection, point, ledger, damping=mu, finish=False, **settings)
    new = projection.merge(ended.point.c, ended.point.z)
    step = OuterStep(new, start_loss, ended.point.loss, ended.flatness, ended.converged, ended.ledger)
    return step, jnp.clip(ended.mu, jnp.finfo(theta.dtype).tiny, 1e6)


def _problem(fn: Callable, alone: bool, params, args, whole) -> tuple[Array, Callable, Callable, bool]:
    """The flat parameters, the way back, the residuals or loss of flat parameters, and whether it is a loss."""
    masked = lambda leaf: isinstance(leaf, optax.MaskedNode)
    missing = "params" if params is None else "args" if args is None and not alone else None
    if missing is None and whole is None and any(map(masked, jax.tree.leaves(params, is_leaf=masked))):
        missing = "whole (some leaves of params are masked)"
    if missing is not None:
        raise ValueError(
            f"infinite_descent solves a problem, so its update needs params and data; it got no {missing}. Write\n{_LOOP}"
        )
    theta, unravel = ravel_pytree(params)
    if not theta.size or not jnp.issubdtype(theta.dtype, jnp.floating):
        raise ValueError(
            f"infinite_descent got {theta.size} parameters of dtype {theta.dtype}; expected real floating-point ones. Split a model with "
            "equinox.partition(model, equinox.is_inexact_array) first, and complex numbers into their parts."
        )

    def filled(theta: Array) -> PyTree:
        tree = unravel(theta)
        if whole is None:
            return tree
        return jax.tree.map(lambda own, given: given if masked(own) else own, tree, whole, is_leaf=masked)

    output = lambda theta: fn(filled(theta)) if args is None and alone else fn(filled(theta), args)
    shape: Any = jax.eval_shape(output, theta)
    is_loss = isinstance(shape, jax.ShapeDtypeStruct) and shape.shape == ()
    flat = lambda theta: ravel_pytree(output(theta))[0].astype(theta.dtype)
    return theta, unravel, (lambda theta: flat(theta)[0]) if is_loss else flat, is_loss


def _plan(evaluate: Callable, theta: Array, is_loss: bool, strict: bool):
    """Certify the batch's problem; made while the update is traced."""
    if is_loss and theta.size > LOSS_LIMIT:
        raise ValueError(
            f"infinite_descent got a scalar loss of {theta.size} parameters; its Hessian is dense, so at most {LOSS_LIMIT} are taken. "
            "Return the residuals instead of the loss."
        )
    certificate = certify(evaluate, theta)
    plan = plan_loss(certificate) if is_loss else plan_residuals(certificate)
    if plan.strategy == "open":
        if strict:
            raise ValueError(f"infinite_descent(strict=True) refuses this problem.\n{certificate}")
        warnings.warn(f"{plan.sentence}\n{certificate}", OpenModelWarning, stacklevel=4)
    if theta.dtype == jnp.float32 and not jax.config.read("jax_enable_x64"):
        warn_single_precision()
    return plan


def _held_back(triangle: Array, theta: Array, damping: float) -> Callable[[Array], Array]:
    """The rows that hold an update back, affine in the parameters."""

    def rows(v: Array) -> Array:
        step = v - theta
        return jnp.concatenate(
            [triangle @ step if triangle.size else step[:0], damping**0.5 * step if damping else step[:0]]
        )

    return rows


@full_products
def _remembered(evaluate: Callable, theta: Array, triangle: Array, average: float) -> Array:
    """The root of the normal matrix of this and the past batches."""
    J = jacobian(evaluate, theta)
    stacked = jnp.concatenate([triangle, jnp.where(jnp.isfinite(J), J, 0.0)])
    return average**0.5 * jnp.linalg.qr(stacked, mode="r")


def _takes_params_alone(fn: Callable) -> bool:
    """Whether a function can be called with the parameters only."""
    try:
        inspect.signature(fn).bind(None)
    except TypeError:
        return False
    except ValueError:  # no signature is known
        return True
    return True
