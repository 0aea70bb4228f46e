r"""A surface that was found: what holds on it, how sure that is, and how far a point is from it."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ..derivative import derivative
from ..expression import Expression
from ..tree import evaluate


class Surface(eqx.Module):
    r"""What `inf.discover_surface` gives back: `f(features(x)) = level` on all points.

    **Fields:**

    - `expression`: `f` in the features, with standard errors; `level`, `level_error`: the right side, whose error is zero where it is set to one.
    - `features`: the coordinates or invariants of which `f` is made, each an `Expression` in the coordinates; `names` of the coordinates.
    - `errors`: the relative errors of the coordinates `(D,)`; `noise`: the root mean square distance of the points, in units of these.
    - `found`: whether the distance is small beside the spread of the points, also for points that no constant had seen; `message` says why or why not;
      `metrics`: `heldout`, the distance of those; `trace`: what was tried, the rivals last.

    Saved and read by `inf.save` and `inf.load`.
    """

    expression: Expression
    level: float
    level_error: float
    features: tuple[Expression, ...]
    names: tuple[str, ...]
    errors: tuple[float, ...]
    noise: float
    found: bool
    message: str
    metrics: dict[str, float]
    trace: tuple[str, ...]

    @property
    def equation(self) -> str:
        """The surface in one line."""
        return f"{self.expression.text()} = {self.level:.6g}"

    def __str__(self) -> str:
        values = zip(self.expression.constants, self.expression.errors, strict=True)
        numbers = [f"{value:.6g} ± {error:.1g}" for value, error in values]
        if self.level_error > 0:
            numbers.append(f"level {self.level:.6g} ± {self.level_error:.1g}")
        used = [
            str(feature)
            for feature in self.features
            if feature.target in self.expression.inputs and feature.complexity > 1
        ]
        return "\n".join([self.message, "", self.equation, "", f"constants: {', '.join(numbers)}", *used])

    def __call__(self, points: Any) -> Float[np.ndarray, "*N"]:
        """`f - level` at points `(N, D)` or `(D,)`: zero on the surface, of one sign on each side."""
        values = np.stack([feature(points) for feature in self.features], axis=-1)
        return np.asarray(self.expression(values) - self.level)

    def distance(self, points: Any) -> Float[np.ndarray, "*N"]:
        """The distance of points from the surface to first order, with its sign, in units of the relative errors: `(f - level) / |S grad f|`."""
        x = np.asarray(points, float)
        columns = list(np.moveaxis(x, -1, 0))
        inner = [np.asarray(evaluate(e.tree, columns, e.constants), float) for e in self.features]
        total = np.zeros(x.shape)
        with np.errstate(all="ignore"):
            for k, feature in enumerate(self.features):
                outer = evaluate(derivative(self.expression.tree, k), inner, self.expression.constants)
                for d in range(x.shape[-1]):
                    total[..., d] += outer * evaluate(derivative(feature.tree, d), columns, ()) * self.errors[d]
            return np.asarray(self(x) / np.sqrt(np.sum(total**2, axis=-1)))
