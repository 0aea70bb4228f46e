r"""Trained nodes in one dimension: the error beside uniform nodes and beside the best that any nodes could do.

    python -m benchmarks.interpolation.nodes [--quick] [--out benchmarks/results] [--functions tanh ...]

`inf.fit` sees samples only, no derivative of the truth: 4,000 equally spaced ones, and for the two functions with a singular point as many more that close in
on it, each weighted by the length it stands for. The reference is the asymptotic optimum over all nodes,

    sqrt(|B_2q| / (2q)!) (int |u^(q)|^(2 / (2q+1)) dt)^(q + 1/2) N^-q,    q = k + 1,  N cells

which for few cells can lie above or below what is possible. Errors are relative, in the mean square, by Gauss points between graded ends.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.interpolate import make_lsq_spline
from scipy.special import bernoulli

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, relative_error, table, write

SAMPLES = 4000
COUNTS = (12, 20, 40)
DEGREES = {1: "hats", 3: "cubic"}
# Gains over uniform nodes of `n` functions that are asked for, by function and degree.
GAINS = {
    ("tanh", 1): (70, 98, 108),
    ("tanh", 3): (690, 4200, 17_000),
    ("sqrt", 1): (7, 11, 22),
    ("sqrt", 3): (39, 180, 1250),
    ("Gaussian", 1): (81, 190, 300),
    ("kink", 1): (1.4, 1.4, 1.4),
    ("kink", 3): (32, 230, 960),
}


class Target(NamedTuple):
    """A function, its second and fourth derivative up to the sign, and its singular point if it has one."""

    value: Callable[[np.ndarray], np.ndarray]
    second: Callable[[float], float]
    fourth: Callable[[float], float]
    singular: float | None = None


def _tanh(x: float) -> tuple[float, float]:
    t = math.tanh(50 * (x - 0.3))
    slope = 1 - t * t
    return 2500 * -2 * t * slope, 50**4 * slope * (16 * t - 24 * t**3)


def _gaussian(x: float) -> tuple[float, float]:
    z = (x - 0.5) / 0.02
    g = math.exp(-z * z)
    return g * (4 * z**2 - 2) / 0.02**2, g * (16 * z**4 - 48 * z**2 + 12) / 0.02**4


TARGETS = {
    "tanh": Target(lambda x: np.tanh(50 * (x - 0.3)), lambda x: _tanh(x)[0], lambda x: _tanh(x)[1]),
    "sqrt": Target(np.sqrt, lambda x: x**-1.5 / 4, lambda x: 15 / 16 * x**-3.5, singular=0.0),
    "Gaussian": Target(
        lambda x: np.exp(-(((x - 0.5) / 0.02) ** 2)), lambda x: _gaussian(x)[0], lambda x: _gaussian(x)[1]
    ),
    "kink": Target(
        lambda x: np.abs(x - 1 / 3) ** 1.5,
        lambda x: 0.75 * abs(x - 1 / 3) ** -0.5,
        lambda x: 9 / 16 * abs(x - 1 / 3) ** -2.5,
        singular=1 / 3,
    ),
}


def samples(target: Target, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights that sum to their number."""
    x = (np.arange(size) + 0.5) / size
    if target.singular is not None:
        near = target.singular + np.concatenate([sign * np.geomspace(1e-9, 1.0, size) for sign in (-1, 1)])
        x = np.unique(np.concatenate([x, near[(near >= 0) & (near <= 1)]]))
    ends = np.concatenate([[0.0], (x[1:] + x[:-1]) / 2, [1.0]])
    return x, np.diff(ends) * len(x)


def graded(target: Target) -> np.ndarray:
    """Ends of cells that close in on the singular point."""
    ends = np.linspace(0.0, 1.0, 1601)
    if target.singular is not None:
        steps = np.geomspace(1e-14, 1.0, 600)
        ends = np.concatenate([ends, [target.singular], target.singular + steps, target.singular - steps])
    return np.unique(ends[(ends >= 0) & (ends <= 1)])


def optimum(target: Target, degree: int, cells: int) -> float:
    """The asymptotic optimum, relative."""
    q = degree + 1
    derivative = target.second if degree == 1 else target.fourth
    integrand = lambda x: abs(derivative(x)) ** (2 / (2 * q + 1))
    ends = graded(target)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    total = 0.0
    for low, high in pairwise(ends):
        t = low + (high - low) * (1 + nodes) / 2
        total += (high - low) / 2 * sum(w * integrand(x) for w, x in zip(weights, t, strict=True))
    t = (ends[:-1, None] + np.diff(ends)[:, None] * (1 + nodes) / 2).ravel()
    length = math.sqrt(np.sum((np.diff(ends)[:, None] * weights / 2).ravel() * target.value(t) ** 2))
    constant = math.sqrt(abs(bernoulli(2 * q)[-1]) / math.factorial(2 * q))
    return constant * total ** (q + 0.5) * cells**-q / length


