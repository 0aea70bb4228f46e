"""What this installation can do: devices, precisions, versions, optional parts and how to add a missing one."""

import importlib
import platform
import sys

from ..cache import cache_folder, chosen_folder

_CORE = ("infinity", "jax", "jaxlib", "equinox", "optimistix", "lineax", "optax", "numpy", "scipy", "sympy")
_OPTIONAL = {
    "sklearn": ("sklearn", "real tables and peers to compare with"),
    "plot": ("matplotlib", "pictures of a run"),
    "tables": ("pyarrow", "Parquet files"),
    "sr": ("pyoperon", "symbolic regression"),
    "pysr": ("pysr", "symbolic regression with PySR"),
    "fem": ("skfem", "finite-element meshes"),
}


def report() -> str:
    """Describe the installation, a line for each part.

    **Returns:** the text.
    """
    from ..io import version_of

    lines = [
        f"python      {platform.python_version()} on {platform.platform()}",
        f"executable  {sys.executable}",
        "",
        "versions",
    ]
    lines += [f"  {name:<12}{version_of(name) or 'missing'}" for name in _CORE]
    lines += ["", "devices", *_devices(), "", "precision", *_precision(), "", "compiled programs", *_compiled()]
    lines += ["", "optional parts"]
    lines += [_optional(extra, module, use) for extra, (module, use) in _OPTIONAL.items()]
    return "\n".join(lines)


def _compiled() -> list[str]:
    own, chosen = cache_folder(), chosen_folder()
    if chosen not in (None, own):
        return [f"  kept in {chosen}, which JAX's configuration names"]
    return ["  not kept" if own is None else f"  kept in {own}; INFINITY_CACHE names another place, or off"]


def _devices() -> list[str]:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        return [f"  JAX finds none: {' '.join(str(error).split())}"]
    lines = [f"  {device.platform}:{device.id}  {device.device_kind}" for device in devices]
    if all(device.platform == "cpu" for device in devices):
        lines.append("  no GPU; on a machine with an NVIDIA one: pip install 'infinity[cuda]'")
    return lines


def _precision() -> list[str]:
    import jax
    import jax.numpy as jnp

    lines = []
    for name in ("float32", "float64"):
        try:
            value = jnp.ones((), dtype=name) / 3
            found = f"works, resolution {jnp.finfo(name).eps:.0e}" if value.dtype == name else "not available"
        except (RuntimeError, ValueError) as error:
            found = f"fails: {' '.join(str(error).split())}"
        lines.append(f"  {name:<12}{found}")
    on = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    lines.append(f"  the command line computes in {'float64' if on else 'float32'}; in Python float64 needs")
    lines.append('  jax.config.update("jax_enable_x64", True) before the first array')
    return lines


def _optional(extra: str, module: str, use: str) -> str:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        reason = f"needs {error.name}" if error.name and error.name.split(".")[0] != module else "not installed"
    except Exception as error:  # a broken installation of an optional part must not hide the rest of the report
        reason = f"broken: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    else:
        return f"  {extra:<10}installed      {use}"
    return f"  {extra:<10}{reason}  {use}: pip install 'infinity[{extra}]'"
