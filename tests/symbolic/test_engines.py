"""Engines of plain search: chosen aloud, read as text, and given what they were asked for."""

import sys
import types

import numpy as np
import pytest

from infinity.symbolic import engines
from infinity.symbolic.candidates import Data, is_exact
from infinity.symbolic.engines import _without_square, chosen, plain_search

X = np.random.default_rng(0).uniform(1, 3, (200, 2))


def data_of(f):
    return Data(tuple(X.T.copy()), f(*X.T))


def test_engines_are_chosen_aloud_and_read_as_text(monkeypatch):
    assert chosen("native") == "native"
    with pytest.raises(ValueError, match="expected 'auto'"):
        chosen("magic")
    with pytest.raises(ValueError, match=r"infinity\[pysr\]"):
        chosen("pysr")
    assert _without_square("2.0*square(v0 + square(v1))") == "2.0*((v0 + ((v1)^2))^2)"

    class Standin:
        def fit(self, x, y, weights=None, variable_names=None):
            assert variable_names == ["v0", "v1"]
            self.equations_ = {"equation": ["square(v0)*1.1/v1", "gamma(v0)", "__import__('os')"]}

    data = data_of(lambda a, b: 3 * a**2 / b)
    found = plain_search("pysr", data, 0, 1000, Standin())
    assert len(found) == 1
    assert is_exact(found[0], data)


def test_engines_search_with_the_functions_that_are_allowed(monkeypatch):
    asked = []
    monkeypatch.setattr(engines, "_pyoperon", lambda *given: asked.append(given[-1]) or ["v0 + 1.0"])
    data = data_of(lambda a, b: a + 1)
    assert plain_search("pyoperon", data, 0, 10, allowed=frozenset({"sqrt", "exp"}))[0].complexity == 3
    plain_search("pyoperon", data, 0, 10)
    assert [list(words) for words in asked] == [["exp", "sqrt"], list(engines.OPERATORS)]


def test_an_engine_that_wants_arrays_of_its_own_gets_them(monkeypatch):
    class Regressor:
        def __init__(self, **options):
            self.pareto_front_ = [{"tree": "X1*X2"}]

        def fit(self, x, y):
            assert x.flags.writeable
            assert y.flags.writeable

        def get_model_string(self, tree, digits):
            return tree

    fake = types.ModuleType("pyoperon.sklearn")
    fake.SymbolicRegressor = Regressor
    monkeypatch.setitem(sys.modules, "pyoperon", types.ModuleType("pyoperon"))
    monkeypatch.setitem(sys.modules, "pyoperon.sklearn", fake)
    data = data_of(lambda a, b: a * b)
    for array in (*data.columns, data.y):
        array.flags.writeable = False
    assert is_exact(plain_search("pyoperon", data, 0, 10)[0], data)
