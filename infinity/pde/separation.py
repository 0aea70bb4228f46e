r"""A known function of several coordinates as a sum of products, on given points.

    c(x_1, .., x_D) = sum_r c_r1(x_1) .. c_rD(x_D),    adaptive cross approximation

Of two coordinates the matrix of values is crossed at its largest remaining entry until that is below the tolerance; of more, the first coordinate is
crossed with all
the others together, and each remaining part is separated in turn.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from .expressions import Coordinate, Function
from .kronecker import along

# Grids above this are too large to search for the largest entry.
LARGEST = 20_000_000


def separated(function: Function, points: list[np.ndarray], tolerance: float = 1e-14) -> list[np.ndarray]:
    """The values of a function as a sum of products.

    **Arguments:** the `function`; for each of its coordinates the `points`; the `tolerance` relative to the largest value.

    **Returns:** one matrix of values `(Q_d, R)` a coordinate.

    **Raises:** `ValueError` for a value that is not finite, and for a grid too large to search.

    >>> import numpy as np
    >>> from infinity.pde import coordinates
    >>> from infinity.pde.separation import separated
    >>> x, y = coordinates("x y")
    >>> t = np.linspace(0, 1, 50)
    >>> [part.shape for part in separated(((x + y) ** 2).terms[0].functions[0], [t, t])]
    [(50, 3), (50, 3)]
    """
    values = grid_values([function], dict(zip(function.coordinates, points, strict=True)))
    return products(values, tolerance * float(np.max(np.abs(values))))


def grid_values(functions: Sequence[Function], points: Mapping[Coordinate, np.ndarray]) -> Float[np.ndarray, "..."]:
    """The product of known functions on the grid of some coordinates.

    **Raises:** `ValueError` as `separated`.
    """
    shape = tuple(len(t) for t in points.values())
    size = math.prod(shape)
    label = " ".join(f.label for f in functions)
    if size > LARGEST:
        raise ValueError(
            f"{label} is not separable and its grid has {size:.1e} points; expected at most {LARGEST:.0e}. Write it as a sum of products, or use fewer cells"
        )
    lines = np.meshgrid(*points.values(), indexing="ij", sparse=True) if len(points) > 1 else list(points.values())
    grid = dict(zip(points, lines, strict=True))
    values = np.ones([1] * len(shape))
    for f in functions:
        values = values * np.asarray(f.evaluate(*(grid[c] for c in f.coordinates)), float)
    values = np.broadcast_to(values, shape)
    finite = np.isfinite(values)
    if not finite.all():
        bad = np.argwhere(~finite)
        where = ", ".join(f"{c}={t[i]:.4g}" for (c, t), i in zip(points.items(), bad[0], strict=True))
        raise ValueError(f"{label} is {values[tuple(bad[0])]} at {where}; expected finite values on the whole domain")
    return values


def contracted(
    functions: Sequence[Function], points: Mapping[Coordinate, np.ndarray], tables: Mapping[Coordinate, np.ndarray]
) -> dict[Coordinate, np.ndarray]:
    """The product of known functions, integrated against a table in each coordinate and separated then, which is smaller: `(m_d, R)` each."""
    tensor = grid_values(functions, points)
    for d, c in enumerate(points):
        tensor = along(tables[c], tensor, d)
    parts = products(tensor, 1e-15 * float(np.max(np.abs(tensor))))
    return dict(zip(points, parts, strict=True))


def products(values: Float[np.ndarray, "..."], threshold: float) -> list[np.ndarray]:
    """A full tensor as a sum of products, up to an absolute threshold on each entry."""
    if values.ndim == 1:
        return [values[:, None].copy()]
    columns, rows = cross(values.reshape(len(values), -1), threshold)
    if values.ndim == 2:
        return [columns, rows]
    parts = []
    for k in range(columns.shape[1]):
        scale = max(float(np.max(np.abs(columns[:, k]))), 1e-300) * max(columns.shape[1], 1)
        rest = products(rows[:, k].reshape(values.shape[1:]), threshold / scale)
        parts.append([np.repeat(columns[:, k : k + 1], rest[0].shape[1], axis=1), *rest])
    if not parts:
        return [np.zeros((n, 1)) for n in values.shape]
    return [np.concatenate(factors, axis=1) for factors in zip(*parts, strict=True)]


def cross(matrix: Float[np.ndarray, "m n"], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows whose product is the matrix, up to a threshold on each entry."""
    remaining, columns, rows = matrix.copy(), [], []
    for _ in range(min(matrix.shape)):
        i, j = divmod(int(np.argmax(np.abs(remaining))), matrix.shape[1])
        pivot = remaining[i, j]
        if abs(pivot) <= threshold:
            break
        root = np.sqrt(abs(pivot))
        columns.append(remaining[:, j] / root)
        rows.append(remaining[i, :] * (root / pivot))
        remaining -= np.outer(columns[-1], rows[-1])
    if not columns:
        return np.zeros((matrix.shape[0], 0)), np.zeros((matrix.shape[1], 0))
    return np.stack(columns, axis=1), np.stack(rows, axis=1)
