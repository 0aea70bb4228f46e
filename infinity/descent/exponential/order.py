r"""How many atoms a noisy record supports.

    J(K) = n/2 log(RSS_K / n) + sum over atoms of (4 log n, or 2 log n where omega is fixed at an end)

The asymptotic maximum a posteriori rule: a linear parameter counts `log(n)/2`, a rate `3 log(n)/2`, because its Fisher information grows with the third power
of the number of samples (Djuric, IEEE Trans. Signal Process. 44, 1996, for undamped tones; the damping is a rate like the frequency). Where few samples are
left over, the correction of Hurvich and Tsai (Biometrika 76, 1989), `q n / (n - q - 1)` for `q` parameters, is larger and takes its place. The sum of
squares is not believed below rounding of the samples.
"""

import numpy as np

# Rounding of a sum of squares, in units of the precision times the size of the samples.
ROUNDING = 50.0


def floor(total: float, eps: float) -> float:
    """Half a sum of squares below which a fit is exact to rounding; `total` is that of the samples themselves."""
    return total * (ROUNDING * eps) ** 2


def criterion(loss: float, atoms: int, real_atoms: int, samples: float, least: float) -> float:
    """The criterion `J` of a fit.

    **Arguments:** half the sum of squares; how many atoms there are and how many of them have a fixed frequency; the number of samples; the loss of rounding.

    **Returns:** the criterion in nats, smaller is better.
    """
    rss = 2 * max(loss, least, np.finfo(float).tiny)
    parameters = 4 * (atoms - real_atoms) + 2 * real_atoms
    left = max(samples - parameters - 1, 0.5)
    penalty = parameters * max(np.log(samples), samples / left)
    return float(0.5 * samples * np.log(rss / samples) + penalty)
