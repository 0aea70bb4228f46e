"""Two real series: one direct fit and its forecast beside a seasonal ARIMA of statsmodels.

    python -m benchmarks.aion.series [--out benchmarks/results]

Sunspots, yearly 1700 to 2008, and carbon dioxide at Mauna Loa, monthly means 1958 to 2001, both as statsmodels ships them. The last tenth is forecast from
the rest; the seasonal ARIMA is the one of lowest AIC over a small grid of orders with the known season, 11 years and 12 months. AION gets no period. The
last value repeated, and the last season repeated, show what a forecast has to beat.
"""

import argparse
import importlib
import itertools
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np

jax.config.update("jax_enable_x64", True)
matplotlib.use("Agg")

import matplotlib.pyplot as plt

import infinity as inf
from benchmarks.provenance import ROOT, header

ORDERS = tuple(itertools.product(((1, 0, 0), (1, 1, 1), (2, 0, 1), (2, 1, 1)), ((0, 1, 1), (1, 1, 1), (1, 0, 0))))


def series() -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Times, values and the season of each series."""
    sm: Any = importlib.import_module("statsmodels.api")
    spots = sm.datasets.sunspots.load_pandas().data
    weekly = sm.datasets.co2.load_pandas().data["co2"]
    monthly = weekly.resample("MS").mean().interpolate()
    years = monthly.index.year + (monthly.index.month - 0.5) / 12
    return {
        "sunspots, yearly": (spots["YEAR"].to_numpy(float), spots["SUNACTIVITY"].to_numpy(float), 11),
        "CO2 at Mauna Loa, monthly": (np.asarray(years, float), monthly.to_numpy(float), 12),
    }


def arima(y: np.ndarray, ahead: int, season: int) -> tuple[np.ndarray, str]:
    """The forecast of the seasonal ARIMA of lowest AIC."""
    SARIMAX: Any = importlib.import_module("statsmodels.tsa.statespace.sarimax").SARIMAX
    best: Any = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for order, seasonal in ORDERS:
            fit = SARIMAX(y, order=order, seasonal_order=(*seasonal, season)).fit(disp=False, maxiter=50)
            if best is None or fit.aic < best[0]:
                best = (fit.aic, fit.forecast(ahead), f"ARIMA{order}x{seasonal}")
    return np.asarray(best[1]), best[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    rows, figure = [], plt.figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 1)
    for ax, (name, (t, y, season)) in zip(axes, series().items(), strict=True):
        ahead = round(0.1 * len(y))
        past, future = y[:-ahead], y[-ahead:]
        start = time.perf_counter()
        result = inf.fit(t, y, model="aion", holdout=ahead / len(y))
        seconds = time.perf_counter() - start
        ours = result.heldout_prediction[:, 0]
        start = time.perf_counter()
        theirs, chosen = arima(past, ahead, season)
        theirs_seconds = time.perf_counter() - start
        repeated = np.resize(past[-season:], ahead)
        error = lambda forecast, future=future: float(np.sqrt(np.mean((forecast - future) ** 2)))
        there = np.asarray(result.model.inner.canonical().omega).ravel()
        periods = ", ".join(f"{2 * np.pi / w:.2f}" for w in there[there > 0])
        rows += [
            (name, f"AION, periods {periods} (of the fit to all)", f"{error(ours):.3g}", f"{seconds:.1f}"),
            (name, f"seasonal {chosen}, season {season} given", f"{error(theirs):.3g}", f"{theirs_seconds:.1f}"),
            (name, "the last season repeated", f"{error(repeated):.3g}", ""),
            (name, "the last value repeated", f"{error(np.full(ahead, past[-1])):.3g}", ""),
        ]
        print("\n".join(" | ".join(row) for row in rows[-4:]), flush=True)
        shown = slice(-4 * ahead, None)
        ax.plot(t[shown], y[shown], color="0.3", linewidth=1, label="measured")
        ax.plot(t[-ahead:], ours, color="C0", label="AION")
        ax.plot(t[-ahead:], theirs, color="C1", label=f"seasonal {chosen}")
        ax.axvline(t[-ahead], color="0.8")
        ax.set(title=f"{name}: forecast of the last tenth", xlabel="year")
        ax.legend(loc="upper left", fontsize=8)
    lines = [
        "# Forecasts of two series",
        "",
        header(0, ("statsmodels",)),
        "",
        "| series | model | RMSE of the last tenth | seconds |",
        "| --- | --- | --- | --- |",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    (options.out / "aion-series.md").write_text("\n".join([*lines, ""]))
    figure.savefig(options.out / "aion-series.png", dpi=130)


if __name__ == "__main__":
    main()
