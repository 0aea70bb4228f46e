"""Expressions: the same numbers in every language, files that only hold data, and constants with honest errors."""

import json
import subprocess
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.symbolic.algebra import tidy
from infinity.symbolic.parse import parse
from infinity.symbolic.tape import Tape
from infinity.symbolic.tree import evaluate

NAMES = ["S", "E", "I", "N", "beta", "lambda", "fatigue life"]
TEXTS = [
    "2.5*exp(-lambda/S) + E/2 - 3.1e-5*N^2/(beta*sqrt(I))",
    "-1.5*S*(1.0 - lambda/N)^2*sin(2.0*S + 1.0)",
    "(2.0*S + 3.0*E)^(1/2)*4.0 + log(2.0*`fatigue life`)^-2",
    "1/(1.5 + 2.0*tanh(beta)) + atan(I)*asin(E/10.0) - acos(S/20) - -2.0",
    "abs(S - N)^1.25 + cosh(E/3)/sinh(beta) + tan(I/7.0)^2",
]
POINTS = np.random.default_rng(0).uniform(1, 3, (7, len(NAMES)))


@pytest.mark.parametrize("text", TEXTS)
def test_every_language_says_the_same(text, tmp_path):
    expression = inf.Expression.parse(text, NAMES)
    values = expression(POINTS)
    tree, constants = parse(text, NAMES)
    np.testing.assert_allclose(values, evaluate(tree, POINTS.T, constants), rtol=1e-13)
    again = inf.Expression.parse(expression.text(17), NAMES)
    np.testing.assert_allclose(again(POINTS), values, rtol=1e-13)
    np.testing.assert_allclose(np.stack([expression.jax()(jnp.asarray(p)) for p in POINTS[:2]]), values[:2], rtol=1e-13)
    scope: dict = {}
    exec(expression.numpy(), scope)
    np.testing.assert_allclose(scope["predict"](POINTS), values, rtol=1e-13)
    symbols = {s.name: s for s in expression.sympy.free_symbols}
    point = {symbols[n]: POINTS[0, d] for d, n in enumerate(NAMES) if n in symbols}
    assert float(expression.sympy.subs(point)) == pytest.approx(values[0], rel=1e-12)
    assert expression.latex().count("{") == expression.latex().count("}")
    inf.save(expression, tmp_path / "e.inf")
    loaded = inf.load(tmp_path / "e.inf")
    assert (loaded.tree, loaded.constants, loaded.names) == (expression.tree, expression.constants, expression.names)


def test_c_gives_the_same_numbers(tmp_path):
    expressions = [inf.Expression.parse(text, NAMES) for text in TEXTS]
    code = "".join(e.c(f"f{k}") for k, e in enumerate(expressions))
    point = ", ".join(map(repr, POINTS[0].tolist()))
    calls = "".join(f'    printf("%.17g\\n", f{k}(x));\n' for k in range(len(TEXTS)))
    (tmp_path / "f.c").write_text(
        f"#include <stdio.h>\n{code}int main(void) {{ const double x[] = {{{point}}};\n{calls} return 0; }}\n"
    )
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Werror", str(tmp_path / "f.c"), "-o", str(tmp_path / "f"), "-lm"], check=True
    )
    out = subprocess.run([str(tmp_path / "f")], capture_output=True, text=True, check=True).stdout.split()
    np.testing.assert_allclose([float(word) for word in out], [e(POINTS[0]) for e in expressions], rtol=1e-14)


def test_constants_are_leaves_of_the_jax_form():
    formula = inf.Expression.parse("2.0*x^2 + 3.0", ["x"]).jax()
    leaves = jax.tree.leaves(formula)
    assert len(leaves) == 1
    slope = jax.grad(lambda f: f(jnp.array([2.0])))(formula)
    np.testing.assert_allclose(slope.constants, [4.0, 1.0])


