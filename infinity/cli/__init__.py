"""The command line: `infinity fit`, `predict`, `export`, `invert`, `discover`, `dynamics`, `surface`, `run`, `check` and `doctor`."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 a required property is missing, 2 wrong input.

    **Arguments:**

    - `arguments`: what follows the command's name; those of the process when `None`.
    """
    from .application import run

    raise SystemExit(run(arguments))
