"""Level sets: success, iterations and microseconds a point on one core, with scipy beside.

    taskset -c 0 env XLA_FLAGS=--xla_cpu_multi_thread_eigen=false python -m benchmarks.inverse.level_sets [--points 100000] [--out benchmarks/results]

Three functions are fitted (2, 6 and 10 inputs); beside them stand hills on a plain and a rough random model of each size; levels are the 70 % and the 97 %
quantile of the values; starts are uniform in the box. Time is that of the whole call, `inf.level_set(...)`, tables, starts and checks included, after one call
that compiles; the compiled projection alone is in a column of its own. All methods see the same models and levels. scipy searches the same model, compiled,
one start after another.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.provenance import header
from infinity.cli.problems import otl_circuit, wing_weight
from infinity.inverse.level_set import _looked, _starts, _tolerance
from infinity.inverse.projection import project
from infinity.inverse.subject import subject_of

OTL = ((50.0, 150.0), (25.0, 70.0), (0.5, 3.0), (1.2, 2.5), (0.25, 1.2), (50.0, 300.0))
WING = (
    (150.0, 200.0), (220.0, 300.0), (6.0, 10.0), (-10.0, 10.0), (16.0, 45.0), (0.5, 1.0), (0.08, 0.18), (2.5, 6.0), (1700.0, 2500.0), (0.025, 0.08),
)  # fmt: skip


def peaks() -> inf.KHRONOS:
    """Three hills and three hollows on a plain, a sum of four products, by splines."""
    e, box = jnp.exp, [(-3.0, 3.0)] * 2
    parts = (
        (lambda x: 3 * (1 - x) ** 2 * e(-x * x), lambda y: e(-((y + 1) ** 2))),
        (lambda x: -10 * (x / 5 - x**3) * e(-x * x), lambda y: e(-y * y)),
        (lambda x: 10 * e(-x * x), lambda y: y**5 * e(-y * y)),
        (lambda x: -e(-((x + 1) ** 2)) / 3, lambda y: e(-y * y)),
    )
    options = {"modes": 4, "elements": 16, "outputs": "scalar", "additive": False, "constant": False}
    model = inf.KHRONOS(box, key=jax.random.key(0), **options)
    bases: Any = model.bases
    factors = tuple(jnp.stack([basis.interpolate(part[d]) for part in parts]) for d, basis in enumerate(bases))
    return eqx.tree_at(lambda m: m.factors, model, factors)


def branin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Three valleys."""
    return (y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


FITTED = {
    "Branin": (branin, ((-5.0, 10.0), (0.0, 15.0)), {"modes": 3, "elements": 8}),
    "OTL circuit": (otl_circuit, OTL, {"modes": 6, "elements": 4}),
    "wing weight": (wing_weight, WING, {"modes": 6, "elements": 4}),
}


def fitted(name: str) -> Any:
    """A fit of one of the functions."""
    function, box, size = FITTED[name]
    low, high = np.array(box).T
    x = np.random.default_rng(0).uniform(low, high, (4000, len(box)))
    return inf.fit(x, function(*x.T), degree=3, link="identity", local=False, seed=0, **size).model


def rough(dimensions: int) -> inf.KHRONOS:
    """A random model with several bumps in each input."""
    random, amplitude = np.random.default_rng(0), 0.5 if dimensions == 2 else 0.25
    box = [(0.0, 1.0)] * dimensions
    model = inf.KHRONOS(box, modes=8, elements=8, outputs="scalar", key=jax.random.key(0))
    walk = lambda shape: 1 + amplitude * np.cumsum(random.normal(size=shape), axis=1) / np.sqrt(shape[1])
    return eqx.tree_at(lambda m: m.factors, model, tuple(jnp.asarray(walk(f.shape)) for f in model.factors))


def timed(work: Any, rounds: int = 5) -> tuple[float, Any]:
    """The median seconds of some rounds, after one that is not counted."""
    found, spent = work(), []
    for _ in range(rounds):
        began = time.process_time()
        found = work()
        spent.append(time.process_time() - began)
    return float(np.median(spent)), found


def with_scipy(model: Any, level: float, starts: np.ndarray, box: tuple[np.ndarray, np.ndarray], width: float) -> list:
    """Scipy from each start: bounded least squares, and a bracket to a random other start by Brent's method; microseconds and success of each."""
    low, high = box
    both = jax.jit(jax.value_and_grad(lambda x: jnp.reshape(model(x), ())))
    both(jnp.asarray(starts[0]))
    rows = []
    began, good = time.process_time(), 0
    for x in starts:
        residual = lambda z: np.array([float(both(jnp.asarray(low + (high - low) * z))[0]) - level]) / width
        jacobian: Any = lambda z: (
            (np.asarray(both(jnp.asarray(low + (high - low) * z))[1]) * (high - low))[None] / width
        )
        found = scipy.optimize.least_squares(residual, (x - low) / (high - low), jacobian, bounds=(0, 1), xtol=1e-15, ftol=1e-15, gtol=1e-15)  # fmt: skip
        good += abs(found.fun[0]) <= 1e-10
    rows.append(("scipy least_squares", (time.process_time() - began) / len(starts) * 1e6, good / len(starts)))
    value = jax.jit(lambda x: jnp.reshape(model(x), ()) - level)
    signs = np.array([float(value(jnp.asarray(x))) for x in starts])
    began, good, tried = time.process_time(), 0, 0
    for i, x in enumerate(starts):
        others = starts[(signs > 0) != (signs[i] > 0)]
        if not len(others):
            continue
        other, tried = others[i % len(others)], tried + 1
        line = lambda s, x=x, other=other: float(value(jnp.asarray(x + s * (other - x))))
        s = scipy.optimize.brentq(line, 0, 1, xtol=1e-15)
        good += abs(line(s)) <= 1e-10 * width
    rows.append(("scipy brentq", (time.process_time() - began) / max(tried, 1) * 1e6, good / max(tried, 1)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    models = (
        [("peaks", peaks())]
        + [(name, fitted(name)) for name in FITTED]
        + [(f"rough, D = {D}", rough(D)) for D in (2, 6, 10)]
    )
    n, rows = options.points, []
    for name, model in models:
        low, high = np.array(model.domain).T
        x = np.random.default_rng(1).uniform(low, high, (20000, len(low)))
        seen = np.asarray(jax.vmap(model)(jnp.asarray(x))).ravel()
        for share in (0.7, 0.97):
            level = float(np.quantile(seen, share))
            for method in ("projection", "bracketing"):
                call = lambda seed, level=level, method=method, model=model: inf.level_set(
                    model, level, n, key=jax.random.key(seed), method=method
                )
                call(9)
                seconds, found = timed(lambda call=call: call(0))
                alone = 0.0
                if method == "projection":
                    subject = subject_of(model)
                    start = jnp.asarray(_starts(subject, n, jax.random.key(0), None))
                    tol = jnp.asarray(_tolerance(subject, level, _looked(subject)[1], None))
                    at = jnp.asarray(subject.inner(level))
                    alone, _ = timed(
                        lambda s=subject, z=start, a=at, t=tol: jax.block_until_ready(project(s.function, z, a, t))
                    )
                rows.append(
                    (name, len(low), share, method, found.success.mean(), found.iterations.mean(), found.iterations.max(), seconds / n * 1e6, alone / n * 1e6)
                )  # fmt: skip
                print(*rows[-1], flush=True)
            for label, micro, success in with_scipy(model, level, x[:100], (low, high), float(np.ptp(seen))):
                rows.append((name, len(low), share, label, success, np.nan, np.nan, micro, 0.0))
                print(*rows[-1], flush=True)
    lines = [
        "# Level sets",
        "",
        header("0 (data, models, starts)"),
        "",
        f"{n} points a call, float64, one process bound to one core, its CPU time (others use the machine); scipy: 100 points.",
        "Success is a residual of at most 1e-10 of the range of values. Iterations are evaluations of value and gradient after the first.",
        "The call does everything; the projection is its compiled part alone, from the starts themselves (without the grid's first guess).",
        "",
        "| model | D | level | method | success | iterations, mean | most | us a point, the call | us, projection |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, D, share, method, success, mean, most, micro, alone in rows:
        text = lambda v, form: "" if not np.isfinite(v) or v == 0 else format(v, form)
        lines.append(
            f"| {name} | {D} | {share:.0%} | {method} | {success:.2%} | {text(mean, '.2f')} | {text(most, '.0f')} | {micro:.2f} | {text(alone, '.2f')} |"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "level-sets.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
