r"""`[surface]`: yield surfaces from states of stress, beside searches for a function that are told what to solve for.

Everything is judged in one way: the size of the deviator `q = sqrt J2` at which a state of stress reaches the surface, its direction and its mean stress
kept; for new points without noise, whose `q` is known.
"""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..symbolic import discover_surface
from . import rivals
from .law_config import Surface, SurfaceConfig
from .law_study import Case, Row, carry_out, under_noise
from .stress_states import YIELD_SURFACES, YieldSurface, deviator, root_of_j2

NEW_POINTS = 1000
# How far from a state the surface is looked for, as a factor of its deviator.
FAR, STEPS = 4.0, 161


def run_surfaces(config: SurfaceConfig, folder: Path, source: Path) -> list[Case]:
    """Search, show and write."""
    wanted = config.surface
    peers, notes = rivals.present([peer for peer in wanted.peers if peer != "polynomial"])
    searches = (
        functools.partial(_surface, title, YIELD_SURFACES[name], noise, wanted, peers)
        for title, name, noise in under_noise(wanted.problems, wanted.noise)
    )
    return carry_out(searches, folder, source, "surfaces", config.output.plots, notes)


def _surface(
    title: str, problem: YieldSurface, noise: float, wanted: Surface, peers: Sequence[str], progress: Any
) -> Case:
    rng = np.random.default_rng([wanted.seed, list(YIELD_SURFACES.values()).index(problem)])
    points = problem.sample(wanted.points, noise, rng)
    new = problem.sample(NEW_POINTS, 0.0, np.random.default_rng([wanted.seed + 1, 7]))
    start = time.process_time()
    found = discover_surface(
        points, list(problem.names), stress=True, degree=wanted.degree, seed=wanted.seed, progress=progress
    )  # fmt: skip
    seconds = time.process_time() - start
    rows = [_row("infinity", found.equation, found.expression.complexity, found, new, seconds)]
    told = problem.told
    x, y = told.values(points)
    for peer in peers:
        best, took = rivals.search(peer, x, y, list(told.names), told.target, wanted.seed, seconds)

        def level(s: np.ndarray, best: Any = best) -> np.ndarray:
            inner, value = told.values(s)
            return best(inner) - value

        rows.append(_row(f"{peer}, told to solve for {told.target}", str(best), best.complexity, level, new, took))
    latex = f"{found.expression.latex().split('=', 1)[1].strip()} = {found.level:.6g}"
    q = root_of_j2(points)
    parity = [("q = sqrt(J2)", q, q * reached(found, points))]
    return Case(title, problem.law, found.message, rows, found, [latex], found.trace, parity)


def _row(who: str, formula: str, length: int, level: Callable, new: np.ndarray, seconds: float) -> Row:
    part = reached(level, new)
    known = np.isfinite(part)
    error = float(np.sqrt(np.mean((part[known] - 1) ** 2))) if known.any() else float("inf")
    cells = {"length": length, "relative error of q": error, "reached": f"{100 * known.mean():.0f} %", "seconds": seconds}  # fmt: skip
    return Row(who, [formula], cells)


def reached(level: Callable[[np.ndarray], np.ndarray], points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " n"]:
    """The factor of each state's deviator at which `level` is zero, the one nearest to one; NaN where there is none up to four times and a quarter of it.

    >>> import numpy as np
    >>> from infinity.cli.stress_states import root_of_j2
    >>> from infinity.cli.surface_study import reached
    >>> points = np.array([[2.0, 0.0, -2.0], [3.0, 2.0, 1.0]])
    >>> np.round(reached(lambda s: root_of_j2(s) - 1, points), 9).tolist()
    [0.5, 1.0]
    """
    d = deviator(points)
    rest = points - d
    at = lambda t: np.asarray(level(rest + t[:, None] * d), float)
    grid = np.geomspace(1 / FAR, FAR, STEPS)
    with np.errstate(all="ignore"):
        values = np.stack([at(np.full(len(points), t)) for t in grid], axis=1)
        crossing = np.sign(values[:, :-1]) * np.sign(values[:, 1:]) <= 0
        away = np.where(crossing, np.abs(np.log(grid[:-1] * grid[1:])), np.inf)
        first = np.argmin(away, axis=1)
        low, high = grid[first], grid[first + 1]
        sign = np.sign(values[np.arange(len(points)), first])
        for _ in range(60):
            middle = 0.5 * (low + high)
            before = np.sign(at(middle)) == sign
            low, high = np.where(before, middle, low), np.where(before, high, middle)
    return np.where(np.isfinite(np.min(away, axis=1)), 0.5 * (low + high), np.nan)
