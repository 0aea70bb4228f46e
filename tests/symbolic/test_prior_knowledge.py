"""What is known beforehand: units, exactly, and templates."""

from fractions import Fraction

import numpy as np
import pytest

import infinity as inf
from infinity.symbolic import recursion
from infinity.symbolic.candidates import Data
from infinity.symbolic.discover import discover
from infinity.symbolic.groups import group_reductions
from infinity.symbolic.parse import parse
from infinity.symbolic.template import read_template, undone
from infinity.symbolic.units import dimension, dimensions_of_search

X = np.random.default_rng(0).uniform(1, 3, (150, 5))
M, L, T = ({base: Fraction(1)} for base in ("[mass]", "[length]", "[time]"))


def of(**powers):
    names = {"m": "[mass]", "l": "[length]", "t": "[time]"}
    return {names[key]: Fraction(value) for key, value in powers.items()}


def test_groups_are_dimensionless_and_complete():
    # the drag of a sphere: density, speed, diameter, viscosity -> force
    inputs = [of(m=1, l=-3), of(l=1, t=-1), of(l=1), of(m=1, l=-1, t=-1)]
    for reduction in group_reductions(inputs, of(m=1, l=1, t=-2)):
        assert len(reduction.variables) == 1  # four inputs, three dimensions
        assert all(dimension(tree, inputs) == {} for tree in reduction.variables)
        assert dimension(reduction.prefactor, inputs) == of(m=1, l=1, t=-2)
    assert group_reductions([{}, {}], {})[0].variables == (("x", 0), ("x", 1))
    with pytest.raises(ValueError, match="no product of powers"):
        group_reductions(inputs[:1], T)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.0*m*v^2/t", of(m=1, l=2, t=-3)), ("sqrt(v*t/h)", {}), ("exp(v*t/h) + 1.5", {}), ("abs(m)*sin(2.0)", M), ("(v*t + h)^2", of(l=2)),
        ("m + t", None), ("exp(m)", None), ("h^m", None), ("m*1.0 + 1.0", None), ("log(h)/log(t)", None), ("h^1.5", None), ("(h/h)^1.5", {}),
    ],
)  # fmt: skip
def test_dimensions_of_formulas(text, expected):
    tree, _ = parse(text, ["m", "h", "t", "v"])
    assert dimension(tree, [M, L, T, of(l=1, t=-1)]) == expected


def test_units_lead_to_the_law_and_refuse_the_rest(monkeypatch):
    pytest.importorskip("pint")
    n, m, g, h, kT = X.T
    units = {"n": "1/cm^3", "m": "g", "g": "m/s^2", "h": "km", "kT": "J", "N": "1/m^3"}
    found = discover(X, n * (m * g * h / kT) ** 2 / 2, ["n", "m", "g", "h", "kT"], "N", units=units, engine="native")
    assert found.found
    assert not found.best.constants
    np.testing.assert_allclose(found.best(2 * X), 16 * n * (m * g * h / kT) ** 2, rtol=1e-12)
    assert "units leave 2 groups of 5 variables" in found.trace[0]
    # the numbers say sum, the units say that there is none
    monkeypatch.setattr(recursion, "fit_surrogate", lambda *_: None)  # it would take most of the time
    lengths = {"a": "mm", "c": "s", "y": "m"}
    wrong = discover(X[:60, :2], X[:60, 0] + X[:60, 1], ["a", "c"], "y", units=lengths, engine="native", effort=0)
    assert not wrong.found
    assert all("c" not in expression.inputs for expression in wrong.expressions)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"a": "furlongs/quux", "b": "m", "y": "m"}, "'furlongs/quux' of 'a' is not known"),
        ({"a": "m**", "b": "m", "y": "m"}, "'m\\*\\*' of 'a'"),
        ({"a": "degC", "b": "m", "y": "m"}, "offset"),
        ({"a": "m", "y": "m"}, "none for 'b'"),
        ({"a": "m", "b": "m", "y": "m", "z": "s"}, "'z', which is no column"),
        ({"a": "m", "b": "m", "y": "s"}, "no product of powers"),
    ],
)
def test_units_that_do_not_fit(units, message):
    pytest.importorskip("pint")
    with pytest.raises(ValueError, match=message):
        discover(X[:30, :2], X[:30, 2], ["a", "b"], units=units, engine="native")


