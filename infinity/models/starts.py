"""Where the parameters of a separable model start."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Float, PRNGKeyArray


def starting_factors(key: PRNGKeyArray, modes: int, sizes: Sequence[int]) -> tuple[Float[Array, "M _"], ...]:
    """Factors around ones, scaled so that the sum of the modes is about one."""
    keys = jax.random.split(key, len(sizes))
    scale = max(modes, 1) ** (-1 / len(sizes))
    return tuple(scale * (1 + 0.1 * jax.random.normal(k, (modes, size))) for k, size in zip(keys, sizes, strict=True))


def starting_mixing(key: PRNGKeyArray, outputs: int, modes: int) -> Float[Array, "O M"] | None:
    """Mixing around ones, or nothing for one output."""
    if outputs == 1:
        return None
    return 1 + 0.1 * jax.random.normal(jax.random.fold_in(key, 1), (outputs, modes))
