"""Eigenvalues of forms, by products and by iteration."""

import numpy as np
import pytest

import infinity as inf

from .problems import LAPLACE, PI, both, box, u, v, x, y


def test_twenty_eigenvalues_of_the_square():
    """pi^2 (i^2 + j^2) to 1e-10, double ones included, with modes of norm one."""
    found = inf.pde.eigenvalues(LAPLACE, box(x, y, cells=20, degree=9, dirichlet=both(x, y)), 20)
    exact = np.sort([PI**2 * (i * i + j * j) for i in range(1, 12) for j in range(1, 12)])[:20]
    assert np.max(np.abs(found.values / exact - 1)) < 1e-10
    assert found.modes[3].modes == 1


def test_without_conditions_the_lowest_is_zero():
    found = inf.pde.eigenvalues(LAPLACE, box(x, y, cells=6, degree=5), 4)
    assert np.allclose(found.values, [0, PI**2, PI**2, 2 * PI**2], atol=1e-4)
    heavy = inf.pde.eigenvalues(LAPLACE, box(x, y, cells=6, degree=5), 4, mass=2 * u * v)
    assert np.allclose(2 * heavy.values, found.values, atol=1e-9)


@pytest.mark.parametrize("cells", [5, 50])
def test_a_coefficient_that_is_not_separable(cells):
    """-Laplace u = lambda rho u, dense and by iteration, bounded by the extremes of rho."""
    rho = inf.pde.function(lambda x, y: 1 + 0.2 * x * y**2 + 0.1 * x**3 * y)
    space = box(x, y, cells=cells, degree=4, dirichlet=both(x, y))
    found = inf.pde.eigenvalues(LAPLACE, space, 3, mass=rho * u * v)
    assert 2 * PI**2 / 1.3 < found.values[0] < 2 * PI**2
    again = inf.pde.eigenvalues(LAPLACE, space.refined() if cells == 5 else space, 3, mass=rho * u * v)
    assert np.allclose(found.values, again.values, rtol=1e-4)


def test_bad_input():
    space = box(x, y, cells=3, degree=2, dirichlet=both(x, y))
    with pytest.raises(ValueError, match="not symmetric"):
        inf.pde.eigenvalues(LAPLACE + u.d(x) * v, space)
    with pytest.raises(ValueError, match="has a load"):
        inf.pde.eigenvalues(LAPLACE - v, space)
    with pytest.raises(ValueError, match="expected fewer"):
        inf.pde.eigenvalues(LAPLACE, space, 100)
