r"""Large tables: ten inputs and five outputs, borehole, piston, OTL circuit, robot arm and wing weight; and five inputs, a spot of heat. Error over time.

    taskset -c 0 env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        python -m benchmarks.interpolation.large [--data physics|heat] [--samples 100000] [--seconds 100] [--methods ...] [--quick] [--out benchmarks/results]

All inputs lie in the unit box. Each function of the physics set takes as many of them as it has inputs, the first ones, mapped to its ranges. The robot arm
ends at `sqrt(u^2 + v^2)` with `u, v = sum_i L_i (cos, sin)(theta_1 + .. + theta_i)` (An and Owen, 2001), angles from 0 to 2 pi, lengths up to 1. A spot of
heat of width `s` on a plate of diffusivity `a` spreads as

    T(x, y, t, a, s) = s^2 / (s^2 + 4 a t) exp(-(x^2 + y^2) / (s^2 + 4 a t)),    x, y in (-1, 1), t in (0, 1), a in (.02, .2), s in (.1, .4)

Outputs have zero mean and unit variance, and errors are the root mean square over all outputs of 20,000 new points. The INN's published error is 1.5e-2;
whether of standardised outputs or of such between 0 and 1 its table does not say, so both are given. Infinity is `inf.fit` with nothing chosen, an
output after another, on ever more of the rows, compilation included; and with that accuracy asked for, compiled before. Adam trains on batches
in float32, is compiled before its clock starts, and tries each of three rates for a tenth of its time, uncounted. Seconds are those of the processor.
"""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, table, write
from benchmarks.regression.borehole import reached
from benchmarks.regression.cases import Case, Curve, processor_seconds
from benchmarks.regression.over_time import best_of, trained
from benchmarks.regression.peers_over_time import kan
from infinity.cli.problems import PROBLEMS

LEVELS = (3e-1, 1e-1, 5e-2, 1.5e-2, 5e-3)
PUBLISHED = 1.5e-2
NAMES = ("borehole", "piston", "otl circuit", "wing weight")
ROWS = (4000, 16_000)
OURS = "infinity, `inf.fit(x, y)`"
COMPILED = f"infinity, `accuracy={PUBLISHED}`, compiled before"
KAN_ROWS = 100_000  # more do not fit into memory
TITLES = {"physics": "Ten inputs, five outputs", "heat": "A spot of heat, five inputs"}


def robot_arm(x: np.ndarray) -> np.ndarray:
    """The distance of the arm's end from its shoulder, for points of the unit box `(N, 8)`."""
    angles, lengths = np.cumsum(2 * np.pi * x[:, :4], axis=1), x[:, 4:8]
    return np.hypot(np.sum(lengths * np.cos(angles), axis=1), np.sum(lengths * np.sin(angles), axis=1))


def physics(x: np.ndarray) -> np.ndarray:
    """The five values `(N, 5)` at points of the unit box `(N, 10)`."""
    columns = []
    for name in NAMES:
        ranges = PROBLEMS[name].ranges
        low, high = np.array(list(ranges.values())).T
        at = low + (high - low) * x[:, : len(low)]
        columns.append(PROBLEMS[name].function(**dict(zip(ranges, at.T, strict=True))))
    return np.stack([*columns, robot_arm(x)], axis=1)


def heat(x: np.ndarray) -> np.ndarray:
    """The temperature `(N, 1)` at points of the unit box `(N, 5)`."""
    low, high = np.array([(-1, 1), (-1, 1), (0, 1), (0.02, 0.2), (0.1, 0.4)]).T
    x, y, t, a, s = (low + (high - low) * x).T
    width = s**2 + 4 * a * t
    return (s**2 / width * np.exp(-(x**2 + y**2) / width))[:, None]


DATA: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {"physics": (physics, 10), "heat": (heat, 5)}


class Large(NamedTuple):
    """A case of standardised targets, and the targets as measured, in units of their deviation: those have a zero."""

    case: Case
    measured: np.ndarray
    zero: np.ndarray


def large_case(data: str, samples: int, seed: int) -> Large:
    """Samples and new points."""
    function, D = DATA[data]
    draw = np.random.default_rng(seed)
    x, xt = draw.uniform(size=(samples, D)), draw.uniform(size=(20_000, D))
    y, yt = function(x), function(xt)
    mean, deviation = y.mean(axis=0), y.std(axis=0)
    case = Case(x, (y - mean) / deviation, xt, (yt - mean) / deviation, seed)
    return Large(case, y / deviation, mean / deviation)


def chosen(large: Large, steps: tuple[int, ...]) -> Curve:
    """`inf.fit` with nothing chosen, an output after another, on ever more rows; the time for fewer rows counts."""
    curve, spent, case = [], 0.0, large.case
    for rows in sorted({rows for rows in steps if rows <= len(case.x)}):
        began = processor_seconds()
        found = [
            inf.fit(case.x[:rows], large.measured[:rows, o], outside="linear", seed=case.seed)
            for o in range(case.y.shape[1])
        ]
        spent += processor_seconds() - began
        values = np.stack([result.predict(case.xt) for result in found], axis=1) - large.zero
        curve.append((spent, case.error(values)))
        print("  ", rows, "rows:", *(f"{v:.1e}" for v in np.sqrt(np.mean((values - case.yt) ** 2, axis=0))), flush=True)
    return curve


