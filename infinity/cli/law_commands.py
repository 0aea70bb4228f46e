"""The commands that find laws: `discover`, `dynamics` and `surface`, with their options."""

from pathlib import Path
from typing import Annotated

import typer

from .shell import LARGEST_SEED, app, prepare_jax


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
    units: Annotated[
        list[str] | None,
        typer.Option(
            "--units", help="The unit of every column and of the target: m=kg,v=m/s,E=J; 1 for a pure number."
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="What is known, with ? for what is not: '9.81*m*h + ?'.")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="What searches the raw data beside us: auto, native, pyoperon or pysr.")
    ] = "auto",
    effort: Annotated[int, typer.Option("--effort", min=0, help="How many surrogates the search may fit.")] = 12,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of held-out rows and of the engine.")
    ] = 0,
    plots: Annotated[bool, typer.Option(help="Draw front.png and parity.png.")] = True,
) -> None:
    """Find closed forms for a column of a table."""
    from ..io import column_names, read_table
    from .columns import choose_columns, split_names, split_units
    from .discover import discover_formula

    folder = _folder(data, "formula", out)
    available = column_names(data)
    chosen = choose_columns(
        str(data), available, [target], split_names(inputs, available), split_names(ignore, available) or []
    )
    table = read_table(data, [*chosen, target])
    prepare_jax(False)
    words = (
        None if operators is None else [word.strip() for item in operators for word in item.split(",") if word.strip()]
    )
    known = split_units(units, [*chosen, target])
    discover_formula(table, chosen, target, folder, words, engine, effort, seed, plots, known, template)


@app.command("dynamics")
def _dynamics(
    data: Annotated[Path, typer.Argument(help="The table of one trajectory or of several, each in the order of time.")],
    time: Annotated[str, typer.Option("--time", "-t", help="The column of times.")],
    states: Annotated[
        list[str] | None, typer.Option("--states", help="The states: a,b. [default: all that is left]")
    ] = None,
    controls: Annotated[list[str] | None, typer.Option("--controls", help="Inputs that are known: u,v.")] = None,
    trajectory: Annotated[
        str | None, typer.Option("--trajectory", help="The column that says which trajectory a row belongs to.")
    ] = None,
    degree: Annotated[int, typer.Option("--degree", help="The highest total power of a term.")] = 2,
    terms: Annotated[
        list[str] | None, typer.Option("--term", help="One more term, such as 'x/(1 + x)'; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder for the law. [default: runs/<name of DATA>-dynamics]")
    ] = None,
) -> None:
    """Find the equations of motion of measured trajectories."""
    from ..io import column_names, read_table
    from .columns import choose_columns, split_names
    from .laws import find_dynamics

    folder = _folder(data, "dynamics", out)
    available = column_names(data)
    if time not in available:
        raise ValueError(f"{data} has no column {time!r} for the times; there are {', '.join(available)}")
    driven = split_names(controls, available) or []
    which = [] if trajectory is None else [trajectory]
    chosen = choose_columns(str(data), available, [time, *driven, *which], split_names(states, available), [])
    table = read_table(data, [time, *chosen, *driven, *which], which)
    prepare_jax(False)
    find_dynamics(table, time, chosen, driven, folder, degree, terms or [], trajectory)


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
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of the points that are held out.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder for the law. [default: runs/<name of DATA>-surface]")
    ] = None,
) -> None:
    """Find the formula that has one value on all points."""
    from ..io import column_names, read_table
    from .columns import choose_columns, split_names
    from .laws import find_surface

    folder = _folder(data, "surface", out)
    available = column_names(data)
    chosen = choose_columns(str(data), available, [], split_names(columns, available), [])
    table = read_table(data, chosen)
    prepare_jax(False)
    find_surface(table, chosen, folder, stress, degree, terms or [], seed)


def _folder(data: Path, what: str, out: Path | None) -> Path:
    """Where a law is written, which nothing of the user's stands in the way of."""
    from ..io import check_writable
    from .folder import check_replaceable

    folder = Path("runs") / f"{data.stem}-{what}" if out is None else out
    check_replaceable(folder)
    check_writable(folder)
    return folder
