"""Rows that the others speak against: found, left out where that helps, said, and never where there are none."""

import numpy as np
import pytest

import infinity as inf
from infinity.symbolic.candidates import Data
from infinity.symbolic.judging import typical_size
from infinity.symbolic.outliers import confirmed, few, part_of_rows, suspects


def table(rows=150, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 2, (rows, 2))
    y = x[:, 0] ** 2 * np.exp(-x[:, 1]) / (0.5 + x[:, 1])
    return x, y + noise * y.std() * rng.normal(size=rows)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_slips_are_suspects_and_rows_without_slips_are_not(noise):
    x, y = table(noise=noise)
    assert suspects(Data(tuple(x.T), y)) == ()
    y[5] *= 10
    y[20] += 3 * y.std()
    assert suspects(Data(tuple(x.T), y)) == (5, 20)


@pytest.mark.slow
def test_a_pole_is_no_slip():
    x, y = table()
    assert suspects(Data(tuple(x.T), y / (2.02 - x[:, 0]))) == ()


def test_a_weight_of_zero_takes_a_row_away():
    x, y = table()
    y[5] *= 10
    weights = np.where(np.arange(len(y)) == 5, 0.0, 2.0)
    assert suspects(Data(tuple(x.T), y, weights)) == ()


def test_too_few_rows_have_no_suspects():
    x, y = table(14)
    y[3] += 100
    assert suspects(Data(tuple(x.T), y)) == ()


@pytest.mark.slow
def test_a_law_is_found_beside_slips_and_the_rows_are_named():
    x, _ = table(120)
    y = 3 * x[:, 0] * np.exp(-2 * x[:, 1])
    y[16], y[40] = y[16] + 2, 10 * y[40]
    found = inf.discover(x, y, ["a", "b"], engine="native")
    assert found.found
    assert found.odd_rows == (16, 40)
    assert str(found.best) == "y = 3*a*exp(-2*b)"
    assert found.best.snapped  # what was fitted is kept where a formula is judged once more
    assert "rows 17 and 41 are left out" in found.message
    assert found.best.metrics["heldout"] < 1e-12
    assert any("once more without rows 17 and 41" in line for line in found.trace)


def test_a_row_that_only_a_smooth_model_misses_comes_back():
    x, y = table()
    data = Data(tuple(x.T), y)
    law = inf.Expression.parse("a^2*exp(-b)/(0.5 + b)", ["a", "b"])
    assert confirmed(law, data, (3, 4)) == ()
    y[4] += 0.1
    assert confirmed(law, Data(tuple(x.T), y), (3, 4)) == (4,)
    # What has no value there is missed too.
    assert (
        confirmed(inf.Expression.parse("log(a - 0.3)", ["a", "b"]), data, tuple(np.flatnonzero(x[:, 0] < 0.3).tolist()))
        != ()
    )


def test_many_odd_rows_are_no_exception():
    data = Data((np.zeros(100),), np.zeros(100))
    assert few((1, 2), data)
    assert not few((1, 2, 3), data)


def test_some_rows_keep_their_weights():
    some = part_of_rows(Data((np.arange(3.0),), np.arange(3.0), np.arange(3.0)), np.array([False, True, True]))
    assert some.columns[0].tolist() == some.y.tolist() == [1.0, 2.0]
    assert some.weights is not None
    assert some.weights.tolist() == [1.0, 2.0]


def test_the_typical_size_of_normal_residuals_is_in_the_ratio_of_their_mean_squares():
    r, w = np.random.default_rng(1).normal(size=4000), np.ones(4000)
    assert typical_size(3 * r, w) == pytest.approx(3 * typical_size(r, w), rel=1e-9)
    assert typical_size(np.zeros(4), np.ones(4)) == 0
    assert typical_size(np.array([np.nan, 1.0]), np.ones(2)) == np.inf
    # Two equal rows are one of weight two.
    assert typical_size(np.array([1.0, 2.0, 2.0]), np.ones(3)) == pytest.approx(
        typical_size(np.array([1.0, 2.0]), np.array([1.0, 2.0])), rel=1e-12
    )


@pytest.mark.slow
def test_a_row_without_which_a_column_is_constant_is_not_taken_away():
    t = np.linspace(0.1, 3, 60)
    other = np.where(np.arange(60) == 12, 2.0, 1.0)
    assert suspects(Data((t,), 2 * t + 5 * (other - 1))) == (12,)
    assert suspects(Data((t, other), 2 * t + 5 * (other - 1))) == ()
