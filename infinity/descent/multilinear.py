r"""Exact block solves for a residual that is affine in each of several blocks of parameters.

    theta_b <- argmin |r(theta_1, ..., theta_b, ..., theta_B)|^2,    b = 1, ..., B, 1, ...

One solve is one orthogonal factorisation (alternating least squares). A sweep never raises the loss, and it needs no start close to
the solution; its convergence is only linear, so the sweeps stop as soon as they slow down, and the joint second-order iteration takes over.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .ledger import Ledger
from .linear import Orthogonal
from .projection import jacobian


def block_sweeps(
    residual: Callable,
    theta: Float[Array, " P"],
    blocks: Sequence[np.ndarray],
    ledger: Ledger,
    *,
    max_sweeps: int,
    slow: float = 0.5,
) -> tuple[Float[Array, " P"], Ledger]:
    """Sweep over the blocks while a sweep lowers the loss below `slow` times its last value.

    **Arguments:** the residual function of the flat parameters; the start `(P,)`; the positions of each block; the ledger; the largest number of sweeps.

    **Returns:** the parameters after the sweeps, and the ledger.
    """

    def solve_block(theta, block):
        at_block = lambda values: residual(theta.at[block].set(values))
        step = -Orthogonal(jacobian(at_block, theta[block])).solve(at_block(theta[block]))
        return theta.at[block].add(step)

    def half_square(theta):
        r = residual(theta)
        return 0.5 * jnp.vdot(r, r)

    def body(carry):
        theta, loss, _, count, ledger = carry
        new = theta
        for block in blocks:
            new = solve_block(new, block)
        new_loss = half_square(new)
        lower = new_loss < loss
        theta = jnp.where(lower, new, theta)
        ledger = ledger.add(
            residuals=1 + len(blocks), jacobians=len(blocks), factorisations=len(blocks), sweeps=1
        ).record(jnp.minimum(new_loss, loss))
        return theta, jnp.where(lower, new_loss, loss), new_loss < slow * loss, count + 1, ledger

    loss = half_square(theta)
    carry = (theta, loss, loss > 0, jnp.zeros((), jnp.int32), ledger.add(residuals=1).record(loss))
    theta, _, _, _, ledger = jax.lax.while_loop(lambda c: c[2] & (c[3] < max_sweeps), body, carry)
    return theta, ledger
