"""Eigenvalues of forms, by products and by iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special

import infinity as inf
from infinity.basis import BSpline
from infinity.pde import Mapping, Patches, Space, graded

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


def ell(cells=20):
    """Three squares on graded cells, held at zero outside."""
    left, right = graded((-1, 0), cells, 5, "right"), graded((0, 1), cells, 5)
    return Patches(
        [
            Space({x: left, y: left}, dirichlet={x: "both", y: "left"}),
            Space({x: left, y: right}, dirichlet={x: "left", y: "right"}),
            Space({x: right, y: right}, dirichlet={x: "right", y: "both"}),
        ]
    )


def test_eigenvalues_of_the_l_shape():
    """The first is the certified 9.6397238440219 (Betcke and Trefethen, SIAM Rev. 47 (2005)), the third 2 pi^2 with a known mode."""
    found = inf.pde.eigenvalues(LAPLACE, ell(), 8)
    assert found.values[0] == pytest.approx(9.6397238440219, rel=2e-8)
    assert found.values[2] == pytest.approx(2 * PI**2, rel=1e-8)
    point = jnp.array([-0.3, 0.4])
    expected = 2 / np.sqrt(3) * np.sin(PI * 0.3) * np.sin(PI * 0.4)
    assert abs(float(found.modes[2](point))) == pytest.approx(expected, rel=1e-5)
    few = inf.pde.eigenvalues(LAPLACE, ell(6), 4)
    heavy = inf.pde.eigenvalues([LAPLACE] * 3, ell(6), 4, mass=2 * u * v)
    np.testing.assert_allclose(2 * heavy.values, few.values, rtol=1e-11)


def test_eigenvalues_of_mapped_patches_and_of_components():
    """A quarter of an annulus in two patches, by Bessel functions; both components of a displacement have each of them."""
    r, a = inf.pde.coordinates("r a")
    (b, c), (d, e) = inf.pde.trial(2), inf.pde.test(2)
    polar = lambda p: p[0] * jnp.array([jnp.cos(p[1]), jnp.sin(p[1])])
    pairs = []
    for k, side in enumerate(("left", "right")):
        ends = (k * PI / 4, (k + 1) * PI / 4)
        space = Space({r: BSpline((1.0, 2.0), 4, 6), a: BSpline(ends, 4, 6)}, dirichlet={r: "both", a: side})
        pairs.append((space, Mapping((r, a), polar, [(1, 2), ends])))
    form = b.d(x) * d.d(x) + b.d(y) * d.d(y) + c.d(x) * e.d(x) + c.d(y) * e.d(y)
    found = inf.pde.eigenvalues(form, Patches(pairs, coordinates=(x, y)), 2)
    J, Y = scipy.special.jv, scipy.special.yv
    first = scipy.optimize.brentq(lambda k: J(2, k) * Y(2, 2 * k) - J(2, 2 * k) * Y(2, k), 3.2, 4.5, xtol=1e-14)
    np.testing.assert_allclose(found.values, first**2, rtol=1e-9)
    assert jax.eval_shape(found.modes[0], jnp.ones(2)).shape == (2,)


def test_bad_input():
    space = box(x, y, cells=3, degree=2, dirichlet=both(x, y))
    with pytest.raises(ValueError, match="not symmetric"):
        inf.pde.eigenvalues(LAPLACE + u.d(x) * v, space)
    with pytest.raises(ValueError, match="has a load"):
        inf.pde.eigenvalues(LAPLACE - v, space)
    with pytest.raises(ValueError, match="expected fewer"):
        inf.pde.eigenvalues(LAPLACE, space, 100)
    with pytest.raises(ValueError, match="not symmetric"):
        inf.pde.eigenvalues(LAPLACE + u.d(x) * v, ell(6))
    with pytest.raises(ValueError, match="has a load"):
        inf.pde.eigenvalues(LAPLACE - v, ell(6))
    square = BSpline((0.0, 1.0), 2, 2)
    with pytest.raises(ValueError, match="expected zero conditions"):
        inf.pde.eigenvalues(LAPLACE, Patches([Space({x: square, y: square}, dirichlet={x: {"left": 1}})]))
    with pytest.raises(ValueError, match="expected fewer"):
        inf.pde.eigenvalues(LAPLACE, Patches([Space({x: square, y: square})]), 100)
