"""Domains that are no box, values held weakly, and targets of three coordinates that are not separable; scikit-fem in the same run."""

import dataclasses
import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import skfem  # pyright: ignore[reportMissingImports]
import skfem.helpers as h  # pyright: ignore[reportMissingImports]
from skfem import Basis, BilinearForm, Functional, LinearForm  # pyright: ignore[reportMissingImports]

import infinity as inf
from infinity.basis import BSpline

PI = np.pi
x, y, z, r, a = inf.pde.coordinates("x y z r a")
u, v = inf.pde.trial(), inf.pde.test()
LAPLACE = u.d(x) * v.d(x) + u.d(y) * v.d(y)


def timed(call, *arguments: Any, **options: Any) -> tuple[Any, float]:
    """The result of a call, and its CPU seconds."""
    began = time.process_time()
    return call(*arguments, **options), time.process_time() - began


def orders(errors: list[float]) -> str:
    return ", ".join(f"{np.log2(one / two):.2f}" for one, two in itertools.pairwise(errors))


def elements(basis, load, exact, held=None) -> tuple[int, float]:
    """Unknowns and relative L2 error of `-Laplace u = load` in a basis of scikit-fem, with values on the boundary or a part of it."""
    A = BilinearForm(lambda u, v, w: h.dot(h.grad(u), h.grad(v))).assemble(basis)
    b = LinearForm(lambda v, w: load(*w.x) * v).assemble(basis) if load is not None else basis.zeros()
    D = basis.get_dofs() if held is None else basis.get_dofs(held)
    X = basis.zeros()
    X[D] = exact(*basis.doflocs[:, D.flatten()])
    X = skfem.solve(*skfem.condense(A, b, x=X, D=D))
    error = Functional(lambda w: (w["u"] - exact(*w.x)) ** 2).assemble(basis, u=basis.interpolate(X))
    size = Functional(lambda w: exact(*w.x) ** 2).assemble(basis)
    return basis.N - len(D.flatten()), float(np.sqrt(error / size))


def _wave(x, y):
    return jnp.exp(x) * jnp.sin(y)


def _row(domain: str, method: str, theory: Any, results: list[tuple[int, float]], seconds: float) -> str:
    errors = [error for _, error in results]
    return (
        f"| {domain} | {method} | {orders(errors)} | {theory} | {results[-1][0]} | {errors[-1]:.1e} | {seconds:.2f} |"
    )


HEADER = [
    "| domain | method | orders on halved cells | theory | unknowns | relative L2 | seconds |",
    "| --- | --- | --- | --- | --- | --- | --- |",
]


def domains() -> list[str]:
    """The order in L2 from one set of cells to the next of half the size; unknowns, error and seconds of the last."""
    return [*HEADER, *_annulus(), *_wavy(), *_corner(), *_weak()]


def _series(solve, cells) -> tuple[list[tuple[int, float]], float]:
    results, seconds = [], 0.0
    for n in cells:
        found, seconds = timed(solve, n)
        results.append(found)
    return results, seconds


def _annulus() -> list[str]:
    polar = inf.pde.Mapping((r, a), lambda p: p[0] * jnp.array([jnp.cos(p[1]), jnp.sin(p[1])]), [(1, 2), (0, 2 * PI)])
    given, exact = polar.pulled_back(_wave), inf.pde.function(_wave, x, y)
    rows = []
    for degree in (2, 3, 4):

        def one(n: int, degree: int = degree) -> tuple[int, float]:
            bases = {r: BSpline((1.0, 2.0), n, degree), a: BSpline((0.0, 2 * PI), 5 * n, degree)}
            space = inf.pde.Space(bases, dirichlet={r: {"left": given, "right": given}}, periodic=[a])
            system = polar.gradients(u, v)
            result = inf.solve(system, space, estimate=False)
            return (n + degree - 2) * 5 * n, result.error(given)

        def other(n: int, degree: int = degree) -> tuple[int, float]:
            bases = {r: BSpline((1.0, 2.0), n, degree), a: BSpline((0.0, 2 * PI), 5 * n, degree)}
            space = inf.pde.Space(bases, dirichlet={r: {"left": given, "right": given}})
            result = inf.solve(LAPLACE, inf.pde.Patches([(space, polar)], coordinates=(x, y)), estimate=False)
            return result.unknowns, result.error(exact)

        rows.append(_row("annulus", f"polar map, periodic, degree {degree}", degree + 1, *_series(one, (8, 16, 32))))
        rows.append(
            _row("annulus", f"one patch glued to itself, degree {degree}", degree + 1, *_series(other, (8, 16, 32)))
        )

    def quadratic(n: int) -> tuple[int, float]:
        flat = skfem.MeshTri.init_tensor(np.linspace(1, 2, n + 1), np.linspace(0, PI / 2, 2 * n + 1))
        mesh = skfem.MeshTri2.from_mesh(flat)
        radius, angle = mesh.doflocs
        mesh = dataclasses.replace(mesh, doflocs=np.array([radius * np.cos(angle), radius * np.sin(angle)]))
        return elements(Basis(mesh, skfem.ElementTriP2(), intorder=6), None, lambda x, y: np.exp(x) * np.sin(y))

    rows.append(_row("quarter annulus", "scikit-fem P2, curved triangles", 3, *_series(quadratic, (8, 16, 32, 64))))
    return rows


