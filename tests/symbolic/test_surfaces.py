"""Surfaces: the formula on which points lie, without bias, with honest errors, and none where there is none."""

import numpy as np
import pytest

import infinity as inf
from infinity.symbolic.surfaces.features import INVARIANTS, families, invariants
from infinity.symbolic.surfaces.fitting import fit, smallest
from infinity.symbolic.tree import evaluate

COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")


def deviatoric(n, rng):
    """Stresses `(n, 6)` with zero trace and J2 = 1."""
    s = rng.normal(size=(n, 6))
    s[:, :3] -= s[:, :3].mean(axis=1, keepdims=True)
    return s / np.sqrt(0.5 * np.sum(s[:, :3] ** 2, axis=1) + np.sum(s[:, 3:] ** 2, axis=1))[:, None]


def drucker_prager(n, rng, slope=0.2, cohesion=100.0):
    first = rng.uniform(-900, 300, n)
    s = deviatoric(n, rng) * (cohesion - slope * first)[:, None]
    s[:, :3] += first[:, None] / 3
    return s


def matsuoka_nakai(n, rng, level=12.0):
    """Principal stresses with `I1 I2 / I3 = level`, by bisection along rays from the hydrostatic axis."""
    p, angle = rng.uniform(1, 3, n), rng.uniform(0, 2 * np.pi, n)
    across = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    way = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    low, high = np.zeros(n), p / np.max(-way, axis=1)
    for _ in range(80):
        middle = 0.5 * (low + high)
        s = p[:, None] + middle[:, None] * way
        second = s[:, 0] * s[:, 1] + s[:, 1] * s[:, 2] + s[:, 0] * s[:, 2]
        inside = s.sum(axis=1) * second < level * s.prod(axis=1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return p[:, None] + low[:, None] * way


def noisy(x, part, rng):
    return x + part * x.std(axis=0) * rng.normal(size=x.shape)


def test_invariants_are_those_of_the_tensor():
    s = np.random.default_rng(0).normal(size=6)
    tensor = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = rotation @ tensor @ rotation.T
    again = np.array([turned[0, 0], turned[1, 1], turned[2, 2], turned[1, 2], turned[0, 2], turned[0, 1]])
    principal = np.linalg.eigvalsh(tensor)
    deviator = tensor - np.trace(tensor) / 3 * np.eye(3)
    values = [evaluate(tree, s, ()) for tree in invariants(6)]
    np.testing.assert_allclose(values, [evaluate(tree, again, ()) for tree in invariants(6)], rtol=1e-12)
    np.testing.assert_allclose(values, [evaluate(tree, principal, ()) for tree in invariants(3)], rtol=1e-12)
    assert values[INVARIANTS.index("I3")] == pytest.approx(np.linalg.det(tensor))
    assert values[INVARIANTS.index("J2")] == pytest.approx(0.5 * np.sum(deviator**2))
    assert values[INVARIANTS.index("J3")] == pytest.approx(np.linalg.det(deviator))


def test_no_term_is_a_multiple_of_another_one():
    x = np.random.default_rng(2).uniform(1, 2, (200, 3))
    values = families(("a", "b", "c"), True, 2, ())[0].values(x)
    unit = values / np.linalg.norm(values, axis=0)
    assert np.max(np.abs(unit.T @ unit - np.eye(unit.shape[1]))) < 1 - 1e-10


def test_gradients_and_curvatures_are_derivatives():
    family = families(COMPONENTS, True, 2, ())[0].only(range(0, 60, 7))
    x = np.random.default_rng(3).uniform(1, 2, (4, 6)) * [1, 1, 1, 0.3, 0.3, 0.3]
    scale, h = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 3.0]), 1e-5
    total = 0.0
    for d in range(6):
        step = h * (np.arange(6) == d)
        difference = (family.values(x + step) - family.values(x - step)) / (2 * h)
        np.testing.assert_allclose(family.gradients(x)[:, :, d], difference, rtol=1e-6, atol=1e-6)
        total += scale[d] ** 2 * (family.gradients(x + step) - family.gradients(x - step))[:, :, d] / (2 * h)
    np.testing.assert_allclose(family.curvatures(x, scale), total, rtol=1e-4, atol=1e-4)


def test_identities_are_no_solutions():
    # The third term is the sum of the first two at every point: its null vector has no gradient and must not be chosen.
    rng = np.random.default_rng(4)
    G = rng.normal(size=(50, 2, 3))
    G = np.concatenate([G, G.sum(axis=1, keepdims=True)], axis=1)
    X = rng.normal(size=(50, 2)) * [1.0, 0.1]
    X = np.concatenate([X, X.sum(axis=1, keepdims=True)], axis=1)
    A, B = X.T @ X, np.einsum("nkd,nld->kl", G, G)
    value, c = smallest(A, B)
    assert value > 1e-6
    assert c @ A @ c / (c @ B @ c) == pytest.approx(float(value), rel=1e-6)


