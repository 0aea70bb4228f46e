"""Problems with known solutions: a form, a space for cells and a degree, the solution, and the solver that its structure allows."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline

x, y, z, t, k = inf.pde.coordinates("x y z t k")
u, v = inf.pde.trial(), inf.pde.test()
PI = np.pi
LAPLACE = u.d(x) * v.d(x) + u.d(y) * v.d(y)
SINES = np.sin(PI * x) * np.sin(PI * y)


def box(*coordinates, cells=8, degree=4, low: Any = 0.0, high: Any = 1.0, **conditions):
    basis = BSpline((low, high), cells, degree)
    return inf.pde.Space(dict.fromkeys(coordinates, basis), **conditions)


def both(*coordinates):
    return dict.fromkeys(coordinates, "both")


def poisson(**size):
    return LAPLACE - 2 * PI**2 * SINES * v, box(x, y, dirichlet=both(x, y), **size), SINES


def mixed(**size):
    """A value at the left, Robin at the right, fluxes below and above."""
    solution = np.exp(x) * np.sin(y) + x * y * y
    right = 2 * np.e * np.sin(y) + 2 * y * y
    below, above = -1 * np.exp(x), np.exp(x) * np.cos(1.0) + 2 * x
    form = LAPLACE + u * v * x.at(1) - right * v * x.at(1) - below * v * y.at(0) - above * v * y.at(1) + 2 * x * v
    return form, box(x, y, dirichlet={x: {"left": np.sin(y)}}, **size), solution


def faces(**size):
    """Values on all faces, of four expressions."""
    sides = {
        x: {"left": np.sin(y), "right": np.e * np.sin(y)},
        y: {"left": 0, "right": np.sin(1.0) * np.exp(x)},
    }
    return LAPLACE, box(x, y, dirichlet=sides, **size), np.exp(x) * np.sin(y)


def heat(**size):
    solution = np.exp(-t) * np.sin(PI * x)
    form = u.d(t) * v + u.d(x) * v.d(x) - (PI**2 - 1) * solution * v
    return form, box(x, t, dirichlet={x: "both", t: {"left": np.sin(PI * x)}}, **size), solution


def heat_of_diffusivity(**size):
    """One more input: nothing is differentiated in it."""
    solution = inf.pde.function(lambda x, t, k: jnp.exp(-0.1 * k * PI**2 * t) * jnp.sin(PI * x))
    space = box(x, t, k, dirichlet={x: "both", t: {"left": np.sin(PI * x)}}, **size)
    return u.d(t) * v + 0.1 * k * u.d(x) * v.d(x), space, solution


def advection(**size):
    slope = 3 * PI * np.cos(PI * x) * np.sin(PI * y) + 2 * PI * np.sin(PI * x) * np.cos(PI * y)
    form = LAPLACE + 3 * u.d(x) * v + 2 * u.d(y) * v - (2 * PI**2 * SINES + slope) * v
    return form, box(x, y, dirichlet=both(x, y), **size), SINES


def helmholtz(**size):
    return LAPLACE - 70 * u * v - (2 * PI**2 - 70) * SINES * v, box(x, y, dirichlet=both(x, y), **size), SINES


def periodic(**size):
    solution = np.sin(2 * PI * x) * np.cos(2 * PI * y)
    return LAPLACE + u * v - (8 * PI**2 + 1) * solution * v, box(x, y, periodic=[x, y], **size), solution


def mean(**size):
    solution = np.cos(PI * x) * np.cos(PI * y)
    return LAPLACE - 2 * PI**2 * solution * v, box(x, y, mean=0.5, **size), solution + 0.5


def plate(**size):
    form = u.d(x, 2) * v.d(x, 2) + 2 * u.d(x).d(y) * v.d(x).d(y) + u.d(y, 2) * v.d(y, 2) - 4 * PI**4 * SINES * v
    return form, box(x, y, dirichlet=both(x, y), **size), SINES


def coefficient(**size):
    """A coefficient that is not separable, with the load that gives a known solution."""
    stiffness = lambda p: 1 + 0.5 * jnp.sin(3 * p[0] * p[1])
    solution = lambda p: jnp.sin(PI * p[0]) * jnp.sin(PI * p[1])
    flux = lambda p: stiffness(p) * jax.grad(solution)(p)
    load = inf.pde.function(lambda x, y: -jnp.trace(jax.jacfwd(flux)(jnp.array([x, y]))))
    kappa = inf.pde.function(lambda x, y: stiffness((x, y)))
    return kappa * LAPLACE - load * v, box(x, y, dirichlet=both(x, y), **size), SINES


def three(**size):
    one = SINES * np.sin(PI * z)
    two = np.sin(2 * PI * x) * np.sin(PI * y) * np.sin(PI * z)
    form = LAPLACE + u.d(z) * v.d(z) - (3 * PI**2 * one + 6 * PI**2 * two) * v
    return form, box(x, y, z, dirichlet=both(x, y, z), **size), one + two


def assert_refused(sentence, call):
    """A call ends in one clear sentence for its user, and nothing of what happens underneath."""
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not re.search(r"Traceback|LinAlg", str(caught.value))
