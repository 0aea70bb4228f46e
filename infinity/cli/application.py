"""The commands and their options: `arguments → command → exit code`.

Only the options are declared here; each command imports its work when it runs, so that `--help` is immediate and
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

app = typer.Typer(
    name="infinity",
    help="Differentiable models of physical systems that are solved rather than trained.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

# The base of every error about how a command was called; where its module lives differs between versions of typer.
_UsageError: Any = typer.BadParameter.__mro__[1]

_LARGEST_SEED = 2**32 - 1


class _Resumable(BaseException):
    """An interruption after which the same command goes on with `--resume`."""


class Link(enum.StrEnum):
    """What a model describes."""

    IDENTITY = "identity"
    LOG = "log"
    LOGIT = "logit"
    SQUARE = "square"


class Missing(enum.StrEnum):
    """What becomes of missing values."""

    ERROR = "error"
    DROP = "drop"
    INDICATOR = "indicator"


class Outside(enum.StrEnum):
    """What a model does outside the range of its table."""

    ERROR = "error"
    WARN = "warn"
    CLAMP = "clamp"
    LINEAR = "linear"
    NAN = "nan"
    EXTRAPOLATE = "extrapolate"


class Kind(enum.StrEnum):
    """What kind of model is fitted."""

    KHRONOS = "khronos"
    AION = "aion"


class Format(enum.StrEnum):
    """What a model can be written as."""

    NUMPY = "numpy"
    C = "c"
    SYMPY = "sympy"
    LATEX = "latex"
    JSON = "json"


class Search(enum.StrEnum):
    """How points with a value are searched."""

    PROJECTION = "projection"
    BRACKETING = "bracketing"
    COORDINATE = "coordinate"


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
    except _Resumable:
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


def _prepare_jax(float32: bool) -> None:
    import jax

    from .cache import keep_compiled

    jax.config.update("jax_enable_x64", not float32)
    keep_compiled()


@app.callback()
def _options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose, for bug reports.")] = False,
) -> None:
    """Differentiable models of physical systems that are solved rather than trained."""


@app.command("fit")
def _fit(
    data: Annotated[Path, typer.Argument(help="The table: CSV, TSV, Parquet or NPZ, with named columns.")],
    target: Annotated[list[str], typer.Option("--target", "-t", help="The column to model. Repeat for several.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run folder. [default: runs/<name of DATA>]")
    ] = None,
    inputs: Annotated[list[str] | None, typer.Option("--inputs", help="Only these inputs: a,b,c.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="All columns but these: a,b,c.")] = None,
    categorical: Annotated[
        list[str] | None, typer.Option("--categorical", help="Inputs that are categories, such as text: a,b,c.")
    ] = None,
    missing: Annotated[
        Missing,
        typer.Option("--missing", help="Rows with missing values: refused, dropped, or kept with an indicator."),
    ] = Missing.ERROR,
    lower: Annotated[
        list[float] | None, typer.Option("--lower", help="Lower bound of the target. Repeat for several targets.")
    ] = None,
    upper: Annotated[
        list[float] | None, typer.Option("--upper", help="Upper bound of the target. Repeat for several targets.")
    ] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option("--levels", help="Numeric inputs whose repeated values have an effect of their own: a,b,c."),
    ] = None,
    model: Annotated[
        Kind,
        typer.Option("--model", help="Separable splines, or exponential-trigonometric atoms, for signals over time."),
    ] = Kind.KHRONOS,
    terms: Annotated[
        int | None, typer.Option("--terms", min=1, help="Atoms of an AION in each factor. [default: chosen]")
    ] = None,
    modes: Annotated[int | None, typer.Option("--modes", min=1, help="Products in the sum. [default: chosen]")] = None,
    elements: Annotated[
        int | None, typer.Option("--elements", min=1, help="Spline cells an input. [default: chosen]")
    ] = None,
    degree: Annotated[
        int | None, typer.Option("--degree", min=0, help="Degree of the splines. [default: chosen]")
    ] = None,
    link: Annotated[
        Link | None,
        typer.Option(
            "--link",
            help="What the model describes: the target, its logarithm, its logit between bounds, or its square. [default: chosen]",
        ),
    ] = None,
    local: Annotated[
        bool | None,
        typer.Option(help="Add what the nearest measurements say, where that pays. [default: where it can]"),
    ] = None,
    holdout: Annotated[
        float, typer.Option("--holdout", min=0.0, max=0.9, help="Part of the rows kept for testing.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, max=_LARGEST_SEED, help="Decides the split and the start.")] = 0,
    outside: Annotated[
        Outside | None,
        typer.Option(
            "--outside", help="What the model does outside the table's range. [default: warn; of an AION: extrapolate]"
        ),
    ] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Single precision.")] = False,
    plots: Annotated[bool, typer.Option(help="Draw parity.png and factors.png, of a signal forecast.png.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the same fit where it was interrupted.")] = False,
) -> None:
    """Turn a table into a model and write a run folder."""
    from ..io import check_writable, column_names, read_table
    from .columns import choose_categories, choose_columns, split_names
    from .folder import check_replaceable, journal_of
    from .kinds import check_kind
    from .task import FitOptions, Source, execute

    given = {
        "elements": elements, "degree": degree, "link": link, "local": local, "levels": levels, "lower": lower, "upper": upper, "terms": terms,
        "categorical": categorical, "resume": resume or None, f"missing {missing.value}": missing, f"outside {outside and outside.value}": outside,
    }  # fmt: skip
    check_kind(model.value, [name for name, value in given.items() if value is not None], lambda name: f"--{name}")
    folder = Path("runs") / data.stem if out is None else out
    check_replaceable(folder)
    check_writable(folder)
    available = column_names(data)
    chosen = choose_columns(
        str(data), available, target, split_names(inputs, available), split_names(ignore, available) or []
    )
    categories = choose_categories(str(data), chosen, split_names(categorical, available))
    table = read_table(data, [*chosen, *target], categories, missing != Missing.ERROR)
    _prepare_jax(float32)
    options = FitOptions(
        modes=modes, elements=elements, degree=degree, link=link.value if link else None, local=local, holdout=holdout, seed=seed,
        outside=outside.value if outside else None, model=model.value, terms=terms,
        precision="float32" if float32 else "float64", plots=plots, missing=missing.value,
        levels=tuple(split_names(levels, available) or ()), lower=tuple(lower or ()), upper=tuple(upper or ()),
    )  # fmt: skip
    source = Source(
        str(data), table.matrix(chosen), table.matrix(target), tuple(chosen), tuple(target), tuple(categories)
    )
    journal = journal_of(folder, resume)
    try:
        execute(source, options, folder, journal=journal)
    except KeyboardInterrupt:
        from ..fitting.journal import is_journal

        if is_journal(journal):
            raise _Resumable from None
        raise


@app.command("predict")
def _predict(
    run: Annotated[Path, typer.Argument(help="A run folder or a model file.")],
    data: Annotated[Path, typer.Argument(metavar="NEW", help="A table with the model's input columns, in any order.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table of predictions to write.")] = Path(
        "predictions.csv"
    ),
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Accept columns the model does not use.")
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Also write where a new measurement will lie, with probability --level.")
    ] = False,
    level: Annotated[float, typer.Option("--level", min=0.01, max=0.999, help="Of the intervals.")] = 0.9,
) -> None:
    """Predict the rows of a new table with a fitted model."""
    from .predict import predict

    _prepare_jax(False)
    predict(run, data, out, ignore_extra, level if intervals else None)


@app.command("export")
def _export(
    run: Annotated[Path, typer.Argument(help="A run folder or a model file.")],
    to: Annotated[Format, typer.Option("--to", help="What to write.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file to write, - for standard output. [default: beside RUN, named after it]"
        ),
    ] = None,
    digits: Annotated[int, typer.Option("--digits", min=1, max=17, help="Digits of the numbers in LaTeX.")] = 6,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that no export wrote.")] = False,
) -> None:
    """Write a fitted model as code or data that needs no Infinity."""
    from .export import write_export

    _prepare_jax(False)
    write_export(run, to.value, out, digits, force)


@app.command("invert")
def _invert(
    run: Annotated[Path, typer.Argument(help="A run folder or a model file.")],
    value: Annotated[float | None, typer.Option("--value", help="The value that the target shall have.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many points with that value.")] = 1000,
    fix: Annotated[
        list[str] | None, typer.Option("--fix", help="Hold an input: name=value. Repeat for several.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="Which target, where there are several.")] = None,
    method: Annotated[
        Search, typer.Option("--method", help="Along the gradient, between two points, or along one input.")
    ] = Search.PROJECTION,
    coordinate: Annotated[
        str | None, typer.Option("--coordinate", help="The input that moves, with that method.")
    ] = None,
    least: Annotated[bool, typer.Option("--least", help="Find the least value, with a proof.")] = False,
    greatest: Annotated[bool, typer.Option("--greatest", help="Find the greatest value, with a proof.")] = False,
    calibrate: Annotated[
        Path | None, typer.Option("--calibrate", help="A table of observations; infers the inputs it lacks.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", min=0.0, help="Deviation of the observations. [default: inferred]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=_LARGEST_SEED, help="Decides the starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The table to write. [default: inverted.csv; none for --calibrate]"),
    ] = None,
) -> None:
    """Find the inputs that give a value, the extremes of a model, or the inputs that explain observations."""
    _prepare_jax(False)
    from .inversion import TABLE, InvertOptions, calibrate_table, invert, read_fixed
    from .predict import fitted_of

    asked = [name for name, on in (("--value", value is not None), ("--least", least), ("--greatest", greatest)) if on]
    if calibrate is not None and asked:
        raise ValueError(f"--calibrate and {asked[0]} are two questions; ask them one after the other")
    if noise is not None and calibrate is None:
        raise ValueError("--noise belongs to --calibrate; leave it out")
    fixed, fitted = read_fixed(fix), fitted_of(run)
    if calibrate is not None:
        calibrate_table(fitted, calibrate, fixed, noise, out)
        return
    options = InvertOptions(value, count, fixed, target, method.value, coordinate, seed, least, greatest)
    invert(fitted, options, Path(TABLE) if out is None else out)


@app.command("discover")
def _discover(
    data: Annotated[Path, typer.Argument(help="The table: CSV, TSV, Parquet or NPZ, with named columns.")],
    target: Annotated[str, typer.Option("--target", "-t", help="The column that the formula is for.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The folder for formulas and pictures. [default: runs/<name of DATA>-formula]"
        ),
    ] = None,
    inputs: Annotated[list[str] | None, typer.Option("--inputs", help="Only these inputs: a,b,c.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="All columns but these: a,b,c.")] = None,
    operators: Annotated[
        list[str] | None, typer.Option("--operators", help="Only these functions: exp,log,sqrt.")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="What searches the raw data beside us: auto, native, pyoperon or pysr.")
    ] = "auto",
    effort: Annotated[int, typer.Option("--effort", min=0, help="How many surrogates the search may fit.")] = 12,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=_LARGEST_SEED, help="Of held-out rows and of the engine.")
    ] = 0,
    plots: Annotated[bool, typer.Option(help="Draw front.png and parity.png.")] = True,
) -> None:
    """Find closed forms for a column of a table."""
    from ..io import check_writable, column_names, read_table
    from .columns import choose_columns, split_names
    from .discover import discover_formula
    from .folder import check_replaceable

    folder = Path("runs") / f"{data.stem}-formula" if out is None else out
    check_replaceable(folder)
    check_writable(folder)
    available = column_names(data)
    chosen = choose_columns(
        str(data), available, [target], split_names(inputs, available), split_names(ignore, available) or []
    )
    table = read_table(data, [*chosen, target])
    _prepare_jax(False)
    words = (
        None if operators is None else [word.strip() for item in operators for word in item.split(",") if word.strip()]
    )
    discover_formula(table, chosen, target, folder, words, engine, effort, seed, plots)


@app.command("dynamics")
def _dynamics(
    data: Annotated[Path, typer.Argument(help="The table of one trajectory, in the order of time.")],
    time: Annotated[str, typer.Option("--time", "-t", help="The column of times.")],
    states: Annotated[
        list[str] | None, typer.Option("--states", help="The states: a,b. [default: all that is left]")
    ] = None,
    controls: Annotated[list[str] | None, typer.Option("--controls", help="Inputs that are known: u,v.")] = None,
    degree: Annotated[int, typer.Option("--degree", help="The highest total power of a term.")] = 2,
    terms: Annotated[
        list[str] | None, typer.Option("--term", help="One more term, such as 'x/(1 + x)'; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder for the law. [default: runs/<name of DATA>-dynamics]")
    ] = None,
) -> None:
    """Find the equations of motion of a measured trajectory."""
    from ..io import check_writable, column_names, read_table
    from .columns import choose_columns, split_names
    from .folder import check_replaceable
    from .laws import find_dynamics

    folder = Path("runs") / f"{data.stem}-dynamics" if out is None else out
    check_replaceable(folder)
    check_writable(folder)
    available = column_names(data)
    driven = split_names(controls, available) or []
    chosen = choose_columns(str(data), available, [time, *driven], split_names(states, available), [])
    table = read_table(data, [time, *chosen, *driven])
    _prepare_jax(False)
    find_dynamics(table, time, chosen, driven, folder, degree, terms or [])


@app.command("surface")
def _surface(
    data: Annotated[Path, typer.Argument(help="The table of points.")],
    columns: Annotated[list[str] | None, typer.Option("--columns", help="Only these coordinates: a,b,c.")] = None,
    stress: Annotated[
        bool,
        typer.Option(
            "--stress", help="Three principal stresses, or the components xx,yy,zz,yz,xz,xy: offer invariants."
        ),
    ] = False,
    degree: Annotated[int, typer.Option("--degree", help="The highest total power of a term.")] = 2,
    terms: Annotated[
        list[str] | None, typer.Option("--term", help="One more term, such as 'x*y^2'; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=_LARGEST_SEED, help="Of the points that are held out.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder for the law. [default: runs/<name of DATA>-surface]")
    ] = None,
) -> None:
    """Find the formula that has one value on all points."""
    from ..io import check_writable, column_names, read_table
    from .columns import choose_columns, split_names
    from .folder import check_replaceable
    from .laws import find_surface

    folder = Path("runs") / f"{data.stem}-surface" if out is None else out
    check_replaceable(folder)
    check_writable(folder)
    available = column_names(data)
    chosen = choose_columns(str(data), available, [], split_names(columns, available), [])
    table = read_table(data, chosen)
    _prepare_jax(False)
    find_surface(table, chosen, folder, stress, degree, terms or [], seed)


@app.command("run")
def _run(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="TOML files, such as those in configs/.")],
    float32: Annotated[bool, typer.Option("--float32", help="Single precision, whatever the configs say.")] = False,
) -> None:
    """Carry out the runs that configuration files describe."""
    from .configured import run_configs

    run_configs(configs, float32, _prepare_jax)


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

    _prepare_jax(float32)
    raise typer.Exit(check(function, args, None if require is None else require.value))


@app.command("doctor")
def _doctor() -> None:
    """Show devices, precisions, versions, and which optional parts are installed."""
    from .doctor import report

    _prepare_jax(False)
    print(report())
