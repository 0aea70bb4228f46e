"""Borehole: error over time of the direct solve and of what people use today.

    taskset -c 0 env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        python -m benchmarks.regression.over_time [--samples 10000] [--seconds 60] [--methods ...] [--out benchmarks/results]

All see the same standardised samples, inputs on the unit box. A method that has settings to choose tries each of them for a tenth of the budget, and the
best one gets all of it; its curve is the least error so far over both. Clocks stop for evaluations and, where the method says so, start after
compilation; errors are on 20,000 points that no method saw.
"""

import argparse
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)
matplotlib.use("Agg")

import infinity as inf
from benchmarks.provenance import ROOT, header
from benchmarks.regression.borehole import LEVELS, direct, reached, unit
from benchmarks.regression.cases import Case, Curve, processor_seconds
from benchmarks.regression.peers_over_time import histogram, kan, kriging, xgboost
from infinity.cli.problems import PROBLEMS

RATES = (1e-2, 3e-3, 1e-3)
BATCH = 256
STEPS = 50  # in one compiled call
TRIAL = 0.1


def borehole(samples: int, seed: int) -> Case:
    problem = PROBLEMS["borehole"]
    (x, y), (xt, yt) = problem.sample(samples, seed), problem.sample(20_000, seed + 1)
    box = list(problem.ranges.values())
    return Case(unit(x, box), (y - y.mean()) / y.std(), unit(xt, box), (yt - y.mean()) / y.std(), seed)


def solved(case: Case, seconds: float) -> Curve:
    """The direct solve of a model whose size is given."""
    start = inf.KHRONOS([(0.0, 1.0)] * 8, modes=10, elements=5, degree=3, outputs=1, key=jax.random.key(case.seed))
    x, y, xt = jnp.asarray(case.x), jnp.asarray(case.y)[:, None], jnp.asarray(case.xt)
    evaluate = eqx.filter_jit(lambda model: jnp.sqrt(jnp.mean((jax.vmap(model)(xt)[:, 0] - case.yt) ** 2)))
    return direct(start, x, y, evaluate)


def chosen(case: Case, seconds: float) -> Curve:
    """`inf.fit` with no options set."""
    began = processor_seconds()
    result = inf.fit(case.x, case.y, outside="linear", seed=case.seed)
    spent = processor_seconds() - began
    return [(spent, case.error(result.predict(case.xt)))]


def hats(case: Case, seconds: float) -> Curve:
    """A sum of products of hat functions, trained as in interpolating neural networks."""
    key = jax.random.key(case.seed)
    start = inf.KHRONOS(
        [(0.0, 1.0)] * 8, modes=16, elements=12, degree=1, constant=False, additive=False, outputs=1, key=key
    )
    return trained(start, case, seconds)


def network(case: Case, seconds: float) -> Curve:
    """A network of three hidden layers."""
    return trained(eqx.nn.MLP(8, 1, 128, 3, jax.nn.silu, key=jax.random.key(case.seed)), case, seconds)


