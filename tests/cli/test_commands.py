"""The commands do what they say, and their files hold what they should."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from infinity.io import load, read_header, read_table, write_table

# The same model of the same rows everywhere, so that JAX compiles it once.
SMALL = ["--modes", 2, "--elements", 2]

CONFIG = """
[data]
file = "data.csv"
target = "y"

[model]
modes = 2
elements = 2

[output]
folder = "{folder}"
plots = false

[compare]
peers = {peers}
"""


def _result(folder):
    return json.loads((folder / "result.json").read_text())


def test_a_run_folder_is_complete(fitted):
    run = fitted / "run"
    assert sorted(entry.name for entry in run.iterdir()) == [
        "factors.png",
        "model.inf",
        "parity.png",
        "predictor.inf",
        "result.json",
    ]
    result = _result(run)
    assert result["format"] == "infinity-run"
    assert result["data"]["rows"] == 80
    assert (result["data"]["inputs"], result["data"]["targets"]) == (["a", "b", "c"], ["y"])
    assert result["metrics"]["heldout"]["rows"] + result["metrics"]["train"]["rows"] == 80
    assert result["metrics"]["heldout"]["nrmse"] < 0.9
    assert set(result["timings"]) >= {"compile", "run"}
    assert result["versions"]["jax"]
    assert result["device"]["platform"]
    assert (result["seed"], result["dtype"], result["success"]) == (0, "float64", True)
    assert result["message"]
    assert result["unknowns"] > 0
    assert read_header(run)["about"]["metrics"] == result["metrics"]
    for name in ("parity.png", "factors.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_predictions_match_the_model_bit_for_bit_whatever_the_column_order(infinity, fitted, tmp_path, table):
    rows = table(seed=1)
    inside = {name: rows[name] * 0.5 for name in "cab"}
    write_table(tmp_path / "new.csv", inside)
    done = infinity("predict", fitted / "run", "new.csv")
    assert (done.code, done.err) == (0, "")
    assert "80 rows predicted, written to predictions.csv" in done.out
    model = load(fitted / "run")
    expected = np.asarray(model.predict(np.stack([inside[name] for name in model.names], axis=1)))
    written = read_table(tmp_path / "predictions.csv")
    assert written.names == ("a", "b", "c", "y_predicted")
    assert written.columns["y_predicted"].tobytes() == expected.reshape(-1).tobytes()


def test_a_new_process_predicts_the_same_bits(fitted, tmp_path):
    command = [sys.executable, "-m", "infinity", "predict", "run", "data.csv", "--out", str(tmp_path / "out.csv")]
    done = subprocess.run(command, cwd=fitted, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = np.asarray(load(fitted / "run").predict(read_table(fitted / "data.csv").matrix(["a", "b", "c"])))
    assert read_table(tmp_path / "out.csv").columns["y_predicted"].tobytes() == here.reshape(-1).tobytes()


def test_predict_reports_errors_when_the_target_is_there_and_rows_outside(infinity, fitted, tmp_path, table):
    columns = table(seed=2)
    columns["a"] = columns["a"].copy()
    columns["a"][3] = 50.0
    write_table(tmp_path / "new.csv", columns | {"extra": columns["a"]})
    done = infinity("predict", fitted / "run", "new.csv", "--ignore-extra", "--out", "p.npz")
    assert done.code == 0
    assert "y is in the table: RMSE" in done.out
    assert "rows lie outside the range of the model" in done.err
    assert all(line.startswith("warning: ") for line in done.err.splitlines())
    assert read_table(tmp_path / "p.npz").names == ("a", "b", "c", "y", "y_predicted")


def test_predict_writes_calibrated_intervals(infinity, fitted, tmp_path, table):
    columns = table(seed=2)
    write_table(tmp_path / "new.csv", {name: 0.9 * columns[name] for name in "abc"})
    assert infinity("predict", fitted / "run", "new.csv", "--intervals").code == 0
    wide = read_table(tmp_path / "predictions.csv").columns
    assert list(wide) == ["a", "b", "c", "y_predicted", "y_lower", "y_upper"]
    assert np.all((wide["y_lower"] < wide["y_predicted"]) & (wide["y_predicted"] < wide["y_upper"]))
    done = infinity("predict", fitted / "run", "new.csv", "--intervals", "--level", 0.5, "--out", "half.csv")
    assert done.code == 0
    half = read_table(tmp_path / "half.csv").columns
    assert np.all(half["y_upper"] - half["y_lower"] < wide["y_upper"] - wide["y_lower"])
    shutil.copy(fitted / "run" / "model.inf", tmp_path)
    line = infinity("predict", "model.inf", "new.csv", "--intervals", "--out", "none.csv").error()
    assert "model.inf has no intervals" in line
    assert not (tmp_path / "none.csv").exists()


@pytest.fixture
def changed(fitted, tmp_path):
    """The fitted model with another policy outside its range."""
    import dataclasses

    from infinity.io import save

    def change(policy):
        save(dataclasses.replace(load(fitted / "run"), outside=policy), tmp_path / "model.inf")

    return change


def test_the_policy_outside_the_range_is_kept_and_named(infinity, changed, tmp_path):
    columns = {name: np.array([0.0, 50.0, 0.0]) for name in "abc"}
    write_table(tmp_path / "new.csv", columns)
    changed("error")
    line = infinity("predict", "model.inf", "new.csv").error()
    assert "1 of 3 rows lie outside the range of the model, the first is row 2 with a = 50" in line
    assert not (tmp_path / "predictions.csv").exists()
    changed("clamp")
    done = infinity("predict", "model.inf", "new.csv")
    assert "nearest point of the range" in done.err


def test_several_targets(infinity, tmp_path, table):
    columns = table()
    write_table(tmp_path / "data.csv", columns | {"z": columns["a"] - columns["b"] ** 2})
    options = ["--inputs", "a,b", "--inputs", "c", "--modes", 1, "--elements", 2, "--no-plots"]
    done = infinity("fit", "data.csv", "-t", "y", "-t", "z", *options)
    assert done.code == 0, done.err
    assert _result(tmp_path / "runs" / "data")["data"]["targets"] == ["y", "z"]
    assert infinity("predict", "runs/data", "data.csv").code == 0
    assert read_table(tmp_path / "predictions.csv").names == ("a", "b", "c", "y", "z", "y_predicted", "z_predicted")


def test_a_run_replaces_an_older_run_as_a_whole(infinity, fitted, tmp_path):
    arguments = ["fit", fitted / "data.csv", "-t", "y", *SMALL, "--out", "run"]
    assert infinity(*arguments).code == 0
    (tmp_path / "run" / "notes.txt").write_text("left here by hand")
    done = infinity(*arguments, "--no-plots")
    assert done.code == 0
    assert sorted(entry.name for entry in (tmp_path / "run").iterdir()) == ["model.inf", "predictor.inf", "result.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_same_seed_same_model(infinity, fitted, tmp_path):
    for name in ("one", "two"):
        done = infinity("fit", fitted / "data.csv", "-t", "y", *SMALL, "--out", name, "--no-plots")
        assert done.code == 0, done.err
    one, two = (load(tmp_path / name) for name in ("one", "two"))
    x = read_table(fitted / "data.csv").matrix(["a", "b", "c"])
    assert np.asarray(one.predict(x)).tobytes() == np.asarray(two.predict(x)).tobytes()


def test_without_matplotlib_the_run_goes_on_and_says_so(infinity, fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = infinity("fit", fitted / "data.csv", "-t", "y", *SMALL, "--out", "run")
    assert done.code == 0
    assert "pip install 'infinity[plot]'" in done.out
    assert sorted(entry.name for entry in (tmp_path / "run").iterdir()) == ["model.inf", "predictor.inf", "result.json"]


SLOW = """
import signal
import time
import infinity.io.table as table
from infinity.cli import main

