"""Rules for what programs are made of: choices, loops, indices, calls, linear algebra, effects, things unknown."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.closure import certify

W = jnp.array([0.3, 0.7, 1.2])
X = jnp.linspace(0.0, 1.0, 5)


@jax.custom_vjp
def doubled(w):
    return 2 * w


doubled.defvjp(lambda w: (2 * w, None), lambda _, g: (2 * g,))

AFFINE = {
    "nothing": lambda w: w,
    "outer": lambda w: X[:, None] * w,
    "matrix": lambda w: jnp.vander(X, 3) @ w,
    "stacked and summed": lambda w: jnp.stack([w, 2 * w]).sum(0) + jnp.concatenate([w[:1], w[1:]]),
    "padded": lambda w: jnp.pad(w, (1, 2))[::-1],
    "interpolated": lambda w: jnp.interp(X, jnp.linspace(0, 1, 3), w),
    "looked up": lambda w: w[jnp.searchsorted(jnp.linspace(0, 1, 3), X)],
    "one-hot": lambda w: jax.nn.one_hot(jnp.array([0, 2]), 3) @ w,
    "segments": lambda w: jax.ops.segment_sum(w, jnp.array([0, 0, 1]), num_segments=2),
    "polynomial": lambda w: jnp.polyval(w, X),
    "convolved": lambda w: jnp.convolve(w, X),
    "Fourier": lambda w: jnp.fft.rfft(w).real,
    "running sum": jnp.cumsum,
    "associative scan": lambda w: jax.lax.associative_scan(jnp.add, w),
    "solved": lambda w: jnp.linalg.solve(jnp.eye(3) + 0.1, w),
    "Cholesky": lambda w: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(2 * jnp.eye(3)), w),
    "least squares": lambda w: jnp.linalg.lstsq(2 * jnp.eye(3), w)[0],
    "random": lambda w: w * jax.random.normal(jax.random.key(0), (3,)),
    "known branch": lambda w: jax.lax.switch(1, [lambda a: a * a, lambda a: 2 * a], w),
    "known choice": lambda w: jnp.where(jnp.array([True, False, True]), w, w**2)[jnp.array([0, 2])],
    "killed by zero": lambda w: w + 0.0 * w**2,
    "masked": lambda w: (jnp.array([1.0, 0.0, 0.0]) * w) * jnp.array([0.0, 1.0, 1.0]) * w + w,
    "mapped": lambda w: jax.lax.map(lambda t: jnp.sum(w * t), X),
    "custom_vjp": doubled,
    "eqx.filter_jit": lambda w: eqx.filter_jit(lambda a: 2 * a)(w),
    "eqx.filter_checkpoint": lambda w: eqx.filter_checkpoint(lambda a: 2 * a)(w),
    "error_if": lambda w: eqx.error_if(w, jnp.any(w > 1e9), "too large"),
    "half precision and back": lambda w: w.astype(jnp.bfloat16).astype(w.dtype),
    "empty": lambda w: jnp.sum(w[:0]) + w,
    "second derivative": lambda w: jax.vmap(jax.grad(jax.grad(lambda t: w[0] * t**3 + w[1] * t)))(X),
    "while until a known count": lambda w: jax.lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + w), (0, w)
    )[1],
    "long scan": lambda w: jax.lax.scan(lambda c, t: (c + w * t, None), 0 * w, jnp.ones((50_000, 3)))[0],
    "long map": lambda w: jax.lax.map(lambda t: w * t, jnp.ones((50_000, 3))),
}
OPEN = {
    "unknown primitive": (lambda w: jax.lax.top_k(w, 2)[0], "top_k"),
    "callback": (lambda w: jax.pure_callback(np.asarray, jax.ShapeDtypeStruct((3,), W.dtype), w), "pure_callback"),
    "whole numbers": (lambda w: w.astype(int) * 1.0, "convert_element_type"),
    "four bits": (lambda w: w.astype(jnp.int4).astype(w.dtype), "convert_element_type"),
    "chosen index": (lambda w: X[jnp.argmax(w)], "argmax"),
    "long product": (lambda w: jax.lax.scan(lambda c, _: (c * w, None), w, None, length=50_000)[0], "scan"),
    "complex modulus": (lambda w: jnp.abs(jnp.exp(1j * w)), "abs"),
    "logsumexp": (jax.nn.logsumexp, "reduce_max"),
    "eigenvalues": (lambda w: jnp.linalg.eigvalsh(jnp.diag(w)), "eigh"),
    "largest in a window": (
        lambda w: jax.lax.reduce_window(w, -jnp.inf, jax.lax.max, (2,), (1,), "VALID"),
        "reduce_window_max",
    ),
    "power of itself": (lambda w: w**w, "pow"),
    "repeated while large": (lambda w: jax.lax.while_loop(lambda s: s[0] > 0.1, lambda s: 0.5 * s, w), None),
}


@pytest.mark.parametrize("name", AFFINE)
def test_affine(name):
    certificate = certify(AFFINE[name], W)
    assert certificate.family == "affine", str(certificate)
    assert bool(certificate.verify(AFFINE[name], W).ok)


@pytest.mark.parametrize("name", OPEN)
def test_open_by_name(name):
    function, primitive = OPEN[name]
    certificate = certify(function, W)
    assert certificate.family == "open"
    if primitive is not None:
        assert primitive in {obstruction.primitive for obstruction in certificate.obstructions}
    assert all(obstruction.file == __file__ for obstruction in certificate.obstructions)


@pytest.mark.parametrize(
    ("function", "family", "degree"),
    [
        (lambda w: jnp.prod(w), "polynomial", 3),
        (lambda w: w**5, "polynomial", 5),
        (lambda w: jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * w), (0, w))[1], "polynomial", 4),
        (lambda w: jax.hessian(lambda v: jnp.sum(v**4))(w), "polynomial", 2),
        (lambda w: jnp.var(w), "polynomial", 2),
        (lambda w: w**-2, "rational", None),
        (lambda w: 2.0**w, "exponential", None),
        (lambda w: jnp.real(jnp.exp(1j * w)), "exponential", None),
        (lambda w: jax.vmap(jax.grad(lambda t: jnp.sum(jnp.sin(t * w))))(X), "exponential", None),
        (lambda w: jax.jacfwd(jnp.tanh)(w), "rational", None),
        (lambda w: jax.nn.softmax(w[None] * X[:, None], axis=1), "rational", None),
        (lambda w: jax.nn.softmax(jnp.abs(w)), "open", None),
        (lambda w: jnp.linalg.inv(jnp.diag(w) + 1.0), "rational", None),
        (lambda w: jnp.tan(w), "rational", None),
        (lambda w: jnp.tanh(w**2), "open", None),
    ],
)
def test_family(function, family, degree):
    certificate = certify(function, W)
    assert (certificate.family, certificate.degree) == (family, degree)


def test_a_choice_is_open_only_in_what_decides():
    def residuals(p):
        return jnp.where(p[0] > 0, p[1], 2 * p[1])

    certificate = certify(residuals, (W, W))
    assert certificate.families == {"[0]": "open", "[1]": "affine"}
    branch = certify(lambda p: jax.lax.cond(p[0][0] > 0, lambda a: a, lambda a: 2 * a, p[1]), (W, W))
    assert branch.families == {"[0]": "open", "[1]": "affine"}
    index = certify(lambda p: p[1][jnp.argmax(p[0])], (W, W))
    assert index.families == {"[0]": "open", "[1]": "affine"}


def test_softmax_needs_the_shift_to_be_common():
    """Shifting each entry by its own amount changes the quotient, so nothing may be cancelled."""

    def residuals(w):
        powers = jnp.exp(w - jnp.abs(w))
        return powers / jnp.sum(powers)

    assert certify(residuals, W).family == "open"

    def across(w):
        logits = w[:, None] * X
        powers = jnp.exp(logits - jnp.max(logits, axis=0, keepdims=True))
        return powers / jnp.sum(powers, axis=1, keepdims=True)

    assert certify(across, W).family == "open"


def test_scattered_entries_are_kept_apart():
    def residuals(w):
        table = jnp.zeros(3).at[0].set(w[0]).at[1].add(w[1])
        return table[0] * table[1] + table[2] * w[2]

    certificate = certify(residuals, W)
    assert certificate.degree == 2
    assert [set(block.indices) for block in certificate.blocks] in ([{0}, {1, 2}], [{0, 2}, {1}])
    repeated = certify(lambda w: jnp.ones(2).at[jnp.array([0, 0, 1])].multiply(w), W)
    assert repeated.degree == 2


def test_two_writes_to_one_place_may_both_have_happened():
    certificate = certify(
        lambda p: jnp.zeros(2).at[jnp.array([0, 0])].set(jnp.stack([p[0], jnp.abs(p[1])])), (jnp.ones(()), jnp.ones(()))
    )
    assert certificate.families["[0]"] == "affine"
    assert certificate.families["[1]"] == "open"


def test_a_mutable_reference_is_open():
    def residuals(w):
        reference = jax.new_ref(jnp.zeros(3))
        reference[...] = w * w
        return reference[...]

    certificate = certify(residuals, W)
    assert certificate.family == "open"
    assert "reference" in certificate.obstructions[0].reason


def test_a_captured_reference_is_open():
    reference = jax.new_ref(jnp.zeros(3))

    def residuals(w):
        reference[...] = jnp.sin(w)
        return reference[...]

    assert certify(residuals, W).family == "open"


def test_complex_parameters():
    w = jnp.array([1.0 + 1.0j, 2.0])
    assert certify(lambda w: 2 * w + jnp.conj(w), w).family == "affine"
    assert certify(lambda w: jnp.abs(w) ** 2, w).family == "open"
    assert certify(lambda w: jnp.exp(w), w).family == "exponential"


def test_data_that_vanish_are_noticed_and_tracers_are_not_trusted():
    def residuals(w, x):
        return w + x * w**2

    assert certify(residuals, W, jnp.zeros(3)).family == "affine"
    found = []

    @jax.jit
    def traced(x):
        found.append(certify(residuals, W, x))
        return x

    traced(jnp.zeros(3))
    assert found[0].degree == 2
