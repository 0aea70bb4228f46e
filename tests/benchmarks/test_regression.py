"""The regression benchmarks run at a tiny size, write what they say, and refuse what they cannot do in one sentence."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks.regression import over_time, tables, throughput, tuning, uci, uci_report


@pytest.fixture
def folder(tmp_path):
    """A folder with small tables of the right names."""
    rng = np.random.default_rng(0)
    for source in tables.SOURCES.values():
        x = np.round(rng.uniform(size=(80, 2)), 2)
        x[40:60] = x[:20]
        np.savetxt(tmp_path / source.file, np.column_stack([x, np.sin(3 * x[:, 0]) + x[:, 1]]))
    return tmp_path


def run(main, monkeypatch, *options):
    monkeypatch.setattr("sys.argv", ["benchmark", *map(str, options)])
    main()


def refused(main, monkeypatch, capsys, *options):
    """The last line of what is said when the options are refused."""
    with pytest.raises(SystemExit) as stop:
        run(main, monkeypatch, *options)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", ["wine", "power, whole levels"])
def test_splits_follow_their_rule(folder, name):
    table = tables.load(name, folder)
    train, test = tables.split(table, 3)
    assert sorted([*train, *test]) == list(range(80))
    if table.groups is None:
        assert test.tolist() == np.random.default_rng(3).permutation(80)[:8].tolist()
    else:
        assert not set(table.x[train, 1]) & set(table.x[test, 1])
        assert len(set(table.x[test, 1])) == round(0.1 * len(set(table.x[:, 1])))


def test_twins_are_found(folder):
    x = tables.load("wine", folder).x
    assert tables.with_twin(x[:40], x[40:]).tolist() == [True] * 20 + [
        bool((x[:40] == row).all(1).any()) for row in x[60:]
    ]


@pytest.mark.parametrize("rows", [60, 2100])
def test_search_takes_the_better_candidate_and_keeps_to_the_training_part(rows):
    """Candidates are constants; the best one is nearest to the mean, and the last fit sees all rows."""
    seen = []

    def fit(settings, table, validation):
        seen.append((len(table.y), validation))
        return (lambda x: np.full(len(x), settings["value"])), {**settings, "rounds": 7}

    rng = np.random.default_rng(0)
    table = tables.Table(rng.uniform(size=(rows, 1)), rng.uniform(size=rows), None)
    peer = tuning.Peer({"value": 3.0}, lambda rng: {"value": float(rng.uniform())}, fit, 9, 9)
    outcome = tuning.tuned(peer, table, 0)
    drawn = [peer.draw(generator) for generator in [np.random.default_rng([0, 1])] for _ in range(8)]
    assert outcome.settings["value"] == min((c["value"] for c in drawn), key=lambda value: abs(value - table.y.mean()))
    assert outcome.settings["rounds"] == 7
    assert seen[-1] == (rows, None)
    assert all(count <= 0.81 * rows and validation is not None for count, validation in seen[:-1])


def test_tables_run_resume_and_are_written(folder, tmp_path, monkeypatch, capsys):
    file, out = tmp_path / "runs" / "uci.jsonl", tmp_path / "out"
    options = ["--data", folder, "--file", file, "--sets", "wine", "power, whole levels", "--splits", "0", "5-6"]
    run(uci.main, monkeypatch, *options, "--methods", "ExtraTrees", "Gaussian process")
    lines = file.read_text().splitlines()
    assert len(lines) == 12
    file.write_text("\n".join(lines[:-1]) + "\n")
    run(uci.main, monkeypatch, *options, "--methods", "ExtraTrees", "Gaussian process")
    again = [json.loads(line) for line in file.read_text().splitlines()]
    first = json.loads(lines[-1])
    assert len(again) == 12
    assert again[-1]["rmse"] == pytest.approx(first["rmse"])
    run(uci.main, monkeypatch, "--table", "--file", file, "--out", out)
    text = (out / "uci.md").read_text()
    values = [line["rmse"] for line in again if line["set"] == "wine" and line["method"] == "ExtraTrees"]
    assert f"{np.mean(values):.4f}" in text or f"{np.mean(values):.3f}" in text
    assert "wine without twins" in text
    assert (out / "uci.png").stat().st_size > 0
    capsys.readouterr()
    file.write_text(file.read_text() + '{"set": "wi')
    assert "line 13 is not a result" in refused(uci.main, monkeypatch, capsys, *options)
    assert "--data" in refused(uci.main, monkeypatch, capsys, "--data", tmp_path / "no", "--file", tmp_path / "x")
    assert "run uci.py without --table" in refused(
        uci.main, monkeypatch, capsys, "--table", "--file", tmp_path / "x", "--out", out
    )


def test_infinity_is_judged_with_its_parts(folder):
    found = uci.one(tables.load("yacht", folder), 0, "infinity")
    assert found["rmse"] < 0.1
    assert found["separable"] < 0.1
    assert 0 <= found["coverage"] <= 1
    assert found["rows_new"] <= found["rows"] == 8


def test_ranks_are_means_over_splits_that_all_have_met():
    line = lambda split, method, rmse: {"set": "wine", "split": split, "method": method, "rmse": rmse, "rmse_new": None}
    errors = {("a", 0): 1.0, ("b", 0): 2.0, ("a", 1): 3.0, ("b", 1): 2.0, ("a", 2): 1.0}
    results = uci_report.Results.of([line(split, method, rmse) for (method, split), rmse in errors.items()])
    assert results.splits("wine") == [0, 1]
    column = uci_report.Column("wine", "wine")
    assert uci_report.mean_ranks(results, [column], 0) == {"a": 1.5, "b": 1.5}


def test_error_over_time_is_written(tmp_path, monkeypatch):
    """Peers that are not installed are named as such, so that the table is whole anywhere."""
    methods = ["products of hat functions, Adam (as INN)", "HistGradientBoosting", "XGBoost"]
    run(over_time.main, monkeypatch, "--samples", 300, "--seconds", 0.05, "--out", tmp_path, "--methods", *methods)
    text = (tmp_path / "over_time.md").read_text()
    assert all(f"| {method} |" in text for method in methods)
    assert (tmp_path / "over_time.png").stat().st_size > 0


def test_best_of_is_the_least_error_so_far():
    run = lambda setting, seconds: [(seconds / 2, 4.0 - setting), (seconds, 3.0 - setting if seconds < 1 else 2.5)]
    assert over_time.best_of(run, (0, 1), 1.0) == [(0.05, 3.0), (0.1, 2.0), (0.5, 2.0), (1.0, 2.0)]


def test_throughput_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "alone", throughput.measure)
    run(throughput.main, monkeypatch, "--samples", 3000, "--steps", 3, "--out", tmp_path)
    assert "| 3000 |" in (tmp_path / "throughput.md").read_text()
