"""`verify` accepts what holds, contradicts what does not, at any scale and in both precisions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.closure import Block, certify

X = np.linspace(0.0, 1.0, 7)


def decay(p, x):
    return p[0] * jnp.exp(p[1] * x)


def everything(certificate):
    return Block((), np.arange(certificate.size))


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e3, 1e9])
def test_a_true_certificate_stands_at_any_scale(scale, dtype):
    params = (jnp.asarray(scale, dtype), jnp.asarray(1.5, dtype))
    x = jnp.asarray(X, dtype)
    for seed in range(5):
        found = certify(decay, params, x).verify(decay, params, x, key=jax.random.key(seed))
        assert bool(found.ok)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_a_forged_certificate_is_contradicted(scale, dtype):
    params = (jnp.asarray(scale, dtype), jnp.asarray(1.5, dtype))
    x = jnp.asarray(X, dtype)
    certificate = certify(decay, params, x)
    forged = replace(certificate, affine_set=everything(certificate))
    found = forged.verify(decay, params, x)
    assert not bool(found.ok)
    assert float(found.violation) > 1e-2


def test_a_forged_block_is_contradicted(dtype):
    params = jnp.ones((2, 3), dtype)
    certificate = certify(lambda p: jnp.prod(p, axis=0), params)
    assert bool(certificate.verify(lambda p: jnp.prod(p, axis=0), params).ok)
    forged = replace(certificate, blocks=(everything(certificate),))
    assert not bool(forged.verify(lambda p: jnp.prod(p, axis=0), params).ok)


def test_a_forged_quadratic_block_of_a_loss_is_contradicted(dtype):
    params = jnp.ones((2, 3), dtype)

    def loss(p):
        return jnp.sum((jnp.prod(p, axis=0) - 2) ** 2)

    certificate = certify(loss, params)
    assert len(certificate.quadratic_blocks) == 2
    assert bool(certificate.verify(loss, params).ok)
    forged = replace(certificate, quadratic_blocks=(everything(certificate),))
    assert not bool(forged.verify(loss, params).ok)


def test_another_function_than_the_certified_one():
    certificate = certify(lambda w: 2 * w, jnp.ones(3))
    assert not bool(certificate.verify(lambda w: w * jnp.abs(w), jnp.ones(3)).ok)


def test_probes_that_overflow_say_nothing_and_smaller_ones_are_tried():
    def steep(p):
        return p[0] * jnp.exp(p[1])

    params = (jnp.asarray(1.0), jnp.asarray(700.0))
    certificate = certify(steep, params)
    assert bool(certificate.verify(steep, params).ok)

    def walled(w):
        return jnp.where(jnp.abs(w - 1) < 0.5, w**2, jnp.inf)

    forged = replace(certify(lambda w: 2 * w, jnp.ones(())), affine_set=Block((), np.arange(1)))
    assert not bool(forged.verify(walled, jnp.ones(())).ok)
    assert bool(forged.verify(lambda w: w * jnp.nan, jnp.ones(())).ok)


def test_under_jit_and_vmap_as_eagerly():
    params = (jnp.ones(()), jnp.ones(()))
    certificate = certify(decay, params, X)
    forged = replace(certificate, affine_set=everything(certificate))
    for found, expected in ((certificate, True), (forged, False)):
        assert bool(jax.jit(lambda p, found=found: found.verify(decay, p, X).ok)(params)) == expected
        batch = jax.tree_util.tree_map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
        assert jax.vmap(lambda p, found=found: found.verify(decay, p, X).ok)(batch).tolist() == [expected] * 2


def test_nothing_to_check():
    certificate = certify(lambda w: jnp.sin(w), jnp.ones(2))
    assert bool(certificate.verify(lambda w: jnp.sin(w), jnp.ones(2)).ok)
