"""The commands and their options: `arguments → command → exit code`.

Only the options are declared here, in `table_commands` and in `law_commands`; each command imports its work when it runs, so that `--help` is immediate and
double precision is set before the first array is made. A mistake of the user's is one line on stderr and exit code 2.
"""

import enum
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import table_commands  # noqa: F401 - these come first in the help

# isort: split
from . import law_commands  # noqa: F401
from .shell import Resumable, app, prepare_jax

# The base of every error about how a command was called; where its module lives differs between versions of typer.
_UsageError: Any = typer.BadParameter.__mro__[1]


class Verdict(enum.StrEnum):
    """What `infinity check` may require."""

    AFFINE = "affine"
    CLOSED = "closed"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    **Arguments:**

    - `arguments`: what follows the command's name; those of the process when `None`.

    **Returns:** the exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    traceback_wanted = "--traceback" in given[:1]
    kept = "no half-written file is left"
    previous = _stop_like_an_interrupt()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            code = command.main(args=given or ["--help"], prog_name="infinity", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Resumable:
        code = 130
        again = given if "--resume" in given else [*given, "--resume"]
        kept = f"what is finished is kept; go on with: infinity {shlex.join(again)}"
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        help_command = f"{context.command_path} --help" if context is not None else "infinity --help"
        return _fail(f"{error.format_message().rstrip('.')}. See: {help_command}")
    except (ValueError, OSError) as error:
        if traceback_wanted:
            raise
        return _fail(_sentence(error))
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    if code == 130:
        print(f"interrupted; {kept}", file=sys.stderr)
    return int(code or 0)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _stop_like_an_interrupt() -> Any:
    """Make a polite kill clean up as Ctrl-C does; returns the handler that was there."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        return signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        return None


@app.command("run")
def _run(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="TOML files, such as those in configs/.")],
    float32: Annotated[bool, typer.Option("--float32", help="Single precision, whatever the configs say.")] = False,
) -> None:
    """Carry out the runs that configuration files describe."""
    from .configured import run_configs

    run_configs(configs, float32, prepare_jax)


@app.command("check")
def _check(
    function: Annotated[
        str, typer.Argument(metavar="MODULE:FUNCTION", help="Gives (fn, params, *args); or fn, with --args.")
    ],
    args: Annotated[str | None, typer.Option("--args", help="MODULE:FUNCTION that gives (params, *args).")] = None,
    require: Annotated[
        Verdict | None,
        typer.Option("--require", help="Exit with code 1 unless the verdict is this."),
    ] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Single precision.")] = False,
) -> None:
    """Say how the parameters of a function enter it, and what can be solved exactly."""
    from .check import check

    prepare_jax(float32)
    raise typer.Exit(check(function, args, None if require is None else require.value))


@app.command("doctor")
def _doctor() -> None:
    """Show devices, precisions, versions, and which optional parts are installed."""
    from .doctor import report

    prepare_jax(False)
    print(report())
