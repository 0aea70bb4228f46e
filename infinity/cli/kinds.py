"""Which kinds of model the shell fits, and which options belong to one of them alone."""

from collections.abc import Callable, Iterable

KINDS = ("khronos", "aion")

# Options, or an option with one of its values, that only one kind understands.
_ONLY = {
    "khronos": (
        "elements", "degree", "link", "local", "accuracy", "levels", "lower", "upper", "categorical", "missing indicator", "resume",
    ),
    "aion": ("terms", "outside extrapolate"),
}  # fmt: skip


def check_kind(kind: str, given: Iterable[str], written: Callable[[str], str] = str) -> None:
    """Refuse options of another kind of model than the one that is fitted.

    **Arguments:**

    - `kind`: one of `KINDS`.
    - `given`: the options that were given, such as `elements`, or with their value, `outside extrapolate`.
    - `written`: how the user writes such an option.

    **Raises:** `ValueError` that names them.

    >>> check_kind("aion", ["modes", "terms"])
    >>> check_kind("khronos", ["terms"], lambda option: f"--{option}")
    Traceback (most recent call last):
    ValueError: --terms is for the model aion, not khronos; leave it out, or choose model aion
    """
    other = next(name for name in KINDS if name != kind)
    wrong = [option for option in given if option in _ONLY[other]]
    if wrong:
        names, (verb, them) = ", ".join(map(written, wrong)), ("is", "it") if len(wrong) == 1 else ("are", "them")
        raise ValueError(f"{names} {verb} for the model {other}, not {kind}; leave {them} out, or choose model {other}")
