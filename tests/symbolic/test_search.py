"""The parts of the search: each finds what it is for, says the same each time, and does not find what is not there."""

import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.symbolic import recursion
from infinity.symbolic.atoms import make_atoms
from infinity.symbolic.candidates import Data, is_exact, polished
from infinity.symbolic.discover import discover
from infinity.symbolic.judging import _beyond
from infinity.symbolic.library import find_one
from infinity.symbolic.logarithms import find_logarithms
from infinity.symbolic.monomials import find_monomials
from infinity.symbolic.operators import permits, words_of
from infinity.symbolic.parse import parse
from infinity.symbolic.pivots import moved, ordered
from infinity.symbolic.rational import find_rationals
from infinity.symbolic.recursion import Search, solve
from infinity.symbolic.reduction import reductions
from infinity.symbolic.residuals import chance_of_residuals
from infinity.symbolic.scaled import find_scaled
from infinity.symbolic.separation import Split, part_of, rest_of, splits
from infinity.symbolic.simplify import simplified
from infinity.symbolic.snapping import snapped
from infinity.symbolic.sparse import sums_of
from infinity.symbolic.surrogate import Surrogate, fit_surrogate
from infinity.symbolic.tree import evaluate
from infinity.symbolic.verdict import LEVEL, verdict

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (200, 4))


def data_of(f, D, rows=200):
    return Data(tuple(X[:rows, d] for d in range(D)), f(*X[:rows, :D].T))


def exact_surrogate(f, D):
    """The truth in the place of a fit, so that a test is about the structure."""
    return Surrogate(lambda points: f(*points.T), X[:, :D].min(axis=0), X[:, :D].max(axis=0), 1e-14)


@pytest.mark.slow
def test_one_variable():
    f = lambda t: 2 * np.exp(-0.7 * t) + 0.3
    found = find_one(data_of(f, 1), thorough=False)
    assert is_exact(found[0], data_of(f, 1))
    beyond = np.linspace(3.0, 3.6, 20)
    values = polished(found[0].tree, found[0].constants, Data((beyond,), f(beyond)), "")
    assert values is not None
    assert values.mean_square < 1e-18


@pytest.mark.slow
@pytest.mark.parametrize(
    "f", [lambda t: np.sin(3 * t + 0.4), lambda t: 1.5 * np.log(1 + 2 * t), lambda t: np.exp(-0.5 * t) * np.cos(4 * t)]
)
def test_more_of_one_variable(f):
    assert is_exact(find_one(data_of(f, 1))[0], data_of(f, 1))


@pytest.mark.slow
def test_noise_is_not_fitted():
    t = np.sort(RNG.uniform(0.2, 3, 150))
    y = 2 * np.exp(-0.8 * t) + 0.3 + 0.01 * RNG.normal(size=150)
    best = find_one(Data((t,), y))[0]
    assert best.mean_square < 1.1e-4
    assert best.complexity <= 11


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b, c, d: np.sqrt((b - a) ** 2 + (d - c) ** 2 + 0.1),
        lambda a, b, c, d: 1 / (1 / a + b / c),
        lambda a, b, c, d: a * b + c * d,
    ],
)
def test_sums_under_an_outer_function(f):
    data = data_of(f, 4)
    assert is_exact(sums_of(data, True, wide=False)[0], data)


def test_powers():
    data = data_of(lambda a, b, c: 6.7 * a * b**1.5 / c**2, 3)
    assert is_exact(find_monomials(data)[0], data)
    assert find_monomials(Data((X[:, 0] - 2,), X[:, 1])) == []


def test_translations_and_scalings_are_read_off_a_function():
    f = lambda a, b, c, d: a * np.exp(-b * c / d)
    found = next(reductions(data_of(f, 4), exact_surrogate(f, 4)))
    smaller = found.apply(data_of(f, 4))
    assert (found.kind, len(smaller.columns)) == ("scaling", 1)
    order = np.argsort(smaller.columns[0])
    assert np.all(np.abs(np.diff(np.sign(np.diff(smaller.y[order])))) == 0)  # a function of one variable, monotone
    g = lambda a, b, c: np.sin(a - b) + c
    kinds = [(r.kind, len(r.variables)) for r in reductions(data_of(g, 3), exact_surrogate(g, 3))]
    assert ("translation", 2) in kinds


