"""Signals from the shell: the atoms are those the samples were made of, the forecast goes on, the exported formula is the model."""

import ctypes
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from infinity.cli.application import run
from infinity.cli.kinds import KINDS, check_kind
from infinity.cli.series import with_error
from infinity.io import load, read_table, write_table

TIMES = np.linspace(10.0, 20.0, 160)


def signal(t):
    """One decaying oscillation, period 2."""
    return 2.0 * np.exp(-0.1 * (t - 15)) * np.cos(np.pi * (t - 15) + 0.5)


@pytest.fixture(scope="module")
def ringing(tmp_path_factory):
    """A run folder of a noisy signal, with its table and what was printed beside it."""
    folder = tmp_path_factory.mktemp("ringing")
    noise = 0.05 * np.random.default_rng(1).normal(size=len(TIMES))
    write_table(folder / "signal.csv", {"time": TIMES, "load": signal(TIMES) + noise})
    arguments = ["fit", str(folder / "signal.csv"), "--target", "load", "--model", "aion", "--out", str(folder / "run")]
    assert run(arguments) == 0
    return folder


def _result(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_run_folder_holds_the_forecast_and_the_atoms(ringing):
    files = ["forecast.png", "model.inf", "parity.png", "predictor.inf", "result.json"]
    assert sorted(entry.name for entry in (ringing / "run").iterdir()) == files
    result = _result(ringing / "run")
    (atom,) = result["atoms"]
    np.testing.assert_allclose(result["origin"], [15.0])
    true = {"amplitude": 2.0, "growth": -0.1, "period": 2.0, "frequency": 0.5, "phase": 0.5}
    for name, value in true.items():
        error = atom["errors"][name]
        assert 0 < error < 0.02
        assert abs(atom[name] - value) < 4 * error
    assert result["options"]["outside"] == "extrapolate"
    assert (ringing / "run" / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_the_last_rows_are_held_out(ringing):
    result = _result(ringing / "run")
    assert result["metrics"]["heldout"]["rows"] == 16
    assert result["metrics"]["heldout"]["rmse"] < 0.1


def test_the_summary_lists_atoms_evidence_and_whiteness(infinity, ringing):
    done = infinity("fit", ringing / "signal.csv", "--target", "load", "--model", "aion", "--terms", 1, "--no-plots")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^terms +given; criterion \(lowest is best\): 0: -?\d+\.\d, 1: -\d+\.\d$", done.out, re.MULTILINE)
    assert re.search(r"^whiteness +Ljung-Box p = ", done.out, re.MULTILINE)
    assert re.search(r"^1 +[12]\.\d+ \+- 0\.0\d+ +-0\.\d+ \+- 0\.\d+ +[12]\.\d+ \+- 0\.\d+ ", done.out, re.MULTILINE)
    assert "amplitude and phase (radians) at time = 15" in done.out


def test_predictions_follow_the_formula_beyond_the_samples(infinity, ringing, tmp_path):
    later = np.linspace(21.0, 25.0, 9)
    write_table(tmp_path / "new.csv", {"time": later})
    done = infinity("predict", ringing / "run", "new.csv", "--intervals")
    assert done.code == 0
    assert "9 of 9 rows lie outside the range of the model" in done.err
    assert done.err.rstrip().endswith("the formula of the model goes on there")
    columns = read_table(tmp_path / "predictions.csv").columns
    np.testing.assert_allclose(columns["load_predicted"], signal(later), atol=0.1)
    assert np.all(columns["load_lower"] < columns["load_upper"])


def test_exported_formulas_are_the_model_to_rounding(infinity, ringing):
    t = np.linspace(5.0, 30.0, 60)
    expected = np.asarray(load(ringing / "run").predict(t[:, None]))
    close = {"rtol": 1e-13, "atol": 1e-13}
    namespace = {}
    exec(infinity("export", ringing / "run", "--to", "numpy", "--out", "-").out, namespace)
    np.testing.assert_allclose(namespace["predict"](t), expected, **close)
    namespace = {}
    exec(infinity("export", ringing / "run", "--to", "sympy", "--out", "-").out, namespace)
    symbolic = [float(namespace["expression"]().subs(namespace["SYMBOLS"][0], time)) for time in t]
    np.testing.assert_allclose(symbolic, expected, **close)
    (atom,) = json.loads(infinity("export", ringing / "run", "--to", "json", "--out", "-").out)["amplitude"][0][0]
    assert atom == [_result(ringing / "run")["atoms"][0]["amplitude"]]
    text = infinity("export", ringing / "run", "--to", "latex", "--out", "-").out
    assert r"\text{load} &= " in text
    assert r"s_{1} &= \text{time} - (15)" in text


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_exported_c_is_the_model_to_rounding(infinity, ringing, tmp_path):
    assert infinity("export", ringing / "run", "--to", "c", "--out", "wave.c").code == 0
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1"]
    subprocess.run(["cc", *flags, "wave.c", "-o", "wave.so", "-lm"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "wave.so"))
    value = ctypes.c_double()
    t = np.linspace(5.0, 30.0, 60)
    found = []
    for time in t:
        library.wave_predict(ctypes.byref(ctypes.c_double(time)), ctypes.byref(value))
        found.append(value.value)
    np.testing.assert_allclose(found, np.asarray(load(ringing / "run").predict(t[:, None])), rtol=1e-13, atol=1e-13)
    assert library.wave_inside(ctypes.byref(ctypes.c_double(15.0))) == 1
    assert library.wave_inside(ctypes.byref(ctypes.c_double(21.0))) == 0


def test_another_policy_is_predicted_but_not_exported(infinity, ringing):
    options = ["--target", "load", "--model", "aion", "--terms", 1, "--outside", "nan", "--no-plots", "--out", "run"]
    assert infinity("fit", ringing / "signal.csv", *options).code == 0
    assert "only its formula alone can be written out" in infinity("export", "run", "--to", "c").error()


RISING = [f"{t:.3f},{y:.6f}" for t, y in zip(TIMES[:40], signal(TIMES[:40]), strict=True)]
REPEATED = [*RISING[:7], RISING[6], *RISING[7:]]
FAULTS = {
    "too few": (RISING[:3], [], "3 distinct rows of positive weight for 4 unknowns"),
    "too few for the terms": (RISING[:10], ["--terms", "3"], "10 distinct rows of positive weight for 12 unknowns"),
    "repeated time": (REPEATED, [], r"row 8, column 't': the time 10.377 is there twice; .*Average such rows"),
    "unsorted": ([*RISING[5:], *RISING[:5]], [], r"row 36, column 't': the time 10 is earlier than .*Sort the rows by t"),
    "zero": ([f"{line.split(',')[0]},0" for line in RISING], [], "target 'y' is 0 in every row"),
    "text": ([f"day {line}" for line in RISING], [], "column 't': the column holds text .*turn it into numbers"),
    "constant time": ([f"1,{line.split(',')[1]}" for line in RISING], [], "column 't': the time 1 is there twice"),
    "splines": (RISING, ["--degree", "2", "--elements", "4"], "--elements, --degree are for the model khronos, not aion"),
    "link": (RISING, ["--link", "log"], "--link is for the model khronos, not aion; leave it out"),
    "local": (RISING, ["--no-local"], "--local is for the model khronos"),
    "bounds": (RISING, ["--lower", "0"], "--lower is for the model khronos"),
    "categories": (RISING, ["--categorical", "t"], "--categorical is for the model khronos"),
    "indicator": (RISING, ["--missing", "indicator"], "--missing indicator is for the model khronos"),
    "resume": (RISING, ["--resume"], "--resume is for the model khronos"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_bad_input_is_one_line(infinity, tmp_path, case):
    lines, options, expected = FAULTS[case]
    (tmp_path / "data.csv").write_text("\n".join(["t,y", *lines]) + "\n")
    line = infinity("fit", "data.csv", "--target", "y", "--model", "aion", *options).error()
    assert re.search(expected, line), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.parametrize(("option", "value"), [("--terms", "2"), ("--outside", "extrapolate")])
def test_what_only_an_aion_knows_is_refused_for_splines(infinity, tmp_path, option, value):
    (tmp_path / "data.csv").write_text("\n".join(["t,y", *RISING]) + "\n")
    assert "for the model aion, not khronos" in infinity("fit", "data.csv", "--target", "y", option, value).error()


@pytest.mark.slow
def test_several_inputs_are_drawn_as_factors(infinity, tmp_path):
    a, b = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 2, 12)))
    write_table(tmp_path / "grid.csv", {"a": a, "b": b, "y": np.exp(0.5 * a) * np.cos(2 * a) * np.cos(3 * b + 0.2)})
    done = infinity("fit", "grid.csv", "--target", "y", "--model", "aion", "--terms", 1, "--out", "run")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "run" / "factors.png").exists()
    assert not (tmp_path / "run" / "forecast.png").exists()
    assert [atom["dimension"] for atom in _result(tmp_path / "run")["atoms"]] == [0, 1]
    assert re.search(r"^2 +b +1\.?\d* ", done.out, re.MULTILINE)


def test_numbers_are_written_to_the_digits_of_their_error():
    assert with_error(-0.00123456, 0.000012) == "-0.001235 +- 0.000012"
    assert with_error(1.23456e9, 3.2e5) == "1.23456e+09 +- 3.2e+05"
    assert with_error(1.0, 1e-17) == "1 +- 1.0e-17"
    assert with_error(0.4321, 490.0) == "0.4 +- 490.0"
    assert with_error(1e-12, 2.0) == "0.000 +- 2.000"
    assert with_error(0.0, 0.5) == "0.00 +- 0.50"


def test_every_kind_accepts_what_is_not_told_apart():
    for kind in KINDS:
        check_kind(kind, ["modes", "seed", "outside warn", "missing drop"])
