"""Rows of a table: equal ones, and a draw of those that weigh much."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinity.fitting.rows import distinct_rows, sorted_rows
from infinity.fitting.samples import Samples
from infinity.fitting.twins import repeats_of


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 4), st.booleans())
def test_rows_are_sorted_by_all_of_their_columns_and_equal_ones_keep_their_order(seed, count, columns, distinct):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (count, columns)).astype(float)
    rows[rng.uniform(size=rows.shape) < 0.1] = -0.0
    if distinct:
        rows[:, 0] = rng.permutation(count)
    order, new = sorted_rows(rows)
    expected = sorted(range(count), key=lambda i: (tuple(rows[i].tolist()), i))
    assert order.tolist() == expected
    assert new.sum() == len({tuple((row + 0.0).tolist()) for row in rows})


def test_a_row_that_comes_again_counts_by_its_weights():
    x, y = np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[2.0], [3.0], [2.0], [5.0]])
    first, weights = distinct_rows(x, y, np.array([1.0, 2.0, 4.0, 8.0]))
    assert first.tolist() == [1, 0, 3]
    assert weights.tolist() == [2.0, 5.0, 8.0]
    assert repeats_of(x, y).freedom == 2


@pytest.fixture
def spots():
    """A hundredth of the rows hold nearly all of the target."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(20_000, 1))
    y = np.where(x < 0.01, 1.0, 1e-3) * rng.uniform(0.5, 1.0, x.shape)
    return Samples(x, y, np.ones(len(x)), np.float64, 1e-2, None, len(x), repeats_of(x, y))


def test_a_draw_holds_more_of_what_weighs_and_its_weights_make_up_for_it(spots):
    drawn = spots.drawn("log", 1000, 0)
    assert abs(len(drawn.x) - 1000) <= 1
    rare = spots.x[:, 0] < 0.01
    chosen = drawn.x[:, 0] < 0.01
    assert chosen.sum() == rare.sum()  # all of them
    for values, all_values in ((chosen, rare), (drawn.y[:, 0], spots.y[:, 0]), (drawn.x[:, 0], spots.x[:, 0])):
        mean, spread = all_values.mean(), all_values.std()
        assert abs(np.average(values, weights=drawn.weights) - mean) < 0.2 * spread
    assert drawn.weights.max() <= 2.001 * drawn.weights.mean()
    assert drawn.share("log") > 5 * spots.share("log")
    same = spots.scaled("log")
    assert np.allclose([drawn.scaled("log").shift, drawn.scaled("log").scale], [same.shift, same.scale])


def test_a_draw_of_more_rows_than_there_are_holds_each_once(spots):
    few = spots.first(50)
    drawn = few.drawn("log", 100, 3)
    assert sorted(drawn.x[:, 0].tolist()) == sorted(few.x[:, 0].tolist())
    assert drawn.weights.tolist() == [1.0] * 50


def test_rows_without_weight_do_not_judge(spots):
    weights = np.ones(20_000)
    weights[-100:-50] = 0.0
    weighted = dataclasses.replace(spots, weights=weights)
    values = (np.log(spots.y) - weighted.scaled("log").shift) / weighted.scaled("log").scale
    values[-100:-50] += 3.0
    assert weighted.error("log", values, 100) < 1e-12
    assert spots.error("log", values, 100) > 1e-5
