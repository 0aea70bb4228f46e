"""Every mistake is one clear line and exit code 2, and leaves nothing behind."""

import re
import shutil
import sys

import numpy as np
import pytest

from infinity.io import write_table

GOOD = "a,b,y\n0,1,3\n1,0,2\n2,2,1\n3,1,5\n"

FIT_FAULTS = {
    "no such target": (GOOD, ["--target", "z"], "has no target 'z'; there are a, b, y"),
    "near target": (GOOD.replace("y", "yield"), ["--target", "yeild"], "did you mean 'yield'"),
    "no target": (GOOD, [], "Missing option '--target'.*infinity fit --help"),
    "empty file": ("", ["--target", "y"], "data.csv is empty"),
    "header only": ("a,b,y\n", ["--target", "y"], "no rows"),
    "one row": ("a,b,y\n1,2,3\n", ["--target", "y"], "one row"),
    "text": (GOOD.replace("2,2,1", "2,red,1"), ["--target", "y"], "line 4, column 'b': 'red' is not a number"),
    "NaN": (GOOD.replace("2,2,1", "2,nan,1"), ["--target", "y"], "line 4, column 'b': the value is missing"),
    "text column": (
        "a,b,y\n1,x,3\n2,z,4\n",
        ["--target", "y"],
        "column 'b': the column holds text.*--categorical b.*--ignore b",
    ),
    "constant input": ("a,b,y\n0,7,3\n1,7,2\n2,7,1\n", ["--target", "y"], "input 'b' is 7 in every row; .*--ignore b"),
    "constant target": ("a,b,y\n0,1,3\n1,2,3\n2,0,3\n", ["--target", "y"], "target 'y' is 3 in every row"),
    "no such category": (GOOD, ["--target", "y", "--categorical", "q"], "has no input 'q' that could be a category"),
    "target as category": (GOOD, ["--target", "y", "--categorical", "y"], "has no input 'y' that could be a category"),
    "unnamed category": (
        "a,b,y\n1,x,3\n2,z,4\n",
        ["--target", "y", "--missing", "drop"],
        "column 'b': the column holds text.*--categorical b",
    ),
    "missing category": (
        "a,b,y\n1,x,3\n2,,4\n3,z,1\n",
        ["--target", "y", "--categorical", "b"],
        "row 2, column 'b': the value is missing; .*--missing",
    ),
    "nothing but gaps": (
        "a,b,y\n1,,3\n2,,4\n3,,1\n",
        ["--target", "y", "--missing", "indicator"],
        "the input 'b' has no value in any row; leave it out .--ignore b",
    ),
    "missing target": (
        GOOD.replace("1,0,2", "1,0,"),
        ["--target", "y", "--missing", "indicator"],
        "row 2: the target is missing",
    ),
    "unknown treatment": (GOOD, ["--target", "y", "--missing", "guess"], "'--missing'.*'indicator'"),
    "bound violated": (GOOD, ["--target", "y", "--lower", "2"], "row 3, column 'y': 1 lies below the lower bound 2"),
    "bounds reversed": (GOOD, ["--target", "y", "--lower", "9", "--upper", "2"], "the bounds of 'y' are 9 and 2"),
    "bound is text": (GOOD, ["--target", "y", "--lower", "low"], "'--lower'.*(float|number)"),
    "bounds for two": (
        GOOD,
        ["--target", "y", "--lower", "0", "--lower", "1"],
        "lower has 2 bounds for 1 targets; give one for all",
    ),
    "logit without bounds": (GOOD, ["--target", "y", "--link", "logit"], "needs a lower and an upper bound"),
    "duplicate names": ("a,a,y\n0,1,3\n", ["--target", "y"], "columns 1, 2 are all called 'a'"),
    "target equal to input": (
        "a,b,y\n0,1,1\n1,2,2\n2,0,0\n",
        ["--target", "y"],
        "target 'y' is equal to the input 'b'",
    ),
    "overflow": (GOOD.replace("2,2,1", "2,1e400,1"), ["--target", "y"], "line 4, column 'b': 1e400 is larger"),
    "integer overflow": (
        GOOD.replace("2,2,1", "2,9007199254740993,1"),
        ["--target", "y"],
        "line 4, column 'b': the integer 9007199254740993",
    ),
    "more unknowns than rows": (GOOD, ["--target", "y", "--modes", "50"], "unknowns and the table only .*; use"),
    "target twice": (GOOD, ["--target", "y", "--target", "y"], "'y' is named twice"),
    "target as input": (GOOD, ["--target", "y", "--inputs", "a,y"], "'y' is a target, so it can be neither"),
    "input and ignored": (GOOD, ["--target", "y", "--inputs", "a,b", "--ignore", "b"], "both as an input and as"),
    "no such input": (GOOD, ["--target", "y", "--inputs", "a,q"], "has no input 'q'"),
    "no such ignored": (GOOD, ["--target", "y", "--ignore", "q"], "has no ignored column 'q'"),
    "nothing left": (GOOD, ["--target", "y", "--ignore", "a,b"], "no column left as an input"),
    "unknown option": (GOOD, ["--target", "y", "--mode", "3"], "No such option: --mode.*infinity fit --help"),
    "not an integer": (GOOD, ["--target", "y", "--modes", "many"], "'--modes'.*integer.*infinity fit --help"),
    "out of range": (GOOD, ["--target", "y", "--holdout", "1.5"], "'--holdout'.*0.9"),
    "seed overflow": (GOOD, ["--target", "y", "--seed", "99999999999999999999"], "'--seed'.*4294967295"),
    "unknown policy": (GOOD, ["--target", "y", "--outside", "guess"], "'--outside'.*'clamp'"),
    "unwritable folder": (GOOD, ["--target", "y", "--out", "/proc/run"], "the folder /proc is not writable"),
    "parent is a file": (GOOD, ["--target", "y", "--out", "data.csv/run"], "is a file, not a folder"),
    "out is a file": (GOOD, ["--target", "y", "--out", "data.csv"], "data.csv is a file"),
    "out is the current folder": (GOOD, ["--target", "y", "--out", "."], "cannot be the current folder"),
}


