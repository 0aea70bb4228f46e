"""A function of arrays, computed once for each choice of them: coordinates that share a basis share their integrals."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

Found = TypeVar("Found")


def once(fn: Callable[..., Found]) -> Callable[..., Found]:
    """The function with a memory: an array is known by its identity, anything else by its value.

    >>> import numpy as np
    >>> from infinity.pde.once import once
    >>> total, one = once(np.sum), np.ones(3)
    >>> total(one) is total(one), total(one) is total(one.copy())
    (True, False)
    """
    known: dict[tuple, tuple[Found, tuple]] = {}

    def call(*given: Any) -> Found:
        key = tuple([id(one) if isinstance(one, np.ndarray) else one for one in given])
        if key not in known:
            known[key] = fn(*given), given  # what is given stays alive, and with it its identity
        return known[key][0]

    return call


def each(banks: Sequence[tuple[np.ndarray, ...]], fn: Callable[[tuple[np.ndarray, ...]], Found]) -> list[Found]:
    """A function of the matrices of each direction, computed once for directions that have the same ones."""
    found: dict[tuple[int, ...], Found] = {}
    keys = [tuple(map(id, bank)) for bank in banks]
    for key, bank in zip(keys, banks, strict=True):
        if key not in found:
            found[key] = fn(bank)
    return [found[key] for key in keys]
