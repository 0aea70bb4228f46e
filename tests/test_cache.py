"""Where compiled programs are kept, and that nothing breaks where they cannot be."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

import infinity as inf
from infinity.cache import cache_folder

PROGRAM = """
import jax
jax.jit(lambda x: x + 1)(1.0)  # before anything was said
import infinity as inf
print(inf.keep_compiled({}))
jax.jit(lambda x: x - 1)(1.0)
"""


def test_variables_choose_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("INFINITY_CACHE", str(tmp_path / "mine"))
    assert cache_folder().parent == tmp_path / "mine"
    monkeypatch.delenv("INFINITY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "infinity"
    monkeypatch.setenv("INFINITY_CACHE", "off")
    assert cache_folder() is None


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )


def kept(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "file"]


@pytest.mark.parametrize("name", ["cache", "file"])
def test_programs_are_kept_where_the_folder_can_be_written(name, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = run(PROGRAM.format(""), INFINITY_CACHE=str(tmp_path / name), HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert bool(kept(tmp_path)) == (name == "cache")
    assert done.stdout.startswith(str(tmp_path / name) if name == "cache" else "None")


def test_none_are_kept_where_the_variable_says_off(tmp_path):
    done = run(PROGRAM.format(""), INFINITY_CACHE="off", HOME=str(tmp_path))
    assert done.stdout.strip() == "None", done.stderr
    assert not kept(tmp_path)


def test_a_folder_that_is_given_holds_them_whatever_the_variables_say(tmp_path):
    place = tmp_path / "mine"
    done = run(PROGRAM.format(repr(str(place))), INFINITY_CACHE="off", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    programs = sorted(path.name for path in kept(place) if path.name.endswith("cache"))
    assert programs
    again = run(PROGRAM.format(repr(str(place))), INFINITY_CACHE="off", HOME=str(tmp_path))
    assert again.returncode == 0, again.stderr
    # The second process finds what it needs, and adds nothing.
    assert sorted(path.name for path in kept(place) if path.name.endswith("cache")) == programs


def test_a_folder_chosen_through_jax_stays(tmp_path):
    program = f'import jax; jax.config.update("jax_compilation_cache_dir", {str(tmp_path / "own")!r})' + PROGRAM.format(
        ""
    )
    done = run(program, INFINITY_CACHE=str(tmp_path / "other"), HOME=str(tmp_path))
    assert done.stdout.strip() == str(tmp_path / "own"), done.stderr
    assert not (tmp_path / "other").exists()


def test_a_given_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    before = jax.config.jax_compilation_cache_dir
    with pytest.raises(ValueError, match=r"cannot be kept in .*file; give a folder that can be written"):
        inf.keep_compiled(tmp_path / "file")
    assert jax.config.jax_compilation_cache_dir == before
