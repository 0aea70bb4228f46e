"""Pictures of signals and of losses: what is drawn is the data."""

import types

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from infinity.plot import forecast, loss_plane, series_axes

T = np.linspace(0.0, 4.0, 50)
Y = np.cos(3 * T)


def test_a_forecast_draws_samples_band_and_residuals(tmp_path):
    axes = series_axes(1)[:, 0]
    late = T[40:]
    ahead = (late, Y[40:], Y[40:] - 0.2, Y[40:] + 0.2)
    drawn = forecast(T, Y + 0.1, (T, Y), Y, ahead, names=("time", "load"), ax=axes)
    assert list(drawn) == list(axes)
    np.testing.assert_array_equal(np.stack(axes[0].lines[0].get_data()), [T, Y + 0.1])
    np.testing.assert_allclose(axes[1].lines[1].get_data()[1], 0.1, atol=1e-12)
    band = axes[0].collections[0].get_datalim(axes[0].transData)
    np.testing.assert_allclose([band.ymin, band.ymax], [Y[40:].min() - 0.2, Y[40:].max() + 0.2])
    assert "90% band" in axes[0].get_legend_handles_labels()[1][2]
    axes[0].figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_a_forecast_without_a_held_out_part_has_no_band():
    axes = forecast(T, Y, (T, Y), Y)
    assert not axes[0].collections
    assert axes[0].get_legend_handles_labels()[1] == ["samples", "fit to all samples"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"equally long lists of numbers; got \(50,\), \(3,\)"):
        forecast(T, np.zeros(3), (T, Y), Y)
    with pytest.raises(ValueError, match="ax holds 1 axes; give two"):
        forecast(T, Y, (T, Y), Y, ax=series_axes(1)[0])


def _path(points, inner=0, name="way"):
    points = np.asarray(points, float)
    return types.SimpleNamespace(
        name=name, points=points, losses=np.sum(points**2, axis=1), steps=len(points) - 1, inner=inner
    )


def test_paths_are_projected_onto_the_plane(tmp_path):
    seen = []

    def loss(points):
        seen.append(points)
        return np.sum((points - [0, 0, 5]) ** 2, axis=1)

    way, jump = _path([[2, 7, 1], [1, 6, 1], [0, 5, 0]]), _path([[2, 7, 1], [1, 1, 1], [0, 5, 0]], inner=1, name="jump")
    ax = loss_plane(loss, [0.0, 9.0, 5.0], (0, 2), [way, jump], ["a", "b", "c"])
    assert set(seen[0][:, 1]) == {9.0}
    np.testing.assert_array_equal(np.stack(ax.lines[0].get_data()), way.points[:, [0, 2]].T)
    np.testing.assert_array_equal(np.stack(ax.lines[2].get_data()), jump.points[1:, [0, 2]].T)
    (arrow,) = ax.texts
    np.testing.assert_array_equal(arrow.xy, jump.points[-1, [0, 2]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "c")
    ax.figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_planes_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"pair is \(1, 1\); expected two different"):
        loss_plane(np.sum, [0.0, 1.0], (1, 1), [], ["a", "b"])
    with pytest.raises(ValueError, match="got 4 paths"):
        loss_plane(np.sum, [0.0, 1.0], (0, 1), [_path([[1, 1]])] * 4, ["a", "b"])
