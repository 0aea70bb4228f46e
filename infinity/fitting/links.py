r"""Links: what the separable model describes, the target itself or its logarithm.

    y = g(u(x)),    g(u) = u or exp(u)

A positive quantity that is a product of its causes is a sum after the logarithm, and needs fewer modes. The error that counts is that of `y`: to first order
that of `u` times the slope `g'(u)`, which is `y` for the logarithm.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np


class Link(NamedTuple):
    """`forward` takes targets to what the model describes, `inverse`, `g`, back; `slope` is `g'` in terms of the target."""

    forward: Callable
    inverse: Callable
    slope: Callable


LINKS = {
    "identity": Link(lambda y: y, lambda u: u, np.ones_like),
    "log": Link(np.log, jnp.exp, np.abs),
}


def check_link(link: str, y: np.ndarray, targets: tuple[str, ...]) -> None:
    """Refuse an unknown link, and the logarithm of a target that is not positive.

    **Raises:** `ValueError` naming the row and the column.
    """
    if link not in LINKS:
        raise ValueError(f"link is {link!r}; expected one of {', '.join(LINKS)}")
    bad = np.argwhere(y <= 0)
    if link == "log" and len(bad):
        row, o = (int(i) for i in bad[0])
        raise ValueError(
            f"row {row + 1}, column {targets[o]!r}: {y[row, o]:g} has no logarithm; "
            "the link 'log' keeps a target positive, use 'identity' or remove the row"
        )
