"""Where compiled programs are kept, and that nothing breaks where they cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest

from infinity.cli.cache import cache_folder

PROGRAM = """
from infinity.cli.cache import keep_compiled
keep_compiled()
import jax
jax.jit(lambda x: x + 1)(1.0)
"""


def test_variables_choose_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("INFINITY_CACHE", str(tmp_path / "mine"))
    assert cache_folder().parent == tmp_path / "mine"
    monkeypatch.delenv("INFINITY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "infinity"
    monkeypatch.setenv("INFINITY_CACHE", "off")
    assert cache_folder() is None


@pytest.mark.parametrize("name", ["cache", "file"])
def test_programs_are_kept_where_the_folder_can_be_written(name, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    environment = {"INFINITY_CACHE": str(tmp_path / name), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file"]
    assert bool(kept) == (name == "cache")
