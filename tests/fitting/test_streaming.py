"""The streamed normal equations and the evidence against their definitions, and against the generic path."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

import infinity as inf
from infinity.descent.evidence import (
    BlockPenalty,
    Evidence,
    PenaltyBlocks,
    affine_optimum,
    covariance,
    damped_step,
    update,
)
from infinity.descent.streaming import Normal, accumulate, accumulate_gradient, accumulate_loss, chunked
from infinity.descent.windows import accumulate_windows, tiled
from infinity.fitting import direct
from infinity.fitting.direct import Data, _groups, fit_separable
from infinity.fitting.roughness import roughness_penalty
from infinity.fitting.stacked import Layout, flattened, stack, unstack
from infinity.models.separable import design


def problem(outputs=2, samples=70, dtype=jnp.float64, elements=(3, 3, 2), degree=2):
    model = inf.KHRONOS(
        [(0.0, 1.0)] * 3, modes=2, elements=elements, degree=degree, outputs=outputs, key=jax.random.key(0)
    )
    keys = iter(jax.random.split(jax.random.key(3), 20))
    model = jax.tree.map(
        lambda leaf: leaf.astype(dtype) + 0.1 * jax.random.normal(next(keys), leaf.shape, dtype), model
    )
    x = jax.random.uniform(jax.random.key(1), (samples, 3), dtype)
    y = jnp.stack([jnp.sin(3 * x[:, 0]) * x[:, 1], x[:, 2] ** 2], axis=1)[:, :outputs]
    weights = 0.5 + jax.random.uniform(jax.random.key(2), (samples,), dtype)
    return model, x, y, weights


def rows_of(model, x, y, weights):
    """The stacked model's rows and residuals as functions of its flat parameters, and all samples as one chunk."""
    theta, unravel = ravel_pytree(stack(model))
    B = jax.vmap(lambda x: design(model.bases, x))(x)
    repeated = lambda chunk: jnp.repeat(chunk.weights, chunk.y.shape[1])

    def rows(theta, chunk):
        values, J = unravel(theta).rows(chunk.points)
        return (values - chunk.y).ravel(), J, repeated(chunk)

    residuals = lambda theta, chunk: ((unravel(theta).values(chunk.points) - chunk.y).ravel(), repeated(chunk))
    return theta, rows, residuals, Data(B, y, weights)


def cut(data, size=16):
    (a, b), w, _ = chunked((data.points, data.y), data.weights, size)
    return Data(a, b, w)