def _wavy() -> list[str]:
    wavy = inf.pde.Mapping(
        (r, a),
        lambda p: jnp.array([p[0] + 0.1 * jnp.sin(PI * p[1]), p[1] * (1 + 0.2 * jnp.sin(PI * p[0]))]),
        [(0, 1)] * 2,
    )
    given, rows = wavy.pulled_back(_wave), []
    for degree in (2, 3, 4):

        def one(n: int, degree: int = degree) -> tuple[int, float]:
            b = BSpline((0.0, 1.0), n, degree)
            sides = {c: {"left": given, "right": given} for c in (r, a)}
            result = inf.solve(wavy.gradients(u, v), inf.pde.Space({r: b, a: b}, dirichlet=sides), estimate=False)
            return (n + degree - 2) ** 2, result.error(given)

        rows.append(_row("wavy square", f"map, degree {degree}", degree + 1, *_series(one, (8, 16, 32))))
    return rows


def singular(x, y):
    """r^(2/3) sin(2 theta / 3) around the corner of an L-shape."""
    angle = jnp.arctan2(y, x)
    angle = jnp.where(angle < 0, angle + 2 * jnp.pi, angle)
    return jnp.maximum(x**2 + y**2, 1e-300) ** (1 / 3) * jnp.sin(2 * angle / 3)


def _singular(x, y):
    angle = np.arctan2(y, x)
    angle = np.where(angle < -1e-12, angle + 2 * np.pi, angle)
    return np.maximum(x**2 + y**2, 1e-300) ** (1 / 3) * np.sin(2 * angle / 3)


def ell(left, right, exact) -> inf.pde.Patches:
    """Three squares around a corner."""
    S = inf.pde.Space
    return inf.pde.Patches(
        [
            S({x: left, y: left}, dirichlet={x: {"left": exact, "right": 0}, y: {"left": exact}}),
            S({x: left, y: right}, dirichlet={x: {"left": exact}, y: {"right": exact}}),
            S({x: right, y: right}, dirichlet={x: {"right": exact}, y: {"left": 0, "right": exact}}),
        ]
    )


def _corner() -> list[str]:
    exact, rows = inf.pde.function(singular, x, y), []
    for degree, gathered in ((2, False), (1, True), (2, True), (3, True), (4, True), (5, True)):

        def one(n: int, degree: int = degree, gathered: bool = gathered) -> tuple[int, float]:
            if gathered:
                left, right = (inf.pde.graded(e, n, degree, t) for e, t in (((-1, 0), "right"), ((0, 1), "left")))
            else:
                left, right = BSpline((-1.0, 0.0), n, degree), BSpline((0.0, 1.0), n, degree)
            result = inf.solve(LAPLACE, ell(left, right, exact), estimate=False)
            return result.unknowns, result.error(exact)

        words = f"three patches, {'graded' if gathered else 'equal cells'}, degree {degree}"
        rows.append(_row("L-shape, r^(2/3)", words, degree + 1 if gathered else "4/3", *_series(one, (8, 16, 32, 64))))
    for gathered in (False, True):

        def quadratic(n: int, gathered: bool = gathered) -> tuple[int, float]:
            line = np.linspace(0, 1, n + 1) ** (2.5 / (2 / 3) if gathered else 1.0)
            line = np.concatenate([-line[::-1], line[1:]])
            mesh = skfem.MeshTri.init_tensor(line, line)
            middle = np.mean(mesh.p[:, mesh.t], axis=1)
            mesh = mesh.remove_elements(np.flatnonzero((middle[0] > 0) & (middle[1] < 0)))
            return elements(Basis(mesh, skfem.ElementTriP2(), intorder=6), None, _singular)

        words = f"scikit-fem P2, {'graded' if gathered else 'equal cells'}"
        rows.append(_row("L-shape, r^(2/3)", words, 3 if gathered else "4/3", *_series(quadratic, (8, 16, 32, 64))))
    return rows


