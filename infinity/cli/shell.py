"""What all commands share: the application that they belong to, how JAX is set up for them, the largest seed."""

from typing import Annotated

import typer

app = typer.Typer(
    name="infinity",
    help="Differentiable models of physical systems that are solved rather than trained.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

LARGEST_SEED = 2**32 - 1


class Resumable(BaseException):
    """An interruption after which the same command goes on with `--resume`."""


def prepare_jax(float32: bool) -> None:
    """Set the precision, before the first array is made, and keep compiled programs."""
    import jax

    from ..cache import keep_compiled

    jax.config.update("jax_enable_x64", not float32)
    keep_compiled()


@app.callback()
def _options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose, for bug reports.")] = False,
) -> None:
    """Differentiable models of physical systems that are solved rather than trained."""
