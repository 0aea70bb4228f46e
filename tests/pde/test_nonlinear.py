"""Problems written at a point: linear ones are seen to be, nonlinear ones converge quadratically and at the rates of theory."""

import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline

from .problems import PI, SINES, both, box, k, t, x, y


def load(p):
    return 2 * PI**2 * jnp.sin(PI * p[0]) * jnp.sin(PI * p[1])


def test_quadratic_energy_is_one_linear_solve():
    """The closure check finds it, and the solution is that of the same problem as a form."""
    energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 - load(x) * u)
    space = box(x, y, cells=6, degree=3, dirichlet=both(x, y))
    result = inf.solve(energy, space)
    assert "one linear solve" in result.solver
    assert "quadratic" in result.solver
    u, v = inf.pde.trial(), inf.pde.test()
    form = u.d(x) * v.d(x) + u.d(y) * v.d(y) - 2 * PI**2 * SINES * v
    assert result.error(SINES) == pytest.approx(inf.solve(form, space).error(SINES), rel=1e-2)
    assert result.error_estimate == pytest.approx(result.error(SINES), rel=0.3)


def test_nonlinear_energy_converges_quadratically():
    sines = lambda p: jnp.sin(PI * p[0]) * jnp.sin(PI * p[1])
    energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 + u**4 - (load(x) + 4 * sines(x) ** 3) * u)
    errors = []
    for cells in (4, 8):
        result = inf.solve(energy, box(x, y, cells=cells, degree=3, dirichlet=both(x, y)), estimate=cells == 8)
        errors.append(result.error(SINES))
    assert np.log2(errors[0] / errors[1]) > 3.8
    assert "Newton" in result.solver
    residuals = result.history[0]["residuals"]
    assert residuals[-1] < 1e-6 * residuals[-2] ** 0.5
    assert len(residuals) <= 6


def test_energies_on_faces():
    """A flux at the right is that of the linear form, in one linear solve; a radiating wall has the rate of the degree."""
    u, v = inf.pde.trial(), inf.pde.test()
    space = box(x, y, cells=4, degree=3, dirichlet={x: "left"})
    energy = inf.pde.Energy(lambda x, u, du: du @ du / 2, faces={x.at(1): lambda x, u, du: -x[1] * u + u**2})
    expected = inf.solve(u.d(x) * v.d(x) + u.d(y) * v.d(y) + (2 * u * v - y * v) * x.at(1), space, estimate=False)
    result = inf.solve(energy, space, estimate=False)
    assert "one linear solve" in result.solver
    rows = np.random.default_rng(0).uniform(size=(20, 2))
    np.testing.assert_allclose(result.values(rows), expected.values(rows), atol=1e-12)
    wall = inf.pde.Weak(
        lambda x, u, du, v, dv: du @ dv,
        faces={
            x.at(1): lambda x, u, du, v, dv: (u**4 - u_wall(x[1]) ** 4 - jnp.e * jnp.sin(x[1])) * v,
            y.at(1): lambda x, u, du, v, dv: -jnp.exp(x[0]) * jnp.cos(1.0) * v,
        },
    )
    u_wall = lambda t: jnp.e * jnp.sin(t)
    exact, errors = np.exp(x) * np.sin(y), []
    for cells in (3, 6):
        held = box(x, y, cells=cells, degree=3, dirichlet={x: {"left": np.sin(y)}, y: "left"})
        errors.append(inf.solve(wall, held, estimate=False).error(exact))
    assert np.log2(errors[0] / errors[1]) > 3.8


def test_components_of_an_energy():
    """A plate on two rollers, pulled to the right: the closure check sees a quadratic energy, each component is held on faces of its own."""
    density = lambda p, u, du: du[0, 0] ** 2 + du[1, 1] ** 2 + (du[0, 1] + du[1, 0]) ** 2 / 2
    energy = inf.pde.Energy(density, faces={x.at(1): lambda p, u, du: -u[0]}, components=2)
    rollers = box(x, y, cells=2, degree=2, dirichlet={x: {"left": (0, None)}, y: {"left": (None, 0)}})
    result = inf.solve(energy, rollers)
    assert "one linear solve" in result.solver
    assert result.error((0.5 * x, 0)) < 1e-13
    assert result.model(jnp.array([0.5, 0.5])).shape == (2,)


