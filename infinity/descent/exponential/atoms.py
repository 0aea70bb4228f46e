r"""Exponential-trigonometric atoms on samples of one coordinate.

    A e^{alpha t} cos(omega t + phi) = c e^{alpha t} cos(omega t) + s e^{alpha t} sin(omega t),    c = A cos(phi),  s = -A sin(phi)

Amplitude and phase are linear together: for given rates `(alpha, omega)` the pair `(c, s)` is found by linear least squares. The pair of rates is the pole
`alpha + i omega` of the atom.
"""

import numpy as np
from jaxtyping import Array, Float

# The functions of this file take arrays of NumPy or of JAX and answer in kind.
Numbers = Array | np.ndarray


def columns(
    t: Float[Numbers, " N"], alpha: Float[Numbers, " P"], omega: Float[Numbers, " P"]
) -> tuple[Float[Numbers, "P N"], Float[Numbers, "P N"]]:
    """The functions `e^{alpha t} cos(omega t)` and `e^{alpha t} sin(omega t)` of each atom on the samples."""
    xp = t.__array_namespace__()
    envelope = xp.exp(alpha[:, None] * t)
    angle = omega[:, None] * t
    return envelope * xp.cos(angle), envelope * xp.sin(angle)


def amplitude_and_phase(
    c: Float[Numbers, "*P"], s: Float[Numbers, "*P"]
) -> tuple[Float[Numbers, "*P"], Float[Numbers, "*P"]]:
    """`A >= 0` and `phi` in (-pi, pi] from the linear pair."""
    xp = c.__array_namespace__()
    return xp.hypot(c, s), xp.arctan2(-s, c)


def linear_pair(
    amplitude: Float[Numbers, "*P"], phase: Float[Numbers, "*P"]
) -> tuple[Float[Numbers, "*P"], Float[Numbers, "*P"]]:
    """The linear pair `(c, s)` from amplitude and phase."""
    xp = amplitude.__array_namespace__()
    return amplitude * xp.cos(phase), -amplitude * xp.sin(phase)
