"""Recovery of formulas: ours and pyoperon on the same data, one line of JSON a case, so that a run that stopped goes on.

    python benchmarks/symbolic/recovery.py --part development --noise 0 0.01 0.05 --seeds 0 --out benchmarks/results/symbolic.jsonl

Recovered: with its constants refitted to values without noise, the recommended formula has a relative error below 1e-6 on 2,000 new points. pyoperon
gets as much processor
time as ours took, at least five seconds, and our own choice (description length) on its Pareto front; any of its formulas that is right also counts
in a second column.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from formulas import DEVELOPMENT, FORMULAS, REPORTED, sample

import infinity as inf
from infinity.symbolic.candidates import Data, best_first, polished
from infinity.symbolic.parse import parse
from infinity.symbolic.refine import refine
from infinity.symbolic.tree import evaluate


def recovered(name: str, tree, constants) -> float:
    """The relative error after refitting the constants to exact values."""
    x, y = sample(name, 600, 0.0, 1000)
    new, truth = sample(name, 2000, 0.0, 1001)
    found = refine(tree, constants, list(x.T), y, None, 300)
    if found is None:
        return float("inf")
    with np.errstate(all="ignore"):
        value = np.broadcast_to(np.asarray(evaluate(tree, list(new.T), found.constants), float), truth.shape)
    error = np.sqrt(np.mean((value - truth) ** 2)) / np.std(truth)
    return float(error) if np.isfinite(error) else float("inf")


def ours(name: str, rows: int, noise: float, seed: int) -> dict:
    x, y = sample(name, rows, noise, seed)
    start, wall = time.process_time(), time.perf_counter()
    found = inf.discover(x, y, engine="native", seed=seed)
    took = time.process_time() - start
    best = found.best
    return {
        "error": recovered(name, best.tree, best.constants), "formula": str(best), "found": found.found, "cpu": took, "wall": time.perf_counter() - wall,
        "complexity": best.complexity, "any": min(recovered(name, e.tree, e.constants) for e in found.expressions), "trace": list(found.trace),
    }  # fmt: skip


def pyoperon(name: str, rows: int, noise: float, seed: int, seconds: float) -> dict:
    from pyoperon.sklearn import SymbolicRegressor  # pyright: ignore[reportMissingImports]

    x, y = sample(name, rows, noise, seed)
    data = Data(tuple(x.T), y)
    start = time.process_time()
    fronts, round_ = [], 0
    while time.process_time() - start < seconds:
        left = max(1, round(seconds - (time.process_time() - start)))
        regressor = SymbolicRegressor(
            allowed_symbols="add,sub,mul,div,constant,variable,square,sin,cos,exp,log,sqrt,tanh,asin", objectives=["mse", "length"], max_length=40,
            optimizer_iterations=5, n_threads=1, random_state=100 * seed + round_, max_evaluations=1_000_000, generations=100_000, epsilon=0.0, max_time=left,
        )  # fmt: skip
        regressor.fit(x, y)
        fronts += [regressor.get_model_string(model["tree"], 17) for model in regressor.pareto_front_]
        round_ += 1
    names = [f"X{d + 1}" for d in range(x.shape[1])]
    found = best_first(polished(*parse(text, names), data, "pyoperon") for text in fronts)
    errors = [recovered(name, c.tree, c.constants) for c in found]
    return {
        "error": errors[0] if errors else float("inf"),
        "any": min(errors, default=float("inf")),
        "cpu": time.process_time() - start,
    }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--part", default="development", choices=["development", "reported"])
    options.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01, 0.05])
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--peer", action="store_true")
    options.add_argument("--only", nargs="*")
    given = options.parse_args()
    done = set()
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(r["who"], r["name"], r["rows"], r["noise"], r["seed"]) for r in lines}
    took = {(r["name"], r["rows"], r["noise"], r["seed"]): r["cpu"] for r in lines if r["who"] == "ours"}
    for seed in given.seeds:
        for noise in given.noise:
            for name in given.only or (DEVELOPMENT if given.part == "development" else REPORTED):
                case = (name, given.rows, noise, seed)
                for who in ("ours", "pyoperon") if given.peer else ("ours",):
                    if (who, *case) in done:
                        continue
                    row = ours(*case) if who == "ours" else pyoperon(*case, max(5.0, took.get(case, 5.0)))
                    took.setdefault(case, row["cpu"])
                    row = {"who": who, "name": name, "rows": given.rows, "noise": noise, "seed": seed, **row}
                    with given.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    verdict = "ok" if row["error"] < 1e-6 else "--"
                    numbers = f"{row['cpu']:6.1f}s {row['error']:8.1e} {row['any']:8.1e}"
                    print(
                        f"{verdict} {who:8} {noise:<5} {numbers} {name:24} {row.get('formula', '')[:110]}", flush=True
                    )


if __name__ == "__main__":
    assert len(FORMULAS) >= 60
    main()
