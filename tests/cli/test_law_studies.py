"""`infinity run` with `[discover]`, `[surface]` and `[dynamics]`: laws, their tables and files, and mistakes in one line."""

import json

import numpy as np
import pytest

import infinity as inf
from infinity.cli.application import run
from infinity.cli.motions import MOTIONS
from infinity.cli.rivals import polynomial, search
from infinity.cli.stress_states import YIELD_SURFACES, hill_of, root_of_j2
from infinity.cli.surface_study import reached


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text + f'\n[output]\nfolder = "{tmp_path / "out"}"\n', encoding="utf-8")
    return str(path)


def rows_of(tmp_path):
    cases = json.loads((tmp_path / "out" / "result.json").read_text())["cases"]
    return [{row["who"]: row for row in case["rows"]} for case in cases]


def test_a_problem_is_recovered_and_judged_beside_a_polynomial(tmp_path, capsys):
    text = '[discover]\nproblems = ["goodman"]\nsamples = 60\npeers = ["polynomial"]'
    assert run(["run", write(tmp_path, text)]) == 0
    shown = capsys.readouterr()
    assert "truth: sar = sa/(1 - sm/su)" in shown.out
    assert not shown.err
    (rows,) = rows_of(tmp_path)
    assert rows["infinity"]["form of the truth"]
    assert rows["infinity"]["beyond"] < 1e-12
    assert not rows["polynomial"]["form of the truth"]
    assert rows["polynomial"]["new points"] > 1e-6
    assert {"formulas.tex", "trace.txt", "front.png", "parity.png", "config.toml"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    law = inf.load(tmp_path / "out" / "goodman-0-percent-noise.inf")
    assert float(law([[100.0, 0.0, 500.0]])[0]) == pytest.approx(100.0)


def test_a_table_is_read_relative_to_its_file_without_the_rows_that_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    force, area, height = rng.uniform(1, 3, (3, 50))
    stress = 2 * force / area / height
    stress[6] = np.nan
    lines = [",".join(repr(v) for v in row) for row in np.stack([force, area, height, stress], axis=1).tolist()]
    (tmp_path / "d.csv").write_text("\n".join(["F (N),A (m2),h,s", *lines]).replace("nan", "-1") + "\n")
    text = '[discover]\nfile = "d.csv"\ninputs = { r = "`F (N)`/`A (m2)`", h = "h" }\ntargets = { root = "sqrt(s)" }\nsplits = 2\npeers = []'
    assert run(["run", write(tmp_path, text + "\nleave_out = [7]")]) == 0
    (rows,) = rows_of(tmp_path)
    assert rows["infinity"]["formulas"] == ["root = 1.41421*sqrt(r)/sqrt(h)"]
    assert rows["infinity"]["worst split"] < 1e-12


@pytest.mark.slow
def test_a_surface_and_a_motion(tmp_path):
    text = '[surface]\nproblems = ["matsuoka-nakai"]\npoints = 100\npeers = ["plain"]'
    assert run(["run", write(tmp_path, text)]) == 0
    (rows,) = rows_of(tmp_path)
    assert all(row["relative error of q"] < 1e-9 and row["reached"] == "100 %" for row in rows.values())
    text = '[dynamics]\nproblems = ["lotka-volterra"]\nevery = 20\npeers = []'
    assert run(["run", write(tmp_path, text)]) == 0
    (rows,) = rows_of(tmp_path)
    assert rows["infinity"]["right terms"] == "2 of 2"
    assert rows["infinity"]["worst coefficient"] < 1e-3


def test_the_states_of_stress_lie_on_their_surfaces_and_the_truth_reaches_them():
    rng = np.random.default_rng(0)
    points = {name: surface.sample(50, 0.0, rng) for name, surface in YIELD_SURFACES.items()}
    np.testing.assert_allclose(root_of_j2(points["von mises"]), 250 / np.sqrt(3))
    np.testing.assert_allclose(
        root_of_j2(points["drucker-prager"]) + points["drucker-prager"][:, :3].sum(axis=1) / 5, 100
    )
    np.testing.assert_allclose(hill_of(points["hill"]), 1)
    np.testing.assert_allclose(reached(lambda s: hill_of(s) - 1, points["hill"]), 1, atol=1e-12)
    assert np.isnan(reached(lambda s: np.ones(len(s)), points["hill"])).all()


@pytest.mark.parametrize("name", MOTIONS)
def test_the_terms_of_a_motion_are_its_speed(name):
    motion = MOTIONS[name]
    z = np.random.default_rng(0).normal(size=len(motion.names))
    told = [
        sum(c * float(inf.Expression.parse(term, list(motion.names))(z)) for term, c in terms.items())
        for terms in motion.terms
    ]
    np.testing.assert_allclose(told, motion.speed(0.0, z))


def test_polynomials_choose_logarithms_and_constants_are_constants():
    x = np.random.default_rng(0).uniform(1, 9, (80, 2))
    made = polynomial(x, np.log(x[:, 0]) ** 2 - 3 * np.log(x[:, 1]), ["a b", "c"], "y")
    np.testing.assert_allclose(made([[2.0, 5.0]]), np.log(2) ** 2 - 3 * np.log(5), rtol=1e-9)
    assert "log(`a b`)^2" in str(made)
    assert search("plain", x, np.full(80, 2.0), ["a", "b"], "y", 0, 1.0)[0].complexity == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[discover]\nsamples = 40", "give either problems or a file"),
        ('[discover]\nproblems = ["godman"]', "goodman"),
        ('[discover]\nproblems = ["goodman"]\nsplits = 2', "belong to a file"),
        ('[discover]\nproblems = ["goodman"]\nnoise = [-1.0]', "discover.noise"),
        ('[discover]\nproblems = ["goodman"]\nsample = 40', "did you mean 'samples'?"),
        ('[discover]\nfile = "d.csv"\nsource = "from Lu et al."\ninputs = { a = "x" }\ntargets = { y = "y" }', "from Lu et al."),
        ('[discover]\nfile = "d.csv"', "as formulas of the columns"),
        ('[discover]\nfile = "d.csv"\ninputs = { y = "x" }\ntargets = { y = "y" }', "both an input and a target"),
        ('[discover]\nfile = "t.csv"\ninputs = { a = "xx" }\ntargets = { y = "y" }', "'a'"),
        ('[discover]\nfile = "t.csv"\ninputs = { a = "1/x" }\ntargets = { y = "y" }', "has no value in row 1"),
        ('[discover]\nfile = "t.csv"\ninputs = { a = "x" }\ntargets = { y = "y" }\nleave_out = [31]', "names row 31"),
        ("[surface]\npoints = 40", "surface.problems"),
        ('[dynamics]\nproblems = ["lorenz"]\n[discover]\nproblems = ["goodman"]', "there is no key 'discover'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path, capsys, text, message):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{k},{k % 7}\n" for k in range(30)))
    assert run(["run", write(tmp_path, text)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
