r"""Long times, slab after slab: each is solved as a space-time problem that begins with the end of the one before.

    u_k on [t_{k-1}, t_k],      u_k(t_{k-1}) = u_{k-1}(t_{k-1})

The value that is handed on is a sum of products of splines, met exactly by the next slab but for what the faces ask of it where both meet.
"""

import dataclasses
from typing import Any

import numpy as np

from ..basis import AbstractBasis, BSpline
from .axis import tabulate
from .expressions import Coordinate, Expression, Function, Term
from .result import Solution
from .solve import solve
from .space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class March:
    """The solutions of all slabs: `solutions`, the `times` at which they meet, `(slabs + 1,)`, and the name of the time."""

    solutions: list[Solution]
    times: np.ndarray
    time: Coordinate

    @property
    def success(self) -> bool:
        """Whether every slab was solved as asked."""
        return all(solution.success for solution in self.solutions)

    @property
    def message(self) -> str:
        """The first slab that was not solved as asked, or how many were."""
        for k, solution in enumerate(self.solutions):
            if not solution.success:
                return f"slab {k + 1}, from {self.time}={self.times[k]:g}: {solution.message}"
        return f"{len(self.solutions)} slabs, {self.solutions[-1].message}"

    def values(self, points: Any) -> np.ndarray:
        """The values at many points, `(N, D)` to `(N,)`, each from the slab that holds its time.

        **Raises:** `ValueError` for times outside of the slabs.
        """
        rows = np.asarray(points, float)
        d = self.solutions[0].space.coordinates.index(self.time)
        t = rows[:, d]
        if np.any((t < self.times[0]) | (t > self.times[-1])):
            raise ValueError(
                f"got times from {t.min():g} to {t.max():g}; expected them in [{self.times[0]:g}, {self.times[-1]:g}]"
            )
        which = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.solutions) - 1)
        found = np.zeros(len(rows))
        for k in np.unique(which):
            found[which == k] = self.solutions[k].values(rows[which == k])
        return found


def march(
    form: Any, space: Space, time: Coordinate, slabs: int, tolerance: float | int | None = None, estimate: bool = True
) -> March:
    """Solve slab after slab.

    **Arguments:**

    - `form`, `tolerance`, `estimate`: as for `inf.solve`; with a tolerance each slab is refined by itself.
    - `space`: the first slab, with the initial value at the left end of the time.
    - `time`: the coordinate in which to march.
    - `slabs`: how many, each as long as the first.

    **Raises:** `ValueError` where the space has no initial value, or a solution has several components.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import numpy as np, infinity as inf
    >>> x, t = inf.pde.coordinates("x t")
    >>> u, v = inf.pde.trial(), inf.pde.test()
    >>> bases = {x: inf.basis.BSpline((0.0, np.pi), 8, 5), t: inf.basis.BSpline((0.0, 0.5), 3, 4)}
    >>> space = inf.pde.Space(bases, dirichlet={x: "both", t: {"left": x.sin()}})
    >>> found = inf.pde.march(u.d(t) * v + u.d(x) * v.d(x), space, t, slabs=4)
    >>> found.times.tolist(), bool(abs(found.values([[np.pi / 2, 2.0]])[0] / np.exp(-2) - 1) < 1e-5)
    ([0.0, 0.5, 1.0, 1.5, 2.0], True)
    """
    if "left" not in space.dirichlet.get(time, {}):
        raise ValueError(
            f"the space has no value at the left end of {time}; give the initial value in dirichlet={{{time}: {{'left': ...}}}}"
        )
    if slabs < 1:
        raise ValueError(f"march got {slabs} slabs; expected at least one")
    start, length = space.place(time, "left"), space.place(time, "right") - space.place(time, "left")
    times = start + length * np.arange(slabs + 1)
    solutions: list[Solution] = []
    for k in range(slabs):
        bases = dict(space.bases)
        points = np.asarray(bases[time].breakpoints, float)
        moved = times[k] + (points - start) * ((times[k + 1] - times[k]) / length)
        moved[-1] = times[k + 1]
        bases[time] = BSpline(breakpoints=moved, degree=bases[time].degree)
        slab = space.continued(bases, time, at_end(solutions[-1], time)) if solutions else space.with_bases(bases)
        solutions.append(solve(form, slab, tolerance, estimate=estimate))
        if not solutions[-1].success and not np.all(np.isfinite(solutions[-1].coefficients[0])):
            break
    return March(solutions, times[: len(solutions) + 1], time)


def at_end(solution: Solution, time: Coordinate) -> Expression:
    """The solution at the end of its time, a known function of the other coordinates."""
    if solution.components > 1:
        raise ValueError("march takes one component; expected a scalar solution")
    names = solution.space.coordinates
    d = names.index(time)
    terms = []
    for m, number in enumerate(solution.coefficients[d][-1]):
        functions = tuple(
            Function((c,), _spline(basis, solution.coefficients[k][:, m]), f"u_{m}({c})")
            for k, (c, basis) in enumerate(solution.space.bases.items())
            if k != d
        )
        terms.append(Term(float(number), functions))
    return Expression(tuple(terms))


def _spline(basis: AbstractBasis, coefficients: np.ndarray) -> Any:
    def evaluate(t: Any) -> np.ndarray:
        points = np.asarray(t, float)
        return (tabulate(basis, points.ravel(), 0) @ coefficients).reshape(points.shape)

    return evaluate
