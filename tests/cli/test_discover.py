"""`infinity discover`: a law and its files, and mistakes in one line."""

import json

import numpy as np
import pytest

import infinity as inf
from infinity.cli.application import run


def table(path, rows=40):
    rng = np.random.default_rng(0)
    S, E = rng.uniform(1, 2, (2, rows))
    lines = [f"{a!r},{b!r},{3.0 * a / b**2!r}" for a, b in zip(S.tolist(), E.tolist(), strict=True)]
    path.write_text("\n".join(["S,E,lambda", *lines]) + "\n")
    return str(path)


def test_a_law_is_shown_and_written(tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["discover", table(tmp_path / "d.csv"), "--target", "lambda", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "lambda = 3*S/E^2" in shown.out
    assert not shown.err
    assert str(inf.load(out / "best.inf")) == "lambda = 3*S/E^2"
    record = json.loads((out / "result.json").read_text())
    assert record["found"]
    assert {"formulas.tex", "trace.txt", "front.png", "parity.png"} <= {p.name for p in out.iterdir()}


def test_units_and_a_template_from_the_shell(tmp_path, capsys):
    pytest.importorskip("pint")
    data = table(tmp_path / "d.csv")
    options = ["--units", "S=m,E=s", "--units", "lambda=m/s^2", "--template", "? + S/E^2", "--out", str(tmp_path / "o")]
    assert run(["discover", data, "--target", "lambda", *options]) == 0
    law = inf.load(tmp_path / "o" / "best.inf")
    assert float(law([[2.0, 0.5]])[0]) == pytest.approx(24.0)
    assert "units leave 0 groups of 2 variables" in capsys.readouterr().out


def test_mistakes_are_one_line(tmp_path, capsys):
    data = table(tmp_path / "d.csv")
    few = table(tmp_path / "few.csv", 9)
    for arguments, message in (
        ([data, "--target", "lambda", "--operators", "exp,gamma"], "'gamma' is not known"),
        ([few, "--target", "lambda"], "9 rows"),
        ([data, "--target", "mu"], "mu"),
        ([data, "--target", "lambda", "--engine", "eureka"], "expected 'auto'"),
        ([data, "--target", "lambda", "--template", "S/E"], "stands once"),
        ([data, "--target", "lambda", "--units", "S=m,E"], "'E' is not of the form"),
        ([data, "--target", "lambda", "--units", "S=m,S=s"], "'S' has two units"),
        ([data, "--target", "lambda", "--units", "S=m,E=s"], "none for 'lambda'"),
    ):
        assert run(["discover", *arguments, "--out", str(tmp_path / "o")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
