"""What a solve on glued patches returns: one model of the domain, a separable one on each patch, and how far it may be off."""

import dataclasses
import functools
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..models import KHRONOS
from ..models.glued import Glued
from .axis import gauss_points, tabulate
from .expressions import as_expression
from .gluing import box_points
from .kronecker import Factors, full
from .patches import Patches


@dataclasses.dataclass(frozen=True, eq=False)
class PatchSolution:
    """The result of `inf.solve` on `Patches`.

    **Fields:**

    - `parts`: one separable model a patch, in the coordinates of its box.
    - `model`: all of them as one function of a point of the domain, `(D,)` to `()`, or `(O,)` with components.
    - `success`, `status`, `message`: whether the wanted accuracy was reached, in a word and in a sentence.
    - `error_estimate`: the L2 distance from the solution on cells of half the size, relative to its norm; nothing where it was not asked for.
    - `solver`: how the system was solved.
    - `history`: one dictionary for each set of spaces that was solved on.
    - `patches`: those of the models, refined where a tolerance asked for it.
    - `seconds`: spent in `"solve"` and in `"estimate"`.
    - `coefficients`: of each patch in its bases, one matrix `(n_d, modes)` a coordinate, in double precision.
    - `unknowns`: the number of unknowns of the system.
    """

    parts: list[KHRONOS]
    success: bool
    status: str
    message: str
    error_estimate: float | None
    solver: str
    history: list[dict[str, Any]]
    patches: Patches
    seconds: dict[str, float]
    coefficients: list[Factors]
    components: int
    unknowns: int

    @functools.cached_property
    def model(self) -> Glued:
        """All patches as one function of a point of the domain."""
        maps = [None if p.geometry is None else p.geometry.mapping.image for p in self.patches.patches]
        return Glued(self.parts, maps)

    @property
    def modes(self) -> list[int]:
        """The number of products on each patch."""
        return [part.modes for part in self.parts]

    def error(self, reference: Any, relative: bool = True) -> float:
        """The L2 distance from a known function, by Gauss points of each patch.

        **Arguments:** `reference`, an expression of the coordinates of the domain, or one a component; whether `relative` to its norm.

        **Raises:** `ValueError` for anything that is no known function of the coordinates.
        """
        several = reference if isinstance(reference, tuple | list) else (reference,)
        if len(several) != self.components:
            raise ValueError(
                f"got {len(several)} reference expressions for {self.components} components; expected one each"
            )
        known = [as_expression(given) for given in several]
        if any(one is None for one in known):
            raise ValueError(
                f"the reference is {reference!r}; expected a number or an expression of the coordinates, one a component"
            )
        wrong = whole = 0.0
        for patch, factors in zip(self.patches.patches, self.coefficients, strict=True):
            bases = list(patch.space.bases.values())
            rules = [gauss_points(b, b.degree + 4) for b in bases]
            points = box_points([rule[0] for rule in rules])
            weights = full([rule[1][:, None] for rule in rules]).ravel() * patch.measure(points)
            at = dict(zip(self.patches.coordinates, patch.image(points).T, strict=True))
            tables = [tabulate(b, rule[0], 0) @ f for b, rule, f in zip(bases, rules, factors, strict=False)]
            found = full(tables + factors[len(bases) :]).reshape(len(points), self.components)
            for component, expression in enumerate(known):
                assert expression is not None
                expected = np.asarray(expression.values(at), float) + np.zeros(len(points))
                wrong += float(np.sum(weights * (found[:, component] - expected) ** 2))
                whole += float(np.sum(weights * expected**2))
        return float(np.sqrt(wrong / whole)) if relative else float(np.sqrt(wrong))

    def values(self, points: Any) -> np.ndarray:
        """The values at many points of the domain, `(N, D)` to `(N,)`, or `(N, O)` with components.

        **Raises:** `ValueError` for points of a wrong shape, and for points outside of all patches.
        """
        rows = np.asarray(points, float)
        D = len(self.patches.coordinates)
        if rows.ndim != 2 or rows.shape[1] != D:
            raise ValueError(
                f"got points of shape {rows.shape}; expected (N, {D}): {', '.join(map(str, self.patches.coordinates))}"
            )
        found, outside = _evaluate(self.model, jnp.asarray(rows))
        bad = np.flatnonzero(np.asarray(outside) > 1e-6)
        if len(bad):
            raise ValueError(
                f"the point {rows[bad[0]].tolist()} lies outside of all patches; expected points of the domain"
            )
        return np.asarray(found)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, with how it was found in its header; `inf.load` reads it back.

        **Raises:** `ValueError` for mapped patches, whose maps are functions of Python.
        """
        from ..io import save

        if any(p.geometry is not None for p in self.patches.patches):
            raise ValueError(
                "a mapped patch cannot be saved: its map is a function of Python. Save the models of the boxes, result.parts"
            )
        about = {"error_estimate": self.error_estimate, "solver": self.solver, "message": self.message}
        save(self.model, path, header={"coordinates": [c.name for c in self.patches.coordinates], **about})


@eqx.filter_jit
def _evaluate(model: Glued, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Values, and how far outside of the nearest patch each point lies."""
    outside = jax.vmap(lambda x: jnp.min(model.places(x)[1]))(rows)
    return jax.vmap(model)(rows), outside
