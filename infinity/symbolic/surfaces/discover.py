r"""`inf.discover_surface`: points in, the formula out that is constant on all of them.

    f(x) = level,   f a sum of few terms in the coordinates or in the invariants of a stress tensor

Coefficients are those of least distance (`fitting`), so that identities and zero are no answers, choices of terms are compared by the description of the
distances (`search`), which does not depend on how a formula is scaled, and points that no constant has seen judge.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...fitting.checks import check_finite, input_names, numeric_matrix
from ..algebra import add, mul
from ..expression import Expression
from .features import families
from .fitting import Fit, fit, project
from .result import Surface
from .search import find

LEAST = 20
KEPT = 5
# Candidates whose bias is taken off, and how much longer a description may be that unseen points prefer.
REFINED = 5
# A distance that is more than this part of the narrowest spread of the points makes no surface.
THIN = 0.25
ROUNDING = 1e-7


def discover_surface(
    points: Any,
    names: Sequence[str] | None = None,
    *,
    stress: bool = False,
    degree: int = 2,
    terms: Sequence[str] = (),
    errors: Any = None,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Surface:
    r"""Find a formula that has one value on all points.

    **Arguments:**

    - `points`: `(N, D)`, at least twenty; `names` of the coordinates.
    - `stress`: whether the columns are principal stresses (three) or the components xx, yy, zz, yz, xz, xy (six) of a stress tensor, so that invariants
      (`I1, I2, I3, J2, q = sqrt(J2), J3`), their products and quotients are offered beside the components.
    - `degree`: the highest total power of coordinates in a term; further `terms` as text, in coordinates or in invariants.
    - `errors`: how large the errors of the coordinates are relative to each other `(D,)`; their standard deviations if nothing is given.
    - `seed`: of the points that are held out; `progress`: called with a dictionary at each step.

    **Returns:** a `Surface`.

    **Raises:** `ValueError` that names the row, the column or the argument.

    >>> import numpy as np, infinity as inf
    >>> angle = np.linspace(0, 6, 60)
    >>> circle = np.stack([1 + 2 * np.cos(angle), 2 * np.sin(angle)], axis=1)
    >>> print(inf.discover_surface(circle, ["x", "y"]).equation)
    -0.666667*x + 0.333333*x^2 + 0.333333*y^2 = 1
    """
    x, names = _checked(points, names, stress)
    scale = np.std(x, axis=0)
    relative = scale if errors is None else np.asarray(errors, float)
    if relative.shape != scale.shape or not np.all(np.isfinite(relative)) or np.min(relative) <= 0:
        raise ValueError(f"errors are {errors!r}; expected {len(scale)} positive numbers, one for each coordinate")
    trace: list[str] = []

    def say(text: str) -> None:
        trace.append(text)
        if progress is not None:
            progress({"stage": text})

    unseen = np.random.default_rng(seed).permutation(len(x)) % KEPT == 0
    seen = x[~unseen]
    rough = [f for family in families(names, stress, degree, terms) for f in find(family, seen, relative, say)]
    best = [
        fit(f.family, f.chosen, seen, relative, f.coefficients)
        for f in sorted(rough, key=lambda f: f.description)[:REFINED]
    ]
    good = sorted((f for f in best if f is not None), key=lambda f: f.description)
    if not good:
        raise ValueError(
            "no term has a value and a slope at all points; allow other terms or leave out points at which they have none"
        )
    judged = [(f, _distance(f, x[unseen], relative)) for f in good]
    least = min(distance for _, distance in judged)
    chosen, heldout = next(pair for pair in judged if pair[1] <= max(1.05 * least, ROUNDING))
    whole = fit(chosen.family, chosen.chosen, x, relative, chosen.coefficients) or chosen
    for f, distance in judged:
        say(f"{_expression(f).text()} = {f.level:.6g}: distance {f.distance:.2g}, of unseen points {distance:.2g}")
    features = tuple(
        Expression(tree, (), names, name)
        for name, tree in zip(whole.family.names, whole.family.features.terms, strict=True)
    )
    found, message = _verdict(x / relative, whole, heldout, "deviations" if errors is None else "errors")
    return Surface(
        _expression(whole), whole.level, float(whole.errors[-1]), features, names, tuple(relative.tolist()), whole.distance, found, message,
        {"heldout": heldout}, tuple(trace),
    )  # fmt: skip


def _checked(points: Any, names: Sequence[str] | None, stress: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    x = numeric_matrix(points, "points").astype(float)
    default = {3: ("s1", "s2", "s3"), 6: ("xx", "yy", "zz", "yz", "xz", "xy")} if stress else {}
    found = input_names(default.get(x.shape[1]) if names is None else names, x.shape[1])
    if len(set(found)) < len(found):
        raise ValueError(f"two coordinates have one name among {', '.join(found)}; give each its own")
    if stress and x.shape[1] not in (3, 6):
        raise ValueError(f"points have {x.shape[1]} columns; a stress has three principal values or six components")
    if x.shape[1] < 2:
        raise ValueError("points have one column; a surface needs at least two coordinates")
    if len(x) < LEAST:
        raise ValueError(f"there are {len(x)} points; a surface needs at least {LEAST}")
    check_finite(x, found)
    for d, name in enumerate(found):
        if np.ptp(x[:, d]) == 0:
            raise ValueError(f"the coordinate {name!r} is {x[0, d]:g} at every point; leave it out")
    return x, found


def _expression(f: Fit) -> Expression:
    """The left side: coefficients that are one are not written."""
    parts, constants, errors = [], [], []
    for p, value, error in zip(f.chosen, f.coefficients, f.errors[:-1], strict=True):
        tree = f.family.terms.terms[p]
        if error == 0 and value == 1:
            parts.append(tree)
            continue
        parts.append(mul(("c", len(constants)), tree))
        constants.append(float(value))
        errors.append(float(error))
    return Expression(add(*parts), tuple(constants), f.family.names, "f", tuple(errors))


def _distance(f: Fit, x: np.ndarray, relative: np.ndarray) -> float:
    terms = f.family.only(f.chosen)
    with np.errstate(all="ignore"):
        on = project(terms, f.coefficients, f.level, x, relative)
    return float("inf") if on is None else float(np.sqrt(np.mean(np.sum(((x - on) / relative) ** 2, axis=1))))


def _verdict(x: np.ndarray, whole: Fit, heldout: float, unit: str) -> tuple[bool, str]:
    narrow = float(np.sqrt(max(np.min(np.linalg.eigvalsh(np.cov(x.T))), 0.0)))
    size = float(np.sqrt(np.trace(np.cov(x.T)) / x.shape[1]))
    # A plane is as narrow as its noise: there the whole spread counts.
    flat = narrow < 2 * whole.distance and len(whole.chosen) <= x.shape[1]
    allowed = THIN * (size if flat else narrow)
    if heldout > max(1.5 * whole.distance, ROUNDING * size):
        return (
            False,
            f"no surface is found: unseen points are {heldout:.2g} {unit} away, the others {whole.distance:.2g}",
        )
    if whole.distance > allowed:
        return (
            False,
            f"no surface is found: points are {whole.distance:.2g} {unit} away from the best one, and only {narrow:.2g} wide",
        )
    return True, f"a surface is found: points are {whole.distance:.2g} {unit} away from it"
