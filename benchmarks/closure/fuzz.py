"""Random programs against the closure check, which must call nothing simpler than it is.

`python benchmarks/closure/fuzz.py --programs 2000` certifies that many random programs, half of them with data known
only as tracers, and checks every statement of every certificate by finite differences (affine sets, blocks, quadratic
blocks, degrees) and by an independent calculation of each output entry's class along random lines (families). It writes
`benchmarks/results/closure-fuzz.md`.
"""

import argparse
import datetime
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from programs import AFFINE, EXPONENTIAL, OPEN, POLYNOMIAL, RATIONAL, Line, Program, random_program

from infinity.closure import Certificate, certify

FAMILIES = ("constant", "affine", "polynomial", "exponential", "rational", "open")
_HIGHEST = 6


def certificate_of(program: Program, leaves: Sequence[np.ndarray], data: np.ndarray, traced: bool) -> Certificate:
    """Return the certificate, with data at hand or as tracers."""

    def fn(params: Any, data: Any) -> Any:
        return program.run(jnp, params, data)

    params = [jnp.asarray(leaf) for leaf in leaves]
    if not traced:
        return certify(fn, params, jnp.asarray(data))
    found = []

    @jax.jit
    def outer(params: Any, data: Any) -> Any:
        found.append(certify(fn, params, data))
        return data

    outer(params, jnp.asarray(data))
    return found[0]


