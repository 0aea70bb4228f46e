"""Knot insertion and degree elevation leave every spline what it was."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate

from infinity.basis import BSpline

MESHES = {
    "equal": np.linspace(0, 1, 7),
    "wild": np.cumsum([0.0, 1.0, 1e-6, 0.5, 1e-6, 1e-6, 1.0]),
    "repeated": [0.0, 0.2, 0.5, 0.5, 0.7, 0.8, 1.0],
}


def table(b, t):
    """Values and first derivatives of all functions at all points by SciPy: `(2, points, size)`."""
    knots = np.pad(np.asarray(b.breakpoints), b.degree, mode="edge")
    spline = scipy.interpolate.BSpline(knots, np.eye(b.size), b.degree)
    return np.stack([spline(t), spline(t, nu=1)])


def same_spline(b, finer, matrix, seed=0):
    """Largest difference between random splines before and after, in values and in first derivatives to scale."""
    coefficients = np.random.default_rng(seed).normal(size=(b.size, 3))
    edges = np.asarray(finer.breakpoints)
    t = np.concatenate([edges, edges[:-1] + 0.37 * np.diff(edges)])

    errors = []
    for before, after in zip(table(b, t), table(finer, t), strict=True):
        scale = np.abs(after).max(1, keepdims=True) + 1
        errors.append(np.max(np.abs(before @ coefficients - after @ (matrix @ coefficients)) / scale))
    return max(errors)


def check(b, finer, matrix):
    assert matrix.shape == (finer.size, b.size)
    assert matrix.dtype == b.breakpoints.dtype == finer.breakpoints.dtype
    assert np.min(matrix) >= 0
    np.testing.assert_allclose(np.sum(matrix, 1), 1, rtol=1e-14)
    assert same_spline(b, finer, matrix) < 1e-13


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", range(1, 8))
def test_insertion_is_exact(degree, mesh):
    b = BSpline(breakpoints=MESHES[mesh], degree=degree)
    new = b.domain[1] * np.array([0.9, 0.123, 0.123, 0.55, 0.6]) if degree == 1 else [0.9, 0.123, 0.123, 0.5, 0.6]
    finer, matrix = b.insert(new)
    assert finer.elements == b.elements + 5
    check(b, finer, matrix)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", range(1, 7))
def test_elevation_is_exact_and_keeps_the_continuity(degree, mesh):
    b = BSpline(breakpoints=MESHES[mesh], degree=degree)
    higher, matrix = b.elevate()
    assert higher.degree == degree + 1
    distinct = len(np.unique(b.breakpoints)) - 2
    assert higher.elements == b.elements + distinct
    check(b, higher, matrix)
    twice, both = b.elevate(2)
    np.testing.assert_allclose(both, higher.elevate()[1] @ matrix, atol=1e-15)
    check(b, twice, both)


def test_piecewise_constants_can_be_refined_and_elevated():
    b = BSpline(breakpoints=[0.0, 0.25, 1.0], degree=0)
    finer, matrix = b.insert([0.5])
    np.testing.assert_array_equal(matrix, [[1, 0], [0, 1], [0, 1]])
    check(b, finer, matrix)
    check(b, *b.elevate(3))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_refinement_divides_every_cell(factor):
    b = BSpline(breakpoints=MESHES["repeated"], degree=3)
    finer, matrix = b.refine(factor)
    assert finer.elements == 5 * factor + 1  # one cell of length zero stays
    gaps = np.diff(finer.breakpoints)
    np.testing.assert_allclose(
        np.sort(gaps)[1:], np.sort(np.repeat([0.2, 0.3, 0.2, 0.1, 0.2], factor) / factor), atol=1e-15
    )
    check(b, finer, matrix)


def test_repeated_refinement_equals_one_and_works_under_jit():
    b = BSpline(elements=3, degree=3)
    once, first = b.refine(2)
    twice, second = once.refine(2)
    direct, matrix = b.refine(4)
    np.testing.assert_allclose(direct.breakpoints, twice.breakpoints, atol=1e-16)
    np.testing.assert_allclose(second @ first, matrix, atol=1e-15)
    np.testing.assert_array_equal(jax.jit(lambda: BSpline(elements=3, degree=3).refine(4)[1])(), matrix)


def test_refined_energy_is_the_same_energy():
    b = BSpline(breakpoints=MESHES["equal"], degree=3)
    for finer, matrix in (b.refine(), b.elevate()):
        for name, size in (("mass", 1e-15), ("stiffness", 1e-13)):
            before, after = (eqx.filter_jit(getattr(basis, name))() for basis in (b, finer))
            np.testing.assert_allclose(matrix.T @ after @ matrix, before, atol=size)


def test_float32_stays_float32():
    b = BSpline(domain=(np.float32(0), np.float32(1)), elements=4)
    for finer, matrix in (b.refine(3), b.elevate()):
        assert finer.breakpoints.dtype == matrix.dtype == jnp.float32
        c = jnp.asarray(np.random.default_rng(0).normal(size=b.size), jnp.float32)
        for t in np.linspace(0, 1, 9, dtype=np.float32):
            np.testing.assert_allclose(finer(t) @ (matrix @ c), b(t) @ c, atol=2e-6)


def test_bad_refinements_are_refused():
    b = BSpline(elements=2, degree=1)
    for outside in ([0.0], [1.0], [-1.0], [2.0]):
        with pytest.raises(ValueError, match="strictly inside"):
            b.insert(outside)
    with pytest.raises(ValueError, match="at most 2 times"):
        b.insert([0.5, 0.5])
    with pytest.raises(ValueError, match="1 or more"):
        b.refine(0)
    with pytest.raises(ValueError, match="lowered"):
        b.elevate(-1)

    def traced(breakpoints):
        return BSpline(breakpoints=breakpoints).elevate()[1]

    with pytest.raises(ValueError, match="traced"):
        jax.jit(traced)(b.breakpoints)
    with pytest.raises(ValueError, match="traced"):
        jax.jit(lambda new: b.insert(new)[1])(jnp.asarray([0.3]))
