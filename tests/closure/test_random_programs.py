"""Random programs: no statement of a certificate is contradicted by differences or along lines."""

import importlib.util
import sys
from pathlib import Path

import pytest

from infinity.closure.interpreter import Interpreter

_FOLDER = Path(__file__).parents[2] / "benchmarks" / "closure"


def _load(name):
    spec = importlib.util.spec_from_file_location(name, _FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


programs = _load("programs")
fuzz = _load("fuzz")


@pytest.mark.parametrize("start", range(0, 150, 10))
def test_nothing_is_called_simpler_than_it_is(start):
    for seed in range(start, start + 10):
        program, _, wrong, _, agree = fuzz.check(seed)
        assert not wrong, f"seed {seed}, {program.names}: {wrong}"
        assert agree, f"seed {seed}: the two meanings of {program.names} differ"


@pytest.mark.parametrize(("primitive", "like"), [("tanh", "neg"), ("max", "neg"), ("mul", "add"), ("abs", "neg")])
def test_a_wrong_rule_is_caught(monkeypatch, primitive, like):
    """The check itself can fail: with a rule that claims too much, some program contradicts it."""
    monkeypatch.setitem(Interpreter.rules, primitive, Interpreter.rules[like])
    names = {"tanh": "tanh", "max": "relu", "mul": "multiply", "abs": "abs"}
    candidates = (seed for seed in range(1000) if names[primitive] in programs.random_program(seed).names)
    assert any(fuzz.check(next(candidates))[2] for _ in range(25))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(10_000, 11_000, 100))
def test_nothing_is_called_simpler_than_it_is_in_a_thousand(start):
    for seed in range(start, start + 100):
        assert not fuzz.check(seed)[2], seed
