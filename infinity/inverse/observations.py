"""What was observed, where, and how well: checked and brought into the shapes that calibration works on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .inputs import check_name


def rows_of(
    known: dict[str, Any], free: Sequence[str] | None, names: tuple[str, ...], lower: Any, upper: Any, coding: Any
) -> tuple[np.ndarray, tuple[int, ...], tuple[str, ...], bool]:
    """Full points with the known values, which columns are free, their names, and whether all known values are plain."""
    inputs = names if coding is None else coding.inputs
    wanted = [name for name in inputs if name not in known] if free is None else list(free)
    for name in (*known, *wanted):
        check_name(name, inputs)
    both = [name for name in wanted if name in known]
    neither = [name for name in inputs if name not in known and name not in wanted]
    if both or neither or len(set(wanted)) < len(wanted):
        what = (
            f"{both[0]!r} is both known and free"
            if both
            else f"{neither[0]!r} is neither known nor free"
            if neither
            else "a free input is named twice"
        )
        raise ValueError(f"{what}; every input is one of the two")
    if not wanted:
        raise ValueError("all inputs are known; leave at least one free")
    columns = {name: np.asarray(value, object if coding is not None else None) for name, value in known.items()}
    lengths = {name: column.shape for name, column in columns.items() if column.ndim}
    for name, shape in lengths.items():
        if len(shape) != 1 or shape != next(iter(lengths.values())):
            first = next(iter(lengths))
            raise ValueError(
                f"the known values of {name!r} have shape {shape}; expected one value, or (n,) as those of {first!r}, {lengths[first]}"
            )
    n = next(iter(lengths.values()))[0] if lengths else 1
    if n == 0:
        raise ValueError("the known inputs have no rows; give at least one observation")
    rows, indices, free_names, start = np.full((n, len(names)), np.nan), [], [], 0
    for d, name in enumerate(inputs):
        column = None if coding is None else coding.columns[d]
        own = list(range(start, start + (1 if column is None else len(column.names))))
        start += len(own)
        if name in known:
            values = np.broadcast_to(columns[name], (n,))
            rows[:, own] = _numbers(name, values, column)
            for at in own:
                slack = 1e-12 * max(abs(lower[at]), abs(upper[at]))
                bad = np.flatnonzero(~((rows[:, at] >= lower[at] - slack) & (rows[:, at] <= upper[at] + slack)))
                if len(bad):
                    raise ValueError(
                        f"row {bad[0] + 1} of the known {name!r}: {rows[bad[0], at]:g} is not in the box of the model, [{lower[at]:g}, {upper[at]:g}]"
                    )
        elif column is not None and column.is_category:
            raise ValueError(f"{name!r} is a category, which cannot be free; give its value among the known inputs")
        else:
            if len(own) > 1:
                rows[:, own[1]] = 0.0
            indices.append(own[0])
            free_names.append(name)
    return rows, tuple(indices), tuple(free_names), not lengths


def _numbers(name: str, values: np.ndarray, column: Any) -> np.ndarray:
    if column is not None:
        return column.code(values)
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"the known values of {name!r} are no numbers") from None
    return numbers[:, None]


def observations_of(observations: Any, n: int, O: int, cases: bool, plain: bool) -> Float[np.ndarray, "K n O"]:
    """The observations of all cases; `plain` where all known inputs are single values, so that one row is all there is."""
    if observations is None:
        raise ValueError("calibrate needs observations of the model's output")
    try:
        y = np.asarray(observations, float)
    except (TypeError, ValueError):
        raise ValueError("the observations are no numbers") from None
    shapes = [(n, O)] + ([(n,)] if O == 1 else []) + ([(O,)] if plain else []) + ([()] if plain and O == 1 else [])
    one = y.shape[1:] if cases else y.shape
    if one not in shapes or (cases and (y.ndim == 0 or not len(y))):
        lead = "(cases, " if cases else "("
        wanted = lead + (f"{n})" if O == 1 else f"{n}, {O})")
        hint = "" if cases else ". For several cases at the same known inputs give cases=True"
        raise ValueError(
            f"observations have shape {y.shape}; expected {wanted}, one row for each value of the known inputs{hint}"
        )
    y = y.reshape(-1, n, O)
    bad = np.argwhere(~np.isfinite(y))
    if len(bad):
        case, row, o = (int(i) for i in bad[0])
        where = f"case {case + 1}, row {row + 1}" if cases else f"row {row + 1}"
        raise ValueError(f"{where} of the observations is {y[case, row, o]}; leave it out, with its known inputs")
    return y


def noise_of(noise: Any, shape: tuple[int, int]) -> Float[np.ndarray, "n O"]:
    """The standard deviation of each observation, ones where it is not known."""
    if noise is None:
        return np.ones(shape)
    sigma, (n, O) = np.asarray(noise, float), shape
    if sigma.shape == (n,) and (n, O) != (O, O) and n != O:
        sigma = sigma[:, None]
    elif sigma.shape not in ((), (O,), (n, O)):
        raise ValueError(f"noise has shape {sigma.shape}; expected a number, ({O},), ({n},) or ({n}, {O})")
    if not np.all(np.isfinite(sigma) & (sigma > 0)):
        raise ValueError(f"noise is {noise!r}; expected positive standard deviations, in units of the target")
    return np.broadcast_to(sigma, shape).copy()


def prior_of(prior: Any, names: tuple[str, ...], box: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means and one over standard deviations, in units of the box."""
    centre, precise = np.full(len(names), 0.5), np.zeros(len(names))
    for name, given in dict(prior or {}).items():
        if name not in names:
            raise ValueError(f"the prior names {name!r}, which is not free; the free inputs are {', '.join(names)}")
        try:
            mean, std = (float(v) for v in given)
        except (TypeError, ValueError):
            raise ValueError(f"the prior of {name!r} is {given!r}; expected (mean, standard deviation)") from None
        if not (np.isfinite(mean) and 0 < std < np.inf):
            raise ValueError(
                f"the prior of {name!r} is {given!r}; expected a finite mean and a positive standard deviation"
            )
        d = names.index(name)
        centre[d], precise[d] = (mean - box[0][d]) / (box[1][d] - box[0][d]), (box[1][d] - box[0][d]) / std
    return centre, precise
