r"""What is inverted: one output of a model, on the box of its free inputs.

    y = g(shift + scale u(z)),    x = lower + (upper - lower) z,    g the inverse link

A level of `y` is one of `u`, since links are monotone: all searching is done on `u`, over the unit box.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..fitting import Fitted, Predictor, Result
from ..fitting.coding import Coding
from ..fitting.links import LINKS, Part
from ..fitting.marginals import with_units
from ..models import AbstractSeparable
from .pieces import Pieces, pieces_of
from .tables import Pointwise, Tables, tables_of


class Inputs(NamedTuple):
    """The inputs of a model: all `names`, the box `lower`, `upper` `(D,)`, a full `point` with the known values, and which are `free`."""

    names: tuple[str, ...]
    lower: Float[np.ndarray, " D"]
    upper: Float[np.ndarray, " D"]
    point: Float[np.ndarray, " D"]
    free: tuple[int, ...]

    @property
    def free_names(self) -> tuple[str, ...]:
        """The names of the free inputs."""
        return tuple(self.names[d] for d in self.free)

    @property
    def box(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
        """The ends of the free inputs."""
        return self.lower[list(self.free)], self.upper[list(self.free)]

    def place(self, z: Any) -> Float[np.ndarray, "N D"]:
        """Full points in physical units of points `(N, d)` of the unit box."""
        low, high = self.box
        points = np.tile(self.point, (len(z), 1))
        points[:, list(self.free)] = low + (high - low) * np.asarray(z, float)
        return points


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
        part = self.part
        with np.errstate(divide="ignore", invalid="ignore"):
            if part.kind == "log":
                u = np.log(y) if y > 0 else -np.inf
            elif part.kind == "above":
                u = np.log(y - part.lower) if y > part.lower else -np.inf
            elif part.kind == "below":
                u = -np.log(part.upper - y) if y < part.upper else np.inf
            elif part.kind == "between":
                share = (y - part.lower) / (part.upper - part.lower)
                u = -np.inf if share <= 0 else np.inf if share >= 1 else np.log(share / (1 - share))
            else:
                u = y
        return float((u - self.shift) / self.scale)

    def outer(self, u: Any) -> Float[np.ndarray, "*N"]:
        """The target where the model has the values `u`."""
        linked = self.shift + self.scale * np.asarray(u, float)
        with np.errstate(over="ignore"):
            return np.asarray(self.part.inverse(linked), float)


def units_of(model: Any, domain: Any = None) -> tuple[Any, tuple[str, ...], np.ndarray, np.ndarray, Coding | None]:
    """The model itself without what a result adds, the names of its inputs, its box, and its coding.

    **Raises:** `ValueError` for what is no model, and for one whose box is not known.
    """
    if isinstance(model, Result | Predictor):
        model = model.model
    if isinstance(model, Fitted):
        if domain is not None:
            raise ValueError("a fitted model brings its box; leave the domain out")
        return model, model.names, np.asarray(model.lower, float), np.asarray(model.upper, float), model.coding
    if not callable(model):
        raise ValueError(
            f"got a {type(model).__name__}; expected a separable model, a result of inf.fit, or a function of one point"
        )
    box = getattr(model, "domain", None) if domain is None else domain
    if box is None:
        raise ValueError(
            f"the box of this {type(model).__name__} is not known; give it, domain=[(low, high), ...], one pair an input"
        )
    ends = np.asarray(box, float)
    if ends.ndim != 2 or ends.shape[1] != 2 or not np.all(np.isfinite(ends)) or np.any(ends[:, 0] >= ends[:, 1]):
        raise ValueError(
            f"domain is {box!r}; expected one pair of numbers (low, high) an input, the first below the second"
        )
    return model, tuple(f"x{d}" for d in range(len(ends))), ends[:, 0], ends[:, 1], None


def inputs_of(model: Any, known: Mapping[str, Any] | None, domain: Any = None) -> tuple[Any, Inputs]:
    """The inputs of a model when some are known.

    **Arguments:** the model; the known values by name (a category by its word); the box, for a function that does not bring one.

    **Raises:** `ValueError` for an unknown name, a value outside the box or no number, a free category, and if none is free.
    """
    model, names, lower, upper, coding = units_of(model, domain)
    given = dict(known or {})
    inputs = names if coding is None else coding.inputs
    for name in given:
        check_name(name, inputs)
    point, fixed, start = np.full(len(names), np.nan), set(), 0
    for d, name in enumerate(inputs):
        column = None if coding is None else coding.columns[d]
        own = range(start, start + (1 if column is None else len(column.names)))
        start = own.stop
        if name in given:
            values = _coded(name, given[name], column)
            point[list(own)] = values
            fixed.update(own)
            for at, value in zip(own, values, strict=True):
                slack = 1e-12 * max(abs(lower[at]), abs(upper[at]))
                if not lower[at] - slack <= value <= upper[at] + slack:
                    raise ValueError(
                        f"{name} = {value:g} lies outside the box of the model, {lower[at]:g} to {upper[at]:g}; choose a value inside"
                    )
        elif column is not None and column.is_category:
            levels = ", ".join("missing" if level is None else level for level in column.levels[:8])
            raise ValueError(f"{name!r} is a category, which no slope leads through; fix it to one of {levels}")
        elif column is not None and column.kind == "gaps":
            point[own[1]] = 0.0
            fixed.add(own[1])
    free = tuple(d for d in range(len(names)) if d not in fixed)
    if not free:
        raise ValueError(f"all inputs are known ({', '.join(given)}); leave at least one free")
    return model, Inputs(names, lower, upper, point, free)


def check_name(name: str, names: Sequence[str]) -> None:
    """Refuse a name that is no input."""
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the inputs are {', '.join(names)}"
        raise ValueError(f"the model has no input {name!r}; {hint}")


def _coded(name: str, value: Any, column: Any) -> list[float]:
    if column is not None and column.kind != "number":
        return [float(v) for v in column.code(np.array([value], object))[0]]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"the known value of {name!r} is {value!r}; expected a number") from None
    if not np.isfinite(number):
        raise ValueError(f"the known value of {name!r} is {value!r}; expected a finite number")
    return [number]


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
    pointwise = Pointwise(
        _Output(function, o), jnp.asarray(low, dtype), jnp.asarray(high - low, dtype), known_point, inputs.free
    )
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
