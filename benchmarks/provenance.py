"""Where a figure comes from: versions, device, precision, commit, date and seed, for the head of every result file."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("infinity", "jax", "equinox", "optimistix", "optax", "numpy", "scipy")


def commit() -> str:
    """Name the commit of the working tree, with a mark if files differ from it."""
    try:
        name = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        state = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return "unknown (git is not installed)"
    if name.returncode:
        return "unknown (not a git checkout)"
    return name.stdout.strip() + (" with uncommitted changes" if state.stdout.strip() else "")


def processor() -> str:
    """Name the processor as the system does, with the number of cores."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


def provenance(seed: int | str | None = None, packages: Sequence[str] = ()) -> dict[str, str]:
    """Gather versions, device, dtype, commit, date and seed.

    **Arguments:** `seed`, the seed or seeds of the run, if it has any; `packages`, the peers whose versions belong there too, where they are installed.

    **Returns:** a name and a text for each.
    """
    device = jax.devices()[0]
    load = f"; load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "device": processor() + load if device.platform == "cpu" else f"{device.device_kind} ({processor()}{load})",
        "default dtype": str(jnp.result_type(float)),
        "versions": ", ".join(
            f"{name} {importlib.metadata.version(name)}" for name in (*PACKAGES, *_installed(packages))
        ),
        "python": platform.python_version(),
        "seed": "none needed" if seed is None else str(seed),
    }


def _installed(packages: Sequence[str]) -> list[str]:
    found = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
    return [name for name in packages if name in found]


def header(seed: int | str | None = None, packages: Sequence[str] = ()) -> str:
    """Write the provenance as a markdown list."""
    return "\n".join(f"- {name}: {text}" for name, text in provenance(seed, packages).items())
