"""Recovery of formulas: ours and pyoperon on the same data, one line of JSON a case, so that a run that stopped goes on.

    python benchmarks/symbolic/recovery.py --part reported --noise 0 --seeds 0 --out benchmarks/results/symbolic-recovery.jsonl

A page of the same name ending in `.md` is written from all lines at the end; `--page` writes it and runs nothing.

Recovered: with its constants refitted to values without noise, the recommended formula has a relative error below 1e-6 on 2,000 new points. pyoperon
gets as much processor time as ours took, at least five seconds, and our own choice (description length) on its Pareto front; any of its formulas that is
right also counts in a second column. The part "one variable" is judged 15 % beyond the range too, and of "no short form" nothing may be called found.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

# One thread of linear algebra for everyone: on a shared machine more of them wait for each other, and the clock of the processor counts that.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import one_dimensional
from formulas import DEVELOPMENT, FORMULAS, REPORTED, sample
from one_dimensional import FORMLESS, FUNCTIONS, formless
from page import RECOVERED, page, part_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import infinity as inf
from benchmarks.provenance import commit, processor
from infinity.symbolic.candidates import Data, best_first, polished
from infinity.symbolic.parse import parse
from infinity.symbolic.refine import refine
from infinity.symbolic.tree import evaluate

# Processor time that pyoperon has at least.
LEAST_SECONDS = 5.0
PARTS = {
    "development": DEVELOPMENT,
    "reported": REPORTED,
    "one variable": list(FUNCTIONS),
    "no short form": list(FORMLESS),
}


def table(
    part: str, name: str, rows: int, noise: float, seed: int, beyond: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and values of a formula of a part; functions of one variable also beyond their range."""
    if part == "one variable":
        return one_dimensional.sample(name, rows, noise, seed, beyond)
    return formless(name, rows, noise, seed) if part == "no short form" else sample(name, rows, noise, seed)


def recovered(part: str, name: str, tree, constants) -> float:
    """The relative error after refitting the constants to exact values; nothing recovers what has no short form."""
    if part == "no short form":
        return float("inf")
    x, y = table(part, name, 600, 0.0, 1000)
    new, truth = table(part, name, 2000, 0.0, 1001, True)
    found = refine(tree, constants, list(x.T), y, None, 300)
    if found is None:
        return float("inf")
    with np.errstate(all="ignore"):
        value = np.broadcast_to(np.asarray(evaluate(tree, list(new.T), found.constants), float), truth.shape)
    error = np.sqrt(np.mean((value - truth) ** 2)) / np.std(truth)
    return float(error) if np.isfinite(error) else float("inf")


def ours(part: str, name: str, rows: int, noise: float, seed: int) -> dict:
    x, y = table(part, name, rows, noise, seed)
    start, wall = time.process_time(), time.perf_counter()
    found = inf.discover(x, y, engine="native", seed=seed)
    took = time.process_time() - start
    best = found.best
    return {
        "error": recovered(part, name, best.tree, best.constants), "formula": str(best), "found": found.found, "cpu": took, "wall": time.perf_counter() - wall,
        "complexity": best.complexity, "any": min(recovered(part, name, e.tree, e.constants) for e in found.expressions), "trace": list(found.trace),
    }  # fmt: skip


def pyoperon(part: str, name: str, rows: int, noise: float, seed: int, seconds: float, share: float) -> dict:
    """As much processor time as is given; `share` is what part of the processor we had last."""
    from pyoperon.sklearn import SymbolicRegressor  # pyright: ignore[reportMissingImports]

    x, y = table(part, name, rows, noise, seed)
    data = Data(tuple(x.T), y)
    start = time.process_time()
    fronts, round_, wall = [], 0, time.perf_counter()
    while (spent := time.process_time() - start) < seconds:
        # Its limit is one of the clock on the wall, ours one of the processor, which others may be using.
        share = spent / (time.perf_counter() - wall) if round_ else share
        left = max(1, round((seconds - spent) / min(max(share, 0.02), 1.0)))
        regressor = SymbolicRegressor(
            allowed_symbols="add,sub,mul,div,constant,variable,square,sin,cos,exp,log,sqrt,tanh,asin", objectives=["mse", "length"], max_length=40,
            optimizer_iterations=5, n_threads=1, random_state=100 * seed + round_, max_evaluations=1_000_000, generations=100_000, epsilon=0.0, max_time=left,
        )  # fmt: skip
        regressor.fit(x, y)
        fronts += [regressor.get_model_string(model["tree"], 17) for model in regressor.pareto_front_]
        round_ += 1
    names = [f"X{d + 1}" for d in range(x.shape[1])]
    found = best_first(polished(*parse(text, names), data, "pyoperon") for text in fronts)
    errors = [recovered(part, name, c.tree, c.constants) for c in found]
    return {
        "error": errors[0] if errors else float("inf"),
        "any": min(errors, default=float("inf")),
        "cpu": time.process_time() - start,
    }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--part", default="development", choices=list(PARTS))
    options.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01, 0.05])
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--peer", action="store_true")
    options.add_argument("--only", nargs="*")
    options.add_argument("--page", action="store_true", help="only write the page of the lines that are there")
    given = options.parse_args()
    if not given.page:
        run(given)
    lines = [json.loads(line) for line in given.out.read_text().splitlines()]
    given.out.with_suffix(".md").write_text(page(lines, PARTS))


def run(given: argparse.Namespace) -> None:
    """Run the cases that have no line yet."""
    state = {
        "commit": commit(),
        "device": processor(),
        "versions": f"infinity {inf.__version__}, jax {jax.__version__}, numpy {np.__version__}, python {platform.python_version()}",
    }
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(r["who"], part_of(r, PARTS), r["name"], r["rows"], r["noise"], r["seed"]) for r in lines}
    # Seconds of the processor, and its share of the time that passed.
    budget = lambda row: (row["cpu"], row["cpu"] / max(row.get("wall", row["cpu"]), 1e-3))
    took = {
        (part_of(r, PARTS), r["name"], r["rows"], r["noise"], r["seed"]): budget(r) for r in lines if r["who"] == "ours"
    }
    for seed in given.seeds:
        for noise in given.noise:
            for name in given.only or PARTS[given.part]:
                case = (given.part, name, given.rows, noise, seed)
                for who in ("ours", "pyoperon") if given.peer else ("ours",):
                    if (who, *case) in done:
                        continue
                    seconds, share = took.get(case, (LEAST_SECONDS, 1.0))
                    row = ours(*case) if who == "ours" else pyoperon(*case, max(LEAST_SECONDS, seconds), share)
                    took.setdefault(case, budget(row))
                    row = {
                        "who": who,
                        "part": given.part,
                        "name": name,
                        "rows": given.rows,
                        "noise": noise,
                        "seed": seed,
                        **row,
                        **state,
                    }
                    with given.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    verdict = "ok" if row["error"] < RECOVERED else "--"
                    numbers = f"{row['cpu']:6.1f}s {row['error']:8.1e} {row['any']:8.1e}"
                    print(
                        f"{verdict} {who:8} {noise:<5} {numbers} {name:24} {row.get('formula', '')[:110]}", flush=True
                    )


if __name__ == "__main__":
    assert len(FORMULAS) >= 60
    main()
