"""Slabs of time: as accurate as one long one, and what cannot be marched is refused."""

import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline

from .problems import PI, box, t, u, v, x


def test_a_load_that_depends_on_time():
    """u = cos(t) sin(pi x) over five slabs, of which none drifts."""
    solution = np.cos(t) * np.sin(PI * x)
    load = (PI**2 * np.cos(t) - np.sin(t)) * np.sin(PI * x)
    space = inf.pde.Space(
        {x: BSpline((0.0, 1.0), 8, 5), t: BSpline((0.0, 1.0), 3, 5)}, dirichlet={x: "both", t: {"left": np.sin(PI * x)}}
    )
    found = inf.pde.march(u.d(t) * v + u.d(x) * v.d(x) - load * v, space, t, 5, estimate=False)
    assert found.success
    assert [one.error(solution, relative=False) < 2e-6 for one in found.solutions] == [True] * 5
    grid = np.stack([np.full(50, 0.5), np.linspace(0, 5, 50)], axis=1)
    assert np.allclose(found.values(grid), np.cos(grid[:, 1]), atol=5e-6)


def test_faces_that_depend_on_time():
    """u = sin(3 t) cos(x), whose values on the faces no spline meets: the slabs agree at the corners up to their error."""
    solution = np.sin(3 * t) * np.cos(x)
    load = 3 * np.cos(3 * t) * np.cos(x) + solution
    errors = []
    for cells in (3, 6):
        bases = {x: BSpline((0.0, 1.0), 8, 4), t: BSpline((0.0, 1.0), cells, 4)}
        space = inf.pde.Space(bases, dirichlet={x: {"left": solution, "right": solution}, t: {"left": solution}})
        found = inf.pde.march(u.d(t) * v + u.d(x) * v.d(x) - load * v, space, t, 4, estimate=False)
        errors.append(max(one.error(solution, relative=False) for one in found.solutions))
    assert np.log2(errors[0] / errors[1]) > 4.5


def test_bad_input():
    with pytest.raises(ValueError, match="no value at the left end of t"):
        inf.pde.march(u.d(t) * v, box(x, t, cells=3, degree=2), t, 2)
    with pytest.raises(ValueError, match="0 slabs"):
        inf.pde.march(u.d(t) * v, box(x, t, cells=3, degree=2, dirichlet={t: "left"}), t, 0)
