"""Yield surfaces from noisy stresses: which formula is found, and how right its constants are.

    python benchmarks/symbolic/surfaces.py --seeds 0 1 2 3 4 --out benchmarks/results/symbolic-surfaces.jsonl

Noise is a part of each coordinate's deviation, in every coordinate. Beside the constants stand those of ordinary least squares for the *true* formula, which
has to be told the formula and is biased by noise. No peer that we know searches implicit surfaces with noise in all coordinates; PySINDy's implicit form is
for equations of motion. A page ending in `.md` is written from all lines at the end.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import infinity as inf
from benchmarks.provenance import commit, processor
from infinity.cli.stress_states import HILL, drucker_prager, hill, matsuoka_nakai, von_mises
from infinity.symbolic.surfaces.features import INVARIANTS, invariants
from infinity.symbolic.tree import evaluate

NOISES = (0.0, 0.01, 0.05)

# Name: points, the terms of the truth as text (one of several ways to write it), and the worst relative error of the constants of a formula with these terms.
SURFACES = {
    "von Mises": (von_mises, ({"J2"}, {"q"})),
    "Drucker-Prager": (drucker_prager, ({"I1", "q"},)),
    "Hill": (hill, ({"xx*yy", "xx*zz", "yy*zz", "xx^2", "yy^2", "zz^2", "yz^2", "xz^2", "xy^2"},)),
    "Matsuoka-Nakai": (matsuoka_nakai, ({"I1*I2/I3"},)),
}


def truth(name: str, terms: set[str]) -> dict[str, float]:
    """The coefficients, with the level one."""
    if name == "von Mises":
        return {"J2": 3 / 250**2} if "J2" in terms else {"q": np.sqrt(3) / 250}
    if name == "Drucker-Prager":
        return {"I1": 0.2 / 100, "q": 1 / 100}
    if name == "Matsuoka-Nakai":
        return {"I1*I2/I3": 1 / 12}
    h = HILL
    return {
        "xx^2": h["G"] + h["H"], "yy^2": h["F"] + h["H"], "zz^2": h["F"] + h["G"], "xx*yy": -2 * h["H"], "xx*zz": -2 * h["G"], "yy*zz": -2 * h["F"],
        "yz^2": 2 * h["L"], "xz^2": 2 * h["M"], "xy^2": 2 * h["N"],
    }  # fmt: skip


def parts(surface: inf.Surface) -> dict[str, float]:
    """The coefficients of the terms found, with the level one."""
    tree = surface.expression.tree
    out = {}
    for part in tree[1:] if tree[0] == "add" else (tree,):
        factors = part[1:] if part[0] == "mul" else (part,)
        value = np.prod([surface.expression.constants[f[1]] for f in factors if f[0] == "c"])
        rest = [f for f in factors if f[0] != "c"]
        plain = inf.Expression(rest[0] if len(rest) == 1 else ("mul", *rest), (), surface.expression.names)
        out[plain.text()] = float(value) / surface.level
    return out


def told(name: str, x: np.ndarray, terms: set[str]) -> float:
    """The worst error of ordinary least squares for the true formula, level one."""
    want = truth(name, terms)
    names = ("s1", "s2", "s3") if x.shape[1] == 3 else ("xx", "yy", "zz", "yz", "xz", "xy")
    values = [np.asarray(evaluate(tree, list(x.T), ()), float) for tree in invariants(x.shape[1])]
    columns = np.stack([*x.T, *values], axis=1)
    A = np.stack([inf.Expression.parse(term, [*names, *INVARIANTS])(columns) for term in want], axis=1)
    c = np.linalg.lstsq(A, np.ones(len(x)), rcond=None)[0]
    return float(np.max(np.abs(c / np.array(list(want.values())) - 1)))


def run(name: str, points: int, noise: float, seed: int) -> dict:
    maker, forms = SURFACES[name]
    rng = np.random.default_rng([seed, list(SURFACES).index(name)])
    x = maker(points, rng)
    x = x + noise * x.std(axis=0) * rng.normal(size=x.shape)
    start = time.process_time()
    surface = inf.discover_surface(x, stress=True, seed=seed)
    took = time.process_time() - start
    found = parts(surface)
    right = set(found) in forms
    want = truth(name, set(found)) if right else {}
    worst = max((abs(found[term] / value - 1) for term, value in want.items()), default=float("nan"))
    return {
        "right": right, "worst": worst, "least squares": told(name, x, forms[0]), "cpu": took, "found": surface.found, "equation": surface.equation,
        "distance": surface.noise, "heldout": surface.metrics["heldout"],
    }  # fmt: skip


def page(lines: list[dict]) -> str:
    """The page of what the lines say, and of nothing else."""
    text = "# Yield surfaces\n\nWritten by `benchmarks/symbolic/surfaces.py` from its JSON lines; what is compared stands at its head.\n\n"
    for word in ("commit", "device", "versions"):
        text += f"- {word}: {'; '.join(sorted({r[word] for r in lines}))}\n"
    text += (
        "\nRelative error of the worst constant, the level being one: median over the seeds (greatest).\n\n"
        "| surface | points | noise | right terms | called found | worst constant | least squares told the formula | seconds | first seed |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for name in SURFACES:
        for points, noise in sorted({(r["points"], r["noise"]) for r in lines if r["name"] == name}):
            rows = [r for r in lines if (r["name"], r["points"], r["noise"]) == (name, points, noise)]
            errors, plain = (
                [r[word] for r in rows if r["right"]] or [float("nan")] for word in ("worst", "least squares")
            )
            shown = min(rows, key=lambda r: r["seed"])["equation"]
            cells = [
                name, str(points), f"{100 * noise:g} %", f"{sum(r['right'] for r in rows)} of {len(rows)}", f"{sum(r['found'] for r in rows)} of {len(rows)}",
                f"{statistics.median(errors):.1e} ({max(errors):.1e})", f"{statistics.median(plain):.1e} ({max(plain):.1e})",
                f"{statistics.median(r['cpu'] for r in rows):.1f}", f"`{shown if len(shown) < 90 else shown[:87] + '...'}`",
            ]  # fmt: skip
            text += f"| {' | '.join(cells)} |\n"
    return text


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--noise", type=float, nargs="+", default=list(NOISES))
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--points", type=int, default=1000)
    options.add_argument("--only", nargs="*", default=list(SURFACES))
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(r["name"], r["points"], r["noise"], r["seed"]) for r in lines}
    state = {
        "commit": commit(), "device": processor(),
        "versions": f"infinity {inf.__version__}, jax {jax.__version__}, numpy {np.__version__}, python {platform.python_version()}",
    }  # fmt: skip
    for seed in given.seeds:
        for name in given.only:
            for noise in given.noise:
                if (name, given.points, noise, seed) in done:
                    continue
                row = {
                    "name": name,
                    "points": given.points,
                    "noise": noise,
                    "seed": seed,
                    **run(name, given.points, noise, seed),
                    **state,
                }
                lines.append(row)
                with given.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    f"{name:16} {noise:<5} {row['right']!s:5} {row['worst']:.1e} ({row['least squares']:.1e}) {row['cpu']:.1f} s {row['equation'][:100]}",
                    flush=True,
                )
    given.out.with_suffix(".md").write_text(page(lines))


if __name__ == "__main__":
    main()
