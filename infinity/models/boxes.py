"""Checks of what a model is made with: its box and one number for each dimension."""

from collections.abc import Sequence

import numpy as np


def each(model: str, name: str, value: int | Sequence[int], dimensions: int, least: int = 1) -> tuple[int, ...]:
    """One integer a dimension from one integer or a sequence of them.

    **Raises:** `ValueError` that names the model and the argument.
    """
    values = (value,) * dimensions if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != dimensions or any(int(v) != v or v < least for v in values):
        raise ValueError(
            f"{model} got {name}={value}; expected one integer of at least {least}, or {dimensions} of them."
        )
    return tuple(int(v) for v in values)


def checked_box(model: str, domain: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The box as pairs of floats.

    **Raises:** `ValueError` for an empty box, or one whose ends are not finite and rising.
    """
    box = [(float(lo), float(hi)) for lo, hi in domain]
    if not box:
        raise ValueError(f"{model} got an empty domain; expected [(lo, hi)] * D with D at least 1.")
    for d, (lo, hi) in enumerate(box):
        if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
            raise ValueError(f"{model} got the domain ({lo}, {hi}) for dimension {d}; expected finite numbers lo < hi.")
    return box
