"""The interpolation benchmarks run at a tiny size and write what they say."""

import pytest

pytest.importorskip("matplotlib")

from benchmarks.interpolation import fronts, nodes, properties, verdicts


def quick(main, monkeypatch, out, *options):
    monkeypatch.setattr("sys.argv", ["benchmark", "--quick", "--out", str(out), *options])
    main()


def test_properties_hold(tmp_path, monkeypatch):
    quick(properties.main, monkeypatch, tmp_path)
    text = (tmp_path / "interpolation-properties.md").read_text()
    assert "| 2 | 2 |" in text
    assert "| no |" not in text


def test_verdicts_are_as_expected(tmp_path, monkeypatch):
    quick(verdicts.main, monkeypatch, tmp_path)
    text = (tmp_path / "interpolation-verdicts.md").read_text()
    assert text.count("| yes |") == 3
    assert "| no" not in text


def test_the_optimum_is_that_of_a_known_case():
    """For sqrt and hats the integral is 4^(-2/5) int t^(-3/5) dt = 2.5 * 4^(-2/5)."""
    length = 0.5**0.5
    wanted = (1 / 720) ** 0.5 * (2.5 * 4**-0.4) ** 2.5 / 10**2 / length
    assert nodes.optimum(nodes.TARGETS["sqrt"], 1, 10) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.slow
def test_nodes_reach_the_optimum(tmp_path, monkeypatch):
    quick(nodes.main, monkeypatch, tmp_path)
    text = (tmp_path / "interpolation-nodes.md").read_text()
    assert "| tanh | hats | 12 |" in text
    assert (tmp_path / "interpolation-nodes.png").stat().st_size > 0


@pytest.mark.slow
def test_fronts_are_measured(tmp_path, monkeypatch):
    quick(fronts.main, monkeypatch, tmp_path, "--cases", "2-D front")
    assert "two layers" in (tmp_path / "interpolation-fronts.md").read_text()


@pytest.mark.slow
def test_a_small_table_is_measured(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    from benchmarks.interpolation import small

    quick(small.main, monkeypatch, tmp_path, "--rows", "200")
    assert "boosted trees" in (tmp_path / "interpolation-small.md").read_text()
