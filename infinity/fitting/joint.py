r"""The joint descent of all parameters of an interpolating model: nodes, maps and directions with its coefficients.

    min_z |P_perp(z) b(z)|^2,    J = P_perp(z) (dr/dz),    P_perp = I - Phi Phi^+

Variable projection by trust region, with the coefficients in which the model is affine eliminated exactly. Each residual knows one sample and a few cells, so
that the Jacobian is taken row by row, backwards: a row costs a few evaluations, whatever the number of parameters. A table of patches depends on all nodes;
there columns, forwards, are cheaper.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..basis import Axis
from ..compilation import quick_jit
from ..descent import Ledger
from ..descent.plan import plan_residuals
from ..descent.projection import Projection
from ..descent.trust import levenberg_marquardt
from .generic import Module, certificate_of, residuals_of

# A step factorises a dense Jacobian: about so many operations, at most so many, and on so many rows an unknown at least.
USUAL, LARGEST = 3e8, 4e9
ROWS = 4
ITERATIONS = 100
# Where nodes go matters less than how far the coefficients are solved, which comes after.
TOLERANCE = 1e-4


def descended(model: Module, x: Float[Array, "N D"], y: Float[Array, "N O"], weights: Float[Array, " N"]) -> Module:
    """All parameters together, from where they are, those in which the model is affine eliminated exactly.

    **Arguments:** an Equinox model; samples in random order. Where the Jacobian would be too large, or nothing is gained, the model comes back as it is.
    """
    params, static = eqx.partition(model, eqx.is_inexact_array)
    P, outputs = sum(leaf.size for leaf in jax.tree.leaves(params)), y.shape[1]
    rows = min(len(x), max(int(USUAL / (outputs * P**2)), -(-ROWS * P // outputs)))
    if rows * outputs < ROWS * P or rows * outputs * P**2 > LARGEST:
        return model
    data = tuple(jnp.asarray(a[:rows], x.dtype) for a in (x, y, weights))
    linear = plan_residuals(certificate_of(model, data)).linear
    moved, before, after = _descend(params, static, tuple(linear.tolist()), data, not _has_patches(model))
    return eqx.combine(moved, static) if float(after) < float(before) else model


def _has_patches(model: Any) -> bool:
    is_axis = lambda part: isinstance(part, Axis)
    return any(is_axis(part) and part.family == "patch" for part in jax.tree.leaves(model, is_leaf=is_axis))


@quick_jit
def _descend(params: Any, static: Any, linear: tuple[int, ...], data: tuple[Array, Array, Array], by_rows: bool):
    """The parameters at the end, and the loss before and after."""
    theta, unravel = ravel_pytree(params)
    fn = residuals_of(static)
    residual = lambda theta: fn(unravel(theta), data).ravel()

    def rows(theta: Float[Array, " P"]) -> Float[Array, "m P"]:
        one = lambda *sample: jax.jacrev(lambda theta: fn(unravel(theta), [a[None] for a in sample])[0])(theta)
        return jax.vmap(one)(*data).reshape(-1, theta.size)

    eliminated = np.asarray(linear, int)
    rest = np.setdiff1d(np.arange(theta.size), eliminated)
    projection = Projection(residual, eliminated, rest, rows if by_rows else None)
    before = residual(theta)
    found = levenberg_marquardt(
        projection,
        projection.reduce(theta[rest]),
        Ledger.empty(ITERATIONS + 1, theta.dtype),
        rtol=TOLERANCE,
        atol=0.0,
        max_iterations=ITERATIONS,
        damping=1e-3,
        finish=False,
    ).point
    return unravel(projection.merge(found.c, found.z)), 0.5 * jnp.vdot(before, before), found.loss
