r"""Trajectories as one table: samples in order, and the intervals between neighbours of one trajectory."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline

from ...fitting.checks import check_finite, input_names, numeric_matrix
from .flow import Intervals

LEAST = 12


@dataclasses.dataclass(frozen=True)
class Samples:
    """Times `(N,)`, states `(N, S)` and controls `(N, C)` of all trajectories, one after another, and the first row of each.

    `left` and `right` `(n,)` are the rows at the ends of the intervals.
    """

    t: Float[np.ndarray, " N"]
    y: Float[np.ndarray, "N S"]
    u: Float[np.ndarray, "N C"]
    starts: tuple[int, ...]

    @property
    def left(self) -> Int[np.ndarray, " n"]:
        """The rows at the left ends."""
        ends = np.array([*self.starts[1:], len(self.t)]) - 1
        return np.setdiff1d(np.arange(len(self.t)), ends)

    @property
    def right(self) -> Int[np.ndarray, " n"]:
        """The rows at the right ends."""
        return self.left + 1

    @property
    def parts(self) -> list[slice]:
        """The rows of each trajectory."""
        return [slice(a, b) for a, b in zip(self.starts, [*self.starts[1:], len(self.t)], strict=True)]

    @property
    def intervals(self) -> Intervals:
        """What the flow needs to know."""
        length = self.t[self.right] - self.t[self.left]
        if self.u.shape[1] == 0:
            return Intervals(length)
        cubics = [CubicSpline(self.t[part], self.u[part]).c for part in self.parts]
        return Intervals(length, np.concatenate(cubics, axis=1))

    def split(self, part: float) -> tuple["Samples", "Samples"]:
        """The first and the last part of each trajectory."""
        cuts = [part_.start + round((1 - part) * (part_.stop - part_.start)) for part_ in self.parts]
        first = [slice(rows.start, cut) for rows, cut in zip(self.parts, cuts, strict=True)]
        last = [slice(cut, rows.stop) for rows, cut in zip(self.parts, cuts, strict=True)]
        return self._only(first), self._only(last)

    def _only(self, rows: list[slice]) -> "Samples":
        starts = np.cumsum([0, *(part.stop - part.start for part in rows[:-1])])
        t, y, u = (np.concatenate([column[part] for part in rows]) for column in (self.t, self.y, self.u))
        return Samples(t, y, u, tuple(starts.tolist()))


def checked(
    t: Any, states: Any, names: Sequence[str] | None, controls: Any, control_names: Sequence[str] | None
) -> tuple[Samples, tuple[str, ...], tuple[str, ...]]:
    """The table of one or several trajectories with the names of its states and controls.

    **Raises:** `ValueError` that names the trajectory, the row and the column.
    """
    several = isinstance(states, (list, tuple)) and len(states) > 0 and np.ndim(states[0]) >= 1
    several = several and isinstance(t, (list, tuple)) and np.ndim(t[0]) == 1
    times = cast(list[Any], list(t) if several else [t])
    values = cast(list[Any], list(states) if several else [states])
    inputs = [None] * len(times) if controls is None else list(controls) if several else [controls]
    if not len(times) == len(values) == len(inputs):
        raise ValueError(
            f"there are {len(times)} lists of times, {len(values)} of states and {len(inputs)} of controls; give one of each for a trajectory"
        )
    tables = [numeric_matrix(value, "states").astype(float) for value in values]
    drives = [
        np.zeros((len(table), 0)) if u is None else numeric_matrix(u, "controls").astype(float)
        for u, table in zip(inputs, tables, strict=True)
    ]
    if len({table.shape[1] for table in tables}) > 1 or len({u.shape[1] for u in drives}) > 1:
        raise ValueError("the trajectories have different numbers of columns; each needs the same states and controls")
    found = input_names(names, tables[0].shape[1])
    driven = tuple(control_names) if control_names is not None else tuple(f"u{d}" for d in range(drives[0].shape[1]))
    if len(driven) != drives[0].shape[1]:
        raise ValueError(f"there are {len(driven)} control_names for {drives[0].shape[1]} controls; give each its name")
    repeated = sorted({name for name in (*found, *driven) if (*found, *driven).count(name) > 1})
    if repeated:
        raise ValueError(f"two columns are called {repeated[0]!r}; give each state and control its own name")
    clocks = []
    for number, (clock, table, u) in enumerate(zip(times, tables, drives, strict=True), 1):
        clocks.append(_checked_one(clock, table, u, found, driven, f" of trajectory {number}" if several else ""))
    starts = np.cumsum([0, *(len(clock) for clock in clocks[:-1])])
    whole = np.concatenate(tables)
    for s, name in enumerate(found):
        if np.ptp(whole[:, s]) == 0:
            raise ValueError(f"the state {name!r} is {whole[0, s]:g} in every row; leave it out")
    return Samples(np.concatenate(clocks), whole, np.concatenate(drives), tuple(starts.tolist())), found, driven


def _checked_one(clock: Any, table: np.ndarray, u: np.ndarray, names, driven, where: str) -> np.ndarray:
    times = np.asarray(clock, float)
    if times.ndim != 1 or len(times) != len(table) or len(u) != len(table):
        raise ValueError(
            f"t{where} has shape {times.shape}, states {table.shape} and controls {u.shape}; expected (N,), (N, S) and (N, C)"
        )
    if len(times) < LEAST:
        raise ValueError(f"there are {len(times)} samples{where}; a trajectory needs at least {LEAST}")
    check_finite(times[:, None], ("t",))
    check_finite(table, names)
    check_finite(u, driven)
    steps = np.diff(times)
    if np.min(steps) <= 0:
        row = int(np.argmin(steps > 0)) + 2
        raise ValueError(
            f"t{where} does not increase at row {row}: {times[row - 1]:g} after {times[row - 2]:g}; sort it"
        )
    return times