def test_the_level_has_no_bias_and_an_honest_error():
    rng = np.random.default_rng(5)
    family = families(("a", "b", "c"), True, 2, ())[0]
    one = [str(inf.Expression(tree, (), INVARIANTS)) for tree in family.terms.terms].index("y = I1*I2/I3")
    x = matsuoka_nakai(1500, rng)
    fits = [fit(family, (one,), y, y.std(axis=0)) for y in (noisy(x, 0.05, rng) for _ in range(8))]
    levels = np.array([f.level for f in fits])
    # 12.04 without the corrections, whose standard error here is 0.002
    assert abs(levels.mean() - 12) < 0.01
    assert np.std(levels) == pytest.approx(np.mean([f.errors[-1] for f in fits]), rel=0.7)
    assert fits[0].distance == pytest.approx(0.05, rel=0.1)
    exact = fit(family, (one,), x, x.std(axis=0))
    assert exact.level == pytest.approx(12, rel=1e-12)


def test_matsuoka_nakai(tmp_path):
    rng = np.random.default_rng(6)
    found = inf.discover_surface(noisy(matsuoka_nakai(400, rng), 0.05, rng), stress=True)
    assert found.found, found.message
    assert found.expression.text() == "I1*I2/I3"
    assert abs(found.level - 12) < 4 * found.level_error < 0.1
    assert found.metrics["heldout"] == pytest.approx(0.05, rel=0.2)
    inf.save(found, tmp_path / "s.inf")
    assert str(inf.load(tmp_path / "s.inf")) == str(found)
    inside, outside = np.full(3, 2.0), np.array([5.0, 1.0, 0.3])
    assert found(inside) < 0 < found(outside)
    on = matsuoka_nakai(20, rng)
    step = 1e-3 * np.array(found.errors)
    moved = found.distance(on + step) - found.distance(on - step)
    assert np.all(np.abs(moved) < 2e-3 * np.sqrt(3) * 1.1)


@pytest.mark.slow
def test_drucker_prager_of_six_components():
    rng = np.random.default_rng(7)
    found = inf.discover_surface(noisy(drucker_prager(400, rng), 0.01, rng), stress=True)
    assert found.found, found.message
    assert found.expression.inputs == ("I1", "q")
    assert found.expression.constants[0] == pytest.approx(5, rel=0.01)
    assert found.level == pytest.approx(500, rel=0.01)
    assert "q = " in str(found)


def test_an_ellipse_in_any_place_and_a_plane():
    rng = np.random.default_rng(8)
    angle = rng.uniform(0, 2 * np.pi, 200)
    x = np.stack([3 + 2 * np.cos(angle), -1 + np.sin(angle)], axis=1)
    found = inf.discover_surface(x, ["x", "y"])
    assert found.found
    assert np.max(np.abs(found(x))) < 1e-10
    assert len(found.expression.constants) == 4
    plane = rng.normal(size=(200, 3))
    plane[:, 2] = 2 * plane[:, 0] - plane[:, 1] + 3 + 0.01 * rng.normal(size=200)
    flat = inf.discover_surface(plane, ["a", "b", "c"], degree=1)
    assert flat.found, flat.message
    a, b, c = (flat.expression(np.eye(3)[k]) / flat.level for k in range(3))
    np.testing.assert_allclose([a, b, c], [-2 / 3, 1 / 3, 1 / 3], rtol=0.01)


def test_a_cloud_has_no_surface():
    cloud = inf.discover_surface(np.random.default_rng(9).normal(size=(150, 2)))
    assert not cloud.found
    assert "no surface" in cloud.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x[:19], {}), "19 points"),
        (lambda x: (x[:, :1], {}), "one column"),
        (lambda x: (np.c_[x, np.ones(len(x))], {}), "'x3' is 1 at every point"),
        (lambda x: (np.where(np.arange(len(x))[:, None] == 4, np.inf, x), {}), "row 5"),
        (lambda x: (x[:, :2], {"stress": True}), "three principal values or six"),
        (lambda x: (x, {"errors": [1.0, 2.0]}), "3 positive numbers"),
        (lambda x: (x, {"names": ["a", "b", "a"]}), "one name"),
        (lambda x: (x, {"terms": ["x0*q"]}), "no input"),
        (lambda x: (x, {"degree": -1}), "degree"),
    ],
)
def test_bad_points(change, message):
    points, options = change(np.random.default_rng(10).normal(size=(30, 3)))
    with pytest.raises(ValueError, match=message):
        inf.discover_surface(points, **options)
