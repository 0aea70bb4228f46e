"""A run as a TOML file: `[data] [model] [fit] [output] [compare] [planes] [invert]`, or one of `[equation] [discover] [surface] [dynamics]` and `[output]`.

Pydantic checks the values; what it says is turned into the file, the line of the key, and the nearest valid key.
"""

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from .kinds import KINDS, check_kind
from .law_config import DynamicsConfig, FormulaConfig, SurfaceConfig
from .peers import PEERS
from .problems import PROBLEMS
from .sections import Count, Names, Output, Section, Seed

DATASETS = ("sklearn:diabetes",)


class Data(Section):
    """Where the rows come from: exactly one of `file`, `generate` and `dataset`."""

    file: str | None = None
    generate: Literal[tuple(PROBLEMS)] | None = None  # pyright: ignore[reportInvalidTypeForm]
    dataset: Literal[DATASETS] | None = None  # pyright: ignore[reportInvalidTypeForm]
    samples: Annotated[int, Field(ge=2)] = 10_000
    seed: Seed = 0
    target: str | Names | None = None
    inputs: Names | None = None
    ignore: Names = []
    categorical: Names = []
    missing: Literal["error", "drop", "indicator"] = "error"

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        given = [name for name in ("file", "generate", "dataset") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of file, generate and dataset; got {', '.join(given) or 'none'}")
        if self.file is not None and self.target is None:
            raise ValueError('name the target: target = "..."')
        if self.generate is None and {"samples", "seed"} & self.model_fields_set:
            raise ValueError("samples and seed belong to generate; a table has the rows it has")
        if self.file is None and (self.categorical or self.missing != "error"):
            raise ValueError("categorical and missing belong to file; what is generated or fetched holds numbers alone")
        return self


class Model(Section):
    """The kind and size of the model and the bounds of its targets; what is left out is chosen."""

    kind: Literal[KINDS] = "khronos"  # pyright: ignore[reportInvalidTypeForm]
    terms: Count | None = None
    modes: Count | None = None
    elements: Count | None = None
    degree: Annotated[int, Field(ge=0)] | None = None
    link: Literal["identity", "log", "logit", "square"] | None = None
    local: bool | None = None
    accuracy: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    levels: Names = []
    lower: float | list[float] | None = None
    upper: float | list[float] | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Model":
        check_kind(self.kind, [name for name in type(self).model_fields if name in self.model_fields_set])
        return self


class Fit(Section):
    """How to fit and how to judge."""

    holdout: Annotated[float, Field(ge=0.0, le=0.9)] = 0.1
    seed: Seed = 0
    outside: Literal["error", "warn", "clamp", "linear", "nan", "extrapolate"] | None = None
    precision: Literal["float32", "float64"] = "float64"


class Compare(Section):
    """Other regressors to run on the same rows."""

    peers: list[Literal[PEERS]] = []  # pyright: ignore[reportInvalidTypeForm]


class Planes(Section):
    """Where three minimisers begin that are compared on planes of the loss: amplitude, alpha, omega and phase of one atom, at the time zero."""

    start: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None


class Invert(Section):
    """What is asked of the fitted model: points with a value, the least and the greatest value."""

    value: float | None = None
    count: Count = 1000
    fix: dict[str, float | str] = {}
    target: str | None = None
    method: Literal["projection", "bracketing", "coordinate"] = "projection"
    coordinate: str | None = None
    seed: Seed = 0
    least: bool = False
    greatest: bool = False

    @model_validator(mode="after")
    def _asks(self) -> "Invert":
        if self.value is None and not self.least and not self.greatest:
            raise ValueError("nothing is asked; give a value, least = true or greatest = true")
        return self


class Equation(Section):
    """A differential equation with a known answer, and the sizes it is solved on."""

    problem: Literal["poisson", "poisson sines", "heat", "advection-diffusion", "burgers", "elasticity"]
    degrees: Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1)] = [3]
    cells: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)] = [4, 8, 16]
    modes: Count | None = None
    estimate: bool = True


class EquationConfig(Section):
    """One study of an equation."""

    equation: Equation
    output: Output = Output()


