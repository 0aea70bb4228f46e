r"""Linear least squares by orthogonal factorisation.

    min_x |A x - b|,    A = Q R,    A S = Q (R S) with S = diag(1 / |A_j|)

The columns are brought to unit length first (equilibration, which is within `sqrt(n)` of the best diagonal scaling: van der
Sluis, Numer. Math. 14, 1969), the rows are reduced by a QR factorisation, and the small triangle is opened by its singular
values, so that a rank-deficient system gets its solution of minimal (scaled) norm. The condition number enters once,
not squared as with the normal matrix `A^T A`.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float, Int


def column_norms(A: Float[Array, "m n"]) -> Float[Array, " n"]:
    """Euclidean length of each column, one for a column of zeros so that it may divide."""
    norms = jnp.linalg.norm(A, axis=0)
    return jnp.where(norms > 0, norms, jnp.ones_like(norms))


class Orthogonal(eqx.Module):
    r"""A factorisation `A diag(1/scale) = Q U diag(singular) V^T` of a tall or wide matrix.

    **Fields:** `basis` is the `(m, k)` orthonormal basis `Q U` with `k = min(m, n)`, `singular` the `(k,)` singular values of the
    equilibrated matrix in falling order, `right` the `(k, n)` matrix `V^T`, `scale` the `(n,)` column lengths of `A`.
    """

    basis: Float[Array, "m k"]
    singular: Float[Array, " k"]
    right: Float[Array, "k n"]
    scale: Float[Array, " n"]

    def __init__(self, A: Float[Array, "m n"]):
        """**Arguments:** `A` of shape `(m, n)`, finite."""
        m, n = A.shape
        self.scale = column_norms(A)
        scaled = A / self.scale
        if n == 0:
            self.basis, self.singular, self.right = A[:, :0], A[0, :0], A[:0, :]
        elif m >= n:
            Q, R = jnp.linalg.qr(scaled)
            U, self.singular, self.right = jnp.linalg.svd(R, full_matrices=False)
            self.basis = Q @ U
        else:
            Q, R = jnp.linalg.qr(scaled.T)
            U, self.singular, V = jnp.linalg.svd(R.T, full_matrices=False)
            self.basis, self.right = U, V @ Q.T

    def cutoff(self) -> Float[Array, " k"]:
        """Singular values with those lost in rounding, below `k eps` of the largest, replaced by infinity."""
        largest = jnp.max(self.singular, initial=0.0)
        size = self.singular.shape[0]
        lost = self.singular <= size * jnp.finfo(self.singular.dtype).eps * largest
        return jnp.where(lost, jnp.inf, self.singular)

    def rank(self) -> Int[Array, ""]:
        """Number of singular values above rounding."""
        return jnp.sum(jnp.isfinite(self.cutoff()))

    def solve(self, b: Float[Array, " m"]) -> Float[Array, " n"]:
        """The vector `x` of least `|scale * x|` among those that minimise `|A x - b|`."""
        return ((self.basis.T @ b) / self.cutoff()) @ self.right / self.scale

    def adjoint_solve(self, g: Float[Array, " n"]) -> Float[Array, " m"]:
        """The vector `(A^+)^T g`: the pseudo-inverse applied from the other side."""
        return self.basis @ ((self.right @ (g / self.scale)) / self.cutoff())

    def project_out(self, v: Float[Array, " m"]) -> Float[Array, " m"]:
        """The part of `v` orthogonal to the range of `A`; applied twice, as one pass leaves rounding of the size of `v`."""
        Q = jnp.where(jnp.isfinite(self.cutoff()), self.basis, 0.0)
        v = v - Q @ (Q.T @ v)
        return v - Q @ (Q.T @ v)


class Damped(eqx.Module):
    r"""The steps `p(mu) = argmin |J p + r|^2 + mu |D p|^2` for any damping `mu`, after one reduction of `J`.

    With `J D^-1 = Q R` (tall) or `(J D^-1)^T = Q R` (wide, where the step lives in the range of `J^T`), every damping costs one
    factorisation of a stacked `(2k, k)` matrix, `k = min(m, q)`: orthogonal throughout.
    """

    small: Float[Array, "k k"]
    target: Float[Array, " k"]
    lift: Float[Array, "q k"] | None
    D: Float[Array, " q"]

    def __init__(self, J: Float[Array, "m q"], r: Float[Array, " m"], D: Float[Array, " q"]):
        """**Arguments:** the Jacobian `(m, q)`, the residual `(m,)` and the positive scaling `(q,)`."""
        self.D = D
        if J.shape[0] >= J.shape[1]:
            Q, self.small = jnp.linalg.qr(J / D)
            self.target, self.lift = Q.T @ r, None
        else:
            self.lift, R = jnp.linalg.qr((J / D).T)
            self.small, self.target = R.T, r

    def step(self, mu: Float[Array, ""]) -> tuple[Float[Array, " q"], Float[Array, ""]]:
        """**Returns:** the step `(q,)` and the reduction of `|r|^2 / 2` that the linear model promises for it."""
        k = self.target.shape[0]
        identity = jnp.eye(k, dtype=self.small.dtype)
        Q, R = jnp.linalg.qr(jnp.concatenate([self.small, jnp.sqrt(mu) * identity]))
        right = Q[:k].T @ self.target
        tiny = jnp.finfo(R.dtype).tiny
        R = R + jnp.where(jnp.abs(jnp.diagonal(R)) > tiny, 0.0, 1.0) * identity
        w = -jsl.solve_triangular(R, right, lower=False)
        image = self.small @ w
        promised = -jnp.vdot(image, self.target) - 0.5 * jnp.vdot(image, image)
        p = w if self.lift is None else self.lift @ w
        return p / self.D, promised

    def undamped(self) -> tuple[Float[Array, " q"], Float[Array, ""]]:
        """The Gauss-Newton step of least scaled norm, and `|J p|`, the part of the residual that it still explains."""
        small = Orthogonal(self.small)
        w = -small.solve(self.target)
        p = w if self.lift is None else self.lift @ w
        return p / self.D, jnp.linalg.norm(self.small @ w)
