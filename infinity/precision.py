"""Double precision for the time of one call, whatever the global setting of JAX.

JAX keeps this setting for each thread, and its compiled programs for each value of it, so nothing outside the `with` changes. An array made inside keeps
its 64 bits after it; only new computations outside follow the global setting again.
"""

from contextlib import AbstractContextManager
from typing import Any

import jax


def double_precision() -> AbstractContextManager[Any]:
    """A context in which JAX computes in 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    return enable_x64(True)
