"""One line of a training loop changed: `optax.adam` against `inf.infinite_descent`, on an MLP of 2-32-32-1 with tanh.

    loss(p) = 1/N sum_k (mlp_p(x_k) - f(x_k))^2,    f(x) = sin(3 x_1) cos(2 x_2) + x_1 x_2 / 2 on [-1, 1]^2

`python -m benchmarks.aion.drop_in` writes `benchmarks/results/drop-in.md` and `.png`.

Both loops start at the same parameters, run in one process and are compiled before their clocks start. An update of Infinite Descent solves for the last layer
exactly and makes a few trust-region iterations on the others; the clock is read after each. Adam gets the time of Infinite Descent several times over and its
learning rate by trial over a grid, for each seed the one that ends lowest.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import infinity as inf
from benchmarks.provenance import ROOT, header

SAMPLES = 512
RATES = (1e-3, 3e-3, 1e-2)
TARGETS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# Steps of Adam between two readings of the clock.
CHUNK = 50


class Curve(NamedTuple):
    """Loss over seconds of run time, and the seconds of compilation before it."""

    seconds: list[float]
    losses: list[float]
    compile_seconds: float

    def time_to(self, target: float) -> float:
        """Seconds to the first loss at or below the target, infinite if it was never met."""
        met = [second for second, loss in zip(self.seconds, self.losses, strict=True) if loss <= target]
        return met[0] if met else math.inf


class Task(NamedTuple):
    """The start, the residuals of parameters and batch, and the data."""

    params: Any
    residuals: Callable
    data: tuple[jax.Array, jax.Array]


def make_task(seed: int) -> Task:
    """Draw the network; the samples are the same for every seed."""
    x = jax.random.uniform(jax.random.key(99), (SAMPLES, 2), minval=-1.0, maxval=1.0)
    y = jnp.sin(3 * x[:, 0]) * jnp.cos(2 * x[:, 1]) + x[:, 0] * x[:, 1] / 2
    model = eqx.nn.MLP(2, "scalar", 32, 2, activation=jnp.tanh, key=jax.random.key(seed))
    params, static = eqx.partition(model, eqx.is_inexact_array)

    def residuals(params, batch):
        x, y = batch
        return jax.vmap(eqx.combine(params, static))(x) - y

    return Task(params, residuals, (x, y))


def trained(task: Task, optimiser: optax.GradientTransformationExtraArgs, steps: int, budget: float) -> Curve:
    """The loop: the same for every optimiser; `steps` updates between two readings of the clock."""

    def loss(params, data):
        return jnp.mean(task.residuals(params, data) ** 2)

    def one(carry, _):
        params, state, data = carry
        grads = jax.grad(loss)(params, data)
        updates, state = optimiser.update(grads, state, params, args=data)
        return (optax.apply_updates(params, updates), state, data), None

    @jax.jit
    def advance(params, state, data):
        (params, state, _), _ = jax.lax.scan(one, (params, state, data), length=steps)
        return params, state, loss(params, data)

    params, state = task.params, optimiser.init(task.params)
    begin = time.perf_counter()
    compiled = advance.lower(params, state, task.data).compile()
    compile_seconds = time.perf_counter() - begin
    seconds, losses = [0.0], [float(loss(params, task.data))]
    begin = time.perf_counter()
    while seconds[-1] < budget:
        params, state, value = jax.block_until_ready(compiled(params, state, task.data))
        seconds.append(time.perf_counter() - begin)
        losses.append(float(value))
    return Curve(seconds, losses, compile_seconds)


def run_all(seeds: int, budget: float, patience: float) -> tuple[dict[str, list[Curve]], list[float]]:
    """Both optimisers on all seeds, and the learning rate that was best for each."""
    curves: dict[str, list[Curve]] = {"inf.infinite_descent": [], "optax.adam": []}
    rates = []
    for seed in range(seeds):
        task = make_task(seed)
        ours = trained(task, inf.infinite_descent(task.residuals, steps=4), 1, budget)
        trials = {rate: trained(task, _with_extra(optax.adam(rate)), CHUNK, patience * budget) for rate in RATES}
        best = min(trials, key=lambda rate: min(trials[rate].losses))
        curves["inf.infinite_descent"].append(ours)
        curves["optax.adam"].append(trials[best])
        rates.append(best)
        print(f"seed {seed}: {min(ours.losses):.2e} against {min(trials[best].losses):.2e} (rate {best:g})", flush=True)
    return curves, rates


def _with_extra(optimiser: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    return optax.with_extra_args_support(optimiser)


def table(curves: dict[str, list[Curve]]) -> str:
    """Median seconds to each loss, and the losses at the end."""
    lines = ["| optimiser | " + " | ".join(f"to {target:.0e}, s" for target in TARGETS)]
    lines[0] += " | lowest loss, median (range) | updates | run, s | compile, s |"
    lines.append("| --- " * (len(TARGETS) + 5) + "|")
    for name, runs in curves.items():
        cells = []
        for target in TARGETS:
            times = [run.time_to(target) for run in runs]
            met = sum(map(math.isfinite, times))
            middle = statistics.median_high(times)
            text = f"{middle:.3g}" if math.isfinite(middle) else "–"
            cells.append(text if met in (0, len(runs)) else f"{text} ({met} of {len(runs)})")
        final = sorted(min(run.losses) for run in runs)
        cells.append(f"{statistics.median(final):.1e} ({final[0]:.1e} to {final[-1]:.1e})")
        updates = (CHUNK if "adam" in name else 1) * statistics.median(len(run.losses) - 1 for run in runs)
        cells += [f"{updates:.0f}", f"{statistics.median(run.seconds[-1] for run in runs):.3g}"]
        cells.append(f"{statistics.median(run.compile_seconds for run in runs):.3g}")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def equal_loss(curves: dict[str, list[Curve]]) -> str:
    """How much sooner the lowest loss of Adam is met."""
    pairs = list(zip(*curves.values(), strict=True))
    gains = []
    for ours, adam in pairs:
        reached = min(adam.losses)
        gains.append(adam.time_to(reached) / ours.time_to(reached))
    low, middle, high = min(gains), statistics.median(gains), max(gains)
    return f"The lowest loss that Adam reaches is met {middle:.3g} times sooner (median of {len(pairs)} seeds; {low:.3g} to {high:.3g})."


def picture(curves: dict[str, list[Curve]], target: Path) -> None:
    """Loss over time, one colour an optimiser, one line a seed."""
    from infinity.plot.figure import BLUE, ORANGE, new_axes, tidy

    ax = new_axes(size=(6.4, 4.2))[0, 0]
    for (name, runs), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        for run in runs:
            ax.plot(run.seconds[1:], run.losses[1:], color=colour, lw=1.1, label=name if run is runs[0] else None)
    ax.set(xscale="log", yscale="log", xlabel="run time in seconds, compilation apart", ylabel="mean squared error")
    ax.set_title("MLP 2-32-32-1, 512 samples: the optimiser is the only change", fontsize=10)
    ax.legend(frameon=False)
    tidy(ax)
    ax.figure.savefig(target, dpi=150)


def main(seeds: int, budget: float, patience: float, folder: Path) -> None:
    jax.config.update("jax_enable_x64", True)
    curves, rates = run_all(seeds, budget, patience)
    folder.mkdir(parents=True, exist_ok=True)
    picture(curves, folder / "drop-in.png")
    text = (
        "# One line of a training loop changed\n\n"
        f"An MLP of 2-32-32-1 (1,185 parameters), tanh, {SAMPLES} samples, full batch, float64. Seconds of run time until the mean squared error is below "
        f"each value: medians over {seeds} initial networks; – where it was not met. The loop is the same, with the gradients, which `inf.infinite_descent` "
        f"does not use; its updates make four trust-region iterations (`steps=4`). It gets {budget:g} s, Adam {patience:g} times as much at each of the "
        f"learning rates {', '.join(f'{rate:g}' for rate in RATES)}; the best one is shown (by seed: {', '.join(f'{rate:g}' for rate in rates)}).\n\n"
        f"{table(curves)}\n\n{equal_loss(curves)}\n\n![loss over time](drop-in.png)\n\n{header(f'0 to {seeds - 1}')}\n"
    )
    (folder / "drop-in.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of Infinite Descent a seed")
    parser.add_argument("--patience", type=float, default=2.0, help="times that Adam gets at each learning rate")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.budget, arguments.patience, arguments.out)
