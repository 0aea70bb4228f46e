"""Selection, links, averages and intervals: properties that hold for every table."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import infinity as inf
from infinity.fitting import candidates
from infinity.fitting.candidates import search
from infinity.fitting.dense import DenseProcess
from infinity.fitting.ensemble import average, average_covariance
from infinity.fitting.local import LocalStage
from infinity.fitting.samples import Samples
from infinity.fitting.selection import select
from infinity.fitting.size import choose_size
from infinity.fitting.trials import Trials
from infinity.fitting.twins import repeats_of
from infinity.fitting.uncertainty import conformal_quantile, parameter_variance


def models(outputs, count=3):
    make = lambda key: inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=2, degree=2, outputs=outputs, key=key)
    made = []
    for key in jax.random.split(jax.random.key(0), count):
        model = make(key)
        theta, unravel = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
        made.append(eqx.combine(unravel(theta + 0.3 * jax.random.normal(key, theta.shape)), model))
    return made


@pytest.mark.parametrize("outputs", ["scalar", 2])
def test_average_is_the_mean_of_its_members(outputs):
    members = models(outputs)
    x = jax.random.uniform(jax.random.key(1), (20, 2))
    expected = np.mean([jax.vmap(model)(x) for model in members], axis=0)
    np.testing.assert_allclose(jax.vmap(average(members))(x), expected, rtol=1e-10)


@pytest.mark.parametrize("outputs", ["scalar", 2])
def test_covariance_of_an_average_gives_the_mean_of_the_variances_and_the_variance_of_the_starts(outputs):
    members = models(outputs)
    rng = np.random.default_rng(0)
    P = members[0].unknowns
    roots = [rng.standard_normal((P, P)) for _ in members]
    covariances = [root @ root.T for root in roots]
    x = rng.uniform(size=(7, 2))
    whole = average_covariance(members, covariances)
    assert np.linalg.eigvalsh(whole)[0] > -1e-8 * np.linalg.eigvalsh(whole)[-1]
    each = [parameter_variance(model, x, V) for model, V in zip(members, covariances, strict=True)]
    values = np.stack([np.reshape(jax.vmap(model)(x), (7, -1)) for model in members])
    expected = np.mean(each, axis=0) + np.var(values, axis=0)
    np.testing.assert_allclose(parameter_variance(average(members), x, whole), expected, rtol=1e-8)


def test_variance_is_that_of_the_jacobian():
    model = models(2, count=1)[0]
    theta, unravel = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
    V = np.diag(np.linspace(0.5, 2.0, theta.size))
    x = np.random.default_rng(0).uniform(size=(5, 2))
    J = jax.vmap(lambda x: jax.jacobian(lambda theta: eqx.combine(unravel(theta), model)(x))(theta))(jnp.asarray(x))
    expected = jnp.einsum("nop,pq,noq->no", J, V, J)
    np.testing.assert_allclose(parameter_variance(model, x, V), expected, rtol=1e-9)


def test_quantile_covers_its_level():
    """A new score exceeds the quantile with a probability of one minus the level, whatever its distribution."""
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(4000, 30)) ** 2
    for level in (0.5, 0.9):
        inside = [row[-1] <= conformal_quantile(row[:-1], level) for row in draws]
        assert level - 0.02 < np.mean(inside) < level + 0.02


@pytest.fixture(scope="module")
def law():
    """A positive law, exact: a product, whose logarithm is a sum."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 2.0, size=(500, 3))
    y = np.exp(2 * np.sin(x[:, 0])) * x[:, 1] ** 3 / (1 + x[:, 2])
    return x, y, inf.fit(x, y, outside="linear")


def test_a_law_is_found_to_high_accuracy_and_the_trials_are_told(law):
    x, y, result = law
    # The best polynomial of degree 7 leaves 8e-5 of 3 log x between 0.5 and 2.
    assert result.metrics["heldout"]["nrmse"] < 5e-5
    assert len(result.trials) >= 2
    assert result.options["members"] == 1
    best = min(trial.error for trial in result.trials)
    lines = result.selection().splitlines()
    assert len(lines) == len(result.trials)
    assert f"error {best:.3g}" in lines[0]
    np.testing.assert_allclose(result.model(jnp.asarray(x[3])), y[3], rtol=1e-4)


