"""Double precision for the time of one call, whatever the global setting of JAX.

JAX keeps this setting for each thread, and its compiled programs for each value of it, so nothing outside the `with` changes. An array made inside keeps
its 64 bits after it; only new computations outside follow the global setting again.
"""

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..fitting import Result


def double_precision() -> AbstractContextManager[Any]:
    """A context in which JAX computes in 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    return enable_x64(True)


def to_numpy(result: Result) -> dict[str, Any]:
    """The fields of a result, with arrays in NumPy, which keep 64 bits through pickle; JAX's own are rounded when they are read back at 32."""
    return _converted({field.name: getattr(result, field.name) for field in dataclasses.fields(result)}, np.asarray)


def to_jax(fields: dict[str, Any]) -> Result:
    """The result from its fields, with all their bits."""
    with double_precision():
        return Result(**_converted(fields, jnp.asarray))


def _converted(fields: dict[str, Any], convert: Any) -> dict[str, Any]:
    leaves = lambda leaf: convert(leaf) if eqx.is_array_like(leaf) else leaf
    return {**fields, "predictor": jax.tree.map(leaves, fields["predictor"])}
