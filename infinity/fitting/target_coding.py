r"""Categories with many levels as the mean of the target at each, shrunk to the mean of all rows.

    m_l = (w_l ybar_l + k ybar) / (w_l + k),    k = sigma^2 / tau^2

with the variance `sigma^2` of the target within the levels and `tau^2` between them, by moments. A row is coded from rows other than its own fold, or its own
target would tell what it is worth; rows held out, and new ones, are coded from all rows that were fitted. Source: Micci-Barreca, SIGKDD Explorations 3 (2001).
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from .coding import Coding

_FOLDS = 5
# The least share of the target's variance that is ascribed to the levels, so that the column varies.
_LEAST_BETWEEN = 0.01


def shrunken_means(
    index: Int[np.ndarray, " N"], y: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"], levels: int
) -> Float[np.ndarray, "L O"]:
    """The shrunken mean of each level.

    **Arguments:** the level of each row; the targets; the weights; the number of levels. A level without rows gets the mean of all.

    >>> import numpy as np
    >>> from infinity.fitting.target_coding import shrunken_means
    >>> shrunken_means(np.array([0, 0, 1, 1]), np.array([[1.0], [1.0], [3.0], [3.0]]), np.ones(4), 3).tolist()
    [[1.0], [3.0], [2.0]]
    """
    counts = np.bincount(index, weights, levels)
    mean = np.average(y, axis=0, weights=weights)
    sums = np.stack([np.bincount(index, weights * column, levels) for column in (y - mean).T], axis=1)
    offset = sums / np.where(counts > 0, counts, 1.0)[:, None]
    total = np.average((y - mean) ** 2, axis=0, weights=weights)
    present = max(int((counts > 0).sum()), 1)
    within = (weights @ (y - mean - offset[index]) ** 2) / max(weights.sum() - present, 1.0)
    between = np.average(offset**2, axis=0, weights=counts) - within * present / weights.sum()
    k = within / np.maximum(between, np.maximum(_LEAST_BETWEEN * total, np.finfo(float).tiny))
    return mean + sums / np.maximum(counts[:, None] + k, np.finfo(float).tiny)


def with_means(
    coding: Coding,
    x: Float[np.ndarray, "N K"],
    y: Float[np.ndarray, "N O"],
    weights: Float[np.ndarray, " N"],
    train: Int[np.ndarray, " n"],
    heldout: Int[np.ndarray, " h"],
    seed: int,
) -> tuple[Coding, Float[np.ndarray, "N K"]]:
    """Put the means of the targets in the place of the numbers of the levels.

    **Arguments:** a coding whose target-coded columns hold the numbers of the levels, and the matrix that it makes; the targets and weights; which rows are
    fitted and which are held out; the seed of the folds.

    **Returns:** the coding with the means of all these rows, and the matrix with cross-fitted ones.

    **Raises:** `ValueError` for a category at whose levels the target is the same.
    """
    x, columns = x.copy(), list(coding.columns)
    fold = np.random.default_rng(seed).permutation(len(train)) % _FOLDS
    used = np.concatenate([train, heldout])
    for d, (column, group) in enumerate(zip(coding.columns, coding.groups, strict=True)):
        if column.kind != "means":
            continue
        index, count = x[:, group[0]].astype(int), len(column.levels)
        means = lambda rows, index=index, count=count: shrunken_means(index[rows], y[rows], weights[rows], count)
        coded = means(train)[index]
        for number in range(_FOLDS):
            others, own = train[fold != number], train[fold == number]
            if len(others) and len(own) and weights[others].sum() > 0:
                coded[own] = means(others)[index[own]]
        lower, upper = coded[used].min(axis=0), coded[used].max(axis=0)
        if np.any(lower == upper):
            raise ValueError(f"the target does not depend on the category {column.name!r}; leave that input out")
        x[:, group] = np.clip(coded, lower, upper)
        codes = np.clip(means(used), lower, upper)
        columns[d] = dataclasses.replace(column, codes=tuple(map(tuple, codes.tolist())))
    return Coding(tuple(columns)), x
