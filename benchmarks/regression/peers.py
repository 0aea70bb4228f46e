"""The regressors that people reach for, each tuned on the training part alone.

Boosted trees by XGBoost and by scikit-learn and extremely randomised trees see the inputs as they are, networks and Gaussian processes standardised ones;
the target is standardised for all. The Gaussian process has a Matérn kernel with a length for each input, a scale and noise; its smoothness (3/2, 5/2 or
infinite) and its start are the best likelihood on 300 rows, its parameters that on 1,000 rows from there, and its data 2,000 rows. All on one core.
"""

import math
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .tables import Table
from .tuning import LARGE, Outcome, Peer, Predict, Seconds, Settings, tuned

# scikit-learn's annotations are narrower than what it takes.
trees: Any = HistGradientBoostingRegressor
perceptron: Any = MLPRegressor
gaussian_process: Any = GaussianProcessRegressor

MOST_ROUNDS = 2000
PATIENCE = 25
TREES = {"search": 50, "last": 200}
# Rows of the Gaussian process: for its start, for its parameters, and to predict from.
START_ROWS, PARAMETER_ROWS, GAUSSIAN_ROWS = 300, 1000, 2000
LIKELIHOOD_STEPS = 25


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def one_of(rng: np.random.Generator, options: tuple) -> Any:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def draw_xgboost(rng: np.random.Generator) -> Settings:
    return {
        "learning_rate": log_uniform(rng, 0.03, 0.3),
        "max_depth": int(rng.integers(3, 10)),
        "min_child_weight": log_uniform(rng, 1, 20),
        "subsample": float(rng.uniform(0.5, 1)),
        "colsample_bytree": float(rng.uniform(0.5, 1)),
        "reg_lambda": log_uniform(rng, 0.1, 10),
    }


def fit_xgboost(settings: Settings, table: Table, validation: Table | None) -> tuple[Predict, Settings]:
    given = {key: value for key, value in settings.items() if key != "rounds"}
    model = import_module("xgboost").XGBRegressor(  # an extra; the others do without
        **given,
        n_estimators=settings.get("rounds", MOST_ROUNDS),
        early_stopping_rounds=None if validation is None else PATIENCE,
        tree_method="hist",
        n_jobs=1,
        random_state=0,
    )
    if validation is None:
        return model.fit(table.x, table.y).predict, settings
    model.fit(table.x, table.y, eval_set=[(validation.x, validation.y)], verbose=False)
    return model.predict, {**settings, "rounds": int(model.best_iteration) + 1}


def draw_histogram(rng: np.random.Generator) -> Settings:
    return {
        "learning_rate": log_uniform(rng, 0.05, 0.3),
        "max_leaf_nodes": round(log_uniform(rng, 4, 48)),
        "min_samples_leaf": round(log_uniform(rng, 2, 30)),
        "l2_regularization": log_uniform(rng, 1e-3, 10),
        "max_features": float(rng.uniform(0.5, 1)),
    }


def fit_histogram(settings: Settings, table: Table, validation: Table | None) -> tuple[Predict, Settings]:
    given = {key: value for key, value in settings.items() if key != "rounds"}
    stop = {"early_stopping": validation is not None, "n_iter_no_change": PATIENCE}
    model = trees(**given, **stop, max_iter=settings.get("rounds", MOST_ROUNDS), random_state=0)
    if validation is None:
        return model.fit(table.x, table.y).predict, settings
    model.fit(table.x, table.y, X_val=validation.x, y_val=validation.y)
    return model.predict, {**settings, "rounds": max(int(model.n_iter_) - PATIENCE, 1)}


def draw_extra_trees(rng: np.random.Generator) -> Settings:
    return {"max_features": float(rng.uniform(0.3, 1)), "min_samples_leaf": one_of(rng, (1, 1, 2, 3, 5))}


def fit_extra_trees(settings: Settings, table: Table, validation: Table | None) -> tuple[Predict, Settings]:
    count = TREES["last" if validation is None else "search"]
    return ExtraTreesRegressor(count, **settings, n_jobs=1, random_state=0).fit(table.x, table.y).predict, settings


