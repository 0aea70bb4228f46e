"""How far a truncated Taylor tower is off after a step of ordinary length, by its order, and the resummed one.

    psi(x) = sum_p A_p exp(alpha_p x) cos(omega_p x + phi_p),    the loss and the model along a step in all four parameters

`python -m benchmarks.descent.towers` writes `benchmarks/results/towers.md` and `.png`.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import infinity as inf
from benchmarks.provenance import ROOT, header
from infinity.plot import new_axes, towers

ORDERS = (1, 2, 4, 8, 16, 32)


def atoms(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """A sum of damped oscillations."""
    A, alpha, omega, phi = (params[name][:, None] for name in ("A", "alpha", "omega", "phi"))
    return jnp.sum(A * jnp.exp(alpha * x) * jnp.cos(omega * x + phi), axis=0)


def problem() -> tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array]:
    """Parameters, a step of order one in each of them, and the points."""
    params = {"A": [1.0, 0.6], "alpha": [-0.4, 0.3], "omega": [3.0, 5.0], "phi": [0.2, -0.5]}
    step = {"A": [0.5, -0.4], "alpha": [0.7, -0.6], "omega": [2.0, -1.5], "phi": [1.0, 0.8]}
    as_arrays = lambda tree: {name: jnp.asarray(values) for name, values in tree.items()}
    return as_arrays(params), as_arrays(step), jnp.linspace(-2.0, 2.0, 41)


def main(folder: Path) -> None:
    jax.config.update("jax_enable_x64", True)
    params, step, x = problem()
    target = jnp.sin(4 * x) * jnp.exp(-x / 2)
    functions = {"model": atoms, "loss": lambda p, x: jnp.mean((atoms(p, x) - target) ** 2)}
    moved = lambda t: jax.tree.map(lambda a, b: a + t * b, params, step)
    rows, axes = [], new_axes(1, 2, size=(5.2, 3.8))[0]
    for ax, (name, fn) in zip(axes, functions.items(), strict=True):
        line: Any = inf.resum(fn, params, step, x)
        truth = lambda t, fn=fn: fn(moved(t), x)
        towers(line, ORDERS, truth=truth, ax=ax)
        ax.set_title(f"{name} of two AION atoms", fontsize=10)
        tallest = line.truncated(max(ORDERS))
        errors = [float(jnp.max(jnp.abs(tallest.truncated(order)(1.0) - truth(1.0)))) for order in ORDERS]
        errors.append(float(jnp.max(jnp.abs(line(1.0) - truth(1.0)))))
        rows.append(f"| {name} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")
    folder.mkdir(parents=True, exist_ok=True)
    axes[0].get_legend().remove()
    axes[0].figure.savefig(folder / "towers.png", dpi=150)
    text = (
        "# Truncated Taylor towers and the resummed one\n\n"
        "The largest error at `t = 1`, a step of order one in amplitudes, rates, frequencies and phases of two AION atoms at 41 points.\n\n"
        "| | "
        + " | ".join(f"order {order}" for order in ORDERS)
        + " | resummed |\n"
        + "| --- " * (len(ORDERS) + 2)
        + "|\n"
        "" + "\n".join(rows) + f"\n\n![errors over t](towers.png)\n\n{header()}\n"
    )
    (folder / "towers.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    main(parser.parse_args().out)
