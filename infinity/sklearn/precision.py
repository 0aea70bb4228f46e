"""Results as NumPy arrays and back, with all their bits."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..fitting import Result
from ..precision import double_precision


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
