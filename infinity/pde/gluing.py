r"""Which faces of several patches are one, and which of their functions.

    F_k(face) = F_l(face) point by point, up to the order and the sense of the coordinates on it:   B_i = B_j there, one unknown

Splines with clamped ends are one alone on a face, so that functions with equal values there are joined unknown by unknown, and the sum is continuous.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

# Parameters of the points that faces are compared at, and how near two points are to be one, relative to the size of the domain.
_SAMPLES, _NEAR = np.array([0.0, 0.25, 0.5, 0.75, 1.0]), 1e-9


@dataclasses.dataclass(frozen=True)
class Face:
    """A face of a patch: the number of the patch, the direction that is constant on it, and its side, 0 or -1."""

    patch: int
    direction: int
    side: int


@dataclasses.dataclass(frozen=True)
class Glue:
    """Two faces that are one: `order` of the coordinates of the second on it, and which of them are `flipped` then."""

    one: Face
    two: Face
    order: tuple[int, ...]
    flipped: tuple[int, ...]

    def aligned(self, values: np.ndarray) -> np.ndarray:
        """An array over the coordinates of the second face, and any more, in the order and sense of the first."""
        rest = range(len(self.order), values.ndim)
        return np.flip(np.transpose(values, (*self.order, *rest)), self.flipped)


def box_points(lines: Sequence[Float[np.ndarray, " _"]]) -> Float[np.ndarray, "N D"]:
    """All points of a grid, one a row."""
    return np.stack([g.ravel() for g in np.meshgrid(*lines, indexing="ij")], axis=1)


def face_points(box: Float[np.ndarray, "D 2"], face: Face) -> Float[np.ndarray, "N D"]:
    """Points of a face in the coordinates of its box, with its corners."""
    lines = [low + (high - low) * _SAMPLES for low, high in box]
    lines[face.direction] = box[face.direction, face.side][None]
    return box_points(lines)


def glued(faces: Sequence[Face], images: Sequence[Float[np.ndarray, "N D"]], names: Sequence[str]) -> list[Glue]:
    """The pairs of faces that are one.

    **Arguments:** the `faces`; the points of each in the domain, of `face_points`; the `names` of the faces for errors.

    **Raises:** `ValueError` for faces with the same corners and other points between them, and for three that are one.
    """
    D = images[0].shape[1]
    size = np.max(np.ptp(np.concatenate(images), axis=0))
    shape = (len(_SAMPLES),) * (D - 1)
    found, taken = [], {}
    for i, j in itertools.combinations(range(len(faces)), 2):
        one, two = images[i].reshape(*shape, D), images[j].reshape(*shape, D)
        if np.max(np.abs(np.mean(one, tuple(range(D - 1))) - np.mean(two, tuple(range(D - 1))))) > 0.5 * size:
            continue
        near = None
        for order in itertools.permutations(range(D - 1)):
            for number in range(D):
                for flipped in itertools.combinations(range(D - 1), number):
                    glue = Glue(faces[i], faces[j], order, flipped)
                    gap = np.abs(glue.aligned(two) - one)
                    corners = gap[np.ix_(*[[0, -1]] * (D - 1))] if D > 1 else gap
                    if np.max(corners) <= _NEAR * size:
                        near = (glue, float(np.max(gap)))
        if near is None:
            continue
        if near[1] > 1e-7 * size:
            raise ValueError(
                f"{names[i]} and {names[j]} share their corners but not the points between them (they differ by {near[1]:.2g}); "
                "expected the same curve at the same speed from both patches"
            )
        for k in (i, j):
            if k in taken:
                raise ValueError(
                    f"{names[k]} lies on {names[taken[k]]} and on {names[i + j - k]}; expected at most two patches at a face"
                )
        taken[i], taken[j] = j, i
        found.append(near[0])
    return found


def check_knots(glue: Glue, bases: Sequence[Sequence], names: tuple[str, str]) -> None:
    """Both patches have the same splines on a common face.

    **Raises:** `ValueError` that names the face otherwise.
    """
    one, two = ([b for d, b in enumerate(bases[f.patch]) if d != f.direction] for f in (glue.one, glue.two))
    for k, first in enumerate(one):
        second = two[glue.order[k]]
        a, b = (_unit(np.asarray(basis.breakpoints, float)) for basis in (first, second))
        b = 1 - b[::-1] if k in glue.flipped else b
        if first.degree == second.degree and len(a) == len(b) and np.max(np.abs(a - b)) <= 1e-9:
            continue
        words = [f"{basis.elements} cells of degree {basis.degree}" for basis in (first, second)]
        found = (
            f"{words[0]} on the one side and {words[1]} on the other"
            if words[0] != words[1]
            else "other breakpoints on the two sides"
        )
        raise ValueError(f"{names[0]} is {names[1]} and has {found}; expected the same breakpoints and degree")


def _unit(points: np.ndarray) -> np.ndarray:
    return (points - points[0]) / (points[-1] - points[0])


def numbering(shapes: Sequence[tuple[int, ...]], glue: Sequence[Glue]) -> list[Int[np.ndarray, "..."]]:
    """The unknown of each function of each patch, shared where faces are one."""
    starts = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    places = [start + np.arange(np.prod(shape)).reshape(shape) for start, shape in zip(starts, shapes, strict=False)]
    rows, columns = [np.zeros(0, int)], [np.zeros(0, int)]
    for one in glue:
        rows.append(np.take(places[one.one.patch], one.one.side, one.one.direction).ravel())
        columns.append(one.aligned(np.take(places[one.two.patch], one.two.side, one.two.direction)).ravel())
    i, j = np.concatenate(rows), np.concatenate(columns)
    graph = scipy.sparse.coo_array((np.ones(len(i)), (i, j)), shape=(starts[-1],) * 2)
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return [labels[place] for place in places]
