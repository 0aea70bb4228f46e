r"""Gram matrices of local functions: rows of a Jacobian that vanish outside a window of columns.

    G[w, :] += sum_{k in tile} J[k, w]^T W_k J[k, :]

The columns fall into groups (the functions of one dimension, say), and a sample meets only a few columns of each: its window `w`, the same for all
samples of a cell. Samples are sorted by cell and cut into tiles of one cell each, once for every group. A tile costs `2 T |w| P` operations instead
of its share `2 T |g| P` of the dense product, so the whole does not grow with the number of cells but through `P`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from .streaming import Rows

# Samples in a tile: few enough that little is padded, enough to keep a matrix product busy.
TILE = 128


class Group(NamedTuple):
    """For each of N samples its cell, and for each cell the columns `(cells, width)` of the group that live there."""

    cells: Int[np.ndarray, " N"]
    columns: Int[np.ndarray, "cells width"]


class Tiles(NamedTuple):
    """Samples by tile, their indices `(tiles, T)`, which of them count `(tiles, T)`, and the columns `(tiles, width)` whose rows of the Gram matrix they fill.

    A width below the largest is filled with indices beyond the last column, which are dropped.
    """

    samples: Int[Array, "tiles T"]
    counted: Float[Array, "tiles T"]
    columns: Int[Array, "tiles width"]


def tiled(groups: Sequence[Group], unknowns: int, size: int = TILE) -> Tiles:
    """Cut samples into tiles, once for each group.

    **Arguments:** the `groups`, whose columns together are all of the `unknowns`, each in one group; the samples in a tile.
    """
    width = max(group.columns.shape[1] for group in groups)
    samples, counted, columns = [], [], []
    for group in groups:
        order = np.argsort(group.cells, kind="stable")
        cells, starts = np.unique(group.cells[order], return_index=True)
        window = np.full((len(group.columns), width), unknowns)
        window[:, : group.columns.shape[1]] = group.columns
        for cell, members in zip(cells, np.split(order, starts[1:]), strict=True):
            missing = -len(members) % size
            weight = np.concatenate([np.ones(len(members)), np.zeros(missing)])
            samples.append(np.concatenate([members, np.repeat(members[-1:], missing)]).reshape(-1, size))
            counted.append(weight.reshape(-1, size))
            columns.append(np.repeat(window[cell][None], len(samples[-1]), axis=0))
    cat = lambda parts, dtype: jnp.asarray(np.concatenate(parts), dtype)
    return Tiles(cat(samples, jnp.int32), cat(counted, float), cat(columns, jnp.int32))


def accumulate_windows(
    rows: Rows, theta: Float[Array, " P"], take: Callable[[Array, Array], PyTree], tiles: Tiles
) -> Float[Array, "P P"]:
    """The Gram matrix at `theta`.

    **Arguments:** `rows` as for `accumulate`; `take` gives the chunk of some samples from their indices and the factors of their weights; the `tiles`.

    **Returns:** the same matrix as `accumulate`, to rounding.
    """
    P = theta.shape[0]

    def add(at, gram):
        _, J, w = rows(theta, take(tiles.samples[at], tiles.counted[at].astype(theta.dtype)))
        columns = tiles.columns[at]
        weighted = w[:, None] * J
        window = jnp.take(J, columns, axis=1, mode="fill", fill_value=0)
        return gram.at[columns].add(window.T @ weighted, mode="drop")

    return jax.lax.fori_loop(0, tiles.samples.shape[0], add, jnp.zeros((P, P), theta.dtype))