def uniform(target: Target, degree: int, cells: int, x: np.ndarray, weights: np.ndarray) -> Callable[[np.ndarray], Any]:
    """The least-squares spline on equal cells."""
    knots = np.pad(np.linspace(0.0, 1.0, cells + 1), degree, mode="edge")
    return make_lsq_spline(x, target.value(x), knots, degree, np.sqrt(weights))


class Row(NamedTuple):
    """One fit beside its references."""

    name: str
    degree: int
    size: int
    uniform: float
    trained: float
    optimum: float

    @property
    def gain(self) -> float:
        """How many times the error of uniform nodes is larger."""
        return self.uniform / self.trained

    @property
    def least(self) -> float | None:
        """The gain that is asked for, if any."""
        gains = GAINS.get((self.name, self.degree))
        return gains[COUNTS.index(self.size)] if gains and self.size in COUNTS else None

    @property
    def asked(self) -> str:
        """Whether the numbers that are asked for are met."""
        wanted = [] if self.least is None else [self.gain >= 0.9 * self.least]
        if self.degree == 1:
            wanted.append(self.trained <= 1.1 * self.optimum)
        elif self.size == 40:
            wanted.append(self.trained <= 1.15 * self.optimum)
        return "" if not wanted else "yes" if all(wanted) else "no"


def one(name: str, degree: int, size: int, number: int) -> Row:
    """Fit one function with `size` functions of a degree, on trained and on uniform nodes."""
    target, cells = TARGETS[name], size - degree
    x, weights = samples(target, number)
    model = inf.KHRONOS(
        [(0.0, 1.0)], modes=1, elements=cells, degree=degree, additive=False, outputs="scalar", trainable_nodes=True, key=jax.random.key(0)
    )  # fmt: skip
    result = inf.fit(
        x[:, None], target.value(x), weights=weights, model=model, holdout=0.0, tolerance=1e-8, outside="linear"
    )
    nodes = np.asarray(result.model.inner.breakpoints[0])
    ends = np.unique(np.concatenate([graded(target), nodes]))
    trained = relative_error(lambda t: result.predict(t[:, None]), target.value, ends, 6)
    return Row(
        name,
        degree,
        size,
        relative_error(uniform(target, degree, cells, x, weights), target.value, ends, 6),
        trained,
        optimum(target, degree, cells),
    )


def picture(rows: list[Row]) -> Any:
    """Errors against the number of functions, one panel a function."""
    from infinity.plot.figure import BLUE, GREY, ORANGE, new_axes, tidy

    names = list(dict.fromkeys(row.name for row in rows))
    axes = new_axes(1, len(names), (3.2, 3.0))[0]
    for ax, name in zip(axes, names, strict=True):
        for degree, colour in ((1, BLUE), (3, ORANGE)):
            here = [row for row in rows if (row.name, row.degree) == (name, degree)]
            n = [row.size for row in here]
            ax.loglog(n, [row.uniform for row in here], ":", color=colour)
            ax.loglog(n, [row.trained for row in here], "-o", color=colour, markersize=4, label=DEGREES[degree])
            ax.loglog(n, [row.optimum for row in here], "+", color=GREY, markersize=9)
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("functions", fontsize=9)
        ax.set_xticks(COUNTS, [str(count) for count in COUNTS])
        ax.minorticks_off()
        tidy(ax)
    axes[0].set_ylabel("relative error in the mean square", fontsize=9)
    axes[0].legend(fontsize=8, frameon=False)
    return axes[0].figure


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--functions", nargs="+", default=list(TARGETS), choices=tuple(TARGETS))
    parser.add_argument("--degrees", nargs="+", type=int, default=list(DEGREES), choices=tuple(DEGREES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.functions, chosen.degrees, chosen.counts = ["tanh"], [1], [12]
    rows = []
    for degree in chosen.degrees:
        for count in chosen.counts:
            for name in chosen.functions:
                rows.append(one(name, degree, count, 400 if chosen.quick else SAMPLES))
                print(rows[-1], f"{rows[-1].gain:.4g} {rows[-1].trained / rows[-1].optimum:.3f}", flush=True)
    rows.sort(key=lambda row: (list(TARGETS).index(row.name), row.degree, row.size))
    lines = [
        "Asked: hats within 10 % and cubic splines at n = 40 within 15 % of the asymptotic optimum, and the gains of the last column but one, to 10 %.",
        "In the picture: dotted, uniform nodes; lines, trained nodes; crosses, the asymptotic optimum.",
        "",
        *table(
            [
                "function",
                "splines",
                "n",
                "uniform",
                "trained",
                "optimum",
                "trained / optimum",
                "gain",
                "asked",
                "as asked",
            ],
            [
                [
                    row.name,
                    DEGREES[row.degree],
                    row.size,
                    *(f"{error:.2e}" for error in (row.uniform, row.trained, row.optimum)),
                    f"{row.trained / row.optimum:.3f}",
                    f"{row.gain:.4g}",
                    "" if row.least is None else f"{row.least:g}",
                    row.asked,
                ]
                for row in rows
            ],
        ),
    ]
    write(chosen.out, "nodes", "Trained nodes in one dimension", 0, lines)
    picture(rows).savefig(chosen.out / "interpolation-nodes.png", dpi=150)


if __name__ == "__main__":
    main()
