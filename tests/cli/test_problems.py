"""The test functions: properties that their formulas must have, and values computed by hand."""

import math

import numpy as np
import pytest

from infinity.cli.problems import PROBLEMS, borehole, friedman1, otl_circuit, piston, wing_weight


@pytest.mark.parametrize("name", PROBLEMS)
def test_samples_fill_the_box_and_are_reproducible(name):
    problem = PROBLEMS[name]
    x, y = problem.sample(2000, seed=3)
    low, high = np.array(list(problem.ranges.values())).T
    assert x.shape == (2000, len(problem.ranges))
    assert y.shape == (2000,)
    assert (x >= low).all()
    assert (x <= high).all()
    np.testing.assert_allclose(x.min(axis=0), low, atol=0.01 * (high - low).max(), rtol=0.02)
    assert np.isfinite(y).all()
    again = problem.sample(2000, seed=3)
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], y)
    assert (problem.sample(2000, seed=4)[1] != y).any() != problem.equal


def test_borehole_is_proportional_to_the_head_and_matches_a_value():
    point = {"rw": 0.1, "r": 1000.0, "Tu": 80000.0, "Tl": 90.0, "L": 1400.0, "Kw": 11000.0}
    one = borehole(**point, Hu=1000.0, Hl=900.0)
    np.testing.assert_allclose(borehole(**point, Hu=1000.0, Hl=700.0), 3 * one)
    log = math.log(1e4)
    expected = 2 * math.pi * 8e4 * 100 / (log + 2 * 1400 * 8e4 / (0.01 * 11000) + log * 80000 / 90)
    np.testing.assert_allclose(one, expected, rtol=1e-12)


def test_piston_balances_its_forces():
    M, S, V0, k, P0, Ta, T0 = 45.0, 0.01, 0.005, 3000.0, 1e5, 293.0, 350.0
    # V solves the balance of pressure, weight and spring: k V²/S + A V... = P₀ V₀ T_a/T₀ k/S² in Kenett and Zacks.
    A = P0 * S + 19.62 * M - k * V0 / S
    V = (-A + math.sqrt(A**2 + 4 * k * P0 * V0 * Ta / T0)) * S / (2 * k)
    assert abs(k * (V / S) ** 2 + A * (V / S) - P0 * V0 * Ta / T0) < 1e-6 * P0 * V0
    stiffness = k + S**2 * P0 * V0 * Ta / (T0 * V**2)
    np.testing.assert_allclose(piston(M, S, V0, k, P0, Ta, T0), 2 * math.pi * math.sqrt(M / stiffness), rtol=1e-12)


def test_otl_circuit_with_a_large_gain_is_a_divider():
    value = otl_circuit(Rb1=100.0, Rb2=50.0, Rf=1.0, Rc1=2.0, Rc2=1.0, beta=1e12)
    np.testing.assert_allclose(value, 12 * 50 / 150 + 0.74 + 0.74 * 1.0 / 2.0, rtol=1e-9)


def test_wing_weight_is_even_in_the_sweep_and_affine_in_the_paint():
    point = {"Sw": 170.0, "Wfw": 250.0, "A": 8.0, "q": 30.0, "taper": 0.7, "tc": 0.1, "Nz": 4.0, "Wdg": 2000.0}
    assert wing_weight(**point, Lambda=5.0, Wp=0.05) == wing_weight(**point, Lambda=-5.0, Wp=0.05)
    difference = wing_weight(**point, Lambda=0.0, Wp=0.06) - wing_weight(**point, Lambda=0.0, Wp=0.05)
    np.testing.assert_allclose(difference, 170.0 * 0.01, rtol=1e-9)
    base = 0.036 * 170**0.758 * 250**0.0035 * 8**0.6 * 30**0.006 * 0.7**0.04 * 10**-0.3 * 8000**0.49
    np.testing.assert_allclose(wing_weight(**point, Lambda=0.0, Wp=0.0), base, rtol=1e-12)


def test_friedman_by_hand():
    np.testing.assert_allclose(friedman1(x0=1.0, x1=0.5, x2=1.0, x3=0.2, x4=0.6, x7=9.0), 10 + 5 + 2 + 3)
