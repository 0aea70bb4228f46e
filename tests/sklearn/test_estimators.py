"""The regressor and the features: what they promise beyond scikit-learn's conventions."""

import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import LinearRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import infinity as inf  # noqa: E402
from infinity.sklearn import KHRONOSRegressor, SeparableFeatures, SmallTableWarning  # noqa: E402

SMALL = {"modes": 1, "elements": 1, "degree": 2}


def table(rows=60, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 3, size=(rows, 2))
    y = 5 + x[:, 0] + 2 * x[:, 0] * x[:, 1] ** 2 + noise * rng.normal(size=rows)
    return x, y


@pytest.fixture(scope="module")
def fitted():
    x, y = table()
    return x, y, KHRONOSRegressor(**SMALL).fit(x, y)


def test_agrees_with_fit(fitted):
    x, y, regressor = fitted
    result = inf.fit(x, y, holdout=0.0, outside="clamp", tolerance=1e-5, **SMALL)
    exact = clone(regressor).set_params(tolerance=1e-5).fit(x, y)
    np.testing.assert_allclose(exact.predict(x), result.predict(x), atol=5e-3)
    assert abs(exact.result_.noise[0] / result.noise[0] - 1) < 0.02
    assert regressor.score(x, y) == pytest.approx(regressor.result_.metrics["train"]["r2"], abs=1e-12)


def test_model_and_predict_agree(fitted):
    x, _, regressor = fitted
    beyond = np.vstack([x, x + 1.0])
    mean, std = regressor.predict(beyond, return_std=True)
    np.testing.assert_allclose(mean, regressor.model_.predict(beyond), rtol=1e-12)
    np.testing.assert_allclose(std, regressor.result_.predict(np.clip(beyond, x.min(0), x.max(0)), True)[1], rtol=1e-9)
    assert np.all(std >= regressor.result_.noise[0])


def test_double_precision_whatever_the_setting(fitted):
    x, y, regressor = fitted
    with jax.enable_x64(False):
        single = KHRONOSRegressor(**SMALL).fit(x.astype(np.float32).astype(float), y)
        assert not jax.config.jax_enable_x64
        again = pickle.loads(pickle.dumps(regressor))
        for one in (single, again):
            assert one.predict(x).dtype == np.float64
            assert {leaf.dtype.name for leaf in jax.tree.leaves(one.model_.inner)} == {"float64"}
        np.testing.assert_array_equal(again.predict(x), regressor.predict(x))
        np.testing.assert_array_equal(again.result_.covariance, regressor.result_.covariance)
        same = KHRONOSRegressor(**SMALL).fit(x, y)
    np.testing.assert_array_equal(same.predict(x), regressor.predict(x))


def test_weights_are_repeated_rows_and_order_does_not_matter(fitted):
    x, y, regressor = fitted
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, size=len(x))
    weighted = KHRONOSRegressor(**SMALL).fit(x, y, sample_weight=counts).predict(x)
    order = rng.permutation(counts.sum())
    rows = np.repeat(np.arange(len(x)), counts)[order]
    np.testing.assert_array_equal(KHRONOSRegressor(**SMALL).fit(x[rows], y[rows]).predict(x), weighted)
    assert np.abs(weighted - regressor.predict(x)).max() > 1e-3
    shuffled = rng.permutation(len(x))
    np.testing.assert_array_equal(
        KHRONOSRegressor(**SMALL).fit(x[shuffled], y[shuffled]).predict(x), regressor.predict(x)
    )


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.full(60, 1 / 60), "sums to 1; a weight counts measurements"),
        (np.zeros(60), "every sample_weight is zero"),
        (-np.ones(60), "sample_weight of row 1 is -1.0"),
        (np.ones(3), "shape"),
    ],
)
def test_bad_weights_are_refused(weights, words):
    with pytest.raises(ValueError, match=words):
        KHRONOSRegressor(**SMALL).fit(*table(), sample_weight=weights)


@pytest.mark.parametrize(
    "wrong",
    [{"modes": 0}, {"elements": 1.5}, {"degree": 1.5}, {"degree": -1}, {"outside": "no"}, {"tolerance": 0}],
)
def test_bad_parameters_are_refused_by_name(wrong):
    estimator = KHRONOSRegressor().set_params(**wrong)
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        estimator.fit(*table())


def test_constant_inputs_are_left_out(fitted):
    x, y, regressor = fitted
    wider = np.column_stack([np.full(len(x), 7.0), x])
    other = KHRONOSRegressor(**SMALL).fit(wider, y)
    assert other.columns_.tolist() == [1, 2]
    assert other.model_.names == ("x1", "x2")
    wider[:, 0] = np.nan_to_num(np.inf)
    np.testing.assert_array_equal(other.predict(wider), regressor.predict(x))


