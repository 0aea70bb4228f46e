"""`infinity run` with `[planes]`: three minimisers from one start, compared in one table, two pictures and `result.json`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.slow
def test_the_shipped_run_reproduces_the_figure(infinity, tmp_path):
    done = infinity("run", CONFIGS / "aion.toml")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "runs" / "aion"
    for name in ("planes.png", "forecast.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    planes = json.loads((folder / "result.json").read_text())["planes"]
    true = {"amplitude": 1.5, "alpha": -0.3, "omega": 3.0, "phase": 0.5}
    assert {name: round(value, 10) for name, value in planes["optimum"].items()} == true
    descent, steepest, newton = planes["paths"]
    assert [path["name"] for path in planes["paths"]] == ["Infinite Descent", "steepest descent", "Newton-CG"]
    assert descent["steps"] == 1 < newton["steps"] < steepest["steps"]
    assert descent["loss"] < 1e-28
    for path in planes["paths"]:
        assert path["converged"]
        assert path["points"][0] == list(planes["start"].values())
        np.testing.assert_allclose(path["points"][-1], list(true.values()), rtol=1e-5)
        np.testing.assert_allclose(path["losses"][0], planes["start_loss"])
        assert path["loss"] == path["losses"][-1]
    assert re.search(r"^Infinite Descent +1 +\d+ +\d+ +\d\.\de-\d\d +1\.500000 +-0\.300000 ", done.out, re.MULTILINE)


FAULTS = {
    "another model": ("[planes]\nstart = [1.0, 0.0, 2.0, 0.0]\n", 'planes are drawn for a single atom; give the model kind = "aion" and'),
    "several atoms": ("[model]\nkind = 'aion'\nterms = 2\n[planes]\nstart = [1.0, 0.0, 2.0, 0.0]\n", "planes are drawn for a single atom"),
    "short start": ("[planes]\nstart = [1.0, 0.0]\n", "line 4: planes.start: .*at least 4 items"),
    "unknown key": ("[planes]\nstrat = [1.0]\n", "line 4: there is no key 'planes.strat'; did you mean 'start'"),
    "unknown kind": ("[model]\nkind = 'aino'\n", "line 4: model.kind: .*'aion'; got 'aino'"),
    "splines": ("[model]\nkind = 'aion'\ndegree = 2\n", "line 3: model: degree is for the model khronos, not aion"),
    "terms of splines": ("[model]\nterms = 2\n", "line 3: model: terms is for the model aion, not khronos"),
    "extrapolating splines": ("[fit]\noutside = 'extrapolate'\n", "c.toml: outside extrapolate is for the model aion, not khronos"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_mistakes_name_the_line(infinity, tmp_path, case):
    content, expected = FAULTS[case]
    (tmp_path / "c.toml").write_text(f"[data]\ngenerate = 'damped oscillation'\n{content}")
    line = infinity("run", "c.toml").error()
    assert re.search(expected, line), line
