"""All or nothing: a reader sees the old thing or the new one."""

import pytest

from infinity.io import atomic_file, atomic_folder, check_writable


def _names(folder):
    return [entry.name for entry in folder.iterdir()]


def _fill_then_raise(folder, error):
    with atomic_folder(folder) as partial:
        (partial / "a").write_text("new")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_inside_leaves_the_old_folder(tmp_path, error):
    final = tmp_path / "run"
    with atomic_folder(final) as partial:
        (partial / "a").write_text("old")
    with pytest.raises(error):
        _fill_then_raise(final, error)
    assert (final / "a").read_text() == "old"
    assert _names(tmp_path) == ["run"]
    with atomic_folder(final) as partial:
        (partial / "b").write_text("new")
    assert _names(final) == ["b"]
    assert _names(tmp_path) == ["run"]


def test_an_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    final = tmp_path / "run"
    with atomic_folder(final) as partial:
        (partial / "a").write_text("old")
    with pytest.raises(OSError, match="No such file"), atomic_folder(final) as partial:
        partial.rmdir()
    assert (final / "a").read_text() == "old"
    assert _names(tmp_path) == ["run"]


def test_missing_parents_are_made(tmp_path):
    with atomic_file(tmp_path / "a" / "b" / "c.txt") as partial:
        partial.write_text("x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(OSError, match="a folder of that name exists"), atomic_file(tmp_path):
        pass
    # /proc refuses new entries to every user, root included.
    with pytest.raises(OSError, match="the folder /proc is not writable"):
        check_writable("/proc/run")
    check_writable(tmp_path / "run")
    assert _names(tmp_path) == ["file"]
