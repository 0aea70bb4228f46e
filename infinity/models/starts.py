"""Where the parameters of a separable model start: factors and mixing around ones, all else at zero."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..compilation import brief_jit


class Start(NamedTuple):
    """The arrays of a separable model."""

    factors: tuple[Float[Array, "M _"], ...]
    mixing: Float[Array, "O M"] | None
    additive: tuple[Float[Array, "O _"], ...] | None
    constant: Float[Array, " O"] | None


def starting_parameters(
    model: str,
    key: PRNGKeyArray,
    sizes: Sequence[int],
    modes: int,
    outputs: int | Literal["scalar"],
    *,
    constant: bool,
    additive: bool,
) -> Start:
    """The arrays of a model of so many functions in each dimension.

    **Raises:** `ValueError` that names the model, for no output, or no mode without an additive block.
    """
    number = 1 if outputs == "scalar" else outputs
    if modes < (0 if additive else 1) or number < 1:
        raise ValueError(
            f"{model} got modes={modes} and outputs={outputs}; expected at least one of each, or no modes beside an additive block."
        )
    mixing = None
    if number > 1:
        mixing = 1 + 0.1 * jax.random.normal(jax.random.fold_in(key, 1), (number, modes))
    return Start(
        starting_factors(key, modes, sizes),
        mixing,
        tuple(jnp.zeros((number, size)) for size in sizes) if additive else None,
        jnp.zeros((number,)) if constant else None,
    )


def starting_factors(key: PRNGKeyArray, modes: int, sizes: Sequence[int]) -> tuple[Float[Array, "M _"], ...]:
    """Factors around ones, scaled so that the sum of the modes is about one."""
    return _around_ones(key, modes, tuple(sizes))


@brief_jit
def _around_ones(key: PRNGKeyArray, modes: int, sizes: tuple[int, ...]) -> tuple[Float[Array, "M _"], ...]:
    keys = jax.random.split(key, len(sizes))
    scale = max(modes, 1) ** (-1 / len(sizes))
    factors = {}
    for size in dict.fromkeys(sizes):  # those of one size are drawn together: one compilation instead of many
        dimensions = [d for d, other in enumerate(sizes) if other == size]
        draws = jax.vmap(lambda k, size=size: jax.random.normal(k, (modes, size)))(keys[np.array(dimensions)])
        factors.update(zip(dimensions, scale * (1 + 0.1 * draws), strict=True))
    return tuple(factors[d] for d in range(len(sizes)))
