"""The parts of the direct solve, each against its definition: small least squares, poles, dictionary, refinement, order, samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.descent.exponential import criterion, floor, samples_of
from infinity.descent.exponential.atoms import amplitude_and_phase, columns, linear_pair
from infinity.descent.exponential.orthonormal import orthonormal
from infinity.descent.exponential.pencil import (
    eigenvalues_on_host,
    esprit,
    hankel,
    leading_subspace,
    orthonormal_shift_eigenvalues,
    poles_of,
    shift_eigenvalues,
    subspace,
)
from infinity.descent.exponential.pursuit import DAMPINGS, dictionary, next_atoms
from infinity.descent.exponential.refinement import refine


def rng(seed=0):
    return np.random.default_rng(seed)


def signal(t, atoms):
    """Atoms `(A, alpha, omega, phi)` on times."""
    return sum(A * np.exp(a * t) * np.cos(w * t + p) for A, a, w, p in atoms)


def test_pair_and_amplitude_are_the_same_atom(dtype):
    t = jnp.asarray(rng().uniform(-1, 1, 9), dtype)
    A, p, a, w = (jnp.asarray(v, dtype) for v in ([2.0, 0.5], [-3.0, 1.0], [-1.0, 2.0], [3.0, 0.0]))
    c, s = linear_pair(A, p)
    cosine, sine = columns(t, a, w)
    got = c[:, None] * cosine + s[:, None] * sine
    wanted = A[:, None] * jnp.exp(a[:, None] * t) * jnp.cos(w[:, None] * t + p[:, None])
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * 10)
    np.testing.assert_allclose(jnp.stack(amplitude_and_phase(c, s)), jnp.stack([A, p]), rtol=tolerance)


@pytest.mark.parametrize("k", [3, 7])  # written out, and as a loop
def test_least_squares_are_those_of_a_factorisation(k, dtype):
    rows = rng(1).standard_normal((k, 30)).astype(dtype)
    y = rng(2).standard_normal(30).astype(dtype)
    basis = orthonormal(jnp.asarray(rows))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(basis.basis @ basis.basis.T, np.eye(k), atol=20 * eps)
    np.testing.assert_allclose(basis.triangle @ basis.basis, rows, atol=50 * eps)
    coefficients, remainder = basis.coefficients(jnp.asarray(y))
    Q, R = np.linalg.qr(rows.T.astype(float))
    np.testing.assert_allclose(coefficients, np.linalg.solve(R, Q.T @ y), atol=100 * eps)
    np.testing.assert_allclose(remainder, y - Q @ (Q.T @ y), atol=100 * eps)
    np.testing.assert_allclose(basis.remove(jnp.asarray(y)[None])[0], remainder, atol=100 * eps)


def test_ill_conditioned_rows_are_orthonormal_to_rounding():
    t = np.linspace(0, 1, 40)
    rows = jnp.asarray(t ** np.arange(10)[:, None])
    basis = orthonormal(rows).basis
    np.testing.assert_allclose(basis @ basis.T, np.eye(10), atol=1e-14)


def test_dependent_rows_are_dropped_and_lose_nothing():
    rows = rng(3).standard_normal((5, 20))
    rows[2] = 2 * rows[0] - rows[1]
    rows[4] = 0
    y = rng(4).standard_normal(20)
    basis = orthonormal(jnp.asarray(rows))
    assert np.flatnonzero(np.all(np.asarray(basis.basis) == 0, axis=1)).tolist() == [2, 4]
    coefficients, remainder = basis.coefficients(jnp.asarray(y))
    assert coefficients[2] == coefficients[4] == 0
    wanted = rows.T @ np.linalg.lstsq(rows.T, y)[0]
    np.testing.assert_allclose(y - np.asarray(remainder), wanted, atol=1e-13)
    np.testing.assert_allclose(coefficients @ rows, wanted, atol=1e-13)


ATOMS = [(1.0, -0.3, 7.0, 0.4), (0.5, 0.2, 12.0, -2.0), (2.0, -1.0, 0.0, 0.0)]


@pytest.mark.parametrize("xp", [np, jnp])
def test_poles_of_exact_samples_are_exact(xp):
    t = np.linspace(0, 2, 60)
    y = signal(t, ATOMS)
    space = subspace(xp.asarray(y))
    assert space.singular[5] < 1e-12 * space.singular[0] < space.singular[4]
    poles = esprit(space.vectors[:, :5], t[1])
    present = np.asarray(poles.present)
    found = sorted(zip(np.asarray(poles.omega)[present], np.asarray(poles.alpha)[present], strict=True))
    np.testing.assert_allclose(found, sorted((w, a) for _, a, w, _ in ATOMS), atol=1e-8)


def test_signals_that_share_poles_share_a_space():
    t = np.linspace(0, 2, 40)
    y = np.stack([signal(t, [(c, -0.3, 7.0, p), (1.0, 0.1, 3.0, p)]) for c, p in ((1, 0), (2, 1), (0.1, 2))])
    assert hankel(y, 10).shape == (10, 3 * 31)
    poles = esprit(subspace(y, 10).vectors[:, :4], t[1])
    np.testing.assert_allclose(np.sort(poles.omega[poles.present]), [3.0, 7.0], atol=1e-9)


def test_eigenvalues_on_the_real_line():
    poles = poles_of(np.array([0.5 + 0j, -0.5 + 0j, 0.3 + 0.4j, 0.3 - 0.4j]), 0.1)
    assert poles.present.tolist() == [True, True, True, False]
    np.testing.assert_allclose(poles.omega[:3], [0, 10 * np.pi, 10 * np.arctan2(4, 3)])
    np.testing.assert_allclose(poles.alpha[:3], 10 * np.log([0.5, 0.5, 0.5]))


def test_subspace_iteration_finds_the_leading_space():
    t = np.linspace(0, 2, 60)
    y = signal(t, ATOMS[:2]) + 1e-3 * rng().standard_normal(60)
    exact = np.asarray(subspace(y).vectors[:, :4])
    quick = np.asarray(leading_subspace(jnp.asarray(y), 4))
    np.testing.assert_allclose(np.linalg.svd(exact.T @ quick)[1], np.ones(4), atol=1e-6)
    assert np.abs(shift_eigenvalues(quick) - shift_eigenvalues(exact)).shape == (4,)


@pytest.mark.parametrize("scattered", [False, True])
def test_gain_is_what_one_more_atom_takes_off(scattered):
    N = 24
    t = np.sort(rng(5).uniform(-0.5, 0.5, N)) if scattered else np.linspace(-0.5, 0.5, N)
    s, y = rng(6).uniform(0.5, 1.5, N), rng(7).standard_normal(N)
    step = None if scattered else 1 / (N - 1)
    atlas = dictionary(t, step, np.pi * (N - 1))
    rows = s * np.stack([np.exp(-t) * np.cos(9 * t), np.exp(-t) * np.sin(9 * t)])
    basis = orthonormal(jnp.asarray(rows))
    _, r = basis.coefficients(jnp.asarray(s * y))
    found = next_atoms(atlas, jnp.asarray(s), r, basis.basis, 4)

    def loss(extra):
        A = np.concatenate([rows, s * extra]).T
        return 0.5 * np.sum((s * y - A @ np.linalg.lstsq(A, s * y, rcond=1e-12)[0]) ** 2)

    before = 0.5 * float(jnp.sum(r**2))
    column = lambda a, w: np.stack([np.exp(a * t) * np.cos(w * t), np.exp(a * t) * np.sin(w * t)])
    gains = [before - loss(column(float(a), float(w))) for a, w in zip(found.alpha, found.omega, strict=True)]
    np.testing.assert_allclose(found.gain, gains, rtol=1e-6)
    frequencies = np.arange(atlas.size) * float(atlas.delta)
    frequencies = frequencies[frequencies <= float(atlas.limit)]
    every = [before - loss(column(a, w)) for a in DAMPINGS for w in frequencies]
    assert float(found.gain[0]) >= max(every) * (1 - 1e-6)
    assert (np.diff(found.gain) <= 0).all()


def noisy(seed=0, N=60, level=0.1, scattered=False):
    t = np.sort(rng(seed + 100).uniform(-0.5, 0.5, N)) if scattered else np.linspace(-0.5, 0.5, N)
    y = signal(t, [(1.0, -1.0, 20.0, 0.5), (0.7, 0.5, 45.0, -1.0)]) + level * rng(seed).standard_normal(N)
    return t, y


def projected(t, y, s, rates):
    """Half the sum of squares after the pairs are solved for, by a factorisation."""
    a, w = np.split(np.asarray(rates), 2)
    A = np.concatenate([np.exp(a[:, None] * t) * f(w[:, None] * t) for f in (np.cos, np.sin)]) * s
    return 0.5 * np.sum((s * y - A.T @ np.linalg.lstsq(A.T, s * y)[0]) ** 2)


def test_refinement_ends_where_the_gradient_is_zero():
    t, y = noisy(scattered=True)
    s = rng(9).uniform(0.5, 1.5, len(t))
    out = jax.jit(refine)(*(jnp.asarray(v) for v in (t, y, s)), jnp.array([0.0, 0.0]), jnp.array([19.0, 46.0]))
    assert bool(out.converged)
    rates = np.concatenate([out.alpha, out.omega])
    np.testing.assert_allclose(out.loss, projected(t, y, s, rates), rtol=1e-12)
    h = 1e-4
    for i in range(4):
        step = h * np.eye(4)[i]
        up, down = projected(t, y, s, rates + step), projected(t, y, s, rates - step)
        assert up > out.loss
        assert down > out.loss
        curvature = (up + down - 2 * float(out.loss)) / h**2
        assert abs(up - down) / (2 * h) < 1e-5 * curvature


def test_quick_convergence_and_atoms_that_do_not_take_part():
    t, y = noisy(level=0.0)
    arrays = [jnp.asarray(v) for v in (t, y, np.ones_like(t))]
    alpha, omega = jnp.array([0.0, 0.0, 5.0]), jnp.array([19.0, 46.0, 30.0])
    present = jnp.array([True, True, False])
    out = jax.jit(refine)(*arrays, alpha, omega, present)
    assert int(out.iterations) < 12
    assert float(out.loss) < 1e-28
    np.testing.assert_allclose(out.omega, [20.0, 45.0, 30.0], atol=1e-11)
    np.testing.assert_allclose(out.alpha, [-1.0, 0.5, 5.0], atol=1e-11)
    np.testing.assert_array_equal(out.pairs[2], [0.0, 0.0])
    held = jax.jit(refine)(*arrays, alpha, omega, present, jnp.array([True, True, True, False, True, True]))
    assert float(held.omega[0]) == 19.0
    limited = jax.jit(lambda *a: refine(*a, frequency_limit=40.0))(*arrays, alpha[:2], omega[:2])
    assert float(jnp.max(limited.omega)) <= 40.0


def test_starts_beyond_the_range_of_floats_are_brought_back(dtype):
    t = jnp.linspace(-0.5, 0.5, 30, dtype=dtype)
    y = jnp.zeros(30, dtype).at[29].set(1.0)
    out = jax.jit(refine)(t, y, jnp.ones_like(t), jnp.array([4e4], dtype), jnp.array([0.0], dtype))
    assert bool(jnp.isfinite(out.pairs).all())
    assert float(out.loss) < 1e-2


def test_half_a_turn_a_sample_has_one_column():
    """There the cosine, or the sine, is zero on the samples but for rounding, and must not be solved with."""
    for N in (60, 61):
        t = jnp.linspace(-0.5, 0.5, N)
        y = jnp.asarray((-1.0) ** np.arange(N)) + 0.01 * rng().standard_normal(N)
        out = jax.jit(refine)(
            t, y, jnp.ones(N), jnp.array([0.0]), jnp.array([np.pi * (N - 1)]), None, jnp.array([True, False])
        )
        np.testing.assert_allclose(jnp.max(jnp.abs(out.pairs)), 1.0, atol=0.01)
        assert float(jnp.min(jnp.abs(out.pairs))) == 0


def test_criterion_prices_parameters_and_few_samples():
    assert criterion(1.0, 0, 0, 100.0, 0.0) == pytest.approx(50 * np.log(2 / 100))
    atom = criterion(1.0, 1, 0, 1000.0, 0.0) - criterion(1.0, 0, 0, 1000.0, 0.0)
    still = criterion(1.0, 1, 1, 1000.0, 0.0) - criterion(1.0, 0, 0, 1000.0, 0.0)
    assert atom == pytest.approx(4 * np.log(1000))
    assert still == pytest.approx(2 * np.log(1000))
    few = criterion(1.0, 2, 0, 10.0, 0.0) - criterion(1.0, 0, 0, 10.0, 0.0)
    assert few == pytest.approx(8 * 10)
    least = floor(3.0, 1e-16)
    assert criterion(0.0, 1, 0, 50.0, least) == criterion(least, 1, 0, 50.0, least)
    assert np.isfinite(criterion(0.0, 1, 0, 4.0, 0.0))


def test_samples_are_sorted_and_lie_on_an_interval_of_length_one():
    time = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    found = samples_of(time, 10 * time)
    np.testing.assert_allclose(found.t, [-0.5, -0.25, 0, 0.25, 0.5])
    np.testing.assert_allclose(found.y, [10, 20, 30, 40, 50])
    assert (found.centre, found.span, found.step) == (3.0, 4.0, 0.25)
    assert found.finest == pytest.approx(4 * np.pi)
    assert samples_of(time**2, time).step is None


def test_a_gap_in_the_record_hides_no_frequency():
    time = np.concatenate([np.arange(30.0), 300 + np.arange(30.0)])
    found = samples_of(time, np.ones(60))
    assert found.finest / found.span == pytest.approx(np.pi)
    close = samples_of(np.sort(np.concatenate([time, time + 1e-9])), np.ones(120))
    assert close.finest / close.span < 100


def test_merging_repeated_times_changes_no_least_squares_solution():
    time = rng(1).integers(0, 8, 40).astype(float)
    y, w = rng(2).standard_normal(40), rng(3).uniform(0, 2, 40)
    w[5] = 0
    found = samples_of(time, y, w)
    assert len(found.t) == 8
    assert found.count == pytest.approx(w.sum())
    A = lambda t: np.stack([np.ones_like(t), t, t**2], 1)
    merged = np.linalg.lstsq(found.s[:, None] * A(found.centre + found.span * found.t), found.s * found.y)[0]
    every = np.linalg.lstsq(np.sqrt(w)[:, None] * A(time), np.sqrt(w) * y)[0]
    np.testing.assert_allclose(merged, every, atol=1e-12)


def test_a_signal_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="1 distinct time"):
        samples_of(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="zero at every time"):
        samples_of(np.arange(5.0), np.zeros(5))


def test_orthonormal_columns_need_no_singular_values(dtype):
    t = jnp.arange(40, dtype=dtype) / 40
    vectors = leading_subspace(jnp.asarray(signal(t, [(1.0, -1.0, 20.0, 0.3), (0.5, -2.0, 60.0, 1.0)])), 4)
    found, wanted = (np.sort_complex(f(vectors)) for f in (orthonormal_shift_eigenvalues, shift_eigenvalues))
    np.testing.assert_allclose(found, wanted, atol=200 * np.finfo(dtype).eps)


def test_eigenvalues_on_the_host_are_those_of_the_device(dtype):
    matrices = rng(3).standard_normal((5, 4, 4)).astype(dtype)
    found = jax.jit(jax.vmap(eigenvalues_on_host))(matrices)
    assert found.dtype == jnp.result_type(dtype, jnp.complex64)
    np.testing.assert_allclose(
        np.sort_complex(found), np.sort_complex(jnp.linalg.eigvals(matrices)), rtol=1e3 * np.finfo(dtype).eps
    )
