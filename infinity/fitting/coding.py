r"""How the columns of a table become numbers, and back: `(N, D) of numbers, categories and gaps -> (N, K) of numbers`.

    number                 x                                  one column, itself
    number with gaps       (x or its median, 1 if missing)    two columns
    category, few levels   [x = level]                        one column of 0 and 1 for each level but the first, the most frequent one
    category, many levels  mean of the target at the level    one column a target, see `infinity.fitting.target_coding`

The coding is part of a fitted model: what predicts takes the table as it was given.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .checks import exact_floats

_SHOWN = 12


class Column(eqx.Module):
    """One input of a table and how it is coded.

    **Fields:** its `name`; `kind`: `"number"`, `"gaps"`, `"levels"` or `"means"`; `levels`, the categories as text, `None` for a missing value, with their
    `shares` of the training rows (of a number with gaps: the share that is there and the share that is missing); `codes`, what a missing number or each level
    is coded as, one row each.
    """

    name: str = eqx.field(static=True)
    kind: str = eqx.field(static=True, default="number")
    levels: tuple[str | None, ...] = eqx.field(static=True, default=())
    shares: tuple[float, ...] = eqx.field(static=True, default=())
    codes: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=())
    targets: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def is_category(self) -> bool:
        """Whether its values are categories."""
        return self.kind in ("levels", "means")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coded columns."""
        if self.kind == "number":
            return (self.name,)
        if self.kind == "gaps":
            return (self.name, f"{self.name} is missing")
        if self.kind == "levels":
            return tuple(
                f"{self.name} is missing" if level is None else f"{self.name}={level}" for level in self.levels[1:]
            )
        return tuple(f"{self.name} (mean of {target})" for target in self.targets)

    def code(self, values: np.ndarray) -> Float[np.ndarray, "N _"]:
        """The coded columns of its values `(N,)`.

        **Raises:** `ValueError` naming the row of a value that is missing, unknown or no number.
        """
        if self.is_category:
            return np.asarray(self.codes, float)[self._places(labels_of(values))]
        numbers = numbers_of(values, self.name)
        gaps = np.isnan(numbers)
        if self.kind == "gaps":
            return np.stack([np.where(gaps, self.codes[0][0], numbers), gaps], axis=1)
        if gaps.any():
            raise ValueError(
                f"row {int(np.argmax(gaps)) + 1}, column {self.name!r}: the value is missing, and no value of this column was missing where the model was "
                "fitted with an indicator; fill it in or leave the row out"
            )
        return numbers[:, None]

    def _places(self, labels: np.ndarray) -> np.ndarray:
        """The level of each label."""
        place = {level: at for at, level in enumerate(self.levels)}
        found = np.array([place.get(label, -1) for label in labels], int)
        if len(found) and found.min() < 0:
            row = int(np.argmin(found))
            what = "the category is missing" if labels[row] is None else f"the category {labels[row]!r} is unknown"
            shown = ", ".join("missing" if level is None else level for level in self.levels[:_SHOWN])
            more = f" and {len(self.levels) - _SHOWN} more" if len(self.levels) > _SHOWN else ""
            raise ValueError(
                f"row {row + 1}, column {self.name!r}: {what}; the model knows {shown}{more}. Correct the row or leave it out"
            )
        return found


class Coding(eqx.Module):
    """How each input of a table is coded; nothing in it is fitted by gradients.

    **Fields:** the `columns`, one an input.
    """

    columns: tuple[Column, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(column.name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coded columns."""
        return tuple(name for column in self.columns for name in column.names)

    @property
    def categories(self) -> tuple[str, ...]:
        """The inputs that are categories."""
        return tuple(column.name for column in self.columns if column.is_category)

    @property
    def has_gaps(self) -> bool:
        """Whether some input may be missing."""
        return any(column.kind == "gaps" or None in column.levels for column in self.columns)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Which coded columns belong to each input."""
        ends = np.cumsum([0, *(len(column.names) for column in self.columns)])
        return tuple(tuple(range(a, b)) for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))

    def code(self, x: Any) -> Float[np.ndarray, "N K"]:
        """The coded columns of a table `(N, D)`, or `(N,)` of one input.

        **Raises:** `ValueError` naming row and column, as `Column.code`, and for a wrong shape.

        >>> from infinity.fitting.coding import Coding, Column
        >>> colour = Column("colour", "levels", ("red", "blue"), (0.5, 0.5), ((0.0,), (1.0,)))
        >>> Coding((Column("size"), colour)).code([[1.5, "red"], [2.0, "blue"]]).tolist()
        [[1.5, 0.0], [2.0, 1.0]]
        """
        values = raw_matrix(x)
        if values.shape[1] != len(self.columns):
            raise ValueError(
                f"x has shape {values.shape}; expected (N, {len(self.columns)}), the columns {', '.join(self.inputs)}"
            )
        return np.concatenate([column.code(v) for column, v in zip(self.columns, values.T, strict=True)], axis=1)


def raw_matrix(x: Any) -> np.ndarray:
    """A table of numbers, text and gaps as a matrix; rows of several types keep their values.

    **Raises:** `ValueError` where there is no rectangular table.
    """
    try:
        values = x if isinstance(x, np.ndarray) or hasattr(x, "__array__") else np.array(x, dtype=object)
        values = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"x is not a rectangular table: {error}") from error
    if values.ndim not in (1, 2):
        raise ValueError(f"x has shape {values.shape}; expected (N,) or (N, columns), one row a sample")
    return values[:, None] if values.ndim == 1 else values


def is_missing(value: Any) -> bool:
    """Whether a value is none: nothing, NaN or empty text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return (isinstance(value, str) and not value.strip()) or (
        isinstance(value, float | np.floating) and bool(value != value)
    )


def label_of(value: Any) -> str | None:
    """A category as text, so that 1 and 1.0 are one; nothing for a missing one.

    >>> from infinity.fitting.coding import label_of
    >>> label_of(" red "), label_of(2.0), label_of(0.5), label_of(float("nan"))
    ('red', '2', '0.5', None)
    """
    if is_missing(value):
        return None
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value).strip()


def labels_of(values: np.ndarray) -> np.ndarray:
    """Categories `(N,)` as text, `None` for missing ones."""
    found = np.empty(len(values), object)
    found[:] = [label_of(value) for value in values]
    return found


def numbers_of(values: np.ndarray, name: str) -> Float[np.ndarray, " N"]:
    """Numbers `(N,)`, NaN for missing ones.

    **Raises:** `ValueError` naming the row of a value that is no finite number.
    """
    if values.dtype.kind in "fiub":
        numbers = exact_floats(values[:, None], [name])[:, 0]
    else:
        numbers = np.empty(len(values))
        for row, value in enumerate(values):
            try:
                # NumPy turns a whole matrix with a word in it into text; text among objects was text from the start.
                text = isinstance(value, str) and values.dtype.kind == "O" and not is_missing(value)
                numbers[row] = np.nan if is_missing(value) else float("a word" if text else value)
            except (TypeError, ValueError):
                raise ValueError(_no_number(values, row, name)) from None
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(
            f"row {row + 1}, column {name!r}: {numbers[row]} is not a finite number; remove the row or fill in the value"
        )
    return numbers


def _no_number(values: Sequence[Any] | np.ndarray, row: int, name: str) -> str:
    shown = repr(str(values[row]))
    if isinstance(values[row], str):
        return (
            f"row {row + 1}, column {name!r}: {shown} is text, not a number; name the column as a category "
            f"(categories=[{name!r}], --categorical {name} on the command line), or leave it out"
        )
    return f"row {row + 1}, column {name!r}: {shown} is not a number"
