"""Cells of equal ratio: where an input spans decades they are found, offered and chosen."""

import numpy as np
import pytest

import infinity as inf
from infinity.fitting.size import Size, choose_size, graded, ratios


def test_an_input_spans_decades_where_zero_is_farther_than_its_lowest_rows_are_apart():
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            rng.uniform(1, 300, 5000),
            -rng.uniform(1, 300, 5000),
            10 ** rng.uniform(-6, 6, 5000),
            rng.uniform(0, 1, 5000),  # begins at zero
            rng.uniform(1, 5, 5000),  # less than a decade
            rng.uniform(-1, 300, 5000),  # both signs
        ],
        axis=1,
    )
    found = ratios(x)
    assert found[0] == pytest.approx(300, rel=0.1)
    assert found[1] == pytest.approx(-300, rel=0.1)
    assert found[2] == 1e6  # at most
    # Even the smallest cells have ends of their own in single precision, on either side of zero.
    cells = Size(1, ((0.0, 0.3, 0.5, 0.6, 0.8, 1.0),), (3,))
    for ratio in (1e6, -1e6):
        assert np.all(np.diff(np.float32(graded(cells, (ratio,)).breakpoints[0])) > 0)
    assert ratios(np.append(5e-324, np.full(20, 1e-323))[:, None] * [[1.0]]) == (1.0,)
    assert found[3:] == (1.0, 1.0, 1.0)
    # A thousand rows from 1 on, half a unit apart, are enough to tell it from zero.
    assert ratios(rng.uniform(1, 500, (1000, 1)))[0] == pytest.approx(500, rel=0.5)
    # Of few rows nobody can say where the range begins.
    assert ratios(x[:100, :1]) == (1.0,)


@pytest.mark.parametrize("degree", [3, 7])
def test_cells_of_equal_ratio_keep_the_number_of_functions(degree):
    x = np.random.default_rng(0).uniform(size=(500, 3))
    size = choose_size(x, 1, 2, 8 - degree, degree)
    changed = graded(size, (81.0, 1.0, -81.0))
    assert changed.unknowns(1) == size.unknowns(1)
    assert changed == graded(changed, (81.0, 1.0, -81.0))
    assert (changed.breakpoints[1], changed.degrees[1]) == (size.breakpoints[1], size.degrees[1])
    for row, sign in ((changed.breakpoints[0], 1), (changed.breakpoints[2], -1)):
        assert (row[0], row[-1]) == (0.0, 1.0)
        r = 1 + 80 * np.array(row if sign > 0 else [1 - t for t in reversed(row)])
        np.testing.assert_allclose(r[1:] / r[:-1], 81 ** (1 / (len(row) - 1)), rtol=1e-12)
    assert max(changed.degrees[0], changed.degrees[2]) <= 4
    few = Size(1, ((0.0, 1.0),), (2,))
    assert graded(few, (81.0,)) == few


def test_a_law_of_a_logarithm_gets_them():
    rng = np.random.default_rng(1)
    draw = lambda n: rng.uniform(1, 100, n)
    law = lambda r: 1 / (1 + np.log(r))
    r, new = draw(1500), draw(2000)
    found = inf.fit(r, law(r), local=False, link="identity", outside="linear")
    tried = [trial for trial in found.trials if trial.graded]
    assert "on cells of equal ratio" in str(tried[0])
    assert min(t.error for t in tried) < 0.3 * min(t.error for t in found.trials if not t.graded)
    assert np.sqrt(np.mean((found.predict(new) - law(new)) ** 2)) < 0.01 * np.std(law(new))
