r"""The same function in another family: exact where the spaces agree, the nearest in the mean square elsewhere.

    min_c int (sum_i c_i B_i - f)^2 dt    for the curve f of every mode in every dimension

Hats are splines of degree one, so that those two carry over unchanged. All else is projected, dimension by dimension, on Gauss points between the
breakpoints of both families; the relative error of the whole model is returned with it, from a sweep over the products (`norm`), not from samples.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..basis import AbstractBasis, BSpline, Hat, gauss_legendre
from .inn import INN, axes_of
from .norm import norm
from .on_axes import rebuilt
from .separable import AbstractSeparable


def convert(
    model: AbstractSeparable,
    basis: str,
    *,
    nodes: Sequence[Sequence[float]] | None = None,
    elements: int | Sequence[int] | None = None,
    **settings: Any,
) -> tuple[INN, float]:
    """Give a separable model in another family of functions.

    **Arguments:** the model; the family, `"hat"`, `"patch"` or `"bspline"`; the `nodes` of each dimension, or a number of equal `elements`; nodes and cells of
    the model if neither is given; keywords of the family as of `INN`.

    **Returns:** an `INN` on the same box, with the constant and additive block that the model has, and the relative error in the mean square over the box.

    **Raises:** `ValueError` for nodes on another box, and as `INN`.

    !!! example

        >>> import jax, infinity as inf
        >>> from infinity.models import convert
        >>> hats = inf.INN([(0.0, 1.0)] * 2, modes=3, elements=4, key=jax.random.key(0))
        >>> splines, error = convert(hats, "bspline", degree=1)
        >>> splines.axes[0].family, error
        ('bspline', 0.0)
    """
    rows = nodes
    if nodes is None and elements is None:
        rows = [sorted(set(row)) for row in model.breakpoints]
    box = None if rows is not None else model.domain
    axes = axes_of("convert", box, rows, 12 if elements is None else elements, basis, settings, False)
    if [axis.domain for axis in axes] != list(model.domain):
        raise ValueError(
            f"convert got nodes on {[axis.domain for axis in axes]} for a model on {list(model.domain)}; expected the same ends."
        )
    dtype = model.factors[0].dtype
    olds, news = model.bases, tuple(axis.basis(dtype) for axis in axes)
    same = [_same(old, new) for old, new in zip(olds, news, strict=True)]
    moved = lambda arrays: tuple(
        array if equal else _projected(array, old, new)
        for array, old, new, equal in zip(arrays, olds, news, same, strict=True)
    )
    additive = None if model.additive is None else moved(model.additive)
    template = INN(domain=list(model.domain), modes=1, elements=1, key=jax.random.key(0))
    fields = {"factors": moved(model.factors), "additive": additive, "axes": axes}
    fields |= {"mixing": model.mixing, "constant": model.constant, "scalar": model.scalar}
    converted = rebuilt(template, **fields)
    return converted, 0.0 if all(same) else relative_difference(converted, model)


def relative_difference(model: AbstractSeparable, reference: AbstractSeparable) -> float:
    """`|u - v| / |v|` in the mean square over the box and over all outputs, for two separable models on one box."""
    top = bottom = 0.0
    for o in range(reference.outputs):
        v, u = (_products(m, [reference, model], o) for m in (reference, model))
        bottom += norm(v) ** 2
        signed = [np.concatenate([a, b], axis=1) for a, b in zip(v, u, strict=True)]
        signed[0][:, v[0].shape[1] :] *= -1
        top += norm(signed) ** 2
    return float(np.sqrt(top / bottom)) if bottom > 0 else float(np.sqrt(top))


def _same(old: AbstractBasis, new: AbstractBasis) -> bool:
    """Whether both are the same functions: one family on the same nodes, or hats and splines of degree one."""
    linear = all(isinstance(basis, Hat | BSpline) and basis.degree == 1 for basis in (old, new))
    if linear or jax.tree.structure(old) == jax.tree.structure(new):
        pairs = [(old.breakpoints, new.breakpoints)] if linear else zip(*map(jax.tree.leaves, (old, new)), strict=True)
        return all(a.shape == b.shape and bool(jnp.all(a == b)) for a, b in pairs)
    return False


def _rule(bases: Sequence[AbstractBasis]) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
    """Gauss points and weights that are exact for products of the functions of all families."""
    ends = np.unique(np.concatenate([np.asarray(basis.breakpoints, np.float64) for basis in bases]))
    nodes, weights = gauss_legendre(1 + max(basis.degree for basis in bases))
    lengths = np.diff(ends)[:, None]
    return (ends[:-1, None] + lengths * (1 + nodes) / 2).ravel(), (lengths * weights / 2).ravel()


def _values(basis: AbstractBasis, t: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "Q n"]:
    return np.asarray(basis.collocation(jnp.asarray(t, basis.breakpoints.dtype)), np.float64)


def _projected(rows: Float[Array, "M size"], old: AbstractBasis, new: AbstractBasis) -> Float[Array, "M new"]:
    """Coefficients of the nearest curves."""
    t, w = _rule([old, new])
    root = np.sqrt(w)[:, None]
    target = root * (_values(old, t) @ np.asarray(rows, np.float64).T)
    solution = np.linalg.lstsq(root * _values(new, t), target, rcond=None)[0]
    return jnp.asarray(solution.T, rows.dtype)


def _products(model: AbstractSeparable, models: Sequence[AbstractSeparable], o: int) -> list[Float[np.ndarray, "Q R"]]:
    """One output as weighted samples of a sum of products: the modes, the additive terms and the constant, on a rule that serves several models."""
    columns = []
    mixing = np.ones(model.modes) if model.mixing is None else np.asarray(model.mixing, np.float64)[o]
    for d in range(model.dimensions):
        t, w = _rule([m.bases[d] for m in models])
        one = np.sqrt(w / w.sum())[:, None]
        B = one * _values(model.bases[d], t)
        factor = B @ np.asarray(model.factors[d], np.float64).T
        column = [factor * mixing if d == 0 else factor]
        if model.additive is not None:
            here = (B @ np.asarray(model.additive[d][o], np.float64))[:, None]
            column += [here if e == d else one for e in range(model.dimensions)]
        if model.constant is not None:
            column.append(one * float(model.constant[o]) if d == 0 else one)
        columns.append(np.concatenate(column, axis=1))
    return columns
