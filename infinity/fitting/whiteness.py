r"""Is anything left in the residuals? The test of Ljung and Box (Biometrika 65, 1978).

    Q = n (n + 2) sum_{k=1}^{h} rho_k^2 / (n - k)  ~  chi^2 with h - q degrees of freedom if the residuals are white

for `q` fitted parameters, where as many lags remain.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2


def whiteness(residuals: Float[np.ndarray, " N"], parameters: int = 0, lags: int | None = None) -> dict[str, float]:
    """Test residuals in the order in which they were measured.

    **Arguments:** the residuals `(N,)`; the number of fitted parameters; the number of lags, by default the smaller of `N/5` and 40.

    **Returns:** the `statistic`, the number of `lags`, and `p_value`, the probability of a larger statistic from white residuals; below 0.01 the model has left
    something out. With fewer than ten residuals, or none that differ from zero, the probability is not a number.
    """
    n = len(residuals)
    h = min(n // 5, 40) if lags is None else lags
    centred = residuals - residuals.mean() if n else residuals
    total = float(np.sum(centred**2))
    if n < 10 or total == 0:
        return {"statistic": float("nan"), "lags": h, "p_value": float("nan")}
    correlations = np.array([np.sum(centred[k:] * centred[:-k]) for k in range(1, h + 1)]) / total
    statistic = float(n * (n + 2) * np.sum(correlations**2 / (n - np.arange(1, h + 1))))
    freedom = h - parameters if h > parameters else h
    return {"statistic": statistic, "lags": h, "p_value": float(chi2.sf(statistic, freedom))}
