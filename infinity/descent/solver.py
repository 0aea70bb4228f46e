r"""Infinite Descent as an Optimistix solver.

    solution = optimistix.least_squares(residuals, InfiniteDescent(rtol=1e-8, atol=1e-8), params, args=data)
    solution = optimistix.minimise(loss, InfiniteDescent(rtol=1e-8, atol=1e-8), params, args=data)

The function is certified while it is traced, and one step of the solver is one outer step: the direct solve, with what it needs inside.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from ..closure import Certificate, certify
from .ledger import Ledger
from .outer import OuterStep, history_length, step_loss, step_residuals
from .plan import Plan, plan_loss, plan_residuals
from .search import starting_points

# Beyond this many parameters a dense Hessian of a scalar loss does not fit.
LOSS_LIMIT = 5000


class OpenModelWarning(UserWarning):
    """Nothing in the model is closed, so that Infinite Descent can only iterate."""


class PrecisionWarning(UserWarning):
    """A direct solve runs in single precision because double precision is switched off."""


@functools.cache
def warn_single_precision() -> None:
    """Say once that double precision is off, and how to turn it on."""
    warnings.warn(
        "This direct solve runs in float32, which loses about half of the digits. For all of them add, before the first "
        'array is made: jax.config.update("jax_enable_x64", True)',
        PrecisionWarning,
        stacklevel=3,
    )


class Structure:
    """A certificate with the plan made from it, equal to any other that says the same: a program traced twice has one structure."""

    def __init__(self, certificate: Certificate, plan: Plan):
        self.certificate, self.plan = certificate, plan
        positions = [plan.linear.tolist(), *(block.tolist() for block in plan.blocks)]
        self._key = (plan.strategy, str(certificate), str(positions))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class DescentState(eqx.Module):
    """State between outer steps.

    **Fields:** `structure` (static), with the properties `certificate` and `plan`; `ledger`, `loss`, `stationarity`, `converged`, `stalled` (an outer step that
    brought nothing), and `trusted`, false where a numerical check contradicted the certificate.
    """

    structure: Structure = eqx.field(static=True)
    ledger: Ledger
    loss: Float[Array, ""]
    stationarity: Float[Array, ""]
    converged: Bool[Array, ""]
    stalled: Bool[Array, ""]
    trusted: Bool[Array, ""]

    @property
    def certificate(self) -> Certificate:
        """How the parameters enter."""
        return self.structure.certificate

    @property
    def plan(self) -> Plan:
        """What an outer step does."""
        return self.structure.plan


class InfiniteDescent(optx.AbstractLeastSquaresSolver):
    r"""Solve a least-squares or minimisation problem by its structure.

    The residuals (or the loss) are certified; then

    - affine residuals are solved by one orthogonal factorisation,
    - multilinear ones by exact block solves and a joint second-order finish,
    - partly affine ones by variable projection: the affine leaves are eliminated exactly, the rest moves by trust region,
    - a quadratic loss by one Newton step, a loss quadratic block by block by exact block steps and joint Newton steps,
    - anything else by the trust region alone, with an `OpenModelWarning` (`strict=True`: a `ValueError`).

    **Arguments:**

    - `rtol`, `atol`: tolerances on the relative change of loss and parameters.
    - `norm`: the norm Optimistix asks of every solver.
    - `strict`: refuse a problem in which nothing is closed.
    - `verify`: check the certificate by differences at random points as part of the solve; a contradiction ends it as a failure.
    - `max_iterations`: bound on the trust-region iterations inside one outer step.
    - `exact_lines`: go along each second-order step of a polynomial of low degree exactly as far as lowers the loss most, which halves their number;
        `"everywhere"`: along those of the trust region on residuals as well, which saves few iterations and costs more time than it saves.
    - `start`: `"given"`, or `"search"` for residuals of an exponential family: from the slopes in the traced program the parameters that are not
        eliminated get grids of values that the samples tell apart, a search over these finds starts, and the given one only competes with them.
    - `seed`: of the random points of that search.

    A function that returns a scalar of shape `()` is taken as a loss to minimise, any other output as residuals; a single residual must have shape `(1,)`.

    `solution.stats` counts residuals, Jacobians, factorisations, sweeps and iterations; `solution.state.certificate`, `.plan` and `.ledger` hold the rest.

    !!! example

        >>> import jax.numpy as jnp, optimistix, infinity as inf
        >>> t = jnp.linspace(0.0, 1.0, 20)
        >>> residuals = lambda p, y: p["a"] * jnp.exp(-p["k"] * t) - y
        >>> start = {"a": jnp.array(1.0), "k": jnp.array(1.0)}
        >>> solver = inf.InfiniteDescent(rtol=1e-6, atol=1e-6)
        >>> solution = optimistix.least_squares(residuals, solver, start, args=3 * jnp.exp(-2 * t))
        >>> print({k: round(float(v), 4) for k, v in solution.value.items()}, solution.state.plan.strategy)
        {'a': 3.0, 'k': 2.0} partial
    """

    rtol: float = 1e-8
    atol: float = 1e-8
    norm: Callable[[PyTree], Scalar] = optx.max_norm
    strict: bool = False
    verify: bool = True
    max_iterations: int = 500
    exact_lines: bool | str = True
    start: str = "given"
    seed: int = 0

    def init(self, fn, y, args, options, f_struct, aux_struct, tags) -> DescentState:
        """Certify the function and choose the plan."""
        if self.exact_lines not in (True, False, "everywhere"):
            raise ValueError(
                f"InfiniteDescent got exact_lines={self.exact_lines!r}; expected True, False or 'everywhere'."
            )
        if self.start not in ("given", "search"):
            raise ValueError(f"InfiniteDescent got start={self.start!r}; expected 'given' or 'search'.")
        is_loss = _is_loss(f_struct)
        for leaf in jax.tree.leaves((y, f_struct)):
            if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
                raise ValueError(
                    "InfiniteDescent got complex parameters or residuals; split them into real and imaginary parts."
                )
        if not jax.tree.leaves(y):
            raise ValueError("InfiniteDescent got no parameters: the pytree to optimise has no arrays.")
        certificate = certify(_output(fn), y, args)
        plan = plan_loss(certificate) if is_loss else plan_residuals(certificate)
        if self.start == "search" and (is_loss or certificate.family != "exponential"):
            raise ValueError(
                "start='search' reads the starts off the exponentials, sines and cosines of residuals; expected residuals of the family exponential, got "
                f"{'a scalar loss' if is_loss else certificate.family}. Use start='given'."
            )
        if plan.strategy == "open":
            if self.strict:
                raise ValueError(f"InfiniteDescent(strict=True) refuses this problem.\n{certificate}")
            warnings.warn(f"{plan.sentence}\n{certificate}", OpenModelWarning, stacklevel=2)
        theta, _ = ravel_pytree(y)
        if is_loss and theta.size > LOSS_LIMIT and plan.strategy != "constant":
            raise ValueError(
                f"InfiniteDescent got a scalar loss of {theta.size} parameters; its Hessian is dense, so at most {LOSS_LIMIT} "
                "are taken. Give the residuals to optimistix.least_squares, or use a first-order optimiser."
            )
        if theta.dtype == jnp.float32 and not jax.config.read("jax_enable_x64"):
            warn_single_precision()
        trusted = certificate.verify(_output(fn), y, args).ok if self.verify else jnp.array(True)
        infinite = jnp.asarray(jnp.inf, theta.dtype)
        false = jnp.array(False)
        structure = Structure(certificate, plan)
        ledger = Ledger.empty(history_length(self.max_iterations), theta.dtype)
        return DescentState(structure, ledger, infinite, infinite, false, false, trusted)

    def step(self, fn, y, args, options, state, tags):
        """One outer step: the direct solve by the plan."""
        theta, unravel = ravel_pytree(y)
        evaluate = lambda theta: ravel_pytree(fn(unravel(theta), args)[0])[0].astype(theta.dtype)
        settings: dict[str, Any] = {
            "rtol": self.rtol,
            "atol": self.atol,
            "max_iterations": self.max_iterations,
            "exact_lines": self.exact_lines,
        }
        if _is_loss(jax.eval_shape(lambda: fn(y, args)[0])):
            outer = step_loss(lambda theta: evaluate(theta)[0], theta, state.plan, **settings)
        elif self.start == "search":
            outer = self._searched(evaluate, theta, state.plan, settings)
        else:
            outer = step_residuals(evaluate, theta, state.plan, **settings)
        ledger = outer.ledger.after(state.ledger)
        progress = outer.start_loss - outer.loss > self.rtol * jnp.abs(outer.start_loss)
        new = DescentState(
            state.structure,
            ledger,
            outer.loss,
            outer.stationarity,
            outer.converged,
            ~outer.converged & ~progress,
            state.trusted,
        )
        y = unravel(outer.theta)
        return y, new, fn(y, args)[1]

    def _searched(self, evaluate: Callable, theta: Array, plan: Plan, settings: dict[str, Any]) -> OuterStep:
        """The outer step from the best of several starts."""
        ledger = Ledger.empty(history_length(self.max_iterations), theta.dtype)
        thetas, spent = starting_points(evaluate, theta, plan, jax.random.key(self.seed), ledger)
        steps = jax.lax.map(lambda theta: step_residuals(evaluate, theta, plan, **settings), thetas)
        best = jnp.argmin(jnp.where(jnp.isfinite(steps.loss), steps.loss, jnp.inf))
        counts = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), steps.ledger).counts()
        chosen = jax.tree.map(lambda leaf: leaf[best], steps)
        ledger = eqx.tree_at(
            lambda l: (l.history, l.recorded), spent.add(**counts), (chosen.ledger.history, chosen.ledger.recorded)
        )
        first = evaluate(theta)
        return chosen._replace(ledger=ledger, start_loss=0.5 * jnp.vdot(first, first))

    def terminate(self, fn, y, args, options, state, tags):
        """Stop at a stationary point, where an outer step brought nothing, or where the certificate was contradicted."""
        failed = state.stalled | ~state.trusted
        result = optx.RESULTS.where(failed, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)
        return state.converged | failed, result

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """Add the ledger to the statistics."""
        stats = {**state.ledger.counts(), "loss": state.loss, "stationarity": state.stationarity}
        return y, aux, stats


def _output(fn: Callable) -> Callable:
    return lambda y, args: fn(y, args)[0]


def _is_loss(struct: PyTree) -> bool:
    return isinstance(struct, jax.ShapeDtypeStruct) and struct.shape == ()