def compiled(large: Large) -> Curve:
    """`inf.fit` with an accuracy that suffices, an output after another; done twice, the second time counts."""
    case = large.case
    fitted = lambda: [
        inf.fit(case.x, large.measured[:, o], outside="linear", seed=case.seed, accuracy=PUBLISHED)
        for o in range(case.y.shape[1])
    ]
    fitted()
    began = processor_seconds()
    found = fitted()
    spent = processor_seconds() - began
    values = np.stack([result.predict(case.xt) for result in found], axis=1) - large.zero
    print("  ", *(f"{v:.1e}" for v in np.sqrt(np.mean((values - case.yt) ** 2, axis=0))), flush=True)
    return [(spent, case.error(values))]


class Siren(eqx.Module):
    """A network of sines (Sitzmann et al., NeurIPS 2020), its first layer at `first` times the usual frequency."""

    layers: tuple[eqx.nn.Linear, ...]
    first: float = eqx.field(static=True)

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, first: float, key: Any):
        sizes = [inputs, *[width] * depth, outputs]
        layers = []
        for i, (n, m, part) in enumerate(zip(sizes[:-1], sizes[1:], jax.random.split(key, depth + 1), strict=True)):
            layer = eqx.nn.Linear(n, m, key=part)
            bound = 1 / n if i == 0 else np.sqrt(6 / n) / first
            weight = jax.random.uniform(part, (m, n), minval=-bound, maxval=bound)
            layers.append(eqx.tree_at(lambda l: l.weight, layer, weight))
        self.layers, self.first = tuple(layers), first

    def __call__(self, x: Any) -> Any:
        """The outputs at a point."""
        for layer in self.layers[:-1]:
            x = jnp.sin(self.first * layer(x))
        return self.layers[-1](x)


def sizes(case: Case) -> tuple[int, int]:
    """How many inputs and outputs."""
    return case.x.shape[1], case.y.shape[1]


def hats(case: Case, seconds: float) -> Curve:
    """A sum of products of hats by Adam, as interpolating neural networks are trained."""
    D, O = sizes(case)
    start = inf.INN([(0.0, 1.0)] * D, modes=64, elements=16, outputs=O, key=jax.random.key(case.seed))
    return trained(start, case, seconds)


def network(case: Case, seconds: float) -> Curve:
    """A network of three hidden layers by Adam."""
    return trained(eqx.nn.MLP(*sizes(case), 128, 3, jax.nn.silu, key=jax.random.key(case.seed)), case, seconds)


def sines(case: Case, seconds: float) -> Curve:
    """A network of sines by Adam."""
    return trained(Siren(*sizes(case), 128, 3, 5.0, jax.random.key(case.seed)), case, seconds)


def splines(case: Case, seconds: float) -> Curve:
    """A Kolmogorov-Arnold network by L-BFGS."""
    D, O = sizes(case)
    part = case._replace(x=case.x[:KAN_ROWS], y=case.y[:KAN_ROWS])
    return best_of(kan(part), ((D, 8, O),), seconds)


METHODS: dict[str, Callable[[Case, float], Curve]] = {
    "products of hats, Adam (as INN)": hats,
    "MLP 128-128-128, Adam": network,
    "SIREN 128-128-128, Adam": sines,
    "KAN (pykan)": splines,
}


def picture(found: dict[str, Curve]) -> Any:
    """Error against seconds, a line a method."""
    from infinity.plot.figure import new_axes, tidy

    ax = new_axes(size=(6.5, 4.2))[0, 0]
    for name, curve in found.items():
        seconds, error = np.array(curve).T
        ax.loglog(np.maximum(seconds, 1e-2), error, "-o", markersize=3, label=name.replace("`", ""))
    ax.axhline(PUBLISHED, color="black", linewidth=0.6, linestyle=":")
    ax.set_xlabel("seconds", fontsize=9)
    ax.set_ylabel("RMSE on new points, standardised outputs", fontsize=9)
    ax.legend(fontsize=7, frameon=False)
    tidy(ax)
    return ax.figure


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", choices=tuple(DATA), default="physics")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=100.0)
    names = (OURS, COMPILED, *METHODS)
    parser.add_argument("--methods", nargs="+", default=list(names), choices=names, metavar="METHOD")
    asked = parser.parse_args()
    samples, seconds = (400, 0.05) if asked.quick else (asked.samples, asked.seconds)
    large, found, rows = large_case(asked.data, samples, 0), {}, []
    case = large.case
    # The error of outputs between 0 and 1 instead of standardised ones.
    between = float(np.sqrt(np.mean(1 / np.ptp(case.y, axis=0) ** 2)))
    head = ["method", *(f"{level:g}" for level in LEVELS), "at the end", "seconds in all"]
    name = f"{asked.data}-{samples}"
    for method in asked.methods:
        if method.startswith("KAN") and importlib.util.find_spec("kan") is None:
            rows.append([method, *["-"] * len(LEVELS), "not run: pykan is not installed", ""])
        else:
            ours = {OURS: lambda: chosen(large, (*ROWS, samples)), COMPILED: lambda: compiled(large)}
            found[method] = curve = ours[method]() if method in ours else METHODS[method](case, seconds)
            rows.append(
                [method, *(reached(curve, level) for level in LEVELS), f"{curve[-1][1]:.2e}", f"{curve[-1][0]:.1f}"]
            )
        lines = [
            f"{samples} samples, {seconds:g} s of one core for each method that is trained. Seconds until the RMSE of standardised outputs is",
            f"at a level; of outputs between 0 and 1 the RMSE is about {between:.2f} of it.",
            "",
        ]
        write(asked.out, name, TITLES[asked.data], 0, [*lines, *table(head, rows)], ("pykan", "torch"))
        picture(found).savefig(asked.out / f"interpolation-{name}.png", dpi=150)


if __name__ == "__main__":
    main()
