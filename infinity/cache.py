"""Compiled programs are kept from one process to the next, so that a second one starts at once.

They lie in `$INFINITY_CACHE`, else in `$XDG_CACHE_HOME/infinity` or `~/.cache/infinity`, in a folder for each machine, as programs compiled for one
processor may not run on another. `INFINITY_CACHE=off` keeps none. The shell keeps its programs of its own accord.
"""

import os
import platform
from pathlib import Path


def keep_compiled(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Let JAX keep what it compiles from here on, and take from there what was compiled before, in this process or another.

    The first fit of a kind compiles for a quarter to half a minute on one core; a script or notebook that begins with `inf.keep_compiled()` pays for it
    once, not each time it is started. It is JAX's own persistent cache, and holds for all that JAX compiles in this process; a folder that was chosen through
    JAX's configuration before stays as it is, unless one is given here.

    **Arguments:** the folder to keep programs in; by default that of the module's text.

    **Returns:** where they are kept, or nothing where `INFINITY_CACHE` is `off` or the default folder cannot be written.

    **Raises:** `ValueError` where a given folder cannot be written.

    >>> import infinity as inf
    >>> folder = inf.keep_compiled()
    """
    import jax

    chosen = chosen_folder()
    if folder is None and chosen is not None:
        return chosen
    place = cache_folder() if folder is None else _of_this_machine(Path(folder).expanduser())
    if place is None:
        return None
    try:
        place.mkdir(parents=True, exist_ok=True)
        writable = os.access(place, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        if folder is not None:
            raise ValueError(f"compiled programs cannot be kept in {folder}; give a folder that can be written")
        return None
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return place


def chosen_folder() -> Path | None:
    """The folder that JAX's own configuration names, or nothing."""
    import jax

    chosen = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    return Path(chosen) if chosen else None


def cache_folder() -> Path | None:
    """The folder of compiled programs, or nothing where they are not to be kept."""
    chosen = os.environ.get("INFINITY_CACHE", "")
    if chosen.lower() == "off":
        return None
    try:
        home = Path(chosen or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return _of_this_machine(home if chosen else home / "infinity")


def _of_this_machine(folder: Path) -> Path:
    return folder / f"{platform.node()}-{platform.machine()}"
