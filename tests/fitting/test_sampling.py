"""The next points fall where the model does not know, and a measurement there changes the covariance as it should."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.fitting.sampling import greedy


@pytest.fixture(scope="module")
def gapped():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(10, 14, 60), rng.uniform(18, 20, 30), [10.0, 20.0]])
    return inf.fit(x, np.sin(x) + 0.01 * rng.normal(size=len(x)), elements=8, holdout=0.0)


def test_next_points_fall_in_the_gap(gapped):
    points = inf.sample_next(gapped, 3)
    assert points.shape == (3, 1)
    assert np.all((points > 13.9) & (points < 18.1))
    assert len(np.unique(points)) == 3
    _, std = gapped.predict(np.linspace(10, 20, 2001), return_std=True)
    _, chosen = gapped.predict(points[:1], return_std=True)
    np.testing.assert_allclose(chosen[0], np.max(std), rtol=1e-2)


def test_same_seed_same_points_inside_the_box(gapped):
    points = inf.sample_next(gapped, 5, candidates=5, seed=1)
    np.testing.assert_array_equal(points, inf.sample_next(gapped, 5, candidates=5, seed=1))
    assert not np.array_equal(points, inf.sample_next(gapped, 5, candidates=5, seed=2))
    low, high = gapped.model.domain[0]
    assert np.all((points >= low) & (points <= high))


def test_a_result_explains_its_model(gapped):
    indices = gapped.sobol()
    np.testing.assert_allclose([indices.first, indices.total], 1, rtol=1e-12)
    np.testing.assert_allclose(indices.mean, (np.cos(10) - np.cos(20)) / 10, atol=0.2)
    np.testing.assert_allclose(inf.sobol(gapped).variance, indices.variance, rtol=0)
    effect, slope = inf.main_effect(gapped, "x0"), inf.derivative(gapped)
    np.testing.assert_allclose(effect(12.0), gapped.predict(np.array([12.0]))[0], rtol=1e-10)
    np.testing.assert_allclose(slope(np.array([12.0])), [np.cos(12.0)], atol=0.05)


@pytest.mark.parametrize("outputs", [1, 2])
def test_greedy_agrees_with_the_update_of_the_whole_covariance(outputs):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, outputs, 8))
    root = rng.normal(size=(8, 8))
    V = root @ root.T
    chosen, variances = greedy(rows, V, 6)
    assert len(set(chosen.tolist())) == 6
    for step, best in enumerate(chosen):
        variance = np.einsum("kop,pq,koq->k", rows, V, rows)
        np.testing.assert_allclose(variances[step], variance, rtol=1e-9, atol=1e-12)
        open_rows = np.setdiff1d(np.arange(30), chosen[:step])
        assert best == open_rows[np.argmax(variance[open_rows])]
        J = rows[best]
        V = np.linalg.inv(np.linalg.inv(V) + J.T @ J)  # what the information of one more measurement gives
        assert variances[step + 1][best] < variances[step][best]
        assert variances[step + 1][best] < outputs
        assert np.all(variances[step + 1] <= variances[step] + 1e-9)


def test_a_precise_measurement_leaves_its_own_noise():
    rows = 1e5 * np.eye(3)[:, None, :]
    chosen, variances = greedy(rows, np.diag([1.0, 4.0, 2.0]), 3)
    assert chosen.tolist() == [1, 2, 0]
    np.testing.assert_allclose(variances[-1], 1, rtol=1e-4)


def test_bad_input_is_refused(gapped):
    changed = lambda **fields: dataclasses.replace(gapped.predictor, **fields)
    with pytest.raises(ValueError, match=r"no covariance, so no point .*; too large") as caught:
        inf.sample_next(
            dataclasses.replace(gapped, predictor=changed(covariance=None), options={"covariance": "too large"}), 1
        )
    assert "\n" not in str(caught.value)
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"count={count} of candidates=5"):
            inf.sample_next(gapped, count, candidates=5)
    with pytest.raises(ValueError, match="noise of this fit is zero"):
        inf.sample_next(dataclasses.replace(gapped, predictor=changed(noise=jnp.zeros(1))), 1)
