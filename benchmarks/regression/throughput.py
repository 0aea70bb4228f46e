"""Samples a second and memory of the direct fit on a large table.

    taskset -c 0 env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        python -m benchmarks.regression.throughput [--samples 100000 1000000] [--out benchmarks/results]

A step of the fit is a joint step with the exact solve of one dimension's block, and passes over all samples for the gradient of that block, for the loss
and for the gradient at the new point. A sweep is as many steps as there are dimensions, so that each block is solved for once. Each measurement is made
in a process of its own; its memory is the most that the process held less what it held before the fit, when it already had the samples.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.provenance import ROOT, header
from benchmarks.regression.borehole import unit
from infinity.cli.problems import PROBLEMS
from infinity.fitting.direct import fit_separable

D, MODES, CELLS, DEGREE = 8, 10, 5, 3
# The first steps compile.
UNCOUNTED = 2


class Measured(NamedTuple):
    """Seconds of a step by the wall clock and by the processor, megabytes of the samples, and megabytes at the most beside them."""

    wall: float
    processor: float
    data: float
    memory: float
    steps: int


def held() -> float:
    """Megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def most_held() -> float:
    """The most megabytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure(samples: int, steps: int, seed: int) -> Measured:
    """Fit for some steps; the median of those that were accepted."""
    problem = PROBLEMS["borehole"]
    x, y = problem.sample(samples, seed)
    x, y = unit(x, list(problem.ranges.values())), (y - y.mean()) / y.std()
    size = (x.nbytes + y.nbytes) / 2**20
    start = inf.KHRONOS([(0.0, 1.0)] * D, modes=MODES, elements=CELLS, degree=DEGREE, key=jax.random.key(seed))
    before = held()
    marks: list[tuple[float, float, int]] = []

    def progress(event: dict[str, Any]) -> None:
        marks.append((time.perf_counter(), time.process_time(), event["accepted"]))

    weights = jnp.ones(samples)
    arrays = jnp.asarray(x), jnp.asarray(y)[:, None], weights
    fit_separable(start, *arrays, tolerance=1e-12, progress=progress, most_iterations=steps + UNCOUNTED)
    wall, processor, accepted = np.diff(np.array(marks), axis=0)[UNCOUNTED - 1 :].T
    median = lambda seconds: float(np.median(seconds[accepted > 0]))
    return Measured(median(wall), median(processor), size, most_held() - before, int((accepted > 0).sum()))


def alone(samples: int, steps: int, seed: int) -> Measured:
    """The same in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, samples, steps, seed).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    lines = [
        "# Throughput of the direct fit",
        "",
        header(options.seed),
        "",
        f"KHRONOS, {D} inputs, {MODES} modes, {CELLS} cells, cubic, borehole samples in float64. A step: a joint step, one block solved for exactly,",
        f"three passes over all samples. A sweep: {D} steps, each block once. Medians over accepted steps; rates by processor time. Memory: the most that was",
        "held less what the process held before the fit, when it had the samples.",
        "",
        "| samples | steps | seconds a step | processor seconds a step | samples/s a step | samples/s a pass | samples/s a sweep | samples, MB | memory, MB |",
        "| --- |" + " --- |" * 8,
    ]
    for samples in options.samples:
        found = alone(samples, options.steps, options.seed)
        rate = samples / found.processor
        rates = f"{rate:.2e} | {3 * rate:.2e} | {rate / D:.2e}"
        lines.append(
            f"| {samples} | {found.steps} | {found.wall:.3f} | {found.processor:.3f} | {rates} | {found.data:.0f} | {found.memory:.0f} |"
        )
        print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "throughput.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
