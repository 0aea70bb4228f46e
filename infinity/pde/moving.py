r"""Nodes that move: the energy is made least over the values at the nodes and over the nodes themselves.

    min_{U, z}  int e(x, u, grad u) dx,    u = sum_i N_i(x; z) U_i

(r-adaptivity, as HiDeNN trains its nodal coordinates). The Gauss points lie in the cells and move with them, so the energy is a smooth function of both.
For given nodes a quadratic energy is one linear solve; the nodes then get equal shares of the roughness of what was found, a few times, and from there
values and nodes descend together by Newton's method in a trust region.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from ..descent import InfiniteDescent, OpenModelWarning
from ..models import HiDeNN
from ..models.on_axes import rebuilt
from .pointwise import Energy

_TURNS = 5
_POINTS = 10  # Gauss points a cell beyond the degree
_FLOOR = 0.02
# The joint Hessian is dense.
_MOST_UNKNOWNS = 1200
_STEPS = 100
_SOLVER: Any = InfiniteDescent(rtol=1e-10, atol=1e-12)


class Moved(NamedTuple):
    """**Fields:** the `model`, its nodes held; its `energy`, and that on the nodes that were given, `before`."""

    model: HiDeNN
    energy: float
    before: float


def move_nodes(form: Energy, model: HiDeNN, dirichlet: Mapping[int, Any] | None = None) -> Moved:
    """Minimise an energy over the values and the nodes of an interpolant.

    **Arguments:**

    - `form`: the energy density.
    - `model`: a `HiDeNN` of hats or patch interpolants, one output, in one or two dimensions; its nodes are the start.
    - `dirichlet`: `{dimension: "left" | "right" | "both"}` for zero at these ends, or `{dimension: {"left": g, "right": h}}` with numbers or functions of the
      point `(D,)`.

    **Returns:** a `Moved`. Its energy is never above `before`.

    **Raises:** `ValueError` for splines, more than two dimensions, several outputs, or too many unknowns for a dense Hessian.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> jax.config.update("jax_enable_x64", True)
        >>> energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 - jnp.exp(-((x[0] - 0.3) / 0.05) ** 2) * u)
        >>> moved = inf.pde.move_nodes(energy, inf.HiDeNN(domain=[(0.0, 1.0)], elements=8, outputs="scalar"), {0: "both"})
        >>> moved.energy < moved.before
        True
    """
    model = model.trained()
    if any(axis.family == "bspline" for axis in model.axes) or model.dimensions > 2 or model.outputs > 1:
        raise ValueError(
            f"move_nodes got {model.dimensions} dimensions, {model.outputs} outputs and {model.axes[0].family}; expected hats or patches, "
            "at most two dimensions and one output."
        )
    if model.unknowns > _MOST_UNKNOWNS:
        raise ValueError(
            f"move_nodes got {model.unknowns} unknowns; expected at most {_MOST_UNKNOWNS}, since its Hessian is dense."
        )
    faces = _faces(model, dirichlet or {})
    energy = eqx.filter_jit(lambda model: _energy(form, model, faces))
    loss = lambda params, rest: energy(eqx.combine(params, rest))  # one for all turns, so that they are compiled once
    values = jax.tree.map(lambda _: False, model)
    values = eqx.tree_at(lambda m: m.values, values, True)
    best = _minimised(loss, model, values)
    before = least = float(energy(best))
    current = best
    for _ in range(_TURNS):
        shared = [axis.trained() for axis in _shared(rebuilt(current, values=_with_faces(current, faces)))]
        gaps = tuple(axis.gaps for axis in shared)
        current = _minimised(loss, eqx.tree_at(lambda m: tuple(axis.gaps for axis in m.axes), current, gaps), values)
        if (found := float(energy(current))) < least:
            best, least = current, found
    moved = _minimised(loss, best, jax.tree.map(lambda _: True, model))
    if (found := float(energy(moved))) < least:
        best, least = moved, found
    return Moved(rebuilt(best, values=_with_faces(best, faces)).frozen(), least, before)


_Faces = list[tuple[int, int, Callable[[Array], Array]]]


def _faces(model: HiDeNN, dirichlet: Mapping[int, Any]) -> _Faces:
    """Dimension, index of the layer of nodes, and values there."""
    faces: _Faces = []
    for d, given in dirichlet.items():
        if d not in range(model.dimensions):
            raise ValueError(f"dirichlet names dimension {d}; expected one of 0 to {model.dimensions - 1}.")
        sides = (
            dict.fromkeys(("left", "right") if given == "both" else (given,), 0.0) if isinstance(given, str) else given
        )
        for side, value in sides.items():
            if side not in ("left", "right"):
                raise ValueError(f"dirichlet names the side {side!r} of dimension {d}; expected left, right or both.")
            g: Any = value if callable(value) else _constant(value)
            faces.append((d, 0 if side == "left" else -1, g))
    return faces


def _constant(value: Any) -> Callable[[Array], Array]:
    return lambda x: jnp.full((), value, x.dtype)


def _with_faces(model: HiDeNN, faces: _Faces) -> Float[Array, "..."]:
    """The values, those on the faces as given, at the nodes where they are."""
    values = model.values
    grid = jnp.stack(jnp.meshgrid(*(axis.nodes(values.dtype) for axis in model.axes), indexing="ij"), axis=-1)
    for d, layer, g in faces:
        points = jnp.take(grid, layer, axis=d)
        given = jax.vmap(g)(points.reshape(-1, model.dimensions)).reshape(points.shape[:-1])
        place = tuple(layer if e == d else slice(None) for e in range(model.dimensions))
        values = values.at[(*place, 0)].set(given)
    return values


def _energy(form: Energy, model: HiDeNN, faces: _Faces) -> Float[Array, ""]:
    """The integral of the density by Gauss points in the cells."""
    values = _with_faces(model, faces)[..., 0]
    bases = model.bases
    rules = [basis.quadrature(basis.degree + _POINTS) for basis in bases]
    tables = []
    for basis in bases:
        parts = []
        for order in (0, 1):
            rows, local, _ = basis.sampled(order, basis.degree + _POINTS)
            dense = jnp.zeros((rows.shape[0], basis.size), local.dtype)
            parts.append(dense.at[jnp.arange(rows.shape[0])[:, None], rows].set(local))
        tables.append(parts)
    D = len(bases)
    contract = lambda orders: _contracted(values, [tables[d][k] for d, k in enumerate(orders)])
    u = contract([0] * D)
    du = jnp.stack([contract([int(e == d) for e in range(D)]) for d in range(D)], axis=-1)
    x = jnp.stack(jnp.meshgrid(*(points for points, _ in rules), indexing="ij"), axis=-1)
    density = jax.vmap(lambda x, u, du: form.value(x, jnp.concatenate([u[None], du])))(
        x.reshape(-1, D), u.ravel(), du.reshape(-1, D)
    ).reshape(u.shape)
    return _contracted(density, [weights[None] for _, weights in rules]).reshape(())


def _contracted(values: Array, tables: list[Array]) -> Array:
    for d, table in enumerate(tables):
        values = jnp.moveaxis(jnp.tensordot(table, values, axes=(1, d)), 0, d)
    return values


def _minimised(loss: Callable[[Any, Any], Array], model: HiDeNN, chosen: Any) -> HiDeNN:
    """The chosen parameters where the energy is least; values on the faces do not enter and stay where they are."""
    params, rest = eqx.partition(model, chosen)
    with warnings.catch_warnings():
        # Nodes are open by nature: a trust region is what is wanted here.
        warnings.simplefilter("ignore", OpenModelWarning)
        solution = optx.minimise(loss, _SOLVER, params, args=rest, max_steps=_STEPS, throw=False)
    return eqx.combine(solution.value, rest)


def _shared(model: HiDeNN) -> list[Any]:
    """Axes whose nodes have equal shares of the roughness of the values along them."""
    axes, values = [], np.asarray(model.values)[..., 0]
    for d, axis in enumerate(model.axes):
        x = np.asarray(axis.nodes(), float)
        rows = np.moveaxis(values, d, 0).reshape(len(x), -1)
        slopes = np.diff(rows, axis=0) / np.diff(x)[:, None]
        middles = (x[1:] + x[:-1]) / 2
        curvature = np.sqrt(np.mean((np.diff(slopes, axis=0) / np.diff(middles)[:, None]) ** 2, axis=1))
        # At the inner nodes; the energy of hats wants the power 2/3 of the second derivative.
        share = np.interp(middles, x[1:-1], curvature ** (2 / 3)) if len(x) > 2 else np.ones(1)
        share = np.maximum(share, _FLOOR * np.average(share, weights=np.diff(x)) + np.finfo(float).tiny)
        height = np.concatenate([[0.0], np.cumsum(share * np.diff(x))])
        moved = np.interp(np.linspace(0.0, height[-1], len(x)), height, x)
        moved[0], moved[-1] = x[0], x[-1]
        axes.append(axis.moved(moved))
    return axes
