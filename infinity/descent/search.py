r"""Starts for an exponential family, read off its structure: the start that was given does not matter.

    z_j <- argmin over a grid of |P_perp(z) b(z)|,    j = 1, ..., q, 1, ..., q

A parameter that enters as `e^{b_n z_j}` or `cos(b_n z_j)` has natural units: the slopes `b_n` over the samples say how far apart two values must be to
differ, and where the samples stop resolving them. From several random points of that box each parameter in turn is put to the best of a grid, with the
affine parameters eliminated exactly; the best points begin the refinement.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..precision import full_products
from .directions import along
from .homomorphism import slopes
from .ledger import Ledger
from .plan import Plan
from .projection import Projection

STARTS = 8
SWEEPS = 2
KEPT = 4
# Points of a grid: two a resolved value, within these bounds.
FEWEST, MOST = 64, 512
# A grid search of more parameters than this takes too long.
LARGEST = 64


def grid(residual: Callable, theta: Float[Array, " P"], position: int, points: int, samples: int) -> Float[Array, " G"]:
    """The values at which one parameter is tried, from the slopes of the exponentials, sines and cosines that it enters."""
    direction = jnp.zeros_like(theta).at[position].set(1.0)
    atoms = slopes(along("search", residual, theta, direction, ()))
    turning = [b.ravel() for name, b in atoms if name != "exp"]
    growing = [b.ravel() for name, b in atoms if name == "exp"]
    here = theta[position]
    if not (turning or growing):
        return here + jnp.maximum(jnp.abs(here), 1.0) * jnp.linspace(-3, 3, points, dtype=theta.dtype)
    b = jnp.concatenate(turning or growing).astype(theta.dtype)
    largest = jnp.max(jnp.abs(b))
    there = jnp.abs(b) > 1e-9 * largest
    width = jnp.max(jnp.where(there, b, -jnp.inf)) - jnp.min(jnp.where(there, b, jnp.inf))
    largest = jnp.where(largest > 0, largest, 1.0)
    apart = width > 1e-6 * largest
    width = jnp.where(apart, width, 1.0)
    if turning:
        rates = jnp.linspace(0.0, jnp.pi * (samples - 1), points, dtype=theta.dtype) / width
        phases = jnp.linspace(-jnp.pi, jnp.pi, points, endpoint=False, dtype=theta.dtype) / largest
        return jnp.where(apart, rates, phases)
    sizes = np.geomspace(0.1, max(samples, 2), points // 2)
    rates = jnp.asarray(np.concatenate([-sizes[::-1], sizes]), theta.dtype) / width
    return jnp.where(apart, rates, here + jnp.linspace(-3, 3, len(rates), dtype=theta.dtype) / largest)


@full_products
def starting_points(
    residual: Callable, theta: Float[Array, " P"], plan: Plan, key: PRNGKeyArray, ledger: Ledger
) -> tuple[Float[Array, "S P"], Ledger]:
    """The most promising starts, the given one first.

    **Arguments:** residuals of the flat parameters `(P,)`; the given start; a partial plan; the key of the random points; the ledger.

    **Returns:** `(1 + KEPT, P)` points, and the ledger with the evaluations counted.

    **Raises:** `ValueError` for too many parameters that are not eliminated.
    """
    q = plan.rest.size
    if q > LARGEST:
        raise ValueError(
            f'start="search" got {q} parameters that do not enter affinely; a search on grids is for at most {LARGEST}. Use start="given".'
        )
    samples = jax.eval_shape(residual, theta).shape[0]
    points = 2 * (int(np.clip(2 * samples, FEWEST, MOST)) // 2)
    projection = Projection(residual, plan.linear, plan.rest)
    grids = jnp.stack([grid(residual, theta, int(position), points, samples) for position in plan.rest])

    def loss(z):
        value = projection.reduce(z).loss
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def improved(i, z):
        j = i % q
        candidates = jax.vmap(lambda value: z.at[j].set(value))(grids[j])
        losses = jax.vmap(loss)(candidates)
        best = jnp.argmin(losses)
        return jnp.where(losses[best] < loss(z), candidates[best], z)

    def one(key):
        places = jax.random.randint(key, (q,), 0, points)
        z = jnp.take_along_axis(grids, places[:, None], 1)[:, 0]
        z = jax.lax.fori_loop(0, SWEEPS * q, improved, z)
        return z, loss(z)

    found, losses = jax.lax.map(one, jax.random.split(key, STARTS))
    kept = found[jnp.argsort(losses)[:KEPT]]
    given = projection.split(theta)[1]
    evaluations = STARTS * (SWEEPS * q * (points + 1) + 1)
    ledger = ledger.add(residuals=2 * evaluations, jacobians=evaluations, factorisations=evaluations)
    linear = projection.split(theta)[0]
    thetas = jax.vmap(lambda z: projection.merge(linear, z))(jnp.concatenate([given[None], kept]))
    return thetas, ledger
