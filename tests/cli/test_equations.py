"""`infinity run` with `[equation]`: a table, two pictures, the model and `result.json`."""

import json
import re

import pytest


def test_a_study(infinity, tmp_path):
    (tmp_path / "c.toml").write_text(
        "[equation]\nproblem = 'poisson sines'\ndegrees = [2, 4]\ncells = [4, 8]\nmodes = 1\n"
    )
    done = infinity("run", "c.toml")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "runs" / "c"
    for name in ("convergence.png", "solution.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    record = json.loads((folder / "result.json").read_text())
    assert [row["modes"] for row in record["rows"]] == [1] * 4
    for row in record["rows"]:
        assert row["estimate"] == pytest.approx(row["error"], rel=0.2)
    assert record["slopes"]["4"] > 4.8
    assert re.search(r"^4 +8 +24 +1 +\d\.\de-\d\d", done.out, re.MULTILINE)
    assert infinity("run", "c.toml").code == 0  # an older run is replaced


FAULTS = {
    "unknown problem": ("problem = 'poison'\n", r"line 2: equation.problem: .*'poisson'.*; got 'poison'"),
    "no problem": ("cells = [2]\n", r"c.toml, line 1: equation.problem is missing"),
    "unknown key": ("problem = 'heat'\ncell = [2]\n", r"line 3: there is no key 'equation.cell'; did you mean 'cells'"),
    "no sizes": ("problem = 'heat'\ncells = []\n", r"line 3: equation.cells: .*at least 1 item"),
    "negative": ("problem = 'heat'\ncells = [-1]\n", r"line 3: equation.cells.*greater than or equal to 2"),
    "data beside": ("problem = 'heat'\n[data]\nfile = 'x.csv'\n", r"line 3: there is no key 'data'"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_mistakes_name_the_line(infinity, tmp_path, case):
    content, expected = FAULTS[case]
    (tmp_path / "c.toml").write_text(f"[equation]\n{content}")
    line = infinity("run", "c.toml").error()
    assert re.search(expected, line), line


def test_single_precision_is_refused(infinity, tmp_path):
    (tmp_path / "c.toml").write_text("[equation]\nproblem = 'heat'\n")
    assert "double precision" in infinity("run", "c.toml", "--float32").error()
