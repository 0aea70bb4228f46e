"""What a table must be before a fit: finite `x[n, d]` and `y[n, o]`, `N ≥ 2`, all columns varying, no target an input.

Each failure is a `ValueError` of one sentence that names the row (1 for the first) and the column, and says what to do.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

_LARGEST_EXACT = 2**53


def check_table(
    x: Any, y: Any, names: Sequence[str] | None = None, target: str | Sequence[str] = "y"
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Check a table of inputs and targets and give it back as two matrices of floats with the names of their columns.

    Floating dtypes stay as they are; integers and truth values become float64.

    **Arguments:**

    - `x`: inputs, shape `(N, D)` or `(N,)`.
    - `y`: targets, shape `(N, O)` or `(N,)`.
    - `names`: the names of the `D` inputs; `x0, x1, …` when `None`.
    - `target`: the name of the target, or the `O` names. One name for several targets is numbered: `y0, y1, …`.

    **Returns:** `(x, y, names, targets)` with `x` of shape `(N, D)` and `y` of shape `(N, O)`.

    **Raises:** `ValueError` naming the row and the column.

    ```python
    >>> import numpy as np
    >>> from infinity.fitting.checks import check_table
    >>> x, y, names, targets = check_table(np.array([[0, 1], [1, 3], [2, 2]]), np.array([1.0, 2.0, 4.0]))
    >>> x.dtype.name, y.shape, names, targets
    ('float64', (3, 1), ('x0', 'x1'), ('y',))

    ```
    """
    inputs, outputs = numeric_matrix(x, "x"), numeric_matrix(y, "y")
    if len(inputs) != len(outputs):
        raise ValueError(f"x has {len(inputs)} rows and y has {len(outputs)}; each row of x needs its row of y")
    if inputs.shape[1] == 0 or outputs.shape[1] == 0:
        raise ValueError(f"there must be an input and a target; got x {inputs.shape} and y {outputs.shape}")
    names = input_names(names, inputs.shape[1])
    targets = target_names(target, outputs.shape[1])
    repeated = _first_repeated([*names, *targets])
    if repeated is not None:
        raise ValueError(f"two columns are called {repeated!r}; give each input and target its own name")
    inputs, outputs = exact_floats(inputs, names), exact_floats(outputs, targets)
    if len(inputs) < 2:
        rows = "no rows" if len(inputs) == 0 else "one row"
        raise ValueError(f"the table has {rows}; a fit needs at least 2, and more rows than unknowns to be any good")
    gaps = ", or choose missing='drop' or missing='indicator' (--missing on the command line)"
    check_finite(inputs, names, gaps)
    check_finite(outputs, targets, ", or choose missing='drop' (--missing drop on the command line)")
    _check_varies(inputs, names, "input", "leave it out (--ignore {0} on the command line)")
    _check_varies(outputs, targets, "target", "there is nothing to learn; choose another target")
    for o, output in enumerate(outputs.T):
        for d, column in enumerate(inputs.T):
            if np.array_equal(output, column):
                raise ValueError(
                    f"the target {targets[o]!r} is equal to the input {names[d]!r} in every row; "
                    f"leave that input out (--ignore {names[d]} on the command line)"
                )
    return inputs, outputs, names, targets


def check_finite(values: np.ndarray, names: Sequence[str], gaps: str = "") -> None:
    """Refuse NaN and infinity, naming the first bad row and its column.

    **Arguments:**

    - `values`: shape `(N, D)`.
    - `names`: the names of the `D` columns.
    - `gaps`: what else may be done about NaN, for the message.

    **Raises:** `ValueError`.
    """
    finite = np.isfinite(values)
    if finite.all():
        return
    row, column = (int(i) for i in np.argwhere(~finite)[0])
    count = int((~finite).sum())
    others = "" if count == 1 else f" ({count} such values in all)"
    raise ValueError(
        f"row {row + 1}, column {names[column]!r}: {values[row, column]} is not a finite number{others}; "
        f"remove these rows or fill in their values{gaps if np.isnan(values[row, column]) else ''}"
    )