def test_intervals_hold_new_measurements(law):
    x, _, result = law
    rng = np.random.default_rng(1)
    new = rng.uniform(0.5, 2.0, size=(400, 3))
    new = np.clip(new, x.min(0), x.max(0))
    y = np.exp(2 * np.sin(new[:, 0])) * new[:, 1] ** 3 / (1 + new[:, 2])
    lower, upper = result.intervals(new, 0.9)
    assert 0.75 < np.mean((y >= lower) & (y <= upper)) <= 1.0
    narrow = result.intervals(new, 0.5)
    assert np.all(narrow[1] - narrow[0] <= upper - lower)
    mean, std = result.predict(new, return_std=True)
    assert np.all((lower <= mean) & (mean <= upper))
    assert np.all(std > 0)
    with pytest.raises(ValueError, match=r"level is 1\.5; expected"):
        result.intervals(new, 1.5)


@pytest.mark.slow
def test_noisy_data_get_an_average_whose_intervals_cover():
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(400, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1] + 0.2 * rng.standard_normal(400)
    result = inf.fit(x, y, holdout=0.25)
    assert result.options["members"] > 1
    assert 0.15 < float(result.noise[0]) < 0.25
    new = rng.uniform(size=(600, 2)) * 0.98 + 0.01
    truth = np.sin(3 * new[:, 0]) + new[:, 1]
    assert np.sqrt(np.mean((np.asarray(result.predict(new)) - truth) ** 2)) < 0.1
    lower, upper = result.intervals(new, 0.9)
    measured = truth + 0.2 * rng.standard_normal(600)
    assert 0.8 < np.mean((measured >= lower) & (measured <= upper)) < 0.98
    assert len(result.heldout_prediction) == len(result.heldout) == 100


def test_a_given_link_keeps_a_target_positive(law):
    x, y, _ = law
    result = inf.fit(x, y, link="log", modes=1, elements=1, degree=2, outside="linear")
    assert result.model.link == "log"
    corners = np.array([[0.5, 0.5, 2.0], [2.0, 0.5, 2.0]])
    assert np.all(np.asarray(result.predict(np.clip(corners, x.min(0), x.max(0)))) > 0)
    with pytest.raises(ValueError, match="row 8, column 'y': -1 has no logarithm"):
        inf.fit(x, np.where(np.arange(500) == 7, -1.0, y), link="log")
    with pytest.raises(ValueError, match="link is 'root'; expected one of identity, log"):
        inf.fit(x, y, link="root")


def test_a_copy_of_a_row_is_a_row_of_weight_two():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(120, 2))
    y = x[:, 0] * x[:, 1] + 0.1 * rng.standard_normal(120)
    weights = np.where(np.arange(120) < 40, 2.0, 1.0)
    given = weights.copy()
    fit = lambda x, y, **kwargs: inf.fit(x, y, modes=1, elements=2, outside="linear", **kwargs)
    copied = fit(np.vstack([x, x[:40]]), np.concatenate([y, y[:40]]))
    weighted = fit(x, y, weights=weights)
    np.testing.assert_array_equal(weights, given)
    assert (weighted.options["copies"], copied.options["copies"]) == (0, 40)
    np.testing.assert_array_equal(copied.heldout, weighted.heldout)
    np.testing.assert_allclose(copied.predict(x), weighted.predict(x), atol=1e-8)
    np.testing.assert_allclose(copied.noise, weighted.noise, rtol=1e-8)


def test_noise_is_that_of_the_target_under_any_link():
    """Errors of one size everywhere: their standard deviation is the same where the target is small and where it is large."""
    rng = np.random.default_rng(4)
    x = rng.uniform(size=(600, 2))
    truth = lambda x: np.exp(3 * x[:, 0]) * (1 + x[:, 1])
    result = inf.fit(x, truth(x) + 0.2 * rng.standard_normal(600), link="log", modes=1, elements=2, outside="linear")
    np.testing.assert_allclose(result.noise, 0.2, rtol=0.15)
    new = rng.uniform(0.05, 0.95, size=(500, 2))
    mean, std = result.predict(new, return_std=True)
    np.testing.assert_allclose(std, 0.2, rtol=0.3)
    lower, upper = result.intervals(new, 0.9)
    measured = truth(new) + 0.2 * rng.standard_normal(500)
    for part in (truth(new) < 4, truth(new) > 8):
        assert 0.8 < np.mean(((measured >= lower) & (measured <= upper))[part]) < 0.99
    assert np.all(np.asarray(lower) > 0)
    assert np.all(np.asarray(mean) > 0)


def test_size_counts_distinct_values():
    x = np.random.default_rng(0).uniform(size=(200, 3))
    x[:, 2] = x[:, 2] > 0.5
    size = choose_size(x, 1, None, None, 3)
    assert size.degrees[2] == 1
    assert len(size.breakpoints[2]) == 2
    assert 4 * size.unknowns(1) <= 200