def test_constant_targets_get_their_constant(fitted):
    x, y, regressor = fitted
    both = KHRONOSRegressor(**SMALL).fit(x, np.column_stack([np.full(len(x), 0.1), y, np.full(len(x), -2.0)]))
    mean, std = both.predict(x, return_std=True)
    expected, deviation = regressor.predict(x, return_std=True)
    np.testing.assert_array_equal(mean[:, [0, 2]], np.broadcast_to([0.1, -2.0], (len(x), 2)))
    np.testing.assert_allclose(mean[:, 1], expected, rtol=1e-10)
    np.testing.assert_allclose(std, np.column_stack([0 * deviation, deviation, 0 * deviation]), rtol=1e-8)
    alone = KHRONOSRegressor(**SMALL).fit(x, np.full(len(x), 0.1))
    np.testing.assert_array_equal(alone.predict(x, return_std=True), [np.full(len(x), 0.1), np.zeros(len(x))])
    assert alone.result_.options["model"] == "constant"


def test_without_inputs_that_vary_the_model_is_the_weighted_mean():
    y, weights = np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 2.0])
    regressor = KHRONOSRegressor().fit(np.full((3, 2), 4.0), y, sample_weight=weights)
    mean, std = regressor.predict(np.array([[4.0, 4.0], [5.0, 0.0]]), return_std=True)
    np.testing.assert_allclose(mean, 3.75)
    variance = np.average((y - 3.75) ** 2, weights=weights)
    np.testing.assert_allclose(std, np.sqrt(variance * (1 + 1 / 4)))


def test_a_target_may_equal_an_input(fitted):
    x, _, _ = fitted
    x = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(KHRONOSRegressor(**SMALL).fit(x, x[:, 1]).predict(x), x[:, 1], atol=1e-6)


def test_a_table_without_room_for_products_gets_a_linear_model():
    rng = np.random.default_rng(3)
    x, b = rng.normal(size=(15, 8)), np.arange(8.0)
    with pytest.warns(SmallTableWarning, match="15 distinct measurements of 8 inputs.*linear model"):
        regressor = KHRONOSRegressor(outside="linear").fit(x, np.column_stack([4 + x @ b, 1 - 2 * x @ b]))
    new = rng.normal(size=(5, 8)) * 3
    np.testing.assert_allclose(regressor.predict(new), np.column_stack([4 + new @ b, 1 - 2 * new @ b]), rtol=1e-5)
    assert regressor.result_.options["model"] == "linear"
    fewer = x[:5], x[:5] @ b + rng.normal(size=5)
    with pytest.warns(SmallTableWarning):
        mean, std = KHRONOSRegressor(outside="linear").fit(*fewer).predict(np.vstack([x[:5], 50 * x[:5]]), True)
    assert np.all(np.isfinite(mean))
    assert np.all(std[5:] > std[:5])


def test_a_size_that_the_table_cannot_carry_is_reduced_aloud():
    x, y = table()
    with pytest.warns(SmallTableWarning, match="were asked for; a model of a size that they carry"):
        regressor = KHRONOSRegressor(modes=30, elements=8, degree=2).fit(x, y)
    assert regressor.model_.inner.unknowns <= len(x)


def test_policies_outside_the_box(fitted):
    x, y, regressor = fitted
    beyond = np.vstack([x.max(axis=0) + 1, x.mean(axis=0)])
    values = {
        policy: clone(regressor).set_params(outside=policy).fit(x, y).predict(beyond)
        for policy in ("clamp", "linear", "nan")
    }
    assert values["clamp"][0] == pytest.approx(regressor.predict(x.max(axis=0)[None])[0], rel=1e-12)
    assert np.isnan(values["nan"][0])
    assert values["linear"][0] > values["clamp"][0] + 1
    with pytest.warns(inf.OutsideWarning, match="1 of 2 rows"):
        warned = clone(regressor).set_params(outside="warn").fit(x, y).predict(beyond)
    np.testing.assert_array_equal(warned, values["linear"])
    with pytest.raises(ValueError, match="1 of 2 rows lie outside"):
        clone(regressor).set_params(outside="error").fit(x, y).predict(beyond)


def test_terms_add_up_to_the_model(fitted):
    x, y, regressor = fitted
    features = SeparableFeatures(**SMALL).fit(x, y)
    terms = features.transform(x)
    assert terms.shape == (60, 3)
    model = features.model_
    total = model.shift[0] + model.scale[0] * (model.inner.constant[0] + terms.sum(axis=1))
    np.testing.assert_allclose(total, regressor.predict(x), rtol=1e-10)
    modes = SeparableFeatures(additive=False, **SMALL).fit_transform(x, y)
    np.testing.assert_allclose(modes, terms[:, 2:], rtol=1e-10)
    pipeline = make_pipeline(SeparableFeatures(**SMALL), LinearRegression()).fit(x, y)
    assert pipeline.score(x, y) >= regressor.score(x, y) - 1e-12


