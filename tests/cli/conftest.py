"""What the tests of the command line share: a folder to stand in, and the command itself."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from infinity.cli.application import run
from infinity.io import write_table


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    def error(self):
        """The one line of an error, after checking that it is one and that the code is 2."""
        assert self.code == 2, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


@pytest.fixture
def infinity(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return command


def _table(rows=80, seed=0):
    """A smooth function of three inputs."""
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 3))
    return {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x[:, 0] * x[:, 1] + np.sin(x[:, 2])}


@pytest.fixture
def table():
    """A function that makes the columns of a smooth table."""
    return _table


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A run folder made by the command line, with its data beside it."""
    folder = tmp_path_factory.mktemp("fitted")
    write_table(folder / "data.csv", _table())
    options = ["--modes", "2", "--elements", "2", "--out", str(folder / "run"), "--outside", "warn"]
    assert run(["fit", str(folder / "data.csv"), "--target", "y", *options]) == 0
    return folder


@pytest.fixture
def signalled(tmp_path):
    """Run `slow.py` in the folder of the test until it says a word, send it a signal, and return its exit code and what it wrote to the error stream."""

    def run(word, kind):
        with subprocess.Popen(
            [sys.executable, "slow.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{word}\n"
            process.send_signal(kind)
            _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    return run
