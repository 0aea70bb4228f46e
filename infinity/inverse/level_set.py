r"""Level sets: many points at which a model has a given value.

    { x in the box : y(x) = value }

`"projection"` moves random starts along the gradient, to a point near each, from a first guess: on a coarse grid in up to three dimensions, by the profiles
of a separable model in more; `"bracketing"` searches the segment from each start to one on the other side of the level; `"coordinate"` moves each start along
one input alone, where the answer is the nearest root of a polynomial a cell. What projection misses, bracketing finds.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from ..shapes import rounded_up
from .coordinate import along_coordinate
from .inputs import check_name
from .nearby import SIDES, grid, nearby
from .profiles import planned
from .projection import bracket, project, values
from .spread import spread
from .subject import Subject, subject_of
from .tables import Tables

Method = Literal["projection", "bracketing", "coordinate"]

# Points at which a model is tried to learn what values it takes.
_LOOK = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class LevelSet:
    """Points of a level set.

    **Fields:** `points` `(n, D)` in physical units, columns `names`; `success` `(n,)`, whether the model has the `value` there, to the `tolerance` (in
    units of the target); `values` `(n,)`, what it has; `iterations` `(n,)`, evaluations of value and gradient after the first;
    `status` and `message`, how
    it went, in a word and in a sentence.
    """

    points: Float[np.ndarray, "n D"]
    success: Bool[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]
    iterations: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    target: str
    value: float
    tolerance: float
    status: str
    message: str


def level_set(
    model: Any,
    value: float | int,
    n: int = 1000,
    *,
    key: PRNGKeyArray | None = None,
    known: Mapping[str, Any] | None = None,
    target: str | int | None = None,
    method: str = "projection",
    coordinate: str | None = None,
    starts: Any = None,
    tolerance: float | int | None = None,
    domain: Any = None,
) -> LevelSet:
    r"""Find points at which a model has a given value.

        x  with  |y(x) - value| <= tolerance

    **Arguments:**

    - `model`: a separable model such as `KHRONOS`, a `Result` or `Fitted`, or any function of one point that JAX can differentiate (with its `domain`).
      Of a result it is the smooth model, without its local stage.
    - `value`: the level, in units of the target.
    - `n`: how many points.
    - `key`: of `jax.random`, for the starts, which are uniform in the box; not needed with `starts`, `(n, D)` in physical units.
    - `known`: values of inputs that are fixed, `{name: value}`; a category has to be among them.
    - `target`: name or index, where there are several.
    - `method`: `"projection"`, `"bracketing"`, or `"coordinate"` with the name of the input that moves.
    - `tolerance`: the residual that counts as equal; by default 1e-10 of the range of values (1e-5 in single precision).
    - `domain`: `[(low, high)] * D`, for a function that does not bring its box.

    **Returns:** a `LevelSet`. Only `"coordinate"` may leave some points without success: where their line does not meet the level.

    **Raises:** `ValueError` for a level outside the range of the model, which it names; unknown names; no free input; starts of a wrong shape.

    !!! example

        >>> import jax, numpy as np, infinity as inf
        >>> circle = lambda x: x[0] ** 2 + x[1] ** 2
        >>> found = inf.level_set(circle, 0.5, 100, key=jax.random.key(0), domain=[(-1.0, 1.0)] * 2)
        >>> bool(found.success.all()), bool(np.allclose(np.sum(found.points**2, axis=1), 0.5, atol=1e-4))
        (True, True)
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}")
    if (coordinate is not None) != (method == "coordinate"):
        raise ValueError('method="coordinate" and the name of a coordinate go together; give both or neither')
    if np.ndim(value) or not np.isfinite(value):
        raise ValueError(f"value is {value!r}; expected one finite number, in units of the target")
    subject = subject_of(model, target, known, domain)
    z = _starts(subject, n, key, starts)
    look, seen = _looked(subject)
    level, tol, whole = subject.inner(float(value)), _tolerance(subject, float(value), seen, tolerance), seen
    if not seen.min() < level < seen.max():
        look, seen = _checked_level(subject, float(value), level, look, seen, tol)
    if method == "projection" and z.shape[1] in SIDES:
        z = nearby(z, whole - level, spread=starts is None)
    padded = jnp.asarray(np.resize(z, (rounded_up(max(len(z), 64)), z.shape[1])), subject.dtype)
    at, close = jnp.asarray(level, subject.dtype), jnp.asarray(tol, subject.dtype)
    if method == "coordinate":
        moved = subject.inputs.free_names
        check_name(str(coordinate), moved)
        z, success, count = along_coordinate(subject, z, moved.index(str(coordinate)), level, tol)
    elif method == "projection":
        function, first = subject.function, 0
        if isinstance(function, Tables) and z.shape[1] not in SIDES:
            padded, first = planned(function, padded, at), 1  # the start was the first evaluation
        z, success, count = (np.array(a)[: len(z)] for a in project(function, padded, at, close))
        count += first
    else:
        success, count = np.zeros(len(z), bool), np.zeros(len(z), np.int32)
    missed = np.flatnonzero(~success)
    if len(missed) and method != "coordinate":
        z[missed], success[missed], more = _bracketed(subject, z[missed], level, tol, look, seen)
        count[missed] += more
    return _result(subject, float(value), tol, z, success, count)


