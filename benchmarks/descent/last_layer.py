"""A network of 1-64-64-1 with tanh on 2,000 samples of a smooth function: loss over time.

    loss(p) = 1/N sum_k (mlp_p(x_k) - f(x_k))^2,    f(x) = sin(8 x) exp(-x^2) + x / 2 on [-2, 2]

The last layer enters affinely: it can be solved for exactly at any value of the others. Infinite Descent finds that
out and eliminates it; its peers do not. `python -m benchmarks.descent.last_layer` writes
`benchmarks/results/last_layer.md` and `.png`.

Every method starts at the same parameters and is compiled before its clock starts (compile times stand beside). Infinite
Descent makes one outer step, in which the loss is recorded after each iteration; those are placed evenly over its run
time, although the first, the exact last layer, takes the least. Every peer then gets that run time. Adam gets its
learning rate by trial on the first seed, and a cosine decay over as many steps as fit.
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
import numpy as np
import optax
import optimistix as optx
from jax.flatten_util import ravel_pytree

from benchmarks.provenance import ROOT, header
from infinity.descent import InfiniteDescent

SAMPLES = 2000
RATES = (1e-3, 3e-3, 1e-2)
TARGETS = (1e-3, 1e-5, 1e-8, 1e-12)


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
    """The network's arrays as one vector, and the residuals and loss of that vector."""

    start: jax.Array
    network: Any
    data: tuple[jax.Array, jax.Array]
    residuals: Callable
    loss: Callable


def make_task(seed: int) -> Task:
    """Draw the network; the samples are the same for every seed."""
    x = jnp.linspace(-2.0, 2.0, SAMPLES)
    y = jnp.sin(8 * x) * jnp.exp(-(x**2)) + x / 2
    network = eqx.nn.MLP(1, "scalar", 64, 2, activation=jnp.tanh, key=jax.random.key(seed))
    arrays, static = eqx.partition(network, eqx.is_array)

    def residuals(arrays, data):
        model = eqx.combine(arrays, static)
        return jax.vmap(lambda x: model(x[None]))(data[0]) - data[1]

    start, unravel = ravel_pytree(arrays)

    def loss(vector):
        return jnp.mean(residuals(unravel(vector), (x, y)) ** 2)

    return Task(start, arrays, (x, y), residuals, loss)


def compiled_for(function: Callable, *arguments: Any) -> Callable:
    """Compile a function for arguments of these shapes, ahead of any call."""
    jitted: Any = eqx.filter_jit(function)
    return jitted.lower(*arguments).compile()


def stepped(step: Callable, state: Any, first_loss: float, budget: float, times: int | None = None) -> Curve:
    """Repeat a compiled `state -> (state, loss)` so many times, or else until the budget of seconds is spent."""
    begin = time.perf_counter()
    compiled = compiled_for(step, state)
    compile_seconds = time.perf_counter() - begin
    seconds, losses = [0.0], [first_loss]
    begin = time.perf_counter()
    while (seconds[-1] < budget if times is None else len(seconds) <= times) and math.isfinite(losses[-1]):
        state, loss = jax.block_until_ready(compiled(state))
        seconds.append(time.perf_counter() - begin)
        losses.append(float(loss))
    return Curve(seconds, losses, compile_seconds)


def first_order(
    task: Task,
    budget: float,
    optimiser: optax.GradientTransformationExtraArgs,
    chunk: int,
    times: int | None = None,
) -> Curve:
    """Run an Optax optimiser on the full batch, `chunk` steps between two readings of the clock."""
    initial = optimiser.init(task.start)
    keeps_gradient = optax.tree_utils.tree_get(initial, "grad") is not None
    # A line search has evaluated the next point already and keeps the gradient there.
    reuse: Any = optax.value_and_grad_from_state(task.loss)
    evaluate = jax.value_and_grad(task.loss)

    def one(state, _):
        vector, inner = state
        loss, gradient = reuse(vector, state=inner) if keeps_gradient else evaluate(vector)
        updates, inner = optimiser.update(gradient, inner, vector, value=loss, grad=gradient, value_fn=task.loss)
        return (optax.apply_updates(vector, updates), inner), None

    def step(state):
        state, _ = jax.lax.scan(one, state, length=chunk)
        return state, task.loss(state[0])

    return stepped(step, (task.start, initial), float(task.loss(task.start)), budget, times)


