"""Nanoseconds a point: a separable model evaluated in tables of polynomials, beside the model itself, NumPy and C.

    taskset -c 0 env XLA_FLAGS=--xla_cpu_multi_thread_eigen=false python -m benchmarks.regression.prediction [--points 131072] [--out benchmarks/results]

KHRONOS with 8 inputs, 8 modes, cubic, 12 cells, its constant and its additive block; random parameters, points uniform in the box. All methods take
turns within each round, so that a disturbance of the machine meets them alike; shown are the median, the least, and the median over rounds of the
ratio to the evaluator on equal cells of the same precision. Compilation is not counted.
"""

import argparse
import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.provenance import header
from infinity.models import Evaluator

D, M, CELLS, DEGREE = 8, 8, 12, 3


def model_of(dtype: Any, equal: bool = True, additive: bool = True, outputs: int = 1) -> inf.KHRONOS:
    random = np.random.default_rng(0)
    row = lambda: np.linspace(0, 1, CELLS + 1) if equal else np.r_[0, np.sort(random.uniform(size=CELLS - 1)), 1]
    rows = [row().tolist() for _ in range(D)]
    model = inf.KHRONOS(
        breakpoints=rows, modes=M, degree=DEGREE, additive=additive, outputs=outputs, key=jax.random.key(0)
    )
    return jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), dtype), model)


def compiled_c(fitted: inf.Fitted, folder: Path) -> Callable[[np.ndarray], np.ndarray] | None:
    """The exported C in a loop over points, or nothing where there is no compiler."""
    if shutil.which("cc") is None:
        return None
    loop = "\nvoid many(long n, const double *x, double *y) { for (long i = 0; i < n; i++) model_predict(x + i * INPUTS, y + i); }\n"
    (folder / "model.c").write_text(inf.export(fitted, "c") + loop, encoding="utf-8")
    flags = ["-std=c99", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "model.c", "-o", "model.so"], cwd=folder, check=True)
    many = ctypes.CDLL(str(folder / "model.so")).many
    pointer = np.ctypeslib.ndpointer(np.float64, flags="C")
    many.argtypes, many.restype = [ctypes.c_long, pointer, pointer], None

    def run(x: np.ndarray) -> np.ndarray:
        y = np.empty(len(x))
        many(len(x), x, y)
        return y

    return run


def methods(points: int, folder: Path) -> dict[tuple[str, str], Callable[[], Any]]:
    found: dict[tuple[str, str], Callable[[], Any]] = {}
    x64 = np.random.default_rng(1).uniform(size=(points, D))
    by_name = {
        "evaluator, equal cells": {},
        "evaluator, unequal cells": {"equal": False},
        "evaluator, no additive block": {"additive": False},
        "evaluator, 3 outputs": {"outputs": 3},
    }
    for dtype in ("float64", "float32"):
        x = jnp.asarray(x64, dtype)
        model = model_of(dtype)
        plain = eqx.filter_jit(lambda model, x: jax.vmap(model)(x))
        for name, options in by_name.items():
            other = model_of(dtype, **options)
            evaluate = eqx.filter_jit(Evaluator(other))
            tolerance = 1e-12 if dtype == "float64" else 1e-4
            wanted = np.asarray(plain(other, x[:1000]))
            np.testing.assert_allclose(evaluate(x)[:1000], wanted, atol=tolerance * np.abs(wanted).max())
            found[dtype, name] = lambda evaluate=evaluate, x=x: evaluate(x).block_until_ready()
        found[dtype, "jax.vmap(model)"] = lambda plain=plain, model=model, x=x: plain(model, x).block_until_ready()
    box = ((0.0,) * D, (1.0,) * D)
    names = tuple(f"x{d}" for d in range(D))
    fitted = inf.Fitted(model_of("float64"), *box, True, (0.0,), (1.0,), names, ("y",), "linear", True)
    found["float64", "Fitted.predict"] = lambda: fitted.predict(x64).block_until_ready()
    namespace: dict[str, Any] = {}
    exec(inf.export(fitted, "numpy"), namespace)
    found["float64", "exported NumPy"] = lambda: namespace["predict"](x64)
    in_c = compiled_c(fitted, folder)
    if in_c is not None:
        np.testing.assert_allclose(in_c(x64), fitted.predict(x64), atol=1e-10)
        found["float64", "exported C, cc -O3"] = lambda: in_c(x64)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=131_072)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tried = methods(options.points, Path(folder))
        for run in tried.values():
            run()
        spent: dict[tuple[str, str], list[float]] = {key: [] for key in tried}
        for _ in range(options.rounds):
            for key, run in tried.items():
                run()  # not timed: memory that the method before gives back would be counted here
                began = time.perf_counter()
                run()
                spent[key].append((time.perf_counter() - began) / options.points * 1e9)
    lines = [
        "# Prediction: nanoseconds a point",
        "",
        header("0 (parameters), 1 (points)"),
        "",
        f"KHRONOS, {D} inputs, {M} modes, cubic, {CELLS} cells, constant and additive block; {options.points} points, {options.rounds} rounds in which",
        "the methods take turns, one process bound to one core. The ratio is to the evaluator on equal cells in the same precision, the median over rounds.",
        "",
        "| precision | method | median ns | least ns | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (dtype, name), values in spent.items():
        ratio = np.median(np.array(values) / np.array(spent[dtype, "evaluator, equal cells"]))
        lines.append(f"| {dtype} | {name} | {np.median(values):.0f} | {min(values):.0f} | {ratio:.1f} |")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "prediction.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
