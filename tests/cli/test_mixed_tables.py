"""Categories, missing values and bounds from the shell: a table with all three is fitted, predicted and written out."""

import json

import numpy as np
import pytest

from infinity.io import load, read_table

SIZE = ["--modes", "2", "--elements", "2", "--no-plots"]
MIXED = ["--categorical", "colour", "--missing", "indicator", "--lower", "0"]


@pytest.fixture
def mixed(tmp_path):
    """A table with a text column and empty cells."""
    rng = np.random.default_rng(0)
    a, colour = rng.uniform(0, 2, 200), rng.choice(["red", "green", "blue"], 200)
    slope = {"red": 1.0, "green": 0.3, "blue": 2.0}
    rows = [
        f"{'' if i % 20 == 3 else size},{name},{(1 + size) * slope[name]}"
        for i, (size, name) in enumerate(zip(a, colour, strict=True))
    ]
    (tmp_path / "data.csv").write_text("\n".join(["a,colour,y", *rows]) + "\n")
    return tmp_path / "data.csv"


def test_fit_predict_export(infinity, mixed, tmp_path):
    done = infinity("fit", mixed, "--target", "y", *SIZE[:-1], *MIXED, "--out", "run")
    assert (done.code, done.err) == (0, "")
    assert "inputs    a, colour\n" in done.out
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["data"]["inputs"] == ["a", "colour"]
    assert record["options"]["link"] == "identity(0.0, inf)"
    assert record["options"]["missing"] == "indicator"
    done = infinity("predict", "run", mixed, "--intervals")
    assert (done.code, done.err) == (0, "")
    assert "y is in the table: RMSE" in done.out
    table = read_table(tmp_path / "predictions.csv", categories=["colour"], gaps=True)
    assert table.names == ("a", "colour", "y", "y_predicted", "y_lower", "y_upper")
    there = np.isfinite(table.columns["a"])
    np.testing.assert_allclose(table.columns["y_predicted"][there], table.columns["y"][there], atol=0.2)
    assert table.columns["y_lower"].min() >= 0
    assert infinity("export", "run", "--to", "numpy").out.startswith("y of a, colour, written to")
    namespace = {}
    exec((tmp_path / "run.py").read_text(), namespace)
    rows = table.matrix(["a", "colour"])
    np.testing.assert_allclose(namespace["predict"](rows), load(tmp_path / "run").predict(rows), rtol=1e-10)
    (tmp_path / "new.csv").write_text("a,colour\n1,red\n1,pink\n")
    line = infinity("predict", "run", "new.csv").error()
    assert "row 2, column 'colour': the category 'pink' is unknown; the model knows" in line


def test_a_configuration_file(infinity, mixed, tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "c.toml").write_text(
        "[data]\nfile = 'data.csv'\ntarget = 'y'\ncategorical = ['colour']\nmissing = 'drop'\n"
        "[model]\nmodes = 2\nelements = 2\nlower = 0.0\nupper = [100.0]\n"
        "[compare]\npeers = ['linear']\n[output]\nplots = true\nfolder = 'run'\n"
    )
    done = infinity("run", "c.toml")
    assert (done.code, done.err) == (0, "")
    assert "10 of 200 rows have missing values and were left out." in done.out
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["metrics"]["train"]["rows"] + record["metrics"]["heldout"]["rows"] == 190
    assert record["metrics"]["heldout"]["nrmse"] < 1e-6 < record["peers"][0]["nrmse"] < 1
    line = infinity("predict", "run", mixed).error()
    assert "line 5, column 'a': the value is missing" in line


def test_single_precision(infinity, mixed):
    import jax

    before = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    try:
        done = infinity("fit", mixed, "--target", "y", *SIZE, *MIXED, "--float32", "--out", "run")
        assert done.code == 0, done.err
        mixed.write_text(mixed.read_text() + "1e300,red,1\n")
        line = infinity("fit", mixed, "--target", "y", *SIZE, *MIXED, "--float32", "--out", "run").error()
    finally:
        jax.config.update("jax_enable_x64", before)
    assert "column 'a': 1e+300 is too large for float32" in line


def test_levels_from_the_shell(infinity, tmp_path):
    rng = np.random.default_rng(1)
    setting, load = rng.integers(8, size=200) / 8, rng.uniform(size=200)
    y = load + np.sin(40 * setting)
    rows = [f"{a},{b},{c}" for a, b, c in zip(setting, load, y, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(["setting,load,y", *rows]) + "\n")
    done = infinity("fit", "data.csv", "--target", "y", *SIZE, "--levels", "setting", "--out", "run")
    assert (done.code, done.err) == (0, "")
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["options"]["levels"]["setting"][0] > 0.02
    assert record["metrics"]["heldout"]["rmse"] < record["metrics"]["separable"]["rmse"]
    done = infinity("fit", "data.csv", "--target", "y", "--levels", "load", "--out", "other")
    assert done.code == 2
    assert "levels names 'load', which has" in done.err
    assert not (tmp_path / "other").exists()
