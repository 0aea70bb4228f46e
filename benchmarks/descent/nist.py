"""NIST StRD: 27 problems from both published starts, Infinite Descent beside SciPy and Optimistix.

    digits = min over the parameters of -log10 |b - certified| / |certified|,  at most 11, which is what NIST certifies

`python -m benchmarks.descent.nist [FOLDER]` reads `FOLDER/*.dat` (default `../shared/data/nist`), prints the table
and writes `benchmarks/results/nist.md`. All methods get the same residuals in float64, the published starts without
any scaling, and compiled functions with exact Jacobians; run times are medians of three after compilation.
"""

import argparse
import itertools
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.optimize

from benchmarks.descent.nist_problems import ALIKE, Problem, problems
from benchmarks.provenance import ROOT, header
from infinity.descent import InfiniteDescent, OpenModelWarning

REPEATS = 3
REQUIRED = 6


class Run(NamedTuple):
    """What one method did on one problem from one start."""

    digits: float
    exchanged: bool
    counts: dict[str, int]
    seconds: float
    compile_seconds: float


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """Correct digits of the worst parameter, between 0 and 11."""
    if not np.all(np.isfinite(found)):
        return 0.0
    error = np.max(np.abs(found - certified) / np.abs(certified))
    return float(np.clip(-np.log10(max(error, 1e-99)), 0, 11))


def judged(found: np.ndarray, problem: Problem) -> tuple[float, bool]:
    """Correct digits in the best order of terms of the same form, and whether that is another than the certified order."""
    terms = ALIKE.get(problem.name, ())
    ordered = digits(found, problem.certified)
    best = ordered
    for order in itertools.permutations(terms):
        exchanged = found.copy()
        for places, sources in zip(terms, order, strict=True):
            exchanged[list(places)] = found[list(sources)]
        best = max(best, digits(exchanged, problem.certified))
    return best, best > ordered


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Repeat a call; give its result and the median of its seconds."""
    seconds = []
    result: Any = None
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def optimistix_runs(problem: Problem, solver, max_steps: int, count: Callable[[dict], dict[str, int]]) -> list[Run]:
    """Both starts by an Optimistix solver, traced once."""

    @eqx.filter_jit
    def solve(b, data):
        solution = optx.least_squares(problem.residuals, solver, b, args=data, max_steps=max_steps, throw=False)
        return solution.value, solution.stats

    runs = []
    data = (jnp.asarray(problem.x), jnp.asarray(problem.y))
    compile_seconds = 0.0
    for start in problem.starts:
        begin = time.perf_counter()
        jax.block_until_ready(solve(jnp.asarray(start), data))
        first = time.perf_counter() - begin
        (value, stats), seconds = timed(lambda start=start: solve(jnp.asarray(start), data))
        compile_seconds = compile_seconds or max(first - seconds, 0.0)
        numbers = {name: int(number) for name, number in stats.items() if jnp.size(number) == 1 and _whole(number)}
        runs.append(Run(*judged(np.asarray(value), problem), count(numbers), seconds, compile_seconds))
    return runs


def _whole(number) -> bool:
    return jnp.issubdtype(jnp.asarray(number).dtype, jnp.integer)


def infinite_descent(problem: Problem) -> list[Run]:
    """One outer step from each start; the ledger counts what is inside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OpenModelWarning)  # a problem in which nothing is closed still has to be solved
        return optimistix_runs(
            problem,
            InfiniteDescent(rtol=1e-12, atol=1e-12),
            1,
            lambda stats: {
                "r": stats["residuals"],
                "J": stats["jacobians"],
                "it": stats["iterations"] + stats["newton"],
            },
        )


def levenberg_marquardt(problem: Problem) -> list[Run]:
    """Optimistix's own Levenberg-Marquardt; each step costs one residual, and one Jacobian if it is accepted."""
    solver = optx.LevenbergMarquardt(rtol=1e-12, atol=1e-12)
    return optimistix_runs(problem, solver, 10_000, lambda stats: {"it": stats["num_steps"]})