class Slow:
    def writer(self, *arguments, **options):
        print("writing", flush=True)
        time.sleep(90)

table.csv = Slow()
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a background process would ignore
main(["predict", "model.inf", "data.csv"])
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_process_leaves_nothing(fitted, signalled, tmp_path, kind):
    (tmp_path / "slow.py").write_text(SLOW)
    shutil.copy(fitted / "data.csv", tmp_path)
    shutil.copy(fitted / "run" / "model.inf", tmp_path)
    code, errors = signalled("writing", kind)
    assert code == 130
    assert errors.splitlines() == ["interrupted; no half-written file is left"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data.csv", "model.inf", "slow.py"]


def test_configured_runs_end_in_one_table(infinity, fitted, tmp_path):
    shutil.copy(fitted / "data.csv", tmp_path)
    for name, peers in {"one": [], "two": ["linear"]}.items():
        (tmp_path / f"{name}.toml").write_text(CONFIG.format(folder=f"runs/{name}", peers=peers))
    done = infinity("run", "one.toml", "two.toml")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()[-2:]] == ["runs/one", "runs/two"]
    for name, peers in {"one": [], "two": ["linear"]}.items():
        folder = tmp_path / "runs" / name
        assert (folder / "config.toml").read_bytes() == (tmp_path / f"{name}.toml").read_bytes()
        result = _result(folder)
        assert result["metrics"] == _result(fitted / "run")["metrics"]
        assert [peer["name"] for peer in result.get("peers", [])] == peers
        assert all(0.1 < peer["nrmse"] < 2 for peer in result.get("peers", []))


