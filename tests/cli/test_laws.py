"""`infinity dynamics` and `infinity surface`: laws and their files, and mistakes in one line."""

import json

import numpy as np

import infinity as inf
from infinity.cli.application import run


def write(path, names, columns):
    lines = [",".join(repr(float(value)) for value in row) for row in np.stack(columns, axis=1)]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return str(path)


def test_laws_are_shown_and_written(tmp_path, capsys):
    t = np.linspace(0, 4, 80)
    data = write(tmp_path / "m.csv", ["t", "x", "v"], [t, np.cos(2 * t), -2 * np.sin(2 * t)])
    angle = np.linspace(0, 6, 60)
    points = write(tmp_path / "p.csv", ["x", "y"], [1 + 2 * np.cos(angle), 2 * np.sin(angle)])
    assert run(["dynamics", data, "--time", "t", "--degree", "1", "--out", str(tmp_path / "a")]) == 0
    assert run(["surface", points, "--out", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr()
    assert "dv/dt = -4.0*x" in shown.out
    assert "-0.666667*x + 0.333333*x^2 + 0.333333*y^2 = 1" in shown.out
    assert not shown.err
    assert str(inf.load(tmp_path / "a" / "law.inf").equations[1]) == "dv/dt = -4.0*x"
    assert json.loads((tmp_path / "b" / "result.json").read_text())["found"]
    assert (tmp_path / "a" / "law.tex").read_text().count("\\[") == 2
    for arguments, message in (
        (["dynamics", data, "--time", "s"], "'s'"),
        (["dynamics", data, "--time", "t", "--term", "x*q"], "no input"),
        (["surface", points, "--stress"], "three principal values"),
        (["surface", points, "--columns", "x"], "one column"),
    ):
        assert run([*arguments, "--out", str(tmp_path / "c")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_rows_of_several_trajectories_may_be_mixed(tmp_path, capsys):
    t = np.linspace(0, 4, 60)
    rows = [(f"run {k}", a, k * np.cos(2 * a), -2 * k * np.sin(2 * a)) for a in t.tolist() for k in (1, 2)]
    lines = [",".join([name, *(repr(float(value)) for value in rest)]) for name, *rest in rows]
    data = tmp_path / "m.csv"
    data.write_text("\n".join(["which,t,x,v", *lines]) + "\n")
    options = [
        "dynamics",
        str(data),
        "--time",
        "t",
        "--degree",
        "1",
        "--trajectory",
        "which",
        "--out",
        str(tmp_path / "a"),
    ]
    assert run(options) == 0
    assert "dv/dt = -4.0*x" in capsys.readouterr().out
    for change, message in (
        (lambda lines: [*lines[:-10], "run 3,0,1,1"], "trajectory 'run 3' has 1 rows"),
        (lambda lines: [*lines, "run 2,3.5,1,1"], "trajectory 'run 2' do not increase: 4, then 3.5"),
        (lambda lines: [*lines, ",5,1,1"], "row 121 has nothing in the column 'which'"),
    ):
        data.write_text("\n".join(["which,t,x,v", *change(lines)]) + "\n")
        assert run(options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
