"""Equations of motion from noisy trajectories: ours as it comes, and PySINDy over a grid of its own ways, on the same samples.

    python benchmarks/symbolic/dynamics.py --seeds 0 1 2 3 4 --out benchmarks/results/symbolic-dynamics.jsonl

Noise is a part of each state's deviation. Right terms: each equation has exactly the terms of the truth. Both search the same library: products up to
degree two, and the sine and cosine of each state. Of PySINDy's grid (finite differences, Savitzky-Golay smoothing of three widths, the weak form, each
with four thresholds, alone and as an ensemble) one setting is chosen as a user can, by the error of the increments of the last fifth of the trajectory
over windows; a second column lets the truth choose, which no user can. A page ending in `.md` is written from all lines at the end.
"""

import argparse
import json
import platform
import statistics
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from scipy.integrate import cumulative_simpson, solve_ivp

jax.config.update("jax_enable_x64", True)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import infinity as inf
from benchmarks.provenance import commit, processor
from infinity.cli.motions import MOTIONS

# Name: right-hand side, start, length, step, names, and the truth as {term: coefficient} of each equation.
SYSTEMS = {name: (m.speed, m.start, m.length, m.step, m.names, m.terms) for name, m in MOTIONS.items()}
NOISES = (0.0, 0.01, 0.05)