def test_logarithms_of_quotients_of_an_unknown_factor_under_noise():
    a, b, c = X[:, :3].T
    y = 0.086 * np.log((a + 0.5 * b) / (c + 0.2 * a)) + 0.3
    (best, *_) = find_logarithms(Data((a, b, c), y))
    assert best.mean_square < 1e-24
    noisy = y + 0.05 * np.std(y) * RNG.normal(size=len(y))
    found = min(find_logarithms(Data((a, b, c), noisy)), key=lambda candidate: candidate.score)
    np.testing.assert_allclose(evaluate(found.tree, [a, b, c], found.constants), y, atol=0.06 * np.std(y))
    assert found.complexity < 25
    assert not find_logarithms(Data((a, b, c), noisy), frozenset({"exp"}))
    assert not find_logarithms(Data((a[:20], b[:20], c[:20]), noisy[:20]))


def test_scaling_laws_of_an_input_of_both_signs():
    s, a = X[:, 0] - 2, X[:, 1]
    data = Data((s, a), 2 * s * a / np.sqrt(1 + s**2 / a**2))
    assert is_exact(find_scaled(data)[0], data)


def test_inputs_of_any_sign_are_scaled_by_positive_ones():
    f = lambda a, b: a**2 * np.tanh(b / a)
    data = Data((X[:, 0], X[:, 1] - 2), f(X[:, 0], X[:, 1] - 2))
    smooth = Surrogate(lambda p: f(*p.T), np.array([1.0, -1.0]), np.array([3.0, 1.0]), 1e-14)
    found = next(reductions(data, smooth))
    assert (found.kind, len(found.variables)) == ("scaling", 1)
    np.testing.assert_allclose(found.apply(data).y, np.tanh(found.apply(data).columns[0]), rtol=1e-9)


def test_pivots_are_those_with_which_a_function_falls_apart():
    f = lambda T, V, a, b: T / (4 * V - b) - a / V**2
    data = data_of(f, 4)
    law = next(r for r in reductions(data, exact_surrogate(f, 4)) if len(r.variables) == 2)
    smaller = law.apply(data)
    inner = Surrogate(
        lambda z: f(*_inputs(law, z, 4).T) / _front(law, z, 4),
        np.stack(smaller.columns, axis=1).min(axis=0),
        np.stack(smaller.columns, axis=1).max(axis=0),
        1e-14,
    )
    (score, best), *others = ordered(law, inner, data)
    assert score < 1.0
    assert {0, 1, 2, 3} - set(best.kept) == {0, 1}
    assert others[0][0] > 10
    for _, choice in others:
        moved_to = choice.apply(data)
        front = moved(law, choice, inner, smaller, moved_to, 4).predict(np.stack(moved_to.columns, axis=1))
        np.testing.assert_allclose(front, moved_to.y, rtol=1e-9)


def _inputs(law, z, D):
    x = np.ones((len(z), D))
    x[:, list(law.kept)] = z
    return x


def _front(law, z, D):
    return evaluate(law.prefactor, tuple(_inputs(law, z, D).T), ())


def test_inputs_of_the_other_sign_have_powers():
    x = X[:, :2] * [-1.0, 1.0]
    found = discover(x, 3 * np.sqrt(-x[:, 0]) / x[:, 1], engine="native")
    assert str(found.best) == "y = 3*sqrt(-x0)/x1"


def test_quotients():
    data = data_of(lambda a, b, c: (a * b + 2 * c) / (1 + a * c), 3)
    best = find_rationals(data)[0]
    assert is_exact(best, data)
    assert best.complexity <= 19
    noise = Data((X[:40, 0],), X[:40, 1])
    assert not any(is_exact(candidate, noise) for candidate in find_rationals(noise))


def test_allowed_operators_steer_the_search():
    x = X[:, :2]
    y = 2 * np.log(x[:, 0] ** 2 * x[:, 1])
    assert discover(x, y, engine="native", operators=["log"]).best.metrics["heldout"] < 1e-12
    allowed = frozenset({"exp"})
    trees = make_atoms(tuple(x.T), "all", 60, allowed).trees
    assert all(permits(allowed, tree) for tree in trees)
    assert any("exp" in words_of(tree) for tree in trees)
    for found in (
        sums_of(data_of(lambda a, b: np.sin(a) * b, 2), True, False, allowed),
        find_monomials(Data(tuple(x.T), y), allowed),
    ):
        assert all(permits(allowed, candidate.tree) for candidate in found)


