"""The interpolation benchmarks run at a tiny size and write what they say."""

import pytest

pytest.importorskip("matplotlib")

from benchmarks.interpolation import properties


def quick(main, monkeypatch, out, *options):
    monkeypatch.setattr("sys.argv", ["benchmark", "--quick", "--out", str(out), *options])
    main()


def test_properties_hold(tmp_path, monkeypatch):
    quick(properties.main, monkeypatch, tmp_path)
    text = (tmp_path / "interpolation-properties.md").read_text()
    assert "| 2 | 2 |" in text
    assert "| no |" not in text
