r"""The poles of a uniformly sampled sum of exponentials, without a start: ESPRIT.

    H_ij = y_{i+j} = U diag(sigma) V^T,        U_down = U_up Psi,        z = eig(Psi),        alpha + i omega = log(z) / dt

The first `M` left singular vectors span the same space as the columns `z_m^i`, which is invariant under a shift by one row (Roy and Kailath, IEEE Trans. ASSP
37, 1989; Hankel form: Hua and Sarkar, IEEE Trans. ASSP 38, 1990). Exact data of order `M` have `M` singular values above rounding and give their poles to
rounding.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Inexact

from .atoms import Numbers
from .orthonormal import orthonormal


def hankel(y: Float[Numbers, "*F N"], rows: int) -> Float[Numbers, "L _"]:
    """The Hankel matrices `(L, N - L + 1)` of one or several signals, side by side."""
    signals = y.reshape(-1, y.shape[-1])
    places = np.arange(rows)[:, None] + np.arange(y.shape[-1] - rows + 1)
    return signals[:, places].swapaxes(0, 1).reshape(rows, -1)


def hankel_rows(samples: int) -> int:
    """The number of rows that serves: half of the samples, where noise harms the poles least and most orders fit."""
    return samples // 2 + 1


class Subspace(NamedTuple):
    """Left singular vectors `(L, K)` and singular values `(K,)` of a Hankel matrix, in falling order."""

    vectors: Float[Numbers, "L K"]
    singular: Float[Numbers, " K"]


def subspace(y: Float[Numbers, "*F N"], rows: int | None = None) -> Subspace:
    """The signal space of one signal, or of several that share their poles.

    **Arguments:** samples `(N,)` or `(F, N)` at equal steps; `rows` of the Hankel matrix, by default half of the samples.
    """
    H = hankel(y, hankel_rows(y.shape[-1]) if rows is None else rows)
    xp = H.__array_namespace__()
    if H.shape[1] > 2 * H.shape[0]:
        # Many columns: the same space from the small triangle of H^T.
        H = xp.linalg.qr(H.T, mode="r").T
    U, singular, _ = xp.linalg.svd(H, full_matrices=False)
    return Subspace(U, singular)


def leading_subspace(y: Float[Array, " N"], order: int, sweeps: int = 3) -> Float[Array, "L M"]:
    """The first `order` left singular vectors by subspace iteration: what a large batch can afford, and exact enough to start a refinement."""
    H = hankel(y, hankel_rows(y.shape[-1]))
    # Start with columns of H itself, spread over the record.
    places = np.linspace(0, H.shape[1] - 1, order).round().astype(int)
    Q = orthonormal(jnp.asarray(H[:, places].T)).basis
    for _ in range(sweeps):
        Q = orthonormal((Q @ H) @ H.T).basis
    return Q.T


def shift_eigenvalues(vectors: Float[Numbers, "L M"]) -> Inexact[Numbers, " M"]:
    """The eigenvalues `z` of the shift within the space that the columns span."""
    xp = vectors.__array_namespace__()
    Psi = xp.linalg.lstsq(vectors[:-1], vectors[1:])[0]
    # NumPy answers in real numbers where all are.
    return xp.linalg.eigvals(Psi) + 0j


def orthonormal_shift_eigenvalues(vectors: Float[Array, "L M"]) -> Inexact[Array, " M"]:
    """The same for orthonormal columns, whose products without the last row `q` have an inverse in closed form: `I + q q^T / (1 - q^T q)`.

    No singular values, and the eigenvalues by LAPACK wherever the program runs: what an accelerator does one after another for many small matrices.
    """
    last, across = vectors[-1], vectors[:-1].T @ vectors[1:]
    left = jnp.maximum(1 - last @ last, jnp.finfo(vectors.dtype).eps)
    Psi = across + jnp.outer(last, last @ across) / left
    return jax.lax.platform_dependent(Psi, cpu=jnp.linalg.eigvals, default=eigenvalues_on_host)


def eigenvalues_on_host(matrix: Float[Array, "M M"]) -> Inexact[Array, " M"]:
    """Eigenvalues by NumPy, of many matrices at once under `jax.vmap`."""
    kind = jnp.result_type(matrix.dtype, jnp.complex64)
    shape = jax.ShapeDtypeStruct(matrix.shape[:-1], kind)
    return jax.pure_callback(lambda a: np.linalg.eigvals(a).astype(kind), shape, matrix, vmap_method="broadcast_all")


class Poles(NamedTuple):
    """Rates of `M` candidate atoms and which of them count: of a conjugate pair only the one with `omega > 0` does."""

    alpha: Float[Numbers, " M"]
    omega: Float[Numbers, " M"]
    present: Bool[Numbers, " M"]


def poles_of(z: Inexact[Numbers, " M"], step: float | Float[Array, ""]) -> Poles:
    """Rates from eigenvalues of the shift by `step`; a real eigenvalue is an atom with `omega = 0`, or `pi / step` if negative."""
    xp = z.__array_namespace__()
    precision = xp.finfo(z.dtype)
    size = xp.maximum(xp.abs(z), precision.tiny)
    real = xp.abs(xp.imag(z)) <= 10 * precision.eps * size
    angle = xp.where(real, xp.where(xp.real(z) < 0, xp.pi, 0.0), xp.abs(xp.angle(z)))
    return Poles(xp.log(size) / step, angle / step, real | (xp.imag(z) > 0))


def esprit(vectors: Float[Numbers, "L M"], step: float | Float[Array, ""]) -> Poles:
    """Candidate atoms from the signal space of order `M`.

    >>> import jax, jax.numpy as jnp
    >>> jax.config.update("jax_enable_x64", True)
    >>> from infinity.descent.exponential.pencil import esprit, subspace
    >>> t = 0.1 * jnp.arange(40)
    >>> poles = esprit(subspace(jnp.exp(-0.5 * t) * jnp.cos(3 * t)).vectors[:, :2], 0.1)
    >>> [round(float(v[poles.present][0]), 9) for v in (poles.alpha, poles.omega)]
    [-0.5, 3.0]
    """
    return poles_of(shift_eigenvalues(vectors), step)
