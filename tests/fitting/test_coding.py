"""Categories and missing values: what they are coded as, what `inf.fit` makes of them, and each mistake by its row and column."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.coding import Coding, Column, label_of
from infinity.fitting.preparation import MOST_ONE_HOT, prepare
from infinity.fitting.target_coding import shrunken_means, with_means

ROWS = 240
RNG = np.random.default_rng(0)
SIZE = RNG.uniform(0, 2, ROWS)
COLOUR = RNG.choice(["red", "green", "blue"], ROWS, p=[0.5, 0.3, 0.2])
SHOP = RNG.choice([f"shop {i}" for i in range(20)], ROWS)
SLOPE = {"red": 1.0, "green": 0.3, "blue": 2.0}
WORTH = {f"shop {i}": 0.2 * i for i in range(20)}
Y = np.array([(1 + size) * SLOPE[colour] for size, colour in zip(SIZE, COLOUR, strict=True)])
SMALL = {"modes": 2, "elements": 2}


def table(*columns):
    """Columns of any kind side by side."""
    x = np.empty((len(columns[0]), len(columns)), object)
    for d, column in enumerate(columns):
        x[:, d] = column
    return x


X = table(SIZE, COLOUR)


@pytest.fixture(scope="module")
def colours():
    return inf.fit(X, Y, names=["size", "colour"], categories=["colour"], **SMALL)


def test_one_hot_coding_finds_the_law(colours):
    assert colours.model.names == ("size", "colour=green", "colour=blue")
    assert colours.model.inputs == ("size", "colour")
    assert colours.metrics["heldout"]["nrmse"] < 1e-6
    np.testing.assert_allclose(colours.predict([[1.0, "blue"], [0.5, "green"]]), [4.0, 0.45], rtol=1e-5)
    points = jnp.asarray(colours.model.coded(X[:5]))
    np.testing.assert_allclose(jax.vmap(colours.model)(points), colours.predict(X[:5]), rtol=1e-12)


def test_numbers_name_categories_and_indices_name_columns(colours):
    numbers = table(SIZE, np.array([{"red": 1, "green": 2, "blue": 3}[c] for c in COLOUR]))
    result = inf.fit(numbers.astype(float), Y, categories=[1], **SMALL)
    np.testing.assert_allclose(result.predict([[1.0, 3]]), [4.0], rtol=1e-5)
    np.testing.assert_allclose(result.predict(numbers[:5]), colours.predict(X[:5]), rtol=1e-6)
    assert [label_of(value) for value in (1, 1.0, np.float32(0.1), True, " a ")] == ["1", "1", "0.1", "True", "a"]


def test_a_table_of_text_alone_is_read_as_it_is_meant(colours):
    result = inf.fit(X.astype(str), Y, names=["size", "colour"], categories="colour", **SMALL)
    np.testing.assert_allclose(result.predict(X[:5].astype(str)), colours.predict(X[:5]), rtol=1e-6)


def test_many_levels_are_coded_by_the_target():
    y = Y + np.array([WORTH[shop] for shop in SHOP])
    assert len(WORTH) > MOST_ONE_HOT
    result = inf.fit(table(SIZE, COLOUR, SHOP), y, names=["a", "b", "shop"], categories=["b", "shop"], **SMALL)
    assert result.model.names[-1] == "shop (mean of y)"
    assert result.metrics["heldout"]["nrmse"] < 0.5
    low, high = (float(result.predict([[1.0, "red", f"shop {i}"]])[0]) for i in (1, 18))
    assert high > low + 1
    with pytest.raises(ValueError, match=r"row 1, column 'shop': the category 'nowhere' is unknown; .* and 8 more"):
        result.predict([[1.0, "red", "nowhere"]])


def test_target_coding_never_uses_a_rows_own_fold():
    """With as many levels as pairs of rows and a target of pure noise, a leak would make the code follow the target."""
    rng = np.random.default_rng(1)
    index, y, weights = np.repeat(np.arange(100), 2), rng.normal(size=(200, 1)), np.ones(200)
    codes = tuple((float(at),) for at in range(100))
    coding = Coding((Column("c", "means", tuple(map(str, range(100))), (0.01,) * 100, codes, ("y",)),))
    train, heldout = np.arange(180), np.arange(180, 200)
    found, x = with_means(coding, index[:, None].astype(float), y, weights, train, heldout, 0)
    assert np.corrcoef(x[train, 0], y[train, 0])[0, 1] < 0.1
    changed = y.copy()
    changed[heldout] += 100.0
    again = with_means(coding, index[:, None].astype(float), changed, weights, train, heldout, 0)
    np.testing.assert_array_equal(again[1], x)  # the held-out targets play no part before the last fit
    kept = np.array(found.columns[0].codes)
    assert x.min() <= kept.min()
    assert kept.max() <= x.max()


def test_shrunken_means_lie_between_the_level_and_all():
    rng = np.random.default_rng(2)
    index = rng.integers(0, 8, 400)
    y = (index + rng.normal(scale=3.0, size=400))[:, None]
    means = shrunken_means(index, y, np.ones(400), 9)[:, 0]
    plain = np.array([y[index == level].mean() for level in range(8)])
    assert np.all(np.abs(means[:8] - y.mean()) < np.abs(plain - y.mean()))
    np.testing.assert_allclose(means[8], y.mean())
    doubled = shrunken_means(np.tile(index, 2), np.tile(y, (2, 1)), np.ones(800), 9)
    np.testing.assert_allclose(shrunken_means(index, y, np.full(400, 2.0), 9), doubled, rtol=1e-12)


@pytest.fixture(scope="module")
def gaps():
    x = X.copy()
    x[::10, 0], x[5::20, 1] = None, ""
    return inf.fit(x, Y, names=["size", "colour"], categories=["colour"], missing="indicator", **SMALL), x


def test_indicator(gaps):
    result, x = gaps
    assert result.model.names == ("size", "size is missing", "colour=green", "colour=blue", "colour is missing")
    assert np.isfinite(result.predict(x)).all()
    there = [row for row in range(ROWS) if row % 10 and row % 20 != 5]
    np.testing.assert_allclose(result.predict(x[there]), Y[there], atol=0.2)
    filled = [[np.median(x[:, 0][x[:, 0] != None].astype(float)), "red"]]  # noqa: E711
    assert result.predict([[np.nan, "red"]]) != result.predict(filled)
    lower, upper = result.intervals(x)
    assert np.all(lower <= upper)


def test_indicator_of_a_column_that_was_whole():
    x = np.stack([SIZE, np.cos(7 * SIZE) + np.arange(ROWS) / ROWS], axis=1)
    x[::10, 0] = np.nan
    result = inf.fit(x, Y, missing="indicator", **SMALL)
    assert result.model.names == ("x0", "x0 is missing", "x1")
    assert np.isfinite(result.predict(x)).all()
    with pytest.raises(ValueError, match="row 2, column 'x1': the value is missing, and no value of this column was"):
        result.predict([[1.0, 0.5], [1.0, np.nan]])


def test_drop_counts_and_keeps_the_numbers_of_the_rows():
    x, y = X.copy(), Y.copy()
    x[:20, 0], y[20:25] = np.nan, np.nan
    result = inf.fit(x, y, names=["size", "colour"], categories=["colour"], missing="drop", **SMALL)
    assert "25 of 240 rows have missing values and were left out." in result.message
    assert result.heldout.min() >= 25
    assert result.metrics["train"]["rows"] + result.metrics["heldout"]["rows"] == 215
    np.testing.assert_allclose(result.heldout_prediction[:, 0], Y[result.heldout], rtol=1e-5)
    with pytest.raises(ValueError, match="row 1, column 'size': the value is missing"):
        result.predict(x[:2])
    with pytest.raises(
        ValueError, match="row 1, column 'colour': the category is missing; the model knows red, green, blue"
    ):
        result.predict([[1.0, None]])


def test_sobol_and_main_effects_are_of_the_inputs(colours, gaps):
    indices = colours.sobol()
    assert indices.names == ("size", "colour")
    shares = np.array(colours.model.coding.columns[1].shares)
    slopes = np.array([SLOPE[level] for level in colours.model.coding.columns[1].levels])
    lower, upper = colours.model.lower[0], colours.model.upper[0]
    mean, variance = 1 + (lower + upper) / 2, (upper - lower) ** 2 / 12
    first, second = shares @ slopes, shares @ (slopes - shares @ slopes) ** 2
    total = first**2 * variance + second * mean**2 + second * variance
    np.testing.assert_allclose(indices.variance, total, rtol=1e-4)
    np.testing.assert_allclose(indices.first, [first**2 * variance / total, second * mean**2 / total], rtol=1e-4)
    np.testing.assert_allclose(indices.second[0, 1], second * variance / total, rtol=1e-3)
    effect = inf.main_effect(colours, "colour")
    np.testing.assert_allclose([effect(level) for level in ("red", "blue")], [mean, 2 * mean], rtol=1e-5)
    with pytest.raises(ValueError, match="got the level 'pink' of 'colour'; expected one of red, green, blue"):
        effect("pink")
    np.testing.assert_allclose(inf.main_effect(colours, "size")(1.0), 2 * first, rtol=1e-5)
    sampled = colours.sobol(X)
    assert sampled.names == ("size", "colour")
    np.testing.assert_allclose(sampled.total, indices.total, atol=0.1)
    assert gaps[0].sobol().names == ("size", "colour")
    assert np.isfinite(inf.main_effect(gaps[0], "size")(1.0))


def test_where_to_measure_next_is_a_row_of_the_table(colours):
    points = inf.sample_next(colours, 3, candidates=64)
    assert points.shape == (3, 2)
    assert set(points[:, 1]) <= set(SLOPE)
    assert np.isfinite(colours.predict(points)).all()


def test_saved_with_its_coding(colours, gaps, tmp_path):
    for result, x in [(colours, X), gaps]:
        result.save(tmp_path / "model.inf")
        np.testing.assert_array_equal(inf.load(tmp_path / "model.inf").predict(x), result.model.predict(x))
        inf.io.save(result.predictor, tmp_path / "predictor.inf")
        np.testing.assert_array_equal(inf.load(tmp_path / "predictor.inf").predict(x), result.predict(x))


def _gap(row, column):
    x = X.copy()
    x[row, column] = None
    return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": None}, r"row 1, column 'colour': '\w+' is text, not a number; .*--categorical colour"),
        ({"categories": None, "x": X.astype(str)}, r"column 'colour': '\w+' is text.*categories=\['colour'\]"),
        ({"categories": ["color"]}, "categories names 'color', which is no input; did you mean 'colour'"),
        ({"categories": [2]}, "categories names 2, which is no input; expected indices or names of size, colour"),
        ({"missing": "ignore"}, "missing is 'ignore'; expected one of error, drop, indicator"),
        ({"x": _gap(6, 0)}, "row 7, column 'size': the value is missing; .*missing='drop'"),
        ({"x": _gap(6, 1)}, "row 7, column 'colour': the value is missing; .*missing='indicator'"),
        ({"x": _gap(slice(1, None), 0), "missing": "drop"}, "239 of 240 rows have missing values"),
        ({"x": _gap(slice(None), 0), "missing": "indicator"}, "'size' has no value in any row; leave it out"),
        ({"y": np.where(np.arange(ROWS) == 3, np.nan, Y)}, "row 4: the target is missing; .*missing='drop'"),
        ({"y": np.where(np.arange(ROWS) == 3, np.nan, Y), "missing": "indicator"}, "row 4: the target is missing"),
        ({"x": table(SIZE, np.full(ROWS, "red"))}, "the input 'colour' is red in every row; leave it out"),
        (
            {"x": table(np.where(np.arange(ROWS) == 8, np.inf, SIZE), COLOUR)},
            "row 9, column 'size': inf is not a finite",
        ),
        ({"x": table(np.array(["big", *SIZE[1:]], object), COLOUR)}, "row 1, column 'size': 'big' is text"),
        ({"x": table([{} for _ in SIZE], COLOUR)}, "row 1, column 'size': '{}' is not a number"),
        ({"y": Y[:-1]}, "x has 240 rows and y has 239"),
        ({"names": ["size"]}, "names has 1 entries and x has 2 columns"),
        ({"x": np.zeros((2, 2, 2), object)}, r"x has shape \(2, 2, 2\)"),
        ({"x": [[1.0, "red"], [2.0]]}, "x "),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    arguments = {"x": X, "y": Y, "names": ["size", "colour"], "categories": ["colour"], **change}
    with pytest.raises(ValueError, match=message) as caught:
        inf.fit(arguments.pop("x"), arguments.pop("y"), **arguments, **SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            [[1.0, "red"], [1.0, "pink"]],
            "row 2, column 'colour': the category 'pink' is unknown; the model knows red, green, blue",
        ),
        ([[1.0]], r"x has shape \(1, 1\); expected \(N, 2\), the columns size, colour"),
        ([["big", "red"]], "row 1, column 'size': 'big' is text"),
        ([[None, "red"]], "row 1, column 'size': the value is missing"),
    ],
)
def test_predict_checks_its_table(colours, x, message):
    for method in (colours.predict, colours.intervals):
        with pytest.raises(ValueError, match=message):
            method(x)


def test_a_table_of_plain_numbers_is_left_as_it_is():
    x = np.stack([SIZE, SIZE**2], axis=1).astype(np.float32)
    prepared = prepare(x, Y, None, "y", None, "error")
    assert prepared.coding is None
    assert prepared.x is x
    with pytest.raises(ValueError, match=r"row 3, column 'x1': nan is not a finite number; .*missing='drop'"):
        prepare(np.where(np.arange(2 * ROWS).reshape(ROWS, 2) == 5, np.nan, x), Y, None, "y", None, "error")
