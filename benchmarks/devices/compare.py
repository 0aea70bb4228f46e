"""The same work on every device of a machine, in single and in double precision: seconds, and how far the results are from those in double precision.

    python -m benchmarks.devices.compare [--platforms cuda cpu] [--precisions float32 float64] [--parts ...] [--samples 300000] [--out benchmarks/results]

Each device and precision is measured in a process of its own, one after another; every measurement begins with a run that compiles. The reference of an
error is worked out by NumPy in double precision, or is the function that the samples were drawn from. Measurements join those in `devices.jsonl`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import infinity as inf
from benchmarks.aion.problems import signal
from benchmarks.provenance import ROOT, provenance
from benchmarks.regression.borehole import unit
from infinity.cli.problems import PROBLEMS
from infinity.descent.exponential.batch import solve_batch
from infinity.fitting.direct import fit_separable
from infinity.models import Evaluator

D, MODES, CELLS, DEGREE = 8, 10, 5, 3
STEPS, REPEATS = 8, 5
POINTS, SIGNALS, NEW = 1_000_000, 4096, 20_000
Row = dict[str, Any]


def borehole(samples: int, seed: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points of the unit box and values of mean zero and variance one."""
    problem = PROBLEMS["borehole"]
    x, y = problem.sample(samples, seed)
    return unit(x, list(problem.ranges.values())).astype(dtype), ((y - y.mean()) / y.std()).astype(dtype)


def khronos(modes: int, seed: int) -> inf.KHRONOS:
    """A model of unknowns drawn at random."""
    return inf.KHRONOS([(0.0, 1.0)] * D, modes=modes, elements=CELLS, degree=DEGREE, key=jax.random.key(seed))


