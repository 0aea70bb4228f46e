"""Certificates inside `jit`, `vmap` and `scan`: tracers are unknown constants, nothing leaks, nothing is computed."""

import jax
import jax.numpy as jnp
import pytest

from infinity.closure import certify


def spline(factors, x):
    """Each sample reads two of the coefficients of each dimension."""

    def one(coefficients, t):
        cells = coefficients.shape[1] - 1
        cell = jnp.clip(jnp.floor(t * cells).astype(int), 0, cells - 1)
        local = t * cells - cell
        return coefficients[:, cell] * (1 - local) + coefficients[:, cell + 1] * local

    return jax.vmap(lambda sample: jnp.sum(jnp.prod(jax.vmap(one)(factors, sample), axis=0)))(x)


FACTORS = jnp.ones((3, 2, 5))
SAMPLES = jax.random.uniform(jax.random.key(0), (8, 3))


def sizes(certificate):
    return [block.size for block in certificate.blocks]


def test_inside_jit_and_vmap_as_outside():
    found = []

    def inner(factors, x):
        certificate = certify(spline, factors, x)
        found.append(certificate)
        return certificate.verify(spline, factors, x).ok

    assert bool(inner(FACTORS, SAMPLES))
    assert bool(jax.jit(inner)(FACTORS, SAMPLES))
    assert jax.vmap(inner)(jnp.stack([FACTORS, 2 * FACTORS]), jnp.stack([SAMPLES, SAMPLES])).tolist() == [True, True]
    assert all(sizes(certificate) == [10] * 3 for certificate in found)
    assert len(found) == 3


def test_closed_over_tracers():
    @jax.jit
    def outer(x):
        certificate = certify(lambda f: spline(f, x), FACTORS)
        assert sizes(certificate) == [10] * 3
        return certificate.verify(lambda f: spline(f, x), FACTORS).violation

    with jax.checking_leaks():
        assert float(outer(SAMPLES)) < 1e-6


def test_inside_grad():
    def outer(factors):
        certificate = certify(spline, factors, SAMPLES)
        assert certificate.degree == 3
        return jnp.sum(spline(factors, SAMPLES))

    assert jax.grad(outer)(FACTORS).shape == FACTORS.shape


def test_an_unknown_trip_count():
    @jax.jit
    def outer(n):
        def growing(w):
            return jax.lax.fori_loop(0, n, lambda i, c: c * w, w)

        def steady(w):
            return jax.lax.fori_loop(0, n, lambda i, c: 0.5 * c + w, w)

        assert certify(growing, jnp.ones(2)).family == "open"
        assert certify(steady, jnp.ones(2)).family == "affine"
        return n

    outer(3)


@pytest.mark.parametrize("unknown", [False, True])
def test_an_index_into_stacked_weights(unknown):
    """With known indices the rows are told apart; with unknown ones any row may have been read."""

    def residuals(w, i):
        return w[i[0]] * w[i[1]]

    found = []

    def outer(i):
        found.append(certify(residuals, jnp.ones((3, 2)), i))
        return i

    (jax.jit(outer) if unknown else outer)(jnp.array([0, 2]))
    assert found[0].degree == 2
    assert (found[0].blocks is None) == unknown


def test_the_function_is_traced_and_not_run():
    calls = []

    def residuals(w):
        jax.debug.callback(lambda: calls.append(1))
        return 2 * w

    assert certify(residuals, jnp.ones(3)).family == "affine"
    assert calls == []
