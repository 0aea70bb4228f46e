"""HiDeNN, INN and layered KHRONOS: cardinal values, growth that changes nothing, fast evaluation, files."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.models import Evaluator, convert
from infinity.models.on_axes import rebuilt

BOX = [(0.0, 1.0), (-1.0, 2.0)]


@eqx.filter_jit
def values(model, x):
    return jax.vmap(model)(x)


def points(n=40, seed=0):
    lower, upper = np.asarray(BOX).T
    return jnp.asarray(np.random.default_rng(seed).uniform(lower, upper, (n, 2)))


def layered():
    model = inf.KHRONOS(BOX, modes=2, elements=4, layers=2, layer_elements=3, key=jax.random.key(0))
    return bent(model)


def bent(model):
    """The model with its coordinate maps away from the identity."""
    axes = []
    for axis in model.axes:
        maps = tuple(
            eqx.tree_at(lambda m: m.logits, m, m.logits + jnp.sin(2.0 * jnp.arange(m.logits.size))) for m in axis.maps
        )
        axes.append(eqx.tree_at(lambda a: a.maps, axis, maps))
    return model.with_axes(axes)


@pytest.mark.parametrize("basis", ["hat", "patch"])
def test_hidenn_holds_the_values_at_its_nodes(basis):
    f = lambda x: jnp.stack([jnp.sin(3 * x[0]) * x[1], x[0]])
    model = inf.HiDeNN(domain=BOX, elements=5, basis=basis, outputs=2).interpolate(f)
    nodes = jnp.asarray([[t, s] for t in model.axes[0].breakpoints for s in model.axes[1].breakpoints])
    np.testing.assert_allclose(values(model, nodes), jax.vmap(f)(nodes), atol=1e-13)
    x = points()
    np.testing.assert_allclose(values(model, x)[:, 1], x[:, 0], atol=1e-13)
    np.testing.assert_allclose(values(model.trained(), x), values(model, x), atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: inf.INN(BOX, modes=2, elements=4, basis="hat", outputs=2, key=jax.random.key(1)),
        lambda: inf.INN(BOX, modes=2, elements=6, basis="patch", size=2, constant=True, key=jax.random.key(1)),
        lambda: layered().frozen(),
    ],
)
def test_every_family_has_the_fast_form(make, tmp_path):
    model = make()
    x = points()
    np.testing.assert_allclose(eqx.filter_jit(Evaluator(model))(x), values(model, x), atol=1e-11)
    inf.save(model, tmp_path / "model.inf")
    np.testing.assert_array_equal(values(inf.load(tmp_path / "model.inf"), x), values(model, x))


def test_growth_changes_no_value():
    x = points()
    khronos = inf.KHRONOS(BOX, modes=2, elements=3, degree=2, outputs=2, key=jax.random.key(0))
    additive = tuple(jnp.sin(1.0 + jnp.arange(a.size)).reshape(a.shape) for a in khronos.additive)
    khronos = rebuilt(khronos, additive=additive)
    grown = khronos.refine(elements=6, degree=[3, 4], modes=4, layers=3, key=jax.random.key(1))
    assert (grown.modes, grown.degrees, grown.layers) == (4, (3, 4), 3)
    np.testing.assert_allclose(values(grown, x), values(khronos, x), atol=1e-12)
    inn = inf.INN(BOX, modes=2, elements=3, outputs="scalar", key=jax.random.key(0))
    np.testing.assert_allclose(
        values(inn.refine(elements=9, modes=3, key=jax.random.key(1)), x), values(inn, x), atol=1e-12
    )
    bent_model = layered()
    np.testing.assert_allclose(values(bent_model.refine(elements=8), x), values(bent_model, x), atol=1e-12)


def test_layers_hold_and_train_the_same_function():
    model, x = layered(), points()
    assert model.layers == 2
    assert model.trainable_axes
    assert not model.frozen().trainable_axes
    np.testing.assert_allclose(values(model.frozen(), x), values(model, x), atol=1e-12)


def test_the_certificate_eliminates_what_is_affine_beside_trained_nodes():
    x = points(20)
    for model, affine in (
        (inf.INN(BOX, modes=2, elements=4, trainable_nodes=True, key=jax.random.key(0)), ".factors[0]"),
        (inf.HiDeNN(domain=BOX, elements=4, trainable_nodes=True), ".values"),
    ):
        params, static = eqx.partition(model, eqx.is_inexact_array)
        certificate = inf.certify(lambda p, x, static=static: jax.vmap(eqx.combine(p, static))(x) - 1.0, params, x)
        assert certificate.family == "open"
        assert affine in str(certificate.affine_set)
        assert any("gaps" in str(cause) for cause in certificate.obstructions)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: inf.HiDeNN(domain=[(0.0, 1.0)] * 4), "at most 3"),
        (lambda: inf.HiDeNN([[0.0, 1.0, 0.5]]), "dimension 0.*rising"),
        (lambda: inf.HiDeNN([[0.0, 1.0]], domain=[(0.0, 1.0)]), "not both"),
        (lambda: inf.HiDeNN([[0.0, 1.0]], basis="bspline").interpolate(lambda x: x), "splines"),
        (lambda: inf.INN([(0.0, 1.0)], basis="cosine", key=jax.random.key(0)), "expected one of"),
        (lambda: inf.INN([(0.0, 1.0)], basis="hat", order=2, key=jax.random.key(0)), "'order'.*none"),
        (lambda: inf.INN([(0.0, 1.0)], basis="patch", size=1, order=2, key=jax.random.key(0)), "order <= size"),
        (lambda: inf.INN([(0.0, 1.0)], basis="patch", elements=1, key=jax.random.key(0)), "Add nodes"),
        (lambda: inf.INN([(0.0, 1.0)], modes=0, key=jax.random.key(0)), "at least one"),
        (lambda: inf.INN([(0.0, 1.0)], basis="patch", key=jax.random.key(0)).refine(elements=24), "convert"),
        (lambda: inf.INN([(0.0, 1.0)], key=jax.random.key(0)).refine(degree=2), "convert"),
        (lambda: inf.KHRONOS([(0.0, 1.0)], layers=2, key=jax.random.key(0)).refine(layers=1), "no fewer"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_conversion_is_exact_where_it_can_be_and_knows_its_error_elsewhere():
    hats = inf.INN(BOX, modes=2, elements=5, outputs=2, constant=True, additive=True, key=jax.random.key(2))
    hats = rebuilt(hats, additive=tuple(jnp.sin(1.0 + jnp.arange(a.size)).reshape(a.shape) for a in hats.additive))
    x = points(4000)
    splines, error = convert(hats, "bspline", degree=1)
    assert error == 0.0
    np.testing.assert_allclose(values(splines, x), values(hats, x), atol=1e-13)
    back, error = convert(splines, "hat")
    assert error == 0.0
    assert back.axes[0].family == "hat"
    finer, error = convert(hats, "hat", elements=10)
    assert error < 1e-13
    np.testing.assert_allclose(values(finer, x), values(hats, x), atol=1e-12)
    smooth, error = convert(hats, "patch", elements=8, size=2)
    measured = np.sqrt(np.sum((values(smooth, x) - values(hats, x)) ** 2) / np.sum(values(hats, x) ** 2))
    assert error > 1e-3
    np.testing.assert_allclose(measured, error, rtol=0.1)
    with pytest.raises(ValueError, match="same ends"):
        convert(hats, "hat", nodes=[[0.0, 1.0], [0.0, 1.0]])
