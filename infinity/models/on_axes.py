"""What all models on a box share whose inputs each have an axis of functions: the box, and axes that are held or trained."""

from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax

from ..basis import Axis

Module = TypeVar("Module", bound=eqx.Module)
OnAxes = TypeVar("OnAxes", bound="AbstractOnAxes")


class AbstractOnAxes(eqx.Module):
    """A model with one `Axis` for each input.

    **Fields:** `axes`, the recipe of the functions of each dimension.
    """

    axes: eqx.AbstractVar[tuple[Axis, ...]]

    @property
    def dimensions(self) -> int:
        """Number of inputs, D."""
        return len(self.axes)

    @property
    def unknowns(self) -> int:
        """Number of free parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array)))

    @property
    def domain(self) -> tuple[tuple[float, float], ...]:
        """The box on which the model is defined, one pair a dimension."""
        return tuple(axis.domain for axis in self.axes)

    @property
    def trainable_axes(self) -> bool:
        """Whether nodes or coordinate maps are among the parameters."""
        return bool(jax.tree.leaves(self.axes))

    def with_axes(self: OnAxes, axes: Sequence[Axis]) -> OnAxes:
        """The same coefficients on other axes of the same sizes."""
        return rebuilt(self, axes=tuple(axes))

    def frozen(self: OnAxes) -> OnAxes:
        """The same function, nodes and coordinate maps held."""
        return rebuilt(self, axes=tuple(axis.frozen() for axis in self.axes))

    def trained(self: OnAxes, nodes: bool = True, maps: bool = True) -> OnAxes:
        """The same function, its nodes or coordinate maps among the parameters."""
        return rebuilt(self, axes=tuple(axis.trained(nodes, maps) for axis in self.axes))


def rebuilt(model: Module, **changes: Any) -> Module:
    """A copy of a module with other fields, static ones included; nothing is checked."""
    copy = object.__new__(type(model))
    for name in model.__dataclass_fields__:
        object.__setattr__(copy, name, changes.get(name, getattr(model, name)))
    return copy