def trained(start: Any, case: Case, seconds: float) -> Curve:
    """Adam on batches in single precision, with a cosine schedule over as many steps as the budget holds."""
    single = lambda tree: jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, tree)
    params, static = eqx.partition(single(start), eqx.is_inexact_array)
    x, y, xt = single((jnp.asarray(case.x), jnp.asarray(case.y), jnp.asarray(case.xt)))
    values = jax.jit(lambda params, x: jax.vmap(eqx.combine(params, static))(x).reshape(len(x), *y.shape[1:]))
    direction = optax.scale_by_adam()

    @jax.jit
    def steps(params, state, key, rate, share):
        """A few steps; `share` of the budget is behind them, `(STEPS,)`."""

        def step(carry, given):
            params, state = carry
            key, share = given
            rows = jax.random.randint(key, (min(BATCH, len(x)),), 0, len(x))
            loss = lambda params: jnp.mean((values(params, x[rows]) - y[rows]) ** 2)
            updates, state = direction.update(jax.grad(loss)(params), state)
            size = -rate * (1 + jnp.cos(jnp.pi * share)) / 2
            return (
                optax.apply_updates(params, jax.tree.map(lambda u: (size * u).astype(u.dtype), updates)),
                state,
            ), None

        return jax.lax.scan(step, (params, state), (jax.random.split(key, STEPS), share))[0]

    def timed(state, key, rate, share):
        began = processor_seconds()
        state = jax.block_until_ready(steps(*state, key, rate, share))
        return state, processor_seconds() - began

    first = (params, direction.init(params))
    still = (jax.random.key(0), 0.0, jnp.zeros(STEPS))
    timed(first, *still)  # compiles

    def run(rate: float, seconds: float) -> Curve:
        calls = max(1, round(seconds / timed(first, *still)[1]))
        state, marks, spent = first, [], 0.0
        for call, key in enumerate(jax.random.split(jax.random.key(case.seed), calls)):
            share = (call * STEPS + jnp.arange(STEPS)) / (calls * STEPS)
            state, each = timed(state, key, rate, share)
            spent += each
            if call % max(1, calls // 40) == 0 or call == calls - 1:
                marks.append((spent, case.error(values(state[0], xt))))
        return marks

    return best_of(run, RATES, seconds)


def best_of(run: Callable[[Any, float], Curve], settings: tuple, seconds: float) -> Curve:
    """Try each setting for a tenth of the budget, then the best one for all of it: the least error so far of both."""
    tried = {setting: run(setting, TRIAL * seconds) for setting in settings}
    least = lambda curve: min((error for _, error in curve if np.isfinite(error)), default=math.inf)
    best = min(tried, key=lambda setting: least(tried[setting]))
    marks = sorted([*tried[best], *run(best, seconds)])
    errors = np.minimum.accumulate([error if np.isfinite(error) else np.inf for _, error in marks])
    return [(spent, float(error)) for (spent, _), error in zip(marks, errors, strict=True)]


# The package that a method needs beside our own, and the extra that has it.
NEEDS = {"XGBoost": ("xgboost", "bench"), "Kriging (SMT)": ("smt", "bench"), "KAN (pykan)": ("kan", "kan")}
METHODS: dict[str, Callable[[Case, float], Curve]] = {
    "infinity, direct, 705 unknowns": solved,
    "infinity, `inf.fit(x, y)`, compilation included": chosen,
    "products of hat functions, Adam (as INN)": hats,
    "MLP 128-128-128, Adam": network,
    "KAN (pykan)": lambda case, seconds: best_of(kan(case), ((8, 4, 1), (8, 8, 1)), seconds),
    "XGBoost": lambda case, seconds: best_of(
        xgboost(case), tuple((rate, depth) for rate in (0.3, 0.1, 0.03) for depth in (4, 6)), seconds
    ),
    "HistGradientBoosting": lambda case, seconds: best_of(histogram(case), (0.3, 0.1, 0.03), seconds),
    "Kriging (SMT)": kriging,
}


def lacking(method: str) -> str | None:
    """What to say of a method whose package is not installed."""
    package, extra = NEEDS.get(method, ("numpy", ""))
    missing = importlib.util.find_spec(package) is None
    return f"not run: {package} is not installed (extra `{extra}`)" if missing else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=tuple(METHODS), metavar="METHOD")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    case = borehole(options.samples, options.seed)
    found: dict[str, Curve] = {}
    lines = [
        "# Borehole: error over time",
        "",
        header(options.seed, ("scikit-learn", "xgboost", "smt", "pykan", "torch")),
        "",
        f"{options.samples} samples, 8 inputs, {options.seconds:g} s of processor time for each method, one core. Seconds until the NRMSE on",
        "20,000 new points falls to a level. A method with settings tries each for a tenth of that time, uncounted, and the best one gets all of it.",
        "Adam, with batches of 256 and a cosine schedule, runs in float32 and is compiled before its clock starts, as is the direct solve. Kriging",
        "is fitted to 250, to 500 and to 1,000 samples, as far as the time allows.",
        "",
        "| method | " + " | ".join(f"{level:g}" for level in LEVELS) + " | at the end | seconds in all |",
        "| --- |" + " --- |" * (len(LEVELS) + 2),
    ]
    for name in options.methods:
        reason = lacking(name)
        if reason is None:
            found[name] = curve = METHODS[name](case, options.seconds)
            cells = " | ".join(reached(curve, level) for level in LEVELS)
            lines.append(f"| {name} | {cells} | {curve[-1][1]:.2e} | {curve[-1][0]:.1f} |")
        else:
            lines.append(f"| {name} | " + " | ".join(["-"] * len(LEVELS)) + f" | {reason} | |")
        print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "over_time.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture(found).savefig(options.out / "over_time.png", dpi=150)


def picture(found: dict[str, Curve]):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, curve in found.items():
        seconds, error = np.array(curve).T
        axes.loglog(np.maximum(seconds, 1e-2), error, "-o" if len(curve) < 5 else "-", markersize=4, label=name)
    axes.set(xlabel="seconds", ylabel="NRMSE on new points", title="Borehole")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
