r"""Exact step lengths for polynomial models.

    t* = argmin_{t > 0} L(theta + t p)

Along a step `p` the residuals of a multilinear model of degree `d` are polynomials in `t` of degree `d`, and the loss is one of degree `2 d`: its
lowest point is found among all of its stationary points (`polynomials`). The length one is always among the candidates, so that a step
is never made worse; what it brought is judged by the loss that is then evaluated there.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .directions import along
from .homomorphism import terminating
from .polynomials import lowest, lowest_of_squares
from .projection import Projection, Reduced

# Up to this degree of the residuals (twice that of a loss) the coefficients keep their digits and cost less than the step itself.
HIGHEST_DEGREE = 8


def joint_length(projection: Projection, point: Reduced, p: Float[Array, " q"], degree: int) -> Float[Array, ""]:
    """How far to go along a step of the reduced problem when the eliminated parameters move along with it.

    The line is `(c, z) + t (dc, p)` with `dc = -Phi^+ (d_z r) p`, the first-order answer of the eliminated parameters.

    **Arguments:** the projection, the reduced point, the step `(q,)`, the degree of the residuals in all parameters together.

    **Returns:** the length `t >= 1`. A shorter step than the trust region allows was measured to triple the iterations: it creeps along the floor of a curved
    valley and hides from the damping that the region is too large.
    """
    _, change = jax.jvp(lambda z: projection.residual(projection.merge(point.c, z)), (point.z,), (p,))
    dc = -point.factor.solve(change) if projection.linear.size else point.c
    theta, step = projection.merge(point.c, point.z), projection.merge(dc, p)
    return jnp.maximum(residual_length(projection.residual, theta, step, degree), 1.0)


def residual_length(
    residual: Callable, theta: Float[Array, " P"], p: Float[Array, " P"], degree: int
) -> Float[Array, ""]:
    """The length `t > 0` that makes `|residual(theta + t p)|^2` least, for residuals of that degree."""
    (coefficients,) = terminating(along("lines", residual, theta, p, ()), degree)
    return _usable(lowest_of_squares(coefficients.astype(theta.dtype), positive=True)[0])


def loss_length(loss: Callable, theta: Float[Array, " P"], p: Float[Array, " P"], degree: int) -> Float[Array, ""]:
    """The length `t > 0` that makes `loss(theta + t p)` least, for a scalar loss of that degree; one where it falls without end."""
    (coefficients,) = terminating(along("lines", loss, theta, p, ()), degree)
    return _usable(lowest(coefficients.astype(theta.dtype), positive=True)[0])


def _usable(t: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(jnp.isfinite(t) & (t > 0), t, 1.0)
