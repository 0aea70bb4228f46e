"""Many dimensions, functions that are not separable, six and seven inputs, Burgers, elasticity and eigenvalues.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.pde.problems [--out benchmarks/results] [--only "Exact answers"]

Seconds are CPU seconds (one thread of BLAS; the machine is shared), assembly included, scikit-fem's alike: the fewest of three solves in up to ten
dimensions, of two for six inputs on equal cells and for Burgers again, of one elsewhere. There is no error estimate in them except where the target is not
separable; there, on mapped domains and in Burgers, first, they hold compilation.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.pde.domains import domains, kept, three_dimensions
from benchmarks.pde.finite_elements import poisson as finite_elements
from benchmarks.provenance import header
from infinity.basis import BSpline
from infinity.cli.equations import EQUATIONS
from infinity.models import Evaluator

PI = np.pi


def timed(call, repeats: int = 3):
    seconds: list[float] = []
    result: Any = None
    for _ in range(repeats):
        began = time.process_time()
        result = call()
        seconds.append(time.process_time() - began)
    return result, min(seconds)


def dimensions() -> list[str]:
    """Poisson on the unit cube of D dimensions."""
    u, v = inf.pde.trial(), inf.pde.test()
    rows = [
        "| D | solution | degree, functions | relative L2 | ms | published (INN-TD) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    published = {2: "1.8e-8 in 0.8 s", 5: "1.7e-8 in 6.9 s", 10: "1.2e-8 in 57 s"}
    for D in (2, 5, 10, 100):
        xs = inf.pde.coordinates(" ".join(f"x{d}" for d in range(D)))
        for kind, cells in (("sum of sin(pi x / 2)", 10), ("product of sin(pi x)", 16)):
            if kind.startswith("product"):
                exact = np.prod([np.sin(PI * c) for c in xs])
                load, sides = D * PI**2 * exact, dict.fromkeys(xs, "both")
            else:
                exact = sum(np.sin(PI / 2 * c) for c in xs)
                load, sides = PI**2 / 4 * exact, {c: {"left": exact, "right": exact} for c in xs}
            basis = BSpline((0.0, 1.0), cells, 9)
            space = inf.pde.Space(dict.fromkeys(xs, basis), dirichlet=sides)
            form = sum(u.d(c) * v.d(c) for c in xs) - load * v
            result, seconds = timed(
                lambda form=form, space=space: inf.solve(form, space, estimate=False), 3 if D < 100 else 1
            )
            note = published.get(D, "-") if kind.startswith("sum") else "-"
            rows.append(
                f"| {D} | {kind} | 9, {basis.size} | {result.error(exact):.1e} | {seconds * 1e3:.1f} | {note} |"
            )
    return rows


def not_separable() -> list[str]:
    """Targets of high rank beside quadratic elements."""
    x, y = inf.pde.coordinates("x y")
    u, v = inf.pde.trial(), inf.pde.test()
    targets = {
        "correlated Gaussian (1-x^2)(1-y^2) exp(-4 (x^2 + 1.6 x y + y^2))": lambda x, y: (
            (1 - x**2) * (1 - y**2) * jnp.exp(-4 * (x**2 + 1.6 * x * y + y**2))
        ),
        "ridge 1 / (1 + 25 (x + y)^2)": lambda x, y: 1 / (1 + 25 * (x + y) ** 2),
    }
    rows = ["| target | method | unknowns | relative L2 | seconds |", "| --- | --- | --- | --- | --- |"]
    for name, fn in targets.items():
        negative = lambda x, y, fn=fn: -jnp.trace(jax.hessian(lambda p: fn(p[0], p[1]))(jnp.stack([x, y])))
        exact, load = inf.pde.function(fn, x, y), inf.pde.function(negative, x, y)
        for cells, modes in ((30, None), (62, 8), (62, 16), (62, None)):
            basis = BSpline((-1.0, 1.0), cells, 7)
            space = inf.pde.Space({x: basis, y: basis}, modes, {c: {"left": exact, "right": exact} for c in (x, y)})
            form = u.d(x) * v.d(x) + u.d(y) * v.d(y) - load * v
            result, seconds = timed(lambda form=form, space=space: inf.solve(form, space), 1)
            label = f"degree 7, {basis.size} functions, {result.modes} modes" + ("" if modes else kept(result))
            rows.append(f"| {name} | {label} | {result.unknowns} | {result.error(exact):.1e} | {seconds:.2f} |")
        values, loads = jax.jit(jax.vmap(fn)), jax.jit(jax.vmap(negative))
        flat = lambda f: lambda a, b: np.asarray(f(np.ravel(a), np.ravel(b))).reshape(np.shape(a))
        for cells in (32, 128):
            unknowns, error, seconds = finite_elements("P2", cells, -1.0, 1.0, flat(loads), flat(values), flat(values))
            rows.append(f"| {name} | scikit-fem P2 | {unknowns} | {error:.1e} | {seconds:.2f} |")
    return rows


def six_inputs() -> list[str]:
    """Advection and diffusion with three physical parameters."""
    rows = [
        "| range of k, a | cells | modes | relative L2 beside separate problems | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    problem = EQUATIONS["advection-diffusion"]()
    for cells, modes in ((12, 30), (12, 60), (14, 100)):
        form, space = problem.pose(cells, 5, modes)
        result, seconds = timed(lambda form=form, space=space: inf.solve(form, space, estimate=False), 2)
        rows.append(f"| k 0.2 to 1, a 0 to 4 | {cells} | {modes} | {problem.error(result):.1e} | {seconds:.2f} |")
    rows.append(harder())
    return rows


def harder() -> str:
    """Smaller diffusivities: boundary layers whose place depends on the parameters."""
    x, y, t, k, a, s = inf.pde.coordinates("x y t k a s")
    u, v = inf.pde.trial(), inf.pde.test()
    source = np.exp(-20 * (x - 0.35) ** 2) * np.exp(-20 * (y - 0.5) ** 2)
    form_of = lambda k, a, s: u.d(t) * v + a * u.d(x) * v + k * (u.d(x) * v.d(x) + u.d(y) * v.d(y)) - s * source * v
    graded = lambda n: (1 - (1 - np.linspace(0, 1, n + 1)) ** 1.8).tolist()
    bases = {
        x: BSpline(breakpoints=graded(14), degree=4), y: BSpline((0.0, 1.0), 6, 4), t: BSpline((0.0, 1.0), 8, 4),
        k: BSpline(breakpoints=[0.05, 0.2, 1.0], degree=5), a: BSpline(breakpoints=[0.0, 0.4, 1.0, 2.2, 5.0], degree=4), s: BSpline((0.5, 2.0), 1, 1),
    }  # fmt: skip
    sides = {x: "both", y: "both", t: "left"}
    space = inf.pde.Space(bases, 100, sides)
    result, seconds = timed(lambda: inf.solve(form_of(k, a, s), space, estimate=False), 1)
    rng, wrong, whole = np.random.default_rng(0), 0.0, 0.0
    line = np.linspace(0.03, 0.97, 12)
    grid = np.stack([g.ravel() for g in np.meshgrid(line, line, line, indexing="ij")], axis=1)
    fine = inf.pde.Space(
        {x: BSpline(breakpoints=graded(32), degree=5), y: BSpline((0.0, 1.0), 14, 5), t: BSpline((0.0, 1.0), 18, 5)},
        dirichlet=sides,
    )
    for values in rng.uniform([0.05, 0.0, 0.5], [1.0, 5.0, 2.0], (12, 3)):
        expected = inf.solve(form_of(*values), fine, estimate=False).values(grid)
        found = result.values(np.concatenate([grid, np.broadcast_to(values, (len(grid), 3))], axis=1))
        wrong, whole = wrong + float(np.sum((found - expected) ** 2)), whole + float(np.sum(expected**2))
    return f"| k 0.05 to 1, a 0 to 5 | 14 graded | 100 | {np.sqrt(wrong / whole):.1e} | {seconds:.2f} |"


def burgers() -> list[str]:
    """From a smooth start to a front."""
    rows = [
        "| problem | cells | modes | relative L2 | seconds, first | seconds, again |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    problem = EQUATIONS["burgers"]()
    form, space = problem.pose(46, 4, 25)
    first, compiled = timed(lambda: inf.solve(form, space, estimate=False), 1)
    _, seconds = timed(lambda: inf.solve(form, space, estimate=False), 2)
    rows.append(
        f"| nu = 0.01 / pi | 46 by 23 | {first.modes} | {problem.error(first):.1e} | {compiled:.1f} | {seconds:.1f} |"
    )
    x, t, nu = inf.pde.coordinates("x t nu")
    weak = inf.pde.Weak(lambda x, u, du, v, dv: (du[1] + u * du[0]) * v + x[2] * du[0] * dv[0], parameters=(nu,))
    bases = dict(zip((x, t), space.bases.values(), strict=True))
    wide = inf.pde.Space(
        {**bases, nu: BSpline((0.01 / PI, 0.1 / PI), 1, 9)}, 60, {x: "both", t: {"left": -1 * np.sin(PI * x)}}
    )
    result, seconds = timed(lambda: inf.solve(weak, wide, estimate=False), 1)
    nodes, weights = np.polynomial.hermite.hermgauss(200)
    X, T = np.meshgrid(np.linspace(-1, 1, 401), np.linspace(0.01, 1, 100), indexing="ij")
    worst = 0.0
    for value in np.array([0.012, 0.02, 0.035, 0.06, 0.09]) / PI:
        shifted = X[..., None] - 2 * np.sqrt(value * T)[..., None] * nodes
        kernel = np.exp(-(np.cos(PI * shifted) + 1) / (2 * PI * value))
        exact = -((np.sin(PI * shifted) * kernel) @ weights) / (kernel @ weights)
        found = result.values(np.stack([X.ravel(), T.ravel(), np.full(X.size, value)], axis=1)).reshape(X.shape)
        worst = max(worst, float(np.linalg.norm(found - exact) / np.linalg.norm(exact)))
    rows.append(
        f"| nu an input, 0.01 / pi to 0.1 / pi | 46 by 23, degree 9 in nu | {result.modes} | {worst:.1e} (worst of five) | {seconds:.1f} | - |"
    )
    return rows


def moving_source() -> list[str]:
    """Heat in front of and behind a moving spot, in its own frame: three coordinates, the time, power, speed and size of the spot."""
    x, y, z, t, power, speed, spot = inf.pde.coordinates("x y z t power speed spot")
    u, v = inf.pde.trial(), inf.pde.test()
    gather = lambda low, high, n: (low + (high - low) * (np.sinh(2 * np.linspace(0, 1, n + 1)) / np.sinh(2.0))).tolist()
    behind = [-value for value in gather(0.0, 4.0, 9)[::-1]]
    bases = {
        x: BSpline(breakpoints=[*behind[:-1], 0.0, *gather(0.0, 2.0, 6)[1:]], degree=3), y: BSpline(breakpoints=gather(0.0, 2.0, 8), degree=3),
        z: BSpline(breakpoints=gather(0.0, 2.0, 7), degree=3), t: BSpline(breakpoints=gather(0.0, 2.0, 6), degree=3),
        power: BSpline((0.5, 1.5), 1, 1), speed: BSpline((0.5, 2.0), 1, 4), spot: BSpline((0.25, 0.5), 1, 4),
    }  # fmt: skip
    flux = inf.pde.function(lambda x, spot: jnp.exp(-(x**2) / (2 * spot**2)) / spot, x, spot) * inf.pde.function(
        lambda y, spot: jnp.exp(-(y**2) / (2 * spot**2)) / spot, y, spot
    )
    diffusion = u.d(x) * v.d(x) + u.d(y) * v.d(y) + u.d(z) * v.d(z)
    form = u.d(t) * v - speed * u.d(x) * v + 0.4 * diffusion - power * flux * v * z.at(0)
    sides = {x: "both", y: "right", z: "right", t: "left"}
    space = inf.pde.Space(bases, 100, sides)
    result, seconds = timed(lambda: inf.solve(form, space, estimate=False, largest=6_000_000), 1)
    wrong = whole = 0.0
    rng = np.random.default_rng(0)
    part = {c: bases[c] for c in (x, y, z, t)}
    low, high = np.array([-3.0, 0.0, 0.0, 0.1]), np.array([1.5, 1.5, 1.5, 1.9])
    points = rng.uniform(low, high, (4000, 4))
    for P, a, r in rng.uniform([0.5, 0.5, 0.25], [1.5, 2.0, 0.5], (5, 3)):
        heat = np.exp(-(x**2) / (2 * r**2)) * np.exp(-(y**2) / (2 * r**2)) * (P / r**2)
        single = u.d(t) * v - a * u.d(x) * v + 0.4 * diffusion - heat * v * z.at(0)
        expected = inf.solve(single, inf.pde.Space(part, 400, sides), estimate=False).values(points)
        found = result.values(np.concatenate([points, np.broadcast_to([P, a, r], (len(points), 3))], axis=1))
        wrong, whole = wrong + float(np.sum((found - expected) ** 2)), whole + float(np.sum(expected**2))
    import equinox as eqx

    queries = jnp.asarray(rng.uniform([*low, 0.5, 0.5, 0.25], [*high, 1.5, 2.0, 0.5], (1_000_000, 7)))
    evaluate = eqx.filter_jit(Evaluator(result.model))
    jax.block_until_ready(evaluate(queries))
    _, spent = timed(lambda: jax.block_until_ready(evaluate(queries)), 3)
    return [
        "| inputs | modes | unknowns | build, s | error beside separate problems on the same cells | 1,000,000 queries, s | published |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"| x, y, z, t, power, speed, spot | {result.modes} | {result.unknowns} | {seconds:.1f} | {np.sqrt(wrong / whole):.1e} | {spent:.2f} | queries 102 s |",
    ]


def checks() -> list[str]:
    """Things with exact answers."""
    x, y = inf.pde.coordinates("x y")
    u, v = inf.pde.trial(), inf.pde.test()
    basis = BSpline((0.0, 1.0), 20, 9)
    found = inf.pde.eigenvalues(
        u.d(x) * v.d(x) + u.d(y) * v.d(y), inf.pde.Space({x: basis, y: basis}, dirichlet={x: "both", y: "both"}), 20
    )
    exact = np.sort([PI**2 * (i * i + j * j) for i in range(1, 12) for j in range(1, 12)])[:20]
    rows = [
        "| question | figure |",
        "| --- | --- |",
        f"| 20 eigenvalues of the square, largest relative error | {np.max(np.abs(found.values / exact - 1)):.1e} |",
    ]
    left, right = inf.pde.graded((-1, 0), 48, 4, "right"), inf.pde.graded((0, 1), 48, 4)
    drum = inf.pde.Patches(
        [
            inf.pde.Space({x: left, y: left}, dirichlet={x: "both", y: "left"}),
            inf.pde.Space({x: left, y: right}, dirichlet={x: "left", y: "right"}),
            inf.pde.Space({x: right, y: right}, dirichlet={x: "right", y: "both"}),
        ]
    )
    tones = inf.pde.eigenvalues(u.d(x) * v.d(x) + u.d(y) * v.d(y), drum, 20).values
    rows += [
        f"| L-shape, first eigenvalue beside 9.6397238440219 (Betcke and Trefethen 2005), relative | {abs(tones[0] / 9.6397238440219 - 1):.1e} |",
        f"| L-shape, third eigenvalue beside 2 pi^2, relative | {abs(tones[2] / (2 * PI**2) - 1):.1e} |",
    ]
    problem = EQUATIONS["elasticity"]()
    (a, b), (c, d) = inf.pde.trial(2), inf.pde.test(2)
    lame, shear = 0.3 / (1 - 0.3**2), 1 / 2.6
    energy = (2 * shear + lame) * (a.d(x) * c.d(x) + b.d(y) * d.d(y)) + lame * (a.d(x) * d.d(y) + b.d(y) * c.d(x))
    energy = energy + shear * (a.d(y) + b.d(x)) * (c.d(y) + d.d(x))
    linear = (0.1 * x + 0.2 * y, 0.3 * x - 0.1 * y + 0.05)
    bases = {
        x: BSpline(breakpoints=[0.0, 0.2, 0.7, 1.0], degree=2),
        y: BSpline(breakpoints=[0.0, 0.5, 0.6, 1.0], degree=3),
    }
    patch = inf.solve(
        energy, inf.pde.Space(bases, dirichlet={c: {"left": linear, "right": linear} for c in (x, y)}), estimate=False
    )
    rows.append(f"| patch test of plane elasticity, uneven cells, relative L2 | {patch.error(linear):.1e} |")
    for degree in (2, 3, 4):
        errors = [problem.error(inf.solve(*problem.pose(cells, degree, None), estimate=False)) for cells in (8, 16, 32)]
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        rows.append(
            f"| plane elasticity, degree {degree}, order on 8 to 16 and 16 to 32 cells | {orders[0]:.2f}, {orders[1]:.2f} (theory {degree + 1}) |"
        )
    answer = np.exp(x) * np.sin(y) + x * y * y
    right, below, above = 2 * np.e * np.sin(y) + 2 * y * y, -1 * np.exp(x), np.exp(x) * np.cos(1.0) + 2 * x
    mixed = (
        u.d(x) * v.d(x)
        + u.d(y) * v.d(y)
        + u * v * x.at(1)
        - right * v * x.at(1)
        - below * v * y.at(0)
        - above * v * y.at(1)
        + 2 * x * v
    )
    for degree in (2, 3, 5):
        errors = []
        for cells in (4, 8, 16):
            basis = BSpline((0.0, 1.0), cells, degree)
            errors.append(
                inf.solve(
                    mixed, inf.pde.Space({x: basis, y: basis}, dirichlet={x: {"left": np.sin(y)}}), estimate=False
                ).error(answer)
            )
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        rows.append(
            f"| Dirichlet, Robin and Neumann at once, degree {degree}, order | {orders[0]:.2f}, {orders[1]:.2f} (theory {degree + 1}); error {errors[-1]:.1e} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = {
        "Poisson in many dimensions": dimensions, "Functions that are not separable": not_separable,
        "Three coordinates that are not separable": three_dimensions, "Domains that are no box": domains, "Six inputs: advection and diffusion": six_inputs,
        "Viscous Burgers": burgers, "Seven inputs: a moving source of heat": moving_source, "Exact answers": checks,
    }  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", choices=list(sections), help="measure one section again and keep the others")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "pde-problems.md"
    before = file.read_text(encoding="utf-8").split("\n## ")[1:] if options.only else []
    parts = {text.split("\n", 1)[0]: text.split("\n", 1)[1].strip() for text in before}
    for title in [options.only] if options.only else sections:
        began = time.perf_counter()
        where = header(0, packages=("scikit-fem",))
        parts[title] = "\n".join([where, "", sections[title].__doc__ or "", "", *sections[title]()])
        print(f"## {title}\n\n{parts[title]}\n({time.perf_counter() - began:.0f} s)\n", flush=True)
    words = "\n\n".join((__doc__ or "").strip().split("\n\n")[2:])
    found = [f"## {title}\n\n{parts[title]}" for title in sections if title in parts]
    text = "\n\n".join(["# Differential equations on separable models", words, *found])
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
