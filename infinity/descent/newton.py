r"""Second-order minimisation of a scalar loss, with the exact Hessian.

    p = argmin g . p + p . H p / 2   subject to   |p| <= Delta,        (H + lambda I) p = -g,  lambda >= max(0, -lambda_min)

The subproblem is solved exactly in the eigenbasis of `H` (Moré and Sorensen, SIAM J. Sci. Stat. Comput. 4, 1983), the hard case included, so the
iteration leaves saddles and cannot stop at one. For a quadratic loss the first step with an unbounded region is the minimiser.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .ledger import Ledger

_ROOT_STEPS = 60


class Spectrum(eqx.Module):
    """Gradient and Hessian of a loss at a point, in the eigenbasis of the Hessian."""

    loss: Float[Array, ""]
    gradient: Float[Array, " P"]
    values: Float[Array, " P"]
    vectors: Float[Array, "P P"]

    @classmethod
    def at(cls, loss: Callable, theta: Float[Array, " P"]) -> "Spectrum":
        """Evaluate loss, gradient and Hessian (forward over reverse) and decompose the last."""
        value, gradient = jax.value_and_grad(loss)(theta)
        H = jax.hessian(loss)(theta)
        finite = jnp.all(jnp.isfinite(H))
        values, vectors = jnp.linalg.eigh(jnp.where(finite, 0.5 * (H + H.T), jnp.eye(H.shape[0], dtype=H.dtype)))
        return cls(value, gradient, values, vectors)

    def curvature_floor(self) -> Float[Array, ""]:
        """Eigenvalues below this in size are rounding."""
        size = self.values.shape[0] * jnp.finfo(self.values.dtype).eps
        return size * jnp.max(jnp.abs(self.values), initial=0.0)

    def newton_step(self) -> Float[Array, " P"]:
        """`-H^+ g`: the stationary point of the quadratic model, of least length where it is not unique."""
        keep = jnp.abs(self.values) > self.curvature_floor()
        components = jnp.where(keep, (self.vectors.T @ self.gradient) / jnp.where(keep, self.values, 1.0), 0.0)
        return -self.vectors @ components

    def trust_step(self, radius: Float[Array, ""]) -> tuple[Float[Array, " P"], Float[Array, ""]]:
        """**Returns:** the exact minimiser of the model within `radius`, and the reduction that the model promises."""
        g = self.vectors.T @ self.gradient
        tiny = jnp.finfo(g.dtype).tiny
        lowest = self.values[0]
        floor = self.curvature_floor()

        def step(shift):
            bottom = self.values + shift
            return jnp.where(jnp.abs(bottom) > 0.5 * floor + tiny, -g / jnp.where(bottom == 0, 1.0, bottom), 0.0)

        free = jnp.where(jnp.abs(self.values) > floor, step(0.0), 0.0)
        inside = (lowest > -floor) & (jnp.linalg.norm(free) <= radius)
        low = jnp.maximum(0.0, -lowest)
        high = low + jnp.linalg.norm(g) / jnp.maximum(radius, tiny) + floor + tiny

        def bisect(_, bounds):
            low, high = bounds
            middle = 0.5 * (low + high)
            long = jnp.linalg.norm(step(middle)) > radius
            return jnp.where(long, middle, low), jnp.where(long, high, middle)

        _, shift = jax.lax.fori_loop(0, _ROOT_STEPS, bisect, (low, high))
        bounded = step(shift)
        # Hard case: the gradient has no part along the lowest eigenvector, so the missing length is added there.
        missing = jnp.sqrt(jnp.maximum(radius**2 - jnp.vdot(bounded, bounded), 0.0))
        bounded = jnp.where(lowest < -floor, bounded.at[0].add(jnp.where(bounded[0] < 0, -missing, missing)), bounded)
        p = jnp.where(inside, free, bounded)
        promised = -(jnp.vdot(g, p) + 0.5 * jnp.vdot(p, self.values * p))
        return self.vectors @ p, promised


class Region(eqx.Module):
    """State of the iteration."""

    theta: Float[Array, " P"]
    spectrum: Spectrum
    radius: Float[Array, ""]
    done: Bool[Array, ""]
    converged: Bool[Array, ""]
    count: Int[Array, ""]
    ledger: Ledger


def trust_region_newton(
    loss: Callable,
    theta: Float[Array, " P"],
    ledger: Ledger,
    *,
    rtol: float,
    atol: float,
    max_iterations: int,
    first: str = "newton",
    length: Callable[[Array, Array], Array] | None = None,
    line_cost: int = 0,
) -> Region:
    """Minimise `loss` from `theta`.

    **Arguments:** the scalar loss of the flat parameters; the start `(P,)`; the ledger; tolerances on the change of the parameters and, relatively, of the
    loss; the largest number of steps; whether the first radius admits the whole `"newton"` step or is `"cautious"`, one tenth of the parameters' size;
    `length`, how far to go along a step from a point (one where there is none), and the evaluations that one such length costs.

    **Returns:** the last state; `converged` says that the gradient vanishes to tolerance and that no direction of negative curvature is left.
    """
    dtype = theta.dtype
    eps = jnp.finfo(dtype).eps

    def minimum(spectrum):
        return spectrum.values[0] >= -jnp.sqrt(eps) * jnp.maximum(jnp.abs(spectrum.values[-1]), eps)

    def status(theta, spectrum):
        whole = spectrum.newton_step()
        promised = 0.5 * jnp.abs(jnp.vdot(whole, spectrum.gradient))
        small = jnp.linalg.norm(whole) <= atol + rtol * jnp.linalg.norm(theta)
        # Where the whole Newton step promises no more than rounding of the loss, this precision has nothing left to improve.
        flat = promised <= jnp.maximum(rtol**2, 10 * eps) * jnp.abs(spectrum.loss)
        still = jnp.linalg.norm(spectrum.gradient) <= jnp.finfo(dtype).tiny
        return (small | flat | still) & minimum(spectrum) & jnp.isfinite(spectrum.loss)

    def body(state: Region) -> Region:
        p, promised = state.spectrum.trust_step(state.radius)
        if length is not None:
            p = length(state.theta, p) * p
        new_loss = loss(state.theta + p)
        drop = state.spectrum.loss - new_loss
        gain = drop / jnp.where(promised > 0, promised, 1.0)
        rounding = 10 * eps * jnp.abs(state.spectrum.loss)
        # Below rounding of the loss the gain says nothing: the step is judged by the gradient instead.
        accept = jnp.isfinite(new_loss) & jnp.where(promised <= rounding, jnp.abs(drop) <= rounding, gain > 1e-4)
        new = state.theta + p
        theta, spectrum = jax.lax.cond(
            accept, lambda: (new, Spectrum.at(loss, new)), lambda: (state.theta, state.spectrum)
        )
        size = jnp.linalg.norm(p)
        wider = jnp.where(gain > 0.75, jnp.maximum(state.radius, 2 * size), state.radius)
        radius = jnp.where(accept & (gain > 0.25), wider, 0.25 * size)
        converged = status(theta, spectrum)
        exhausted = (promised <= rounding) | (radius <= eps * (jnp.linalg.norm(theta) + eps))
        ledger = state.ledger.add(
            residuals=1 + line_cost,
            jacobians=2 * accept,
            factorisations=1 * accept,
            newton=1,
            rejected=~accept,
            lines=int(length is not None),
        ).record(spectrum.loss)
        return Region(theta, spectrum, radius, converged | exhausted, converged, state.count + 1, ledger)

    spectrum = Spectrum.at(loss, theta)
    size = jnp.linalg.norm(theta)
    cautious = 0.1 * jnp.where(size > 0, size, 1.0)
    radius = jnp.maximum(cautious, 2 * jnp.linalg.norm(spectrum.newton_step())) if first == "newton" else cautious
    ledger = ledger.add(residuals=1, jacobians=2, factorisations=1).record(spectrum.loss)
    done = status(theta, spectrum)
    state = Region(theta, spectrum, radius, done, done, jnp.zeros((), jnp.int32), ledger)
    state = jax.lax.while_loop(lambda s: ~s.done & (s.count < max_iterations), body, state)
    # The last Newton step is known already and squares the error that is left.
    new = state.theta + state.spectrum.newton_step()
    new_loss = loss(new)
    better = state.converged & (new_loss <= state.spectrum.loss)
    theta = jnp.where(better, new, state.theta)
    value = jnp.where(better, new_loss, state.spectrum.loss)
    ledger = state.ledger.add(residuals=1, newton=state.converged & (state.count > 0))
    where = lambda s: (s.theta, s.spectrum.loss, s.ledger)
    return eqx.tree_at(where, state, (theta, value, ledger))
