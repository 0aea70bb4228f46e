r"""Variable projection: the parameters that enter affinely are eliminated exactly.

With `c` jointly affine and `z` the rest, the residual is `r(c, z) = Phi(z) c + b(z)` and, for given `z`,

    c(z) = -Phi(z)^+ b(z),        r(z) = P b(z),   P = I - Phi Phi^+,
    dr/dz_k = P (d_k Phi c + d_k b) - (Phi^+)^T (d_k Phi^T r)

(Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973; both terms are kept). `d_k Phi c + d_k b` is the derivative of `r` at fixed `c`, and
`d_k Phi^T r` that of `grad_c <r, r(c, z)>` at fixed `r`, so that neither `Phi` nor its factorisation is ever differentiated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .linear import Orthogonal

# Tangents pushed at once are limited so that a batch holds at most this many numbers of output.
_BATCH_NUMBERS = 2**24


def jacobian(fn: Callable, x: Float[Array, " n"]) -> Float[Array, "m n"]:
    """Dense Jacobian of `fn` at `x` in batches of bounded memory, by the mode that needs fewer passes."""
    outputs = jax.eval_shape(fn, x).shape[0]
    if x.shape[0] == 0 or outputs == 0:
        return jnp.zeros((outputs, x.shape[0]), x.dtype)
    batch = max(1, _BATCH_NUMBERS // (max(outputs, x.shape[0])))
    if outputs < x.shape[0]:
        _, pull = jax.vjp(fn, x)
        return _mapped(lambda cotangent: pull(cotangent)[0], jnp.eye(outputs, dtype=x.dtype), batch)
    _, push = jax.linearize(fn, x)
    return _mapped(push, jnp.eye(x.shape[0], dtype=x.dtype), batch).T


def _mapped(fn: Callable, rows: Float[Array, "k n"], batch: int) -> Float[Array, "k m"]:
    return jax.vmap(fn)(rows) if rows.shape[0] <= batch else jax.lax.map(fn, rows, batch_size=batch)


class Reduced(eqx.Module):
    """A point `z` with its best `c(z)`: the residual there, half its square, and the factorised `Phi(z)`."""

    z: Float[Array, " q"]
    c: Float[Array, " n"]
    r: Float[Array, " m"]
    loss: Float[Array, ""]
    factor: Orthogonal


@dataclass(frozen=True)
class Projection:
    """The reduced least-squares problem in `z` of a residual function whose parameters at `linear` are jointly affine.

    **Fields:** `residual` maps the flat parameters `(P,)` to `(m,)`; `linear` and `rest` are their positions, a partition of `range(P)`. `rows`, where given,
    maps the parameters to the whole Jacobian `(m, P)` by means of its own, as row by row backwards where each residual knows one sample; the term with
    `d_k Phi^T r` is then left out (Kaufman, BIT 15, 1975), as it vanishes with the residual.
    """

    residual: Callable
    linear: np.ndarray
    rest: np.ndarray
    rows: Callable | None = None

    def split(self, theta: Float[Array, " P"]) -> tuple[Float[Array, " n"], Float[Array, " q"]]:
        """The affine parameters `c` and the others `z`."""
        return theta[self.linear], theta[self.rest]

    def merge(self, c: Float[Array, " n"], z: Float[Array, " q"]) -> Float[Array, " P"]:
        """The flat parameters from their two parts."""
        order = np.argsort(np.concatenate([self.linear, self.rest]))
        return jnp.concatenate([c, z])[order]

    def reduce(self, z: Float[Array, " q"]) -> Reduced:
        """Solve for `c(z)`: two residuals, one Jacobian, one factorisation. The residual kept is evaluated, never inferred."""
        zero = jnp.zeros((self.linear.size,), z.dtype)
        at_z = lambda c: self.residual(self.merge(c, z))
        whole = self.rows
        Phi = jacobian(at_z, zero) if whole is None else whole(self.merge(zero, z))[:, self.linear]
        factor = Orthogonal(Phi)
        c = -factor.solve(at_z(zero)) if self.linear.size else zero
        r = at_z(c)
        return Reduced(z, c, r, 0.5 * jnp.vdot(r, r), factor)

    def polish(self, point: Reduced) -> Reduced:
        """One step of iterative refinement of `c`, kept when it lowers the loss."""
        c = point.c - point.factor.solve(point.r)
        r = self.residual(self.merge(c, point.z))
        better = Reduced(point.z, c, r, 0.5 * jnp.vdot(r, r), point.factor)
        keep = better.loss <= point.loss
        return jax.tree.map(lambda a, b: jnp.where(keep, a, b), better, point)

    def jacobian(self, point: Reduced) -> Float[Array, "m q"]:
        """The Jacobian of the reduced residual, both Golub-Pereyra terms, or the first one where `rows` are given."""
        m = point.r.shape[0]
        if self.rows is not None:
            J = self.rows(self.merge(point.c, point.z))[:, self.rest]
            return jax.vmap(point.factor.project_out, 1, 1)(J) if self.linear.size else J
        if not self.linear.size:
            return jacobian(lambda z: self.residual(self.merge(point.c, z)), point.z)

        def both(z):
            r, pull = jax.vjp(lambda c: self.residual(self.merge(c, z)), point.c)
            return jnp.concatenate([r, pull(point.r)[0]])

        both_columns = jacobian(both, point.z)
        J, K = both_columns[:m], both_columns[m:]
        return jax.vmap(point.factor.project_out, 1, 1)(J) - jax.vmap(point.factor.adjoint_solve, 1, 1)(K)