def draw_network(rng: np.random.Generator) -> Settings:
    size = {
        "hidden_layer_sizes": one_of(rng, ((32,), (64,), (128,), (32, 32), (64, 64), (128, 128))),
        "activation": one_of(rng, ("relu", "tanh")),
    }
    if rng.uniform() < 0.5:
        return {**size, "solver": "lbfgs", "alpha": log_uniform(rng, 1e-3, 30)}
    rate = log_uniform(rng, 1e-3, 1e-2)
    return {**size, "solver": "adam", "alpha": log_uniform(rng, 1e-6, 1), "learning_rate_init": rate}


def fit_network(settings: Settings, table: Table, validation: Table | None) -> tuple[Predict, Settings]:
    # L-BFGS has no early stop: its penalty and the number of its steps are its brakes.
    steps = 300 if len(table.y) <= LARGE else 150
    stop = {"max_iter": steps} if settings["solver"] == "lbfgs" else {"max_iter": 150, "early_stopping": True}
    model = make_pipeline(StandardScaler(), perceptron(**settings, **stop, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(table.x, table.y).predict, settings


def gaussian(table: Table, seed: int) -> Outcome:
    """A Gaussian process by its likelihood."""
    start = Seconds.now()
    order = np.random.default_rng([seed, 1]).permutation(len(table.y))
    scaler = StandardScaler().fit(table.x)
    x, y = scaler.transform(table.x)[order], table.y[order]

    def at(kernel: Kernel, rows: int, steps: int) -> Any:
        model = gaussian_process(kernel, alpha=1e-8, optimizer=ascent(steps) if steps else None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # lengths of inputs that do nothing end at their bounds
            return model.fit(x[:rows], y[:rows])

    tried = [at(kernel(table.x.shape[1], nu), START_ROWS, LIKELIHOOD_STEPS) for nu in (1.5, 2.5, math.inf)]
    best = max(tried, key=lambda model: model.log_marginal_likelihood_value_)
    again = at(best.kernel_, PARAMETER_ROWS, LIKELIHOOD_STEPS)
    middle = Seconds.now()
    last = at(again.kernel_, GAUSSIAN_ROWS, 0)
    settings = {"kernel": str(last.kernel_), "rows": min(len(y), GAUSSIAN_ROWS)}
    predict = lambda x: last.predict(scaler.transform(x))
    return Outcome(predict, settings, middle.since(start), Seconds.now().since(middle))


def kernel(dimensions: int, nu: float) -> Kernel:
    lengths: Any = np.ones(dimensions)  # one for each input
    matern = Matern(lengths, (1e-2, 1e3), nu=nu)
    return ConstantKernel(1.0, (1e-3, 1e4)) * matern + WhiteKernel(0.1, (1e-7, 10))


def ascent(steps: int) -> Callable:
    """scikit-learn's optimiser of the likelihood, with an end."""

    def optimise(loss, start, bounds):
        found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": steps})
        return found.x, found.fun

    return optimise


SEARCHED = {
    "XGBoost": Peer({"learning_rate": 0.1, "max_depth": 6}, draw_xgboost, fit_xgboost, 24, 16),
    "HistGradientBoosting": Peer({"learning_rate": 0.1}, draw_histogram, fit_histogram, 14, 8),
    "ExtraTrees": Peer({"max_features": 1.0, "min_samples_leaf": 1}, draw_extra_trees, fit_extra_trees, 16, 8),
    "MLP": Peer({"hidden_layer_sizes": (100,), "solver": "lbfgs", "alpha": 1.0}, draw_network, fit_network, 14, 5),
}
PEERS = (*SEARCHED, "Gaussian process")


def fit_peer(name: str, table: Table, seed: int) -> Outcome:
    """Tune a peer on a table and fit it, the target in units of its spread."""
    mean, deviation = table.y.mean(), table.y.std()
    standard = table._replace(y=(table.y - mean) / deviation)
    outcome = gaussian(standard, seed) if name not in SEARCHED else tuned(SEARCHED[name], standard, seed)
    return outcome._replace(predict=lambda x: mean + deviation * outcome.predict(x))
