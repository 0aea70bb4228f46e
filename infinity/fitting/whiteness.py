r"""Is anything left in the residuals? The test of Ljung and Box (Biometrika 65, 1978).

    Q = n (n + 2) sum_{k=1}^{h} rho_k^2 / (n - k)

For white residuals Q is nearly chi^2 with `h` degrees of freedom. Those of a fit are not white: what lies in the span of the slopes of the model has been taken
out, at few frequencies, which correlates the rest. Therefore Q is compared with that of white noise from which the same is taken out, by a scaled chi^2 of the
same mean and variance.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammaincc

# Draws of white noise for mean and variance, and numbers drawn at most.
_DRAWS = 400
_NUMBERS = 2**22


def whiteness(
    residuals: Float[np.ndarray, " N"], slopes: Float[np.ndarray, "N q"] | None = None, lags: int | None = None
) -> dict[str, float]:
    """Test residuals in the order in which they were measured.

    **Arguments:** the residuals `(N,)`; the slopes of the fitted model by its parameters at the samples, in the same order, if they come from a fit; the number
    of lags, by default the smaller of `N/5` and 40.

    **Returns:** the `statistic`, the number of `lags`, and `p_value`, the probability of a larger statistic from white noise; below 0.01 the model has left
    something out. With fewer than ten residuals, or none that differ from zero, the probability is not a number.
    """
    n = len(residuals)
    h = min(n // 5, 40) if lags is None else lags
    if n < 10 or np.ptp(residuals) == 0:
        return {"statistic": float("nan"), "lags": h, "p_value": float("nan")}
    statistic = float(_statistic(residuals[None], h)[0])
    if slopes is None:
        return {"statistic": statistic, "lags": h, "p_value": _beyond(statistic, float(h))}
    length = np.linalg.norm(slopes, axis=0)
    U, singular, _ = np.linalg.svd(slopes[:, length > 0] / length[length > 0], full_matrices=False)
    U = U[:, singular > 1e-10 * singular[:1].sum()]
    noise = np.random.default_rng(0).standard_normal((max(min(_DRAWS, _NUMBERS // n), 50), n))
    null = _statistic(noise - (noise @ U) @ U.T, h)
    mean, variance = np.mean(null), np.var(null)
    p_value = _beyond(float(statistic * 2 * mean / variance), float(2 * mean**2 / variance))
    return {"statistic": statistic, "lags": h, "p_value": p_value}


def _beyond(statistic: float, freedom: float) -> float:
    """The probability that chi^2 with so many degrees of freedom is larger."""
    return float(gammaincc(freedom / 2, statistic / 2))


def _statistic(rows: Float[np.ndarray, "B N"], h: int) -> Float[np.ndarray, " B"]:
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    products = np.stack([np.sum(centred[:, k:] * centred[:, : n - k], axis=1) for k in range(h + 1)], axis=1)
    correlations = products[:, 1:] / products[:, :1]
    return n * (n + 2) * np.sum(correlations**2 / (n - np.arange(1, h + 1)), axis=1)