def seconds(run: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The median time of a run after one that compiles."""
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begun)
    return float(np.median(times[1:]))


def step(samples: int, seed: int, dtype: Any) -> Iterator[Row]:
    """A step of the direct fit, which is three passes over all samples and one exact solve."""
    for count in (samples, 3 * samples):
        x, y = borehole(count, seed, dtype)
        marks: list[float] = []
        arrays = jnp.asarray(x), jnp.asarray(y)[:, None], jnp.ones(count, dtype)
        found = fit_separable(
            khronos(MODES, seed), *arrays, tolerance=1e-12, most_iterations=STEPS + 2,
            progress=lambda event, marks=marks: marks.append(time.perf_counter()),
        )  # fmt: skip
        each = float(np.median(np.diff(marks)[1:]))
        yield {
            "work": f"direct fit, {count:,} samples, a step",
            "seconds": each,
            "rate": f"{count / each / D:.2e} samples/s a sweep",
            "error": float(np.sqrt(2 * float(found.state.normal.loss) / count)),
            "measure": f"NRMSE after {STEPS + 2} steps",
        }


def fit(samples: int, seed: int, dtype: Any) -> Iterator[Row]:
    """`inf.fit` with no options, in physical units, twice: the first time compiles."""
    (x, y), (new, truth) = (
        PROBLEMS["borehole"].sample(count, draw) for count, draw in ((samples, seed), (NEW, seed + 1))
    )
    for attempt in ("first call", "again"):
        begun = time.perf_counter()
        result = inf.fit(x.astype(dtype), y.astype(dtype))
        elapsed = time.perf_counter() - begun
        error = np.asarray(result.model.predict(new.astype(dtype)), np.float64).ravel() - truth
        yield {
            "work": f"`inf.fit`, {samples:,} samples, no options, {attempt}",
            "seconds": elapsed,
            "rate": f"{samples / elapsed:.2e} samples/s",
            "error": float(np.sqrt(np.mean(error**2)) / truth.std()),
            "measure": "NRMSE on new points",
        }


def train(samples: int, seed: int, dtype: Any) -> Iterator[Row]:
    """An update of all unknowns by Adam on all samples, compiled."""
    x, y = (jnp.asarray(a) for a in borehole(samples, seed, dtype))
    model, optimiser = khronos(MODES, seed), optax.adam(1e-2)
    params, static = jax.tree.flatten(model)

    def loss(params):
        return jnp.mean((jax.vmap(jax.tree.unflatten(static, params))(x)[:, 0] - y) ** 2)

    @jax.jit
    def update(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        moves, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, moves), state, value

    state = optimiser.init(params)
    each = seconds(lambda: update(params, state))
    yield {"work": f"Adam, {samples:,} samples, an update", "seconds": each, "rate": f"{samples / each:.2e} samples/s"}


def evaluate(samples: int, seed: int, dtype: Any) -> Iterator[Row]:
    """Values at many points, by the tables of the evaluator and by the model itself."""
    model, x = khronos(8, seed), np.random.default_rng(seed).uniform(size=(POINTS, D)).astype(dtype)
    few, product = x[:1000].astype(np.float64), np.ones((1000, 8))
    for d, basis in enumerate(model.bases):
        first, values = jax.vmap(basis.local)(jnp.asarray(few[:, d], dtype))
        places = np.asarray(first)[:, None] + np.arange(values.shape[1])
        coefficients = np.asarray(model.factors[d], np.float64)[:, places]
        product *= np.sum(coefficients * np.asarray(values, np.float64), axis=2).T
    mixing = np.ones((1, 8)) if model.mixing is None else np.asarray(model.mixing, np.float64)
    truth = product @ mixing.T
    truth = truth[:, 0] + (0.0 if model.constant is None else float(np.asarray(model.constant)[0]))
    points = jnp.asarray(x)
    for name, run in (
        ("Evaluator", eqx.filter_jit(Evaluator(model))),
        ("vmap(model)", eqx.filter_jit(jax.vmap(model))),
    ):
        each = seconds(lambda run=run: run(points))
        error = np.asarray(run(points[:1000]), np.float64).ravel() - truth
        yield {
            "work": f"`{name}`, {POINTS:,} points, 8 modes",
            "seconds": each,
            "rate": f"{1e9 * each / POINTS:.2f} ns a point",
            "error": float(np.max(np.abs(error)) / np.abs(truth).max()),
            "measure": "largest error over largest value",
        }


def signals(samples: int, seed: int, dtype: Any) -> Iterator[Row]:
    """Sums of two atoms solved for in one batch, from 128 noise-free samples each."""
    generator = np.random.default_rng(seed)
    y = np.stack([signal(generator, 2, 2, 128, True)[1] for _ in range(SIGNALS)])
    batch = jnp.asarray(y, dtype)
    found = solve_batch(batch, 2)
    each = seconds(lambda: solve_batch(batch, 2).loss)
    size = 0.5 * np.sum(y**2, axis=1)
    left = np.sqrt(np.maximum(np.asarray(found.loss, np.float64), 0) / size)
    yield {
        "work": f"{SIGNALS:,} signals of two atoms, 128 samples each",
        "seconds": each,
        "rate": f"{SIGNALS / each:,.0f} fits a second",
        "error": float(np.median(left)),
        "measure": "median residual over signal",
    }


PARTS = {"evaluate": evaluate, "train": train, "step": step, "signals": signals, "fit": fit}


def here(options: argparse.Namespace) -> None:
    """Measure on this process's device and print a row a line."""
    double = options.precisions == ["float64"]
    jax.config.update("jax_enable_x64", double)
    dtype = np.float64 if double else np.float32
    print(json.dumps({"provenance": provenance(options.seed)}), flush=True)
    for part in options.parts:
        for row in PARTS[part](options.samples, options.seed, dtype):
            print(json.dumps({"part": part, **row}), flush=True)


def elsewhere(platform: str, precision: str, options: argparse.Namespace) -> list[Row]:
    """The same in a new process for one device and precision."""
    environment = {**os.environ, "JAX_PLATFORMS": platform if platform == "cpu" else f"{platform},cpu"}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.devices.compare",
        "--here",
        "--samples",
        str(options.samples),
    ]
    command += ["--seed", str(options.seed), "--precisions", precision, "--parts", *options.parts]
    rows = []
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(platform, precision, line, end="", flush=True)
            if line.startswith("{"):
                rows.append({"platform": platform, "precision": precision, **json.loads(line)})
    if process.returncode:
        print(f"{platform} {precision}: stopped with {process.returncode}", flush=True)
    return rows


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Both, without old measurements of work that was measured anew."""
    kind = lambda row: (row["platform"], row["precision"], row.get("work"))
    measured = {kind(row) for row in new}
    return [row for row in old if kind(row) not in measured] + new


def page(rows: list[Row]) -> str:
    """All measurements of a kind of work in one row, a column for each device and precision."""
    columns = sorted({(row["platform"], row["precision"]) for row in rows}, reverse=True)
    sources = {row["platform"]: row["provenance"] for row in rows if "provenance" in row}
    lines = ["# The same work on several devices", ""]
    for platform, source in sources.items():
        kept = (f"{name}: {text}" for name, text in source.items() if name != "default dtype")
        lines.append(f"- {platform}: " + "; ".join(kept))
    titles = [f"{platform}, {precision}" for platform, precision in columns]
    for title, cell in (
        ("Seconds", lambda row: f"{row['seconds']:.3g}" + (f" ({row['rate']})" if "rate" in row else "")),
        ("Errors", lambda row: f"{row['error']:.2e}" if "error" in row else ""),
    ):
        lines += ["", f"## {title}", "", "| work | " + " | ".join(titles) + " |", "| --- |" + " --- |" * len(titles)]
        for work in dict.fromkeys(row["work"] for row in rows if "work" in row):
            found = {(row["platform"], row["precision"]): row for row in rows if row.get("work") == work}
            cells = [cell(found[column]) if column in found else "not measured" for column in columns]
            measure = next(iter(found.values())).get("measure", "")
            if title == "Errors" and not measure:
                continue
            lines.append(f"| {work}{': ' + measure if title == 'Errors' else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=["cuda", "cpu"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="measure in this process, on the device JAX chooses")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    if options.here:
        here(options)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "devices.jsonl"
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    for platform in options.platforms:
        for precision in options.precisions:
            rows = merged(rows, elsewhere(platform, precision, options))
            kept.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            (options.out / "devices.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
