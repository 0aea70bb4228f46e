"""The direct solve of whole signals and grids: exact data exactly, noisy data at the best order, many at once as one by one."""

import jax.numpy as jnp
import numpy as np
import pytest

from infinity.descent.exponential import (
    Factors,
    lattice_starts,
    polish,
    samples_of,
    solve_batch,
    solve_signal,
)
from infinity.descent.exponential.product import values

N = 64
# Atoms `(A, alpha, omega, phi)` with times in [0, 2].
ATOMS = [(1.0, -0.3, 17.0, 0.4), (0.5, 0.2, 32.0, -2.0), (2.0, -1.0, 0.0, 0.0)]


def signal(t, atoms=ATOMS):
    return sum(A * np.exp(a * t) * np.cos(w * t + p) for A, a, w, p in atoms)


def at_zero(fit):
    """The atoms found, rising in frequency, with amplitude and phase at zero."""
    amplitude = fit.amplitude * np.exp(-fit.alpha * fit.origin)
    phase = np.angle(np.exp(1j * (fit.phase - fit.omega * fit.origin)))
    return np.stack([amplitude, fit.alpha, fit.omega, phase], 1)[np.argsort(fit.omega)]


@pytest.fixture(scope="module")
def uniform():
    return np.linspace(0, 2, N)


def test_exact_samples_of_known_order_are_solved_without_a_search(uniform):
    fit = solve_signal(samples_of(uniform, signal(uniform)), 3)
    assert fit.exact
    assert fit.counts["scans"] == 0
    np.testing.assert_allclose(at_zero(fit), sorted(ATOMS, key=lambda a: a[2]), atol=1e-7)


def test_order_of_exact_and_noisy_samples(uniform):
    exact = solve_signal(samples_of(uniform, signal(uniform)))
    assert len(exact.omega) == 3
    assert exact.exact
    clean = signal(uniform, ATOMS[:2])
    noise = np.sqrt(np.mean(clean**2)) / 10  # 20 dB
    for seed in range(3):
        noisy = clean + noise * np.random.default_rng(seed).standard_normal(N)
        fit = solve_signal(samples_of(uniform, noisy))
        assert len(fit.omega) == 2
        assert not fit.exact
        assert fit.attempts[0].atoms == 0
        assert [a.atoms for a in fit.attempts] == list(range(len(fit.attempts)))
        best = min(fit.attempts, key=lambda a: a.criterion)
        assert best.loss == fit.loss
        np.testing.assert_allclose(at_zero(fit)[:, 2], [17.0, 32.0], atol=1.0)


def test_noise_alone_is_called_noise(uniform):
    for seed in range(4):
        fit = solve_signal(samples_of(uniform, np.random.default_rng(seed).standard_normal(N)))
        assert min(fit.attempts, key=lambda a: a.criterion).atoms == 0


def test_scattered_samples_need_no_start():
    t = np.sort(np.random.default_rng(0).uniform(0, 2, N))
    for terms in (3, None):
        fit = solve_signal(samples_of(t, signal(t)), terms)
        assert fit.exact
        np.testing.assert_allclose(at_zero(fit), sorted(ATOMS, key=lambda a: a[2]), atol=1e-7)


def test_units_of_time_and_signal_do_not_matter(uniform):
    noisy = signal(uniform) + 0.1 * np.random.default_rng(1).standard_normal(N)
    one = solve_signal(samples_of(uniform, noisy), 3)
    other = solve_signal(samples_of(1950 + 1e3 * uniform, 1e-9 * noisy), 3)
    one_order, order = np.argsort(one.omega), np.argsort(other.omega)
    np.testing.assert_allclose(1e9 * other.amplitude[order], one.amplitude[one_order], rtol=1e-5)
    np.testing.assert_allclose(1e3 * other.alpha[order], one.alpha[one_order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(1e3 * other.omega[order], one.omega[one_order], rtol=1e-6)


def test_many_signals_at_once_are_as_one_by_one(uniform):
    generator = np.random.default_rng(2)
    y = np.stack([signal(uniform, ATOMS[:2]) + 0.05 * generator.standard_normal(N) for _ in range(6)])
    out = solve_batch(jnp.asarray(y), 2)
    for row in range(6):
        single = solve_signal(samples_of(uniform, y[row]), 2)
        order, alone = np.argsort(out.omega[row]), np.argsort(single.omega)
        np.testing.assert_allclose(out.loss[row], single.loss, rtol=1e-8)
        np.testing.assert_allclose(out.omega[row][order] / 2, single.omega[alone], rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(out.pairs[row], axis=1)[order], single.amplitude[alone], rtol=1e-4)


def grid(shape, r, P, seed):
    """A sum of products on a grid of length one around zero in every dimension."""
    generator = np.random.default_rng(seed)
    D = len(shape)
    pairs = generator.uniform(0.5, 1.5, (r, D, P, 2))
    alpha = generator.uniform(-1, 1, (r, D, P))
    # Frequencies apart by more than a Rayleigh cell.
    omega = 2 * np.pi * (generator.permuted(np.arange(r * P)[:, None] * np.ones((1, D)), axis=0) * 1.3 + 0.7)
    omega = omega.reshape(r, P, D).swapaxes(1, 2)
    axes = [np.linspace(-0.5, 0.5, n) for n in shape]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, D)
    factors = Factors(*(jnp.asarray(v) for v in (pairs, alpha, omega)))
    return x, np.asarray(values(factors, jnp.asarray(x))).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "r", "P"), [((16, 18), 2, 2), pytest.param((14, 12, 13), 2, 1, marks=pytest.mark.slow)]
)
def test_exact_grids_are_solved_from_the_first_start(shape, r, P):
    x, Y = grid(shape, r, P, seed=0)
    steps = [1 / (n - 1) for n in shape]
    starts = lattice_starts(Y, r, P, steps=steps, exact=True).starts
    assert len(starts) == 1
    start = Factors(*(jnp.asarray(v) for v in starts[0]))
    error = np.abs(values(start, jnp.asarray(x)) - Y.ravel())
    assert error.max() < 1e-8 * np.abs(Y).max()
    out = polish(jnp.asarray(x), jnp.asarray(Y.ravel()), jnp.ones(Y.size), start)
    assert float(out.loss) < 1e-20 * np.sum(Y**2)


@pytest.mark.slow
@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5])
def test_every_exact_signal_is_found(terms):
    t = np.linspace(0, 1, 80)
    for seed in range(40):
        generator = np.random.default_rng(seed)
        omega = 2 * np.pi * np.cumsum(generator.uniform(1.0, 4.0, terms))
        atoms = np.stack(
            [generator.uniform(0.3, 2, terms), generator.uniform(-3, 1, terms), omega, generator.uniform(-3, 3, terms)],
            1,
        )
        fit = solve_signal(samples_of(t, signal(t, atoms)), terms)
        assert fit.exact, seed
        np.testing.assert_allclose(at_zero(fit)[:, :3], atoms[:, :3], atol=1e-5)
