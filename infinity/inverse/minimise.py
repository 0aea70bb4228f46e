r"""The least and the greatest value of a model on its box, with a certificate.

    bound <= min u <= value,    gap = value - bound

Branch and bound: boxes are bounded from below (`infinity.inverse.bounds`), those that cannot hold the minimum go, the most promising are halved where most is
unknown. A box on which a slope keeps its sign falls onto its face; on one where the model is convex the minimum is computed, and the tangent plane there bounds
the box. A function that is no separable spline model is searched from many starts, and has no bound.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from .search import extreme
from .subject import subject_of


@dataclasses.dataclass(frozen=True, eq=False)
class Extremum:
    """The least or the greatest value of a model.

    **Fields:** `point` `(D,)` in physical units, columns `names`; the `value` there; `bound`, beyond which the model has no value on the box (to rounding;
    infinite for a model that is no separable spline); `gap`, their distance; `certified`, whether it is within the tolerance; `boxes`, how many were
    bounded; `message`, in a sentence.
    """

    point: Float[np.ndarray, " D"]
    value: float
    bound: float
    gap: float
    certified: bool
    boxes: int
    names: tuple[str, ...]
    target: str
    message: str


def minimise(
    model: Any,
    *,
    known: Mapping[str, Any] | None = None,
    target: str | int | None = None,
    tolerance: float | int = 1e-8,
    boxes: int = 50_000,
    domain: Any = None,
) -> Extremum:
    r"""Find the least value of a model on its box, and prove it.

        min y(x)  over the box,  bound <= min y <= value

    **Arguments:**

    - `model`: a separable spline model such as `KHRONOS`, a `Result` or `Fitted`; or any function of one point, with its `domain`, which then has no bound.
    - `known`: inputs that are fixed, `{name: value}`; `target`: which output, of several.
    - `tolerance`: the gap that is small enough, as a part of the range of values seen; `boxes`: how many boxes may be bounded.
    - `domain`: `[(low, high)] * D`, for a function that does not bring its box.

    **Returns:** an `Extremum`. Where `boxes` do not suffice it says so, and `gap` is what remains.

    **Raises:** `ValueError` for unknown names, no free input, or a tolerance that is not positive.

    !!! example

        >>> import equinox as eqx, jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 6.0)] * 2, modes=1, elements=12, outputs="scalar", key=jax.random.key(0))
        >>> wave = tuple(basis.interpolate(jnp.sin)[None] for basis in model.bases)
        >>> least = inf.minimise(eqx.tree_at(lambda m: m.factors, model, wave))  # of sin(x) sin(y)
        >>> round(least.value, 2), least.certified, least.gap < 1e-6
        (-1.0, True, True)
    """
    return _extremum(model, 1.0, known, target, tolerance, boxes, domain)


def maximise(
    model: Any,
    *,
    known: Mapping[str, Any] | None = None,
    target: str | int | None = None,
    tolerance: float | int = 1e-8,
    boxes: int = 50_000,
    domain: Any = None,
) -> Extremum:
    """Find the greatest value of a model on its box, and prove it: `minimise` of the negative, with the same arguments, errors and fields.

    !!! example

        >>> import jax, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=2, outputs="scalar", key=jax.random.key(0))
        >>> greatest = inf.maximise(model)
        >>> abs(float(model(jax.numpy.asarray(greatest.point, "float32"))) - greatest.value) < 1e-5, greatest.certified
        (True, True)
    """
    return _extremum(model, -1.0, known, target, tolerance, boxes, domain)


def _extremum(
    model: Any, sign: float, known: Any, target: Any, tolerance: float | int, boxes: int, domain: Any
) -> Extremum:
    if not tolerance > 0 or boxes < 1:
        raise ValueError(
            f"got tolerance={tolerance!r} and boxes={boxes!r}; expected a positive number and at least one box"
        )
    subject = subject_of(model, target, known, domain)
    found = extreme(subject, sign, tolerance, boxes)
    value, limit = (float(v) for v in subject.outer([found.value, found.bound]))
    word = "least" if sign > 0 else "greatest"
    gap = abs(value - limit)
    if subject.pieces is None:
        message = (
            f"the {word} value found is {value:.6g}; this model has no bounds, so there may be a better one elsewhere"
        )
    elif found.closed:
        message = f"the {word} value is {value:.6g}; none on the box is beyond {limit:.6g} ({found.boxes} boxes)"
    else:
        message = (
            f"the {word} value found is {value:.6g}; none is beyond {limit:.6g}, and the gap of {gap:.2g} was not closed with {found.boxes} boxes: "
            "allow more, or fix an input"
        )
    point = subject.inputs.place(found.z[None])[0]
    return Extremum(point, value, limit, gap, found.closed, found.boxes, subject.inputs.names, subject.target, message)
