"""NIST problems of the exponential family without start values, and how many small fits a core does in a second.

    python -m benchmarks.aion.unstarted [FOLDER] [--out benchmarks/results]

Every parameter starts at one; `InfiniteDescent(start="search")` reads its grids off the traced model. ENSO is written with frequencies in place of periods, as
`cos(x / b)` is no exponential of something affine; its certified periods are converted. Throughput: P = 2, N = 128 at 20 dB, one batch.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.aion.problems import signal, with_noise
from benchmarks.descent.nist import judged
from benchmarks.descent.nist_problems import Problem, read
from benchmarks.provenance import ROOT, header
from infinity.descent.exponential import solve_batch

NAMES = ("Lanczos1", "Lanczos2", "Lanczos3", "MGH17", "ENSO")
BATCH = 1000


def by_frequency(problem: Problem) -> Problem:
    """ENSO with `2 pi / period` as parameters."""

    def model(b, x):
        wave = lambda c, s, omega: c * jnp.cos(omega * x) + s * jnp.sin(omega * x)
        return b[0] + wave(b[1], b[2], 2 * jnp.pi / 12) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])

    certified = problem.certified.copy()
    certified[[3, 6]] = 2 * np.pi / certified[[3, 6]]
    return problem._replace(model=model, certified=certified)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data" / "nist")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    lines = ["# Exponential families without start values", "", header(0), ""]
    lines += [
        "| NIST problem | certified digits | outer steps | inner iterations | seconds with compilation |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in NAMES:
        problem = read(options.folder, name)
        problem = by_frequency(problem) if name == "ENSO" else problem
        start = time.perf_counter()
        solution = optx.least_squares(
            problem.residuals,
            inf.InfiniteDescent(rtol=1e-12, atol=1e-12, start="search"),
            jnp.ones(len(problem.certified)),
            args=(jnp.asarray(problem.x), jnp.asarray(problem.y)),
            throw=False,
        )
        seconds = time.perf_counter() - start
        digits, _ = judged(np.asarray(solution.value), problem)
        row = (
            name,
            f"{digits:.1f}",
            int(solution.stats["num_steps"]),
            int(solution.stats["iterations"]),
            f"{seconds:.1f}",
        )
        lines.append("| " + " | ".join(map(str, row)) + " |")
        print(lines[-1], flush=True)
    generator = np.random.default_rng(0)
    y = np.stack([with_noise(generator, signal(generator, 2, 1.5, 128, True)[1], 20)[0] for _ in range(BATCH)])
    y = jnp.asarray(y)
    found = jax.block_until_ready(solve_batch(y, 2))
    walls, processors = [], []
    for _ in range(7):
        wall, processor = time.perf_counter(), time.process_time()
        found = jax.block_until_ready(solve_batch(y, 2))
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    rate, cpu = BATCH / np.median(walls), BATCH / np.median(processors)
    iterations = np.median(np.asarray(found.iterations))
    lines += [
        "",
        f"Batch of {BATCH}: {rate:,.0f} fits a second by the wall clock, {cpu:,.0f} by the processor's; median of 7; {iterations:.0f} iterations a fit.",
        "",
    ]
    print(lines[-2])
    (options.out / "aion-unstarted.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