def test_a_surrogate_knows_its_slopes():
    x = X[:, :3]
    surrogate = fit_surrogate(Data(tuple(x.T), x[:, 0] * np.exp(-x[:, 1]) + x[:, 2] ** 2))
    points, h = surrogate.inner(x[:20]), 1e-5
    for d in range(3):
        step = h * np.eye(3)[d]
        difference = (surrogate.predict(points + step) - surrogate.predict(points - step)) / (2 * h)
        np.testing.assert_allclose(surrogate.gradient(points)[:, d], difference, rtol=1e-6, atol=1e-8)


def test_splits_are_proposed_and_taken_out_exactly():
    f = lambda a, b, c: np.exp(a) * (b + c**2)
    data, surrogate = data_of(f, 3), exact_surrogate(f, 3)
    best = splits(data, surrogate)[0]
    assert (best.first, best.second, best.product) == ((0,), (1, 2), True)
    part = part_of(data, surrogate, best)
    assert np.ptp(part.y / np.exp(part.columns[0])) < 1e-12 * np.max(part.y)
    rest = rest_of(data, best, np.exp(X[:, 0]))
    np.testing.assert_allclose(rest.y, X[:, 1] + X[:, 2] ** 2)
    assert not splits(data_of(lambda a, b: 1 / (a + b), 2), exact_surrogate(lambda a, b: 1 / (a + b), 2))
    assert isinstance(best, Split)


@pytest.mark.slow
def test_a_reduction_is_put_back(monkeypatch):
    f = lambda a, b, c: a * (0.3 + np.exp(-2 * b / c))
    monkeypatch.setattr(
        recursion,
        "fit_surrogate",
        lambda data, seed: exact_surrogate(f, 3) if len(data.columns) == 3 else exact_surrogate(f, 1),
    )
    monkeypatch.setattr(recursion, "find_scaled", lambda *_: [])
    search = Search()
    found = solve(data_of(f, 3), search)
    assert is_exact(found[0], data_of(f, 3))
    assert any("scaling to 1 variables" in line for line in search.trace)


def test_what_does_not_pay_is_left_out_and_constants_are_snapped_with_care():
    t = X[:, 0]
    data = Data((t,), 2 * t**2 + 0.01 * np.random.default_rng(5).normal(size=200))
    start = polished(*parse("1.9*t^2.1 + 0.1*t + 0.05", ["t"]), data, "")
    best = simplified(start, data)
    final, record = snapped(best, data)
    assert inf.Expression(final.tree, tuple(final.constants.tolist()), ("t",)).text() == "2*t^2"
    assert record[0][0] == "2"
    vague = Data((t,), 2.03 * t + 5 * np.random.default_rng(6).normal(size=200))
    assert snapped(polished(("mul", ("c", 0), ("x", 0)), [2.0], vague, ""), vague)[1] == ()


def test_discover_gives_a_law_and_names_are_ordinary():
    names = ["S", "lambda", "E"]
    y = 2 * X[:, 0] * X[:, 2] / X[:, 1] ** 2
    found = discover(X[:, :3], y, names, "I", engine="native")
    assert found.found
    assert str(found.best) == "I = 2*S*E/lambda^2"
    assert found.best.metrics["heldout"] < 1e-12
    assert [e.complexity for e in found.expressions] == sorted(e.complexity for e in found.expressions)
    assert any(e is found.best for e in found.expressions)
    again = discover(X[:, :3], y, names, "I", engine="native")
    assert str(again) == str(found)


def test_noise_has_no_formula():
    found = discover(X[:40, :2] - 2, RNG.normal(size=40), engine="native", effort=0)
    assert not found.found
    assert "no formula was found" in found.message


@pytest.mark.parametrize("seed", range(5))
def test_few_rows_of_noise_have_no_formula(seed):
    rng = np.random.default_rng(seed)
    found = discover(rng.uniform(-1, 1, (12, 2)), rng.normal(size=12), engine="native", effort=0)
    assert not found.found


def test_a_lookalike_is_not_called_a_law():
    data = data_of(lambda a, b, c: a * np.log(b / c), 3)
    smooth = exact_surrogate(lambda a, b, c: a * np.log(b / c) + 1e-3, 3)
    smooth = Surrogate(smooth.predict, smooth.lower, smooth.upper, 1e-6)
    law = polished(*parse("1.0*a*log(b/c)", ["a", "b", "c"]), data, "")
    lookalike = polished(*parse("100.0*a*((b/c)^0.01 - 1)*(b/c)^-0.005", ["a", "b", "c"]), data, "", 0)
    assert lookalike.mean_square < 1e-8 * data.variance
    for candidate, found in ((law, True), (lookalike, False)):
        metrics = {"heldout": float(np.sqrt(candidate.mean_square / data.variance))}
        expression = inf.Expression(
            candidate.tree, tuple(candidate.constants.tolist()), ("a", "b", "c"), metrics=metrics
        )
        answer, message = verdict(expression, candidate, data, smooth)
        assert answer == found, message
    assert "lookalike" in message
    # without a smooth model to compare with, only what is exact is a law
    assert not verdict(expression, candidate, data, None)[0]


