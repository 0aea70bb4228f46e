"""What the terminal shows: results on stdout, progress on stderr and only where a person watches."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Progress = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def progress_line(title: str) -> Iterator[Progress | None]:
    """Give a function that shows how a fit goes on, or `None` where stderr is not a terminal.

    **Arguments:**

    - `title`: what is being done.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:
        yield lambda event: status.update(f"{title}: {describe(event)}")


def describe(event: dict[str, Any]) -> str:
    """Put a progress event into words short enough for a line: `all, iteration 3, nrmse 0.013`."""
    words = []
    for key, value in event.items():
        if key not in ("stage", "iteration", "nrmse"):
            continue
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        words.append(text if isinstance(value, str) else f"{key} {text}")
    return ", ".join(words)


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns, each pair on a line of its own however long."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name:<{width}}  {value}")


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header; the first column to the left, numbers to the right."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for count, row in enumerate(table):
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if count == 0:
            print("  ".join("-" * width for width in widths))


def number(value: float | None) -> str:
    """Write a number with three digits; a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def r_squared(value: float | None) -> str:
    """Write R², by its distance from one where that is all there is to see."""
    if value is None:
        return "-"
    return f"1 - {1 - value:.1e}" if 0 < 1 - value < 1e-4 else f"{value:.4f}"
