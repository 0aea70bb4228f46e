"""Rows that are equal: sorted rows, and each kind once with the sum of its weights."""

import numpy as np
from jaxtyping import Bool, Float, Int


def sorted_rows(rows: Float[np.ndarray, "N C"]) -> tuple[Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The order that sorts rows by their first column, equal ones by the second and so on, and where a row differs from the one before.

    The first column is sorted alone, and the others only where it repeats: with measured numbers hardly anywhere. Equal rows keep their order.

    >>> import numpy as np
    >>> from infinity.fitting.rows import sorted_rows
    >>> order, new = sorted_rows(np.array([[2.0, 1.0], [1.0, 5.0], [2.0, 0.0], [2.0, 1.0]]))
    >>> order.tolist(), new.tolist()
    ([1, 2, 0, 3], [True, True, True, False])
    """
    rows = rows + 0.0  # no negative zeros, which compare as equal and sort as they come
    order = np.argsort(rows[:, 0])
    first = rows[order, 0]
    same = first[1:] == first[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = np.sort(order[tied])
    order[tied] = among[np.lexsort(rows[among].T[::-1])]
    new = np.ones(len(rows), bool)
    later = np.flatnonzero(same) + 1
    new[later] = (rows[order[later]] != rows[order[later - 1]]).any(axis=1)
    return order, new


def distinct_rows(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Rows that differ in some input or target, and their weights.

    A copy of a row would make a validation easy that should be hard; as a weight counts measurements, copies are one row with the sum of their weights.

    **Returns:** the index of the first of each kind, `(n,)`, in the order of the sorted rows, and the sums of the weights.

    >>> import numpy as np
    >>> from infinity.fitting.rows import distinct_rows
    >>> first, weights = distinct_rows(np.array([[2.0], [1.0], [2.0]]), np.array([[5.0], [4.0], [5.0]]), np.array([1.0, 1.0, 3.0]))
    >>> first.tolist(), weights.tolist()
    ([1, 0], [1.0, 4.0])
    """
    order, new = sorted_rows(np.hstack([x, y]))
    starts = np.flatnonzero(new)
    return order[starts], np.add.reduceat(weights[order], starts)
