r"""Small least squares by Gram-Schmidt, written out so that thousands of problems run in one program.

    v <- v - Q^T (Q v),  twice,        q = v / |v|

Twice is enough (Giraud, Langou and Rozloznik, Comput. Math. Appl. 50, 2005): the basis is orthonormal to rounding whatever the condition of the columns. For
the few columns of a small model it needs no call of a factorisation per problem, which is what limits a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Up to so many rows the loop over them is written out, which runs faster; beyond, it would take long to compile.
WRITTEN_OUT = 4


class Orthonormal(NamedTuple):
    """Rows `(k, N)` brought to an orthonormal basis.

    **Fields:** `basis` `(k, N)`, with a row of zeros for each row that depends on those before it; `triangle` `(k, k)`, lower, such that
    `rows = triangle @ basis` but for what was dropped, with a one on the diagonal of a dropped row.
    """

    basis: Float[Array, "k N"]
    triangle: Float[Array, "k k"]

    def coefficients(self, y: Float[Array, " N"]) -> tuple[Float[Array, " k"], Float[Array, " N"]]:
        """The least-squares coefficients of `y` in the rows, zero for a dropped one, and what they leave."""
        remainder, seen = y, jnp.zeros(self.basis.shape[0], y.dtype)
        for _ in range(2):
            part = self.basis @ remainder
            remainder, seen = remainder - part @ self.basis, seen + part
        return self.back(seen), remainder

    def back(self, seen: Float[Array, " k"]) -> Float[Array, " k"]:
        """The coefficients of the rows from those of the basis: `triangle^T c = seen`."""
        k = seen.shape[0]
        found = jnp.zeros(k, seen.dtype)
        step = lambda i, found: found.at[k - 1 - i].set(
            (seen[k - 1 - i] - self.triangle[:, k - 1 - i] @ found) / self.triangle[k - 1 - i, k - 1 - i]
        )
        return jax.lax.fori_loop(0, k, step, found, unroll=k <= WRITTEN_OUT)

    def remove(self, rows: Float[Array, "q N"]) -> Float[Array, "q N"]:
        """The parts of other rows that are orthogonal to these."""
        for _ in range(2):
            rows = rows - (rows @ self.basis.T) @ self.basis
        return rows


def orthonormal(rows: Float[Array, "k N"], cutoff: float | None = None) -> Orthonormal:
    """Orthonormalise rows one after another.

    **Arguments:** `rows` `(k, N)`; `cutoff`, the share of its length below which what is left of a row is rounding, by default 100 units of it.
    """
    k = rows.shape[0]
    cutoff = 100 * float(jnp.finfo(rows.dtype).eps) if cutoff is None else cutoff

    def step(j, found):
        basis, triangle = found
        row = rows[j]
        length = jnp.sqrt(jnp.sum(row * row))
        parts = jnp.zeros(k, rows.dtype)
        for _ in range(2):
            part = basis @ row
            row, parts = row - part @ basis, parts + part
        left = jnp.sqrt(jnp.sum(row * row))
        kept = left > cutoff * length
        basis = basis.at[j].set(jnp.where(kept, row / jnp.where(kept, left, 1.0), 0.0))
        return basis, triangle.at[j].set(parts.at[j].set(jnp.where(kept, left, 1.0)))

    # Rows of the basis that are still to come are zero and change nothing.
    start = (jnp.zeros_like(rows), jnp.zeros((k, k), rows.dtype))
    return Orthonormal(*jax.lax.fori_loop(0, k, step, start, unroll=k <= WRITTEN_OUT))
