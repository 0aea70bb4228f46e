r"""A function of the space in its coefficients, a separable model, and how far it is from another one.

u(x) = sum_m prod_d sum_j C_djm B_dj(x_d)
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from ..basis import Axis as ModelAxis
from ..models import KHRONOS, HiDeNN
from ..models.hidenn import MOST_DIMENSIONS
from ..models.norm import norm
from .assembly import System
from .axis import gauss_points, tabulate
from .conditions import values
from .expressions import Coordinate, Known, as_expression
from .kronecker import Factors, along, concatenated, full, scaled
from .space import Space
from .truncation import truncated

# Numbers of a full tensor that is looked at to find fewer products.
_TENSOR = 3_000_000
# Products in more than two coordinates that are few enough.
_FEW = 12


def coefficients(system: System, unknowns: Factors) -> Factors:
    """Coefficients in the bases of unknowns and lift together, `(n_d, R)` a direction, the component last."""
    own = [axis.coefficients(factor) for axis, factor in zip(system.axes, unknowns, strict=False)] + unknowns[
        len(system.axes) :
    ]
    whole = own if system.lift is None else concatenated(system.lift, own)
    return whole if whole[0].shape[1] else [np.zeros((len(factor), 1)) for factor in whole]


def as_model(space: Space, factors: Factors, components: int) -> KHRONOS:
    """The separable model with these coefficients; the component is the mixing of its outputs."""
    bases = list(space.bases.values())
    recipes = {id(b): (tuple(np.asarray(b.breakpoints, float).tolist()), b.degree) for b in bases}
    fields = {
        "factors": tuple(jax.device_put([np.ascontiguousarray(factor.T) for factor in factors[: len(bases)]])),
        "mixing": jnp.asarray(factors[-1]) if components > 1 else None,
        "additive": None,
        "constant": None,
        "axes": tuple(_model_axis(*recipes[id(b)]) for b in bases),
        "scalar": components == 1,
    }
    model = object.__new__(KHRONOS)  # the constructor would draw random factors first
    for name, value in fields.items():
        object.__setattr__(model, name, value)
    return model


@functools.lru_cache(maxsize=256)
def _model_axis(breakpoints: tuple[float, ...], degree: int) -> ModelAxis:
    """One recipe for all coordinates and models that share it: making one costs more than a small solve."""
    return ModelAxis("bspline", breakpoints, {"degree": degree})


def smaller_model(space: Space, factors: Factors, components: int) -> KHRONOS | HiDeNN:
    """The sum of products, or the full tensor of its coefficients in up to three coordinates where that holds fewer numbers."""
    model, sizes = as_model(space, factors, components), [len(factor) for factor in factors]
    if len(space.bases) > MOST_DIMENSIONS or np.prod(sizes) >= model.unknowns:
        return model
    tensor = object.__new__(HiDeNN)  # its constructor knows one degree only
    shape = [*sizes[: len(space.bases)], components]
    fields = {
        "values": jnp.asarray(full(factors).reshape(shape)),
        "axes": model.axes,
        "scalar": components == 1,
    }
    for name, value in fields.items():
        object.__setattr__(tensor, name, value)
    return tensor


def compressed(space: Space, factors: Factors, tolerance: float, modes: int | None) -> Factors:
    """The same function in fewer products, up to a relative L2 error, where its full tensor is small enough to look at.

    **Arguments:** coefficients in the bases; the `tolerance`; the most `modes`.
    """
    many, pairs = factors[0].shape[1], len(factors) == 2
    spanned = math.prod(min(len(f), many) for f in factors)
    if spanned > _TENSOR or many <= (1 if pairs else _FEW):
        return factors
    on = Difference(space)
    triangles = [np.linalg.qr(on.table(c, basis), mode="r") for c, basis in space.bases.items()]
    whole = [R @ factor for R, factor in zip(triangles, factors, strict=False)] + factors[len(triangles) :]
    spans = [np.linalg.qr(f) if f.shape[0] > f.shape[1] else (np.eye(len(f)), f) for f in whole]
    fewer, _ = truncated(full([f for _, f in spans]), tolerance, modes)
    if fewer[0].shape[1] >= whole[0].shape[1] or not fewer[0].shape[1]:
        return factors
    found = [Q @ f for (Q, _), f in zip(spans, fewer, strict=True)]
    return [scipy.linalg.solve_triangular(R, f) for R, f in zip(triangles, found, strict=False)] + found[
        len(triangles) :
    ]


def from_tensor(space: Space, tensor: np.ndarray, tolerance: float, modes: int | None) -> Factors:
    """Coefficients `(n_1, .., n_D)` in the bases, or `(n_1, .., n_D, O)` with components, as few products, up to a relative L2 error."""
    on = Difference(space)
    if tensor.ndim > len(space.bases) and tensor.shape[-1] == 1:
        tensor = tensor[..., 0]
    triangles = [np.asarray(np.linalg.qr(on.table(c, basis), mode="r")) for c, basis in space.bases.items()]
    for d, R in enumerate(triangles):
        tensor = along(R, tensor, d)
    fewer, _ = truncated(tensor, tolerance, modes)
    if not fewer[0].shape[1]:
        fewer = [np.zeros((m, 1)) for m in tensor.shape]
    return [scipy.linalg.solve_triangular(R, f) for R, f in zip(triangles, fewer, strict=False)] + fewer[
        len(triangles) :
    ]


class Difference:
    """Mean squares of differences of functions on one set of Gauss points, exact to rounding.

    **Arguments:** the `space` whose cells carry the points; `within`, spaces on these cells or coarser ones that hold all functions, whose span then
    gives the coordinates instead of the points, as there are fewer of them.
    """

    def __init__(self, space: Space, within: Sequence[Space] = ()):
        rules = {c: gauss_points(basis, basis.degree + 4) for c, basis in space.bases.items()}
        self.points = {c: rule[0] for c, rule in rules.items()}
        self.roots = {c: np.sqrt(rule[1])[:, None] for c, rule in rules.items()}
        self.spans: dict[Coordinate, np.ndarray] = {}
        if within:
            tables = {c: np.hstack([self.table(c, other.bases[c]) for other in within]) for c in space.bases}
            self.spans = {c: np.linalg.qr(table / np.linalg.norm(table, axis=0))[0] for c, table in tables.items()}

    def table(self, coordinate: Coordinate, basis: Any) -> np.ndarray:
        """Weighted values of the functions of a basis."""
        found = self.roots[coordinate] * tabulate(basis, self.points[coordinate], 0)
        return self.spans[coordinate].T @ found if coordinate in self.spans else found

    def of(self, space: Space, factors: Factors) -> Factors:
        """The weighted values of a function given by its coefficients."""
        found = [
            self.table(c, basis) @ factor for (c, basis), factor in zip(space.bases.items(), factors, strict=False)
        ]
        return found + factors[len(found) :]

    def known(self, reference: Any, components: int = 1) -> Factors:
        """The weighted values of a known expression, or of one a component."""
        several = reference if isinstance(reference, tuple | list) else (reference,)
        if len(several) != components:
            raise ValueError(f"got {len(several)} reference expressions for {components} components; expected one each")
        parts = []
        for component, given in enumerate(several):
            expression = as_expression(given)
            if expression is None:
                raise ValueError(
                    f"the reference is {given!r}; expected a number or an expression such as inf.pde.function(lambda x, y: ...)"
                )
            tables = values(expression, self.points)
            part = [self.roots[c] * tables[c] for c in self.points]
            if components > 1:
                part.append(np.repeat(np.eye(components)[:, [component]], part[0].shape[1], axis=1))
            parts.append(part)
        return concatenated(*parts)


def distance(one: Factors, other: Factors) -> float:
    """The root mean square of a difference, times the root of the volume."""
    return norm(concatenated(one, scaled(other, -1.0)))


def relative_error(
    space: Space, factors: Factors, reference: Known | tuple, components: int, relative: bool = True
) -> float:
    """The L2 distance from a known function, relative to its norm."""
    on = Difference(space)
    known = on.known(reference, components)
    error = distance(on.of(space, factors), known)
    return error / norm(known) if relative else error