def adam(task: Task, budget: float, rate: float) -> Curve:
    """Adam with a cosine decay to zero over the steps that a short trial says will fit the budget."""
    chunk = 100
    trial = first_order(task, budget / 10, optax.with_extra_args_support(optax.adam(rate)), chunk)
    per_chunk = trial.seconds[-1] / (len(trial.seconds) - 1)
    times = max(int(budget / per_chunk), 1)
    schedule = optax.cosine_decay_schedule(rate, chunk * times)
    return first_order(task, budget, optax.with_extra_args_support(optax.adam(schedule)), chunk, times)


def levenberg_marquardt(task: Task, budget: float) -> Curve:
    """Optimistix's Levenberg-Marquardt, one step between two readings of the clock."""
    solver = optx.LevenbergMarquardt(rtol=1e-12, atol=1e-12)

    def fn(arrays, data):
        return task.residuals(arrays, data), None

    tags = frozenset()
    struct, _ = jax.eval_shape(lambda: fn(task.network, task.data))
    state = solver.init(fn, task.network, task.data, {}, struct, None, tags)
    moving, fixed = eqx.partition(state, eqx.is_array)

    def step(carried):
        arrays, moving = carried
        arrays, state, _ = solver.step(fn, arrays, task.data, {}, eqx.combine(moving, fixed), tags)
        return (arrays, eqx.filter(state, eqx.is_array)), jnp.mean(task.residuals(arrays, task.data) ** 2)

    return stepped(step, (task.network, moving), float(task.loss(task.start)), budget)


def infinite_descent(task: Task, iterations: int) -> Curve:
    """Make one outer step of at most so many inner iterations for each of its attempts."""
    solver = InfiniteDescent(rtol=1e-12, atol=1e-12, max_iterations=iterations)

    def solve(arrays, data):
        solution = optx.least_squares(task.residuals, solver, arrays, args=data, max_steps=1, throw=False)
        ledger = solution.state.ledger
        return jnp.mean(task.residuals(solution.value, data) ** 2), ledger.history, ledger.recorded

    begin = time.perf_counter()
    compiled = compiled_for(solve, task.network, task.data)
    compile_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    final, history, recorded = jax.block_until_ready(compiled(task.network, task.data))
    seconds = time.perf_counter() - begin
    # The ledger holds |r|^2 / 2, first that of the start. A second attempt starts anew, and the best of both is kept.
    entries = np.minimum.accumulate(np.asarray(history)[1 : int(recorded)])
    losses = [2 * float(loss) / SAMPLES for loss in entries] + [float(final)]
    times = np.linspace(0, seconds, len(losses) + 1)[1:]
    return Curve([0.0, *times], [float(task.loss(task.start)), *losses], compile_seconds)


def direct(task: Task) -> Curve:
    """Solve for the last layer alone, exactly, with the others as drawn."""
    network = task.network

    def last_layer(network):
        return network.layers[-1].weight, network.layers[-1].bias

    def residuals(last, data):
        return task.residuals(eqx.tree_at(last_layer, network, last), data)

    def solve(last, data):
        solver = InfiniteDescent(rtol=1e-12, atol=1e-12)
        value = optx.least_squares(residuals, solver, last, args=data, max_steps=1, throw=False).value
        return jnp.mean(residuals(value, data) ** 2)

    begin = time.perf_counter()
    compiled = compiled_for(solve, last_layer(network), task.data)
    compile_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    loss = float(compiled(last_layer(network), task.data))
    return Curve([0.0, time.perf_counter() - begin], [float(task.loss(task.start)), loss], compile_seconds)


