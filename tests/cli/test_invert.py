"""`infinity invert`: points, extremes and calibrated inputs from a run folder."""

import csv
import re

import numpy as np
import pytest

import infinity as inf
from infinity.io import write_table


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_points_and_extremes(infinity, fitted, tmp_path):
    done = infinity("invert", fitted / "run", "--value", "0.3", "--count", "40", "--fix", "b=0.5", "--least")
    assert done.code == 0, done.err
    assert "40 of 40 points with y = 0.3" in done.out
    assert "the least value is" in done.out
    found = rows(tmp_path / "inverted.csv")
    assert len(found) == 40
    assert {row["b"] for row in found} == {"0.5"}
    x = np.array([[float(row[name]) for name in "abc"] for row in found])
    model = inf.load(fitted / "run" / "model.inf")
    np.testing.assert_allclose(model.predict(x), 0.3, atol=1e-8)


def test_all_solutions_of_one_input_and_calibration(infinity, fitted, tmp_path):
    done = infinity("invert", fitted / "run", "--value", "0.3", "--fix", "b=0.5", "--fix", "c=0.1", "--out", "all.csv")
    assert done.code == 0, done.err
    assert "1 root; there are no others" in done.out
    (one,) = rows(tmp_path / "all.csv")
    assert abs(float(one["a"]) - 2 * (0.3 - np.sin(0.1))) < 0.05
    t = np.linspace(-0.9, 0.9, 15)
    write_table(tmp_path / "seen.csv", {"b": t, "y": 0.4 * t + np.sin(0.2)})
    done = infinity("invert", fitted / "run", "--calibrate", "seen.csv", "--noise", "0.02", "--out", "post.csv")
    assert done.code == 0, done.err
    assert "found: the observations determine all free inputs" in done.out
    samples = rows(tmp_path / "post.csv")
    weight = np.array([float(row["weight"]) for row in samples])
    mean = [float(np.sum(weight * [float(row[name]) for row in samples])) for name in "ac"]
    np.testing.assert_allclose(mean, [0.4, 0.2], atol=0.05)


BAD = {
    "range": (["--value", "99"], "the level 99 lies outside the range of y, which is"),
    "nowhere": (
        ["--value", "1.5", "--fix", "a=0", "--fix", "b=0"],
        "the value 1.5 is nowhere reached; .* the model has",
    ),
    "fix": (["--value", "0.3", "--fix", "b"], "--fix 'b' is not name=value"),
    "twice": (["--value", "0.3", "--fix", "b=1", "--fix", "b=0"], "names 'b' twice"),
    "name": (["--value", "0.3", "--fix", "bb=1"], "no input 'bb'"),
    "all": (["--value", "0.3", "--fix", "a=0", "--fix", "b=0", "--fix", "c=0"], "all inputs are known"),
    "nothing": ([], "nothing is asked"),
    "two": (["--least", "--calibrate", "seen.csv"], "two questions"),
    "noise": (["--least", "--noise", "1"], "--noise belongs to --calibrate"),
    "target": (["--value", "0.3", "--target", "z"], "no target 'z'"),
    "suffix": (["--value", "0.3", "--out", "x.docx"], "x.docx"),
    "no table": (["--calibrate", "seen.csv"], "seen.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_one_line(infinity, fitted, name):
    arguments, message = BAD[name]
    error = infinity("invert", fitted / "run", *arguments).error()
    assert re.search(message, error), error


def test_tables_that_do_not_fit(infinity, fitted, tmp_path):
    write_table(tmp_path / "seen.csv", {"b": np.zeros(3), "q": np.ones(3), "y": np.ones(3)})
    assert "has the column 'q'" in infinity("invert", fitted / "run", "--calibrate", "seen.csv").error()
    write_table(tmp_path / "seen.csv", {"b": np.zeros(3)})
    assert "lacks the observed 'y'" in infinity("invert", fitted / "run", "--calibrate", "seen.csv").error()
    write_table(tmp_path / "seen.csv", {"b": np.zeros(3), "y": np.ones(3)})
    done = infinity("invert", fitted / "run", "--calibrate", "seen.csv", "--fix", "b=1")
    assert "'b' is both fixed and a column" in done.error()


def test_a_run_with_questions(infinity, table, tmp_path):
    write_table(tmp_path / "data.csv", table())
    text = '[data]\nfile = "data.csv"\ntarget = "y"\n[model]\nmodes = 2\nelements = 2\n[output]\nfolder = "run"\n'
    (tmp_path / "c.toml").write_text(text + "[invert]\nvalue = 0.3\ncount = 30\ngreatest = true\n")
    done = infinity("run", "c.toml")
    assert done.code == 0, done.err
    assert "30 of 30 points with y = 0.3" in done.out
    assert {"inverted.csv", "inverted.png"} <= {entry.name for entry in (tmp_path / "run").iterdir()}
    (tmp_path / "c.toml").write_text(text + "[invert]\ncount = 3\n")
    assert "line 8: invert: nothing is asked" in infinity("run", "c.toml").error().replace("line 9", "line 8")
    (tmp_path / "c.toml").write_text(text + "[invert]\nvalu = 3\n")
    assert "did you mean 'value'?" in infinity("run", "c.toml").error()
