r"""The words of a form: coordinates, trial and test functions, and known functions written in Python.

x, y = coordinates("x y")        u, v = trial(), test()        f = function(lambda x, y: jnp.exp(-x * y))
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..precision import double_precision
from .expressions import Coordinate, Expression, Factor, Function, Term


def coordinates(names: str) -> tuple[Coordinate, ...]:
    """Name the coordinates: of space, the time, parameters.

    **Arguments:** `names`, separated by blanks or commas.

    **Raises:** `ValueError` for a name that is no identifier or given twice.

    >>> from infinity.pde import coordinates
    >>> x, y, diffusivity = coordinates("x y diffusivity")
    >>> diffusivity.name
    'diffusivity'
    """
    found = names.replace(",", " ").split()
    for name in found:
        if not name.isidentifier():
            raise ValueError(f"coordinates got the name {name!r}; expected identifiers such as 'x y t'")
    if len(set(found)) < len(found) or not found:
        raise ValueError(f"coordinates got {names!r}; expected at least one name, each once")
    return tuple(Coordinate(name) for name in found)


def trial(components: int | None = None) -> Any:
    """The function that is sought, or the components of one with several, such as a displacement.

    >>> from infinity.pde import coordinates, trial
    >>> x, y = coordinates("x y")
    >>> print(trial().d(x), trial(2)[1].d(y))
    u.d(x) u[1].d(y)
    """
    return _unknown("trial", components)


def test(components: int | None = None) -> Any:  # noqa: PT028
    """The function that the equation is tested with, or its components.

    >>> from infinity.pde import test
    >>> print(test())
    v
    """
    return _unknown("test", components)


test.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]  # no test of pytest


def _unknown(role: Any, components: int | None) -> Any:
    if components is None:
        return Expression((Term(1.0, factors=(Factor(role),)),))
    if components < 1:
        raise ValueError(f"{role} got {components} components; expected at least one")
    return tuple(Expression((Term(1.0, factors=(Factor(role, c, components),)),)) for c in range(components))


def function(fn: Callable[..., Any], *variables: Coordinate) -> Expression:
    """A known function of one or more coordinates, separable or not.

    **Arguments:**

    - `fn`: takes one number a coordinate and returns a number, written with `jax.numpy` or `numpy`.
    - `variables`: the coordinates that it is called with; by default those with the names of its arguments.

    **Raises:** `ValueError` for arguments without names.

    >>> import jax.numpy as jnp
    >>> from infinity.pde import coordinates, function
    >>> x, y = coordinates("x y")
    >>> ridge = function(lambda x, y: 1 / (1 + 25 * (x + y) ** 2))
    >>> [c.name for c in ridge.coordinates], float(ridge.values({x: 0.2, y: 0.0}))
    (['x', 'y'], 0.5)
    """
    if not callable(fn):
        raise ValueError(f"function got {fn!r}; expected a function of coordinates. Numbers multiply directly")
    found = tuple(variables) or _named(fn)
    label = getattr(fn, "__name__", "function")
    label = "f" if label == "<lambda>" else label
    return Expression((Term(1.0, (Function(found, _vectorised(fn), f"{label}({', '.join(c.name for c in found)})"),)),))


def _named(fn: Callable[..., Any]) -> tuple[Coordinate, ...]:
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not plain or len(plain) < len(list(parameters)):
        raise ValueError(
            f"function cannot see which coordinates {fn!r} takes; name them: function(fn, x, y), or write lambda x, y: ..."
        )
    return tuple(Coordinate(p.name) for p in plain)


def _vectorised(fn: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """The function on arrays that broadcast, in double precision; point by point where it needs numbers."""
    compiled = jax.jit(jax.vmap(fn))

    def evaluate(*values: Any) -> np.ndarray:
        arrays = np.broadcast_arrays(*(np.asarray(value, float) for value in values))
        flat = [array.ravel() for array in arrays]
        with double_precision():
            try:
                found = np.asarray(compiled(*flat), float)
            except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
                found = np.array([float(fn(*point)) for point in zip(*flat, strict=True)])
        if found.shape != flat[0].shape:
            raise ValueError(
                f"a known function returned shape {found.shape[1:]} at one point; expected a number. Use one function a component"
            )
        return found.reshape(arrays[0].shape)

    return evaluate
