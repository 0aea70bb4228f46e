r"""Three minimisers from one start, on the (alpha, phi) and (A, omega) planes of the loss of a single atom.

    L = |f(t_n) - y_n|^2 / (2 N),    f(t) = A e^{alpha t} cos(omega t + phi)

The figure of Batley and Saha (arXiv:2510.05489) on a test problem of the user's; the optimum is that of the direct solve, which needs no start.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from ..descent.paths import Path, infinite_descent_path, newton_cg_path, steepest_descent_path
from .console import show_table

NAMES = ("amplitude", "alpha", "omega", "phase")
PAIRS = ((1, 3), (0, 2))


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The paths from one start: the `loss` of many points `(K, 4)`, the `optimum` `(4,)` and its loss, and the `paths`."""

    loss: Callable[[Any], Any]
    optimum: np.ndarray
    least: float
    paths: Sequence[Path]


def compare_paths(x: np.ndarray, y: np.ndarray, result: Any, start: Sequence[float]) -> Comparison:
    """Follow each minimiser from the start.

    **Arguments:**

    - `x`, `y`: the rows, `(N, 1)` and `(N, 1)`.
    - `result`: of the fit of one atom.
    - `start`: amplitude, alpha, omega and phase at `t = 0`.

    **Raises:** `ValueError` for more than one input or target, or another model.
    """
    import jax
    import jax.numpy as jnp

    from ..models import AION

    if x.shape[1] != 1 or y.shape[1] != 1 or result.model.inner.unknowns != 4:
        raise ValueError(
            f"planes are drawn for one input, one target and one atom; got {x.shape[1]} inputs, {y.shape[1]} targets "
            f"and a model of {result.model.inner.unknowns} unknowns"
        )
    t, values = jnp.asarray(x), jnp.asarray(y[:, 0])

    def residual(theta):
        model = AION.of(*theta[:, None])
        return (jax.vmap(model)(t) - values) / jnp.sqrt(len(values))

    loss = jax.jit(jax.vmap(lambda theta: 0.5 * jnp.sum(residual(theta) ** 2)))
    found = result.model.inner.moved((0.0,)).canonical()
    optimum = np.array([float(v.ravel()[0]) for v in (found.amplitude, found.alpha, found.omega, found.phase)])
    # A whole turn changes nothing: take the phase nearest to the start.
    optimum[3] += 2 * np.pi * np.round((start[3] - optimum[3]) / (2 * np.pi))
    begin = jnp.asarray(start, t.dtype)
    paths = [follow(residual, begin) for follow in (infinite_descent_path, steepest_descent_path, newton_cg_path)]
    return Comparison(loss, optimum, float(loss(optimum[None])[0]), paths)


def describe_paths(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON data."""
    named = lambda theta: dict(zip(NAMES, theta.tolist(), strict=True))
    return {
        "start": named(comparison.paths[0].points[0]),
        "start_loss": comparison.paths[0].losses[0],
        "optimum": named(comparison.optimum),
        "optimum_loss": comparison.least,
        "paths": [
            {
                "name": path.name, "steps": path.steps, "inner": path.inner, "loss": path.losses[-1], "parameters": named(path.end),
                "converged": path.converged, "evaluations": path.evaluations, "points": path.points, "losses": path.losses,
            }
            for path in comparison.paths
        ],
    }  # fmt: skip


def draw_planes(comparison: Comparison, file: FilePath) -> None:
    """Draw both planes side by side, one legend for both."""
    from .. import plot

    axes = plot.new_axes(1, 2, (5.6, 4.6))[0]
    labels = ("$A_1$", r"$\alpha_1$", r"$\omega_1$", r"$\phi_1$")
    for pair, ax in zip(PAIRS, axes, strict=True):
        plot.loss_plane(comparison.loss, comparison.optimum, pair, comparison.paths, labels, ax=ax)
        others = [labels[k] for k in range(4) if k not in pair]
        ax.set_title(f"{' and '.join(others)} at the optimum", fontsize=9)
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    axes[0].figure.savefig(file, dpi=150)


def show_paths(record: dict[str, Any]) -> None:
    """Print where each minimiser ended."""
    rows = [
        [
            path["name"], str(path["steps"]), str(path["inner"]) if path["inner"] else "-", str(sum(path["evaluations"].values())), f"{path['loss']:.1e}",
            *(f"{path['parameters'][name]:.6f}" for name in NAMES), "yes" if path["converged"] else "no",
        ]
        for path in record["paths"]
    ]  # fmt: skip
    rows.append(
        [
            "direct solve, no start",
            "-",
            "-",
            "-",
            f"{record['optimum_loss']:.1e}",
            *(f"{record['optimum'][name]:.6f}" for name in NAMES),
            "-",
        ]
    )
    rows.append(
        [
            "the start",
            "-",
            "-",
            "-",
            f"{record['start_loss']:.1e}",
            *(f"{record['start'][name]:.6f}" for name in NAMES),
            "-",
        ]
    )
    show_table(("from one start", "steps", "inner", "evaluations", "loss", *NAMES, "converged"), rows)
