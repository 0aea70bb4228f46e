"""KHRONOS's Poisson problem, both candidates: squared L2 error against unknowns, degrees 2 to 9, beside finite elements of scikit-fem.

    python -m benchmarks.pde.poisson [--out benchmarks/results]

Rank one; the unknowns are the coefficients that the conditions leave free, n in each of the two coordinates, 2 n in all. The published figures are
those of arXiv:2505.13315
(5e-4 at 16 to 6e-11 at 512) and, for Kolmogorov-Arnold networks, 1e-7.
"""

import argparse
import time
from pathlib import Path

import jax
import matplotlib
import numpy as np

jax.config.update("jax_enable_x64", True)
matplotlib.use("Agg")

import infinity as inf
from benchmarks.pde.finite_elements import poisson as finite_elements
from benchmarks.provenance import header

PI = np.pi
SIZES = (16, 32, 64, 128, 256, 512)
DEGREES = (2, 3, 4, 5, 6, 7, 8, 9)


def problem(uneven: bool):
    x, y = inf.pde.coordinates("x y")
    u, v = inf.pde.trial(), inf.pde.test()
    second = np.sin(PI * y**2) if uneven else np.sin(PI * y)
    exact = np.sin(PI * x) * second
    load = 2 * PI**2 * exact
    if uneven:
        load = PI**2 * exact + np.sin(PI * x) * (4 * PI**2 * y**2 * second - 2 * PI * np.cos(PI * y**2))
    return (x, y), u.d(x) * v.d(x) + u.d(y) * v.d(y) - load * v, exact


def errors(uneven: bool) -> dict[int, list[tuple[float, float] | None]]:
    (x, y), form, exact = problem(uneven)
    found: dict[int, list[tuple[float, float] | None]] = {}
    for degree in DEGREES:
        row: list[tuple[float, float] | None] = []
        for unknowns in SIZES:
            cells = unknowns // 2 + 2 - degree
            if cells < 1:
                row.append(None)
                continue
            basis = inf.basis.BSpline((-1.0, 1.0), cells, degree)
            space = inf.pde.Space({x: basis, y: basis}, 1, {x: "both", y: "both"})
            seconds, error = [], 0.0
            for _ in range(3):
                began = time.perf_counter()
                result = inf.solve(form, space, estimate=False)
                seconds.append(time.perf_counter() - began)
                error = result.error(exact, relative=False)
            row.append((error**2, min(seconds)))
        found[degree] = row
    return found


def peers(uneven: bool) -> list[tuple[str, int, float, float]]:
    second = (lambda y: np.sin(PI * y**2)) if uneven else (lambda y: np.sin(PI * y))
    exact = lambda x, y: np.sin(PI * x) * second(y)
    load = lambda x, y: 2 * PI**2 * exact(x, y)
    if uneven:
        load = lambda x, y: (
            PI**2 * exact(x, y) + np.sin(PI * x) * (4 * PI**2 * y**2 * second(y) - 2 * PI * np.cos(PI * y**2))
        )
    rows = []
    for element, cells in (("P1", 16), ("P1", 64), ("P1", 256), ("P2", 16), ("P2", 64), ("P2", 128)):
        unknowns, error, seconds = finite_elements(element, cells, -1.0, 1.0, load, exact)
        rows.append((element, unknowns, error, seconds))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    lines = ["# Poisson on a square, rank one: squared L2 error", "", header(packages=("scikit-fem",)), ""]
    lines += [
        "Each cell: squared L2 error, and milliseconds of the fastest of three solves (assembly included). Unknowns: coefficients that the",
        "conditions leave free, in both coordinates together. Published for KHRONOS: 5e-4 at 16 to 6e-11 at 512; for Kolmogorov-Arnold networks 1e-7.",
        "",
    ]  # fmt: skip
    pictures = {}
    for uneven, title in (
        (True, "u = sin(pi x) sin(pi y^2) on [-1, 1]^2"),
        (False, "u = sin(pi x) sin(pi y) on [-1, 1]^2"),
    ):
        found = errors(uneven)
        pictures[title] = found
        lines += [
            f"## {title}",
            "",
            "| degree | " + " | ".join(map(str, SIZES)) + " |",
            "| --- |" + " --- |" * len(SIZES),
        ]
        for degree, row in found.items():
            cells = ["-" if cell is None else f"{cell[0]:.1e} ({cell[1] * 1e3:.0f})" for cell in row]
            lines.append(f"| {degree} | " + " | ".join(cells) + " |")
        lines += ["", "| scikit-fem | unknowns | squared L2 error | seconds |", "| --- | --- | --- | --- |"]
        size = exact_norm(uneven)
        for element, unknowns, error, seconds in peers(uneven):
            lines.append(f"| {element} triangles | {unknowns} | {(error * size) ** 2:.1e} | {seconds:.2f} |")
        lines.append("")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "pde-poisson.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    draw(pictures, options.out / "pde-poisson.png")


def exact_norm(uneven: bool) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(60)
    second = np.sin(PI * nodes**2) if uneven else np.sin(PI * nodes)
    return float(np.sqrt(weights @ np.sin(PI * nodes) ** 2 * (weights @ second**2)))


def draw(pictures: dict, file: Path) -> None:
    axes = inf.plot.new_axes(1, 2, (5.0, 4.2))[0]
    for ax, (title, found) in zip(axes, pictures.items(), strict=True):
        series = []
        for degree in (2, 3, 5, 7, 9):
            part = [(size, cell[0]) for size, cell in zip(SIZES, found[degree], strict=True) if cell is not None]
            series.append((f"degree {degree}", [p[0] for p in part], [p[1] for p in part]))
        inf.plot.convergence(series, "squared L2 error", ax=ax)
        ax.plot([16, 512], [5e-4, 6e-11], "k--", lw=1, label="KHRONOS, published")
        ax.axhline(1e-7, color="grey", lw=0.8, ls=":", label="KAN, published")
        ax.legend(fontsize=7, frameon=False)
        ax.set_title(title, fontsize=9)
    axes[0].figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
