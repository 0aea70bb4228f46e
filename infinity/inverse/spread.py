r"""Points that are spread evenly over the unit box, the same ones every time.

    z_i = frac(1/2 + i (1/g, 1/g^2, .., 1/g^d)),    g the root above 1 of g^{d+1} = g + 1

Source: Roberts, The unreasonable effectiveness of quasirandom sequences (2018); in one dimension the golden ratio.
"""

import numpy as np
from jaxtyping import Float


def spread(number: int, dimensions: int) -> Float[np.ndarray, "n d"]:
    """The first points of the sequence.

    >>> from infinity.inverse.spread import spread
    >>> spread(3, 1).round(3).ravel().tolist()
    [0.5, 0.118, 0.736]
    """
    g = 2.0
    for _ in range(64):
        g = (1 + g) ** (1 / (dimensions + 1))
    return (0.5 + np.arange(number)[:, None] * g ** -np.arange(1.0, dimensions + 1)) % 1.0
