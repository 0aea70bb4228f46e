r"""Two predictions of the same thing, each with how far it expects to be off, made into one.

    u = (1 - s) u_a + s u_b,    s = b var_a / (b var_a + var_b)

Each counts for as much as it knows: by the inverse of the variance that it expects of a new measurement. As either may be too sure of itself, the balance `b`
of each target minimises the error on measurements that neither has seen, and is drawn to 1 where these say little.
"""

import numpy as np
from jaxtyping import Float

# What is known of the balance before: about 1, give or take this in its logarithm.
SPREAD = 2.0
_TRIED = np.linspace(-8.0, 8.0, 161)

Described = tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]


def share(balance: np.ndarray, std: np.ndarray, other_std: np.ndarray) -> np.ndarray:
    """How much the second counts."""
    variance = balance * std**2
    total = variance + other_std**2
    return variance / np.where(total > 0, total, 1.0)


def mixed(balance: Float[np.ndarray, " O"], one: Described, other: Described) -> Described:
    """Values and standard deviations of both together.

    Both err for the same reasons, so that their deviations add up and not their variances.
    """
    s = share(balance, one[1], other[1])
    value, std = ((1 - s) * a + s * b for a, b in zip(one, other, strict=True))
    return value, std


def best_balance(
    z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"], one: Described, other: Described
) -> Float[np.ndarray, " O"]:
    """The balance that is best on measurements `z` with weights, of which both have values and standard deviations.

    >>> import numpy as np
    >>> from infinity.fitting.balance import best_balance
    >>> z, ones = np.sin(np.arange(50.0))[:, None], np.ones((50, 1))
    >>> bool(best_balance(z, np.ones(50), (0 * z, ones), (z, ones))[0] > 100)
    True
    """
    best = []
    for o in range(z.shape[1]):
        s = share(np.exp(_TRIED), one[1][:, o, None], other[1][:, o, None])
        left = (z - one[0])[:, o, None] - s * (other[0] - one[0])[:, o, None]
        score = len(z) * np.log(weights @ left**2 + np.finfo(float).tiny) + (_TRIED / SPREAD) ** 2
        best.append(np.exp(_TRIED[np.argmin(score)]))
    return np.array(best)
