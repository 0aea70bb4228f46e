r"""All roots of a separable model in one variable, or of two in two variables, with a proof that there are no others.

    u(x) = c,        u_1(x) = c_1 and u_2(x) = c_2

Each cell, or pair of cells, holds one polynomial in Bernstein form. A cell whose coefficients have one sign holds no root. In one variable, one change of sign
means one root; in two, a box holds at most one where the Jacobian, times the inverse of that in the middle, is everywhere near the identity (strictly
diagonally dominant), and Newton's method finds it. All others are halved. What stays open at the smallest size is reported, never dropped.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .bernstein import from_powers, roots_of
from .pieces import Pieces
from .subject import Subject, subject_of
from .system import solve_system


@dataclasses.dataclass(frozen=True, eq=False)
class Roots:
    """All roots.

    **Fields:** `points` `(k, D)` in physical units, sorted; `residuals` `(k,)`, the largest difference to the wanted values; `complete`, whether it is certain
    (to rounding) that there are no others; `doubtful` `(j, D)`, places where curves touch or run together to rounding, so that there may be none, one or more
    roots; `boxes`, how many were examined; `names`; `message`, all of this in a sentence.
    """

    points: Float[np.ndarray, "k D"]
    residuals: Float[np.ndarray, " k"]
    complete: bool
    doubtful: Float[np.ndarray, "j D"]
    boxes: int
    names: tuple[str, ...]
    message: str


def roots(
    model: Any,
    value: float | int | Sequence[float | int] = 0.0,
    *,
    known: dict[str, Any] | None = None,
    target: str | int | Sequence[str | int] | None = None,
) -> Roots:
    r"""Find all points of the box where one model of one input, or two of two inputs, take given values.

    **Arguments:**

    - `model`: a separable spline model, `Fitted` or `Result`; a pair of them over the same inputs, or one with two targets, for two equations.
    - `value`: the wanted value, or two.
    - `known`: inputs that are fixed, so that one or two stay free.
    - `target`: which output of a model with several; for two equations from one model, two of them.

    **Returns:** `Roots`.

    **Raises:** `ValueError` for a number of equations that is not that of the free inputs, models that are not separable or have different boxes.

    !!! example

        >>> import equinox as eqx, jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 7.0)], modes=1, elements=24, degree=5, outputs="scalar", key=jax.random.key(0))
        >>> wave = eqx.tree_at(lambda m: m.factors, model, (model.bases[0].interpolate(jnp.sin)[None],))
        >>> found = inf.roots(wave, 0.5)  # sin(x) = 1/2: pi/6, 5 pi/6, 13 pi/6
        >>> found.points[:, 0].round(2).tolist(), found.complete
        ([0.52, 2.62, 6.81], True)
    """
    subjects, levels = _equations(model, value, known, target)
    inputs = subjects[0].inputs
    D = len(inputs.free)
    if D == 1:
        z, doubtful, boxes = _one(_pieces(subjects[0]), levels[0])
    else:
        z, doubtful, boxes = solve_system([_pieces(subject) for subject in subjects], levels)
    z = z[np.lexsort(z.T[::-1])]
    residuals = np.zeros(len(z))
    for subject, level in zip(subjects, levels, strict=True):
        found = subject.outer(_pieces(subject).values(z)) - subject.outer(level)
        residuals = np.maximum(residuals, np.abs(found))
    complete = not len(doubtful)
    kind = "root" if len(z) == 1 else "roots"
    message = f"{len(z)} {kind}; " + (
        "there are no others in the box, to rounding"
        if complete
        else f"at {len(doubtful)} more places the equations touch or run together to rounding, and roots cannot be counted"
    )
    return Roots(inputs.place(z), residuals, complete, inputs.place(doubtful), boxes, inputs.names, message)


def _equations(model: Any, value: Any, known: Any, target: Any) -> tuple[list[Subject], list[float]]:
    models = list(model) if isinstance(model, tuple | list) else [model]
    wanted = [float(v) for v in np.atleast_1d(np.asarray(value, float))]
    targets = list(target) if isinstance(target, tuple | list) else [target] * max(len(models), 1)
    if len(models) == 1 and target is None and len(wanted) == 2:
        targets = [0, 1]
    if len(models) == 1 and len(targets) == 2:
        models = models * 2
    if len(models) == 2 and len(wanted) == 1:
        wanted = wanted * 2
    if len(models) not in (1, 2) or len(wanted) != len(models) or len(targets) != len(models):
        raise ValueError(
            f"got {len(models)} models, {len(wanted)} values and {len(targets)} targets; expected one of each, or two"
        )
    if not np.all(np.isfinite(wanted)):
        raise ValueError(f"value is {value!r}; expected finite numbers")
    subjects = [subject_of(m, t, known) for m, t in zip(models, targets, strict=True)]
    free = subjects[0].inputs.free_names
    if len(free) != len(subjects):
        count = "one equation" if len(subjects) == 1 else "two equations"
        raise ValueError(
            f"{count} and {len(free)} free inputs ({', '.join(free)}) do not fix single points; fix inputs with known={{name: value}}, "
            "or use inf.level_set, or give as many equations as free inputs, at most two"
        )
    if len(subjects) == 2:
        one, other = (s.inputs for s in subjects)
        same = one.names == other.names and np.allclose(np.array(one.box), np.array(other.box), rtol=1e-9)
        if not same:
            raise ValueError(
                "the two models have different inputs or boxes; give two models of the same inputs on the same box"
            )
    for subject in subjects:
        _pieces(subject)
    return subjects, [subject.inner(v) for subject, v in zip(subjects, wanted, strict=True)]


def _pieces(subject: Subject) -> Pieces:
    if subject.pieces is None:
        raise ValueError(
            "roots needs a separable spline model, such as a KHRONOS or a fit of one, whose polynomials can be bounded; for other functions use inf.level_set"
        )
    return subject.pieces


def _one(pieces: Pieces, level: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Roots of one function of one variable, places that are doubtful, and cells."""
    (piece,) = pieces.dimensions
    powers = piece.powers.sum(axis=2)
    scale = np.abs(piece.powers).sum(axis=(1, 2)) + abs(pieces.constant) + abs(level)
    powers[:, 0] += pieces.constant - level
    empty = np.zeros((0, 1))
    if not np.isfinite(level):
        return empty, empty, len(powers)
    line = roots_of(powers @ from_powers(powers.shape[1] - 1).T, 8 * np.finfo(float).eps * scale)
    place = lambda cell, t: np.clip(piece.left[cell] + 2 * piece.half[cell] * t, 0, 1)
    z = np.sort(place(line.which[~line.multiple], line.t[~line.multiple]))
    z = z[np.append(True, np.diff(z) > 1e-11)] if len(z) else z
    touching = np.concatenate([place(line.which[line.multiple], line.t[line.multiple]), place(line.vanishing, 0.5)])
    touching = np.sort(touching)
    touching = touching[np.append(True, np.diff(touching) > 1e-6)] if len(touching) else touching
    return z[:, None], touching[:, None], len(powers)
