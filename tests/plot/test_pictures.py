"""Pictures: what is drawn is the data, on the axes that are given, and no global setting changes."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from infinity.plot import factors, new_axes, parity, partial_dependence

X = np.random.default_rng(0).uniform(-1, 1, (200, 3))


def test_partial_dependence_of_a_sum_is_each_term(dtype):
    def predict(x):
        return np.sin(x[:, 0]) + 3 * x[:, 1]

    t, mean, spread = partial_dependence(predict, X.astype(dtype), 0)
    assert t.dtype == dtype
    assert (t[0], t[-1]) == (X.astype(dtype)[:, 0].min(), X.astype(dtype)[:, 0].max())
    curve = mean[:, 0] - mean[0, 0]
    np.testing.assert_allclose(curve, np.sin(t) - np.sin(t[0]), atol=100 * np.finfo(dtype).eps)
    np.testing.assert_allclose(spread, 0, atol=100 * np.finfo(dtype).eps)


def test_the_spread_shows_a_product():
    rows = X[:256]
    t, mean, spread = partial_dependence(lambda x: x[:, 0] * x[:, 1], rows, 0)
    np.testing.assert_allclose(mean[:, 0], t * rows[:, 1].mean(), atol=1e-12)
    np.testing.assert_allclose(spread[:, 0], np.abs(t - t.mean()) * rows[:, 1].std(), atol=1e-12)


def test_parity_draws_every_point_on_the_given_axes(tmp_path):
    y = X[:, 0]
    ax = new_axes()[0, 0]
    assert parity(y, 2 * y, ax=ax, label="load") is ax
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.stack([y, 2 * y], axis=1))
    np.testing.assert_array_equal(*[ax.lines[0].get_data()[i] for i in (0, 1)])
    assert f"RMSE {np.sqrt(np.mean(y**2)):.3g}" in ax.texts[0].get_text()
    ax.figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000
    many = np.arange(100_000.0)
    assert len(parity(many, many).collections[0].get_offsets()) == 5000


def test_factors_share_one_scale_and_hide_unused_axes():
    grid = new_axes(2, 2)
    axes = factors(lambda x: np.stack([x[:, 0], 10 * x[:, 2]], axis=1), X, "abc", "y", output=1, ax=grid)
    assert [ax.get_xlabel() for ax in axes] == ["a", "b", "c"]
    assert len({ax.get_ylim() for ax in axes}) == 1
    assert not grid[1, 1].get_visible()
    t, mean, _ = partial_dependence(lambda x: 10 * x[:, 2], X, 2)
    np.testing.assert_allclose(np.stack(axes[2].lines[0].get_data()), np.stack([t, mean[:, 0]]), rtol=1e-12)


def test_a_constant_model_can_be_drawn():
    axes = factors(lambda x: np.full(len(x), 3.0), X)
    assert axes[0].get_ylim()[0] < 3.0 < axes[0].get_ylim()[1]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"two equally long lists of numbers; got \(3,\) and \(2,\)"):
        parity(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="equally long"):
        parity(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="has 3 inputs and ax holds 2 axes"):
        factors(lambda x: x[:, 0], X, ax=new_axes(1, 2))


def test_nothing_is_imported_early_and_no_backend_is_chosen():
    code = (
        "import sys, infinity.plot as plot, numpy as np\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.parity(np.arange(3.0), np.arange(3.0)).figure.canvas.draw()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'infinity\[plot\]'"):
        new_axes()


def test_categories_and_gaps_are_drawn_too():
    rows = np.empty((60, 2), object)
    rows[:, 0], rows[:, 1] = X[:60, 0], np.resize(["red", "green", "blue"], 60)
    rows[3, 0], rows[4, 1] = None, None
    worth = {"red": 1.0, "green": 2.0, "blue": 4.0, None: 0.0}

    def predict(x):
        return np.array([(0.0 if size is None else size) + worth[colour] for size, colour in x])

    t, mean, spread = partial_dependence(predict, rows, 1)
    assert t.tolist() == ["blue", "green", "red"]
    np.testing.assert_allclose(np.diff(mean[:, 0]), [-2, -1])
    np.testing.assert_allclose(spread, 0, atol=1e-12)
    axes = factors(predict, rows, ["size", "colour"])
    assert [tick.get_text() for tick in axes[1].get_xticklabels()] == ["blue", "green", "red"]
