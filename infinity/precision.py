"""Precision for the time of one call, whatever the global settings of JAX.

JAX keeps these settings for each thread, and its compiled programs for each value of them, so nothing outside the `with` changes. An array made in double
precision keeps its 64 bits after it; only new computations outside follow the global setting again.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")


def double_precision() -> AbstractContextManager[Any]:
    """A context in which JAX computes in 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    return enable_x64(True)


def full_products(fn: Callable[P, T]) -> Callable[P, T]:
    """A function in which matrix products keep the precision of their entries.

    Left to itself a GPU may round the 24 bits of single precision to 11 before it multiplies, and a TPU to 8: enough for the gradients of a network, far too
    few for normal equations. On a CPU nothing changes.
    """

    @functools.wraps(fn)
    def precise(*arguments: P.args, **named: P.kwargs) -> T:
        with jax.default_matmul_precision("highest"):
            return fn(*arguments, **named)

    return precise