def check_unknowns(unknowns: int, rows: int, remedy: str = "fewer modes or elements, or more rows") -> None:
    """Refuse a model with more unknowns than the table has rows, which the data cannot determine.

    **Arguments:**

    - `unknowns`: how many free parameters the model has.
    - `rows`: how many rows of numbers it is fitted to (rows times targets).
    - `remedy`: what to change, for the message.

    **Raises:** `ValueError`.
    """
    if unknowns > rows:
        raise ValueError(
            f"the model has {unknowns} unknowns and the table only {rows} rows to find them from; use {remedy}"
        )


def numeric_matrix(values: Any, role: str) -> np.ndarray:
    """Return the values as a matrix of numbers of any kind; a `ValueError` where they are not."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{role} is not a rectangular table of numbers: {error}") from error
    if array.ndim not in (1, 2):
        raise ValueError(f"{role} has shape {array.shape}; expected (N,) or (N, columns), one row a sample")
    if array.dtype.kind not in "fiub" and not _is_small_float(array.dtype):
        raise ValueError(
            f"{role} holds {_describe(array.dtype)} (dtype {array.dtype}), not real numbers; "
            "name text columns of x as categories (categories=[...], --categorical on the command line), and give numbers otherwise"
        )
    return array[:, None] if array.ndim == 1 else array


def _is_small_float(dtype: np.dtype) -> bool:
    return dtype.kind == "V" and "float" in dtype.name


def _describe(dtype: np.dtype) -> str:
    return {"c": "complex numbers", "U": "text", "S": "bytes", "M": "dates", "m": "durations"}.get(
        dtype.kind, "objects"
    )


def exact_floats(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Integers as float64, if every one of them has an exact float64."""
    if values.dtype.kind not in "iu":
        return values.astype(np.float64) if values.dtype.kind == "b" else values
    large = (values > _LARGEST_EXACT) | (values < -_LARGEST_EXACT if values.dtype.kind == "i" else False)
    for row, column in np.argwhere(large):
        number = int(values[row, column])
        if int(float(number)) != number:
            raise ValueError(
                f"row {row + 1}, column {names[column]!r}: the integer {number} is too large to be exact as a float64; "
                "rescale the column, or leave it out if it is an identifier"
            )
    return values.astype(np.float64)


def input_names(names: Sequence[str] | None, dimensions: int) -> tuple[str, ...]:
    """The names of the inputs, numbered where none are given."""
    if names is None:
        return tuple(f"x{d}" for d in range(dimensions))
    if isinstance(names, str):
        names = [names]
    if len(names) != dimensions:
        raise ValueError(
            f"names has {len(names)} entries and x has {dimensions} columns; give one name for each column"
        )
    return tuple(names)


def named_inputs(role: str, items: Sequence[str | int] | str | int | None, names: Sequence[str]) -> tuple[str, ...]:
    """The inputs that an argument names, by name or index, each once.

    **Raises:** `ValueError` with the argument's `role` for an item that is no input.
    """
    found = []
    for item in [items] if isinstance(items, str | int) else items or ():
        if isinstance(item, int | np.integer) and not isinstance(item, bool) and 0 <= item < len(names):
            found.append(names[int(item)])
        elif isinstance(item, str) and item in names:
            found.append(item)
        else:
            near = difflib.get_close_matches(str(item), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected indices or names of {', '.join(names)}"
            raise ValueError(f"{role} names {item!r}, which is no input; {hint}")
    return tuple(dict.fromkeys(found))


def target_names(target: str | Sequence[str], outputs: int) -> tuple[str, ...]:
    """The names of the targets, numbered where one name is given for several."""
    if isinstance(target, str):
        return (target,) if outputs == 1 else tuple(f"{target}{o}" for o in range(outputs))
    if len(target) != outputs:
        raise ValueError(f"target has {len(target)} names and y has {outputs} columns; give one name for each column")
    return tuple(target)


def _first_repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_varies(values: np.ndarray, names: Sequence[str], role: str, remedy: str) -> None:
    for name, column in zip(names, values.T, strict=True):
        if (column == column[0]).all():
            raise ValueError(f"the {role} {name!r} is {column[0]:.6g} in every row; {remedy.format(name)}")
