"""`infinity check`: what it finds in the user's own files, and what it says when it does not."""

import re

import pytest

USER = '''
"""A user's module."""
import jax.numpy as jnp

X = jnp.linspace(0.0, 1.0, 5)

def line(p, x):
    return p["a"] + p["b"] * x

def wave(p, x):
    return jnp.tanh(p["a"] * x)

def squared(p, x):
    return p["a"] * p["b"] * x

def broken(p, x):
    return p["c"]

def params():
    return {"a": jnp.asarray(1.0), "b": jnp.asarray(2.0)}

def line_case():
    return line, params(), X

wave_case = (wave, params(), X)
squared_case = (squared, params(), X)
broken_case = (broken, params(), X)
not_a_function = (1, params(), X)
short = (line,)

def arguments():
    return params(), X

def failing():
    raise RuntimeError("no data\\nmore")

class Holder:
    case = (line, params(), X)
'''


@pytest.fixture
def check(infinity, tmp_path, monkeypatch, request):
    """Run `infinity check` beside a module of the user's, under a name that no other test has imported."""
    name = "user_" + re.sub(r"\W", "_", request.node.name)
    (tmp_path / f"{name}.py").write_text(USER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda function, *options: infinity("check", function.replace("USER", name), *options)


@pytest.mark.parametrize("place", ["USER:line_case", "USER.py:line_case", "USER:Holder.case"])
def test_an_affine_function(check, place):
    done = check(place)
    assert (done.code, done.err) == (0, "")
    assert "affine" in done.out
    assert check(place, "--require", "affine").code == 0


def test_arguments_from_a_second_function(check, request):
    name = "user_" + re.sub(r"\W", "_", request.node.name)
    assert check("USER:line", "--args", f"{name}:arguments").out == check("USER:line_case").out


def test_a_required_property_decides_the_exit_code(check):
    done = check("USER:squared_case", "--require", "affine")
    assert done.code == 1
    assert "was required to be affine" in done.err
    assert check("USER:squared_case", "--require", "closed").code == 0
    assert check("USER:wave_case").code == 0
    assert check("USER:wave_case", "--require", "affine").code == 1


FAULTS = {
    "no colon": ("USER", [], "expected MODULE:FUNCTION"),
    "no module": ("nowhere_at_all:f", [], "there is no module 'nowhere_at_all'"),
    "no submodule": ("os.nowhere:f", [], "there is no module 'os.nowhere'"),
    "no file": ("nowhere.py:f", [], "there is no file nowhere.py"),
    "misspelt function": ("USER:line_cas", [], "has nothing called 'line_cas'; did you mean 'line_case'"),
    "needs arguments": ("USER:line", [], r"must be callable without arguments and return .*--args"),
    "short": ("USER:short", [], r"must give \(fn, params, \*args\); got a tuple of 1"),
    "not a tuple": ("USER:X", [], "must give"),
    "not a function": ("USER:not_a_function", [], "first entry must be the function to check; got a int"),
    "fails when called": ("USER:failing", [], r"calling .* failed: RuntimeError: no data \(.*user_.*py, line \d+\)"),
    "fails when traced": ("USER:broken_case", [], r"tracing .* failed: KeyError: 'c' \(.*user_.*py, line 17\)"),
    "unknown requirement": ("USER:line_case", ["--require", "linear"], "--require"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults(check, case):
    function, options, expected = FAULTS[case]
    line = check(function, *options).error()
    assert re.search(expected, line), line


def test_modules_that_cannot_be_imported(infinity, tmp_path):
    (tmp_path / "syntax_fault.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "import_fault.py").write_text("x = 1\nx.nothing\n")
    assert "syntax_fault.py, line 2" in infinity("check", "syntax_fault.py:f").error()
    line = infinity("check", "import_fault.py:f").error()
    assert "AttributeError" in line
    assert "import_fault.py, line 2" in line
    assert "did you mean 'import_fault'" in infinity("check", "import_faul:f").error()
