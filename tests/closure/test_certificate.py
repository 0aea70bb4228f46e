"""What a certificate holds: paths, positions, degrees, obstructions with their lines, assumptions, sentences."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from infinity.closure import certify


class Mixed(eqx.Module):
    """Floating-point arrays among things that are no parameters."""

    scale: jax.Array
    counts: jax.Array
    inner: dict
    activation: callable
    label: str = eqx.field(static=True)

    def __call__(self, x):
        return self.scale * self.activation(self.inner["w"] @ x) * self.counts[0] + self.inner["b"]


def mixed(dtype):
    inner = {"w": jnp.ones((2, 3), dtype), "b": jnp.ones(2, dtype)}
    return Mixed(jnp.ones((), dtype), jnp.array([2, 3]), inner, jnp.exp, "mixed")


def test_only_floating_point_arrays_are_parameters(dtype):
    model = mixed(dtype)
    certificate = certify(lambda m, x: m(x), model, jnp.arange(1, 4, dtype=dtype))
    assert certificate.leaves == (".scale", ".inner['b']", ".inner['w']")
    assert certificate.shapes == ((), (2,), (2, 3))
    assert certificate.size == 9
    assert certificate.families == {".scale": "affine", ".inner['b']": "affine", ".inner['w']": "exponential"}
    assert certificate.degrees == {".scale": 1, ".inner['b']": 1, ".inner['w']": None}
    assert certificate.affine == (".scale", ".inner['b']")


def test_indices_count_as_ravel_pytree_does(dtype):
    model = mixed(dtype)
    certificate = certify(lambda m, x: m(x), model, jnp.arange(1, 4, dtype=dtype))
    flat, unravel = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
    changed = unravel(flat.at[certificate.affine_set.indices].set(7.0))
    assert (changed.scale == 7).all()
    assert (changed.inner["b"] == 7).all()
    assert (changed.inner["w"] == 1).all()
    assert certificate.affine_set.size == 3
    assert np.all(np.diff(certificate.affine_set.indices) > 0)


def test_slices_of_a_stacked_leaf_are_found_along_any_axis():
    for axis in range(3):
        factors = jnp.moveaxis(jnp.ones((3, 4, 2)), 0, axis)

        def residuals(p, axis=axis):
            return jnp.sum(jnp.prod(jnp.moveaxis(p, axis, 0), axis=0), axis=1)

        certificate = certify(residuals, factors)
        assert [block.size for block in certificate.blocks] == [8, 8, 8]
        positions = np.moveaxis(np.arange(24).reshape(factors.shape), axis, 0)
        for number, block in enumerate(certificate.blocks):
            assert set(block.indices) == set(positions[number].ravel())
            assert block.names == (f"params[{', '.join([':'] * axis + [str(number)])}]",)


def test_a_raveled_vector_is_cut_where_the_program_cuts_it():
    tree = {"a": jnp.ones((40, 2)), "b": jnp.ones((40, 2))}
    flat, unravel = ravel_pytree(tree)
    certificate = certify(lambda theta: jnp.sum(unravel(theta)["a"] * unravel(theta)["b"], axis=1), flat)
    assert [block.names for block in certificate.blocks] == [("params[0:80]",), ("params[80:160]",)]


def test_entries_of_a_small_vector_are_told_apart():
    certificate = certify(lambda t: t[0] * t[1] + t[2] * jnp.exp(t[3]), jnp.ones(4))
    assert certificate.affine_set.size == 2
    assert 2 in certificate.affine_set.indices
    assert certificate.blocks is None
    certificate = certify(lambda t: t[0] * t[1] + t[1] * t[2] + t[3], jnp.ones(4))
    assert sorted(block.size for block in certificate.blocks) == [1, 3]


def test_degrees_are_exact_where_nothing_cancels():
    certificate = certify(lambda p: p[0] ** 3 * p[1] + p[1] ** 2, (jnp.ones(()), jnp.ones(())))
    assert certificate.degrees == {"[0]": 3, "[1]": 2}
    assert certificate.degree == 4
    assert certificate.affine == ()


def test_an_unused_leaf_has_degree_zero():
    certificate = certify(lambda p: p[0] * 2, (jnp.ones(2), jnp.ones(3)))
    assert certificate.degrees == {"[0]": 1, "[1]": 0}
    assert certificate.families["[1]"] == "constant"
    assert certificate.affine_set.size == 5


def test_a_constant_function():
    certificate = certify(lambda p: jnp.arange(3.0), jnp.ones(2))
    assert (certificate.family, certificate.degree, certificate.closed) == ("constant", 0, True)


def test_quadratic_blocks_of_a_loss():
    def loss(p):
        return jnp.sum((p[0] * p[1] - 1) ** 2) + jnp.sum(p[2] ** 2) + jnp.sum(p[0] * p[2])

    certificate = certify(loss, (jnp.ones(3), jnp.ones(3), jnp.ones(3)))
    assert len(certificate.quadratic_blocks) == 2
    assert certificate.blocks is None
    assert certify(lambda p: jnp.sum(p**4), jnp.ones(3)).quadratic_blocks is None


@pytest.mark.parametrize(
    ("function", "primitive"),
    [
        (jnp.abs, "abs"),
        (jnp.sqrt, "sqrt"),
        (jnp.log, "log"),
        (jnp.sign, "sign"),
        (jnp.floor, "floor"),
        (jnp.sort, "sort"),
        (jnp.max, "reduce_max"),
        (jax.lax.erf, "erf"),
        (lambda v: v.astype(int), "convert_element_type"),
        (lambda v: jnp.where(v > 0, v, 0), "gt"),
        (lambda v: jnp.exp(jnp.exp(v)), "exp"),
        (lambda v: jnp.sin(v * v), "sin"),
        (jnp.cumprod, None),
    ],
)
def test_an_obstruction_names_primitive_and_line(function, primitive):
    def residuals(w):
        return function(w) * 1.0

    certificate = certify(residuals, jnp.ones(3))
    if primitive is None:
        assert not certificate.obstructions
        assert certificate.degree == 3
        return
    (obstruction,) = certificate.obstructions
    assert (obstruction.leaf, obstruction.primitive, obstruction.file) == ("params", primitive, __file__)
    lines, first = inspect.getsourcelines(test_an_obstruction_names_primitive_and_line)
    assert first - 20 <= obstruction.line < first + len(lines)
    assert certificate.family == "open"


def test_a_cached_program_is_blamed_on_the_line_that_calls_it():
    """Library functions are traced once: the second caller must not see the first caller's line."""

    def first(w):
        return jax.nn.silu(w) + jax.nn.relu(w)

    def second(w):
        return jax.nn.relu(w)

    certify(first, jnp.ones(3))
    _, start = inspect.getsourcelines(second)
    assert certify(second, jnp.ones(3)).obstructions[0].line == start + 1


