"""`infinity fit --resume`: what an interrupted run leaves, and how it goes on."""

import json
import shlex
import signal

import numpy as np
import pytest

import infinity.cli.task as task
from infinity.io import load, write_table

SMALL = ["--modes", "2", "--elements", "2", "--no-plots"]


def interrupt(*arguments, **options):
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def test_a_run_is_resumed_as_its_message_says(infinity, fitted, tmp_path, monkeypatch):
    arguments = ["fit", fitted / "data.csv", "-t", "y", *SMALL]
    assert infinity(*arguments, "--out", "whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(task, "_record", interrupt)
        done = infinity(*arguments, "--out", "my run")
    assert done.code == 130
    (line,) = done.err.splitlines()
    message, _, command = line.partition("infinity ")
    assert message == "interrupted; what is finished is kept; go on with: "
    assert [entry.name for entry in (tmp_path / "my run").iterdir()] == ["journal"]
    again = infinity(*shlex.split(command))
    assert again.code == 0, again.err
    assert sorted(entry.name for entry in (tmp_path / "my run").iterdir()) == [
        "model.inf",
        "predictor.inf",
        "result.json",
    ]
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    np.testing.assert_allclose(
        load(tmp_path / "my run").predict(x), load(tmp_path / "whole").predict(x), rtol=1e-12, atol=1e-12
    )
    first, second = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "my run"))
    assert first["metrics"]["heldout"] == pytest.approx(second["metrics"]["heldout"])
    assert first["stats"] == second["stats"]


def test_before_the_first_fit_is_finished_nothing_is_left(infinity, fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("infinity.fitting.samples.fit_separable", interrupt)
    done = infinity("fit", fitted / "data.csv", "-t", "y", *SMALL, "--out", "run")
    assert done.code == 130
    assert done.err.splitlines() == ["interrupted; no half-written file is left"]
    assert list(tmp_path.iterdir()) == []


def test_an_older_run_stays_until_the_new_one_is_finished(infinity, fitted, tmp_path, table, monkeypatch):
    arguments = ["fit", fitted / "data.csv", "-t", "y", *SMALL, "--out", "run"]
    assert infinity(*arguments).code == 0
    older = load(tmp_path / "run").predict(np.zeros((1, 3)))
    with monkeypatch.context() as patch:
        patch.setattr(task, "_record", interrupt)
        assert infinity(*arguments, "--seed", 1).code == 130
    assert (tmp_path / "run" / "journal").is_dir()
    np.testing.assert_array_equal(load(tmp_path / "run").predict(np.zeros((1, 3))), older)

    assert "it has seed 1 and not 0" in infinity(*arguments, "--resume").error()
    write_table(tmp_path / "other.csv", table(seed=5))
    other = infinity("fit", "other.csv", *arguments[2:], "--seed", 1, "--resume").error()
    assert "run/journal is of another fit: it has other rows. Resume with the same table" in other

    assert infinity(*arguments).code == 0  # without --resume it starts anew
    assert not (tmp_path / "run" / "journal").exists()
    assert "run holds no interrupted fit to resume; leave out --resume" in infinity(*arguments, "--resume").error()


SLOW = """
import time
import infinity.cli.task as task
from infinity.cli import main

def slow(*arguments):
    print("fitted", flush=True)
    time.sleep(90)

task._record = slow
main(["fit", "data.csv", "--target", "y", "--modes", "2", "--elements", "2", "--no-plots", "--out", "run"])
"""


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_is_resumed(infinity, signalled, tmp_path, table, kind):
    (tmp_path / "slow.py").write_text(SLOW)
    write_table(tmp_path / "data.csv", table())
    code, errors = signalled("fitted", kind)
    if kind == signal.SIGTERM:
        assert code == 130
        assert len(errors.splitlines()) == 1
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["journal"]
    done = infinity("fit", "data.csv", "--target", "y", *SMALL, "--out", "run", "--resume")
    assert done.code == 0, done.err
    assert not (tmp_path / "run" / "journal").exists()