@pytest.mark.parametrize("case", FIT_FAULTS)
def test_fit(infinity, tmp_path, case):
    content, options, expected = FIT_FAULTS[case]
    (tmp_path / "data.csv").write_text(content)
    line = infinity("fit", "data.csv", *options).error()
    assert re.search(expected, line), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.csv"]


def test_missing_file_and_unknown_command(infinity, tmp_path):
    assert "there is no file none.csv" in infinity("fit", "none.csv", "--target", "y").error()
    assert "is a folder" in infinity("fit", tmp_path, "--target", "y", "--out", "run").error()
    assert "No such command 'fitt'" in infinity("fitt").error()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_never_replaced(infinity, tmp_path):
    (tmp_path / "data.csv").write_text(GOOD)
    (tmp_path / "thesis").mkdir()
    for name, content in {"chapter.tex": "precious", "result.json": '{"format": "other"}'}.items():
        (tmp_path / "thesis" / name).write_text(content)
        line = infinity("fit", "data.csv", "--target", "y", "--out", "thesis").error()
        assert "thesis holds files that are not an Infinity run" in line
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"


def _columns(**change):
    columns = {name: np.array([0.1, 0.2]) for name in "abc"} | change
    return {name: column for name, column in columns.items() if column is not None}


PREDICT_FAULTS = {
    "missing": (_columns(b=None), [], "lacks the column of the model: 'b'; the model needs a, b, c"),
    "two missing": (_columns(b=None, c=None), [], "lacks 2 columns of the model: 'b', 'c'"),
    "misspelt": (_columns(b=None, B=np.ones(2)), ["--ignore-extra"], "lacks the column of the model: 'b'"),
    "extra": (_columns(d=np.ones(2)), [], "has the column that the model does not know: 'd'; .*--ignore-extra"),
    "NaN": (_columns(b=np.array([0.1, np.nan])), [], "line 3, column 'b'"),
    "out format": (_columns(), ["--out", "p.xlsx"], "spreadsheet"),
    "out is the table": (_columns(), ["--out", "new.csv"], "would replace the table itself"),
    "out unwritable": (_columns(), ["--out", "/proc/p.csv"], "/proc is not writable"),
}


