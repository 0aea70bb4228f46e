r"""Exponential-trigonometric atoms on samples of one coordinate.

    A e^{alpha t} cos(omega t + phi) = c e^{alpha t} cos(omega t) + s e^{alpha t} sin(omega t),    c = A cos(phi),  s = -A sin(phi)

Amplitude and phase are linear together: for given rates `(alpha, omega)` the pair `(c, s)` is found by linear least squares. The pair of rates is the pole
`alpha + i omega` of the atom.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def columns(
    t: Float[Array, " N"], alpha: Float[Array, " P"], omega: Float[Array, " P"]
) -> tuple[Float[Array, "P N"], Float[Array, "P N"]]:
    """The functions `e^{alpha t} cos(omega t)` and `e^{alpha t} sin(omega t)` of each atom on the samples."""
    envelope = jnp.exp(alpha[:, None] * t)
    angle = omega[:, None] * t
    return envelope * jnp.cos(angle), envelope * jnp.sin(angle)


def amplitude_and_phase(c: Float[Array, "*P"], s: Float[Array, "*P"]) -> tuple[Float[Array, "*P"], Float[Array, "*P"]]:
    """`A >= 0` and `phi` in (-pi, pi] from the linear pair."""
    return jnp.hypot(c, s), jnp.arctan2(-s, c)


def linear_pair(
    amplitude: Float[Array, "*P"], phase: Float[Array, "*P"]
) -> tuple[Float[Array, "*P"], Float[Array, "*P"]]:
    """The linear pair `(c, s)` from amplitude and phase."""
    return amplitude * jnp.cos(phase), -amplitude * jnp.sin(phase)
