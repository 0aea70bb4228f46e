"""What every test shares: quick compilation, double precision available, and one fixture that runs a test in both precisions."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

jax.config.update("jax_enable_x64", True)

# What one process compiles, others of the same run need not: the first one makes a folder for programs, and removes it at its end.
os.environ["INFINITY_CACHE"] = "off"  # tests leave nothing in the user's home
PROGRAMS = "JAX_COMPILATION_CACHE_DIR"
if PROGRAMS not in os.environ:
    os.environ[PROGRAMS] = tempfile.mkdtemp(prefix="infinity-tests-")
    atexit.register(shutil.rmtree, os.environ[PROGRAMS], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = WORTH_KEEPING = "0.1"
jax.config.update("jax_compilation_cache_dir", os.environ[PROGRAMS])
jax.config.update("jax_persistent_cache_min_compile_time_secs", float(WORTH_KEEPING))

# Tests compile thousands of programs and run each a few times: unoptimised code halves the time of the suite. Processes that tests start inherit it.
# `INFINITY_TEST_OPTIMIZED=1` tests what users run; flags that are given are kept.
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if jax.__version_info__ < (0, 11):  # later ones end the process over a flag that they no longer know
    QUICK_TO_COMPILE += " --xla_cpu_use_fusion_emitters=false"
if not os.environ.get("INFINITY_TEST_OPTIMIZED") and not os.environ.get("XLA_FLAGS"):
    os.environ["XLA_FLAGS"] = QUICK_TO_COMPILE


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The two precisions that Infinity supports."""
    return jnp.dtype(request.param)


def pytest_collection_modifyitems(items):
    """The pages of the guide first: they are the longest tests, and at the end one process would wait for the other."""
    items.sort(key=lambda item: "test_pages" not in item.name)


# Linux grants a process 65,530 memory maps; every compiled program takes some, and XLA crashes without a word when none is left.
MANY_MAPS = 20_000


@pytest.fixture(scope="module", autouse=True)
def _few_programs():
    """Forget compiled programs before one process holds too many."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()
