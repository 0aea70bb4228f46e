"""Six tables of measurements, 20 splits each: `inf.fit` with no options set beside tuned peers.

    taskset -c 0 env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        python -m benchmarks.regression.uci [--methods infinity peers] [--sets yacht ...] [--splits 0-19] [--file runs/uci.jsonl]
    python -m benchmarks.regression.uci --table

The splits are those of `tables.py`, the peers and their search those of `peers.py` and `tuning.py`. Every result is a line of the file as soon as it is
known, and a run goes on where an earlier one stopped; a line that is removed is run again. `--table` only writes `uci.md` and `uci.png` from the file. The
power plant is met twice, the second time with whole levels of its second column held out, there also in the search of the peers.
"""

import argparse
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.provenance import ROOT, provenance
from benchmarks.regression.peers import PEERS, fit_peer
from benchmarks.regression.tables import SOURCES, SPLITS, Table, load, split, with_twin
from benchmarks.regression.tuning import Seconds
from benchmarks.regression.uci_report import write

METHODS = ("infinity", *PEERS)
GROUPS = {"all": METHODS, "peers": PEERS}
PACKAGES = ("scikit-learn", "xgboost")


def rmse(prediction: Any, y: np.ndarray) -> float | None:
    """The root mean squared error, nothing without rows."""
    return float(np.sqrt(np.mean((np.asarray(prediction) - y) ** 2))) if len(y) else None


def one(table: Table, seed: int, method: str) -> dict[str, Any]:
    """Fit a method to the training part of a split and judge it on the test part."""
    train, test = split(table, seed)
    part, (x, y, _) = table.rows(train), table.rows(test)
    new = ~with_twin(part.x, x)
    if method == "infinity":
        prediction, found = infinity(part, x, y, new)
    else:
        outcome = fit_peer(method, part, seed)
        prediction = outcome.predict(x)
        found = {"tuning": outcome.tuning, "fitting": outcome.fitting, "settings": outcome.settings}
    errors = {"rmse": rmse(prediction, y), "rmse_new": rmse(prediction[new], y[new])}
    return {"rows": len(y), "rows_new": int(new.sum()), **errors, **found}


def infinity(part: Table, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The prediction of `inf.fit` with no options set, and what belongs beside it."""
    start = Seconds.now()
    result = inf.fit(part.x, part.y)
    seconds = Seconds.now().since(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", inf.OutsideWarning)
        whole, separable = np.asarray(result.predict(x)), np.asarray(result.model.predict(x))
        lower, upper = result.intervals(x, 0.9)
    return whole, {
        "tuning": Seconds(0.0, 0.0),
        "fitting": seconds,
        "compile": result.timings["compile"],
        "separable": rmse(separable, y),
        "separable_new": rmse(separable[new], y[new]),
        "coverage": float(np.mean((y >= lower) & (y <= upper))),
        "settings": {key: value for key, value in result.options.items() if key in ("link", "modes", "members")},
    }


def read(file: Path) -> list[dict[str, Any]]:
    """The results so far."""
    if not file.exists():
        return []
    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            raise ValueError(f"{file}, line {number} is not a result (a run was cut off there?); remove it") from None
    return lines


def numbers(text: str) -> list[int]:
    """`3` or `0-4` as a list of splits."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=(*GROUPS, *METHODS), default=["all"])
    parser.add_argument("--sets", nargs="+", choices=tuple(SOURCES), default=list(SOURCES))
    parser.add_argument("--splits", nargs="+", type=numbers, default=[list(range(SPLITS))], help="such as 0-19 or 3 7")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data" / "uci", help="folder of the tables"
    )
    parser.add_argument("--file", type=Path, default=ROOT / "runs" / "uci.jsonl", help="where results are kept")
    parser.add_argument(
        "--table", action="store_true", help="write the table and the picture from the file, run nothing"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser


def main() -> None:
    parser = arguments()
    options = parser.parse_args()
    try:
        done = read(options.file)
        if options.table:
            write(done, options.out)
            return
    except ValueError as error:
        parser.error(str(error))
    methods = list(dict.fromkeys(m for name in options.methods for m in GROUPS.get(name, (name,))))
    missing = [SOURCES[name].file for name in options.sets if not (options.data / SOURCES[name].file).exists()]
    if missing:
        parser.error(f"{options.data} has no {missing[0]}; name the folder of the tables with --data")
    if "XGBoost" in methods and importlib.util.find_spec("xgboost") is None:
        parser.error("xgboost is not installed; pip install 'infinity[bench]', or leave it out with --methods")
    known = {(line["set"], line["split"], line["method"]) for line in done}
    run = provenance(packages=PACKAGES)
    options.file.parent.mkdir(parents=True, exist_ok=True)
    tables = {name: load(name, options.data) for name in options.sets}
    for seed in sorted({seed for part in options.splits for seed in part}):
        for name, table in tables.items():
            for method in methods:
                if (name, seed, method) in known:
                    continue
                found = {"set": name, "split": seed, "method": method, **one(table, seed, method)}
                line = json.dumps({**found, "run": {key: run[key] for key in ("date", "commit", "device", "versions")}})
                with options.file.open("a", encoding="utf-8") as stream:
                    stream.write(line + "\n")
                spent = found["tuning"].processor + found["fitting"].processor
                print(f"{name}, split {seed}, {method}: {found['rmse']:.4f} in {spent:.1f} s", flush=True)


if __name__ == "__main__":
    main()