def scipy_runs(problem: Problem, method: str) -> list[Run]:
    """SciPy with exact Jacobians, variables scaled by them, and tolerances at rounding."""
    data = (jnp.asarray(problem.x), jnp.asarray(problem.y))
    residuals = jax.jit(lambda b: problem.residuals(b, data))
    jacobian = jax.jit(jax.jacfwd(lambda b: problem.residuals(b, data)))
    begin = time.perf_counter()
    jax.block_until_ready((residuals(problem.starts[0]), jacobian(problem.starts[0])))
    compile_seconds = time.perf_counter() - begin

    def solve(start):
        try:
            with np.errstate(all="ignore"):
                return scipy.optimize.least_squares(
                    lambda b: np.asarray(residuals(b)),
                    start,
                    jac=lambda b: np.asarray(jacobian(b)),  # pyright: ignore[reportArgumentType]
                    method=method,  # pyright: ignore[reportArgumentType]
                    x_scale="jac",
                    ftol=1e-15,
                    xtol=1e-15,
                    gtol=1e-15,
                    max_nfev=20_000,
                )
        except (ValueError, np.linalg.LinAlgError):  # residuals or a Jacobian that are not finite
            return None

    runs = []
    for start in problem.starts:
        seconds = []
        result = None
        for _ in range(REPEATS):
            begin = time.perf_counter()
            result = solve(start)
            seconds.append(time.perf_counter() - begin)
        found = np.full_like(start, np.nan) if result is None else result.x
        counts = {} if result is None else {"r": int(result.nfev), "J": int(result.njev or 0)}
        runs.append(Run(*judged(found, problem), counts, statistics.median(seconds), compile_seconds))
    return runs


METHODS: dict[str, Callable[[Problem], list[Run]]] = {
    "Infinite Descent": infinite_descent,
    "SciPy lm": lambda problem: scipy_runs(problem, "lm"),
    "SciPy trf": lambda problem: scipy_runs(problem, "trf"),
    "Optimistix LM": levenberg_marquardt,
}


def table(results: dict[str, dict[str, list[Run]]]) -> str:
    """Digits and counts for every problem and start, then the totals."""
    names = list(METHODS)
    lines = ["| problem | start | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    for problem, by_method in results.items():
        for start in range(2):
            cells = []
            for name in names:
                run = by_method[name][start]
                counts = ", ".join(f"{number} {count}" for count, number in run.counts.items())
                mark = "*" if run.exchanged else ""
                cells.append(f"{run.digits:.1f}{mark} ({counts or 'failed'})")
            lines.append(f"| {problem} | {start + 1} | " + " | ".join(cells) + " |")
    totals = [
        "| method | solved to 6 digits | of these in the certified order | fewest digits | run seconds, all | compile seconds, all | counts, all |"
    ]
    totals.append("| --- " * 7 + "|")
    for name in names:
        runs = [run for by_method in results.values() for run in by_method[name]]
        solved = sum(run.digits >= REQUIRED for run in runs)
        ordered = sum(run.digits >= REQUIRED and not run.exchanged for run in runs)
        counts = {count: sum(run.counts.get(count, 0) for run in runs) for count in ("r", "J", "it")}
        shown = ", ".join(f"{number} {count}" for count, number in counts.items() if number)
        compiling = sum(by_method[name][0].compile_seconds for by_method in results.values())
        seconds = sum(run.seconds for run in runs)
        fewest = min(run.digits for run in runs)
        totals.append(
            f"| {name} | {solved} of {len(runs)} | {ordered} | {fewest:.1f} | {seconds:.3f} | {compiling:.1f} | {shown} |"
        )
    return "\n".join(totals) + "\n\n" + "\n".join(lines)


def main(folder: Path, target: Path) -> None:
    jax.config.update("jax_enable_x64", True)
    try:
        chosen = problems(folder)
    except FileNotFoundError as error:
        sys.exit(str(error))
    results = {}
    for problem in chosen:
        results[problem.name] = {name: method(problem) for name, method in METHODS.items()}
        shown = "; ".join(
            f"{name} {' '.join(f'{run.digits:.1f}' for run in runs)}" for name, runs in results[problem.name].items()
        )
        print(f"{problem.name}: {shown}", flush=True)
    note = (
        "Correct digits of the worst parameter (11 are certified; * where two terms of the same form, which the model cannot tell apart, "
        "came out in the other order), in brackets the work: r residuals, J Jacobians, "
        "it iterations. Infinite Descent makes one outer step from each start, and its counts are all that happens "
        "inside. An Optimistix LM iteration is one residual, and one Jacobian if it is accepted. SciPy has exact "
        "Jacobians, `x_scale='jac'` and tolerances of 1e-15; Optimistix LM tolerances of 1e-12 and up to 10,000 steps."
    )
    text = f"# NIST StRD, 27 problems from two starts\n\n{note}\n\n{table(results)}\n\n{header()}\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data" / "nist")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "nist.md")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.out)