def violations(program: Program, seed: int, certificate: Certificate, data: np.ndarray) -> list[str]:
    """Every statement of the certificate that a difference or a line contradicts."""
    random = np.random.default_rng(seed)
    sizes = [int(np.prod(shape)) for shape in program.shapes]
    total = sum(sizes)
    found: list[str] = []

    def unravel(theta: np.ndarray) -> list[np.ndarray]:
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, program.shapes, strict=True)]

    def f(theta: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(program.run(np, unravel(theta), data), float)

    def differences(indices: Any, order: int, what: str) -> None:
        """Return the difference of `order` + 1 along random steps within `indices` vanishes."""
        signs = np.array([(-1.0) ** (order + 1 - k) * _binomial(order + 1, k) for k in range(order + 2)])
        for scale in (1.0, 0.2):
            theta = random.uniform(0.3, 1.3, total) * random.choice([-1.0, 1.0], total)
            step = np.zeros(total)
            step[indices] = scale * random.normal(size=len(indices)) / (order + 1)
            values = np.stack([f(theta + (k - (order + 1) / 2) * step) for k in range(order + 2)])
            if not np.isfinite(values).all() or np.abs(values).max() > 1e8:
                continue
            if np.abs(signs @ values).max() > 1e-7 * (1.0 + np.abs(values).max()):
                found.append(
                    f"{what}: difference {np.abs(signs @ values).max():.1e} of values up to {np.abs(values).max():.1e}"
                )

    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = {path: np.arange(starts[k], starts[k + 1]) for k, path in enumerate(certificate.leaves)}
    if certificate.affine_set.size:
        differences(certificate.affine_set.indices, 1, "affine set")
    for block in certificate.blocks or ():
        differences(block.indices, 1, f"block {block.names}")
    for block in certificate.quadratic_blocks or ():
        differences(block.indices, 2, f"quadratic block {block.names}")
    for leaf, degree in certificate.degrees.items():
        if degree is not None and degree <= _HIGHEST:
            differences(places[leaf], degree, f"degree {degree} of leaf {leaf}")
    if certificate.degree is not None and certificate.degree <= _HIGHEST:
        differences(np.arange(total), certificate.degree, f"total degree {certificate.degree}")
    for path, indices in [("all", np.arange(total)), *places.items()]:
        claimed = certificate.family if path == "all" else certificate.families[path]
        for _ in range(2):
            theta, slope = random.uniform(0.3, 1.3, total), np.zeros(total)
            slope[indices] = random.normal(size=len(indices))
            lines = np.array([Line(value, rate) for value, rate in zip(theta, slope, strict=True)], object)
            with np.errstate(all="ignore"):
                output = program.run(np, unravel(lines), data)
            actual = max((_family(entry) for entry in output), key=FAMILIES.index, default="constant")
            if FAMILIES.index(actual) > FAMILIES.index(claimed):
                found.append(f"family of {path}: certificate {claimed}, along a line {actual}")
    return found


def _family(entry: Any) -> str:
    if not isinstance(entry, Line) or entry.constant:
        return "constant"
    return {AFFINE: "affine", POLYNOMIAL: "polynomial", EXPONENTIAL: "exponential", RATIONAL: "rational", OPEN: "open"}[
        entry.kind
    ]


def _binomial(n: int, k: int) -> float:
    result = 1.0
    for i in range(k):
        result = result * (n - i) / (i + 1)
    return result


def check(seed: int) -> tuple[Program, Certificate, list[str], float, bool]:
    """Return one program, its certificate, what is wrong, the seconds, and whether both its meanings agree."""
    random = np.random.default_rng(seed + 10_000_000)
    program = random_program(seed)
    leaves = [random.uniform(0.3, 1.3, shape) for shape in program.shapes]
    data = random.uniform(0.2, 1.4, 3) * random.choice([-1.0, 1.0], 3)
    start = time.perf_counter()
    certificate = certificate_of(program, leaves, data, traced=seed % 2 == 1)
    seconds = time.perf_counter() - start
    with np.errstate(all="ignore"):
        host = np.asarray(program.run(np, leaves, data), float).reshape(-1)
    device = np.asarray(program.run(jnp, [jnp.asarray(leaf) for leaf in leaves], jnp.asarray(data))).reshape(-1)
    agree = bool(np.allclose(host, device, rtol=1e-6, atol=1e-6, equal_nan=True) or not np.isfinite(host).all())
    return program, certificate, violations(program, seed, certificate, data), seconds, agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    families: Counter[str] = Counter()
    unsound, disagreeing, times, affine, blocks = [], [], [], 0, 0
    for seed in range(options.first, options.first + options.programs):
        program, certificate, wrong, seconds, agree = check(seed)
        families[certificate.family] += 1
        affine += certificate.affine_set.size > 0
        blocks += certificate.blocks is not None
        times.append(seconds)
        if wrong:
            unsound.append(seed)
            print(f"seed {seed}: {program.names} outputs {program.outputs}: {wrong}", flush=True)
        if not agree:
            disagreeing.append(seed)
            print(f"seed {seed}: the two meanings of {program.names} differ", flush=True)
        if (seed + 1) % 200 == 0:
            jax.clear_caches()
    lines = [
        "# Closure check against random programs",
        "",
        "| programs | unsound | with an affine set | with blocks | median time of a certificate | largest |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| {options.programs} | {len(unsound)} | {affine} | {blocks} | {np.median(times) * 1e3:.1f} ms "
        f"| {np.max(times) * 1e3:.0f} ms |",
        "",
        "| family | programs |",
        "| --- | --- |",
        *(f"| {family} | {families[family]} |" for family in FAMILIES),
        "",
        f"Seeds {options.first} to {options.first + options.programs - 1}; every second program certified inside "
        "`jit` with data as tracers. Each affine set, block, quadratic block and degree is checked by differences "
        "at two random points, each family by the class of every output entry along random lines. Programs whose "
        f"JAX and NumPy meanings disagree: {len(disagreeing)}.",
        "",
        f"{jax.default_backend()}, float64, JAX {jax.__version__}, Equinox {eqx.__version__}, "
        f"Python {platform.python_version()}, {datetime.date.today().isoformat()}; "
        f"`python benchmarks/closure/fuzz.py --programs {options.programs} --first {options.first}`.",
    ]
    print("\n".join(lines))
    if options.write:
        target = Path(__file__).parents[1] / "results" / "closure-fuzz.md"
        target.write_text("\n".join(lines) + "\n")
    sys.exit(1 if unsound or disagreeing else 0)


if __name__ == "__main__":
    main()
