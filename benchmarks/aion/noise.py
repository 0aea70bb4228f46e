"""Noise: how far the estimates are from the Cramer-Rao bound, and how often they are somewhere else altogether.

    python -m benchmarks.aion.noise [--count 40] [--out benchmarks/results]

Uniform samples, N = 128, poles 1.5 Rayleigh cells apart; every problem is new. The ratio is the root mean square over all rates and problems of the error over
its own bound, outliers apart: an estimate is one where some frequency is more than half a cell off. Peers: the matrix pencil alone, and least squares that
starts at the true parameters, by SciPy and Optimistix; no start from the truth can be had in practice. Where noise is strong the best fit of all is not the one
near the truth: the last column counts the direct fit's outliers whose sum of squares is below that of SciPy's fit from the truth, which no search can avoid.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.optimize

jax.config.update("jax_enable_x64", True)

from benchmarks.aion.problems import signal, with_noise
from benchmarks.provenance import ROOT, header
from infinity.descent.exponential import samples_of, solve_signal
from infinity.descent.exponential.pencil import esprit, subspace

N = 128
TERMS = (1, 2, 3, 5)
DECIBELS = (60, 40, 20, 10, 5, 0)
METHODS = ("direct", "pencil alone", "SciPy from the truth", "Optimistix from the truth")
T = jnp.arange(N) / N


def value(theta, t):
    """The signal from `(4, P)`: amplitude, alpha, omega, phase."""
    A, alpha, omega, phase = theta[:, :, None]
    return jnp.sum(A * jnp.exp(alpha * t) * jnp.cos(omega * t + phase), axis=0)


residual = jax.jit(lambda flat, y: value(flat.reshape(4, -1), T) - y)
slope = jax.jit(jax.jacfwd(lambda flat, y: value(flat.reshape(4, -1), T) - y))


@jax.jit
def optimistix_fit(flat, y):
    """Levenberg-Marquardt of Optimistix from a start."""
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    return optx.least_squares(residual, solver, flat, args=y, throw=False, max_steps=400).value


def rates(method: str, y: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Estimated `(2, P)` alpha and omega in rising omega; NaN where there are too few."""
    P = truth.shape[1]
    if method == "direct":
        fit = solve_signal(samples_of(np.asarray(T), y), P)
        found = np.stack([fit.alpha, fit.omega])
    elif method == "pencil alone":
        poles = esprit(subspace(y).vectors[:, : 2 * P], 1 / N)
        found = np.stack([poles.alpha[poles.present], poles.omega[poles.present]])
    elif method.startswith("SciPy"):
        jacobian: Any = lambda f: np.asarray(slope(f, y))
        out = scipy.optimize.least_squares(
            lambda f: np.asarray(residual(f, y)), truth.ravel(), jac=jacobian, method="lm"
        )
        found = out.x.reshape(4, P)[1:3]
    else:
        found = np.asarray(optimistix_fit(truth.ravel(), y)).reshape(4, P)[1:3]
    if found.shape[1] != P:
        return np.full((2, P), np.nan)
    return found[:, np.argsort(found[1])]


def left_over(found: np.ndarray, y: np.ndarray) -> float:
    """The least sum of squares that atoms of given rates leave; infinite where there are too few."""
    if np.isnan(found).any():
        return np.inf
    t = np.asarray(T)[:, None]
    envelope, angle = np.exp(found[0] * t), found[1] * t
    rows = np.concatenate([envelope * np.cos(angle), envelope * np.sin(angle)], axis=1)
    scaled = rows / np.maximum(np.linalg.norm(rows, axis=0), np.finfo(float).tiny)
    return float(np.sum((scaled @ np.linalg.lstsq(scaled, y)[0] - y) ** 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    rows = []
    for P in TERMS:
        for decibels in DECIBELS:
            errors = {method: [] for method in METHODS}
            better: list[bool] = []
            for _ in range(options.count):
                _, y, drawn = signal(generator, P, 1.5, N, True)
                y, sigma = with_noise(generator, y, decibels)
                c, s = np.asarray(drawn.pairs[0, 0]).T
                truth = np.stack([np.hypot(c, s), drawn.alpha[0, 0], drawn.omega[0, 0], np.arctan2(-s, c)])
                truth = truth[:, np.argsort(truth[2])]
                J = np.asarray(slope(truth.ravel(), y))
                bound = sigma * np.sqrt(np.diag(np.linalg.inv(J.T @ J))).reshape(4, P)[1:3]
                found = {method: rates(method, y, truth) for method in METHODS}
                for method in METHODS:
                    off = found[method] - truth[1:3]
                    outlier = not np.all(np.abs(off[1]) <= np.pi)
                    errors[method].append((outlier, np.mean((off / bound) ** 2)))
                if errors["direct"][-1][0]:
                    better.append(left_over(found["direct"], y) < left_over(found["SciPy from the truth"], y))
            cells = []
            for method in METHODS:
                outliers, squares = np.array(errors[method]).T
                inside = outliers == 0
                ratio = np.sqrt(np.mean(squares[inside])) if inside.any() else np.nan
                cells.append(f"{ratio:.2f} ({np.mean(outliers):.0%})")
            cells.append(f"{sum(better)} of {len(better)}" if better else "")
            rows.append(f"| {P} | {decibels} | " + " | ".join(cells) + " |")
            print(rows[-1], flush=True)
    lines = ["# Error over the Cramer-Rao bound, and outliers", "", header(options.seed, ("scipy",)), ""]
    lines += [
        f"{options.count} problems each; in brackets the share of outliers, which the ratio leaves out. A ratio below one is chance.",
        "",
    ]
    head = ("P", "dB", *METHODS, "outliers that fit better than from the truth")
    lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    (options.out / "aion-noise.md").write_text("\n".join([*lines, *rows, ""]))


if __name__ == "__main__":
    main()
