"""Studies of laws as a TOML file: `[discover]`, `[surface]` or `[dynamics]`, and `[output]`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .motions import MOTIONS
from .problems import PROBLEMS
from .sections import Count, Output, Section, Seed
from .stress_states import YIELD_SURFACES

Noise = Annotated[list[Annotated[float, Field(ge=0.0, le=1.0)]], Field(min_length=1)]
# What else searches the same rows, and what is only fitted to them.
Peers = list[Literal["plain", "pyoperon", "polynomial"]]


class Discover(Section):
    """Formulas of named problems at several levels of noise, or of a table with several splits into seen and unseen rows."""

    problems: list[Literal[tuple(PROBLEMS)]] = []  # pyright: ignore[reportInvalidTypeForm]
    samples: Annotated[int, Field(ge=10)] = 300
    noise: Noise = [0.0]
    file: str | None = None
    source: str = ""
    inputs: dict[str, str] = {}
    targets: dict[str, str] = {}
    leave_out: list[Count] = []
    splits: Count = 5
    holdout: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    engine: Literal["native", "pyoperon", "pysr", "auto"] = "native"
    effort: Annotated[int, Field(ge=0)] = 12
    peers: Peers = ["plain", "pyoperon"]
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_source(self) -> "Discover":
        if bool(self.problems) == (self.file is not None):
            raise ValueError("give either problems or a file")
        given = self.model_fields_set
        if self.file is None and given & {"inputs", "targets", "splits", "holdout", "source", "leave_out"}:
            raise ValueError(
                "inputs, targets, splits, holdout, leave_out and source belong to a file; problems have theirs"
            )
        if self.file is not None and given & {"samples", "noise"}:
            raise ValueError("samples and noise belong to problems; a table has the rows it has")
        if self.file is not None and not (self.inputs and self.targets):
            raise ValueError(
                'say what is searched, as formulas of the columns: inputs = {e = "E/sy"} and targets = {...}'
            )
        both = [name for name in self.targets if name in self.inputs]
        if both:
            raise ValueError(f"{both[0]!r} is both an input and a target; give them different names")
        return self


class Surface(Section):
    """Yield surfaces from noisy states of stress on them."""

    problems: Annotated[list[Literal[tuple(YIELD_SURFACES)]], Field(min_length=1)]  # pyright: ignore[reportInvalidTypeForm]
    points: Annotated[int, Field(ge=20)] = 1000
    noise: Noise = [0.0]
    degree: Count = 2
    peers: Peers = ["plain", "pyoperon"]
    seed: Seed = 0


class Dynamics(Section):
    """Equations of motion from noisy trajectories; every so many samples of each are taken."""

    problems: Annotated[list[Literal[tuple(MOTIONS)]], Field(min_length=1)]  # pyright: ignore[reportInvalidTypeForm]
    noise: Noise = [0.0]
    every: Count = 1
    degree: Count = 2
    peers: Peers = ["plain", "pyoperon"]
    seed: Seed = 0


class FormulaConfig(Section):
    """One study of formulas."""

    discover: Discover
    output: Output = Output()


class SurfaceConfig(Section):
    """One study of surfaces."""

    surface: Surface
    output: Output = Output()


class DynamicsConfig(Section):
    """One study of equations of motion."""

    dynamics: Dynamics
    output: Output = Output()