def test_a_configured_table_is_found_beside_its_file_and_fitted_in_single_precision(tmp_path, table):
    (tmp_path / "inner").mkdir()
    write_table(tmp_path / "inner" / "data.tsv", table())
    config = (
        "[data]\nfile = 'data.tsv'\ntarget = 'y'\nignore = ['c']\n[model]\nmodes = 1\nelements = 2\n"
        "[fit]\nprecision = 'float32'\nholdout = 0.0\n[output]\nfolder = 'out'\nplots = false\n"
    )
    (tmp_path / "inner" / "c.toml").write_text(config)
    command = [sys.executable, "-m", "infinity", "run", "inner/c.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = _result(tmp_path / "out")
    assert result["dtype"] == "float32"
    assert result["metrics"]["heldout"] is None
    import jax

    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(load(tmp_path / "out").inner) if leaf.dtype.kind == "f"}
    assert kinds == {"float32"}


def test_the_repositorys_configs_are_valid():
    from pathlib import Path

    from infinity.cli.config import Config, load_config
    from infinity.cli.configured import load_source

    configs = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
    assert {"borehole.toml", "diabetes.toml"} <= {path.name for path in configs}
    for path in configs:
        config = load_config(path)
        assert config.output.folder == f"runs/{path.stem}"
        if not isinstance(config, Config):  # an equation or a law, whose table or formula is read when it runs
            continue
        source = load_source(path, config.data)
        assert len(source.x) == len(source.y) >= 2


def test_progress_is_shown_to_a_person_only(monkeypatch):
    from infinity.cli.console import describe, progress_line

    event = {"stage": "all", "iteration": 3, "loss": 0.5, "nrmse": 0.012345, "damping": 1.0}
    assert describe(event) == "all, iteration 3, nrmse 0.0123"
    with progress_line("fitting") as progress:
        assert progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_line("fitting") as progress:
        assert progress is not None
        progress(event)


def test_help_and_doctor(infinity):
    done = infinity("--help")
    assert (done.code, done.err) == (0, "")
    assert all(name in done.out for name in ("fit", "predict", "run", "check", "doctor"))
    assert infinity().out == done.out
    done = infinity("doctor")
    assert (done.code, done.err) == (0, "")
    for name in ("jax", "equinox", "float64", "optional parts", "pysr", "cpu:0"):
        assert name in done.out


def test_doctor_says_how_to_install_what_is_missing_or_broken(infinity, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    line = next(line for line in infinity("doctor").out.splitlines() if line.strip().startswith("tables"))
    assert line.endswith("pip install 'infinity[tables]'")


def test_traceback_shows_where_an_error_arose(infinity):
    with pytest.raises(FileNotFoundError):
        infinity("--traceback", "fit", "none.csv", "-t", "y")
