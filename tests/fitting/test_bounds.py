"""Bounds of the target: every link keeps them, inside the box and outside, and data that violate them are refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import infinity as inf
from infinity.fitting.links import KINDS, LINKS, bounded, links_to_try, squared

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(300, 2))
SHARE = 1 / (1 + np.exp(-(8 * X[:, 0] - 4 + X[:, 1])))
SMALL = {"modes": 2, "elements": 3}
NAMES = ["log", "log(2.0, inf)", "log(-inf, 5.0)", "logit(-1.0, 3.0)", "identity(-1.0, 3.0)", "identity"]


@pytest.mark.parametrize("name", NAMES)
def test_links_invert_and_have_the_slopes_they_say(name):
    link = LINKS[name]
    u = np.linspace(-0.9, 2.9, 23)
    y = np.asarray(link.inverse(u))
    np.testing.assert_allclose(link.forward(y), u, rtol=1e-12, atol=1e-12)
    slopes = jax.vmap(jax.grad(lambda u: link.inverse(u)))(jnp.asarray(u))
    np.testing.assert_allclose(link.slope(y), slopes, rtol=1e-12)
    np.testing.assert_allclose(link.continued(u, 1e-6), y + 1e-6 * np.asarray(slopes), rtol=1e-12)
    assert np.all(np.diff(y) > 0)


@pytest.mark.parametrize("name", NAMES[1:-1])
def test_nothing_leaves_the_bounds(name):
    part = LINKS[name].parts[0]
    u = np.array([-1e9, -800.0, -30.0, 0.0, 30.0, 700.0, 1e9])
    for change in (0.0, -50.0, 50.0):
        y = np.asarray(LINKS[name].continued(u, change))
        assert np.all((y >= part.lower) & (y <= part.upper))
    ends = np.array([max(part.lower, -10.0), min(part.upper, 10.0)])
    assert np.isfinite(LINKS[name].forward(ends)).all()
    assert np.all(LINKS[name].slope(ends) > 0)


def test_each_target_has_its_own_link():
    name = bounded("logit", ((0.0, 1.0), (-math.inf, math.inf), (-math.inf, 3.0)))
    assert name == "logit(0.0, 1.0; -inf, inf; -inf, 3.0)"
    link = LINKS[name]
    assert [part.kind for part in link.parts] == ["between", "identity", "below"]
    u = RNG.normal(size=(5, 3))
    np.testing.assert_allclose(link.forward(np.asarray(link.inverse(u))), u, rtol=1e-12)
    np.testing.assert_allclose(link.slope(np.asarray(link.inverse(u)))[:, 1], 1.0)
    assert link.part(0).label("share") == "logit(share)"
    for wrong in (
        "probit",
        "log()",
        "log(1.0)",
        "log(a, b)",
        "log(2.0, 1.0)",
        "identity(nan, 1.0)",
        "square(0)",
        "square(1.0, 2.0)",
        "square",
    ):
        assert wrong not in LINKS


def test_the_square_is_that_of_values_at_or_above_zero():
    link, y = LINKS["square(0.5)"], np.array([0.6, 1.0, 7.0])
    np.testing.assert_allclose(link.inverse(link.forward(y)), y, rtol=1e-15)
    slopes = jax.vmap(jax.grad(lambda u: link.inverse(u)))(jnp.asarray(y**2))
    np.testing.assert_allclose(link.slope(y), slopes, rtol=1e-14)
    np.testing.assert_array_equal(link.slope(np.array([0.0, 0.3])), 1.0)  # as at the least size
    np.testing.assert_array_equal(link.inverse(jnp.array([-1e9, -1.0, 0.0])), 0.0)
    assert jax.grad(lambda u: link.inverse(u))(0.0) == 0.0
    assert float(link.continued(4.0, 0.4)) == pytest.approx(2.1)
    assert float(link.continued(4.0, -1e9)) == 0.0
    assert link.part(0).label("speed") == "speed^2"
    name = squared(np.array([[3.0, 1.0], [4.0, 1.0]]))
    assert name == "square(0.354; 0.1)"
    assert LINKS[name].part(1).size == 0.1


@pytest.mark.slow
def test_a_distance_is_described_by_its_square():
    random = np.random.default_rng(3)
    x, new = random.uniform(-1, 1, (150, 2)), random.uniform(-0.9, 0.9, (200, 2))
    distance = lambda x: np.hypot(x[:, 0] - 0.2, x[:, 1])
    result = inf.fit(x, distance(x))
    assert result.model.link.startswith("square(")
    np.testing.assert_allclose(result.predict(new), distance(new), rtol=1e-10)
    # With few digits left to a measurement an interval ends at zero.
    lower, upper = result.intervals(new)
    assert np.all((lower >= 0) & (upper >= lower))


@pytest.mark.parametrize("link", [None, *KINDS[:3]])
def test_interval(link):
    y = SHARE + 0.02 * RNG.normal(size=300) * SHARE * (1 - SHARE)
    if link == "log":
        with pytest.raises(ValueError, match="'y' has two bounds; the link 'log' needs exactly one"):
            inf.fit(X, y, bounds=(0, 1), link=link, **SMALL)
        return
    result = inf.fit(X, y, bounds=(0, 1), link=link, outside="linear", **SMALL)
    assert result.model.link == ("logit(0.0, 1.0)" if link == "logit" else "identity(0.0, 1.0)")
    assert result.metrics["heldout"]["nrmse"] < 0.05
    far = np.concatenate([X, RNG.uniform(-3, 4, size=(200, 2))])
    mean, std = result.predict(far, return_std=True)
    lower, upper = result.intervals(far)
    for values in (mean, lower, upper, jax.vmap(result.model)(jnp.asarray(far))):
        assert np.all((values >= 0) & (values <= 1))
    assert np.all(np.isfinite(std))
    assert np.all((lower <= mean) & (mean <= upper))
    covered = (y >= lower[:300]) & (y <= upper[:300])
    assert covered.mean() > 0.85


def test_the_link_is_selected():
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(200, 2))
    y = 3 + np.exp(4 * x[:, 0] + 3 * x[:, 1])
    result = inf.fit(x, y, bounds=(3, None), local=False)
    assert result.model.link == "log(3.0, inf)"
    assert {trial.link for trial in result.trials} == {"identity(3.0, inf)", "log(3.0, inf)"}
    assert "log(y - 3)" in str(result.sobol())
    assert result.metrics["heldout"]["nrmse"] < 1e-4


def test_data_at_a_bound_are_fitted_by_a_clipped_identity():
    y = np.clip(SHARE, 0.2, 0.8)
    assert links_to_try(None, (0.2, 0.8), y[:, None], ("y",)) == ("identity(0.2, 0.8)",)
    result = inf.fit(X, y, bounds=(0.2, 0.8), **SMALL)
    prediction = np.asarray(result.predict(X))
    assert prediction.min() == 0.2
    assert prediction.max() == 0.8
    lower, upper = result.intervals(X)
    assert np.min(lower) >= 0.2
    assert np.max(upper) <= 0.8


def test_several_targets_with_bounds_of_their_own(tmp_path):
    y = np.stack([SHARE, X[:, 0] - X[:, 1], np.exp(3 * X[:, 0])], axis=1)
    bounds = ([0, None, 0], [1, math.inf, None])
    assert links_to_try(None, bounds, y, ("a", "b", "c"))[1] == "logit(0.0, 1.0; -inf, inf; 0.0, inf)"
    result = inf.fit(X, y, bounds=bounds, target=["a", "b", "c"], outside="linear", **SMALL)
    far = RNG.uniform(-3, 4, size=(200, 2))
    value, std = result.predict(far, return_std=True)
    assert np.all((value[:, 0] >= 0) & (value[:, 0] <= 1) & (value[:, 2] >= 0))
    assert np.min(value[:, 1]) < 0
    assert std.shape == (200, 3)
    result.save(tmp_path / "model.inf")
    np.testing.assert_array_equal(inf.load(tmp_path / "model.inf").predict(far), result.model.predict(far))


def test_a_given_model_may_have_bounds():
    model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=1, degree=1, key=jax.random.key(0))
    for solver in (None, optax.adam(0.05)):
        result = inf.fit(X, SHARE, model=model, solver=solver, bounds=(0, 1), holdout=0.0, tolerance=1e-2)
        prediction = np.asarray(result.predict(X))
        assert prediction.min() == 0
        assert prediction.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"bounds": (0.5, None)},
            r"row \d+, column 'y': [\d.e-]+ lies below the lower bound 0.5 \(\d+ such values in all\)",
        ),
        ({"bounds": (None, 0.5)}, r"row \d+, column 'y': [\d.]+ lies above the upper bound 0.5"),
        ({"bounds": (1, 0)}, "the bounds of 'y' are 1 and 0; expected the lower below the upper"),
        ({"bounds": (math.inf, None)}, "the bounds of 'y' are inf and inf"),
        ({"bounds": 3}, r"bounds is 3; expected a pair \(lower, upper\)"),
        ({"bounds": "01"}, "bounds is '01'; expected a pair"),
        ({"bounds": ("a", 1)}, "expected a pair"),
        ({"bounds": ([0, 0], 1)}, r"each a number, 1 numbers \(one a target\) or None"),
        ({"bounds": (math.nan, 1)}, "expected a pair"),
        ({"link": "logit"}, "the link 'logit' needs a lower and an upper bound"),
        (
            {"link": "square", "bounds": (0, 5)},
            "the bounds of 'y' are 0 and 5; the link 'square' keeps a target at or above 0",
        ),
        ({"link": "logit", "bounds": (0, None)}, "'y' has one bound; the link 'logit' needs two"),
        (
            {"link": "log", "bounds": (float(SHARE.min()), None)},
            r"touches a bound; the link 'log' keeps a target inside",
        ),
        ({"link": "probit"}, "link is 'probit'; expected one of identity, log, logit"),
    ],
)
def test_bad_bounds_are_one_sentence(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        inf.fit(X, SHARE, **change, **SMALL)
    assert "\n" not in str(caught.value)
