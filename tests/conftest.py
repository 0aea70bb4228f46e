"""What every test shares: double precision available, and one fixture that runs a test in both precisions."""

import os

import jax
import jax.numpy as jnp
import pytest

os.environ["INFINITY_CACHE"] = "off"  # tests leave nothing in the user's home
jax.config.update("jax_enable_x64", True)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The two precisions that Infinity supports."""
    return jnp.dtype(request.param)
