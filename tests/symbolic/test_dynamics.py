"""Equations of motion: the right terms with the right constants, errors that are honest, and nothing found where there is nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import infinity as inf
from infinity.symbolic.derivative import derivative
from infinity.symbolic.dynamics.flow import Intervals, flow
from infinity.symbolic.dynamics.likelihood import Likelihood
from infinity.symbolic.dynamics.samples import Samples
from infinity.symbolic.dynamics.smoothing import smooth
from infinity.symbolic.dynamics.terms import make_library
from infinity.symbolic.parse import parse
from infinity.symbolic.sparse import elimination
from infinity.symbolic.tree import evaluate


def path(f, start, t):
    return solve_ivp(f, (t[0], t[-1]), start, "DOP853", t, rtol=1e-12, atol=1e-12).y.T


def noisy(z, part, seed=0):
    return z + part * z.std(axis=0) * np.random.default_rng(seed).normal(size=z.shape)


T = np.linspace(0, 8, 321)
PENDULUM = path(lambda t, z: [z[1], -0.3 * z[1] - 4 * np.sin(z[0])], [2.5, 0.0], T)
LORENZ = path(lambda t, z: [10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]], [-8, 8, 27], T)


@pytest.mark.parametrize("text", ["x^2*sin(y)", "x/(1 + y^2)", "exp(-x)*log(y) + sqrt(x)", "atan(x)*tanh(y)^3 + y^x"])
def test_derivatives_of_formulas(text):
    tree, constants = parse(text, ["x", "y"])
    point, h = np.array([1.3, 0.7]), 1e-6
    for d in range(2):
        up, down = (point + s * h * (np.arange(2) == d) for s in (1, -1))
        difference = (evaluate(tree, up, constants) - evaluate(tree, down, constants)) / (2 * h)
        assert evaluate(derivative(tree, d), point, constants) == pytest.approx(difference, rel=1e-8)


def test_elimination_gives_least_squares_of_each_number():
    rng = np.random.default_rng(0)
    A, y = rng.normal(size=(50, 8)), rng.normal(size=50)
    for left, places, c in elimination(A, y, 8):
        again = np.linalg.lstsq(A[:, places], y, rcond=None)[0]
        np.testing.assert_allclose(c, again, atol=1e-12)
        assert left == pytest.approx(float(np.sum((y - A[:, places] @ again) ** 2)))


def test_sensitivities_of_the_flow_are_derivatives():
    library = make_library(("x", "v", "u"), 2, 2, ("sin",))
    rng = np.random.default_rng(1)
    xi, Z = 0.3 * rng.normal(size=(len(library.terms), 2)), rng.normal(size=(4, 2))
    intervals = Intervals(np.array([0.1, 0.3, 0.2, 0.4]), rng.normal(size=(4, 4, 1)))
    places = (np.array([1, 4, 7]), np.array([0, 1, 1]))
    _, Phi, G = flow(library, xi, Z, intervals, places, 4)
    h = 1e-6
    for r in range(2):
        step = h * (np.arange(2) == r)
        ends = [flow(library, xi, Z + s * step, intervals, None, 4)[0] for s in (1, -1)]
        np.testing.assert_allclose(Phi[:, :, r], (ends[0] - ends[1]) / (2 * h), atol=1e-8)
    for k, place in enumerate(zip(*places, strict=True)):
        moved = [xi.copy(), xi.copy()]
        moved[0][place] += h
        moved[1][place] -= h
        ends = [flow(library, m, Z, intervals, None, 4)[0] for m in moved]
        np.testing.assert_allclose(G[:, :, k], (ends[0] - ends[1]) / (2 * h), atol=1e-8)


def test_the_flow_is_of_order_eight():
    library = make_library(("x", "v"), 2, 1, ("sin",))
    xi = np.zeros((len(library.terms), 2))
    xi[2, 0], xi[library.terms.index(("sin", ("x", 0))), 1] = 1.0, -4.0
    truth = path(lambda t, z: [z[1], -4 * np.sin(z[0])], [2.0, 0.5], np.array([0.0, 1.6]))[-1]
    errors = [
        np.max(np.abs(flow(library, xi, np.array([[2.0, 0.5]]), Intervals(np.array([1.6])), None, n)[0] - truth))
        for n in (6, 12)
    ]
    assert np.log2(errors[0] / errors[1]) > 7


def test_whitening_is_that_of_the_dense_covariance():
    library = make_library(("x", "v"), 2, 1, ())
    samples = Samples(T[:24], PENDULUM[:24], np.zeros((24, 0)), (0, 12))
    likelihood = Likelihood(library, samples)
    rng = np.random.default_rng(2)
    xi, sigma = rng.normal(size=(3, 2)), np.array([0.1, 0.3])
    at = likelihood.linearised(xi, samples.y + 0.1, sigma, library.free)
    n = len(samples.left)
    assert n == 22
    A = np.zeros((n, 2, 24, 2))
    for i in range(n):
        A[i, :, samples.right[i]] = np.eye(2)
        A[i, :, samples.left[i]] -= at.Phi[i]
    A = A.reshape(2 * n, 48)
    M = A @ np.diag(np.tile(sigma**2, 24)) @ A.T
    phi, Phi, _ = flow(library, xi, samples.y[samples.left] + 0.1, samples.intervals, library.free)
    e = -0.1 + 0.1 * Phi.sum(axis=2) + samples.y[samples.right] + 0.1 - phi
    assert at.e @ at.e == pytest.approx(e.ravel() @ np.linalg.solve(M, e.ravel()), rel=1e-9)


def test_a_smooth_curve_knows_its_noise_and_its_derivative():
    t = np.sort(np.random.default_rng(3).uniform(0, 10, 400))
    truth = np.stack([np.sin(t), np.exp(-t / 3)], axis=1)
    curve = smooth(t, truth + 0.05 * np.random.default_rng(4).normal(size=truth.shape))
    np.testing.assert_allclose(curve.noise, 0.05, rtol=0.1)
    inner = slice(20, -20)
    assert np.max(np.abs(curve(t, 1)[inner, 0] - np.cos(t[inner]))) < 0.15
    exact = smooth(t, truth)
    assert np.max(exact.noise) < 1e-5


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_the_pendulum_and_its_sine(noise):
    found = inf.discover_dynamics(T, noisy(PENDULUM, noise), ["theta", "omega"])
    assert found.found, found.message
    assert [e.complexity for e in found.equations] == [3, 8]
    points = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    truth = np.stack([points[:, 1], -0.3 * points[:, 1] - 4 * np.sin(points[:, 0])], axis=1)
    assert np.max(np.abs(found(points) - truth)) < {0.0: 1e-9, 0.01: 0.02, 0.05: 0.1}[noise]
    for equation in found.equations:
        exact = sorted([1.0] if equation.target == "dtheta/dt" else [-0.3, -4.0])
        off = np.abs(np.sort(equation.constants) - exact) / np.array(equation.errors)[np.argsort(equation.constants)]
        assert np.max(off) < 4
    assert found.metrics["heldout"] < max(1.5 * noise, 1e-8)


def test_chaos_is_no_obstacle(tmp_path):
    found = inf.discover_dynamics(T, noisy(LORENZ, 0.01), ["x", "y", "z"])
    assert found.found, found.message
    assert [len(e.constants) for e in found.equations] == [2, 3, 2]
    np.testing.assert_allclose(sorted(found.equations[1].constants), [-1, -1, 28], rtol=0.02)
    np.testing.assert_allclose(found.noise, 0.01 * LORENZ.std(axis=0), rtol=0.15)
    point = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(found.jax()(0.0, jnp.asarray(point)), found(point), rtol=1e-12)
    inf.save(found, tmp_path / "lorenz.inf")
    assert str(inf.load(tmp_path / "lorenz.inf")) == str(found)
    assert "±" in str(found)


def test_several_trajectories_uneven_times_controls_and_known_parts():
    rng = np.random.default_rng(5)
    clocks = [np.sort(rng.uniform(0, 6, 150)) for _ in range(2)]
    push = lambda t: np.sin(1.3 * t)
    runs = [
        path(lambda t, z: [z[1], -2 * z[0] - 0.4 * z[1] + 3 * push(t)], start, t)
        for start, t in zip(([1.0, 0.0], [-0.5, 2.0]), clocks, strict=True)
    ]
    drives = [push(t)[:, None] for t in clocks]
    given = {"controls": drives, "control_names": ["u"], "functions": (), "degree": 2}
    found = inf.discover_dynamics(clocks, [noisy(run, 0.01) for run in runs], ["x", "v"], **given)
    assert found.found, found.message
    assert [len(e.constants) for e in found.equations] == [1, 3]
    np.testing.assert_allclose(sorted(found.equations[1].constants), [-2, -0.4, 3], rtol=0.03)
    ahead = found.predict(clocks[0], runs[0][0], drives[0])
    assert np.max(np.abs(ahead - runs[0])) < 0.1
    known = inf.discover_dynamics(
        clocks, [noisy(run, 0.003) for run in runs], ["x", "v"], known={"v": "3.0*u", "x": "v"}, **given
    )
    assert str(known.equations[0]) == "dx/dt = v"
    assert len(known.equations[1].constants) == 2
    points = rng.normal(size=(5, 3))
    truth = -2 * points[:, 0] - 0.4 * points[:, 1] + 3 * points[:, 2]
    np.testing.assert_allclose(known.equations[1](points), truth, atol=0.05)


def test_nothing_is_found_where_there_is_nothing():
    rng = np.random.default_rng(6)
    noise = inf.discover_dynamics(T[:150], rng.normal(size=(150, 2)), degree=1, functions=())
    assert not noise.found
    # the library lacks the sine, and the swing is wide
    lacking = inf.discover_dynamics(T, noisy(PENDULUM, 0.001), degree=1, functions=())
    assert not lacking.found
    assert "a term is missing" in lacking.message


def test_a_solution_that_ends_is_said_to_end():
    t = np.linspace(0, 0.9, 60)
    found = inf.discover_dynamics(t, 1 / (1 - t), ["x"], functions=())
    assert str(found.equations[0]) == "dx/dt = 1.0*x^2"
    ahead = found.predict(np.linspace(0, 2, 41), [1.0])
    assert np.isfinite(ahead[:18]).all()
    assert np.isnan(ahead[25:]).all()
    with pytest.raises(ValueError, match="no controls"):
        found.predict(t, [1.0], t)
    with pytest.raises(ValueError, match="initial"):
        found.predict(t, [1.0, 2.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": T[:11], "states": PENDULUM[:11]}, "11 samples"),
        ({"t": T[::-1]}, "does not increase at row 2"),
        ({"t": T[:20]}, "expected \\(N,\\), \\(N, S\\)"),
        ({"states": np.where(np.arange(321)[:, None] == 3, np.nan, PENDULUM)}, "row 4"),
        ({"states": np.c_[PENDULUM[:, 0], np.ones(321)]}, "'x1' is 1 in every row"),
        ({"degree": 9}, "degree"),
        ({"functions": ["gamma"]}, "'gamma' is not known"),
        ({"terms": ["x0*q"]}, "no input"),
        ({"known": {"q": "x0"}}, "no state"),
        ({"functions": ["log"]}, "no finite value"),
        ({"names": ["a", "a"]}, "two columns"),
    ],
)
def test_bad_trajectories(change, message):
    given = {"t": T, "states": PENDULUM, **change}
    with pytest.raises(ValueError, match=message):
        inf.discover_dynamics(given.pop("t"), given.pop("states"), **given)


@pytest.mark.slow
def test_standard_errors_are_those_of_repeated_experiments():
    off = []
    for seed in range(40):
        found = inf.discover_dynamics(T, noisy(PENDULUM, 0.03, seed), ["x", "v"])
        if [len(e.constants) for e in found.equations] == [1, 2]:
            for equation, truth in zip(found.equations, ([1.0], [-0.3, -4.0]), strict=True):
                off += list((np.array(equation.constants) - truth) / np.array(equation.errors))
    assert len(off) >= 3 * 36
    assert 0.85 < np.std(off) < 1.15
