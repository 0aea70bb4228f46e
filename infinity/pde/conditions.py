r"""Values on faces, met exactly: a function of the space with these values, and zero conditions for the rest.

    u = G + w,    G_k = G_{k-1} + sum over the ends of direction k  of  phi(x_k) (g - G_{k-1} at that end)

`phi` is linear where both ends are held and one where only one is (transfinite interpolation: Gordon and Hall, Numer. Math. 21 (1973)). Where the values
agree at the corners, each step keeps the faces that are done. One expression for all faces is its own `G`.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from .axis import Axis
from .expressions import Coordinate, Expression, Function
from .kronecker import Factors, concatenated
from .once import once
from .separation import contracted, separated
from .space import Space


def lift(space: Space, axes: Mapping[Coordinate, Axis], component: int = 0) -> Factors | None:
    """Coefficients in the bases of a function with the values on the faces, one matrix `(n_d, R)` a direction; nothing if all are zero."""
    found: Factors | None = None
    faces = space.values(component)
    if faces and len(faces) == len(space.faces(component)) and all(g is faces[0][2] for _, _, g in faces):
        parts = coefficients(faces[0][2], axes)
        return [parts[c] for c in axes]
    for direction in dict.fromkeys(c for c, _, _ in faces):
        ends = [(side, g) for c, side, g in faces if c == direction]
        both = space.ends(direction, component) == "both"
        parts = [] if found is None else [found]
        sides = ["left", "right"] if both else [side for side, _ in ends]
        for side in sides:
            shape = _profile(axes[direction], side, both)
            g = next((value for name, value in ends if name == side), None)
            if g is not None:
                parts.append(
                    _placed(coefficients(g, axes, (direction, space.place(direction, side))), axes, shape, direction)
                )
            if found is not None:
                parts.append(_without_trace(found, list(axes), direction, side, shape))
        found = concatenated(*parts)
    return found


def coefficients(
    g: Expression, axes: Mapping[Coordinate, Axis], face: tuple[Coordinate, float] | None = None
) -> dict[Coordinate, np.ndarray]:
    """A known function, or its values on a face, in the bases: coefficients `(n_d, R)`, there `(1, R)`; the best that meet held ends."""
    on_face = {} if face is None else {face[0]: np.array([face[1]])}
    points = {c: on_face.get(c, axis.fitting_points) for c, axis in axes.items()}
    projections = {c: np.eye(1) if c in on_face else axis.fitting for c, axis in axes.items()}
    projected = once(np.matmul)
    parts = []
    for term in g.terms:
        mixed = [f for f in term.functions if len(f.coordinates) > 1]
        joint = list(dict.fromkeys(c for f in mixed for c in f.coordinates))
        rest = values(
            Expression((dataclasses.replace(term, functions=tuple(f for f in term.functions if f not in mixed)),)),
            points,
        )
        part = {c: projected(projections[c], table) for c, table in rest.items()}
        if mixed:
            tables = {c: projections[c] * rest[c][:, 0] for c in joint}
            found = contracted(mixed, {c: points[c] for c in joint}, tables)
            number = next(iter(found.values())).shape[1]
            part = {c: found[c] if c in found else np.repeat(table, number, axis=1) for c, table in part.items()}
        parts.append(part)
    return {c: np.concatenate([part[c] for part in parts], axis=1) for c in axes}


def values(g: Expression, points: Mapping[Coordinate, np.ndarray]) -> dict[Coordinate, np.ndarray]:
    """A known function as a sum of products on given points: `(Q_d, R)` for each coordinate."""
    parts: list[dict[Coordinate, np.ndarray]] = []
    for term in g.terms:
        product = {c: _ones(len(t)) for c, t in points.items()}
        for function in term.functions:
            product = multiplied(product, table(function, points))
        where = next((c for f in term.functions for c in f.coordinates), next(iter(points), None))
        if where is not None and term.number != 1:
            product[where] = term.number * product[where]
        parts.append(product)
    return parts[0] if len(parts) == 1 else {c: np.concatenate([part[c] for part in parts], axis=1) for c in points}


@functools.lru_cache(maxsize=64)
def _ones(number: int) -> np.ndarray:
    """The same array wherever a coordinate does not occur, by which its integrals are known again."""
    found = np.ones((number, 1))
    found.flags.writeable = False
    return found


def table(function: Function, points: Mapping[Coordinate, np.ndarray]) -> dict[Coordinate, np.ndarray]:
    """The values of one known function as a sum of products, for its own coordinates."""
    parts = separated(function, [points[c] for c in function.coordinates])
    return dict(zip(function.coordinates, parts, strict=True))


def multiplied(one: dict[Coordinate, np.ndarray], two: dict[Coordinate, np.ndarray]) -> dict[Coordinate, np.ndarray]:
    """The product of a sum of products in all coordinates with one in some."""
    second = next(iter(two.values())).shape[1]

    def product(c: Coordinate, part: np.ndarray) -> np.ndarray:
        if c in two:
            return (part[:, :, None] * two[c][:, None, :]).reshape(len(part), -1)
        return part if second == 1 else np.repeat(part, second, axis=1)

    return {c: product(c, part) for c, part in one.items()}


def _profile(axis: Axis, side: str, both: bool) -> np.ndarray:
    """Coefficients of a function that is one at an end, and zero at the other where that is held too."""
    if not both:
        return np.ones(axis.basis.size)
    low, high = np.asarray(axis.basis.breakpoints, float)[[0, -1]]
    rising = (axis.points - low) / (high - low)
    return axis.project((1 - rising if side == "left" else rising)[:, None])[:, 0]


def _placed(
    parts: dict[Coordinate, np.ndarray], axes: Mapping[Coordinate, Axis], shape: np.ndarray, direction: Coordinate
) -> Factors:
    """Values on a face, carried inside by the profile."""
    return [shape[:, None] * parts[c] if c == direction else parts[c] for c in axes]


def _without_trace(
    found: Factors, names: list[Coordinate], direction: Coordinate, side: str, shape: np.ndarray
) -> Factors:
    """Minus what the present function is on a face, carried inside by the profile."""
    d = names.index(direction)
    trace = found[d][0 if side == "left" else -1]
    return [-shape[:, None] * trace if k == d else factor for k, factor in enumerate(found)]
