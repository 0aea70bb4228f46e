"""Which columns are inputs: `all − targets − ignored`, or those that are named."""

import difflib
from collections.abc import Sequence


def split_names(options: Sequence[str] | None, available: Sequence[str]) -> list[str] | None:
    """Split `a,b` into names; an option that is itself the name of a column stays whole.

    **Arguments:**

    - `options`: what was given, once or repeatedly; `None` when nothing was.
    - `available`: the columns of the table.

    **Returns:** the names, or `None` when no option was given.
    """
    if not options:
        return None
    names: list[str] = []
    for option in options:
        names += [option] if option in available else [name.strip() for name in option.split(",") if name.strip()]
    return names


def split_units(options: Sequence[str] | None, available: Sequence[str]) -> dict[str, str] | None:
    """Read `m=kg,v=m/s` as units of columns.

    **Arguments:**

    - `options`: what was given, once or repeatedly; `None` when nothing was.
    - `available`: the names that may have a unit; one that holds commas or equals signs is known by being among them.

    **Returns:** `{name: unit}`, or `None` when no option was given.

    **Raises:** `ValueError` for a part without `=`, and a name that has two units.

    >>> split_units(["m=kg,v=m/s", "a,b=1"], ["m", "v", "a,b"])
    {'m': 'kg', 'v': 'm/s', 'a,b': '1'}
    """
    if not options:
        return None
    units: dict[str, str] = {}
    for option in options:
        whole = [name for name in available if option.startswith(f"{name}=") and "," in name]
        for part in [option] if whole else [part for part in option.split(",") if part.strip()]:
            name, equals, unit = part.rpartition("=")
            if not equals or not name.strip() or not unit.strip():
                raise ValueError(f"the unit {part.strip()!r} is not of the form COLUMN=UNIT, such as v=m/s")
            if name.strip() in units:
                raise ValueError(
                    f"{name.strip()!r} has two units, {units[name.strip()]} and {unit.strip()}; give it one"
                )
            units[name.strip()] = unit.strip()
    return units


def choose_columns(
    place: str,
    available: Sequence[str],
    targets: Sequence[str],
    inputs: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
) -> list[str]:
    """Find the input columns of a table.

    **Arguments:**

    - `place`: what to call the table in an error.
    - `available`: its columns.
    - `targets`: the columns to model.
    - `inputs`: the columns to use; when `None`, all that are neither targets nor ignored.
    - `ignore`: columns to leave out.

    **Returns:** the names of the inputs, in the order of the table or of `inputs`.

    **Raises:** `ValueError` for a name that is not a column, or a column with two roles.
    """
    for role, names in (("target", targets), ("input", inputs or ()), ("ignored column", ignore)):
        for name in names:
            if name not in available:
                raise ValueError(f"{place} has no {role} {name!r}; {nearest(name, available)}")
        repeated = [name for name in names if list(names).count(name) > 1]
        if repeated:
            raise ValueError(f"the {role} {repeated[0]!r} is named twice; name it once")
    both = [name for name in targets if name in (inputs or ()) or name in ignore]
    if both:
        raise ValueError(f"{both[0]!r} is a target, so it can be neither an input nor ignored")
    clash = [name for name in inputs or () if name in ignore]
    if clash:
        raise ValueError(f"{clash[0]!r} is named both as an input and as ignored; choose one")
    chosen = (
        [name for name in available if name not in targets and name not in ignore] if inputs is None else list(inputs)
    )
    if not chosen:
        raise ValueError(f"{place} has no column left as an input; it has {', '.join(available)}")
    return chosen


def choose_categories(place: str, inputs: Sequence[str], categories: Sequence[str] | None) -> list[str]:
    """Check which inputs are categories.

    **Arguments:**

    - `place`: what to call the table in an error.
    - `inputs`: the names of the inputs.
    - `categories`: the names that were given, or nothing.

    **Raises:** `ValueError` for a name that is no input.
    """
    for name in categories or ():
        if name not in inputs:
            raise ValueError(f"{place} has no input {name!r} that could be a category; {nearest(name, inputs)}")
    return list(dict.fromkeys(categories or ()))


def nearest(name: str, available: Sequence[str]) -> str:
    """Say which of the available names was probably meant."""
    near = difflib.get_close_matches(name, available, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(available)}"