def test_what_leaves_most_of_the_deviation_is_a_trend():
    y = X[:, 0] + 0.7 * RNG.normal(size=200)
    data = Data((X[:, 0], X[:, 1]), y)
    line = polished(*parse("1.0*a + 0.0", ["a"]), data, "")
    expression = inf.Expression(
        line.tree,
        tuple(line.constants.tolist()),
        ("a", "b"),
        metrics={"heldout": float(np.sqrt(line.mean_square / data.variance))},
    )
    smooth = Surrogate(lambda points: points[:, 0], X.min(axis=0), X.max(axis=0), 0.5)
    answer, message = verdict(expression, line, data, smooth)
    assert not answer
    assert "take it for a trend" in message


def test_residuals_of_a_law_are_chance():
    x = RNG.uniform(1, 3, (150, 3))
    law, constants = parse("1.0*a*exp(-1.0*b/c)", ["a", "b", "c"])
    chances = []
    for _ in range(60):
        y = x[:, 0] * np.exp(-x[:, 1] / x[:, 2]) + 0.02 * RNG.normal(size=150)
        data = Data(tuple(x.T), y)
        chances.append(chance_of_residuals(polished(law, constants, data, ""), data))
    # uniform on (0, 1): mean 1/2, standard error 0.037
    assert abs(np.mean(chances) - 0.5) < 0.15
    assert min(chances) > LEVEL


def test_outer_rows_are_those_of_the_worst_input():
    x = RNG.uniform(0.2, 3, (120, 2))
    data = Data(tuple(x.T), x[:, 0] + np.exp(x[:, 1]))
    both = polished(*parse("1.0*a + 1.0*b + 1.0*b^2", ["a", "b"]), data, "")
    swapped = polished(*parse("1.0*b + 1.0*a + 1.0*a^2", ["a", "b"]), Data(data.columns[::-1], data.y), "")
    assert _beyond(both, data) == pytest.approx(_beyond(swapped, Data(data.columns[::-1], data.y)), rel=1e-6)
    assert _beyond(both, data) > 2 * both.mean_square


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:9], y[:9], {}), "9 rows"),
        (lambda x, y: (np.c_[x, x[:, 0]], y, {}), "'x0' and 'x2' are equal"),
        (lambda x, y: (np.c_[x, np.ones(len(x))], y, {}), "'x2' is 1 in every row"),
        (lambda x, y: (x, np.where(np.arange(len(y)) == 3, np.nan, y), {}), "row 4, column 'y'"),
        (lambda x, y: (x, y, {"operators": ["exp", "gamma"]}), "'gamma' is not known"),
        (lambda x, y: (x, y, {"engine": "eureka"}), "expected 'auto'"),
        (lambda x, y: (x, y, {"effort": -1}), "effort"),
        (lambda x, y: (x, y, {"weights": -np.ones(len(y))}), "non-negative"),
        (lambda x, y: (x, np.stack([y, y + x[:, 0]], 1), {}), "one target at a time"),
    ],
)
def test_bad_tables(change, message):
    x, y, options = change(X[:30, :2], X[:30, 2])
    with pytest.raises(ValueError, match=message):
        discover(x, y, **options)


def test_separability_reads_exact_derivatives():
    report = inf.separability(lambda x: x[0] * x[1] + jnp.sin(x[2] - x[3]), [(1, 2)] * 4, ["a", "b", "c", "d"])
    assert report.sums == (("a", "b"), ("c", "d"))
    assert [t[:3] for t in report.translations] == [(2, 3, 1)]
    assert "c - d" in str(report)
    root = inf.separability(lambda x: 3 + jnp.sqrt(x[0] ** 2 + x[1]), [(1, 2)] * 2)
    np.testing.assert_allclose([root.power[0, 1], root.offset[0, 1]], [2, 3], rtol=1e-6)
    with pytest.raises(ValueError, match="low < high"):
        inf.separability(lambda x: x[0], [(2, 1)])
    with pytest.raises(ValueError, match="not finite"):
        inf.separability(lambda x: jnp.log(x[0]), [(-2, 1)])