def _weak() -> list[str]:
    exact = np.exp(x) * np.sin(y)
    sides = {c: {"left": exact, "right": exact} for c in (x, y)}
    rows = []
    for degree in (2, 5):
        for kind, words in (("dirichlet", "values met exactly"), ("nitsche", "values by Nitsche")):

            def one(n: int, degree: int = degree, kind: str = kind) -> tuple[int, float]:
                b = BSpline((0.0, 1.0), n, degree)
                space = inf.pde.Space({x: b, y: b}, **{kind: sides})  # pyright: ignore[reportArgumentType]
                result = inf.solve(LAPLACE, space, estimate=False)
                return (n + degree - (2 if kind == "dirichlet" else 0)) ** 2, result.error(exact)

            rows.append(_row("square", f"{words}, degree {degree}", degree + 1, *_series(one, (4, 8, 16))))
    return rows


def kept(result: Any) -> str:
    """How a solution with as many modes as it takes is held."""
    return " (all it takes), kept as a full tensor" if isinstance(result.model, inf.HiDeNN) else " (all it takes)"


def three_dimensions() -> list[str]:
    """All modes that the accuracy takes, few of them, the full tensor (timed again: no compilation, no estimate) and quadratic tetrahedra, on [-1, 1]^3."""
    targets = {
        "correlated Gaussian, exp(-2 (xx + yy + zz) - 1.5 (xy + yz))": lambda x, y, z: jnp.exp(
            -2 * (x**2 + y**2 + z**2) - 1.5 * (x * y + y * z)
        ),
        "ridge, 1 / (1 + 4 (x + y + z)^2)": lambda x, y, z: 1 / (1 + 4 * (x + y + z) ** 2),
    }
    rows = ["| target | method | unknowns | relative L2 | seconds |", "| --- | --- | --- | --- | --- |"]
    for name, fn in targets.items():
        negative = lambda *p, fn=fn: -jnp.trace(jax.hessian(lambda q: fn(q[0], q[1], q[2]))(jnp.stack(p)))
        exact, load = inf.pde.function(fn, x, y, z), inf.pde.function(negative, x, y, z)
        form = LAPLACE + u.d(z) * v.d(z) - load * v
        for cells, modes in ((6, None), (10, None), (10, 16)):
            b = BSpline((-1.0, 1.0), cells, 5)
            sides = {c: {"left": exact, "right": exact} for c in (x, y, z)}
            space = inf.pde.Space({x: b, y: b, z: b}, modes, dirichlet=sides)
            result, seconds = timed(inf.solve, form, space)
            words = f"degree 5, {b.size} functions, {result.modes} modes{'' if modes else kept(result)}"
            rows.append(f"| {name} | {words} | {result.unknowns} | {result.error(exact):.1e} | {seconds:.2f} |")
            if modes is None:
                whole, seconds = timed(inf.solve, form, space, estimate=False)
                words = f"degree 5, {b.size} functions, the full tensor"
                rows.append(f"| {name} | {words} | {b.size**3} | {whole.error(exact):.1e} | {seconds:.2f} |")
        flat = lambda f: lambda *p: np.asarray(jax.jit(jax.vmap(f))(*(np.ravel(q) for q in p))).reshape(np.shape(p[0]))
        for n in (6, 10, 12):
            line = np.linspace(-1, 1, n + 1)
            mesh = skfem.MeshTet.init_tensor(line, line, line)
            (unknowns, error), seconds = timed(
                elements, Basis(mesh, skfem.ElementTetP2(), intorder=5), flat(negative), flat(fn)
            )
            rows.append(f"| {name} | scikit-fem P2 | {unknowns} | {error:.1e} | {seconds:.2f} |")
    return rows
