"""Model files: exact round trips, no code from a stranger, and a clear sentence for every damaged file."""

import io
import json
import math
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infinity.io import load, read_header, save


class Scaled(eqx.Module):
    """A user's class with static fields, a function and a check."""

    inner: eqx.Module
    scale: jax.Array
    activation: Callable
    names: tuple[str, ...] = eqx.field(static=True)
    options: dict = eqx.field(static=True)

    def __check_init__(self):
        if self.scale.ndim != 0:
            raise ValueError("scale must be a number")

    def __call__(self, x):
        return self.activation(self.inner(x)) * self.scale


def cubed(x):
    return x**3


def _same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if eqx.is_array(left) or isinstance(left, np.ndarray):
            assert type(left) is type(right)
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert np.asarray(left).tobytes() == np.asarray(right).tobytes()
        else:
            assert left is right or left == right


def test_round_trip_of_networks(tmp_path, dtype):
    key = jax.random.key(0)
    models = [
        eqx.nn.MLP(3, 2, 8, 2, key=key, dtype=dtype),
        eqx.nn.MLP(3, "scalar", 8, 2, activation=jnp.tanh, final_activation=jax.nn.softplus, key=key, dtype=dtype),
        eqx.nn.Sequential([eqx.nn.Linear(3, 4, key=key, dtype=dtype), eqx.nn.Lambda(jax.nn.gelu), eqx.nn.LayerNorm(4)]),
        eqx.nn.GRUCell(3, 4, key=key, dtype=dtype),
        eqx.nn.MultiheadAttention(2, 4, key=key, dtype=dtype),
    ]
    for model in models:
        save(model, tmp_path / "model.inf")
        _same(model, load(tmp_path / "model.inf"))


def test_round_trip_of_plain_data_is_exact(tmp_path):
    data = {
        "numbers": (1, -0.0, 1e-320, math.inf, -math.inf, 2**200, True, None, 1 + 2j),
        3: ["text", "é", [], {}, ()],
        ("a", 1): {"float64": np.float64(0.1), "int8": np.int8(-3), "bool": np.bool_(True)},
        "dtype": np.dtype("float32"),
        "function": (jax.nn.relu, jnp.sin, jax.lax.rsqrt, jnp.float32),
    }
    save(data, tmp_path / "d.inf")
    back = load(tmp_path / "d.inf")
    assert repr(back) == repr(data)
    assert list(back) == list(data)
    assert all(a is b for a, b in zip(back["function"], data["function"], strict=True))
    save(math.nan, tmp_path / "d.inf")
    assert math.isnan(load(tmp_path / "d.inf"))


