"""What the shell adds for an AION: times are checked, the series is drawn with its forecast, the atoms are listed with their standard errors."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .console import number, show_table

LEVEL = 0.9
_CURVE_POINTS = 2000
# Below this the residuals are not white.
_DOUBTFUL = 0.01
# Below this NRMSE they are rounding.
_ROUNDING = 1e-12


def check_times(x: np.ndarray, name: str) -> None:
    """Refuse times that do not rise from row to row: a clock that was set back, or two records in one table.

    **Arguments:**

    - `x`: the one input, shape `(N, 1)`.
    - `name`: of its column.

    **Raises:** `ValueError` that names the row.
    """
    steps = np.diff(x[:, 0].astype(float))
    bad = np.flatnonzero(steps <= 0)
    if not len(bad):
        return
    row, value = int(bad[0]) + 2, x[int(bad[0]) + 1, 0]
    if steps[bad[0]] == 0:
        raise ValueError(
            f"row {row}, column {name!r}: the time {value:g} is there twice; expected each time once. Average such rows, or remove one"
        )
    raise ValueError(
        f"row {row}, column {name!r}: the time {value:g} is earlier than that of the row before; expected rising times. Sort the rows by {name}"
    )


def draw_series(x: np.ndarray, y: np.ndarray, result: Any, kept: np.ndarray, names: tuple[str, Sequence[str]]) -> Any:
    """Draw each target over time, with the forecast of the held-out part by the fit that did not see it.

    **Arguments:**

    - `x`, `y`: the rows that were fitted or held out, `(N, 1)` and `(N, O)`.
    - `result`: of the fit.
    - `kept`: which rows of the table these are, `(N,)`.
    - `names`: of the time, and of the targets.

    **Returns:** the axes.
    """
    from scipy.special import ndtri

    from .. import plot

    order, heldout = np.argsort(x[:, 0]), np.searchsorted(kept, np.sort(np.asarray(result.heldout)))
    t, targets = x[order, 0], len(names[1])
    curve = np.linspace(t[0], t[-1], max(_CURVE_POINTS, len(t))).astype(x.dtype)
    values = np.asarray(result.predict(curve)).reshape(len(curve), targets)
    judged = result.predictor if result.judged is None else result.judged
    fitted = np.asarray(judged.predict(t)).reshape(len(t), targets)
    ahead = None
    if len(heldout) and judged.covariance is not None:
        later = curve[curve >= x[heldout, 0].min()]
        mean, std = (np.asarray(v).reshape(len(later), targets) for v in judged.predict(later, return_std=True))
        reach = ndtri(0.5 + LEVEL / 2)
        ahead = (later, mean, mean - reach * std, mean + reach * std)
    axes = plot.series_axes(targets)
    for o, target in enumerate(names[1]):
        band = None if ahead is None else (ahead[0], ahead[1][:, o], ahead[2][:, o], ahead[3][:, o])
        plot.forecast(t, y[order, o], (curve, values[:, o]), fitted[:, o], band, LEVEL, (names[0], target), axes[:, o])
    return axes


def describe_atoms(result: Any) -> list[dict[str, Any]]:
    """The atoms as JSON data."""
    from ..fitting.atoms import atoms_of

    return [dataclasses.asdict(atom) for atom in atoms_of(result)]


def notes_on(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What the summary says of an AION: where the number of terms is from, and whether anything is left in the residuals."""
    options, targets = record["options"], record["data"]["targets"]
    pairs = []
    for target, tried in zip(targets, options["orders"], strict=True):
        words = [f"{_size(order)} {order['criterion']:.1f}" for order in _best_of_each(tried)]
        chosen = "" if options["terms"] is None and options["modes"] is None else "given; "
        pairs.append((_of("terms", target, targets), f"{chosen}criterion (lowest is best): {', '.join(words)}"))
    exact = record["metrics"]["train"]["nrmse"] < _ROUNDING
    for target, white in zip(targets, options["whiteness"] or (), strict=False):
        p = white["p_value"]
        if p is None or exact:
            meaning = "not tested: the residuals are rounding, or too few"
        else:
            meaning = f"Ljung-Box p = {number(p)}, " + (
                "something may be left in the residuals" if p < _DOUBTFUL else "the residuals look white"
            )
        pairs.append((_of("whiteness", target, targets), meaning))
    return pairs


def show_atoms(record: dict[str, Any]) -> None:
    """Print the atoms, each number with its standard error."""
    data, atoms = record["data"], record["atoms"]
    several = [len(data["targets"]) > 1, max(a["mode"] for a in atoms) > 0, len(data["inputs"]) > 1]
    header = [name for name, wanted in zip(("target", "mode", "input"), several, strict=True) if wanted]
    columns = ("amplitude", "growth", "period", "frequency", "phase")
    rows = []
    for count, atom in enumerate(atoms, start=1):
        place = (data["targets"][atom["output"]], str(atom["mode"] + 1), data["inputs"][atom["dimension"]])
        named = [text for text, wanted in zip(place, several, strict=True) if wanted]
        rows.append([str(count), *named, *(with_error(atom[name], atom["errors"][name]) for name in columns)])
    show_table(("atom", *header, *columns), rows)
    origin = ", ".join(f"{name} = {value:.6g}" for name, value in zip(data["inputs"], record["origin"], strict=True))
    print(f"amplitude and phase (radians) at {origin}; growth and frequency a unit of the input; +- one standard error")


def with_error(value: float | None, error: float | None) -> str:
    """Write a number with its standard error, to two digits of the latter, or of the number where that is smaller.

    >>> with_error(3.14159, 0.0123), with_error(31415.9, 120.0), with_error(2.5, None), with_error(None, None)
    ('3.142 +- 0.012', '31420 +- 120', '2.5', '-')
    """
    if value is None:
        return "-"
    if error is None:
        return f"{value:.6g}"
    if error < 1e-10 * abs(value):
        return f"{value:.11g} +- {error:.1e}"
    # Two digits of the smaller of both, unless it is nothing beside the error.
    place = lambda v: int(np.floor(np.log10(v)))
    last = max(place(min(error, abs(value) or error)) - 1, place(error) - 3)
    if not -8 <= last <= 5 or abs(value) >= 1e7:
        digits = int(np.clip(np.floor(np.log10(max(abs(value), error))) - last, 1, 16))
        return f"{value:.{digits}e} +- {error:.1e}"
    decimals = max(-last, 0)
    return f"{round(value, -last):.{decimals}f} +- {round(error, -last):.{decimals}f}"


def _best_of_each(tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lowest criterion of each size, smallest size first."""
    best: dict[str, dict[str, Any]] = {}
    for order in tried:
        size = _size(order)
        if size not in best or order["criterion"] < best[size]["criterion"]:
            best[size] = order
    return sorted(best.values(), key=lambda order: (order.get("modes", 1), order["terms"]))


def _size(order: dict[str, Any]) -> str:
    return f"{order['modes']} x {order['terms']}:" if "modes" in order else f"{order['terms']}:"


def _of(what: str, target: str, targets: Sequence[str]) -> str:
    return what if len(targets) == 1 else f"{what} {target}"
