r"""Ten inputs, five outputs: borehole, piston, OTL circuit, robot arm and wing weight as one table; error over time.

    python -m benchmarks.interpolation.physics [--quick] [--samples 100000] [--seconds 300] [--methods ...] [--out benchmarks/results]

All inputs lie in the unit box; each function takes as many of them as it has inputs, the first ones, mapped to its ranges, and each output has zero mean and
unit variance. The robot arm ends at `sqrt(u^2 + v^2)` with `u, v = sum_i L_i (cos, sin)(theta_1 + .. + theta_i)` (An and Owen, 2001), angles from 0 to 2 pi,
lengths up to 1. Errors are the root mean square over all outputs of 20,000 new points; below, the time to the INN's published 1.5e-2 if it is reached. A
method with settings tries each for a tenth of its time, uncounted. Adam runs in float32 and is compiled before its clock starts; the direct solve is compiled
too.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, table, write
from benchmarks.regression.borehole import direct, reached
from benchmarks.regression.cases import Case, Curve
from benchmarks.regression.over_time import best_of, trained
from benchmarks.regression.peers_over_time import kan
from infinity.cli.problems import PROBLEMS

D, O = 10, 5
LEVELS = (3e-1, 1e-1, 5e-2, 1.5e-2, 1e-2)
PUBLISHED = 1.5e-2
NAMES = ("borehole", "piston", "otl circuit", "wing weight")


def robot_arm(x: np.ndarray) -> np.ndarray:
    """The distance of the arm's end from its shoulder, for points of the unit box `(N, 8)`."""
    angles, lengths = np.cumsum(2 * np.pi * x[:, :4], axis=1), x[:, 4:8]
    return np.hypot(np.sum(lengths * np.cos(angles), axis=1), np.sum(lengths * np.sin(angles), axis=1))


def outputs(x: np.ndarray) -> np.ndarray:
    """The five values `(N, 5)` at points of the unit box `(N, 10)`."""
    columns = []
    for name in NAMES:
        ranges = PROBLEMS[name].ranges
        low, high = np.array(list(ranges.values())).T
        at = low + (high - low) * x[:, : len(low)]
        columns.append(PROBLEMS[name].function(**dict(zip(ranges, at.T, strict=True))))
    return np.stack([*columns, robot_arm(x)], axis=1)


def case_of(samples: int, seed: int) -> Case:
    """Samples and new points."""
    draw = np.random.default_rng(seed)
    x, xt = draw.uniform(size=(samples, D)), draw.uniform(size=(20_000, D))
    y, yt = outputs(x), outputs(xt)
    mean, deviation = y.mean(axis=0), y.std(axis=0)
    return Case(x, (y - mean) / deviation, xt, (yt - mean) / deviation, seed)


def solved(case: Case, modes: int, elements: int) -> Curve:
    """The direct solve of one separable model with shared modes."""
    start = inf.KHRONOS([(0.0, 1.0)] * D, modes=modes, elements=elements, outputs=O, key=jax.random.key(case.seed))
    xt, yt = jnp.asarray(case.xt), jnp.asarray(case.yt)
    evaluate = eqx.filter_jit(lambda model: jnp.sqrt(jnp.mean((jax.vmap(model)(xt) - yt) ** 2)) / yt.std())
    return direct(start, jnp.asarray(case.x), jnp.asarray(case.y), evaluate)


def hats(case: Case, seconds: float) -> Curve:
    """A sum of products of hats by Adam, as interpolating neural networks are trained."""
    return trained(
        inf.INN([(0.0, 1.0)] * D, modes=64, elements=16, outputs=O, key=jax.random.key(case.seed)), case, seconds
    )


class Siren(eqx.Module):
    """A network of sines (Sitzmann et al., NeurIPS 2020), its first layer at `first` times the usual frequency."""

    layers: tuple[eqx.nn.Linear, ...]
    first: float = eqx.field(static=True)

    def __init__(self, width: int, depth: int, first: float, key: Any):
        sizes = [D, *[width] * depth, O]
        layers = []
        for i, (n, m, part) in enumerate(zip(sizes[:-1], sizes[1:], jax.random.split(key, depth + 1), strict=True)):
            layer = eqx.nn.Linear(n, m, key=part)
            bound = 1 / n if i == 0 else np.sqrt(6 / n) / first
            weight = jax.random.uniform(part, (m, n), minval=-bound, maxval=bound)
            layers.append(eqx.tree_at(lambda l: l.weight, layer, weight))
        self.layers, self.first = tuple(layers), first

    def __call__(self, x: Any) -> Any:
        """The outputs `(5,)` at a point `(10,)`."""
        for layer in self.layers[:-1]:
            x = jnp.sin(self.first * layer(x))
        return self.layers[-1](x)


def network(case: Case, seconds: float) -> Curve:
    """A network of three hidden layers by Adam."""
    return trained(eqx.nn.MLP(D, O, 128, 3, jax.nn.silu, key=jax.random.key(case.seed)), case, seconds)


METHODS: dict[str, Callable[[Case, float], Curve]] = {
    "infinity, direct, 16 modes": lambda case, seconds: solved(case, 16, 6),
    "infinity, direct, 48 modes": lambda case, seconds: solved(case, 48, 6),
    "products of hats, Adam (as INN)": hats,
    "MLP 128-128-128, Adam": network,
    "SIREN 128-128-128, Adam": lambda case, seconds: trained(
        Siren(128, 3, 5.0, jax.random.key(case.seed)), case, seconds
    ),
    "KAN (pykan)": lambda case, seconds: best_of(kan(case), ((D, 8, O),), seconds),
}


def picture(found: dict[str, Curve]) -> Any:
    """Error against seconds, a line a method."""
    from infinity.plot.figure import new_axes, tidy

    ax = new_axes(size=(6.5, 4.2))[0, 0]
    for name, curve in found.items():
        seconds, error = np.array(curve).T
        ax.loglog(np.maximum(seconds, 1e-2), error, "-o", markersize=3, label=name)
    ax.axhline(PUBLISHED, color="black", linewidth=0.6, linestyle=":")
    ax.set_xlabel("seconds", fontsize=9)
    ax.set_ylabel("RMSE on new points, standardised outputs", fontsize=9)
    ax.legend(fontsize=7, frameon=False)
    tidy(ax)
    return ax.figure


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=tuple(METHODS), metavar="METHOD")
    chosen = parser.parse_args()
    samples, seconds = (400, 0.05) if chosen.quick else (chosen.samples, chosen.seconds)
    case, found, rows = case_of(samples, 0), {}, []
    for name in chosen.methods:
        if name.startswith("KAN") and importlib.util.find_spec("kan") is None:
            rows.append([name, *["-"] * len(LEVELS), "not run: pykan is not installed", ""])
            continue
        found[name] = curve = METHODS[name](case, seconds)
        rows.append([name, *(reached(curve, level) for level in LEVELS), f"{curve[-1][1]:.2e}", f"{curve[-1][0]:.1f}"])
        print(rows[-1], flush=True)
        head = ["method", *(f"{level:g}" for level in LEVELS), "at the end", "seconds in all"]
        lines = [
            f"{samples} samples, {seconds:g} s for each method that is trained. Seconds until the RMSE is at a level:",
            "",
        ]
        write(chosen.out, "physics", "Ten inputs, five outputs", 0, [*lines, *table(head, rows)], ("pykan", "torch"))
        picture(found).savefig(chosen.out / "interpolation-physics.png", dpi=150)


if __name__ == "__main__":
    main()