def test_a_line_within_the_users_own_jitted_function():
    @jax.jit
    def inner(w):
        doubled = 2 * w
        return jnp.abs(doubled)

    def outer(w):
        return inner(w)

    _, start = inspect.getsourcelines(inner.__wrapped__)
    for _ in range(2):
        assert certify(outer, jnp.ones(3)).obstructions[0].line == start + 3


def test_causes_that_do_not_reach_the_output_are_not_reported():
    def residuals(w):
        jnp.abs(w).sum()
        return 2 * w

    assert certify(residuals, jnp.ones(3)).obstructions == ()


def test_combinations_that_are_open_only_together():
    certificate = certify(lambda p: jnp.exp(p[0] * p[1]), (jnp.ones(()), jnp.ones(())))
    assert certificate.families == {"[0]": "exponential", "[1]": "exponential"}
    assert certificate.family == "open"
    assert certificate.obstructions[0].leaf == "[0], [1] together"
    assert "reparametrisable" in certificate.obstructions[0].reason


def test_assumptions_are_listed():
    certificate = certify(lambda p: jax.lax.stop_gradient(p[0]) / p[1], (jnp.ones(()), jnp.ones(())))
    text = " ".join(certificate.assumptions)
    assert "stop_gradient" in text
    assert "divisor" in text
    assert __file__ in text
    assert "regular" in " ".join(certify(lambda a: jnp.linalg.solve(a, jnp.ones(2)), jnp.eye(2)).assumptions)
    assert certify(lambda w: w * 2, jnp.ones(())).assumptions == ()


def test_sentences():
    text = str(certify(lambda p, x: p[0] * jnp.abs(p[1] * x), (jnp.ones(()), jnp.ones(())), jnp.ones(3)))
    assert "Eliminated exactly: [0] (1 parameters, jointly affine); iterated on: the other 1." in text
    assert f"[1], through abs at {__file__}" in text
    assert "affine in all 2 parameters" in str(certify(lambda w: 2 * w, jnp.ones(2)))
    assert "each of 2 blocks" in str(certify(lambda p: p[0] * p[1], (jnp.ones(2), jnp.ones(2))))
    assert "\n" not in repr(certify(lambda w: 2 * w, jnp.ones(2)))


def test_shapes_are_enough():
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    certificate = certify(lambda w, x: w * jnp.where(x > 0, x, 0.0), shape, jax.ShapeDtypeStruct((3,), jnp.float32))
    assert (certificate.family, certificate.size) == ("affine", 3)


def test_params_without_arrays_are_refused():
    with pytest.raises(ValueError, match="no array of floating-point numbers"):
        certify(lambda w: w * 2, 1.0)


def test_nothing_global_changes():
    before = jax.config.values.copy()
    certify(lambda w: jnp.exp(w), jnp.ones(3))
    assert jax.config.values == before


def test_certificates_are_hashable_and_immutable():
    certificate = certify(lambda w: w, jnp.ones(2))
    assert hash(certificate) == hash(certificate)
    with pytest.raises(AttributeError):
        certificate.family = "open"
