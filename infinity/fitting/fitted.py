r"""A fitted model in physical units, with a stated policy outside its box.

    y = g(shift + scale * model((x - lower) / (upper - lower))),    g the inverse link, see `infinity.fitting.links`

The scaling is part of the model but no parameter of it: derivatives with respect to the leaves are those of the inner model.
"""

import dataclasses
import warnings
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..models import AbstractSeparable
from ..models.evaluator import evaluate
from ..shapes import rounded_up
from .checks import check_finite
from .coding import Coding
from .links import KINDS, LINKS

Outside = Literal["error", "warn", "clamp", "linear", "nan", "extrapolate"]

# Rows evaluated in one call of a compiled prediction.
_BATCH = 16384


class OutsideWarning(UserWarning):
    """A fitted model is asked for values outside the box of its data."""


class Fitted(eqx.Module):
    r"""A model that takes and gives physical units.

    **Fields:**

    - `inner`: the model that was solved for.
    - `lower`, `upper`: the box of the inputs, static, D numbers each.
    - `scaled`: whether the inner model lives on the unit box instead of the physical one.
    - `shift`, `scale`: of the outputs, static, O numbers each.
    - `names`, `targets`: of the columns.
    - `outside`: what happens outside the box: `"error"`; `"warn"`, linear continuation with a warning; `"linear"`, the same without; `"clamp"`, the value at
      the nearest point of the box; `"nan"`; `"extrapolate"`, the formula of the inner model. Inside a traced program (`jit`, `grad`)
      no warning can be given, so `"warn"` is `"linear"` there.
    - `scalar`: one output of shape `()`.
    - `link`: `"identity"`, `"log"` where the model describes the logarithm of the target, or a link that keeps bounds, see `infinity.fitting.links`.
    - `coding`: how a table with categories or gaps becomes the D numbers of a point, or nothing where it holds these numbers. `predict` takes the table, a
      call takes coded numbers.
    """

    inner: Any
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    scaled: bool = eqx.field(static=True)
    shift: tuple[float, ...] = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    targets: tuple[str, ...] = eqx.field(static=True)
    outside: str = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)
    link: str = eqx.field(static=True, default="identity")
    coding: Coding | None = None

    def __check_init__(self):
        if self.outside not in get_args(Outside):
            raise ValueError(f"outside is {self.outside!r}; expected one of {', '.join(get_args(Outside))}")
        if self.link not in LINKS:
            raise ValueError(
                f"link is {self.link!r}; expected one of {', '.join(KINDS)}, with bounds in brackets where there are any"
            )
        if not len(self.lower) == len(self.upper) == len(self.names) or not len(self.shift) == len(self.scale) == len(
            self.targets
        ):
            raise ValueError(
                "a fitted model needs one name, lower and upper end an input, and one name, shift and scale a target"
            )

        if self.coding is not None and self.coding.names != self.names:
            raise ValueError(
                f"the coding of a fitted model makes the columns {', '.join(self.coding.names)}; its names are {', '.join(self.names)}"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the columns of a table that `predict` takes."""
        return self.names if self.coding is None else self.coding.inputs

    @property
    def dimensions(self) -> int:
        """Number of inputs, D."""
        return len(self.names)

    @property
    def domain(self) -> tuple[tuple[float, float], ...]:
        """The box of the data, one pair an input."""
        return tuple(zip(self.lower, self.upper, strict=True))

    def __call__(self, x: Any) -> Float[Array, "..."]:
        """The value at a point `x` of shape `(D,)`: `(O,)`, or `()` for a single target."""
        x = jnp.asarray(x)
        if x.shape != (self.dimensions,):
            raise ValueError(
                f"got a point of shape {x.shape}; expected ({self.dimensions},): {', '.join(self.names)}. Batch with jax.vmap."
            )
        if self.outside == "extrapolate":
            return self._physical(x)
        lower, upper = jnp.asarray(self.lower, x.dtype), jnp.asarray(self.upper, x.dtype)
        inside = jnp.clip(x, lower, upper)
        beyond = jnp.any(inside != x)
        if self.outside == "error":
            x = eqx.error_if(
                x, beyond, "a fitted model was asked for a value outside the box of its data (outside='error')"
            )
        if self.outside == "warn" and not isinstance(beyond, Tracer) and bool(beyond):
            warnings.warn(self._outside_sentence(np.asarray(x)[None]), OutsideWarning, stacklevel=2)
        if self.outside in ("linear", "warn"):
            u, change = jax.jvp(self._linked, (inside,), (x - inside,))
            value = LINKS[self.link].continued(u, change)
            return value[0] if self.scalar else value
        value = self._physical(inside)
        return jnp.where(beyond, jnp.nan, value) if self.outside == "nan" else value

    def _physical(self, x: Float[Array, " D"]) -> Float[Array, "..."]:
        value = LINKS[self.link].inverse(self._linked(x))
        return value[0] if self.scalar else value

    def _linked(self, x: Float[Array, " D"]) -> Float[Array, " O"]:
        """What the link describes, at a point of the box."""
        lower, upper = jnp.asarray(self.lower, x.dtype), jnp.asarray(self.upper, x.dtype)
        return self._shifted(jnp.atleast_1d(self.inner((x - lower) / (upper - lower) if self.scaled else x)))

    def _shifted(self, value: Float[Array, "*N O"]) -> Float[Array, "*N O"]:
        dtype = value.dtype
        return jnp.asarray(self.shift, dtype) + jnp.asarray(self.scale, dtype) * value

    def predict(self, x: Any) -> Float[Array, "N *O"]:
        """Values at many points.

        **Arguments:** `x` of shape `(N, D)`, or `(N,)` for one input, in physical units; with a `coding`, the columns `inputs` of a table as it was fitted.

        **Returns:** `(N,)` for a single target, else `(N, O)`.

        **Raises:** `ValueError` for a wrong shape, a number that is not finite, or, with `outside="error"`, a point outside the box.
        """
        x = self.checked(x)
        if not isinstance(self.inner, AbstractSeparable):
            return self._in_range(x, self._one_by_one(x))
        rows = np.asarray(x)
        u = evaluate(self.inner, self.inside(rows))
        values = LINKS[self.link].inverse(self._shifted(jnp.asarray(u)))
        values = values[:, 0] if self.scalar else values
        lower, upper = self._box(rows.dtype)
        beyond = np.flatnonzero(np.any((rows < lower) | (rows > upper), axis=1))
        # Only these need what the policy says; the batch is filled up so that few programs are compiled.
        if len(beyond) and self.outside != "clamp":
            filled = np.resize(beyond, rounded_up(len(beyond)))
            values = values.at[beyond].set(self._one_by_one(x[filled])[: len(beyond)])
        return values

    def _in_range(self, x: Float[Array, "N D"], values: Float[Array, "N *O"]) -> Float[Array, "N *O"]:
        """The values, if a formula that goes on outside the box has not left the range of floats."""
        if self.outside != "extrapolate":
            return values
        lost = np.flatnonzero(~np.isfinite(np.asarray(values)).all(axis=tuple(range(1, values.ndim))))
        if len(lost):
            point = ", ".join(f"{name} = {v:g}" for name, v in zip(self.names, np.asarray(x)[lost[0]], strict=True))
            raise ValueError(
                f"{len(lost)} of {len(values)} values are beyond the range of {values.dtype}, the first in row {lost[0] + 1}: {point}. Ask nearer to the data, "
                'or fit with outside="linear", "clamp" or "nan"'
            )
        return values

    def inside(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """The nearest points of the box, in the coordinates of the inner model."""
        lower, upper = self._box(x.dtype)
        points = np.clip(x, lower, upper)
        return (points - lower) / (upper - lower) if self.scaled else points

    def _box(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.lower, dtype), np.asarray(self.upper, dtype)

    def _one_by_one(self, x: Float[Array, "N D"]) -> Float[Array, "N *O"]:
        """The model mapped over points."""
        parts = [_evaluate(self._quiet(), x[start : start + _BATCH]) for start in range(0, len(x), _BATCH)]
        return jnp.concatenate(parts) if parts else jnp.zeros((0,) if self.scalar else (0, len(self.targets)))

    def coded(self, x: Any) -> np.ndarray:
        """The points `(N, D)` of a table, as a call of the model takes them: `jax.vmap(model)(model.coded(table))`.

        **Raises:** `ValueError` for a wrong shape, and for what the coding does not know.
        """
        if self.coding is not None:
            return self.coding.code(x)
        rows = np.asarray(x)
        rows = rows[:, None] if rows.ndim == 1 and self.dimensions == 1 else rows
        if rows.ndim != 2 or rows.shape[1] != self.dimensions:
            raise ValueError(
                f"x has shape {rows.shape}; expected (N, {self.dimensions}), the columns {', '.join(self.names)}"
            )
        return rows

    def checked(self, x: Any) -> Float[Array, "N D"]:
        """The points as an array of the model's dtype, after the checks of `predict`."""
        rows = self.coded(x)
        check_finite(rows, self.names)
        if self.outside in ("error", "warn") and self.rows_outside(rows).any():
            sentence = self._outside_sentence(rows)
            if self.outside == "error":
                raise ValueError(f"{sentence}; this model has outside='error'")
            warnings.warn(sentence, OutsideWarning, stacklevel=3)
        leaves = jax.tree.leaves(eqx.filter(self.inner, eqx.is_inexact_array))
        return jnp.asarray(rows, leaves[0].dtype if leaves else None)

    def rows_outside(self, x: np.ndarray) -> np.ndarray:
        """Which rows lie outside the box, `(N,)` truth values; rounding of the box's ends is forgiven."""
        lower, upper = np.asarray(self.lower), np.asarray(self.upper)
        slack = (
            4
            * np.finfo(np.float32 if x.dtype == np.float32 else np.float64).eps
            * np.maximum(np.abs(lower), np.abs(upper))
        )
        return np.any((x < lower - slack) | (x > upper + slack), axis=1)

    def _outside_sentence(self, x: np.ndarray) -> str:
        rows = np.flatnonzero(self.rows_outside(x))
        if not len(rows):
            return "a point lies outside the box of the data by rounding"
        low, high = np.asarray(self.lower), np.asarray(self.upper)
        point = x[rows[0]]
        column = int(np.argmax(np.maximum(low - point, point - high) / (high - low)))
        return (
            f"{len(rows)} of {len(x)} rows lie outside the box of the data, the first is row {rows[0] + 1}: "
            f"{self.names[column]} = {point[column]:g} is not in [{low[column]:g}, {high[column]:g}]"
        )

    def _quiet(self) -> "Fitted":
        """The same model without the policies that act outside a compiled program."""
        quiet = "linear" if self.outside in ("error", "warn") else self.outside
        return dataclasses.replace(self, outside=quiet)


@eqx.filter_jit
def _evaluate(model: Fitted, x: Float[Array, "N D"]) -> Float[Array, "N *O"]:
    return jax.vmap(model)(x)


def unit_box(x: np.ndarray, lower: Any, upper: Any) -> np.ndarray:
    """The points in units of the box."""
    low, high = np.asarray(lower, x.dtype), np.asarray(upper, x.dtype)
    return (x - low) / (high - low)