@pytest.mark.parametrize(
    ("template", "whole"),
    [
        ("2*a + ?", "2*a + f"), ("?*exp(-a)/b", "f*exp(-a)/b"), ("sqrt(a + ?)", "(a + f)^(1/2)"), ("exp(?/a) - b", "exp(f/a) - b"),
        ("3 - log(?)", "3 - log(f)"), ("1/(b + ?^3)", "1/(b + f^3)"),
    ],
)  # fmt: skip
def test_templates_are_undone(template, whole):
    a, b, f = X[:, 0], X[:, 1], X[:, 2]
    y = inf.Expression.parse(whole, ["a", "b", "f"])(X[:, :3])
    inner = undone(read_template(template, ["a", "b"]), 2, Data((a, b), y))
    np.testing.assert_allclose(inner.y, f, rtol=1e-10)
    h = 1e-6
    up = inf.Expression.parse(whole, ["a", "b", "f"])(np.stack([a, b, f + h], axis=1))
    weights = np.ones(len(y)) if inner.weights is None else inner.weights
    slope = np.sqrt(weights / weights[0])
    np.testing.assert_allclose(slope, np.abs((up - y) / (up[0] - y[0])), rtol=1e-4)


def test_a_known_term_is_built_on():
    m, h, t = X[:, :3].T
    y = 9.81 * m * h + np.exp(-t)
    found = discover(X[:, :3], y, ["m", "h", "t"], "E", template="9.81*m*h + ?", engine="native")
    assert found.found
    points = np.random.default_rng(1).uniform(0, 5, (20, 3))
    truth = 9.81 * points[:, 0] * points[:, 1] + np.exp(-points[:, 2])
    np.testing.assert_allclose(found.best(points), truth, rtol=1e-12)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("m*h", "stands once"), ("? + ?", "stands once"), ("sin(?)", "under 'sin'"), ("m^?", "under 'pow'"), ("q + ?", "no input"),
        ("exp(?)", "cannot give the target"),
    ],
)  # fmt: skip
def test_templates_that_do_not_fit(template, message):
    with pytest.raises(ValueError, match=message):
        discover(X[:30, :2], -X[:30, 2], ["m", "h"], template=template, engine="native")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("F*s + ?*s^2/2", of(m=1, t=-2)), ("sqrt(?)", of(m=2, l=4, t=-4)), ("F*s*exp(-?)", {}), ("F*s*log(?/s)", L), ("F*? + F*s", L),
        ("F + ?", None), ("9.81*s + ?", None), ("exp(?)", None), ("F*s*exp(F*?)", of(m=-1, l=-1, t=2)), ("exp(F)*? + F*s", None),
    ],
)  # fmt: skip
def test_the_unit_of_what_a_template_leaves_open(template, expected):
    pytest.importorskip("pint")
    units, form = {"F": "N", "s": "m", "E": "J"}, read_template(template, ["F", "s"])
    if expected is None:
        with pytest.raises(ValueError, match="does not fit the units"):
            dimensions_of_search(units, ["F", "s"], "E", form)
        assert dimensions_of_search({**units, "?": "m"}, ["F", "s"], "E", form)[1] == L
    else:
        assert dimensions_of_search(units, ["F", "s"], "E", form)[1] == expected


def test_units_and_a_template_together():
    pytest.importorskip("pint")
    m, h, v = X[:, :3].T
    y = 9.81 * m * h + m * v**2 / 2
    units = {"m": "kg", "h": "m", "v": "m/s", "E": "J", "?": "J"}
    found = discover(X[:, :3], y, ["m", "h", "v"], "E", units=units, template="9.81*m*h + ?", engine="native")
    assert found.found
    assert not found.best.constants
    np.testing.assert_allclose(found.best([[2.0, 3.0, 4.0]]), 9.81 * 6 + 16, rtol=1e-12)