@pytest.mark.parametrize("text", TEXTS)
def test_slopes_are_derivatives(text):
    tree, constants = parse(text, NAMES)
    tape = Tape(tree, list(POINTS.T))
    np.testing.assert_allclose(tape.value(constants), evaluate(tree, POINTS.T, constants), rtol=1e-13)
    slopes = tape.slopes()
    for k in range(len(constants)):
        step = 1e-6 * max(1e-3, abs(constants[k]))
        up, down = (np.array([c + s * step * (j == k) for j, c in enumerate(constants)]) for s in (1, -1))
        difference = (evaluate(tree, POINTS.T, up) - evaluate(tree, POINTS.T, down)) / (2 * step)
        np.testing.assert_allclose(np.broadcast_to(slopes[k], 7), difference, rtol=1e-6, atol=1e-6)


def test_tidy_keeps_the_value_and_no_constant_twice():
    for text in [
        "2.0*3.0*x",
        "2.0*exp(1.0 + x)",
        "(2.0*x)^(1/2)*3.0",
        "log(2.0*x) + 1.5",
        "4.0*(2.0*x + 3.0)^-1",
        "x^2*x^-1.0*x^(1/2)",
    ]:
        tree, constants = parse(text, ["x"])
        tidied, fewer = tidy(tree, constants)
        assert len(fewer) <= len(constants)
        np.testing.assert_allclose(evaluate(tidied, [1.7], fewer), evaluate(tree, [1.7], constants), rtol=1e-14)
    assert len(tidy(*parse("4.0*(2.0*x + 3.0)^-1", ["x"]))[1]) == 2


def test_standard_errors_are_those_of_repeated_experiments():
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 40)[:, None]
    start = inf.Expression.parse("3.0*exp(-2.0*t) + 0.5", ["t"])
    fits = [start.refit(t, start(t) + 0.01 * rng.normal(size=40)) for _ in range(200)]
    spread = np.std([f.constants for f in fits], axis=0)
    said = np.mean([f.errors for f in fits], axis=0)
    np.testing.assert_allclose(said, spread, rtol=0.2)
    loose = inf.Expression(("mul", ("c", 0), ("c", 1), ("x", 0)), (1.0, 1.0), ("t",)).refit(t, 2 * t[:, 0])
    assert np.all(np.isinf(loose.errors))
    assert loose.metrics["data"] < 1e-12


def test_a_file_from_a_stranger_is_only_data(tmp_path):
    inf.save(inf.Expression.parse("2.0*x", ["x"]), tmp_path / "a.inf")
    with zipfile.ZipFile(tmp_path / "a.inf") as archive:
        header = archive.read("header.json").decode()
    bad = header.replace('"mul"', '"__import__"')
    assert bad != header
    json.loads(bad)
    with zipfile.ZipFile(tmp_path / "b.inf", "w") as archive:
        archive.writestr("header.json", bad)
    with pytest.raises(ValueError, match="knows no '__import__'"):
        inf.load(tmp_path / "b.inf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2*y", "no input"), ("2*x)", "an operator or its end"), ("(x", "ends where"), ("x $ 2", "no part of a formula"), ("", "ends where"),
        ("__import__(x)", "no function"), ("gamma(x)", "no function"), ("x.real", "no part"),
    ],
)  # fmt: skip
def test_text_that_is_no_formula(text, message):
    with pytest.raises(ValueError, match=message):
        inf.Expression.parse(text, ["x"])


def test_bad_measurements():
    expression = inf.Expression.parse("2.0*log(x)", ["x"])
    with pytest.raises(ValueError, match="expected \\(N, 1\\)"):
        expression(np.ones((3, 2)))
    with pytest.raises(ValueError, match="row 2"):
        expression.refit(np.array([[1.0], [-1.0], [2.0]]), np.ones(3))
    with pytest.raises(ValueError, match="knows no 'z'"):
        inf.Expression(("z",), (), ("x",))
    with pytest.raises(ValueError, match="not there"):
        inf.Expression(("x", 1), (), ("x",))
