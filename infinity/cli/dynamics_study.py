"""`[dynamics]`: equations of motion from trajectories, beside plain search for each speed.

Plain search cannot use a trajectory; it is given the speeds, from the slopes of the smooth curve where our own search begins. All are judged by the
speeds that they give on a new trajectory without noise.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..symbolic import Expression, discover_dynamics
from . import rivals
from .law_config import Dynamics, DynamicsConfig
from .law_study import Case, Row, carry_out, under_noise
from .motions import MOTIONS, Motion

# Terms are read off the values of an equation at random points.
_POINTS = 200
_NOTHING = 1e-9


def run_motions(config: DynamicsConfig, folder: Path, source: Path) -> list[Case]:
    """Search, show and write."""
    wanted = config.dynamics
    peers, notes = rivals.present([peer for peer in wanted.peers if peer != "polynomial"])
    searches = (
        functools.partial(_motion, title, MOTIONS[name], noise, wanted, peers)
        for title, name, noise in under_noise(wanted.problems, wanted.noise)
    )
    return carry_out(searches, folder, source, "dynamics", config.output.plots, notes)


def _motion(title: str, motion: Motion, noise: float, wanted: Dynamics, peers: Sequence[str], progress: Any) -> Case:
    from ..symbolic.dynamics.smoothing import smooth

    names = list(motion.names)
    rng = np.random.default_rng([wanted.seed, list(MOTIONS.values()).index(motion)])
    t, y = (part[:: wanted.every] for part in motion.sample(noise, rng))
    start = time.process_time()
    found = discover_dynamics(t, y, names, degree=wanted.degree, progress=progress)
    seconds = time.process_time() - start
    # A new trajectory, from where the old one is after a third of its time.
    _, states = motion.trajectory(motion.trajectory()[1][len(t) // 3])
    truth = np.stack([np.asarray(motion.speed(0.0, z), float) for z in states])
    rows = [_row("infinity", found.equations, motion, states, truth, seconds)]
    curve = smooth(t, y)
    speeds = curve(t, 1)
    for peer in peers:
        searched = [
            rivals.search(peer, y, speeds[:, s], names, f"d{name}/dt", wanted.seed, seconds / len(names))
            for s, name in enumerate(names)
        ]
        equations = [e for e, _ in searched]
        rows.append(_row(f"{peer}, given speeds", equations, motion, states, truth, sum(took for _, took in searched)))
    parity = [(f"d{name}/dt", truth[:, s], found.equations[s](states)) for s, name in enumerate(names)]
    law = "; ".join(f"d{name}/dt = {_written(terms)}" for name, terms in zip(names, motion.terms, strict=True))
    return Case(
        title, law, found.message, rows, found, [e.latex() for e in found.equations], found.trace, parity
    )  # fmt: skip


def _row(
    who: str, equations: Sequence[Expression], motion: Motion, states: np.ndarray, truth: np.ndarray, seconds: float
) -> Row:
    with np.errstate(all="ignore"):
        missed = np.sqrt(np.mean((np.stack([e(states) for e in equations], axis=1) - truth) ** 2, axis=0))
    missed = missed / truth.std(axis=0)
    judged = [_terms(e, motion, terms) for e, terms in zip(equations, motion.terms, strict=True)]
    right = sum(j is not None for j in judged)
    worst = max((j for j in judged if j is not None), default=None) if right == len(judged) else None
    return Row(who, [str(e) for e in equations], {
        "length": sum(e.complexity for e in equations), "right terms": f"{right} of {len(judged)}", "worst coefficient": worst,
        "speeds on a new trajectory": float(np.max(missed)) if np.all(np.isfinite(missed)) else float("inf"), "seconds": seconds,
    })  # fmt: skip


def _terms(e: Expression, motion: Motion, want: Mapping[str, float]) -> float | None:
    """The worst relative error of a coefficient where the equation has the terms of the truth and no others, else `None`."""
    points = np.random.default_rng(0).normal(size=(_POINTS, len(motion.names)))
    columns = np.stack([Expression.parse(term, list(motion.names))(points) for term in want], axis=1)
    value = e(points)
    if not np.all(np.isfinite(value)):
        return None
    c = np.linalg.lstsq(columns, value, rcond=None)[0]
    left = np.sqrt(np.mean((columns @ c - value) ** 2)) / np.sqrt(np.mean(value**2))
    truth = np.array(list(want.values()))
    return float(np.max(np.abs(c / truth - 1))) if left < _NOTHING else None


def _written(terms: Mapping[str, float]) -> str:
    parts = [f"{value:.6g}" if term == "1" else f"{value:.6g}*{term}" for term, value in terms.items()]
    return " + ".join(parts).replace("+ -", "- ")