def _starts(subject: Subject, n: int, key: PRNGKeyArray | None, starts: Any) -> np.ndarray:
    """The starts on the unit box, `(n, d)`."""
    inputs = subject.inputs
    if starts is None:
        if key is None:
            raise ValueError("level_set needs a key for its random starts, key=jax.random.key(0), or starts")
        if int(n) != n or n < 1:
            raise ValueError(f"n is {n!r}; expected how many points, at least 1")
        return np.array(jax.random.uniform(key, (int(n), len(inputs.free)), subject.dtype))
    x = np.asarray(starts, float)
    if x.ndim != 2 or x.shape[1] not in (len(inputs.names), len(inputs.free)) or not len(x):
        raise ValueError(
            f"starts has shape {x.shape}; expected (n, {len(inputs.names)}), the columns {', '.join(inputs.names)}"
        )
    x = x[:, list(inputs.free)] if x.shape[1] == len(inputs.names) else x
    low, high = inputs.box
    bad = np.argwhere(~((x >= low) & (x <= high)))
    if len(bad):
        row, d = (int(i) for i in bad[0])
        raise ValueError(
            f"row {row + 1} of starts: {inputs.free_names[d]} = {x[row, d]:g} is not in [{low[d]:g}, {high[d]:g}]; start inside the box"
        )
    return ((x - low) / (high - low)).astype(subject.dtype)


def _looked(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over the box, a grid where they are few dimensions, and the values there."""
    D = len(subject.inputs.free)
    look = grid(D) if D in SIDES else spread(_LOOK, D)
    seen = np.asarray(values(subject.function, jnp.asarray(look, subject.dtype)), float)
    if not np.isfinite(seen).all():
        where = subject.inputs.place(look[~np.isfinite(seen)][:1])[0]
        point = ", ".join(f"{name} = {v:g}" for name, v in zip(subject.inputs.names, where, strict=True))
        raise ValueError(f"the model has no finite value at {point}; choose a smaller box, or fix an input")
    return look, seen


def _tolerance(subject: Subject, value: float, seen: np.ndarray, tolerance: float | None) -> float:
    """The residual that counts as zero, in units of `u`."""
    eps = float(jnp.finfo(subject.dtype).eps)
    share = 1e-10 if eps < 1e-10 else 1e-5
    least = 16 * eps * float(np.abs(seen).max())
    if tolerance is None:
        return max(share * float(np.ptp(seen)), least)
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}; expected a positive number in units of the target")
    ends = [subject.inner(value - tolerance), subject.inner(value + tolerance)]
    return max(min(abs(end - subject.inner(value)) for end in ends), least)


def _checked_level(
    subject: Subject, value: float, level: float, look: np.ndarray, seen: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """Look for the ends of the range, and refuse a level beyond them."""
    from .search import extreme

    ends = [extreme(subject, sign, target=level) for sign in (1.0, -1.0)]
    look = np.concatenate([look, *(end.z[None] for end in ends)])
    seen = np.concatenate([seen, [end.value for end in ends]])
    if not seen.min() - tol <= level <= seen.max() + tol:
        low, high = sorted(float(v) for v in subject.outer([seen.min(), seen.max()]))
        raise ValueError(
            f"the level {value:g} lies outside the range of {subject.target}, which is {low:.6g} to {high:.6g} on the box"
            f"{' for the known inputs' if len(subject.inputs.free) < len(subject.inputs.names) else ''}; choose one inside"
        )
    return look, seen


def _bracketed(
    subject: Subject, z: np.ndarray, level: float, tol: float, look: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Search segments to points on the other side of the level, each to the nearest of several."""
    size = rounded_up(max(len(z), 64))
    padded = np.resize(z, (size, z.shape[1]))
    u = np.asarray(values(subject.function, jnp.asarray(padded, subject.dtype)), float)
    partner = padded.copy()
    random = np.random.default_rng(0)
    for above in (True, False):
        own, others = np.flatnonzero((u > level) == above), np.flatnonzero((seen < level) if above else (seen > level))
        if not len(others):  # the level is the end of the range
            others = np.array([int(np.argmin(seen) if above else np.argmax(seen))])
        tried = others[random.integers(0, len(others), (len(own), 32))]
        distance = np.sum((look[tried] - padded[own][:, None]) ** 2, axis=2)
        partner[own] = look[tried[np.arange(len(own)), np.argmin(distance, axis=1)]]
    found = bracket(
        subject.function, jnp.asarray(padded, subject.dtype), jnp.asarray(partner, subject.dtype),
        jnp.asarray(level, subject.dtype), jnp.asarray(tol, subject.dtype),
    )  # fmt: skip
    z, success, count = (np.array(a)[: len(z)] for a in found)
    return z, success, count


def _result(subject: Subject, value: float, tol: float, z: np.ndarray, success: np.ndarray, count: Any) -> LevelSet:
    u = np.asarray(
        values(subject.function, jnp.asarray(np.resize(z, (rounded_up(max(len(z), 64)), z.shape[1])), subject.dtype))
    )
    found = subject.outer(u[: len(z)])
    level = subject.inner(value)
    width = (
        max(abs(float(end) - value) for end in subject.outer([level - tol, level + tol])) if np.isfinite(level) else tol
    )
    good = int(success.sum())
    message = f"{good} of {len(z)} points with {subject.target} = {value:g}, to {width:.2g}"
    if good < len(z):
        message += "; the others lie where the level is not met"
    status = "found" if good == len(z) else "partly found" if good else "not found"
    return LevelSet(
        subject.inputs.place(z), np.asarray(success), found, np.asarray(count), subject.inputs.names, subject.target, value,
        width, status, message,
    )  # fmt: skip
