"""Peers of `over_time.py` that other packages make, which are imported when they are run."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case, Curve, processor_seconds

MARKS = 40
MOST_ROUNDS = 10_000
KRIGING_SAMPLES = (250, 500, 1000)


def marked(rounds: int) -> list[int]:
    """Numbers of rounds to look at, more of them early, from none to all."""
    return [0, *np.unique(np.geomspace(1, rounds, MARKS).round().astype(int)).tolist()]


def xgboost(case: Case) -> Callable[[tuple[float, int], float], Curve]:
    """Boosted trees over rounds, by learning rate and depth."""

    def run(setting: tuple[float, int], seconds: float) -> Curve:
        xgboost: Any = import_module("xgboost")

        class Clock(xgboost.callback.TrainingCallback):
            def __init__(self):
                super().__init__()
                self.times: list[float] = []

            def after_iteration(self, model, epoch, evals_log):
                self.times.append(processor_seconds() - began)
                return self.times[-1] > seconds

        rate, depth = setting
        options = {"learning_rate": rate, "max_depth": depth, "nthread": 1, "tree_method": "hist", "base_score": 0.0}
        data, new = xgboost.DMatrix(case.x, case.y, nthread=1), xgboost.DMatrix(case.xt, nthread=1)
        clock, began = Clock(), processor_seconds()
        model = xgboost.train(options, data, MOST_ROUNDS, callbacks=[clock], verbose_eval=False)
        values, curve = np.zeros(len(case.yt)), []
        for first, last in pairwise(marked(len(clock.times))):
            values = values + model.predict(new, iteration_range=(first, last))
            curve.append((clock.times[last - 1], case.error(values)))
        return curve

    return run


def histogram(case: Case) -> Callable[[float, float], Curve]:
    """Boosted trees over rounds, by learning rate; the time of a run is spread evenly over them."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    regressor: Any = HistGradientBoostingRegressor  # its annotations are narrower than its arguments

    def timed(rate: float, rounds: int) -> tuple[Any, float]:
        model = regressor(learning_rate=rate, max_iter=rounds, early_stopping=False, random_state=case.seed)
        began = processor_seconds()
        return model.fit(case.x, case.y), processor_seconds() - began

    def run(rate: float, seconds: float) -> Curve:
        each = timed(rate, 50)[1] / 50
        model, spent = timed(rate, min(max(1, round(seconds / each)), MOST_ROUNDS))
        wanted = set(marked(model.n_iter_))
        stages = enumerate(model.staged_predict(case.xt), start=1)
        return [(spent * at / model.n_iter_, case.error(values)) for at, values in stages if at in wanted]

    return run


def kan(case: Case) -> Callable[[tuple[int, ...], float], Curve]:
    """A Kolmogorov-Arnold network by L-BFGS in float64, as its authors train it, by its layers."""

    class Enough(Exception):  # noqa: N818 - not an error: the time is up, and the package has no other way to be told
        pass

    def run(layers: tuple[int, ...], seconds: float) -> Curve:
        torch: Any = import_module("torch")
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        x, y, xt = (
            torch.from_numpy(2 * case.x - 1),
            torch.from_numpy(case.y.reshape(len(case.y), -1)),
            torch.from_numpy(2 * case.xt - 1),
        )
        data = {"train_input": x, "train_label": y, "test_input": x[:1], "test_label": y[:1]}
        curve: Curve = []
        spent = 0.0

        def mark():
            nonlocal spent, began
            spent += processor_seconds() - began
            with torch.no_grad():
                curve.append((spent, case.error(model(xt).numpy())))
            if spent > seconds:
                raise Enough
            began = processor_seconds()
            return torch.zeros(())

        with contextlib.ExitStack() as quiet:  # the package reports its progress on both streams
            folder = quiet.enter_context(tempfile.TemporaryDirectory())
            nowhere = quiet.enter_context(Path(os.devnull).open("w"))
            quiet.enter_context(contextlib.redirect_stdout(nowhere))
            quiet.enter_context(contextlib.redirect_stderr(nowhere))
            quiet.enter_context(contextlib.suppress(Enough))
            model = import_module("kan").KAN(
                list(layers), grid=5, k=3, seed=case.seed, auto_save=False, save_act=False, ckpt_path=folder
            )
            model.speed()
            began = processor_seconds()
            model.fit(data, opt="LBFGS", steps=100_000, metrics=[mark])
        return curve

    return run


def kriging(case: Case, seconds: float) -> Curve:
    """Kriging with a Gaussian correlation, a mark for each number of samples; the next one takes about four times as long."""
    surrogates = import_module("smt.surrogate_models")
    curve: Curve = []
    for count in sorted({min(count, len(case.y)) for count in KRIGING_SAMPLES}):
        if curve and 4 * curve[-1][0] > seconds:
            break
        model = surrogates.KRG(print_global=False, hyper_opt="Cobyla", n_start=1, seed=case.seed)
        model.set_training_values(case.x[:count], case.y[:count])
        began = processor_seconds()
        model.train()
        curve.append((processor_seconds() - began, case.error(model.predict_values(case.xt))))
    return curve
