"""Other regressors on the same rows: fitted to those that Infinity saw, judged on those that it did not."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

PEERS = ("linear", "gradient boosting", "random forest")


def check_available() -> None:
    """Refuse before any work where scikit-learn is missing; a `ValueError` with the line to type."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ValueError("comparing with peers needs scikit-learn: pip install 'infinity[sklearn]'") from error


def compare(names: Sequence[str], x: np.ndarray, y: np.ndarray, heldout: Any, seed: int) -> list[dict[str, Any]]:
    """Fit each peer with its library's own defaults.

    **Arguments:**

    - `names`: some of `PEERS`.
    - `x`: inputs, shape `(N, D)`.
    - `y`: targets, shape `(N, O)`.
    - `heldout`: indices of the rows to judge by; when empty, the peers are judged on the rows they saw.
    - `seed`: for those that are random.

    **Returns:** a dict for each peer: name, rmse, nrmse, r2, max_error, seconds.
    """
    from ..fitting.result import metrics_of

    test = np.asarray(heldout, dtype=int)
    train = np.setdiff1d(np.arange(len(x)), test)
    test = train if len(test) == 0 else test
    found = []
    for name in names:
        start = time.perf_counter()
        model = _make(name, seed)
        columns = [model.fit(x[train], y[train, o]).predict(x[test]) for o in range(y.shape[1])]
        seconds = time.perf_counter() - start
        found.append({"name": name, **metrics_of(y[test], np.stack(columns, axis=1)), "seconds": seconds})
    return found


def _make(name: str, seed: int) -> Any:
    check_available()
    if name == "linear":
        from sklearn.linear_model import LinearRegression

        return LinearRegression()
    if name == "gradient boosting":
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(random_state=seed)
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(random_state=seed)
