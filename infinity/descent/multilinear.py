r"""Exact solves for one block of parameters after another.

    theta_b <- argmin L(theta_1, ..., theta_b, ..., theta_B),    b = 1, ..., B, 1, ...

Where residuals are affine in a block, its solve is one orthogonal factorisation (alternating least squares); where a scalar loss is quadratic in it, one Newton
step. A sweep never raises the loss, and it needs no start close to the solution; its convergence is only linear, so the sweeps stop as soon as
they slow down, and the joint second-order iteration takes over.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .ledger import Ledger
from .linear import Orthogonal
from .newton import Spectrum
from .projection import jacobian

MAX_SWEEPS = 30
# A sweep pays as long as it halves the loss: beyond that a joint step gains more for the same work.
_PAYING = 0.5

Solve = Callable[[Float[Array, " P"], np.ndarray], Float[Array, " P"]]


def affine_block_sweeps(
    residual: Callable, theta: Float[Array, " P"], blocks: Sequence[np.ndarray], ledger: Ledger
) -> tuple[Float[Array, " P"], Ledger]:
    """Sweep over blocks in each of which the residuals are affine.

    **Arguments:** the residual function of the flat parameters; the start `(P,)`; the positions of each block; the ledger.

    **Returns:** the parameters after the sweeps, and the ledger.
    """

    def solve(theta, block):
        at_block = lambda values: residual(theta.at[block].set(values))
        step = -Orthogonal(jacobian(at_block, theta[block])).solve(at_block(theta[block]))
        return theta.at[block].add(step)

    loss = lambda theta: 0.5 * jnp.sum(residual(theta) ** 2)
    return _sweeps(solve, loss, theta, blocks, ledger, jacobians=1)


def quadratic_block_sweeps(
    loss: Callable, theta: Float[Array, " P"], blocks: Sequence[np.ndarray], ledger: Ledger
) -> tuple[Float[Array, " P"], Ledger]:
    """Sweep over blocks in each of which a scalar loss is quadratic; a block in which it is unbounded below is left as it is.

    **Arguments and returns:** as for `affine_block_sweeps`, with the loss in place of the residuals.
    """

    def solve(theta, block):
        spectrum = Spectrum.at(lambda values: loss(theta.at[block].set(values)), theta[block])
        bounded = spectrum.values[0] >= -spectrum.curvature_floor()
        return jnp.where(bounded, theta.at[block].add(spectrum.newton_step()), theta)

    return _sweeps(solve, loss, theta, blocks, ledger, jacobians=2)


def _sweeps(
    solve: Solve,
    loss: Callable,
    theta: Float[Array, " P"],
    blocks: Sequence[np.ndarray],
    ledger: Ledger,
    jacobians: int,
) -> tuple[Float[Array, " P"], Ledger]:
    count = len(blocks)

    def body(carry):
        theta, value, _, sweeps, ledger = carry
        new = theta
        for block in blocks:
            new = solve(new, block)
        new_value = loss(new)
        lower = new_value < value
        theta, best = jnp.where(lower, new, theta), jnp.where(lower, new_value, value)
        ledger = ledger.add(residuals=1 + count, jacobians=jacobians * count, factorisations=count, sweeps=1).record(
            best
        )
        return theta, best, value - best > (1 - _PAYING) * jnp.abs(value), sweeps + 1, ledger

    value = loss(theta)
    carry = (theta, value, jnp.isfinite(value), jnp.zeros((), jnp.int32), ledger.add(residuals=1).record(value))
    theta, _, _, _, ledger = jax.lax.while_loop(lambda c: c[2] & (c[3] < MAX_SWEEPS), body, carry)
    return theta, ledger
