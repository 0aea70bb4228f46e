"""The shell writes a fitted model as code, beside the run, and spares foreign files."""

import json

import numpy as np
import pytest

from infinity.io import load


def test_numpy_beside_the_run(infinity, fitted):
    done = infinity("export", fitted / "run", "--to", "numpy")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"y of a, b, c, written to {fitted / 'run.py'}\n"
    namespace = {}
    exec((fitted / "run.py").read_text(), namespace)
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (20, 3))
    np.testing.assert_allclose(namespace["predict"](x), load(fitted / "run").predict(x), rtol=1e-12, atol=1e-12)
    assert infinity("export", fitted / "run", "--to", "numpy").code == 0  # our own file may be replaced


def test_to_standard_output_and_under_another_name(infinity, fitted, tmp_path):
    done = infinity("export", fitted / "run" / "model.inf", "--to", "json", "--out", "-")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["targets"] == ["y"]
    assert infinity("export", fitted / "run", "--to", "c", "--out", "wear-2.c").code == 0
    assert "void wear_2_predict(const double *x, double *y)" in (tmp_path / "wear-2.c").read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["wear-2.c"]


@pytest.mark.parametrize(("to", "line"), [("sympy", "def expression"), ("latex", "align*")])
def test_formulas(infinity, fitted, to, line):
    assert line in infinity("export", fitted / "run", "--to", to, "--out", "-").out


def test_mistakes_are_one_line(infinity, fitted, tmp_path):
    (tmp_path / "mine.c").write_text("int mine;\n")
    assert "mine.c exists and was not" in infinity("export", fitted / "run", "--to", "c", "--out", "mine.c").error()
    assert (tmp_path / "mine.c").read_text() == "int mine;\n"
    assert infinity("export", fitted / "run", "--to", "c", "--out", "mine.c", "--force").code == 0
    assert "'fortran' is not one of" in infinity("export", fitted / "run", "--to", "fortran").error()
    assert "there is no model file none" in infinity("export", "none", "--to", "c").error()
    assert "Missing option '--to'" in infinity("export", fitted / "run").error()
