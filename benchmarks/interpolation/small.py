"""A small table: 656 rows, four inputs, 3 % of noise; members of the family beside the regressors that people reach for.

    python -m benchmarks.interpolation.small [--quick] [--seeds 3] [--out benchmarks/results]

The law is one of wear and heat, K (F / H)^1.2 v^0.6 exp(-2000 (1/T - 1/300)) / (1 + (v / 3)^2): load F from 10 to 200, speed v from 0.1 to 5, hardness H from
1 to 8, temperature T from 280 to 420. Errors are on 5,000 new points without noise, over the spread of the target. Peers are scikit-learn's, tuned as in
`benchmarks/regression/functions.py`. Medians over seeds, of data and of starts.
"""

import time
import warnings
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, table, write
from benchmarks.regression.functions import peers, predict_with

LOW, HIGH = np.array([10.0, 0.1, 1.0, 280.0]), np.array([200.0, 5.0, 8.0, 420.0])


def law(x: np.ndarray) -> np.ndarray:
    F, v, H, T = x.T
    return (F / H) ** 1.2 * v**0.6 * np.exp(-2000 * (1 / T - 1 / 300)) / (1 + (v / 3) ** 2)


def family(seed: int) -> dict[str, Any]:
    """What `inf.fit` is given; nothing for all of its own choice."""
    box = list(zip(LOW.tolist(), HIGH.tolist(), strict=True))
    settings: dict[str, Any] = {"modes": 3, "elements": 6, "outputs": "scalar", "key": jax.random.key(seed)}
    return {
        "infinity, no options": None,
        "INN, hats, 3 modes": inf.INN(box, **settings),
        "INN, patches, 3 modes": inf.INN(box, basis="patch", **settings),
        "KHRONOS, 3 modes": inf.KHRONOS(box, **settings),
    }


def one(rows: int, seed: int, quick: bool) -> dict[str, tuple[float, float]]:
    """Errors and seconds of the processor."""
    draw = np.random.default_rng(seed)
    x, new = draw.uniform(LOW, HIGH, (rows, 4)), draw.uniform(LOW, HIGH, (5000, 4))
    y, exact = law(x) * (1 + 0.03 * draw.normal(size=rows)), law(new)
    error = lambda p: float(np.sqrt(np.mean((np.asarray(p) - exact) ** 2)) / exact.std())
    found = {}
    models = family(seed)
    for name in list(models)[1:2] if quick else models:
        began = time.process_time()
        result = inf.fit(x, y, model=models[name], outside="linear", seed=seed)
        found[name] = (error(result.predict(new)), time.process_time() - began)
    for name, estimator in list(peers(rows))[: 1 if quick else None]:
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[name] = (error(predict_with(name, estimator, x, y, new)), time.process_time() - began)
    print(seed, found, flush=True)
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=656)
    chosen = parser.parse_args()
    runs = [one(chosen.rows, seed, chosen.quick) for seed in range(1 if chosen.quick else chosen.seeds)]
    lines = [
        f"{chosen.rows} rows; seconds are those of the processor, compilation and tuning included; a later seed finds programs compiled.",
        "",
    ]
    rows = []
    for name in runs[0]:
        errors, seconds = np.array([run[name] for run in runs]).T
        rows.append(
            [name, f"{np.median(errors):.4f}", f"{errors.min():.4f} to {errors.max():.4f}", f"{np.median(seconds):.1f}"]
        )
    lines += table(["method", "error", "least to most", "seconds"], rows)
    write(chosen.out, "small", "A small table", f"0 to {len(runs) - 1}", lines, ("scikit-learn",))


if __name__ == "__main__":
    main()
