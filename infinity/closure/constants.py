"""Values that depend on no parameter: computed only when an index, a choice or a trip count needs them.

A constant is known (data at hand), or a recipe (an equation whose inputs are known), or unknown (a tracer of an outer
transformation, the result of an effect). To take a known constant for an unknown one is always sound, so nothing is
computed that nobody asks for.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import jax_internals
from .folding import fold
from .packed import Packed, full, pack

_CHEAP = 1 << 20
_LARGEST = 1 << 26


class Constant:
    """One array that depends on no parameter, with its value on demand."""

    __slots__ = ("_done", "_raw", "_recipe", "_value", "cost", "dtype", "known", "shape")

    def __init__(
        self, shape: Sequence[int], dtype: Any, known: bool, cost: int | float, recipe: Callable[[], Any] | None
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.known = known
        self.cost = cost
        self._recipe = recipe
        self._done = recipe is None
        self._value: Packed | None = None
        self._raw: Any = None

    @classmethod
    def unknown(cls, shape: Sequence[int], dtype: Any) -> "Constant":
        """Return a constant of which only the shape is known."""
        return cls(shape, dtype, False, np.inf, None)

    @classmethod
    def from_value(cls, value: Any, shape: Sequence[int], dtype: Any) -> "Constant":
        """Return data at hand; a tracer becomes an unknown constant."""
        if jax_internals.is_tracer(value):
            return cls.unknown(shape, dtype)

        def recipe() -> Any:
            if jax_internals.is_key_type(dtype):
                return value
            array = jax_internals.as_array(value, dtype)
            return None if array is None else pack(array)

        return cls(shape, dtype, True, int(np.prod(shape)), recipe)

    @classmethod
    def from_packed(cls, value: Packed, dtype: Any) -> "Constant":
        """Return a packed array at hand."""
        return cls(value.shape, dtype, True, value.core.size, lambda: value)

    def _resolve(self) -> None:
        if not self._done:
            self._done = True
            recipe, self._recipe = self._recipe, None
            value = recipe() if recipe is not None and self.known else None
            if isinstance(value, Packed):
                self._value = value
            else:
                self._raw = value
            self.known = value is not None

    def packed(self) -> Packed | None:
        """Return the value, computed if need be; None if it cannot be known."""
        if self.known and np.prod(self.shape) <= _LARGEST:
            self._resolve()
        return self._value

    def cheap(self) -> Packed | None:
        """Return the value if it takes little work on the host."""
        return self.packed() if self.cost <= _CHEAP else self._value

    def concrete(self) -> Any:
        """Return the value as an array that JAX can compute with, random keys included; None if it cannot be known."""
        packed = self.packed()
        return full(packed) if packed is not None else self._raw


class Recipe:
    """The results of one equation, computed together on the first demand for any of them."""

    def __init__(self, equation: jax_internals.Equation, inputs: Sequence[Constant]) -> None:
        self.equation = equation
        self.inputs: Sequence[Constant] = inputs
        self.results: Sequence[Any] | None = None

    def result(self, place: int) -> Any:
        """One result: packed, or a raw JAX array of random keys, or None."""
        if self.results is None:
            self.results = self._compute()
            self.inputs = ()
        return self.results[place]

    def _compute(self) -> Sequence[Any]:
        packed = [constant.packed() for constant in self.inputs]
        nothing = [None] * len(self.equation.outvars)
        if all(value is not None for value in packed):
            results = fold(self.equation, [value for value in packed if value is not None])
            if results is not None:
                return results
        values = [constant.concrete() for constant in self.inputs]
        if any(value is None for value in values):
            return nothing
        try:
            raw = jax_internals.evaluate(self.equation, values)
        except Exception:  # whatever cannot be evaluated here stays unknown, which is sound
            return nothing
        results = []
        for value, variable in zip(raw, self.equation.outvars, strict=True):
            dtype = variable.aval.dtype  # pyright: ignore[reportAttributeAccessIssue]
            array = jax_internals.as_array(value, dtype)
            results.append(
                value
                if array is None and not jax_internals.is_tracer(value)
                else None
                if array is None
                else pack(array)
            )
        return results


def folded(equation: jax_internals.Equation, inputs: Sequence[Constant], cheap: bool) -> list[Constant]:
    """Return the results of an equation on constants, as recipes."""
    known = all(constant.known for constant in inputs) and not jax_internals.has_effects(equation)
    recipe = Recipe(equation, list(inputs))
    outputs = []
    for place, variable in enumerate(equation.outvars):
        aval: Any = variable.aval
        shape, dtype = getattr(aval, "shape", ()), getattr(aval, "dtype", np.dtype(bool))
        if not known:
            outputs.append(Constant.unknown(shape, dtype))
            continue
        cost = sum(constant.cost for constant in inputs) + math.prod(shape) if cheap else math.inf
        outputs.append(Constant(shape, dtype, True, cost, lambda place=place: recipe.result(place)))
    return outputs