class Config(Section):
    """One run."""

    data: Data
    model: Model = Model()
    fit: Fit = Fit()
    output: Output = Output()
    compare: Compare = Compare()
    planes: Planes = Planes()
    invert: Invert | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Config":
        given = [f"missing {self.data.missing}", f"outside {self.fit.outside}"]
        check_kind(self.model.kind, ["categorical", *given] if self.data.categorical else given)
        if self.planes.start is not None and (self.model.kind, self.model.terms, self.model.modes or 1) != (
            "aion",
            1,
            1,
        ):
            raise ValueError('planes are drawn for a single atom; give the model kind = "aion" and terms = 1')
        return self


AnyConfig = Config | EquationConfig | FormulaConfig | SurfaceConfig | DynamicsConfig
# The section that says what kind of run a file describes; without one of them it fits a model to a table.
_KINDS = {"equation": EquationConfig, "discover": FormulaConfig, "surface": SurfaceConfig, "dynamics": DynamicsConfig}


def load_config(path: Path) -> AnyConfig:
    """Read and check a configuration file.

    **Arguments:**

    - `path`: the TOML file.

    **Returns:** the checked configuration.

    **Raises:** `OSError` where it cannot be read; `ValueError` that names the file, the line, the key, and the nearest
    valid key or what was expected.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a TOML file")
    if not path.exists():
        siblings = [entry.name for entry in path.parent.glob("*.toml")]
        near = difflib.get_close_matches(path.name, siblings, n=1)
        raise FileNotFoundError(
            f"there is no file {path}" + (f"; did you mean {path.parent / near[0]}?" if near else "")
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason})") from error
    try:
        content = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise ValueError(f"{path}, line {line}: this is not TOML: {reason}") from error
    kind = next((_KINDS[section] for section in content if section in _KINDS), Config)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ValueError(_explain(path, text, error, kind)) from error


def _explain(path: Path, text: str, error: ValidationError, kind: type[BaseModel]) -> str:
    problems = error.errors(include_url=False)
    # A key that does not exist explains more than what is missing because of it.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    keys = [
        str(part)
        for part in first["loc"]
        if isinstance(part, str) and part not in ("str", "float", "list[str]", "list[float]")
    ]
    line = _line_of(text, keys)
    where = f"{path}, line {line}" if line else str(path)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    name = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no key {name!r}; {_nearest_key(keys, kind)}{more}"
    if first["type"] == "missing":
        if len(keys) > 1:
            return f"{where}: {name} is missing{more}"
        return f"{where}: the section [{name}] is missing; it says where the rows come from{more}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    got = "" if first["type"] == "value_error" else f"; got {first['input']!r}"
    return f"{where}: {f'{name}: ' if name else ''}{message}{got}{more}"


def _sections(kind: type[BaseModel]) -> dict[str, list[str]]:
    kinds = {name: (field.annotation, *get_args(field.annotation)) for name, field in kind.model_fields.items()}
    return {
        name: list(part.model_fields)
        for name, found in kinds.items()
        for part in found
        if isinstance(part, type) and issubclass(part, BaseModel)
    }


def _nearest_key(keys: Sequence[str], kind: type[BaseModel]) -> str:
    sections = _sections(kind)
    if len(keys) == 1:
        homes = [section for section, names in sections.items() if keys[0] in names]
        if homes:
            return f"it belongs in [{homes[0]}]"
        near = difflib.get_close_matches(keys[0], sections, n=1, cutoff=0.4)
        return f"did you mean [{near[0]}]?" if near else f"the sections are {', '.join(sections)}"
    section, key = keys[0], keys[1]
    near = difflib.get_close_matches(key, sections[section], n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    homes = [other for other, names in sections.items() if key in names]
    if homes:
        return f"it belongs in [{homes[0]}]"
    return f"[{section}] has {', '.join(sections[section])}"


def _line_of(text: str, keys: Sequence[str]) -> int | None:
    """Find the line of a key, or of the deepest part of it that is written out."""
    section: list[str] = []
    best, depth = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        assignment = re.match(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=", line)
        if header:
            section = _parts(header[1])
            found = section
        elif assignment:
            found = [*section, *_parts(assignment[1])]
        else:
            continue
        common = 0
        while common < min(len(found), len(keys)) and found[common] == keys[common]:
            common += 1
        if common > depth:
            best, depth = number, common
    return best


def _parts(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]
