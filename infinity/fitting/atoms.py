r"""The atoms of a fitted AION as a table: what each one is, with standard errors.

    A e^{alpha (t - t0)} cos(omega (t - t0) + phi),    frequency = omega / 2 pi,    period = 2 pi / omega,    std(period) = period std(omega) / omega

The standard errors are roots of the diagonal of the covariance, whose order is that of the flattened model: all amplitudes, then `alpha`, `omega`, `phase`.
"""

import dataclasses
import math

import numpy as np

from ..models import AION
from .result import Result


@dataclasses.dataclass(frozen=True)
class Atom:
    """One atom of a factor, in the units of the table.

    **Fields:** `output`, `mode` and `dimension` it belongs to, from 0; `amplitude`, `growth` (the rate `alpha`), `frequency` in turns a unit, `period`
    (nothing where nothing turns), `phase` in radians; `errors`, the standard errors of these by name, nothing where one is not determined or was not
    computed. Amplitude and phase are those at the model's origin.
    """

    output: int
    mode: int
    dimension: int
    amplitude: float
    growth: float
    frequency: float
    period: float | None
    phase: float
    errors: dict[str, float | None]


def atoms_of(result: Result) -> list[Atom]:
    """The atoms of a fitted AION, those of no amplitude left out.

    **Arguments:** the `result` of `inf.fit(x, y, model="aion")`.

    **Returns:** the atoms by output, mode, dimension and rising frequency.

    **Raises:** `ValueError` for another model.

    >>> import jax, numpy as np, infinity as inf
    >>> jax.config.update("jax_enable_x64", True)
    >>> from infinity.fitting.atoms import atoms_of
    >>> t = np.linspace(0.0, 10.0, 100)
    >>> (atom,) = atoms_of(inf.fit(t, np.exp(-0.1 * t) * np.cos(np.pi * t), model="aion"))
    >>> round(atom.growth, 6), round(atom.period, 6), round(atom.frequency, 6)
    (-0.1, 2.0, 0.5)
    """
    model = result.model.inner
    if not isinstance(model, AION):
        raise ValueError(f"atoms_of got the result of a {type(model).__name__}; expected that of an AION")
    values = [np.asarray(v, float) for v in (model.amplitude, model.alpha, model.omega, model.phase)]
    if result.covariance is None:
        deviations = [np.zeros_like(v) for v in values]
    else:
        variance = np.maximum(np.diag(np.asarray(result.covariance, float)), 0.0)
        deviations = np.sqrt(variance).reshape(4, *values[0].shape)
    return [
        _atom((o, j, d), [float(v[o, j, d, p]) for v in values], [float(s[o, j, d, p]) for s in deviations])
        for o, j, d, p in np.ndindex(values[0].shape)
        if values[0][o, j, d, p] != 0
    ]


def _atom(place: tuple[int, int, int], values: list[float], deviations: list[float]) -> Atom:
    amplitude, alpha, omega, phase = values
    # A deviation of zero stands for a direction that the samples say nothing about, or for exact samples: neither is an error to quote.
    known = [s if s > 0 else None for s in deviations]
    turns = omega > 0
    spread = known[2] if turns else None
    period = 2 * math.pi / omega if turns else None
    errors = {
        "amplitude": known[0],
        "growth": known[1],
        "frequency": None if spread is None else spread / (2 * math.pi),
        "period": None if spread is None or period is None else period * spread / omega,
        "phase": known[3] if turns else None,
    }
    return Atom(*place, amplitude, alpha, omega / (2 * math.pi), period, phase, errors)
