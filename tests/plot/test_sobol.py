"""The bars of the Sobol indices are the numbers, in the order of the totals."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from infinity.fitting import Sobol
from infinity.plot import new_axes, sobol


def indices(D=4):
    total = np.stack([np.linspace(0.1, 0.4, D), np.full(D, np.nan)])
    return Sobol(
        tuple(f"input {d}" for d in range(D)),
        ("load", "flat"),
        np.zeros(2),
        np.ones(2),
        total / 2,
        np.zeros((2, D, D)),
        total,
    )


def test_bars_are_the_indices_largest_first(tmp_path):
    ax = new_axes()[0, 0]
    assert sobol(indices(), ax=ax) is ax
    totals, firsts = ([bar.get_width() for bar in container] for container in ax.containers)
    np.testing.assert_allclose(totals, [0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(firsts, [0.2, 0.15, 0.1, 0.05])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["input 3", "input 2", "input 1", "input 0"]
    assert ax.get_xlabel() == "share of the variance of load"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    ax.figure.savefig(tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_many_inputs_are_cut_and_said_so():
    ax = sobol(indices(30))
    assert len(ax.containers[0]) == 20
    assert ax.texts[0].get_text() == "10 smaller inputs not shown"


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="output is 2; expected an index from 0 to 1"):
        sobol(indices(), output=2)
    with pytest.raises(ValueError, match="the output 'flat' is constant"):
        sobol(indices(), output=1)