@pytest.mark.parametrize(
    "name", ["bool", "int8", "int32", "int64", "uint64", "float16", "bfloat16", "float32", "float64", "complex128"]
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_round_trip_of_arrays(tmp_path, name, shape):
    values = jnp.asarray(np.random.default_rng(0).integers(0, 2, shape), dtype=name)
    weak = jnp.asarray(2.0) if shape == () else jnp.broadcast_to(jnp.asarray(2.0), shape)
    for array in (values, np.asarray(values), weak):
        save({"a": array}, tmp_path / "a.inf")
        back = load(tmp_path / "a.inf")["a"]
        _same(array, back)
        assert getattr(back, "weak_type", False) == getattr(array, "weak_type", False)


def test_numpy_layouts_keep_their_values(tmp_path):
    arrays = [np.arange(6.0).reshape(2, 3).T, np.arange(6)[::-2], np.arange(3, dtype=">f8")]
    save(arrays, tmp_path / "a.inf")
    for before, after in zip(arrays, load(tmp_path / "a.inf"), strict=True):
        np.testing.assert_array_equal(before, after)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_any_plain_data_survives(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("plain") / "d.inf"
    save(data, path)
    assert repr(load(path)) == repr(data)


def test_an_array_used_twice_is_stored_once(tmp_path):
    array = jnp.arange(1000.0)
    save([array, array], tmp_path / "a.inf")
    first, second = load(tmp_path / "a.inf")
    assert first is second
    assert (tmp_path / "a.inf").stat().st_size < 1.5 * array.nbytes


def test_users_class_and_function_must_be_passed(tmp_path):
    path = tmp_path / "model.inf"
    model = Scaled(eqx.nn.Linear(2, 2, key=jax.random.key(1)), jnp.asarray(3.0), cubed, ("a", "b"), {"unit": "m"})
    save(model, path)
    with pytest.raises(ValueError, match=r"class .*Scaled, which is not part of Infinity.*classes=\[Scaled\]"):
        load(path)
    with pytest.raises(ValueError, match=r"function .*cubed.*classes=\[cubed\]"):
        load(path, classes=[Scaled])
    back = load(path, classes=[Scaled, cubed])
    _same(model, back)
    assert (back.names, back.options, back.activation) == (model.names, model.options, cubed)
    np.testing.assert_array_equal(back(jnp.ones(2)), model(jnp.ones(2)))


def test_the_check_of_a_class_runs_on_loading(tmp_path):
    path = tmp_path / "model.inf"
    model = Scaled(eqx.nn.Identity(), jnp.asarray(3.0), jnp.sin, (), {})
    save(eqx.tree_at(lambda m: m.scale, model, jnp.ones(3)), path)
    with pytest.raises(ValueError, match="scale must be a number"):
        load(path, classes=[Scaled])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda x: x, "has no name to find it by"),
        (object(), "a object has no exact place"),
        ({1, 2}, "a set has no exact place"),
        (jax.random.key(0), "a random key"),
        (np.array(["a"]), "numbers only"),
        (np.array([None]), "numbers only"),
        (io.StringIO(), "a StringIO has no exact place"),
    ],
)
def test_what_has_no_exact_place_is_refused_by_path(tmp_path, value, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        save({"part": [1, value]}, tmp_path / "a.inf")
    assert "model['part'][1]" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_traced_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is being traced"):
        jax.jit(lambda x: save({"x": x}, tmp_path / "a.inf"))(jnp.ones(2))


def _rewrite(path, change=None, arrays=None, drop=(), **options):
    """Write the archive again with its header or arrays changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if name not in drop}
    if change is not None:
        document = json.loads(entries["header.json"])
        changed = change(document)
        entries["header.json"] = json.dumps(changed if isinstance(changed, list) else document).encode()
    entries.update(arrays or {})
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "model.inf"
    save({"a": jnp.arange(6.0).reshape(2, 3)}, place)
    return place


def _entry(document):
    return document["model"]["items"][0][1]


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


CHANGES = {
    "newer": (lambda d: d.update(format_version=99), "format version 99.*Update it"),
    "no version": (lambda d: d.update(format_version="1"), "format version is '1'"),
    "foreign": (lambda d: d.update(format="other"), "does not say 'infinity-model'"),
    "not an object": (lambda d: [1], "does not say"),
    "huge shape": (lambda d: _entry(d).update(shape=[2**40, 2**40]), "but the header says"),
    "negative shape": (lambda d: _entry(d).update(shape=[-2, 3]), "which cannot be"),
    "other shape": (lambda d: _entry(d).update(shape=[3, 2]), r"shape \(2, 3\),? but the header says"),
    "other dtype": (lambda d: _entry(d).update(dtype="int64"), "but the header says"),
    "object dtype": (lambda d: _entry(d).update(dtype="object"), "which cannot be"),
    "unknown dtype": (lambda d: _entry(d).update(dtype="nonsense"), "malformed|cannot load"),
    "other name": (lambda d: _entry(d).update(name="../../etc/passwd"), "is missing"),
    "no name": (lambda d: _entry(d).pop("name"), "malformed"),
    "unknown kind": (lambda d: d.update(model={"kind": "pickle"}), "unknown kind 'pickle'"),
    "no kind": (lambda d: d.update(model={}), "malformed"),
    "foreign class": (lambda d: d.update(model={"kind": "module", "class": "os.system", "fields": {}}), "os.system"),
    "gone class": (
        lambda d: d.update(model={"kind": "module", "class": "equinox.nn.Linera", "fields": {}}),
        "not in this version; the nearest is equinox.nn.Linear",
    ),
    "unknown field": (
        lambda d: d.update(model={"kind": "module", "class": "equinox.nn.Identity", "fields": {"evil": 1}}),
        "has no field 'evil'",
    ),
    "missing field": (
        lambda d: d.update(model={"kind": "module", "class": "equinox.nn.Linear", "fields": {}}),
        "the field 'weight' of Linear is missing",
    ),
    "foreign function": (lambda d: d.update(model={"kind": "function", "name": "os.system"}), "os.system"),
    "file function": (lambda d: d.update(model={"kind": "function", "name": "jax.numpy.load"}), "not on the list"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_header_is_refused(path, case):
    change, expected = CHANGES[case]
    _rewrite(path, change)
    with pytest.raises(ValueError, match=expected) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "model.inf" in str(caught.value)


def test_a_deeply_nested_header_is_refused(path):
    with zipfile.ZipFile(path) as archive:
        text = archive.read("header.json").decode()
    for depth, expected in {3000: "nested too deeply|cannot be read", 10**6: "cannot be read"}.items():
        deep = text.replace('"model": ', '"model": ' + "[" * depth + "]" * depth + ', "rest": ').encode()
        _rewrite(path, arrays={"header.json": deep})
        with pytest.raises(ValueError, match=expected):
            load(path)


def test_changed_arrays_are_refused(path):
    original = path.read_bytes()
    header = _npy(np.zeros(2))
    huge = header.replace(b"(2,)", b"(9999999999,)").replace(b"         \n", b"\n")
    cases = {
        "is missing": {"drop": ["arrays/0.npy"]},
        "but the header says": {"arrays": {"arrays/0.npy": _npy(np.zeros(3))}},
        "is damaged": {"arrays": {"arrays/0.npy": b"not npy"}},
        r"but the header says|is damaged": {"arrays": {"arrays/0.npy": huge}},
        "bytes, but its shape": {"arrays": {"arrays/0.npy": _npy(np.zeros((2, 3)))[:-8]}},
        "header says float64": {"arrays": {"arrays/0.npy": _npy(np.array([[None] * 3] * 2))}},
        "not one that inf.save wrote": {"compression": zipfile.ZIP_DEFLATED},
    }
    for expected, change in cases.items():
        path.write_bytes(original)
        _rewrite(path, **change)
        with pytest.raises(ValueError, match=expected):
            load(path)


def test_every_truncation_and_every_flipped_byte_is_noticed_or_harmless(path):
    content = path.read_bytes()
    before = load(path)["a"]
    for cut in range(0, len(content), 37):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="is not a model file of Infinity, or it is damaged"):
            load(path)
    messages: list[str] = []
    for place in range(0, len(content), 11):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            after = load(path)["a"]
        except ValueError as error:
            messages.append(str(error))
        else:
            np.testing.assert_array_equal(before, after)
    assert len(messages) > 10
    assert not any("\n" in message for message in messages)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        load(tmp_path / "none.inf")
    with pytest.raises(ValueError, match=r"a folder without a model\.inf"):
        load(tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not a model file"):
        load(tmp_path / "a.csv")
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match="it is a zip, but not one that"):
        load(tmp_path / "a.npz")


def test_the_header_can_be_read_alone(tmp_path):
    save(jnp.ones(2), tmp_path / "model.inf", header={"seed": 3})
    header = read_header(tmp_path)
    assert header["about"] == {"seed": 3}
    assert header["written"]["versions"]["jax"] == jax.__version__
    with pytest.raises(ValueError, match="header= must be JSON"):
        save(jnp.ones(2), tmp_path / "model.inf", header={"seed": jnp.ones(2)})


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(jnp.ones(3), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["model.inf"]


_CHILD = """
import sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", {x64})
from infinity.io import load
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.asarray(jax.vmap(load(sys.argv[1]))(jnp.asarray(x))))
"""


def _predict_elsewhere(tmp_path, x64):
    script = textwrap.dedent(_CHILD.format(x64=x64))
    command = [sys.executable, "-c", script, *(str(tmp_path / name) for name in ("model.inf", "x.npy", "y.npy"))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_predictions_in_a_new_process_are_bit_equal(tmp_path, dtype):
    model = eqx.nn.MLP(3, 2, 16, 3, activation=jnp.tanh, key=jax.random.key(0), dtype=dtype)
    x = np.random.default_rng(0).standard_normal((100, 3)).astype(dtype)
    save(model, tmp_path / "model.inf")
    np.save(tmp_path / "x.npy", x)
    done = _predict_elsewhere(tmp_path, x64=True)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "y.npy").tobytes() == np.asarray(jax.vmap(model)(jnp.asarray(x))).tobytes()


def test_a_64_bit_model_is_not_rounded_to_32_bits(tmp_path):
    model = eqx.nn.Linear(3, 2, key=jax.random.key(0), dtype=jnp.float64)
    save(model, tmp_path / "model.inf")
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    done = _predict_elsewhere(tmp_path, x64=False)
    assert done.returncode != 0
    assert 'add: jax.config.update("jax_enable_x64", True)' in done.stderr
