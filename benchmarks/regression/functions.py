"""Smooth engineering functions with no options set: `inf.fit` beside the regressors that people reach for.

    python -m benchmarks.regression.functions [--seeds 5] [--peer-seeds 1] [--out benchmarks/results]

NRMSE on 20,000 points that no method saw, and for `inf.fit` the share of them inside its 90 % intervals. Peers are scikit-learn's, with the settings below
chosen from a small grid on a tenth of the rows, as `inf.fit` chooses its own; they may run on fewer of the seeds. Seconds are from the call to the end; the
first seed of a function compiles its programs. Functions and ranges: Surjanovic and Bingham, Virtual Library of Simulation Experiments (Simon Fraser
University).
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.provenance import header
from infinity.cli.problems import PROBLEMS


def friedman(a, b, c, d, e, *_):
    return 10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e


def otl(Rb1, Rb2, Rf, Rc1, Rc2, beta):
    Vb1, gain = 12 * Rb2 / (Rb1 + Rb2), beta * (Rc2 + 9)
    return ((Vb1 + 0.74) * gain + 11.35 * Rf + 0.74 * Rf * gain / Rc1) / (gain + Rf)


def wing(Sw, Wfw, A, Lam, q, lam, tc, Nz, Wdg, Wp):
    cosine = np.cos(np.deg2rad(Lam))
    shape = Sw**0.758 * Wfw**0.0035 * (A / cosine**2) ** 0.6 * q**0.006 * lam**0.04
    return 0.036 * shape * (100 * tc / cosine) ** -0.3 * (Nz * Wdg) ** 0.49 + Sw * Wp


def piston(M, S, V0, k, P0, Ta, T0):
    A = P0 * S + 19.62 * M - k * V0 / S
    V = S / (2 * k) * (np.sqrt(A**2 + 4 * k * P0 * V0 / T0 * Ta) - A)
    return 2 * np.pi * np.sqrt(M / (k + S**2 * P0 * V0 / T0 * Ta / V**2))


def from_ranges(function, ranges):
    low, high = np.asarray(ranges, float).T
    return lambda rng, count: (lambda x: (x, function(*x.T)))(rng.uniform(low, high, (count, len(low))))


def borehole(rng, count):
    return PROBLEMS["borehole"].sample(count, int(rng.integers(2**31)))


FUNCTIONS = {
    "borehole": borehole,
    "Friedman1": from_ranges(friedman, [(0, 1)] * 10),
    "OTL circuit": from_ranges(otl, [(50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)]),
    "wing weight": from_ranges(
        wing,
        [
            (150, 200),
            (220, 300),
            (6, 10),
            (-10, 10),
            (16, 45),
            (0.5, 1),
            (0.08, 0.18),
            (2.5, 6),
            (1700, 2500),
            (0.025, 0.08),
        ],
    ),
    "piston": from_ranges(
        piston,
        [(30, 60), (0.005, 0.02), (0.002, 0.01), (1000, 5000), (90e3, 110e3), (290, 296), (340, 360)],
    ),
}


def peers(count: int) -> Iterator[tuple[str, Any]]:
    regressors: Any = (
        HistGradientBoostingRegressor,
        MLPRegressor,
    )  # their annotations are narrower than their arguments
    trees, perceptron = regressors
    one = lambda estimator, grid: GridSearchCV(estimator, grid, cv=ShuffleSplit(1, test_size=0.1, random_state=0))
    boosting = trees(max_iter=1500, early_stopping=False, random_state=0)
    yield "boosted trees", one(boosting, {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [15, 31]})
    network = make_pipeline(
        StandardScaler(), perceptron(hidden_layer_sizes=(128, 128), max_iter=1000, tol=1e-7, random_state=0)
    )
    yield "network 128-128", one(network, {"mlpregressor__learning_rate_init": [1e-3, 4e-3]})
    if count <= 1000:
        yield "Gaussian process", None


def predict_with(name, estimator, x, y, xt):
    low, scale, mean, deviation = x.min(0), np.ptp(x, axis=0), y.mean(), y.std()
    t, z = (x - low) / scale, (y - mean) / deviation
    if name == "Gaussian process":
        lengths: Any = np.ones(x.shape[1])
        kernel = ConstantKernel(10.0, (1e-3, 1e6)) * RBF(lengths, (1e-2, 1e3))
        estimator = GaussianProcessRegressor(kernel, alpha=1e-10)
    estimator.fit(t, z)
    return mean + deviation * estimator.predict((xt - low) / scale)


def one(name: str, count: int, seed: int, beside: bool) -> dict[str, tuple[float, float, float]]:
    """NRMSE, seconds and coverage of `inf.fit`, and of its peers beside it."""
    rng = np.random.default_rng(seed)
    (x, y), (xt, yt) = FUNCTIONS[name](rng, count), FUNCTIONS[name](rng, 20_000)
    error = lambda p: float(np.sqrt(np.mean((np.asarray(p) - yt) ** 2)) / yt.std())
    began = time.perf_counter()
    result = inf.fit(x, y, outside="linear", seed=seed)
    seconds = time.perf_counter() - began
    lower, upper = result.intervals(xt, 0.9)
    found = {"infinity": (error(result.predict(xt)), seconds, float(np.mean((yt >= lower) & (yt <= upper))))}
    print(
        name,
        count,
        seed,
        result.options["link"],
        result.options["degree"][0],
        result.options["modes"],
        found,
        flush=True,
    )
    for peer, estimator in peers(count) if beside else ():
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p = predict_with(peer, estimator, x, y, xt)
        found[peer] = (error(p), time.perf_counter() - began, float("nan"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Smooth functions, no options set.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-seeds", type=int, default=1)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    lines = []
    for count in options.counts:
        for name in FUNCTIONS:
            runs = [one(name, count, seed, seed < options.peer_seeds) for seed in range(options.seeds)]
            for method in runs[0]:
                values = np.array([run[method] for run in runs if method in run])
                (nrmse, seconds, coverage), worst = np.median(values, axis=0), values[:, 0].max()
                covered = "" if np.isnan(coverage) else f"{coverage:.3f}"
                errors = f"{nrmse:.2e} | {worst:.2e} | {len(values)}"
                lines.append(f"| {name} | {count} | {method} | {errors} | {seconds:.1f} | {covered} |")
                print(lines[-1], flush=True)
    title = "# Smooth functions, no options set\n\n"
    note = (
        "Medians over the seeds, and the worst of them. NRMSE on 20,000 new points; seconds from the call to the end, selection included, and for the\n"
        "first seed of a function compilation; the last column is the share of new points inside the 90 % intervals.\n\n"
    )
    table = "| function | samples | method | NRMSE | worst | seeds | seconds | inside 90 % |\n|" + " --- |" * 8 + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    text = title + header(f"0 to {options.seeds - 1}") + "\n\n" + note + table + "\n".join(lines) + "\n"
    (options.out / "functions.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
