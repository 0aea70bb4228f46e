"""The NIST Statistical Reference Datasets for nonlinear regression: 27 models, their data and certified values.

Source: National Institute of Standards and Technology, Statistical Reference Datasets,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml. The files `NAME.dat` are read as published.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np


class Problem(NamedTuple):
    """One data set: predictors `x` `(N,)` or `(N, 2)`, responses `y`, two starts, certified parameters `(p,)`."""

    name: str
    model: Callable
    x: np.ndarray
    y: np.ndarray
    starts: tuple[np.ndarray, np.ndarray]
    certified: np.ndarray

    def residuals(self, b, data):
        """Model less response at every observation, `(N,)`."""
        x, y = data
        return self.model(b, x) - y


def rational(numerator, denominator, x):
    """`(n_0 + n_1 x + ..) / (1 + d_1 x + ..)`."""
    above = sum(c * x**k for k, c in enumerate(numerator))
    below = 1 + sum(c * x**k for k, c in enumerate(denominator, start=1))
    return above / below


def gauss(b, x):
    """Two Gaussian peaks on an exponential background."""
    peaks = b[2] * jnp.exp(-((x - b[3]) ** 2) / b[4] ** 2) + b[5] * jnp.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return b[0] * jnp.exp(-b[1] * x) + peaks


def lanczos(b, x):
    """Three decaying exponentials."""
    return b[0] * jnp.exp(-b[1] * x) + b[2] * jnp.exp(-b[3] * x) + b[4] * jnp.exp(-b[5] * x)


def enso(b, x):
    """Add a year and two free periods."""

    def wave(cosine, sine, period):
        return cosine * jnp.cos(2 * jnp.pi * x / period) + sine * jnp.sin(2 * jnp.pi * x / period)

    return b[0] + wave(b[1], b[2], 12.0) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


MODELS: dict[str, Callable] = {
    "Misra1a": lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
    "Chwirut1": lambda b, x: jnp.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Chwirut2": lambda b, x: jnp.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Lanczos3": lanczos,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** (-2)),
    "Kirby2": lambda b, x: rational(b[:3], b[3:], x),
    "Hahn1": lambda b, x: rational(b[:4], b[4:], x),
    "Nelson": lambda b, x: b[0] - b[1] * x[:, 0] * jnp.exp(-b[2] * x[:, 1]),
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]),
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Gauss3": gauss,
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5)),
    "Misra1d": lambda b, x: b[0] * b[1] * x * (1 + b[1] * x) ** (-1),
    "Roszman1": lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / jnp.pi,
    "ENSO": enso,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "Thurber": lambda b, x: rational(b[:4], b[4:], x),
    "BoxBOD": lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
    "Rat42": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Rat43": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
}


# Parameters of terms of the same form, which a model determines only up to their order: exchanging them changes no value.
ALIKE: dict[str, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys(("Lanczos1", "Lanczos2", "Lanczos3"), ((0, 1), (2, 3), (4, 5))),
    **dict.fromkeys(("Gauss1", "Gauss2", "Gauss3"), ((2, 3, 4), (5, 6, 7))),
    "MGH17": ((1, 3), (2, 4)),
    "ENSO": ((3, 4, 5), (6, 7, 8)),
}


def read(folder: Path, name: str) -> Problem:
    """Read one file: starts and certified values from the lines it names, then the data.

    **Raises:** `ValueError` where the file does not say where its parts are.
    """
    text = (folder / f"{name}.dat").read_text()
    lines = text.splitlines()
    found = [re.search(rf"{part}\s+\(lines\s+(\d+)\s+to\s+(\d+)\)", text) for part in ("Starting Values", "Data")]
    if found[0] is None or found[1] is None:
        raise ValueError(
            f"{name}.dat names no lines of starting values and data; expected a file as NIST publishes it."
        )
    parameters, data = (lines[int(part[1]) - 1 : int(part[2])] for part in found if part)
    table = np.array([[float(word) for word in line.split("=")[1].split()] for line in parameters])
    rows = np.array([[float(word) for word in line.split()] for line in data if line.strip()])
    y, x = rows[:, 0], rows[:, 1:]
    return Problem(
        name=name,
        model=MODELS[name],
        x=x if x.shape[1] > 1 else x[:, 0],
        y=np.log(y) if name == "Nelson" else y,
        starts=(table[:, 0], table[:, 1]),
        certified=table[:, 2],
    )


def problems(folder: Path) -> list[Problem]:
    """Read all 27 problems, in NIST's order of difficulty.

    **Raises:** `FileNotFoundError` that says which files are missing and where they can be had.
    """
    missing = [name for name in MODELS if not (folder / f"{name}.dat").is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(name + '.dat' for name in missing)}. They can be had from "
            "https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml; name their folder as the first argument."
        )
    return [read(folder, name) for name in MODELS]
