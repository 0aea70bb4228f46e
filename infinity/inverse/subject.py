r"""What is inverted: one output of a model, on the box of its free inputs.

    y = g(shift + scale u(z)),    x = lower + (upper - lower) z,    g the inverse link

A level of `y` is one of `u`, since links are monotone: all searching is done on `u`, over the unit box.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..fitting import Fitted
from ..fitting.links import LINKS, Part
from ..fitting.marginals import with_units
from ..models import AbstractSeparable
from .inputs import Inputs, inputs_of
from .pieces import Pieces, pieces_of
from .tables import Pointwise, Tables, tables_of


class Subject(NamedTuple):
    """One output of a model.

    **Fields:** `function` on the unit box of the free inputs; `pieces`, the same as polynomials, or nothing where it has none; the `inputs`; `target`, its
    name; its link `part`, `shift` and `scale`; `dtype`.
    """

    function: Tables | Pointwise
    pieces: Pieces | None
    inputs: Inputs
    target: str
    part: Part
    shift: float
    scale: float
    dtype: Any

    def inner(self, y: float) -> float:
        """The level of `u` at which the target is `y`; infinite beyond what the link can give."""
        part, given = self.part, np.float64(y)
        least, most = (0.0 if part.kind == "log" else part.lower), part.upper
        if not least < given < most and (part.kind != "clip" or given not in (least, most)):
            return -np.inf if given <= least else np.inf
        return float((part.forward(given) - self.shift) / self.scale)

    def outer(self, u: Any) -> Float[np.ndarray, "*N"]:
        """The target where the model has the values `u`."""
        linked = self.shift + self.scale * np.asarray(u, float)
        with np.errstate(over="ignore"):
            return np.asarray(self.part.inverse(linked), float)


def subject_of(
    model: Any, target: str | int | None = None, known: Mapping[str, Any] | None = None, domain: Any = None
) -> Subject:
    """Prepare one output of a model for inversion.

    **Arguments:** an `AbstractSeparable`, `Fitted`, `Predictor`, `Result`, or any function of a point `(D,)`; which output, by name or index, if there are
    several; the known inputs; the box, for a function that does not bring one.

    **Raises:** `ValueError` as `inputs_of`, and for an unknown or missing target.
    """
    model, inputs = inputs_of(model, known, domain)
    inner = model.inner if isinstance(model, Fitted) else model
    low, high = inputs.box
    if isinstance(inner, AbstractSeparable):
        units = with_units(model, "inversion")
        targets = model.targets if isinstance(model, Fitted) else units.targets
        o = _output(target, targets)
        part = LINKS[model.link].part(o) if isinstance(model, Fitted) else Part("identity")
        origin = (inputs.lower - units.origin) / units.length
        length = (inputs.upper - inputs.lower) / units.length
        values = {
            d: (inputs.point[d] - units.origin[d]) / units.length[d]
            for d in range(len(inputs.names)) if d not in inputs.free
        }  # fmt: skip
        pieces = pieces_of(inner, o, origin, length, values)
        dtype = inner.factors[0].dtype
        scale = float(units.scale[o])
        return Subject(tables_of(pieces, dtype), pieces, inputs, targets[o], part, float(units.shift[o]), scale, dtype)
    function, targets = as_function(model, len(inputs.names))
    o = _output(target, targets)
    dtype = dtype_of(model)
    known_point = jnp.asarray(np.nan_to_num(inputs.point), dtype)
    box = jnp.asarray(low, dtype), jnp.asarray(high - low, dtype)
    pointwise = Pointwise(_Output(function, o), *box, known_point, inputs.free, True)
    point = jax.ShapeDtypeStruct((len(inputs.free),), dtype)
    try:
        eqx.filter_eval_shape(pointwise.second, point, point)
    except (TypeError, NotImplementedError):  # such as one with a backward derivative of its own
        pointwise = dataclasses.replace(pointwise, twice=False)
    return Subject(pointwise, None, inputs, targets[o], Part("identity"), 0.0, 1.0, dtype)


def as_function(model: Any, dimensions: int) -> tuple[Any, tuple[str, ...]]:
    """A model as a smooth function of a point, and the names of its outputs.

    **Raises:** `ValueError` where it does not take a point `(D,)` and return `()` or `(O,)`.
    """
    if isinstance(model, Fitted):
        return dataclasses.replace(model, outside="extrapolate"), model.targets
    point = jax.ShapeDtypeStruct((dimensions,), dtype_of(model))
    try:
        shape = eqx.filter_eval_shape(model, point).shape
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(
            f"the model does not take a point of shape ({dimensions},): {error}. Check the domain, which has {dimensions} inputs."
        ) from error
    if len(shape) > 1:
        raise ValueError(f"the model returns the shape {shape}; expected a number, or one number an output, (O,)")
    names = ("y",) if shape in ((), (1,)) else tuple(f"y{o}" for o in range(shape[0]))
    return model if isinstance(model, eqx.Module) else _Plain(model), names


def dtype_of(model: Any) -> Any:
    """The precision of a model: that of its first array, or JAX's."""
    leaves = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return leaves[0].dtype if leaves else jnp.result_type(float)


class _Plain(eqx.Module):
    """A plain function as a module."""

    function: Any = eqx.field(static=True)

    def __call__(self, x: Float[Array, " D"]) -> Any:
        return self.function(x)


class _Output(eqx.Module):
    """One output of a model."""

    model: Any
    output: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        return jnp.atleast_1d(self.model(x))[self.output]


def _output(target: str | int | None, targets: tuple[str, ...]) -> int:
    if target is None:
        if len(targets) > 1:
            raise ValueError(f"the model has {len(targets)} targets; choose one, target={targets[0]!r} for example")
        return 0
    if isinstance(target, str) and target in targets:
        return targets.index(target)
    if not isinstance(target, str) and 0 <= int(target) < len(targets):
        return int(target)
    raise ValueError(f"the model has no target {target!r}; it has {', '.join(targets)}")
