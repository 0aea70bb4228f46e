"""A fit that was interrupted goes on where it was, and gives what it would have given."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(150, 2))
Y = np.sin(3 * X[:, 0]) * X[:, 1] + 0.1 * RNG.standard_normal(150)


class Watch:
    """Counts fits by their first iterations, and interrupts the fit of a number."""

    def __init__(self, last=None):
        self.fits, self.last = 0, last

    def __call__(self, event):
        self.fits += event["iteration"] == 1
        if self.fits == self.last:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole():
    watch = Watch()
    return inf.fit(X, Y, progress=watch), watch.fits


def test_a_resumed_fit_is_the_one_that_was_never_interrupted(whole, tmp_path):
    expected, count = whole
    assert count > 3
    for last in (3, 2):  # each interruption leaves two, then one fit more
        with pytest.raises(KeyboardInterrupt):
            inf.fit(X, Y, journal=tmp_path / "journal", progress=Watch(last))
    assert len(list((tmp_path / "journal").glob("*.inf"))) == 3
    watch = Watch()
    result = inf.fit(X, Y, journal=tmp_path / "journal", progress=watch)
    assert watch.fits == count - 3
    new = RNG.uniform(0.1, 0.9, size=(30, 2))
    for one, other in zip(result.predict(new, True), expected.predict(new, True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    for one, other in zip(result.intervals(new), expected.intervals(new), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert result.metrics["heldout"] == pytest.approx(expected.metrics["heldout"], rel=1e-9)
    assert [trial._replace(seconds=0.0) for trial in result.trials] == [
        trial._replace(seconds=0.0) for trial in expected.trials
    ]
    assert result.stats == expected.stats
    np.testing.assert_allclose(result.stationarity, expected.stationarity, rtol=1e-6)

    for path in (tmp_path / "journal").iterdir():
        assert path.suffix in (".inf", ".json")
    finished = Watch()
    inf.fit(X, Y, journal=tmp_path / "journal", progress=finished)
    assert finished.fits == 0


def test_a_half_written_file_is_never_read(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        inf.fit(X, Y, journal=tmp_path / "journal", progress=Watch(3))
    one, two = (tmp_path / "journal").glob("*.inf")
    one.rename(one.with_name(f".{one.name}.12345678.partial"))  # what a kill while writing leaves
    watch = Watch()
    inf.fit(X, Y, journal=tmp_path / "journal", progress=watch)
    assert watch.fits == whole[1] - 1
    assert two.exists()


def test_a_journal_of_another_fit_is_refused(tmp_path):
    small = {"modes": 1, "elements": 2, "journal": tmp_path / "journal"}
    inf.fit(X, Y, **small)
    with pytest.raises(ValueError, match=r"is of another fit: it has other rows\. Resume with the same table"):
        inf.fit(X, Y + 1e-12, **small)
    with pytest.raises(ValueError, match="it has modes 1 and not 2, seed 0 and not 7"):
        inf.fit(X, Y, **{**small, "modes": 2}, seed=7)
    with pytest.raises(ValueError, match="it has other rows, dtype 'float64' and not 'float32'"):
        inf.fit(X.astype(np.float32), Y.astype(np.float32), **small)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that are not a journal"):
        inf.fit(X, Y, journal=tmp_path)
    with pytest.raises(ValueError, match=r"journal is the file .*notes\.txt; give a folder"):
        inf.fit(X, Y, journal=tmp_path / "notes.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


class Line(eqx.Module):
    slope: jnp.ndarray

    def __call__(self, x):
        return self.slope * x[0]


def test_a_model_of_another_solver_has_no_journal(tmp_path):
    with pytest.raises(ValueError, match="journal keeps the fits of a separable model by the direct solve"):
        inf.fit(X, Y, model=Line(jnp.array(1.0)), journal=tmp_path / "journal")
    assert list(tmp_path.iterdir()) == []
