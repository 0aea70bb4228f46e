"""Fronts: nodes and inner layers that are learned, and a layer that mixes inputs, beside uniform nodes.

    python -m benchmarks.interpolation.fronts [--quick] [--cases ...] [--out benchmarks/results]

20,000 uniform samples, judged on 20,000 new points, errors relative in the mean square. Along the axes the target is one product, and all models have one mode
beside the additive block, and splines of the same size; unknowns count what the last solve fits, with the trained ones behind the plus. The oblique front
tanh(30 (x + 0.3 y - 0.6)) has no low rank: by Eckart and Young no model of M products, whatever its nodes and maps, comes below the rank floor.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, table, write
from infinity.models import rank_floor

SAMPLES = 20_000
FRONTS = {
    "2-D front": (2, lambda x: np.tanh(50 * (x[:, 0] - 0.3)) * np.tanh(40 * (x[:, 1] - 0.6))),
    "4-D front": (
        4,
        lambda x: np.tanh(50 * (x[:, 0] - 0.3)) * np.tanh(40 * (x[:, 1] - 0.6)) * np.cos(2 * x[:, 2]) * np.exp(x[:, 3]),
    ),
}


class Row(NamedTuple):
    """One fit."""

    case: str
    model: str
    unknowns: str
    error: float
    seconds: float
    beside: str


def oblique(x: Any) -> Any:
    return np.tanh(30 * (x[:, 0] + 0.3 * x[:, 1] - 0.6))


def fitted(f: Callable[[np.ndarray], np.ndarray], model: Any, samples: int) -> tuple[Any, float, float]:
    """The result, its relative error on new points, and seconds of the processor with compilation."""
    draw = np.random.default_rng(0)
    x, new = draw.uniform(size=(samples, model.dimensions)), draw.uniform(size=(20_000, model.dimensions))
    began = time.process_time()
    result = inf.fit(x, f(x), model=model, tolerance=1e-3, outside="linear")
    seconds = time.process_time() - began
    exact = f(new)
    error = np.sqrt(np.mean((np.asarray(result.predict(new)) - exact) ** 2) / np.mean(exact**2))
    return result, float(error), seconds


def counted(model: Any, result: Any) -> str:
    """Unknowns of the last solve, and those that were trained before it."""
    last = result.model.inner.unknowns
    return str(last) if model.unknowns == last else f"{last} + {model.unknowns - last}"


def along_axes(case: str, elements: int, samples: int) -> list[Row]:
    """Uniform nodes, uniform nodes with as many unknowns as the others have in all, trained nodes, two layers."""
    dimensions, f = FRONTS[case]
    settings: dict[str, Any] = {"modes": 1, "outputs": "scalar", "key": jax.random.key(0)}
    make = lambda elements, **more: inf.KHRONOS([(0.0, 1.0)] * dimensions, elements=elements, **settings, **more)
    models = {
        "uniform": make(elements),
        "uniform, twice the cells": make(2 * elements),
        "trained nodes": make(elements, trainable_nodes=True),
        "two layers": make(elements, layers=2, layer_elements=elements),
    }
    rows, reference = [], 0.0
    for name, model in models.items():
        result, error, seconds = fitted(f, model, samples)
        reference = reference or error
        rows.append(Row(case, name, counted(model, result), error, seconds, f"{reference / error:.1f} times smaller"))
        print(rows[-1], flush=True)
    return rows


def across_axes(elements: int, samples: int, modes: int = 2) -> list[Row]:
    """Uniform nodes, trained nodes, two layers and a mixing layer on the oblique front."""
    box = [(0.0, 1.0)] * 2
    floor = rank_floor(lambda x: jnp.tanh(30 * (x[0] + 0.3 * x[1] - 0.6)), box, modes)
    settings: dict[str, Any] = {"additive": False, "constant": False, "outputs": "scalar", "key": jax.random.key(0)}
    make = lambda **more: inf.KHRONOS(box, modes=modes, elements=elements, **settings, **more)
    models = {
        "uniform": make(),
        "trained nodes": make(trainable_nodes=True),
        "two layers": make(layers=2, layer_elements=elements),
        "mixing layer": inf.Oblique(
            box, directions=1, modes=1, elements=elements, outputs="scalar", key=settings["key"]
        ),
    }
    rows = []
    for name, model in models.items():
        result, error, seconds = fitted(oblique, model, samples)
        ratio = (
            f"{error / floor:.2f} of the floor" if error > floor / 10 else f"{floor / error:.3g} times below the floor"
        )
        rows.append(Row("oblique front", name, counted(model, result), error, seconds, ratio))
        print(rows[-1], flush=True)
    return [Row("oblique front", f"rank floor, {modes} modes", "", floor, 0.0, ""), *rows]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--cases", nargs="+", default=[*FRONTS, "oblique front"], choices=(*FRONTS, "oblique front"))
    chosen = parser.parse_args()
    samples, elements = (1000, 6) if chosen.quick else (SAMPLES, 20)
    rows = []
    for case in chosen.cases:
        rows += across_axes(elements, samples) if case == "oblique front" else along_axes(case, elements, samples)
        lines = [
            "Asked: trained nodes and two layers at least 10 times below uniform nodes; on the oblique front, layers within 1.5 times the rank floor and the",
            "mixing layer 100 times below it. Seconds are those of the processor, compilation included.",
            "",
            *table(
                ["target", "model", "unknowns", "error", "seconds", "compared"],
                [
                    [row.case, row.model, row.unknowns, f"{row.error:.2e}", f"{row.seconds:.0f}", row.beside]
                    for row in rows
                ],
            ),
        ]
        write(chosen.out, "fronts", "Fronts: trained nodes, inner layers, a mixing layer", 0, lines)


if __name__ == "__main__":
    main()
