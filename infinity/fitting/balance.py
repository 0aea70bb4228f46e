r"""Two predictions of the same thing, each with how far it expects to be off, made into one.

    u = (1 - s) u_a + s u_b,    s = b (var_a - c) / (b (var_a - c) + var_b - c)

Each counts for as much as it knows: by the inverse of the variance that it expects of a new measurement. What both expect everywhere, `c`, is in the
measurements and tells nothing of either: only what exceeds it counts (the best weights of errors with a common part: Bates and Granger, Oper. Res. Q. 20,
1969). As either may be too sure of itself, the balance `b` of each target minimises the error on measurements that neither has seen, and is drawn to 1 where
these say little, because they are few or because a few of them make most of what a balance can change.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

# What is known of the balance before: about 1, give or take this in its logarithm.
SPREAD = 0.7
# The common part, as a share of the least variance that either expects.
COMMON = 0.95
_TRIED = np.linspace(-8.0, 8.0, 161)

Described = tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]


class Balance(eqx.Module):
    """How two predictions count, for each target.

    **Fields:** the balance, `weight` `(O,)`, 0 for the first alone; the variance that both have in `common` `(O,)`.
    """

    weight: Float[Array, " O"]
    common: Float[Array, " O"]

    def mixed(self, one: Described, other: Described, unknown: Bool[np.ndarray, " N"] | None = None) -> Described:
        """Values and standard deviations of both together.

        Both err for the same reasons, so that their deviations add up and not their variances. At points that are `unknown`, unlike any that the balance was
        found on, it is 1.
        """
        weight = np.asarray(self.weight)
        if unknown is not None:
            weight = np.where(unknown[:, None] & (weight > 0), 1.0, weight)
        s = _share(weight, np.asarray(self.common), one[1], other[1])
        value, std = ((1 - s) * a + s * b for a, b in zip(one, other, strict=True))
        return value, std


def equal(outputs: int) -> Balance:
    """The balance of which nothing is known."""
    return Balance(jnp.ones(outputs), jnp.zeros(outputs))


def best_balance(
    z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"], one: Described, other: Described
) -> Balance:
    """The balance that is best on measurements `z` with weights, of which both have values and standard deviations.

    >>> import numpy as np
    >>> from infinity.fitting.balance import best_balance
    >>> z, ones = np.sin(np.arange(50.0))[:, None], np.ones((50, 1))
    >>> bool(best_balance(z, np.ones(50), (0 * z, ones), (z, ones)).weight[0] > 100)
    True
    """
    common = COMMON * np.minimum(np.min(one[1], axis=0), np.min(other[1], axis=0)) ** 2
    best = []
    for o in range(z.shape[1]):
        s = _share(np.exp(_TRIED), common[o : o + 1], one[1][:, o, None], other[1][:, o, None])
        left = (z - one[0])[:, o, None] - s * (other[0] - one[0])[:, o, None]
        squares = weights @ left**2 + np.finfo(float).tiny
        moved = (s * (1 - s) * (other[0] - one[0])[:, o, None])[:, len(_TRIED) // 2]
        count = _telling(left[:, len(_TRIED) // 2], moved, weights)
        score = count * np.log(squares) + (_TRIED / SPREAD) ** 2
        best.append(np.exp(_TRIED[np.argmin(score)]))
    return Balance(jnp.asarray(np.array(best)), jnp.asarray(common))


def _telling(left: np.ndarray, moved: np.ndarray, weights: np.ndarray) -> float:
    r"""How many measurements with errors of a normal distribution would tell the balance as well as these do.

    The slope of the squares with the logarithm of the balance is that of `e_i d_i`, `d` what a change of it moves the prediction by. If errors are as large
    where it moves much as elsewhere, these products vary by `mean e^2 mean d^2`, as normal ones do; if a few wild errors are where it moves most, by more, and
    the count is less by that ratio (the information of Godambe, Ann. Math. Stat. 31, 1960).
    """
    e, d = left**2 * weights / np.mean(weights), moved**2
    products = max(float(np.mean(e * d)), np.finfo(float).tiny)
    return len(left) * min(1.0, float(np.mean(e) * np.mean(d)) / products)


def _share(weight: np.ndarray, common: np.ndarray, std: np.ndarray, other_std: np.ndarray) -> np.ndarray:
    """How much the second counts."""
    least = (1 / COMMON - 1) * common  # with more measurements a variance may fall below the common part
    own, other = (np.maximum(std**2 - common, least) for std in (std, other_std))
    total = weight * own + other
    return weight * own / np.where(total > 0, total, 1.0)