@pytest.mark.parametrize("case", PREDICT_FAULTS)
def test_predict(infinity, fitted, tmp_path, case):
    columns, options, expected = PREDICT_FAULTS[case]
    write_table(tmp_path / "new.csv", columns)
    before = (tmp_path / "new.csv").read_bytes()
    line = infinity("predict", fitted / "run", "new.csv", *options).error()
    assert re.search(expected, line), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.csv"]
    assert (tmp_path / "new.csv").read_bytes() == before


def test_predict_with_a_bad_model_file(infinity, fitted, tmp_path):
    write_table(tmp_path / "new.csv", _columns())
    content = (fitted / "run" / "model.inf").read_bytes()
    (tmp_path / "cut.inf").write_bytes(content[: len(content) // 2])
    assert (
        "cut.inf is not a model file of Infinity, or it is damaged" in infinity("predict", "cut.inf", "new.csv").error()
    )
    assert "new.csv is not a model file" in infinity("predict", "new.csv", "new.csv").error()
    assert "there is no model file none" in infinity("predict", "none", "new.csv").error()
    assert "without a model.inf" in infinity("predict", ".", "new.csv").error()
    import equinox as eqx

    from infinity.io import save

    save(eqx.nn.Identity(), tmp_path / "other.inf")
    assert "holds a Identity, not a model fitted to a table" in infinity("predict", "other.inf", "new.csv").error()
    shutil.copytree(fitted / "run", tmp_path / "run")
    for name in ("model.inf", "predictor.inf"):
        (tmp_path / "run" / name).unlink()
    assert "run is a folder without a model.inf" in infinity("predict", "run", "new.csv").error()


# Every case that starts with @ starts with this section of three lines.
DATA = "[data]\nfile = 'd.csv'\ntarget = 'y'\n"

CONFIG_FAULTS = {
    "unknown key": (
        "[data]\nfile = 'd.csv'\ntraget = 'y'\n",
        "line 3: there is no key 'data.traget'; did you mean 'target'",
    ),
    "key of another section": (
        "@\n[fit]\ndegree = 2\n",
        "line 6: there is no key 'fit.degree'; it belongs in .model.",
    ),
    "unknown section": ("@[modell]\nmodes = 2\n", "line 4: .*'modell'; did you mean .model."),
    "key outside a section": (
        "modes = 2\n[data]\nfile = 'd.csv'\n",
        "line 1: there is no key 'modes'; it belongs in .model.",
    ),
    "strange key": (
        "[data]\nfile = 'd.csv'\nzzz = 1\n",
        "line 3: there is no key 'data.zzz'; .data. has file, generate",
    ),
    "wrong type": ("@# a\n[model]\nmodes = 'ten'\n", "line 6: model.modes: .*integer; got 'ten'"),
    "number as text": ("@[fit]\nseed = '1'\n", "line 5: fit.seed: .*; got '1'"),
    "out of range": ("@[fit]\nholdout = 2\n", "line 5: fit.holdout: .*less than or equal"),
    "unknown choice": ("[data]\ngenerate = 'boorhole'\n", "line 2: data.generate: .*'borehole'.*got 'boorhole'"),
    "unknown peer": (
        "[data]\ngenerate = 'borehole'\n[compare]\npeers = ['svm']\n",
        "line 4: compare.peers.*; got 'svm'",
    ),
    "wrong target type": ("[data]\nfile = 'd.csv'\ntarget = 3\n", "line 3: data.target: "),
    "two sources": (
        "[data]\nfile = 'd.csv'\ngenerate = 'borehole'\n",
        "line 1: data: give exactly one of file, generate",
    ),
    "categories of a formula": (
        "[data]\ngenerate = 'borehole'\ncategorical = ['rw']\n",
        "line 1: data: categorical and missing belong to file",
    ),
    "unknown treatment": ("@missing = 'guess'\n", "line 4: data.missing: .*'indicator'; got 'guess'"),
    "bound is text": ("@[model]\nlower = 'zero'\n", "line 5: model.lower: .*got 'zero'"),
    "no source": ("[data]\n", "line 1: data: give exactly one of file, generate and dataset; got none"),
    "no target": ("[data]\nfile = 'd.csv'\n", "line 1: data: name the target"),
    "no data": ("[fit]\nseed = 1\n", "section .data. is missing"),
    "samples of a file": ("@samples = 3\n", "samples and seed belong to generate"),
    "not TOML": ("[data]\nfile = d.csv\n", "line 2: this is not TOML"),
    "key twice": ("[data]\nfile = 'd'\nfile = 'e'\n", "line 3: this is not TOML|line 2: this is not TOML"),
    "open string": ("[data]\nfile = 'd\n", "line [23]: this is not TOML"),
    "not UTF-8": (b"[data]\nfile = '\xe9'\n", "is not UTF-8 text"),
    "missing table": ("@", "there is no file .*d.csv"),
    "wrong target": ("[data]\ngenerate = 'borehole'\ntarget = 'depth'\n", "has the one target 'flow'; got depth"),
    "wrong input": ("[data]\ngenerate = 'borehole'\ninputs = ['rw', 'radius']\n", "has no input 'radius'"),
    "unwritable": ("[data]\ngenerate = 'borehole'\n[output]\nfolder = '/proc/run'\n", "/proc is not writable"),
}


@pytest.mark.parametrize("case", CONFIG_FAULTS)
def test_run(infinity, tmp_path, case):
    content, expected = CONFIG_FAULTS[case]
    (tmp_path / "c.toml").write_bytes(content if isinstance(content, bytes) else content.replace("@", DATA).encode())
    line = infinity("run", "c.toml").error()
    assert re.search(expected, line), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.toml"]


def test_run_with_files_that_are_not_there_or_collide(infinity, tmp_path):
    (tmp_path / "a.toml").write_text("[data]\ngenerate = 'borehole'\n[output]\nfolder = 'same'\n")
    (tmp_path / "b.toml").write_text("[data]\ngenerate = 'piston'\n[output]\nfolder = './same'\n")
    assert "there is no file aa.toml; did you mean a.toml?" in infinity("run", "aa.toml").error()
    assert "is a folder" in infinity("run", ".").error()
    assert "another of these runs also writes to same" in infinity("run", "a.toml", "b.toml").error()
    assert "Missing argument" in infinity("run").error()


def test_optional_parts_that_are_missing_are_named_before_any_work(infinity, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    (tmp_path / "c.toml").write_text("[data]\ngenerate = 'borehole'\n[compare]\npeers = ['linear']\n")
    assert "pip install 'infinity[sklearn]'" in infinity("run", "c.toml").error()
    (tmp_path / "c.toml").write_text("[data]\ndataset = 'sklearn:diabetes'\n")
    assert "pip install 'infinity[sklearn]'" in infinity("run", "c.toml").error()


def test_a_number_too_large_for_single_precision(infinity, tmp_path):
    import jax

    before = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    (tmp_path / "data.csv").write_text(GOOD.replace("2,2,1", "2,1e300,1"))
    try:
        line = infinity("fit", "data.csv", "--target", "y", "--float32").error()
    finally:
        jax.config.update("jax_enable_x64", before)
    assert "row 3, column 'b': 1e+300 is too large for float32" in line
