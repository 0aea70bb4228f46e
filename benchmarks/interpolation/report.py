"""What the scripts of this folder share: how a result file begins and ends, and norms."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, header


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the two options of every script: `--quick`, small sizes to see that it runs, and `--out`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; no figure to cite")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a markdown table."""
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    return [line(head), line(["---"] * len(head)), *map(line, rows)]


def write(
    out: Path, name: str, title: str, seed: str | int | None, lines: Sequence[str], peers: Sequence[str] = ()
) -> None:
    """Write `interpolation-NAME.md` with its provenance, and print it."""
    out.mkdir(parents=True, exist_ok=True)
    text = "\n".join([f"# {title}", "", header(seed, peers), "", *lines]) + "\n"
    (out / f"interpolation-{name}.md").write_text(text, encoding="utf-8")
    print(text)


def relative_error(
    u: Callable[[np.ndarray], Any], f: Callable[[np.ndarray], np.ndarray], ends: np.ndarray, points: int = 8
) -> float:
    """`|u - f| / |f|` in the mean square over an interval, by Gauss points on each of the cells between `ends`."""
    q, w = np.polynomial.legendre.leggauss(points)
    lengths = np.diff(ends)[:, None]
    t, weights = (ends[:-1, None] + lengths * (1 + q) / 2).ravel(), (lengths * w / 2).ravel()
    exact = f(t)
    return float(np.sqrt(np.sum(weights * (np.asarray(u(t)) - exact) ** 2) / np.sum(weights * exact**2)))
