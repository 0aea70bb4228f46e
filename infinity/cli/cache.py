"""Compiled programs are kept between commands, so that the second run of a kind starts at once.

They lie in `$INFINITY_CACHE`, else in `$XDG_CACHE_HOME/infinity` or `~/.cache/infinity`, in a folder for each machine, as programs compiled for one
processor may not run on another. `INFINITY_CACHE=off` keeps none.
"""

import os
import platform
from pathlib import Path


def keep_compiled() -> None:
    """Let JAX keep compiled programs, where their folder can be written."""
    place = cache_folder()
    if place is None:
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(place, os.W_OK):
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def cache_folder() -> Path | None:
    """The folder of compiled programs, or nothing where they are not to be kept."""
    chosen = os.environ.get("INFINITY_CACHE", "")
    if chosen.lower() == "off":
        return None
    try:
        home = Path(chosen or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return (home if chosen else home / "infinity") / f"{platform.node()}-{platform.machine()}"
