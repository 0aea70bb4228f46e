r"""The inputs of a model: their names and box, which are known, which are free.

x = lower + (upper - lower) z    for the free ones, z in the unit box
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..fitting import Fitted, Predictor, Result
from ..fitting.coding import Coding


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