def run_all(seeds: int, iterations: int) -> tuple[dict[str, list[Curve]], float]:
    """Run all methods on all seeds; give their curves and the learning rate that Adam was given."""
    rate = RATES[0]
    curves: dict[str, list[Curve]] = {}

    def keep(seed: int, name: str, curve: Curve) -> None:
        curves.setdefault(name, []).append(curve)
        print(f"seed {seed}, {name}: loss {curve.losses[-1]:.2e} in {curve.seconds[-1]:.3g} s", flush=True)

    for seed in range(seeds):
        task = make_task(seed)
        keep(seed, "last layer alone", direct(task))
        keep(seed, "Infinite Descent", infinite_descent(task, iterations))
        budget = curves["Infinite Descent"][-1].seconds[-1]
        if seed == 0:
            trials = {tried: adam(task, budget / 2, tried) for tried in RATES}
            rate = min(trials, key=lambda tried: trials[tried].losses[-1])
        keep(seed, "Adam", adam(task, budget, rate))
        keep(seed, "L-BFGS", first_order(task, budget, optax.lbfgs(), 10))
        keep(seed, "Optimistix LM", levenberg_marquardt(task, budget))
    return curves, rate


def table(curves: dict[str, list[Curve]]) -> str:
    """Median seconds to each loss, and the losses at the end."""
    columns = [f"to {target:.0e}, s" for target in TARGETS]
    lines = ["| method | " + " | ".join(columns) + " | final loss, median (range) | run, s | compile, s |"]
    lines.append("| --- " * (len(columns) + 4) + "|")
    for name, runs in curves.items():
        cells = []
        for target in TARGETS:
            times = [run.time_to(target) for run in runs]
            met = sum(map(math.isfinite, times))
            middle = statistics.median_high(times)
            text = f"{middle:.3g}" if math.isfinite(middle) else "–"
            cells.append(text if met in (0, len(runs)) else f"{text} ({met} of {len(runs)})")
        final = sorted(run.losses[-1] for run in runs)
        cells.append(f"{statistics.median(final):.1e} ({final[0]:.1e} to {final[-1]:.1e})")
        cells.append(f"{statistics.median(run.seconds[-1] for run in runs):.3g}")
        cells.append(f"{statistics.median(run.compile_seconds for run in runs):.3g}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def picture(curves: dict[str, list[Curve]], target: Path) -> None:
    """Loss over time, one colour a method, one line a seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), constrained_layout=True)
    for index, (name, runs) in enumerate(curves.items()):
        for run in runs:
            later = [(second, loss) for second, loss in zip(run.seconds, run.losses, strict=True) if second > 0]
            seconds, losses = zip(*later, strict=True)
            label = name if run is runs[0] else None
            ax.plot(seconds, losses, color=f"C{index}", marker="o" if len(losses) == 1 else None, label=label, lw=1.2)
    ax.set(xscale="log", yscale="log", xlabel="run time in seconds, compilation apart", ylabel="mean squared error")
    ax.set_title("MLP 1-64-64-1, 2,000 samples: loss over time")
    ax.grid(alpha=0.3)
    ax.legend()
    figure.savefig(target, dpi=150)
    plt.close(figure)


def main(seeds: int, iterations: int, folder: Path) -> None:
    jax.config.update("jax_enable_x64", True)
    curves, rate = run_all(seeds, iterations)
    folder.mkdir(parents=True, exist_ok=True)
    picture(curves, folder / "last_layer.png")
    text = (
        f"# An MLP of 1-64-64-1 on 2,000 samples\n\n"
        f"Seconds of run time until the mean squared error is below each value: medians over {seeds} initial networks; "
        "– where it was not met. Each peer gets the run time that Infinite Descent took, which gets at most "
        f"{iterations} iterations for each of its two attempts. Adam has a learning rate of {rate:g}, the best of "
        f"{', '.join(f'{rate:g}' for rate in RATES)} on the first seed, and a cosine decay.\n\n"
        f"{table(curves)}\n\n![loss over time](last_layer.png)\n\n{header(f'0 to {seeds - 1}')}\n"
    )
    (folder / "last_layer.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=10, help="of Infinite Descent, for each of its attempts")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.iterations, arguments.out)
