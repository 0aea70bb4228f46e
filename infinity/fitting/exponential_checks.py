"""Can an AION be told from this table? Checks before the solve, and what the spacing of the samples resolves."""

import warnings

import numpy as np

from .streamed import Table

# Sizes of inputs and targets whose squares, and those of their rounding, stay in the range of floats.
_RANGES = {8: (1e-120, 1e120), 4: (1e-12, 1e15)}
# Share of the mean distance of neighbouring values by which a lower precision may move them.
_MOVED = 1e-2


class AliasWarning(UserWarning):
    """A frequency lies at the edge of what the spacing of the samples resolves."""


def usable(table: Table) -> Table:
    """The table without rows of no weight, which say nothing."""
    has_weight = lambda rows: rows[table.weights[rows] > 0]
    return table._replace(train=has_weight(table.train), heldout=has_weight(table.heldout))


def check_samples(table: Table, modes: int, terms: int) -> None:
    """Refuse a table that holds too little for an AION of a size, or numbers beyond what can be squared.

    **Arguments:** the table, all of whose rows have weight; the size, the smallest one where it is chosen.

    **Raises:** `ValueError` for too few rows or distinct values, with all rows and without the held-out ones, and for numbers out of range.
    """
    dimensions = table.x.shape[1]
    unknowns = 4 * modes * terms * dimensions
    every = np.concatenate([table.train, table.heldout])
    for rows, which, remedy in (
        (every, "", "Use fewer terms or modes, or measure more."),
        (table.train, " without the held-out ones", "Use holdout=0, fewer terms or modes, or measure more."),
    ):
        if len(rows) <= unknowns:
            raise ValueError(
                f"{len(rows)} distinct rows of positive weight{which} for {unknowns} unknowns a target, 4 an atom; expected more rows than unknowns. {remedy}"
            )
        for d, name in enumerate(table.names):
            values = len(np.unique(table.x[rows, d]))
            if values < 4 * terms:
                raise ValueError(
                    f"the input {name!r} has {values} distinct value(s){which}; expected at least {4 * terms} for {terms} atom(s) along it. {remedy}"
                )
    _check_range(table, every)


def _check_range(table: Table, rows: np.ndarray) -> None:
    dtype = np.dtype(table.dtype)
    least, most = _RANGES[dtype.itemsize]
    spans = [(f"the input {name!r}", np.ptp(table.x[rows, d])) for d, name in enumerate(table.names)]
    sizes = [(f"the target {name!r}", np.max(np.abs(table.y[rows, o]))) for o, name in enumerate(table.targets)]
    for what, size in spans + sizes:
        if size == 0:
            raise ValueError(
                f"{what} does not vary, or is zero, in every row of positive weight; there is nothing to learn"
            )
        if not least <= size <= most:
            raise ValueError(
                f"{what} is of size {size:.3g}; expected between {least:g} and {most:g} in {dtype}, where its square is a number. Choose another unit."
            )
    for d, name in enumerate(table.names):
        values = np.unique(table.x[rows, d])
        moved = np.max(np.abs(values.astype(dtype).astype(float) - values))
        gap = (values[-1] - values[0]) / (len(values) - 1)
        if moved > _MOVED * gap:
            raise ValueError(
                f"the input {name!r} goes up to {np.max(np.abs(values)):.10g} in steps of about {gap:.3g}, which {dtype} does not resolve; subtract an offset, "
                'or use double precision: jax.config.update("jax_enable_x64", True)'
            )


def warn_of_aliases(edges: list[tuple[str, float, float]], stacklevel: int) -> None:
    """Warn of frequencies at the edge of what the spacing resolves: name of the input, frequency, largest one."""
    for name, omega, limit in edges:
        warnings.warn(
            f"a frequency of {omega:.6g} radians a unit of {name!r} lies at the edge of what the spacing resolves, {limit:.6g}; "
            "it may stand for a higher one (aliasing). Sample more densely, or at unequal steps.",
            AliasWarning,
            stacklevel=stacklevel + 1,
        )