@pytest.mark.parametrize("outputs", [1, 2])
def test_stacked_form_is_the_model_and_its_rows_the_jacobian(outputs, dtype):
    model, x, *_ = problem(outputs, dtype=dtype)
    stacked = stack(model)
    B = jax.vmap(lambda x: design(model.bases, x))(x)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == jnp.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(stacked.values(B), jax.vmap(model)(x), **tolerance)
    values, J = stacked.rows(B)
    np.testing.assert_allclose(values, jax.vmap(model)(x), **tolerance)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(params)
    expected = jax.jit(jax.jacfwd(lambda theta: jax.vmap(eqx.combine(unravel(theta), static))(x).ravel()))(theta)
    kept = Layout.of(stacked).kept([basis.size for basis in model.bases])
    np.testing.assert_allclose(J[:, kept], expected, **tolerance)
    filled = np.setdiff1d(np.arange(J.shape[1]), kept)
    assert filled.size
    assert not np.any(np.asarray(J[:, filled]))
    for old, new in zip(jax.tree.leaves(model), jax.tree.leaves(unstack(stacked, model)), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("outputs", [1, 2])
def test_streamed_sums_are_those_of_the_whole_jacobian(outputs, dtype):
    theta, rows, residuals, data = rows_of(*problem(outputs, dtype=dtype))
    r, J, w = rows(theta, data)
    chunks = cut(data)

    @jax.jit
    def streamed(theta, count):
        return (
            accumulate(rows, theta, chunks, count),
            accumulate_gradient(residuals, theta, chunks, count),
            accumulate_loss(residuals, theta, chunks, count),
        )

    normal, (gradient, loss), again = streamed(theta, jnp.asarray(chunks.weights.shape[0]))
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == jnp.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(normal.gram, J.T @ (w[:, None] * J), **tolerance)
    np.testing.assert_allclose(normal.gradient, J.T @ (w * r), **tolerance)
    np.testing.assert_allclose(gradient, J.T @ (w * r), **tolerance)
    np.testing.assert_allclose([normal.loss, loss, again], 0.5 * jnp.sum(w * r**2), **tolerance)
    half, _, _ = streamed(theta, jnp.asarray(1))
    assert float(half.loss) < float(normal.loss)


@pytest.mark.parametrize("outputs", [1, 2])
def test_windowed_sum_is_the_dense_one(outputs, dtype):
    """Many knots: the windowed product does a fraction of the work and gives the same matrix."""
    model, x, y, weights = problem(outputs, samples=400, dtype=dtype, elements=(20, 24, 1), degree=(2, 1, 2))
    theta, rows, _, data = rows_of(model, x, y, weights)
    _, J, w = rows(theta, data)
    groups = _groups(model, Layout.of(stack(model)), x)
    covered = np.concatenate([np.unique(group.columns) for group in groups])
    assert len(covered) == len(set(covered))
    met = Layout.of(stack(model)).windowed([basis.degree + 1 for basis in model.bases])
    assert met == sum(group.columns.shape[1] for group in groups) < 0.3 * theta.size

    def take(samples, counted):
        chunk = jax.tree.map(lambda a: a[samples], data)
        return chunk._replace(weights=chunk.weights * counted)

    tiles = tiled(groups, theta.size, size=32)
    gram = jax.jit(lambda theta: accumulate_windows(rows, theta, take, tiles))(theta)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == jnp.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(gram, J.T @ (w[:, None] * J), **tolerance)


def test_chunks_hold_every_sample_once():
    x = jnp.arange(10.0)
    cut, weights, used = chunked(x, jnp.ones(10), 4)
    assert cut.shape == weights.shape == (3, 4)
    assert used == 3
    cut, weights, used = chunked(jnp.arange(33.0), jnp.ones(33), 4)
    assert cut.shape == (10, 4)
    assert used == 9
    assert float(jnp.sum(weights)) == 33
    cut, weights, _ = chunked(x, jnp.ones(10), 4)
    np.testing.assert_allclose(jnp.sort(cut[weights > 0]), x)


@pytest.mark.parametrize("outputs", [1, 2])
def test_penalty_is_the_integral_of_value_and_slope(outputs):
    """The energies against quadrature of the curves themselves."""
    model, *_ = problem(outputs)
    stacked = stack(model)
    penalty = roughness_penalty(model.bases, Layout.of(stacked), jnp.float64)
    theta = flattened(stacked, penalty.kept)[0]
    energies = penalty.energies(theta)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, w = jnp.asarray(0.5 * (nodes + 1)), jnp.asarray(0.5 * weights)
    sizes, slopes = 0.0, []
    for d in range(3):
        curve = jax.jit(jax.vmap(lambda t, d=d: model.curve(d, t)))
        slope = jax.jit(jax.vmap(jax.jacfwd(lambda t, d=d: model.curve(d, t))))
        sizes += float(w @ jnp.sum(curve(t) ** 2, axis=1))
        slopes.append(float(w @ jnp.sum(slope(t) ** 2, axis=1)))
    np.testing.assert_allclose(energies[0], sizes, rtol=2e-3)
    np.testing.assert_allclose(energies[1:4], slopes, rtol=2e-3)
    S = penalty.matrix(jnp.ones(penalty.strengths))
    np.testing.assert_allclose(theta @ S @ theta, jnp.sum(energies), rtol=1e-12)


def test_a_change_costs_less_where_cells_are_short():
    """The slope counts in coordinates in which all cells are equally long."""
    breakpoints = (0.0, 0.1, 0.3, 1.0)
    model = inf.KHRONOS(modes=1, breakpoints=[breakpoints], degree=2, outputs=1, key=jax.random.key(0))
    stacked = stack(model)
    penalty = roughness_penalty(model.bases, Layout.of(stacked), jnp.float64)
    energies = penalty.energies(flattened(stacked, penalty.kept)[0])
    nodes, weights = np.polynomial.legendre.leggauss(8)
    size = slope = 0.0
    for low, high in itertools.pairwise(breakpoints):
        w = jnp.asarray((nodes + 1) / 2)  # across the cell, which is a third of the way
        curve = jax.jit(jax.vmap(lambda w, low=low, high=high: model.curve(0, low + (high - low) * w)))
        change = jax.jit(jax.vmap(jax.jacfwd(lambda w, low=low, high=high: model.curve(0, low + (high - low) * w))))
        size += float(jnp.asarray(weights / 2) @ jnp.sum(curve(w) ** 2, axis=1)) / 3
        slope += float(jnp.asarray(weights / 2) @ jnp.sum(change(w) ** 2, axis=1)) * 3
    np.testing.assert_allclose(energies[:2], [size, slope], rtol=1e-10)


@pytest.mark.parametrize("outputs", [1, 2])
def test_rows_of_a_block_are_those_columns_of_all(outputs):
    model, x, *_ = problem(outputs)
    stacked = stack(model)
    layout = Layout.of(stacked)
    B = jax.vmap(lambda x: design(model.bases, x))(x)
    values, J = stacked.rows(B)
    for d in range(3):
        own, part = stacked.block_rows(B, d)
        np.testing.assert_allclose(own, values, rtol=1e-12)
        block = np.concatenate([layout.factor(d), layout.affine()])
        np.testing.assert_allclose(part, J[:, block], rtol=1e-12, atol=1e-14)


def test_step_and_update_solve_their_equations():
    model, x, y, weights = problem()
    _, all_rows, _, data = rows_of(model, x, y, weights)
    penalty = roughness_penalty(model.bases, Layout.of(stack(model)), jnp.float64)
    theta = flattened(stack(model), penalty.kept)[0]
    assert theta.size == model.unknowns

    def rows(theta, chunk):
        r, J, w = all_rows(penalty.filled(theta), chunk)
        return r, J[:, penalty.kept], w

    evidence = Evidence(jnp.linspace(0.5, 2.0, penalty.strengths), jnp.asarray(0.3))
    normal = accumulate(rows, theta, cut(data), jnp.asarray(5))
    S = 0.3 * penalty.matrix(evidence.lam)
    H = normal.gram + S
    mu = 0.1
    p, promised = damped_step(normal, penalty, evidence, theta, jnp.asarray(mu))
    gradient = normal.gradient + S @ theta
    np.testing.assert_allclose((H + mu * jnp.diag(jnp.diag(H))) @ p, -gradient, atol=1e-9)
    np.testing.assert_allclose(promised, -(gradient @ p + 0.5 * p @ H @ p), rtol=1e-9)
    V = covariance(normal, penalty, evidence)
    np.testing.assert_allclose(V @ (H / 0.3), jnp.eye(theta.size), atol=1e-7)
    new, effective = update(normal, penalty, evidence, theta, jnp.asarray(140.0))
    np.testing.assert_allclose(effective, jnp.trace(V @ normal.gram) / 0.3, rtol=1e-7)
    unit = jnp.eye(penalty.strengths)
    j = 1
    Sj = penalty.matrix(unit[j])
    inverse = jnp.linalg.pinv(penalty.matrix(evidence.lam))
    expected = (jnp.trace(inverse @ Sj) - jnp.trace(V @ Sj)) / (theta @ Sj @ theta)
    np.testing.assert_allclose(new.lam[j], jnp.clip(expected, 1 / 8, 8) * evidence.lam[j], rtol=1e-6)


def test_updates_end_where_the_restricted_likelihood_is_greatest():
    """Strength and noise of a ridge regression against a search over the likelihood itself, `y ~ N(0, A A^T / lam + var)`."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((60, 8))
    y = A @ rng.normal(scale=0.2, size=8) + 0.5 * rng.standard_normal(60)
    normal = Normal(jnp.asarray(A.T @ A), jnp.asarray(-A.T @ y), jnp.asarray(0.5 * y @ y))
    blocks = PenaltyBlocks(jnp.eye(8)[None, None], jnp.zeros(1, int), jnp.zeros((1, 1), int))
    penalty = BlockPenalty((blocks,), jnp.arange(8), 1, 8)
    start = Evidence(jnp.ones(1), jnp.asarray(0.1))
    _, found = affine_optimum(normal, penalty, start, jnp.asarray(60.0), updates=200)

    def negative(p):
        C = A @ A.T * np.exp(-p[0]) + np.exp(p[1]) * np.eye(60)
        return np.linalg.slogdet(C)[1] + y @ np.linalg.solve(C, y)

    best = scipy.optimize.minimize(negative, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    np.testing.assert_allclose([float(found.lam[0]), float(found.variance)], np.exp(best.x), rtol=1e-3)


def fitted(model, x, y, weights):
    return fit_separable(model, x, y - y.mean(0), weights, tolerance=1e-6)


def test_direct_fit_is_stationary_and_repeats():
    model, x, y, weights = problem(samples=300)
    runs = [fitted(model, x, y, weights) for _ in range(2)]
    for one, two in zip(jax.tree.leaves(runs[0].model), jax.tree.leaves(runs[1].model), strict=True):
        np.testing.assert_array_equal(one, two)
    assert runs[0].stationarity < 1e-2
    assert runs[0].covariance.shape == (model.unknowns, model.unknowns)
    losses = [event["nrmse"] for event in runs[0].history]
    assert losses[-1] < 0.05 * losses[0]


def test_windows_evaluated_bases_and_kept_ones_lead_to_the_same_fit(monkeypatch):
    model, x, y, weights = problem(outputs=1, samples=300, elements=(6, 6, 6), degree=2)
    expected = fitted(model, x, y, weights)
    for name, value in (("WINDOWS_PAY", 0.0), ("WINDOWS_PAY", np.inf), ("KEPT_NUMBERS", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(direct, name, value)
            other = fitted(model, x, y, weights)
        np.testing.assert_allclose(jax.vmap(other.model)(x), jax.vmap(expected.model)(x), atol=1e-5)


def test_a_covariance_in_single_precision_is_a_number_where_rounding_leaves_a_negative_eigenvalue():
    P = 400
    rows = np.random.default_rng(0).standard_normal((30, P)).astype(np.float32)
    gram = jnp.asarray(rows.T @ rows)
    normal = Normal(gram, jnp.zeros(P, jnp.float32), jnp.zeros((), jnp.float32))
    identity = jnp.eye(P, dtype=jnp.float32)
    blocks = PenaltyBlocks(identity[None, None], jnp.zeros(1, int), jnp.zeros((1, 1), int))
    penalty = BlockPenalty((blocks,), jnp.arange(P), 1, P)
    evidence = Evidence(jnp.full((1,), 1e-9, jnp.float32), jnp.ones((), jnp.float32))
    assert jnp.isnan(jnp.linalg.cholesky(gram)).any()
    V = covariance(normal, penalty, evidence)
    assert V.dtype == jnp.float32
    assert jnp.all(jnp.isfinite(V))
    assert jnp.all(jnp.diagonal(V) > 0)
