"""Exported code gives the numbers of the model, in and outside its box."""

import dataclasses
import importlib.util
import json
import math
import shutil
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.coding import Coding, Column
from infinity.io.export import FORMATS

NAMES = ("load in kN", '*/ """ \\', "größe")
BREAKPOINTS = ((0.0, 0.3, 0.35, 1.0), (0.0, 0.5, 0.5, 1.0), (0.0, 0.125, 0.7, 0.9, 1.0))
LOWER, UPPER = (-2.0, 100.0, 1e-3), (3.0, 101.0, 2e-3)

BOUNDED = ["logit(-5.0, 40.0; -inf, 3.0)", "log(2.5, inf)", "identity(6.0, 9.0; -2.0, inf)", "square(0.5; 1.5)"]
POLICIES = ["linear", "clamp", "nan", "error", "warn"]


def fitted(outside="linear", outputs=2, dtype=jnp.float64, additive=True, scaled=True, link="identity", **more):
    """Cells of unequal length, a repeated breakpoint, degrees from 1 to 3."""
    box = list(zip(LOWER, UPPER, strict=True))
    rows = [
        [t if scaled else low + (high - low) * t for t in row]
        for row, (low, high) in zip(BREAKPOINTS, box, strict=True)
    ]
    settings = {"modes": 3, "degree": (3, 2, 1), "outputs": outputs, "additive": additive, "breakpoints": rows} | more
    inner = inf.KHRONOS(key=jax.random.key(0), **settings)
    random = np.random.default_rng(1)
    inner = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), dtype), inner)
    scalar = outputs == 1
    shift, scale, targets = ((7.0,), (3.0,), ("y",)) if scalar else ((7.0, -1.0), (3.0, 0.5), ("wear [µm]", "class"))
    if link.startswith("log"):
        shift, scale = (0.1,) * len(shift), (0.2,) * len(scale)
    return inf.Fitted(inner, LOWER, UPPER, scaled, shift, scale, NAMES, targets, outside, scalar, link)


def points():
    """Random points, all corners, all breakpoints, and points beyond one or more sides."""
    random = np.random.default_rng(0)
    low, high = np.asarray(LOWER), np.asarray(UPPER)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(-1, 3)
    edges = random.uniform(size=(12, 3))
    for d, row in enumerate(BREAKPOINTS):
        edges[4 * d : 4 * d + len(row[:4]), d] = row[:4]
    inside = np.concatenate([low + (high - low) * random.uniform(size=(40, 3)), corners, low + (high - low) * edges])
    inside = np.clip(inside, low, high)
    return inside, low + (high - low) * random.uniform(-1, 2, size=(40, 3))


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12 * np.nanmax(np.abs(wanted)))


def expected(model, x):
    """The model's own values; those of the straight lines where it would warn or refuse."""
    padded = np.concatenate(
        [x, np.tile(x[:1], (128 - len(x), 1))]
    )  # one shape, so that one compilation serves many tests
    return np.array(_values(model._quiet(), jnp.asarray(padded))).reshape(len(padded), -1)[: len(x)]


@eqx.filter_jit
def _values(model, x):
    return jax.vmap(model)(x)


def by_numpy(path, x):
    """The values that the module gives in a process without JAX."""
    np.save(path.parent / "x.npy", x)
    code = (
        "import sys, numpy as np; sys.modules['jax'] = sys.modules['infinity'] = None; sys.path.insert(0, '.'); "
        f"import {path.stem} as m; np.save('y.npy', m.predict(np.load('x.npy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=path.parent, capture_output=True, text=True, check=False)
    return (np.load(path.parent / "y.npy"), done) if done.returncode == 0 else (None, done)


def load_module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("outside", "link"),
    [*((policy, "identity") for policy in POLICIES), *(("linear", link) for link in ["log", *BOUNDED]), ("nan", "log")],
)
def test_numpy(outside, link, tmp_path):
    model = fitted(outside, link=link)
    inf.export(model, "numpy", tmp_path / "module.py")
    module = load_module(tmp_path / "module.py")
    inside, beyond = points()
    close(module.predict(inside), expected(model, inside))
    if outside == "error":
        with pytest.raises(ValueError, match="outside the box"):
            module.predict(beyond)
    elif outside == "warn":
        with pytest.warns(UserWarning, match="outside the box"):
            close(module.predict(beyond), expected(model, beyond))
    else:
        wanted = expected(model, beyond)
        assert np.isnan(wanted).any() == (outside == "nan")
        close(module.predict(beyond), wanted)
    with pytest.raises(ValueError, match=r"expected \(N, 3\)"):
        module.predict(inside[:, :2])


