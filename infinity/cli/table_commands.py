"""The commands of tables and their models: `fit`, `predict`, `export` and `invert`, with their options."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from .shell import LARGEST_SEED, Resumable, app, prepare_jax


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
    accuracy: Annotated[
        float | None,
        typer.Option(
            "--accuracy",
            help="The error that suffices, as a part of the target's deviation, such as 0.01: the plainest model that has it. [default: the best model]",
        ),
    ] = None,
    holdout: Annotated[
        float, typer.Option("--holdout", min=0.0, max=0.9, help="Part of the rows kept for testing.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides the split and the start.")] = 0,
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
        "elements": elements, "degree": degree, "link": link, "local": local, "accuracy": accuracy,
        "levels": levels, "lower": lower, "upper": upper, "terms": terms,
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
    prepare_jax(float32)
    options = FitOptions(
        modes=modes, elements=elements, degree=degree, link=link.value if link else None, local=local, accuracy=accuracy, holdout=holdout, seed=seed,
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
            raise Resumable from None
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

    prepare_jax(False)
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

    prepare_jax(False)
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
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides the starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The table to write. [default: inverted.csv; none for --calibrate]"),
    ] = None,
) -> None:
    """Find the inputs that give a value, the extremes of a model, or the inputs that explain observations."""
    prepare_jax(False)
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