def test_terms_of_several_targets_add_up_to_each():
    x, y = table(rows=5)
    both = np.column_stack([y, x[:, 1] - y])
    with pytest.warns(SmallTableWarning):  # a linear model, which takes no time to compile; its mode is zero
        features, regressor = SeparableFeatures().fit(x, both), KHRONOSRegressor().fit(x, both)
    assert features.get_feature_names_out(["u", "v"]).tolist() == [
        *("additive_y0_u", "additive_y0_v", "additive_y1_u", "additive_y1_v"),
        "mode0",
    ]
    terms, model = features.transform(x), features.model_
    np.testing.assert_array_equal(terms[:, 4], 0)
    total = terms[:, :4].reshape(-1, 2, 2).sum(axis=2) + np.asarray(model.inner.constant)
    total = np.asarray(model.shift) + np.asarray(model.scale) * total
    np.testing.assert_allclose(total, regressor.predict(x), rtol=1e-10)


def test_names_of_a_data_frame():
    pandas = pytest.importorskip("pandas")
    x, y = table()
    frame = pandas.DataFrame(x, columns=["width", "y"])
    features = SeparableFeatures(**SMALL).set_output(transform="pandas").fit(frame, pandas.Series(y))
    assert list(features.transform(frame).columns) == ["additive_width", "additive_y", "mode0"]
    assert features.feature_names_in_.tolist() == ["width", "y"]
    with pytest.raises(ValueError, match="feature_names_in_"):
        features.get_feature_names_out(["a", "b"])
    with pytest.raises(ValueError, match="feature names"):
        features.transform(frame.rename(columns={"y": "z"}))


def test_search_in_a_pipeline_and_saving(tmp_path, fitted):
    x, y, regressor = fitted
    pipeline = make_pipeline(StandardScaler(), KHRONOSRegressor(**SMALL))
    search = GridSearchCV(pipeline, {"khronosregressor__outside": ["nan", "linear"]}, cv=2, error_score=-9.0)
    with pytest.warns(UserWarning, match="Scoring failed"):  # some rows of a fold lie outside the box of the others
        search.fit(x, y)
    assert search.best_params_ == {"khronosregressor__outside": "linear"}
    assert search.score(x, y) > 0.99
    regressor.result_.save(tmp_path / "model.inf")
    np.testing.assert_allclose(inf.load(tmp_path / "model.inf").predict(x), regressor.predict(x), rtol=1e-12)


def test_an_unfinished_solve_warns():
    x, y = table()
    with pytest.warns(ConvergenceWarning, match="still fell by more than"):
        regressor = KHRONOSRegressor(tolerance=1e-300, **SMALL).fit(x, y)
    assert not regressor.result_.success


def test_random_state_is_a_seed_or_a_generator():
    x, y = table()
    draw = lambda state: KHRONOSRegressor(random_state=state, **SMALL).fit(x, y).result_.seed
    assert draw(5) == 5
    assert draw(np.random.RandomState(0)) == draw(np.random.RandomState(0))
    assert draw(None) != draw(None)


def test_without_scikit_learn_the_error_names_the_extra():
    code = "import sys; sys.modules['sklearn'] = None; import infinity; infinity.fit; infinity.sklearn"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stderr.strip().splitlines()[-1] == (
        'ImportError: infinity.sklearn needs scikit-learn: pip install "infinity[sklearn]"'
    )
    assert subprocess.run([sys.executable, "-c", "from infinity import *; fit"], check=False).returncode == 0


def test_bounds_keep_predictions_and_refuse_data_beyond():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(60, 2))
    y = np.clip(3 * X[:, 0] - 1, 0, 1)
    regressor = KHRONOSRegressor(modes=1, elements=2, bounds=(0, 1), outside="linear").fit(X, y)
    prediction = regressor.predict(rng.uniform(-2, 3, size=(200, 2)))
    assert (prediction.min(), prediction.max()) == (0.0, 1.0)
    assert regressor.model_.link == "identity(0.0, 1.0)"
    small = KHRONOSRegressor(bounds=(None, 0.5)).set_params(bounds=(0, None))
    with pytest.warns(SmallTableWarning):
        assert np.all(small.fit(X[:6], y[:6]).predict(X) >= 0)
    with pytest.raises(ValueError, match=r"row \d+, column 'y': .* lies above the upper bound 0.5"):
        KHRONOSRegressor(bounds=(None, 0.5)).fit(X, y)
    with pytest.raises(ValueError, match="expected a pair"):
        KHRONOSRegressor(bounds=0).fit(X, y)