def test_numpy_module_needs_neither_jax_nor_infinity(tmp_path):
    model = fitted(outputs=1)
    inf.export(model, "numpy", tmp_path / "alone.py")
    inside, _ = points()
    y, done = by_numpy(tmp_path / "alone.py", inside)
    assert done.returncode == 0, done.stderr
    assert y.shape == (len(inside),)
    close(y[:, None], expected(model, inside))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("more", [{"additive": False}, {"constant": False}, {"degree": (0, 2, 1), "modes": 1}])
def test_other_blocks_and_scalings(outputs, scaled, more, tmp_path):
    model = fitted(outputs=outputs, scaled=scaled, **more)
    inside, beyond = points()
    namespace = {}
    exec(inf.export(model, "numpy"), namespace)
    x = np.concatenate([inside, beyond])
    close(np.asarray(namespace["predict"](x)).reshape(len(x), -1), expected(model, x))


def test_single_precision_model_agrees_to_its_rounding():
    model = fitted(dtype=jnp.float32)
    namespace = {}
    exec(inf.export(model, "numpy"), namespace)
    inside, _ = points()
    inside = inside.astype(np.float32)
    wanted = np.asarray(model.predict(inside), float)
    np.testing.assert_allclose(namespace["predict"](inside), wanted, atol=2e-4 * np.abs(wanted).max())