@pytest.mark.parametrize("rows", [12, 40])
def test_a_small_table_needs_no_selection(rows):
    x = np.linspace(0.0, 1.0, rows)
    result = inf.fit(x, 2 * x + 0.01 * np.cos(40 * x), holdout=0.0)
    assert result.trials == []
    assert "nothing was selected" in result.selection()
    np.testing.assert_allclose(result.predict(x), 2 * x, atol=0.05)
    with pytest.raises(ValueError, match="held no rows out"):
        result.intervals(x)


def test_weights_that_count_less_than_two_measurements_are_refused():
    x = np.linspace(0.0, 1.0, 30)
    with pytest.raises(ValueError, match="the weights sum to 1; a weight counts measurements"):
        inf.fit(x, x**2, weights=np.full(30, 1 / 30))


def test_a_logarithm_holds_where_its_target_is_nearly_zero():
    # A spot of heat: most values are tiny, and weigh next to nothing; left free there, an exponential of the fit reached 1e15 between the rows.
    def spot(x):
        width = 0.01 + x[:, 1]
        return np.exp(-(x[:, 0] ** 2) / width) / width

    draw = lambda n, seed: np.random.default_rng(seed).uniform((-1.0, 0.0), (1.0, 0.8), (n, 2))
    x, new = draw(2000, 0), draw(20_000, 1)
    result = inf.fit(x, spot(x), modes=1, elements=4, link="log", outside="linear")
    assert np.sqrt(np.mean((result.predict(new) - spot(new)) ** 2)) < 0.2 * spot(new).std()


def waves(rows):
    x = np.random.default_rng(3).uniform(size=(rows, 3))
    return x, np.sin(6 * x[:, 0]) * np.exp(x[:, 1]) + x[:, 2] ** 2


def test_an_accuracy_ends_the_selection_with_the_plainest_model_that_has_it():
    x, y = waves(6000)
    new, truth = waves(6500)
    found = {accuracy: inf.fit(x, y, accuracy=accuracy, seed=1) for accuracy in (0.3, 0.01)}
    for accuracy, result in found.items():
        assert result.success
        assert result.message == "The fit ended where it was accurate enough."
        off = result.predict(new[6000:]) - truth[6000:]
        assert np.sqrt(np.mean(off**2)) < accuracy * np.std(truth)
    # The first size is tried alone where it suffices, and few rows are asked.
    assert len(found[0.3].trials) == 1
    assert found[0.3].options["modes"] == 4


@pytest.mark.slow
def test_an_accuracy_that_no_model_has_leaves_the_best_one():
    x, y = waves(1000)
    x, y = x[:, :1], y + np.random.default_rng(0).normal(size=len(y))
    asked, best = inf.fit(x, y, accuracy=1e-3, local=False), inf.fit(x, y, local=False)
    np.testing.assert_allclose(asked.predict(x[:50]), best.predict(x[:50]), rtol=1e-10)


@pytest.mark.parametrize("accuracy", [0.0, -1, 1, float("nan")])
def test_what_is_no_accuracy_is_refused(accuracy):
    x, y = waves(50)
    with pytest.raises(ValueError, match=r"accuracy is .*; expected a part of the target's standard deviation"):
        inf.fit(x, y, accuracy=accuracy)


def test_an_accuracy_goes_with_a_model_that_is_selected():
    x, y = waves(50)
    with pytest.raises(ValueError, match="accuracy ends the selection of a model; leave out"):
        inf.fit(x, y, accuracy=0.1, modes=3)
    with pytest.raises(ValueError, match="accuracy ends the selection of a model; leave out"):
        inf.fit(x, y, accuracy=0.1, local=True)


