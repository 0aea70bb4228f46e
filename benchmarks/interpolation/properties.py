"""Patch interpolants and growth: what has to hold to rounding, and the order of the error.

    python -m benchmarks.interpolation.properties [--quick] [--out benchmarks/results]

For every patch size s = 1..4, order p = 1..s and dilation 2..40, on 33 equal nodes and on 33 nodes whose gaps differ by a factor of 17, in both precisions:
`N_j(x_i) = delta_ij`, `sum_j N_j = 1` and `sum_j N_j x_j^k = x^k`, k <= p, at 2,000 random points. Errors are over the largest value of any function, which
is above one where a patch overshoots. Orders are those of the interpolation error of sin(6x + 0.3) in the mean square over the middle of the interval
between meshes of 65 and 129 nodes. Growth is measured on the values of random models.
"""

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp

import infinity as inf
from benchmarks.interpolation.report import options, relative_error, table, write
from infinity.basis import Patch

PAIRS = [(s, p) for s in range(1, 5) for p in range(1, s + 1)]
DILATIONS = (2, 3, 5, 10, 20, 40)
ASKED = {"float64": 1e-11, "float32": 1e-6}
RATIO = 17.0


def mesh(kind: str, n: int) -> np.ndarray:
    """Nodes from 0 to 1, equally spaced or with gaps whose largest is 17 times the smallest, neighbours among them."""
    if kind == "uniform":
        return np.linspace(0.0, 1.0, n)
    gaps = np.exp(np.random.default_rng(3).uniform(0.0, np.log(RATIO), n - 1))
    gaps[[2, 3, -3]] = 1.0, RATIO, 1.0
    return np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()])


def functions(basis: Patch, t: np.ndarray) -> np.ndarray:
    """All functions at many points `(T, n)`: one polynomial a cell by Horner's rule, in the precision of the table, as the basis itself evaluates them."""
    points, rows, first = (np.asarray(part) for part in (basis.breakpoints, basis.table, basis.first))
    cell = np.clip(np.searchsorted(points, t, side="right") - 1, 0, len(points) - 2)
    v = (t - points[cell]) / ((points[cell + 1] - points[cell]) / 2) - 1
    value = rows[cell, -1]
    for k in range(rows.shape[1] - 2, -1, -1):
        value = value * v[:, None] + rows[cell, k]
    full = np.zeros((len(t), basis.size))
    np.put_along_axis(full, first[cell][:, None] + np.arange(rows.shape[2]), value.astype(float), axis=1)
    return full


def errors(kind: str, dtype: str, size: int, order: int, dilation: float, n: int) -> tuple[float, float, float, float]:
    """The worst errors of nodality, of partition of unity and of reproduction, and the largest value."""
    x = mesh(kind, n).astype(dtype)
    t = np.sort(np.random.default_rng(0).uniform(0.0, 1.0, 2000)).astype(dtype)
    basis = Patch(jnp.asarray(x), size=size, order=order, dilation=dilation)
    N = functions(basis, t)
    largest = float(np.abs(N).max())
    wide = x.astype(float), t.astype(float)
    reproduction = max(float(np.abs(N @ wide[0] ** k - wide[1] ** k).max()) for k in range(1, order + 1))
    nodal = float(np.abs(functions(basis, x) - np.eye(n)).max())
    return nodal / largest, float(np.abs(N.sum(axis=1) - 1).max()) / largest, reproduction / largest, largest


