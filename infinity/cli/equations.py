r"""Differential equations with known answers, for `infinity run`.

poisson              -u_xx - u_yy = f,   u = sin(pi x) sin(pi y^2) on [-1, 1]^2      (after Batley and Saha, arXiv:2505.13315)
poisson sines        the same with u = sin(pi x) sin(pi y)
heat                 u_t = k u_xx,   u = exp(-k pi^2 t) sin(pi x), the diffusivity k an input
advection-diffusion  u_t + a u_x - k (u_xx + u_yy) = s f(x, y),   six inputs: x, y, t, k, a, s
burgers              u_t + u u_x = nu u_xx,   u(x, 0) = -sin(pi x),   nu = 0.01 / pi       (the formula of Cole and Hopf is the answer)
elasticity           a plate in plane stress with a smooth displacement, two components
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import pde
from ..basis import BSpline

PI = np.pi


@dataclasses.dataclass(frozen=True)
class EquationProblem:
    """A problem for any number of cells.

    **Arguments:** `pose`, from cells, a degree and modes to the form and the space; `answer`, an expression or one a component, or nothing;
    `measure`, from the solution to
    its relative error where there is no expression; `picture`, the two coordinates that are drawn, and values of the others; `title`.
    """

    title: str
    pose: Callable[[int, int, int | None], tuple[Any, pde.Space]]
    answer: Any
    picture: tuple[int, int]
    others: tuple[float, ...] = ()
    measure: Callable[[pde.Solution], float] | None = None

    def error(self, solution: pde.Solution) -> float:
        """The relative L2 error."""
        return solution.error(self.answer) if self.measure is None else self.measure(solution)


def _poisson(uneven: bool) -> EquationProblem:
    x, y = pde.coordinates("x y")
    u, v = pde.trial(), pde.test()
    answer = np.sin(PI * x) * (np.sin(PI * y**2) if uneven else np.sin(PI * y))
    load = PI**2 * answer + np.sin(PI * x) * (4 * PI**2 * y**2 * np.sin(PI * y**2) - 2 * PI * np.cos(PI * y**2))
    load = load if uneven else 2 * PI**2 * answer

    def pose(cells: int, degree: int, modes: int | None) -> tuple[Any, pde.Space]:
        basis = BSpline((-1.0, 1.0), cells, degree)
        space = pde.Space({x: basis, y: basis}, modes, {x: "both", y: "both"})
        return u.d(x) * v.d(x) + u.d(y) * v.d(y) - load * v, space

    return EquationProblem("-u_xx - u_yy = f, u = " + str(answer), pose, answer, (0, 1))


def _heat() -> EquationProblem:
    x, t, k = pde.coordinates("x t k")
    u, v = pde.trial(), pde.test()
    answer = pde.function(lambda x, t, k: jnp.exp(-k * PI**2 * t) * jnp.sin(PI * x))

    def pose(cells: int, degree: int, modes: int | None) -> tuple[Any, pde.Space]:
        bases = {
            x: BSpline((0.0, 1.0), cells, degree),
            t: BSpline((0.0, 1.0), cells, degree),
            k: BSpline((0.05, 0.5), cells, degree),
        }
        space = pde.Space(bases, modes, {x: "both", t: {"left": np.sin(PI * x)}})
        return u.d(t) * v + k * u.d(x) * v.d(x), space

    return EquationProblem("u_t = k u_xx, k from 0.05 to 0.5", pose, answer, (0, 1), (0.2,))


def _advection_diffusion() -> EquationProblem:
    x, y, t, k, a, s = pde.coordinates("x y t k a s")
    u, v = pde.trial(), pde.test()
    source = np.exp(-20 * (x - 0.35) ** 2) * np.exp(-20 * (y - 0.5) ** 2)

    def pose(cells: int, degree: int, modes: int | None) -> tuple[Any, pde.Space]:
        bases = {
            x: BSpline((0.0, 1.0), cells, degree), y: BSpline((0.0, 1.0), cells // 2 + 1, degree), t: BSpline((0.0, 1.0), cells // 2 + 1, degree),
            k: BSpline((0.2, 1.0), 1, degree), a: BSpline((0.0, 4.0), 1, degree), s: BSpline((0.5, 2.0), 1, 1),
        }  # fmt: skip
        form = u.d(t) * v + a * u.d(x) * v + k * (u.d(x) * v.d(x) + u.d(y) * v.d(y)) - s * source * v
        return form, pde.Space(bases, modes, {x: "both", y: "both", t: "left"})

    def measure(solution: pde.Solution) -> float:
        """Beside problems in x, y and t alone, on more cells, at random values of the other inputs."""
        rng, wrong, whole = np.random.default_rng(0), 0.0, 0.0
        line = np.linspace(0.03, 0.97, 12)
        grid = np.stack([g.ravel() for g in np.meshgrid(line, line, line, indexing="ij")], axis=1)
        bases = {x: BSpline((0.0, 1.0), 24, 5), y: BSpline((0.0, 1.0), 14, 5), t: BSpline((0.0, 1.0), 14, 5)}
        space = pde.Space(bases, dirichlet={x: "both", y: "both", t: "left"})
        for diffusivity, speed, strength in rng.uniform([0.2, 0.0, 0.5], [1.0, 4.0, 2.0], (6, 3)):
            form = (
                u.d(t) * v
                + speed * u.d(x) * v
                + diffusivity * (u.d(x) * v.d(x) + u.d(y) * v.d(y))
                - strength * source * v
            )
            alone = pde.solve(form, space, estimate=False)
            given = np.broadcast_to([diffusivity, speed, strength], (len(grid), 3))
            expected = alone.values(grid)
            wrong += float(np.sum((solution.values(np.concatenate([grid, given], axis=1)) - expected) ** 2))
            whole += float(np.sum(expected**2))
        return float(np.sqrt(wrong / whole))

    title = "u_t + a u_x - k (u_xx + u_yy) = s f, inputs x, y, t, k, a, s"
    return EquationProblem(title, pose, None, (0, 1), (1.0, 0.3, 3.0, 1.0), measure)


def _burgers() -> EquationProblem:
    x, t = pde.coordinates("x t")
    nu = 0.01 / PI
    nodes, weights = np.polynomial.hermite.hermgauss(100)

    def exact(x: Any, t: Any) -> Any:
        shifted = x - 2 * jnp.sqrt(nu * t) * nodes
        kernel = weights * jnp.exp(-(jnp.cos(PI * shifted) + 1) / (2 * PI * nu))
        return -jnp.sum(jnp.sin(PI * shifted) * kernel) / jnp.sum(kernel)

    def pose(cells: int, degree: int, modes: int | None) -> tuple[Any, pde.Space]:
        form = pde.Weak(lambda x, u, du, v, dv: (du[1] + u * du[0]) * v + nu * du[0] * dv[0])
        layer = np.sinh(4 * np.linspace(-1, 1, cells + 1)) / np.sinh(4.0)  # cells gather where the front stands
        bases = {x: BSpline(breakpoints=layer, degree=degree), t: BSpline((0.0, 1.0), cells // 2, degree)}
        return form, pde.Space(bases, modes, {x: "both", t: {"left": -1 * np.sin(PI * x)}})

    return EquationProblem("u_t + u u_x = nu u_xx, nu = 0.01 / pi", pose, pde.function(exact, x, t), (1, 0))


def _elasticity() -> EquationProblem:
    x, y = pde.coordinates("x y")
    (a, b), (c, d) = pde.trial(2), pde.test(2)
    lame, shear = 0.3 / (1 - 0.3**2), 1 / 2.6
    answer = (np.sin(PI * x) * np.sin(PI * y), np.sin(2 * PI * x) * np.sin(PI * y))

    # The load is minus the divergence of the stress of the answer.
    cc, ss = np.cos, np.sin
    mixed_b = 2 * PI**2 * cc(2 * PI * x) * cc(PI * y)
    mixed_a = PI**2 * cc(PI * x) * cc(PI * y)
    first = (2 * shear + lame) * PI**2 * answer[0] + shear * PI**2 * answer[0] - (lame + shear) * mixed_b
    second = (
        (2 * shear + lame) * PI**2 * ss(2 * PI * x) * ss(PI * y)
        + shear * 4 * PI**2 * answer[1]
        - (lame + shear) * mixed_a
    )

    def pose(cells: int, degree: int, modes: int | None) -> tuple[Any, pde.Space]:
        basis = BSpline((0.0, 1.0), cells, degree)
        strain = (2 * shear + lame) * (a.d(x) * c.d(x) + b.d(y) * d.d(y)) + lame * (a.d(x) * d.d(y) + b.d(y) * c.d(x))
        form = strain + shear * (a.d(y) + b.d(x)) * (c.d(y) + d.d(x)) - first * c - second * d
        return form, pde.Space({x: basis, y: basis}, modes, {x: "both", y: "both"})

    return EquationProblem("plane stress, E = 1, nu = 0.3", pose, answer, (0, 1))


EQUATIONS: dict[str, Callable[[], EquationProblem]] = {
    "poisson": lambda: _poisson(True),
    "poisson sines": lambda: _poisson(False),
    "heat": _heat,
    "advection-diffusion": _advection_diffusion,
    "burgers": _burgers,
    "elasticity": _elasticity,
}