@pytest.mark.slow
def test_more_modes_of_the_law_itself_come_before_its_square():
    """Few rows carry one mode of cubic splines, and the square with five modes is much better; the law itself is exact with five."""
    x = np.random.default_rng(2).uniform(size=(1000, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    result = inf.fit(x, y, seed=2)
    assert result.options["link"] == "identity"
    assert result.metrics["heldout"]["nrmse"] < 1e-4


def tried_on(y, x, links, local=False):
    """The trials of a search for a clean law."""
    samples = Samples(x, y[:, None], np.ones(len(x)), jnp.float64, 1e-2, None, len(x), repeats_of(x, y[:, None]))
    trials = Trials(samples, 60, 0)
    search(trials, choose_size(x, 1, None, None, 3), links, free=False, local=local)
    return trials


@pytest.fixture(scope="module")
def reciprocal():
    """The trials on a law that one mode describes poorly, and its logarithm better."""
    x = np.random.default_rng(5).uniform(size=(400, 2))
    return tried_on(1 / (1.2 - x[:, 0] * x[:, 1]), x, ("identity", "log"))


def test_without_noise_either_link_gets_many_modes_and_the_best_further_starts(reciprocal):
    many = [made for made in reciprocal.made if made.trial.degree == 7]
    assert {made.trial.link for made in many} == {"identity", "log"}
    best = reciprocal.winner
    starts = {made.member for made in many if made.trial.link == best.trial.link and made.size == best.size}
    assert starts == {0, 1, 2, 3, 4}
    assert best.trial.error == min(made.trial.error for made in reciprocal.made)
    assert best.fit.converged or "gone on with" in str(best.trial)


def test_other_starts_of_the_best_are_each_told_once_the_best_first(reciprocal):
    others = reciprocal.others()
    assert len(others) == 4
    assert len({made.member for made in others} | {reciprocal.winner.member}) == 5
    errors = [made.trial.error for made in others]
    assert errors == sorted(errors)
    for made in others:
        same = [
            o for o in reciprocal.made if (o.trial.link, o.size, o.member) == (made.trial.link, made.size, made.member)
        ]
        assert made.trial.error == min(o.trial.error for o in same)


@pytest.mark.parametrize("preferred", ["identity", "log"])
def test_where_a_local_stage_is_to_come_its_process_chooses_between_links_about_as_good(monkeypatch, preferred):
    x = np.random.default_rng(6).uniform(size=(400, 4))
    y = np.exp(1.5 * np.sin(3 * (x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] ** 2)))
    asked = ["identity", "log"]

    def left_out(self):
        # What the process says of the preferred link is exact, of the other far off.
        values = np.asarray(self.values)
        return values if asked.pop(0) == preferred else values + 3.0, np.ones_like(values)

    monkeypatch.setattr(DenseProcess, "left_out", left_out)
    # Whatever is left over, and however the links compare.
    for name, value in {"HARD": 1e-9, "SHARP": 1.0, "GAINED": 10.0, "NEAR": 1e9}.items():
        monkeypatch.setattr(candidates, name, value)
    trials = tried_on(y, x, ("identity", "log"), local=True)
    assert asked == []
    assert trials.winner.trial.link == preferred
    assert {made.trial.link for made in trials.made if made.member > 0} == {preferred}


def test_noise_gets_no_further_trials():
    rng = np.random.default_rng(7)
    x = rng.uniform(size=(400, 2))
    y = 3 + np.sin(3 * x[:, 0]) * x[:, 1] + 0.05 * rng.normal(size=400)
    trials = tried_on(y, x, ("identity", "log"))
    assert trials.error > 0.03
    assert all(made.member == 0 and not made.trial.onwards for made in trials.made)


def noisy_samples(rows):
    x = np.random.default_rng(3).uniform(size=(rows, 2))
    y = np.sin(5 * x[:, :1]) * x[:, 1:] + 0.1 * np.random.default_rng(4).normal(size=(rows, 1))
    return Samples(x, y, np.ones(rows), jnp.float64, 1e-2, None, rows, repeats_of(x, y)).shuffled(0)


def chosen_from(samples):
    options = {"given": None, "size": (None, None, None), "links": None, "columns": (), "seed": 0}
    return select(samples, local=True, **options)


def test_starts_of_a_small_noisy_table_leave_out_rows_of_their_own(monkeypatch):
    samples = noisy_samples(200)
    fitted, judged = [], []

    def fit(self, link, start, rows=None, *rest, **more):
        fitted.append({row.tobytes() for row in self.x[:rows]})
        return plain_fit(self, link, start, rows, *rest, **more)

    def given(self, x, z, weights):
        judged.append({row.tobytes() for row in x})
        return plain_given(self, x, z, weights)

    plain_fit, plain_given = Samples.fit, LocalStage.given
    monkeypatch.setattr(Samples, "fit", fit)
    monkeypatch.setattr(LocalStage, "given", given)
    found = chosen_from(samples)
    every = {row.tobytes() for row in samples.x}
    starts = len(found.fits)
    assert starts == 4
    left_out = [every - rows for rows in fitted[-starts:]]
    assert [len(rows) for rows in left_out] == [30] * starts
    assert len(set.union(*left_out)) == 30 * starts
    # The local stage predicts each of these parts from all rows but those.
    assert sorted(map(sorted, left_out)) == sorted(sorted(every - rows) for rows in judged)


def test_few_noisy_rows_more_are_fitted_from_the_start():
    samples = noisy_samples(200)
    found = chosen_from(samples.first(150))
    again = found.refitted(samples)
    anew = samples.fit(found.link, found.starts[1], most_iterations=found.most_iterations)
    np.testing.assert_allclose(again.fits[1].values, anew.values, atol=1e-12)
    assert again.local is None or len(again.local.process.points) == 200
