"""Does the direct solve find what is there? Exact and noisy sums of atoms, in one and several dimensions, no start given.

    python -m benchmarks.aion.recovery [--count 100] [--parts ...] [--out benchmarks/results]

Each part writes its rows to `recovery.md` by way of `runs/aion-recovery.json`, so that parts may be run one at a time. Errors of parameters are the largest
over all amplitudes, dampings, frequencies and phases, on the unit interval; those of functions are root mean squares relative to the function.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.aion.problems import factors, signal, with_noise
from benchmarks.provenance import ROOT, header
from infinity.descent.exponential import Factors, polish, samples_of, solve_signal
from infinity.descent.exponential.product import values

# (D, r, P), and points of the grid a dimension.
GRIDDED = {
    (2, 1, 2): 32,
    (2, 2, 1): 32,
    (2, 2, 2): 32,
    (2, 3, 1): 32,
    (2, 3, 2): 32,
    (3, 1, 2): 16,
    (3, 2, 1): 16,
    (3, 2, 2): 16,
    (3, 3, 2): 20,
}
SCATTERED = {
    (2, 1, 2): 1200,
    (2, 2, 1): 1200,
    (2, 2, 2): 1200,
    (2, 3, 2): 1200,
    (3, 1, 1): 2000,
    (3, 2, 1): 2000,
    (3, 2, 2): 2000,
}
Row = tuple[str, str, str, str]


def parameter_error(found: inf.AION, drawn: Factors) -> float:
    """The largest error over all parameters, both in canonical form at the origin."""
    pairs = np.asarray(drawn.pairs)
    amplitude, phase = np.hypot(pairs[..., 0], pairs[..., 1]), np.arctan2(-pairs[..., 1], pairs[..., 0])
    true = inf.AION.of(amplitude, drawn.alpha, drawn.omega, phase).canonical()
    if found.amplitude.shape != true.amplitude.shape:
        return np.inf
    turns = np.asarray(found.phase - true.phase)
    errors = [np.asarray(getattr(found, name) - getattr(true, name)) for name in ("amplitude", "alpha", "omega")]
    return float(max(np.max(np.abs(e)) for e in [*errors, (turns + np.pi) % (2 * np.pi) - np.pi]))


def _model(t: np.ndarray, y: np.ndarray, terms: int) -> tuple[inf.AION, dict[str, int]]:
    fit = solve_signal(samples_of(t, y), terms)
    model = inf.AION.of(fit.amplitude, fit.alpha, fit.omega, fit.phase, origin=(fit.origin,))
    return model.moved((0.0,)).canonical(), fit.counts


def one_step(count: int, seed: int) -> list[Row]:
    """One outer step from random starts to random targets, the whole parameter box: direct, and by trust region from the start itself."""
    generator = np.random.default_rng(seed)
    t = np.arange(64) / 64
    errors, inner = [], []
    for _ in range(count):
        _, y, drawn = signal(generator, 1, 0, 64, True)
        model, counts = _model(t, y, 1)
        errors.append(parameter_error(model, drawn))
        inner.append(counts["iterations"])
    rows = [
        _row("one outer step, P = 1, start ignored", errors, 1e-10, f"median {np.median(inner):.0f} inner iterations")
    ]
    times = jnp.asarray(t)

    def residuals(p, y):
        return p["A"] * jnp.exp(p["alpha"] * times) * jnp.cos(p["omega"] * times + p["phi"]) - y

    for start in ("search", "given"):
        solver = inf.InfiniteDescent(rtol=1e-13, atol=1e-13, start=start, verify=False)

        @jax.jit
        def solve(p, y, solver=solver):
            solution = optx.least_squares(residuals, solver, p, args=y, throw=False, max_steps=1)
            return solution.value, solution.state.ledger.iterations

        errors, inner = [], []
        for _ in range(count):
            _, y, drawn = signal(generator, 1, 0, 64, True)
            first = {
                "A": generator.uniform(0.5, 2), "alpha": generator.uniform(-3, 1),
                "omega": generator.uniform(2 * np.pi, 0.8 * np.pi * 64), "phi": generator.uniform(-np.pi, np.pi),
            }  # fmt: skip
            found, iterations = solve(first, jnp.asarray(y))
            model = inf.AION.of(*(jnp.atleast_1d(found[k]) for k in ("A", "alpha", "omega", "phi"))).canonical()
            errors.append(parameter_error(model, drawn))
            inner.append(int(iterations))
        what = f'one outer step of `InfiniteDescent(start="{start}")` from a random start'
        rows.append(_row(what, errors, 1e-10, f"median {np.median(inner):.0f} inner iterations"))
    return rows


def exact(count: int, seed: int) -> list[Row]:
    """Exact samples, P = 1 to 5."""
    generator = np.random.default_rng(seed)
    rows = []
    for uniform, cells in ((True, 0.5), (False, 2.0), (False, 1.0)):
        for terms in range(1, 6):
            errors, inner = [], []
            for _ in range(count):
                t, y, drawn = signal(generator, terms, cells, 128, uniform, 0.8 if uniform else 0.4)
                model, counts = _model(t, y, terms)
                errors.append(parameter_error(model, drawn))
                inner.append(counts["iterations"])
            kind = "uniform" if uniform else "scattered"
            what = f"exact, {kind}, poles {cells:g} cells apart, P = {terms}"
            rows.append(_row(what, errors, 1e-10, f"median error {np.median(errors):.1e}"))
    return rows


def orders(count: int, seed: int) -> list[Row]:
    """How often the number of atoms is right at 20 dB."""
    generator = np.random.default_rng(seed)
    rows = []
    for terms in range(1, 6):
        found = []
        for _ in range(count):
            t, y, _ = signal(generator, terms, 1.5, 128, True)
            found.append(len(solve_signal(samples_of(t, with_noise(generator, y, 20)[0])).alpha))
        right = np.mean(np.array(found) == terms)
        few, many = np.mean(np.array(found) < terms), np.mean(np.array(found) > terms)
        rows.append(
            (f"order at 20 dB, P = {terms}", str(count), f"{right:.1%}", f"too few {few:.1%}, too many {many:.1%}")
        )
    return rows


def gridded(count: int, seed: int) -> list[Row]:
    """Exact samples on grids."""
    return [_products(case, n, count, seed, None) for case, n in GRIDDED.items()]


def noisy_grids(count: int, seed: int) -> list[Row]:
    """Grids at 20 dB against a fit that starts at the truth."""
    cases = ((2, 2, 2), (2, 3, 2), (3, 2, 2))
    return [_products(case, GRIDDED[case], count, seed, 20.0) for case in cases]


def _products(case: tuple[int, int, int], n: int, count: int, seed: int, decibels: float | None) -> Row:
    generator = np.random.default_rng(seed)
    D, r, P = case
    axis = np.arange(n) / (n - 1) - 0.5
    x = np.stack(np.meshgrid(*[axis] * D, indexing="ij"), -1).reshape(-1, D)
    s = np.ones(len(x))
    judged, seconds = [], []
    for _ in range(count):
        drawn = factors(generator, D, r, P, 1.0 if n == 32 else 0.7, 0.8 * np.pi * (n - 1))
        y = np.asarray(values(drawn, x))
        if decibels is not None:
            y = with_noise(generator, y, decibels)[0]
        start = time.perf_counter()
        found = inf.fit(x, y, model=inf.AION(dimensions=D, modes=r, terms=P, key=jax.random.key(0)), holdout=0)
        seconds.append(time.perf_counter() - start)
        left = 0.5 * float(np.sum((np.asarray(found.predict(x)) - y) ** 2))
        if decibels is None:
            judged.append(np.sqrt(2 * left / np.sum(y**2)))
        else:
            best = polish(x, y, s, Factors(*(jnp.asarray(v) for v in drawn)))
            judged.append(left / float(best.loss) - 1)
    if decibels is None:
        return _row(f"exact grid {n}^{D}, (D, r, P) = {case}", judged, 1e-9, f"{np.median(seconds):.1f} s a fit")
    what = f"grid {n}^{D} at {decibels:g} dB, (D, r, P) = {case}: loss within 1e-6 of the fit from the truth"
    return _row(
        what, judged, 1e-6, f"{np.median(seconds):.1f} s a fit, lower loss in {np.mean(np.array(judged) < -1e-6):.0%}"
    )


def scattered(count: int, seed: int) -> list[Row]:
    """Exact scattered samples in several dimensions."""
    rows = []
    for (D, r, P), samples in SCATTERED.items():
        generator = np.random.default_rng(seed)
        judged, seconds = [], []
        for _ in range(count):
            drawn = factors(generator, D, r, P, 1.0, 2 * np.pi * (r * P + 2))
            x = generator.uniform(-0.5, 0.5, (samples, D))
            y = np.asarray(values(drawn, x))
            start = time.perf_counter()
            found = inf.fit(x, y, model=inf.AION(dimensions=D, modes=r, terms=P, key=jax.random.key(0)), holdout=0)
            seconds.append(time.perf_counter() - start)
            judged.append(np.sqrt(np.sum((np.asarray(found.predict(x)) - y) ** 2) / np.sum(y**2)))
        rows.append(
            _row(
                f"exact, {samples} scattered points, (D, r, P) = {(D, r, P)}",
                judged,
                1e-9,
                f"{np.median(seconds):.1f} s a fit",
            )
        )
    return rows


def _row(what: str, judged: list[float], limit: float, note: str) -> Row:
    return what, str(len(judged)), f"{np.mean(np.array(judged) <= limit):.1%} to {limit:.0e}", note


PARTS: dict[str, tuple[Callable[[int, int], list[Row]], float]] = {
    # The share of --count that each part runs.
    "one_step": (one_step, 10.0), "exact": (exact, 2.0), "orders": (orders, 1.0), "gridded": (gridded, 0.1),
    "noisy_grids": (noisy_grids, 0.4), "scattered": (scattered, 0.1),
}  # fmt: skip


def write(kept: dict, out: Path) -> None:
    """The table of all parts that were run."""
    lines = ["# What the direct solve of AION finds", "", "Each part was run by itself:", ""]
    for part in (part for part in PARTS if part in kept):
        words = dict(line[2:].split(": ", 1) for line in kept[part]["header"].splitlines())
        lines.append(f"- {part}: {words.pop('date')}; commit {words.pop('commit')}; {'; '.join(words.values())}")
    lines += ["", "| problem | problems | found | |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for part in PARTS if part in kept for row in kept[part]["rows"]]
    out.mkdir(parents=True, exist_ok=True)
    (out / "aion-recovery.md").write_text("\n".join([*lines, ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="problems of each kind in one dimension")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--kept", type=Path, default=ROOT / "runs" / "aion-recovery.json")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    kept = json.loads(options.kept.read_text()) if options.kept.exists() else {}
    for part in options.parts:
        run, share = PARTS[part]
        kept[part] = {"rows": run(max(1, round(share * options.count)), options.seed), "header": header(options.seed)}
        options.kept.parent.mkdir(exist_ok=True, parents=True)
        options.kept.write_text(json.dumps(kept))
        print("\n".join(" | ".join(row) for row in kept[part]["rows"]), flush=True)
    write(kept, options.out)


if __name__ == "__main__":
    main()
