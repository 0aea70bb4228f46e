"""What every test shares: double precision available, and one fixture that runs a test in both precisions."""

import jax
import jax.numpy as jnp
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The two precisions that Infinity supports."""
    return jnp.dtype(request.param)
