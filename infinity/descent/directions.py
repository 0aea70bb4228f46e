r"""A function of parameters, followed along a line.

    g(t) = fn(theta + t delta, args),    t in R

What moves are the floating-point arrays of the parameters for which the direction holds an array.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ..closure import jax_internals
from ..closure.labels import is_parameter


class Along(NamedTuple):
    """A function along a line.

    **Fields:** `function` takes the scalar `t` and gives the output; `flat` gives its leaves as a list; `program` is the traced program of `flat`; `unflatten`
    makes the output of its leaves; `zero` is `t = 0` in the precision of the parameters.
    """

    function: Callable[[Any], Any]
    flat: Callable[[Any], list[Any]]
    program: Any
    unflatten: Callable[[list[Any]], Any]
    zero: jax.Array


def along(name: str, fn: Callable, params: PyTree, direction: PyTree, args: tuple) -> Along:
    """Restrict `fn(params, *args)` to the line through `params`.

    **Arguments:** the `name` of the caller, for its errors; the function; the parameters, whose floating-point arrays move; the `direction`, a tree of the
    same structure with an array or `None` (which stays) at each of them; the data.

    **Raises:** `ValueError` with the path of the leaf where parameters and direction do not fit, and where nothing moves.
    """
    nothing = lambda leaf: leaf is None
    placed, structure = jax.tree_util.tree_flatten_with_path(params, is_leaf=nothing)
    try:
        steps = structure.flatten_up_to(direction)
    except ValueError as error:
        raise ValueError(
            f"{name} got a direction of another structure than the parameters: {jax.tree.structure(direction)} instead of "
            f"{jax.tree.structure(params)}. Give a tree like `params`, with None where a leaf stays."
        ) from error
    moves = [
        _fitting(name, jax.tree_util.keystr(path) or "params", leaf, step)
        for (path, leaf), step in zip(placed, steps, strict=True)
    ]
    types = [leaf.dtype for (_, leaf), step in zip(placed, moves, strict=True) if step is not None]
    if not types:
        raise ValueError(
            f"{name} got a direction in which no parameter moves; it needs an array for one leaf at least."
        )
    leaves = [leaf for _, leaf in placed]
    zero = jnp.zeros((), jnp.finfo(jnp.result_type(*types)).dtype)

    def function(t):
        moved = [
            leaf if step is None else leaf + t.astype(step.real.dtype) * step
            for leaf, step in zip(leaves, moves, strict=True)
        ]
        return fn(jax.tree_util.tree_unflatten(structure, moved), *args)

    shapes: Any = jax.eval_shape(function, zero)
    flat = lambda t: [jnp.asarray(leaf) for leaf in jax.tree.leaves(function(t))]
    program = jax_internals.trace(flat, [jax.ShapeDtypeStruct((), zero.dtype)])
    output = jax.tree.structure(shapes)
    return Along(function, flat, program, lambda values: jax.tree.unflatten(output, values), zero)


def _fitting(name: str, path: str, leaf: Any, step: Any) -> jax.Array | None:
    """The step of one leaf in its dtype; `None` for one that stays."""
    if not is_parameter(leaf):
        if step is None or not is_parameter(step):
            return None
        raise ValueError(
            f"{name} got a direction at {path}, which is no floating-point array but {type(leaf).__name__}; expected None there."
        )
    if step is None:
        return None
    step = jnp.asarray(step)
    if step.shape != leaf.shape:
        raise ValueError(
            f"{name} got a direction of shape {step.shape} at {path}; expected the shape of the parameter, {leaf.shape}."
        )
    if jnp.iscomplexobj(step) and not jnp.iscomplexobj(leaf):
        raise ValueError(f"{name} got a complex direction at {path}, where the parameter is real; give its real part.")
    return step.astype(leaf.dtype)
