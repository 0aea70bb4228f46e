r"""How large a separable model the table can carry, at least four numbers measured for each unknown, and where its cells end.

An input that keeps its sign over more than a decade may have cells of equal ratio instead of equal length,

    t_i = t_0 (t_1 / t_0)^{i / c},    t_0, t_1 its values of least and greatest size

for laws that are smooth in its logarithm, `1 / log(r / r_w)` say, which one polynomial over all decades follows only slowly.
"""

from typing import NamedTuple

import numpy as np

from .checks import check_unknowns
from .warp import half_ranked

ROWS_PER_UNKNOWN = 4
MOST_MODES = 10
MOST_ELEMENTS = 5
# An input of one sign spans decades where its ends are in this ratio, and so many rows lie within so many times the distance of the nearest end from zero:
# those of a range that begins at zero hardly do, for there that distance is the length between two rows. Beyond the largest ratio the ends of cells would be
# one number in single precision.
DECADE, NEAR_ROWS, NEAR, LARGEST_RATIO = 10.0, 10, 8.0, 1e6


class Size(NamedTuple):
    """Modes, for each input the breakpoints on the unit box and the degree, and whether any input has cells of equal ratio."""

    modes: int
    breakpoints: tuple[tuple[float, ...], ...]
    degrees: tuple[int, ...]
    graded: bool = False

    def unknowns(self, outputs: int) -> int:
        """Number of free parameters of the model with a constant and an additive block."""
        functions = sum(len(row) - 1 + p for row, p in zip(self.breakpoints, self.degrees, strict=True))
        return functions * (self.modes + outputs) + outputs + (self.modes * outputs if outputs > 1 else 0)


def choose_size(x: np.ndarray, outputs: int, modes: int | None, elements: int | None, degree: int) -> Size:
    """Breakpoints and modes for a table.

    **Arguments:** `x` of shape `(N, D)` on the unit box; the number of outputs; `modes` and `elements`, or nothing for the default; the `degree`.

    An input with few distinct values gets no more functions than values. Breakpoints lie between equal spacing and equal numbers of samples, a quarter of the
    way from the latter.

    **Raises:** `ValueError` where the model has more unknowns than the table has numbers.
    """
    N = len(x)
    if degree < 0 or (modes is not None and modes < 1) or (elements is not None and elements < 1):
        raise ValueError(f"got modes={modes}, elements={elements}, degree={degree}; expected at least 1, 1 and 0")
    numbers = N * outputs
    distinct = [len(np.unique(column)) for column in x.T]
    count, p = elements or MOST_ELEMENTS, degree
    if elements is None:
        # One mode and the additive block come first; cells are given up before the degree is.
        needed = lambda: sum(min(count + p, k) for k in distinct) * (1 + outputs)
        while count > 1 and ROWS_PER_UNKNOWN * needed() > numbers:
            count -= 1
        while p > 1 and 2 * needed() > numbers:
            p -= 1
    degrees = tuple(min(p, k - 1) for k in distinct)
    counts = [max(1, min(count, k - q)) for k, q in zip(distinct, degrees, strict=True)]
    breakpoints = tuple(_breakpoints(column, cells) for column, cells in zip(x.T, counts, strict=True))
    size = Size(modes or 1, breakpoints, degrees)
    if modes is None:
        functions = sum(c + q for c, q in zip(counts, degrees, strict=True))
        affordable = (numbers / ROWS_PER_UNKNOWN - functions * outputs - outputs) / (
            functions + (outputs if outputs > 1 else 0)
        )
        size = size._replace(modes=int(np.clip(affordable, 1, MOST_MODES)))
    chosen = modes is not None or elements is not None
    remedy = "fewer modes or elements, a lower degree, or more rows" if chosen else "more rows or fewer inputs"
    check_unknowns(size.unknowns(outputs), numbers, remedy)
    return size


def ratios(points: np.ndarray) -> tuple[float, ...]:
    """For each column of `(N, D)` how much farther from zero its far end is than its near one, negative below zero; one where it spans no decades.

    >>> import numpy as np
    >>> from infinity.fitting.size import ratios
    >>> r = np.linspace(1.0, 100.0, 1001)
    >>> ratios(np.stack([r, -r, r - 1], axis=1))
    (100.0, -100.0, 1.0)
    """
    found, at = [], min(NEAR_ROWS, len(points) - 1)
    for column in points.T:
        sizes = np.partition(np.abs(column), at)
        low, near, far = float(sizes.min()), float(sizes[at]), float(sizes.max())
        one_sign = column.min() > 0 or column.max() < 0
        wide = one_sign and far >= DECADE * low and near <= NEAR * low
        found.append(float(np.copysign(min(far / low, LARGEST_RATIO), column[0])) if wide else 1.0)
    return tuple(found)


def graded(size: Size, ratios: tuple[float, ...]) -> Size:
    """The same number of functions, on cells of equal ratio for the inputs that span decades; at least half of the functions are cells."""
    breakpoints, degrees = list(size.breakpoints), list(size.degrees)
    for d, ratio in enumerate(ratios):
        functions = len(breakpoints[d]) - 1 + degrees[d]
        if ratio == 1.0 or functions < 4:
            continue
        degrees[d] = min(degrees[d], functions // 2)
        cells = functions - degrees[d]
        row = (abs(ratio) ** (np.arange(cells + 1) / cells) - 1) / (abs(ratio) - 1)
        row = row if ratio > 0 else 1 - row[::-1]
        breakpoints[d] = (0.0, *(float(t) for t in row[1:-1]), 1.0)
    changed = Size(size.modes, tuple(breakpoints), tuple(degrees))
    return size if changed == size else changed._replace(graded=True)


def _breakpoints(column: np.ndarray, cells: int) -> tuple[float, ...]:
    knots, heights = half_ranked(column.astype(float))
    uniform = np.linspace(0.0, 1.0, cells + 1)
    quantiles = np.quantile(np.interp(column, knots, heights), uniform)
    between = 0.5 * (uniform + np.clip(quantiles, 0.0, 1.0))[1:-1]
    return (0.0, *(float(t) for t in np.interp(between, heights, knots)), 1.0)
