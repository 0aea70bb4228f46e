"""Borehole, one model, three ways to find its parameters: the direct solve, Adam and L-BFGS.

    python -m benchmarks.regression.borehole [--samples 10000] [--seconds 60] [--out benchmarks/results]

All start from the same KHRONOS with the same numbers, on the same standardised samples, in float64. Adam gets the best of four learning rates, each tried
for a tenth of the budget, then the whole budget with a cosine schedule fitted to it. Clocks run after compilation; errors are on 20,000 points that
no method saw.
"""

import argparse
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)
matplotlib.use("Agg")

import infinity as inf
from benchmarks.provenance import header
from infinity.cli.problems import PROBLEMS
from infinity.fitting.direct import fit_separable

LEVELS = (1e-1, 1e-2, 3e-3, 1e-3, 5e-4)


def unit(x, box):
    low, high = np.asarray(box).T
    return (x - low) / (high - low)


def curves(samples: int, seconds: float, seed: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and test NRMSE along each method."""
    problem = PROBLEMS["borehole"]
    x, y = problem.sample(samples, seed)
    xt, yt = problem.sample(20_000, seed + 1)
    box = list(problem.ranges.values())
    mean, deviation = y.mean(), y.std()
    X, Xt = jnp.asarray(unit(x, box)), jnp.asarray(unit(xt, box))
    Y, Yt = jnp.asarray((y - mean) / deviation).reshape(-1, 1), jnp.asarray((yt - mean) / deviation).reshape(-1, 1)
    start = inf.KHRONOS([(0.0, 1.0)] * 8, modes=10, elements=5, degree=3, outputs=1, key=jax.random.key(seed))
    evaluate = eqx.filter_jit(lambda model: jnp.sqrt(jnp.mean((jax.vmap(model)(Xt) - Yt) ** 2)))
    params, static = eqx.partition(start, eqx.is_inexact_array)
    error = lambda params: float(evaluate(eqx.combine(params, static)))
    loss = lambda params: jnp.mean((jax.vmap(eqx.combine(params, static))(X) - Y) ** 2)
    result = {"direct": direct(start, X, Y, evaluate)}
    rates = (3e-2, 1e-2, 3e-3, 1e-3)
    trials = {rate: descend(optax.adam(rate), params, loss, error, seconds / 10) for rate in rates}
    tried = {rate: curve[-1][1] for rate, (curve, _) in trials.items()}
    best = min(tried, key=lambda rate: tried[rate] if np.isfinite(tried[rate]) else np.inf)
    steps = 10 * trials[best][1]
    schedule = optax.cosine_decay_schedule(best, max(steps, 1))
    result[f"Adam ({best:g}, cosine)"] = descend(optax.adam(schedule), params, loss, error, seconds)[0]
    result["L-BFGS"] = descend(optax.lbfgs(), params, loss, error, seconds, line_search=True)[0]
    return result


def direct(start, X, Y, evaluate) -> list[tuple[float, float]]:
    weights = jnp.ones(len(X))
    solve = lambda progress: fit_separable(start, X, Y, weights, tolerance=1e-2, progress=progress)
    solve(None)  # compiles
    marks: list[tuple[float, float]] = []
    clock = {"start": time.perf_counter(), "paused": 0.0}

    def progress(event):
        now = time.perf_counter()
        if event["iteration"] % 2 == 0:
            marks.append((now - clock["start"] - clock["paused"], float(evaluate(event["model"]))))
        clock["paused"] += time.perf_counter() - now

    found = solve(progress)
    total = time.perf_counter() - clock["start"] - clock["paused"]
    return [*marks, (total, float(evaluate(found.model)))]


def descend(
    optimiser, params, loss, error, seconds: float, line_search: bool = False
) -> tuple[list[tuple[float, float]], int]:
    """Run an Optax optimiser for a time, its evaluation for the record left out of the clock: the curve and the steps taken."""
    # L-BFGS keeps value and gradient of its line search in its state.
    value_and_grad = optax.value_and_grad_from_state(loss) if line_search else None
    plain = jax.value_and_grad(loss)

    @jax.jit
    def many(params, state):
        def step(carry, _):
            params, state = carry
            value, gradient = plain(params) if value_and_grad is None else value_and_grad(params, state=state)
            extra = {} if value_and_grad is None else {"value": value, "grad": gradient, "value_fn": loss}
            updates, state = optimiser.update(gradient, state, params, **extra)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), length=5)[0]

    state = optimiser.init(params)
    jax.block_until_ready(many(params, state))
    spent, record, rounds = 0.0, [(0.0, error(params))], 0
    while spent < seconds:
        began = time.perf_counter()
        params, state = jax.block_until_ready(many(params, state))
        spent += time.perf_counter() - began
        rounds += 1
        if rounds % 4 == 0:
            record.append((spent, error(params)))
    return [*record, (spent, error(params))], 5 * rounds


def reached(curve, level: float) -> str:
    times = [seconds for seconds, value in curve if value <= level]
    return f"{times[0]:.1f}" if times else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    found = curves(options.samples, options.seconds, options.seed)
    lines = [
        "# Borehole: one model, three ways to find its parameters",
        "",
        header(options.seed),
        "",
        f"KHRONOS, 10 modes, 5 cells, cubic, 705 unknowns, {options.samples} samples. Seconds after compilation until the NRMSE on 20,000 new",
        "points falls to a level.",
        "",
        "| method | " + " | ".join(f"{level:g}" for level in LEVELS) + " | at the end, new points | seconds in all |",
        "| --- |" + " --- |" * (len(LEVELS) + 2),
    ]
    for name, curve in found.items():
        cells = " | ".join(reached(curve, level) for level in LEVELS)
        lines.append(f"| {name} | {cells} | {curve[-1][1]:.2e} | {curve[-1][0]:.1f} |")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "borehole.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, curve in found.items():
        seconds, error = np.array(curve).T
        axes.loglog(np.maximum(seconds, 1e-2), error, label=name)
    axes.set(xlabel="seconds after compilation", ylabel="NRMSE", title="Borehole, 705 unknowns, same start")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(options.out / "borehole.png", dpi=150)


if __name__ == "__main__":
    main()