def sample(name: str, noise: float, seed: int, every: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Times and noisy states."""
    f, start, length, step, _, _ = SYSTEMS[name]
    t = np.arange(0, length + step / 2, step)
    z = solve_ivp(f, (0, t[-1]), start, "DOP853", t, rtol=1e-12, atol=1e-12).y.T
    rng = np.random.default_rng([seed, list(SYSTEMS).index(name)])
    return t[::every], (z + noise * z.std(axis=0) * rng.normal(size=z.shape))[::every]


def columns(names: str, z: np.ndarray) -> dict[str, np.ndarray]:
    """The library of both, by the text of each term."""
    S = len(names)
    out = {"1": np.ones(len(z))}
    out |= {names[s]: z[:, s] for s in range(S)}
    out |= {f"{names[a]}*{names[b]}": z[:, a] * z[:, b] for a in range(S) for b in range(a, S)}
    return out | {f"{f.__name__}({names[s]})": f(z[:, s]) for s in range(S) for f in (np.sin, np.cos)}


def judged(found: list[dict[str, float]], name: str) -> tuple[int, float]:
    """How many equations have the right terms, and the worst relative error of a true coefficient."""
    truth = SYSTEMS[name][5]
    right = sum(set(have) == set(want) for have, want in zip(found, truth, strict=True))
    worst = max(
        abs(have.get(term, 0.0) / value - 1)
        for have, want in zip(found, truth, strict=True)
        for term, value in want.items()
    )
    return right, worst


def ours(name: str, noise: float, seed: int, every: int) -> dict:
    t, y = sample(name, noise, seed, every)
    names = SYSTEMS[name][4]
    start = time.process_time()
    result = inf.discover_dynamics(t, y, list(names))
    took = time.process_time() - start
    points = np.random.default_rng(0).normal(size=(200, len(names)))
    table = columns(names, points)
    A = np.stack(list(table.values()), axis=1)
    found = []
    for equation in result.equations:
        c = np.linalg.lstsq(A, equation(points), rcond=None)[0]
        some = np.argsort(-np.abs(c))[: len(equation.constants)]  # an equation has as many terms as constants
        found.append({list(table)[k]: float(c[k]) for k in some})
    right, worst = judged(found, name)
    return {
        "right": right, "worst": worst, "cpu": took, "found": result.found, "heldout": result.metrics.get("heldout"),
        "equations": [str(e) for e in result.equations],
    }  # fmt: skip


def pysindy(name: str, noise: float, seed: int, every: int) -> dict:
    import pysindy as ps  # pyright: ignore[reportMissingImports]

    t, y = sample(name, noise, seed, every)
    names = list(SYSTEMS[name][4])
    cut = round(0.8 * len(t))
    plain = lambda: ps.ConcatLibrary([ps.PolynomialLibrary(degree=2), ps.FourierLibrary(n_frequencies=1)])
    makers: dict[str, tuple] = {"differences": (ps.FiniteDifference(order=4), plain)}
    for width in (11, 31, 71):
        makers[f"smoothed {width}"] = (
            ps.SmoothedFiniteDifference(smoother_kws={"window_length": width, "polyorder": 3}), plain,
        )  # fmt: skip
    clock = t[:cut]
    makers["weak"] = (
        None,
        lambda: ps.WeakPDELibrary(function_library=plain(), spatiotemporal_grid=clock, K=400, is_uniform=True, p=4),
    )
    start = time.process_time()
    tried = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, (difference, library) in makers.items():
            for threshold in (0.03, 0.1, 0.15, 0.3):
                for ensemble in (False, True):
                    optimiser = ps.STLSQ(threshold=threshold, alpha=1e-8)
                    if ensemble:
                        optimiser = ps.EnsembleOptimizer(optimiser, bagging=True, n_models=20)
                        np.random.seed(seed)  # noqa: NPY002  its ensembles draw from the global generator
                    options = {} if difference is None else {"differentiation_method": difference}
                    model = ps.SINDy(optimizer=optimiser, feature_library=library(), **options)
                    try:
                        model.fit(y[:cut], t=clock, feature_names=names)
                        found = _terms(model, names)
                    except Exception:  # a setting that fails is one that a user would not take
                        continue
                    tried.append((_increments(found, "".join(names), t[cut:], y[cut:]), label, found))
    took = time.process_time() - start
    if not tried:
        return {"right": 0, "worst": float("inf"), "cpu": took, "oracle_right": 0, "oracle_worst": float("inf")}
    best = min(tried, key=lambda item: item[0])
    right, worst = judged(best[2], name)
    oracle = max((judged(found, name) for _, _, found in tried), key=lambda pair: (pair[0], -pair[1]))
    shown = [" + ".join(f"{value:.4g} {term}" for term, value in equation.items()) for equation in best[2]]
    return {
        "right": right, "worst": worst, "cpu": took, "oracle_right": oracle[0], "oracle_worst": oracle[1], "setting": best[1], "equations": shown,
    }  # fmt: skip


def _terms(model, names: list[str]) -> list[dict[str, float]]:
    """PySINDy's equations in our words."""
    features = []
    for text in model.get_feature_names():
        word = text.strip().replace("sin(1 ", "sin(").replace("cos(1 ", "cos(")
        parts = word.split(" ")
        if "^2" in word:
            word = f"{word[0]}*{word[0]}"
        elif len(parts) == 2:
            word = "*".join(parts)
        features.append(word)
    assert set(features) == set(columns("".join(names), np.ones((1, len(names)))))
    return [{f: float(c) for f, c in zip(features, row, strict=True) if c} for row in np.asarray(model.coefficients())]


def _increments(found: list[dict[str, float]], names: str, t: np.ndarray, y: np.ndarray) -> float:
    """The error of increments over windows of a tenth of the unseen end, with a price for each term: what a user can know."""
    table, N = columns(names, y), len(t)
    w = max(1, N // 10)
    total = 0.0
    for s, equation in enumerate(found):
        speed = sum((value * table[term] for term, value in equation.items()), np.zeros(N))
        grown = cumulative_simpson(speed, x=t, initial=0)
        off = (grown[w:] - grown[:-w]) - (y[w:, s] - y[:-w, s])
        total += N * np.log(float(np.mean(off**2)) / np.var(y[:, s]) + 1e-16) + len(equation) * np.log(N)
    return total


RUN = {"ours": ours, "pysindy": pysindy}


def page(lines: list[dict]) -> str:
    """The page of what the lines say, and of nothing else."""
    text = "# Equations of motion\n\nWritten by `benchmarks/symbolic/dynamics.py` from its JSON lines; what is compared stands at its head.\n\n"
    for word in ("commit", "device", "versions"):
        text += f"- {word}: {'; '.join(sorted({r[word] for r in lines}))}\n"
    for every in sorted({r["every"] for r in lines}):
        some = [r for r in lines if r["every"] == every]
        text += f"\n## Every {every if every > 1 else ''} sample{'' if every == 1 else ' only'}\n\n".replace(
            "Every  sample", "All samples"
        )
        text += (
            "Trajectories with all terms right; median and greatest relative error of the worst coefficient of a trajectory.\n\n"
            "| system | samples | noise | ours: right | worst coefficient | seconds "
            "| PySINDy: right | worst coefficient | by the truth: right | worst coefficient | seconds |\n"
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        )
        for name in SYSTEMS:
            for noise in NOISES:
                row = {who: [r for r in some if (r["who"], r["name"], r["noise"]) == (who, name, noise)] for who in RUN}
                if not row["ours"]:
                    continue
                count = len(SYSTEMS[name][5])
                samples = len(sample(name, 0, 0, every)[0])
                cells = [name, str(samples), f"{100 * noise:g} %", *_cells(row["ours"], "", count)]
                cells.append(f"{statistics.median(r['cpu'] for r in row['ours']):.1f}")
                if row["pysindy"]:
                    cells += [*_cells(row["pysindy"], "", count), *_cells(row["pysindy"], "oracle_", count)]
                    cells.append(f"{statistics.median(r['cpu'] for r in row['pysindy']):.0f}")
                text += f"| {' | '.join(cells)} |\n"
    return text


def _cells(rows: list[dict], prefix: str, count: int) -> tuple[str, str]:
    right = sum(r[f"{prefix}right"] == count for r in rows)
    worst = [r[f"{prefix}worst"] for r in rows]
    return f"{right} of {len(rows)}", f"{statistics.median(worst):.1e} ({max(worst):.1e})"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--noise", type=float, nargs="+", default=list(NOISES))
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--every", type=int, default=1, help="take only every so many-th sample")
    options.add_argument("--who", nargs="+", default=list(RUN), choices=list(RUN))
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(r["who"], r["name"], r["noise"], r["seed"], r["every"]) for r in lines}
    peer = ""
    if "pysindy" in given.who:
        import importlib.metadata

        peer = f", pysindy {importlib.metadata.version('pysindy')}"
    state = {
        "commit": commit(),
        "device": processor(),
        "versions": f"infinity {inf.__version__}, jax {jax.__version__}, numpy {np.__version__}{peer}, python {platform.python_version()}",
    }
    for seed in given.seeds:
        for noise in given.noise:
            for name in SYSTEMS:
                for who in given.who:
                    if (who, name, noise, seed, given.every) in done:
                        continue
                    row = RUN[who](name, noise, seed, given.every)
                    row = {"who": who, "name": name, "noise": noise, "seed": seed, "every": given.every, **row, **state}
                    lines.append(row)
                    with given.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    shown = f"{row['right']} right, worst {row['worst']:.1e}, {row['cpu']:.1f} s"
                    print(f"{who:8} {name:16} {noise:<5} {shown}", flush=True)
    given.out.with_suffix(".md").write_text(page(lines))


if __name__ == "__main__":
    main()