MAIN = """#include <stdio.h>
#include "model.c"
int main(void) {
    double x[3], y[2];
    while (scanf("%lf %lf %lf", x, x + 1, x + 2) == 3) {
        model_predict(x, y);
        printf("%.17g %.17g %d\\n", y[0], y[1], model_inside(x));
    }
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: cc is not on the path")
@pytest.mark.parametrize(
    ("outside", "link"),
    [*((policy, "identity") for policy in POLICIES), *(("linear", link) for link in ["log", *BOUNDED])],
)
def test_c(outside, link, tmp_path):
    model = fitted(outside, link=link)
    inf.export(model, "c", tmp_path / "model.c")
    (tmp_path / "main.c").write_text(MAIN)
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1", "main.c", "-o", "main", "-lm"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    inside, beyond = points()
    x = np.concatenate([inside, beyond])
    lines = "\n".join(" ".join(repr(float(t)) for t in row) for row in x)
    done = subprocess.run(["./main"], cwd=tmp_path, input=lines, capture_output=True, text=True, check=True)
    found = np.array([[float(word) for word in line.split()] for line in done.stdout.splitlines()])
    outer = np.any((x < LOWER) | (x > UPPER), axis=1)
    np.testing.assert_array_equal(found[:, 2], ~outer)
    wanted = expected(model, x)
    if outside == "error":
        wanted[outer] = np.nan
    close(found[:, :2], wanted)


@pytest.mark.parametrize(
    ("outside", "link"),
    [("linear", "identity"), ("clamp", "log"), ("nan", "identity"), *(("linear", link) for link in ["log", *BOUNDED])],
)
def test_sympy(outside, link, tmp_path):
    mpmath = pytest.importorskip("mpmath")
    import sympy

    # Continuous: in units of the inputs a breakpoint may be off by a rounding, and then lie in the other cell.
    modes = 1 if link in BOUNDED else 3
    model = fitted(outside, degree=(3, 2, 1), link=link, modes=modes)
    inf.export(model, "sympy", tmp_path / "formula.py")
    module = load_module(tmp_path / "formula.py")
    inside, beyond = points()
    smooth = np.abs((inside[:, 1] - LOWER[1]) / (UPPER[1] - LOWER[1]) - 0.5) > 1e-9
    x = np.concatenate([inside[smooth][:20], beyond[:20]])
    wanted = expected(model, x)
    with mpmath.workdps(40):
        for o in range(2):
            function = sympy.lambdify(module.SYMBOLS, module.expression(o), "mpmath")
            close([float(function(*map(mpmath.mpf, row.tolist()))) for row in x], wanted[:, o])


def test_sympy_expression_can_be_differentiated(tmp_path):
    model = fitted("clamp", outputs=1, modes=1, additive=False)
    inf.export(model, "sympy", tmp_path / "formula.py")
    module = load_module(tmp_path / "formula.py")
    point = np.array([0.7, 100.2, 1.4e-3])
    place = dict(zip(module.SYMBOLS, point, strict=True))
    slopes = [float(module.expression().diff(x).subs(place)) for x in module.SYMBOLS]
    np.testing.assert_allclose(slopes, jax.grad(model)(jnp.asarray(point)), rtol=1e-10)


def by_json(document, row):
    """The formula that the file states, in plain Python."""
    modes, y = [1.0] * len(document["mixing"][0]), list(document["constant"])
    for value, axis in zip(row, document["inputs"], strict=True):
        edges = axis["breakpoints"]
        t = (value - axis["origin"]) / axis["width"]
        e = sum(t >= edge for edge in edges[1:-1])
        v = 2 * (t - edges[e]) / (edges[e + 1] - edges[e]) - 1
        polynomial = lambda powers, v=v: sum(c * v**k for k, c in enumerate(powers))
        modes = [mode * polynomial(powers) for mode, powers in zip(modes, axis["factors"][e], strict=True)]
        y = [total + polynomial(powers) for total, powers in zip(y, axis["additive"][e], strict=True)]
    u = [
        total + sum(w * mode for w, mode in zip(row, modes, strict=True))
        for total, row in zip(y, document["mixing"], strict=True)
    ]
    return [by_link(link, value) for link, value in zip(document["links"], u, strict=True)]


def by_link(link, u):
    """What the file says about the links."""
    lower, upper = link["lower"], link["upper"]
    if link["kind"] == "clip":
        return min(max(u, -math.inf if lower is None else lower), math.inf if upper is None else upper)
    return {
        "identity": lambda: u,
        "log": lambda: math.exp(u),
        "above": lambda: lower + math.exp(u),
        "below": lambda: upper - math.exp(-u),
        "between": lambda: lower + (upper - lower) / (1 + math.exp(-u)),
        "square": lambda: math.sqrt(max(u, 0.0)),
    }[link["kind"]]()


@pytest.mark.parametrize("link", ["identity", "log", *BOUNDED])
def test_json(link, tmp_path):
    model = fitted("clamp", link=link)
    inf.export(model, "json", tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert (document["format"], document["format_version"], document["outside"]) == ("infinity-separable", 1, "clamp")
    assert tuple(axis["name"] for axis in document["inputs"]) == NAMES
    inside, _ = points()
    close([by_json(document, row.tolist()) for row in inside], expected(model, inside))


def test_latex_has_every_number_and_balances():
    model = fitted()
    text = inf.export(model, "latex", digits=4)
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin") == text.count(r"\end")
    assert r"\text{load in kN}" in text
    assert r"\text{*/ \"\"\" \textbackslash{}}".replace('\\"', '"') in text
    assert text.count("f_{1,2}(x_{1}) &") == 3
    assert text.count("a_{3,2}(x_{3}) &") == 4
    weights = np.asarray(model.scale)[:, None] * np.asarray(model.inner.mixing)
    written = text.split(r"w_{2,1 \dots 3} &= ")[1].split(r" \\")[0].split(", ")
    np.testing.assert_allclose([float(number) for number in written], weights[1], rtol=1e-3)


def test_no_policy_of_the_model_is_unknown():
    from typing import get_args

    from infinity.fitting.fitted import Outside

    assert set(get_args(Outside)) == {*POLICIES, "extrapolate"}
    with pytest.raises(ValueError, match="splines have no formula beyond their box"):
        inf.export(fitted("extrapolate"), "c")
    for to in FORMATS:
        assert "Written by Infinity" in inf.export(fitted("warn"), to)[:600]


def test_a_foreign_file_is_left_alone(tmp_path):
    path = tmp_path / "model.c"
    path.write_text("int main(void) { return 0; }\n")
    with pytest.raises(ValueError, match="was not written by an export"):
        inf.export(fitted(), "c", path)
    text = inf.export(fitted(), "c", path, force=True)
    assert path.read_text() == text
    assert inf.export(fitted("clamp"), "c", path) == path.read_text() != text


def test_what_cannot_be_written_is_refused_in_a_sentence():
    model = fitted()
    with pytest.raises(ValueError, match="expected one of numpy, c, sympy, latex, json"):
        inf.export(model, "fortran")
    with pytest.raises(ValueError, match="got a KHRONOS; expected what"):
        inf.export(model.inner, "c")
    network = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    other = eqx.tree_at(lambda fitted: fitted.inner, model, network)
    with pytest.raises(ValueError, match="fitted MLP; only separable models"):
        inf.export(other, "c")
    broken = eqx.tree_at(lambda fitted: fitted.inner.constant, model, jnp.array([0.0, jnp.nan]))
    with pytest.raises(ValueError, match="not finite"):
        inf.export(broken, "c")
    with pytest.raises(ValueError, match="digits=0"):
        inf.export(model, "latex", digits=0)


@pytest.fixture
def coded():
    """A number with gaps, a category in one column of 0 and 1 and one of them missing, and a table of all that may be asked."""
    columns = (
        Column("load", "gaps", shares=(0.9, 0.1), codes=((0.25,),)),
        Column('the "kind"', "levels", ("red", None, "2"), (0.5, 0.3, 0.2), ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))),
        Column("shop", "means", ("a", "b"), (0.5, 0.5), ((0.125,), (0.875,)), ("y",)),
    )
    coding = Coding(columns)
    inner = inf.KHRONOS([(0.0, 1.0)] * 5, modes=2, elements=2, degree=2, key=jax.random.key(0))
    random = np.random.default_rng(1)
    inner = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape)), inner)
    ends = ((0.0,) * 5, (1.0,) * 5)
    link = "identity(-1.0, 2.0)"
    model = inf.Fitted(inner, *ends, True, (0.5,), (1.0,), coding.names, ("y",), "linear", True, link, coding)
    kinds = ["red", None, 2, 2.0, "2", ""]
    table = [[load, kind, shop] for load in (0.0, 0.7, None, np.nan, 1.5) for kind in kinds for shop in "ab"]
    return model, table


def test_numpy_takes_the_table_with_categories_and_gaps(coded):
    model, table = coded
    namespace = {}
    exec(inf.export(model, "numpy"), namespace)
    assert namespace["COLUMNS"] == model.inputs
    np.testing.assert_array_equal(namespace["coded"](table), model.coded(table))
    close(namespace["predict"](table), model.predict(table))
    for row, message in [
        ([0.5, "pink", "a"], "row 1, column 'the \"kind\"': the category 'pink' is unknown"),
        ([0.5, "red"], r"x has shape \(1, 2\); expected \(N, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            namespace["predict"]([row])
    with pytest.raises(ValueError, match="the coding of a fitted model makes the columns load"):
        dataclasses.replace(model, names=tuple("abcde"))


@pytest.mark.parametrize("to", ["c", "sympy", "latex", "json"])
def test_other_formats_take_coded_columns_and_say_how(coded, to, tmp_path):
    model, table = coded
    text = inf.export(model, to)
    if to == "json":
        document = json.loads(text)
        found = {column["name"]: column for column in document["coding"]}
        assert found['the "kind"']["levels"] == ["red", None, "2"]
        assert found["shop"]["codes"] == [[0.125], [0.875]]
        points = model.coded([row for row in table if row[0] != 1.5])
        values = [by_json(document, row.tolist())[0] for row in points]
        close(values, jax.vmap(model)(jnp.asarray(points)))
        return
    assert 'Coded "load": missing -> 0.25, 1.0; any number -> itself, 0.0.' in text
    assert '"red" -> 0.0, 0.0; missing -> 1.0, 0.0; "2" -> 0.0, 1.0.' in text
    assert 'Coded "shop": "a" -> 0.125; "b" -> 0.875.' in text
