"""What a solve returns: the model, how it was found, and how far it may be off."""

import dataclasses
import os
from typing import Any

import numpy as np

from ..models import KHRONOS, Glued, HiDeNN
from ..models.evaluator import evaluate
from .function_space import as_model, relative_error
from .kronecker import Factors
from .space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """The result of `inf.solve`.

    **Fields:**

    - `model`: the solution, a separable model in the coordinates of the space: `(D,)` to `()`, or `(O,)` with components. Where, in up to three coordinates
      and with no number of modes given, the products would hold more numbers than the full tensor of coefficients, it is that, as a `HiDeNN`.
    - `success`, `status`, `message`: whether the wanted accuracy was reached, in a word and in a sentence.
    - `error_estimate`: the L2 distance of the model from the solution on cells of half the size, relative to its norm; nothing where it was not asked for.
    - `solver`: which method the structure of the form allowed.
    - `history`: one dictionary for each space that was solved on.
    - `space`: the one of the model, refined where a tolerance asked for it.
    - `modes`, `unknowns`: the number of products of the solution, and of coefficients of the model.
    - `seconds`: spent in `"solve"` and in `"estimate"`.
    - `coefficients`: of the model in the bases, one matrix `(n_d, modes)` a coordinate, in double precision.
    """

    model: KHRONOS | HiDeNN
    success: bool
    status: str
    message: str
    error_estimate: float | None
    solver: str
    history: list[dict[str, Any]]
    space: Space
    seconds: dict[str, float]
    coefficients: Factors
    components: int

    @property
    def modes(self) -> int:
        """The number of products."""
        return self.coefficients[0].shape[1]

    @property
    def unknowns(self) -> int:
        """The number of coefficients of the model."""
        return self.model.unknowns

    def error(self, reference: Any, relative: bool = True) -> float:
        """The L2 distance from a known function, to rounding and without a grid.

        **Arguments:** `reference`, an expression of the coordinates, or one a component; whether `relative` to its norm.

        **Raises:** `ValueError` for anything that is no known function of the coordinates.
        """
        return relative_error(self.space, self.coefficients, reference, self.components, relative)

    def values(self, points: Any) -> np.ndarray:
        """The values at many points, `(N, D)` to `(N,)`, or `(N, O)` with components; outside of the box the end polynomials continue.

        **Raises:** `ValueError` for points of a wrong shape.
        """
        rows = np.asarray(points, float)
        if rows.ndim != 2 or rows.shape[1] != len(self.space.bases):
            raise ValueError(
                f"got points of shape {rows.shape}; expected (N, {len(self.space.bases)}): {', '.join(c.name for c in self.space.coordinates)}"
            )
        found = evaluate(as_model(self.space, self.coefficients, self.components), rows)
        return found[:, 0] if self.components == 1 else found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, with how it was found in its header; `inf.load` reads it back."""
        from ..io import save

        about = {
            "coordinates": [c.name for c in self.space.coordinates],
            "error_estimate": self.error_estimate,
            "solver": self.solver,
            "message": self.message,
        }
        save(self.model, path, header=about)


@dataclasses.dataclass(frozen=True, eq=False)
class Modes:
    """The smallest eigenvalues, `(k,)` in rising order, and how they were found.

    **Fields:** the `values`; their `modes` of norm one, each a separable model, on patches one that is glued; the words for the `solver`.
    """

    values: np.ndarray
    modes: list[KHRONOS] | list[Glued]
    solver: str
