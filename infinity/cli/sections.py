"""What sections of all configuration files share: keys that are not known are refused, and values are of their type."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Names = list[str]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A part of a file with a heading of its own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Output(Section):
    """The run folder, relative to the current folder."""

    folder: str | None = None
    plots: bool = True
