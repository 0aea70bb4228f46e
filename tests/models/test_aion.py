"""AION: closed under derivatives, integrals and changes of origin; one canonical form for every way of writing a function."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import infinity as inf

NAMES = ("amplitude", "alpha", "omega", "phase")


def build(dimensions=2, modes=2, terms=2, outputs=1, dtype=jnp.float64, seed=0):
    model = inf.AION(dimensions, modes=modes, terms=terms, outputs=outputs, key=jax.random.key(seed))
    return jax.tree.map(lambda leaf: leaf.astype(dtype), model)


def points(dimensions, number=12, seed=1, dtype=np.float64):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (number, dimensions)), dtype)


@eqx.filter_jit
def values(model, x):
    return jax.vmap(model)(x)


@eqx.filter_jit
def slopes(model, x, dimension):
    return jax.vmap(jax.jacfwd(model))(x)[..., dimension]


def same(a, b, rtol=1e-11):
    x = points(a.dimensions)
    got, wanted = values(a, x), values(b, x)
    np.testing.assert_allclose(got, wanted, atol=rtol * float(jnp.max(jnp.abs(wanted))))


def test_value_is_the_formula(dtype):
    model = build(3, 2, 2, 2, dtype)
    x = points(3, dtype=dtype)
    A, a, w, p = (np.asarray(getattr(model, name), float) for name in NAMES)
    t = np.asarray(x, float)[:, None, None, :, None]
    wanted = np.sum(np.prod(np.sum(A * np.exp(a * t) * np.cos(w * t + p), axis=4), axis=3), axis=2)
    got = values(model, x)
    assert got.dtype == dtype
    assert got.shape == (12, 2)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(wanted).max())


@pytest.mark.parametrize("dimension", [0, 1])
def test_derivative_is_that_of_autodiff(dimension):
    model, x = build(), points(2)
    once = model.derivative(dimension)
    np.testing.assert_allclose(values(once, x), slopes(model, x, dimension), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        values(model.derivative(dimension, 2), x), slopes(once, x, dimension), rtol=1e-11, atol=1e-10
    )
    same(model.derivative(dimension, 0), model)
    same(model.derivative(0).derivative(1), model.derivative(1).derivative(0))


@pytest.mark.parametrize("dimension", [0, 1])
def test_antiderivative_is_undone_by_the_derivative(dimension):
    model = build()
    same(model.antiderivative(dimension).derivative(dimension), model)


def test_a_constant_has_no_antiderivative_among_atoms_unless_it_is_zero():
    constant = inf.AION.of([1.0, 2.0], [0.0, -1.0], [0.0, 1.0], [0.3, 0.0])
    with pytest.raises(ValueError, match="atom 0 of term 0, output 0, is a constant"):
        constant.antiderivative()
    room = inf.AION.of([2.0], [-1.0], [1.0], [0.0]).refine(terms=3)
    same(room.antiderivative().derivative(), room)


# Rates from none over tiny ones, where the quotient of the closed form loses digits, to large ones.
RATES = [(0.0, 0.0), (1e-12, 0.0), (0.0, 1e-9), (1e-5, 1e-5), (0.03, -0.02), (0.06, 0.06), (-3.0, 0.0), (2.0, 40.0)]


@pytest.mark.parametrize(("alpha", "omega"), RATES)
def test_integral_against_quadrature(alpha, omega):
    model = inf.AION.of([1.3], [alpha], [omega], [0.7], origin=[0.4])
    f = lambda t: 1.3 * np.exp(alpha * (t - 0.4)) * np.cos(omega * (t - 0.4) + 0.7)
    for lower, upper in ((-1.0, 2.0), (0.3, 0.3001), (1.0, -1.0)):
        wanted = quad(f, lower, upper, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        size = abs(upper - lower) * max(abs(f(lower)), abs(f(upper)), 1e-3)
        assert abs(float(model.integral([(lower, upper)])) - wanted) < 1e-12 * max(size, 1.0) * (1 + abs(alpha))


def test_integral_over_a_box_is_that_of_the_antiderivatives():
    model = build(2, 3, 2, 2)
    box = [(-0.3, 1.0), (0.2, 0.9)]
    F = model.antiderivative(0).antiderivative(1)
    corners = [((1, 1), 1), ((1, 0), -1), ((0, 1), -1), ((0, 0), 1)]
    wanted = sum(sign * F(jnp.array([box[0][i], box[1][j]])) for (i, j), sign in corners)
    np.testing.assert_allclose(model.integral(box), wanted, rtol=1e-10, atol=1e-12)


def rewritten(model, seed):
    """The same function, written in another way: signs, turns, order of atoms and terms, scales between factors."""
    generator = np.random.default_rng(seed)
    A, a, w, p = (np.array(getattr(model, name)) for name in NAMES)
    O, r, D, _ = A.shape
    sign = generator.choice([-1.0, 1.0], A.shape)
    w, p = sign * w, sign * p + 2 * np.pi * generator.integers(-2, 3, A.shape)
    half = generator.integers(0, 2, A.shape)
    A, p = A * (-1.0) ** half, p + np.pi * half
    scale = np.exp(generator.normal(size=(O, r, D))) * generator.choice([-1.0, 1.0], (O, r, D))
    scale[:, :, -1] = 1 / np.prod(scale[:, :, :-1], axis=2)
    A = A * scale[..., None]
    atoms = np.argsort(generator.uniform(size=A.shape), axis=3)
    A, a, w, p = (np.take_along_axis(v, atoms, 3) for v in (A, a, w, p))
    terms = generator.permutation(r)
    return inf.AION.of(*(v[:, terms] for v in (A, a, w, p)), scalar=model.scalar)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_canonical_form_is_one_for_all_ways_of_writing(dimensions):
    model = build(dimensions, 3, 2, seed=3)
    # One atom does not oscillate, and one is not there.
    model = eqx.tree_at(lambda m: m.omega, model, model.omega.at[0, 1, 0, 1].set(0.0))
    model = eqx.tree_at(lambda m: m.amplitude, model, model.amplitude.at[0, 2, 0, 0].set(0.0))
    canonical = model.canonical()
    same(canonical, model)
    for seed in range(5):
        other = rewritten(model, seed)
        same(other, model)
        for name in NAMES:
            np.testing.assert_allclose(
                getattr(other.canonical(), name), getattr(canonical, name), rtol=1e-9, atol=1e-12, err_msg=name
            )
    again = canonical.canonical()
    for name in NAMES:
        np.testing.assert_allclose(getattr(again, name), getattr(canonical, name), rtol=1e-12, atol=1e-14)


def test_canonical_form_is_as_it_is_described():
    model = build(3, 4, 3, 2, seed=5).canonical()
    A, _, w, p = (np.asarray(getattr(model, name)) for name in NAMES)
    assert (A >= 0).all()
    assert (w >= 0).all()
    assert ((p > -np.pi) & (p <= np.pi)).all()
    assert (np.diff(w, axis=3) >= 0).all()
    lengths = np.sqrt(np.sum(A**2, axis=3))
    np.testing.assert_allclose(lengths, lengths[:, :, :1] * np.ones(3), rtol=1e-12)
    assert (np.diff(np.prod(lengths, axis=2), axis=1) <= 0).all()
    first = p[:, :, 1:, 0]
    assert ((first > -np.pi / 2) & (first <= np.pi / 2)).all()


def test_canonical_form_of_nothing_is_nothing():
    model = inf.AION.of([0.0, 0.0], [3.0, 1.0], [2.0, 0.0], [1.0, 0.0]).canonical()
    for name in NAMES:
        np.testing.assert_array_equal(getattr(model, name), np.zeros((1, 1, 1, 2)))


def test_an_atom_without_frequency_has_phase_zero_or_pi():
    model = inf.AION.of([1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [2.0, 0.5]).canonical()
    np.testing.assert_allclose(model.phase[0, 0, 0], [0.0, np.pi])
    np.testing.assert_allclose(model.amplitude[0, 0, 0], [2 * np.cos(0.5), -np.cos(2.0)])


def test_moved_and_refined_are_the_same_function():
    model = build(2, 2, 2, 3)
    moved = model.moved([0.7, -3.0])
    same(moved, model)
    assert moved.origin == (0.7, -3.0)
    same(moved.moved([0.0, 0.0]), model)
    same(model.refine(modes=5, terms=3), model)
    assert model.refine(modes=5, terms=3).unknowns == 4 * 3 * 2 * 5 * 3
    with pytest.raises(ValueError, match="expected no fewer"):
        model.refine(terms=1)
    with pytest.raises(ValueError, match="beyond the range of float64"):
        inf.AION.of([1.0], [10.0], [0.0], [0.0]).moved([1e4])


def test_formula_in_sympy_has_the_same_values():
    model = build(2, 2, 2, 2).moved([0.5, 0.0])
    expressions = model.sympy(["a", "b"])
    for point in np.asarray(points(2, 3)):
        wanted = model(jnp.asarray(point))
        for expression, value in zip(expressions, wanted, strict=True):
            symbols = {s.name: s for s in expression.free_symbols}
            got = expression.subs({symbols["a"]: point[0], symbols["b"]: point[1]})
            np.testing.assert_allclose(float(got), value, rtol=1e-12)
    assert str(inf.AION.of([2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]).sympy(digits=3)) == "2.00"
    with pytest.raises(ValueError, match="got 1 symbols; expected 2"):
        model.sympy(["a"])


def test_a_saved_model_gives_the_same_numbers_in_a_new_process(tmp_path, dtype):
    model = build(2, 2, 2, 2, dtype).moved([0.25, 1.0])
    inf.save(model, tmp_path / "model.inf")
    x = points(2, dtype=dtype)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, jax, numpy as np, infinity as inf\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "model = inf.load(sys.argv[1] + '/model.inf')\n"
        "np.save(sys.argv[1] + '/y.npy', jax.vmap(model)(np.load(sys.argv[1] + '/x.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), jax.vmap(model)(x))


def test_transformations(dtype):
    model, x = build(2, 2, 2, "scalar", dtype), points(2, dtype=dtype)
    traced = []

    @eqx.filter_jit
    def value(model, point):
        traced.append(1)
        return model(point)

    loop = jnp.stack([value(model, point) for point in x])
    assert len(traced) == 1
    np.testing.assert_allclose(jax.vmap(model)(x), loop, rtol=50 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps)
    gradient = eqx.filter_grad(lambda m: m(x[0]))(model)
    for name in NAMES:
        leaf = getattr(gradient, name)
        assert leaf.dtype == dtype
        assert bool(jnp.isfinite(leaf).all())
        assert bool((leaf != 0).all())


def test_bad_sizes_are_refused():
    key = jax.random.key(0)
    for name in ("dimensions", "modes", "terms", "outputs"):
        with pytest.raises(ValueError, match=f"{name}=0; expected an integer of at least 1"):
            inf.AION(**{name: 0}, key=key)
    with pytest.raises(ValueError, match="expected 2 finite numbers"):
        inf.AION(2, origin=[0.0], key=key)
    with pytest.raises(ValueError, match="expected four of one shape"):
        inf.AION.of([1.0], [1.0, 2.0], [1.0], [1.0])
    with pytest.raises(ValueError, match="pass scalar=False"):
        inf.AION.of(*np.ones((4, 2, 1, 1, 1)))
    model = inf.AION(2, key=key)
    with pytest.raises(ValueError, match="there is no dimension 2"):
        model.derivative(2)
    with pytest.raises(ValueError, match="expected at least 0"):
        model.derivative(0, -1)
    with pytest.raises(ValueError, match=r"expected \(2, 2\)"):
        model.integral([(0.0, 1.0)])
