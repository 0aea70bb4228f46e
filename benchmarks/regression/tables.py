"""Six tables of measurements and how they are split into a training and a test part.

    test = the first round(N / 10) rows of numpy.random.default_rng(seed).permutation(N)

A grouped table holds out whole levels of one column instead: the rule is applied to its distinct values in ascending order. A test row has a twin where
its inputs occur in the training part.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

SPLITS = 20
HELD_OUT = 0.1


class Source(NamedTuple):
    """A file of white-space separated numbers, the target last, and the column whose whole levels are held out, if any."""

    file: str
    groups: int | None = None


class Table(NamedTuple):
    """Inputs `(N, D)`, targets `(N,)` and the group of each row `(N,)`, or nothing."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None

    def rows(self, index: np.ndarray) -> "Table":
        """Some of the rows."""
        return Table(self.x[index], self.y[index], None if self.groups is None else self.groups[index])


SOURCES = {
    "yacht": Source("yacht.txt"),
    "energy": Source("energy.txt"),
    "concrete": Source("concrete.txt"),
    "wine": Source("wine-quality-red.txt"),
    "kin8nm": Source("kin8nm.txt"),
    "power": Source("power-plant.txt"),
    "power, whole levels": Source("power-plant.txt", groups=1),
}


def load(name: str, folder: Path) -> Table:
    """Read a table from the folder of the files."""
    source = SOURCES[name]
    numbers = np.loadtxt(folder / source.file)
    x, y = numbers[:, :-1], numbers[:, -1]
    return Table(x, y, None if source.groups is None else np.unique(x[:, source.groups], return_inverse=True)[1])


def split(table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of the training and of the test part."""
    if table.groups is None:
        order = np.random.default_rng(seed).permutation(len(table.y))
        count = round(HELD_OUT * len(order))
        return order[count:], order[:count]
    levels = np.random.default_rng(seed).permutation(table.groups.max() + 1)
    held = np.isin(table.groups, levels[: round(HELD_OUT * len(levels))])
    return np.flatnonzero(~held), np.flatnonzero(held)


def with_twin(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which rows of the test inputs occur among the training inputs, `(n,)` truth values."""
    known = {row.tobytes() for row in np.ascontiguousarray(train) + 0.0}
    return np.array([row.tobytes() in known for row in np.ascontiguousarray(test) + 0.0], bool)
