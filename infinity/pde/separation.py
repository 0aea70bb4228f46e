r"""A known function of several coordinates as a sum of products, on given points.

    c(x_1, .., x_D) = sum_r c_r1(x_1) .. c_rD(x_D),    adaptive cross approximation

Of two coordinates the matrix of values is crossed at its largest remaining entry until that is below the tolerance; of more, the first coordinate is crossed with all
the others together, and each remaining part is separated in turn.
"""

import numpy as np
from jaxtyping import Float

from .expressions import Function

# Grids above this are too large to search for the largest entry.
LARGEST = 20_000_000


def separated(
    function: Function, points: list[Float[np.ndarray, " Q"]], tolerance: float = 1e-14
) -> list[Float[np.ndarray, "Q R"]]:
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
    shape = tuple(len(t) for t in points)
    if np.prod([float(n) for n in shape]) > LARGEST:
        raise ValueError(
            f"{function.label} is not separable and its grid has {np.prod([float(n) for n in shape]):.1e} points; expected at most {LARGEST:.0e}. Write it as a sum of "
            "products, or use fewer cells"
        )
    values = np.broadcast_to(np.asarray(function.evaluate(*np.meshgrid(*points, indexing="ij", sparse=True)), float), shape)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(f"{c}={t[i]:.4g}" for c, t, i in zip(function.coordinates, points, bad[0], strict=True))
        raise ValueError(f"{function.label} is {values[tuple(bad[0])]} at {where}; expected finite values on the whole domain")
    return products(values, tolerance * float(np.max(np.abs(values))))


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
        remaining = remaining - np.outer(columns[-1], rows[-1])
    if not columns:
        return np.zeros((matrix.shape[0], 0)), np.zeros((matrix.shape[1], 0))
    return np.stack(columns, axis=1), np.stack(rows, axis=1)
