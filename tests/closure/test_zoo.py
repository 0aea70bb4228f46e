"""Every model of the zoo gets the verdict that theory gives it."""

import importlib.util
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[2] / "benchmarks" / "closure" / "zoo.py"
_SPEC = importlib.util.spec_from_file_location("closure_zoo", _PATH)
zoo = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(zoo)

# name: family, degree, size of the affine set, of the blocks, of the quadratic blocks, first obstruction's primitive
EXPECTED = {
    "linear": ("affine", 1, 4, [4], [4], None),
    "linear, loss": ("polynomial", 2, 0, None, [4], None),
    "CP, tuple of factors": ("polynomial", 3, 8, [8] * 3, [8, 16], None),
    "CP, one stacked array": ("polynomial", 3, 8, [8] * 3, [8, 16], None),
    "CP, stacked, loss": ("polynomial", 6, 0, None, [8] * 3, None),
    "CP on hat functions, 8-D, vmapped": ("polynomial", 8, 60, [60] * 8, [120] * 4, None),
    "AION, D = 1": ("exponential", None, 6, None, None, None),
    "AION, D = 3": ("exponential", None, 4, None, None, None),
    "Fourier features": ("exponential", None, 5, None, None, None),
    "radial, centres": ("open", None, 6, None, None, "exp"),
    "radial, natural parameters": ("exponential", None, 6, None, None, None),
    "sum of exponentials in one vector": ("exponential", None, 3, None, None, None),
    "MLP, tanh, one hidden layer": ("rational", None, 9, None, None, None),
    "MLP, tanh, two hidden layers": ("open", None, 9, None, None, "tanh"),
    "MLP, relu": ("open", None, 9, None, None, "max"),
    "MLP, tanh, 4 layers of 512, 2,000 samples": ("open", None, 513, None, None, "tanh"),
    "GRU over a sequence": ("open", None, 7, None, None, None),
    "attention": ("open", None, 5, None, None, "exp"),
    "conv net": ("open", None, 21, None, None, "max"),
    "layer normalisation": ("open", None, 13, None, None, None),
    "softmax of a linear map": ("rational", None, 0, None, None, None),
    "linear solve": ("rational", None, 3, None, None, None),
    "sin(w² x)": ("open", None, 0, None, None, "sin"),
    "scanned recurrence": ("affine", 1, 2, [2], [2], None),
    "jitted linear": ("affine", 1, 4, [4], [4], None),
    "custom_jvp product": ("polynomial", 2, 1, [1, 1], [2], None),
}
MODELS = {model.name: model for model in zoo.models()}


def test_every_model_has_an_expected_verdict():
    assert set(MODELS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(name):
    model = MODELS[name]
    family, degree, affine, blocks, quadratic, primitive = EXPECTED[name]
    certificate, _ = zoo.certified(model)
    assert (certificate.family, certificate.degree, certificate.affine_set.size) == (family, degree, affine)
    for found, wanted in ((certificate.blocks, blocks), (certificate.quadratic_blocks, quadratic)):
        assert (found is None) == (wanted is None)
        if found is not None:
            assert sorted(block.size for block in found) == sorted(wanted)
            assert sum(block.size for block in found) == certificate.size
    assert certificate.closed == (family != "open") == (not certificate.obstructions)
    if primitive is not None:
        assert certificate.obstructions[0].primitive == primitive
    for obstruction in certificate.obstructions:
        assert Path(obstruction.file) == _PATH


@pytest.mark.parametrize(
    "name", ["CP, one stacked array", "CP, stacked, loss", "linear solve", "AION, D = 3", "GRU over a sequence"]
)
def test_verdict_stands_up_to_differences(name):
    model = MODELS[name]
    certificate, _ = zoo.certified(model)
    assert bool(certificate.verify(model.fn, model.params, *model.args).ok)


def test_the_last_layer_is_named():
    certificate, _ = zoo.certified(MODELS["MLP, tanh, two hidden layers"])
    assert certificate.affine == certificate.affine_set.names == (".layers[2].weight", ".layers[2].bias")
    assert certificate.families[".layers[1].weight"] == "rational"
    assert certificate.families[".layers[0].weight"] == "open"


def test_a_reparametrisable_leaf_says_so():
    for name in ("sin(w² x)", "radial, centres"):
        certificate, _ = zoo.certified(MODELS[name])
        assert any("reparametrisable" in obstruction.reason for obstruction in certificate.obstructions)


def test_the_line_of_an_obstruction_is_the_users():
    certificate, _ = zoo.certified(MODELS["sin(w² x)"])
    line = _PATH.read_text().splitlines()[certificate.obstructions[0].line - 1]
    assert "jnp.sin(weight**2" in line