def test_components_of_a_weak_form_with_a_parameter():
    """Two equations that are coupled by products; the strength of the coupling is an input, and the solution, of degree 2, is found to rounding."""
    first, second = (lambda p: p[0] + 2 * p[2] * p[1]), (lambda p: p[0] - p[1] * p[2])

    def form(p, u, du, v, dv):
        one, two = first(p), second(p)
        coupled = (u[0] * u[1] - one * two) * v[0] + p[2] * (u[0] ** 2 - one**2) * v[1]
        return jnp.sum(du * dv) + coupled

    values = (x + 2 * k * y, x - k * y)
    space = box(x, y, k, cells=2, degree=2, dirichlet={c: {"left": values, "right": values} for c in (x, y)})
    result = inf.solve(inf.pde.Weak(form, parameters=[k], components=2), space, estimate=False)
    assert "Newton" in result.solver
    assert result.error(values) < 1e-12


def exact_burgers(X, T, nu):
    """The solution from -sin(pi x), by the formula of Cole and Hopf."""
    nodes, weights = np.polynomial.hermite.hermgauss(120)
    shifted = X[..., None] - 2 * np.sqrt(nu * T)[..., None] * nodes
    kernel = np.exp(-(np.cos(PI * shifted) + 1) / (2 * PI * nu))
    return -((np.sin(PI * shifted) * kernel) @ weights) / (kernel @ weights)


def test_burgers_with_its_viscosity_as_an_input():
    """A space of x, t and the viscosity, the problem solved at each Gauss point of the last."""
    burgers = inf.pde.Weak(lambda x, u, du, v, dv: (du[1] + u * du[0]) * v + x[2] * du[0] * dv[0], parameters=(k,))
    bases = {x: BSpline((-1.0, 1.0), 16, 4), t: BSpline((0.0, 1.0), 8, 4), k: BSpline((0.1, 0.4), 1, 5)}
    space = inf.pde.Space(bases, dirichlet={x: "both", t: {"left": -1 * np.sin(PI * x)}})
    result = inf.solve(burgers, space, estimate=False)
    assert result.success
    for nu in (0.13, 0.37):
        X, T = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(0.05, 1, 20), indexing="ij")
        splines = [np.asarray(b) for b in result.coefficients]
        from infinity.pde.axis import tabulate

        tables = [tabulate(b, p, 0) for b, p in zip(bases.values(), (X[:, 0], T[0], np.array([nu])), strict=True)]
        found = np.einsum("am,bm,m->ab", tables[0] @ splines[0], tables[1] @ splines[1], (tables[2] @ splines[2])[0])
        assert np.linalg.norm(found - exact_burgers(X, T, nu)) < 1e-3 * np.linalg.norm(found)


def test_what_cannot_be_solved_is_refused():
    space = box(x, y, cells=3, degree=2, dirichlet=both(x, y))
    with pytest.raises(ValueError, match="no minimum"):
        inf.solve(inf.pde.Energy(lambda x, u, du: du @ du / 2 - 60 * u**2 - u), space)
    with pytest.raises(ValueError, match="not linear in v"):
        inf.solve(inf.pde.Weak(lambda x, u, du, v, dv: u * v * v), space)
    with pytest.raises(ValueError, match="expected a function of x, u, du"):
        inf.pde.Energy(lambda x, u: u)
    with pytest.raises(ValueError, match="names the parameter k"):
        inf.solve(inf.pde.Energy(lambda x, u, du: u**2, parameters=(k,)), space)
    with pytest.raises(ValueError, match="has the face x=2, outside of"):
        inf.solve(inf.pde.Energy(lambda x, u, du: du @ du, faces={x.at(2): lambda x, u, du: u}), space)
    with pytest.raises(ValueError, match="expected faces such as"):
        inf.solve(inf.pde.Energy(lambda x, u, du: du @ du, faces={2 * x: lambda x, u, du: u}), space)
    many = inf.pde.coordinates("a b c d")
    with pytest.raises(ValueError, match="up to three coordinates"):
        inf.solve(inf.pde.Energy(lambda x, u, du: u**2), box(*many, cells=2, degree=1))
