r"""Many uniformly sampled signals of one length at once: pencil and refinement in one program.

For a stream of records the order is known; each signal costs one signal space by subspace iteration, the eigenvalues of a `2P x 2P` matrix, and a few steps of
variable projection. The best of `2P .. P` dimensions is not searched: an atom that does not oscillate may come out as one with a small frequency.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...precision import full_products
from ...shapes import rows_at_once
from .pencil import hankel_rows, leading_subspace, orthonormal_shift_eigenvalues, poles_of
from .refinement import Refined, refine

# Relative gain of a step below which a noisy fit is finished: far below what the noise decides.
ENOUGH = 1e-9
# Signals in work together on a CPU: their Hankel matrices stay in a core's cache.
CHUNK = 16


@full_products
@functools.partial(jax.jit, static_argnames=("terms", "max_iterations"))
def solve_batch(y: Float[Array, "B N"], terms: int, max_iterations: int = 30) -> Refined:
    """Fit each row by `terms` atoms.

    **Arguments:** samples `(B, N)` at equal steps, with `4 terms <= N`; the number of atoms; bound on the iterations of the refinement.

    Off the CPU the small eigenvalue problems are solved on the host, so `JAX_PLATFORMS`, if it is set, must name `cpu` as well.

    **Returns:** a `Refined` with a leading axis of `B`; rates in units of the length `t_N - t_1`, and pairs at its middle.
    """
    N = y.shape[1]
    t = jnp.linspace(-0.5, 0.5, N, dtype=y.dtype)
    step = 1 / (N - 1)

    def one(y):
        poles = poles_of(orthonormal_shift_eigenvalues(leading_subspace(y, 2 * terms)), step)
        # Those that count first; a conjugate is left out, and of too many real ones the last.
        first = jnp.argsort(~poles.present)[:terms]
        present = poles.present[first]
        omega = jnp.where(present, poles.omega[first], 0.0)
        alpha = jnp.where(present, jnp.clip(poles.alpha[first], -N, N), 0.0)
        return refine(
            t, y, jnp.ones_like(t), alpha, omega, present, frequency_limit=jnp.pi / step,
            relative=ENOUGH, max_iterations=max_iterations,
        )  # fmt: skip

    return jax.lax.map(one, y, batch_size=rows_at_once(CHUNK, len(y), hankel_rows(N) ** 2))
