"""The ledger of an outer step: every evaluation inside it is counted, so that "one step" never hides its price."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Ledger(eqx.Module):
    """Counts of the work done inside one outer step, and the loss after each inner iteration.

    **Fields:** `residuals`, `jacobians` (one Jacobian counts once, whatever its number of columns), `factorisations` (QR, singular
    values or eigenvalues of a matrix), `sweeps` over the blocks, `iterations` of the trust region (accepted and rejected),
    `rejected`, `newton` second-order steps, `lines` minimised exactly;
    `history` of shape `(length,)` holds the loss after each sweep and iteration, NaN beyond.
    """

    residuals: Int[Array, ""]
    jacobians: Int[Array, ""]
    factorisations: Int[Array, ""]
    sweeps: Int[Array, ""]
    iterations: Int[Array, ""]
    rejected: Int[Array, ""]
    newton: Int[Array, ""]
    lines: Int[Array, ""]
    recorded: Int[Array, ""]
    history: Float[Array, " length"]

    @classmethod
    def empty(cls, length: int, dtype) -> "Ledger":
        """A ledger of zeros with room for `length` losses; later ones overwrite the last place."""
        zero = jnp.zeros((), jnp.int32)
        return cls(zero, zero, zero, zero, zero, zero, zero, zero, zero, jnp.full((length,), jnp.nan, dtype))

    def add(self, **counts) -> "Ledger":
        """A ledger with the named counts increased."""
        fields = tuple(counts)
        new = tuple(getattr(self, name) + jnp.asarray(counts[name], jnp.int32) for name in fields)
        return eqx.tree_at(lambda ledger: tuple(getattr(ledger, name) for name in fields), self, new)

    def record(self, loss: Float[Array, ""]) -> "Ledger":
        """A ledger with `loss` written at the next free place of the history."""
        place = jnp.minimum(self.recorded, self.history.shape[0] - 1)
        history = self.history.at[place].set(loss.astype(self.history.dtype))
        return eqx.tree_at(lambda ledger: (ledger.history, ledger.recorded), self, (history, self.recorded + 1))

    def after(self, earlier: "Ledger") -> "Ledger":
        """The counts of this and an earlier outer step together; the history stays this one's."""
        return self.add(**earlier.counts())

    def counts(self) -> dict[str, Int[Array, ""]]:
        """The counts by name, without the history."""
        names = ("residuals", "jacobians", "factorisations", "sweeps", "iterations", "rejected", "newton", "lines")
        return {name: getattr(self, name) for name in names}
