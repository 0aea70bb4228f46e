r"""The paths of three minimisers through parameter space, from one start: `theta_0 -> theta_1 -> ...` with `L = |r|^2 / 2` at each point.

Infinite Descent   one outer step `grad L(theta + delta) = 0`, and the inner points at which its trust region judged the resummed loss
steepest descent   theta - s grad L, with `s` halved until `L` falls by at least `s |grad L|^2 / 10^4` (Armijo, Pacific J. Math. 16, 1966)
Newton-CG          SciPy's, with gradient and Hessian products from JAX
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from ..closure import certify
from .ledger import Ledger
from .outer import DAMPINGS
from .plan import plan_residuals
from .projection import Projection
from .solver import InfiniteDescent
from .trust import levenberg_marquardt

_ARMIJO = 1e-4
_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class Path:
    """Where a minimiser went.

    **Fields:** the `name`; `points` `(k, P)` from the start to the end, and their `losses` `(k,)`; `steps`, those that the method itself counts (for
    Infinite Descent the outer ones); `inner`, the iterations inside them, zero where they are not counted; `evaluations` of the residuals, gradients and
    Hessian products; `converged`.
    """

    name: str
    points: Float[np.ndarray, "k P"]
    losses: Float[np.ndarray, " k"]
    steps: int
    inner: int
    evaluations: dict[str, int]
    converged: bool

    @property
    def end(self) -> Float[np.ndarray, " P"]:
        """The last point."""
        return self.points[-1]


def infinite_descent_path(
    residual: Callable, start: Float[Array, " P"], tolerance: float = _TOLERANCE, max_iterations: int = 100
) -> Path:
    """The outer step of `InfiniteDescent`, and its inner points.

    **Arguments:** `residual` maps `(P,)` to `(m,)`; the start; the relative tolerance; the largest number of inner iterations.

    **Returns:** a `Path`: the start, the point after the exact elimination of what enters affinely, one point for each accepted inner iteration, and the end.

    >>> import jax, jax.numpy as jnp
    >>> jax.config.update("jax_enable_x64", True)
    >>> from infinity.descent.paths import infinite_descent_path
    >>> t = jnp.linspace(0.0, 1.0, 20)
    >>> path = infinite_descent_path(lambda p: p[0] * jnp.exp(p[1] * t) - 3 * jnp.exp(-2 * t), jnp.array([1.0, 0.0]))
    >>> path.steps, path.end.round(6).tolist()
    (1, [3.0, -2.0])
    """
    solver = InfiniteDescent(rtol=tolerance, atol=tolerance, max_iterations=max_iterations)
    solution = optx.least_squares(lambda theta, args: residual(theta), solver, start, throw=False)
    plan = plan_residuals(certify(residual, start))
    projection = Projection(residual, plan.linear, plan.rest)

    @jax.jit
    def inner(counts):
        first = projection.polish(projection.reduce(projection.split(start)[1]))

        def stopped(count):
            outcome = levenberg_marquardt(
                projection, first, Ledger.empty(1, start.dtype), rtol=tolerance, atol=tolerance, max_iterations=count, damping=DAMPINGS[0], finish=False
            )  # fmt: skip
            return projection.merge(outcome.point.c, outcome.point.z)

        return jax.lax.map(stopped, counts)

    counts = {name: int(solution.stats[name]) for name in ("residuals", "jacobians", "iterations", "newton")}
    # The same iteration, stopped after 0, 1, 2, ... of its steps.
    between = np.asarray(inner(jnp.arange(min(counts["iterations"], max_iterations) + 1)))
    points = _distinct(np.concatenate([np.asarray(start)[None], between, np.asarray(solution.value)[None]]))
    evaluations = {name: counts[name] for name in ("residuals", "jacobians")}
    converged = bool(solution.result == optx.RESULTS.successful)
    return _path(
        "Infinite Descent",
        residual,
        points,
        int(solution.stats["num_steps"]),
        counts["iterations"] + counts["newton"],
        evaluations,
        converged,
    )


def steepest_descent_path(
    residual: Callable, start: Float[Array, " P"], tolerance: float = 1e-8, max_iterations: int = 5000
) -> Path:
    """Steepest descent with a backtracking line search.

    **Arguments:** as for `infinite_descent_path`; it ends where the gradient is `tolerance` times its first length.

    **Returns:** a `Path`.
    """
    loss = _loss(residual)
    both, alone = jax.jit(jax.value_and_grad(loss)), jax.jit(loss)
    theta = np.asarray(start)
    value, gradient = both(theta)
    points, step, evaluations = [theta], 1.0, {"residuals": 0, "gradients": 1}
    goal, converged = tolerance * float(jnp.linalg.norm(gradient)), False
    for _ in range(max_iterations):
        g = np.asarray(gradient)
        square = float(g @ g)
        converged = square <= goal**2
        if converged:
            break
        # A step may grow again, so that one bend of the valley does not shorten all that follow.
        step *= 4
        while step > 1e-300:
            evaluations["residuals"] += 1
            trial = float(alone(theta - step * g))
            if np.isfinite(trial) and trial <= float(value) - _ARMIJO * step * square:
                break
            step /= 2
        moved = theta - step * g
        if np.array_equal(moved, theta):
            break
        theta = moved
        value, gradient = both(theta)
        evaluations["gradients"] += 1
        points.append(theta)
    return _path("steepest descent", residual, np.stack(points), len(points) - 1, 0, evaluations, converged)


def newton_cg_path(
    residual: Callable, start: Float[Array, " P"], tolerance: float = 1e-10, max_iterations: int = 1000
) -> Path:
    """SciPy's Newton-CG.

    **Arguments:** as for `infinite_descent_path`; the tolerance is on the mean change of the parameters.

    **Returns:** a `Path`.
    """
    from scipy.optimize import minimize

    loss = _loss(residual)
    gradient = jax.jit(jax.grad(loss))
    product = jax.jit(lambda theta, v: jax.jvp(jax.grad(loss), (theta,), (v,))[1])
    value = jax.jit(loss)
    points = [np.asarray(start)]
    found = minimize(
        lambda theta: float(value(theta)),
        points[0],
        method="Newton-CG",
        jac=lambda theta: np.asarray(gradient(theta)),
        hessp=lambda theta, v: np.asarray(product(theta, v)),
        callback=lambda theta: points.append(np.array(theta)),
        options={"xtol": tolerance, "maxiter": max_iterations},
    )
    evaluations = {"residuals": int(found.nfev), "gradients": int(found.njev), "products": int(found.nhev)}
    return _path("Newton-CG", residual, np.stack(points), int(found.nit), 0, evaluations, bool(found.success))


def _loss(residual: Callable) -> Callable:
    return lambda theta: 0.5 * jnp.sum(residual(theta) ** 2)


def _path(
    name: str, residual: Callable, points: np.ndarray, steps: int, inner: int, evaluations: dict, converged: bool
) -> Path:
    losses = np.asarray(jax.jit(jax.vmap(_loss(residual)))(jnp.asarray(points)))
    return Path(name, points, losses, steps, inner, evaluations, converged)


def _distinct(points: np.ndarray) -> np.ndarray:
    """The points without those that repeat the one before: rejected steps."""
    moved = np.any(np.diff(points, axis=0) != 0, axis=1)
    return points[np.concatenate([[True], moved])]