def order_of(size: int, order: int) -> tuple[float, float]:
    """Measured orders of the error in the middle half of the interval and on all of it."""
    f = lambda t: np.sin(6 * t + 0.3)
    found = []
    for n in (65, 129):
        basis = Patch(np.linspace(0.0, 1.0, n), size=size, order=order)
        nodes = np.asarray(basis.nodes)
        u = lambda t, basis=basis, nodes=nodes: functions(basis, t) @ f(nodes)
        found.append([relative_error(u, f, nodes[n // 4 : 3 * n // 4 + 1]), relative_error(u, f, nodes)])
    interior, everywhere = np.log2(np.array(found[0]) / np.array(found[1]))
    return float(interior), float(everywhere)


def growth(quick: bool = False) -> list[tuple[str, float]]:
    """The largest change of a value, over the largest value, when a model is moved to a larger space."""
    box = [(0.0, 1.0), (-1.0, 2.0), (0.0, 3.0)]
    low, high = np.asarray(box).T
    points = jnp.asarray(np.random.default_rng(1).uniform(low, high, (500, 3)))
    draw = np.random.default_rng(2)
    random = lambda model: jax.tree.map(lambda a: jnp.asarray(draw.normal(size=a.shape)), model)
    values = lambda model: np.asarray(jax.jit(jax.vmap(model))(points))
    key = jax.random.key(1)
    khronos = random(inf.KHRONOS(box, modes=3, elements=5, degree=2, outputs=2, key=key))
    layered = random(inf.KHRONOS(box, modes=3, elements=5, degree=2, layers=2, layer_elements=4, key=key)).frozen()
    hats = random(inf.INN(box, modes=3, elements=5, outputs=2, key=key))
    patches = random(inf.INN(box, modes=3, elements=6, basis="patch", outputs=2, key=key))
    cases = [
        ("knots, cells cut in three, degree 2", khronos, {"elements": 15}),
        ("knots, hats, cells cut in four", hats, {"elements": 20}),
        ("degree 2 to 5", khronos, {"degree": 5}),
        ("modes 3 to 8, splines", khronos, {"modes": 8, "key": key}),
        ("modes 3 to 8, patches", patches, {"modes": 8, "key": key}),
        ("layers 1 to 3", khronos, {"layers": 3}),
        ("layers 2 to 3, bent maps", layered, {"layers": 3}),
        (
            "knots, degree, modes and layers at once",
            khronos,
            {"elements": 10, "degree": [3, 4, 3], "modes": 5, "layers": 2, "key": key},
        ),
    ]
    changes = []
    for name, model, settings in cases[-1:] if quick else cases:
        before = values(model)
        changes.append((name, float(np.abs(values(model.refine(**settings)) - before).max() / np.abs(before).max())))
    if quick:
        return changes
    splines, error = inf.models.convert(hats, "bspline", degree=1)
    changes.append(
        (
            f"conversion, hats to splines of degree 1 (error returned: {error:g})",
            float(np.abs(values(splines) - values(hats)).max()),
        )
    )
    return changes


def main() -> None:
    chosen = options(__doc__).parse_args()
    pairs, dilations, n = (PAIRS[:3], DILATIONS[::3], 12) if chosen.quick else (PAIRS, DILATIONS, 33)
    lines = [
        "Worst over dilations "
        + ", ".join(map(str, dilations))
        + f"; asked: {ASKED['float64']:g} in float64, {ASKED['float32']:g} in float32.",
        "",
    ]
    rows = []
    for kind in ("uniform", "wild"):
        for dtype, asked in ASKED.items():
            for size, order in pairs:
                each = np.array([errors(kind, dtype, size, order, dilation, n) for dilation in dilations])
                nodal, unity, reproduced, largest = each.max(axis=0)
                worst = max(nodal, unity, reproduced)
                rows.append(
                    [
                        kind,
                        dtype,
                        size,
                        order,
                        *(f"{v:.1e}" for v in (nodal, unity, reproduced)),
                        f"{largest:.2f}",
                        "yes" if worst <= asked else "no",
                    ]
                )
    lines += table(
        ["mesh", "precision", "s", "p", "nodality", "partition of unity", "reproduction", "largest value", "as asked"],
        rows,
    )
    lines += ["", "Orders of the error, nodes 65 to 129; asked: p + 1 within 0.15 inside.", ""]
    orders = [(s, p, *order_of(s, p)) for s, p in pairs]
    lines += table(
        ["s", "p", "interior", "whole interval", "as asked"],
        [
            [s, p, f"{inside:.2f}", f"{whole:.2f}", "yes" if abs(inside - p - 1) <= 0.15 else "no"]
            for s, p, inside, whole in orders
        ],
    )
    lines += ["", "Growth: largest change of a value; asked: 1e-12.", ""]
    lines += table(
        ["what grows", "change", "as asked"],
        [[name, f"{change:.1e}", "yes" if change <= 1e-12 else "no"] for name, change in growth(chosen.quick)],
    )
    write(
        chosen.out,
        "properties",
        "Interpolants: exact properties, orders, growth",
        "0 (points), 2 (parameters), 3 (mesh)",
        lines,
    )


if __name__ == "__main__":
    main()
