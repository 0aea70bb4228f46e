"""Compilation that takes less time where the compiler knows how."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp

# XLA's older emitters for the CPU compile large programs a third faster, and what they make runs as fast.
_QUICK = {"xla_cpu_use_fusion_emitters": False}
# Without optimisation besides, small programs compile in a third of the time, and loops over entries run up to ten times slower; products, factorisations
# and eigenvalues are library calls and do not.
_BRIEF = {**_QUICK, "xla_backend_optimization_level": 0}


@functools.cache
def compiler_options(brief: bool) -> dict[str, Any]:
    """The options for this device and version of the compiler, none where they do not apply."""
    options = _BRIEF if brief else _QUICK
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return compiler_options(False) if brief else {}
    return options


def quick_jit(fn: Callable) -> Callable:
    """`equinox.filter_jit` for large programs; its options are looked up at the first call."""
    return _compiled(fn, brief=False)


def brief_jit(fn: Callable) -> Callable:
    """`equinox.filter_jit` for programs that take longer to compile than they run; its options are looked up at the first call."""
    return _compiled(fn, brief=True)


def _compiled(fn: Callable, brief: bool) -> Callable:
    @functools.cache
    def program() -> Callable:
        return eqx.filter_jit(fn, compiler_options=compiler_options(brief))  # pyright: ignore[reportCallIssue]

    # A program within another has no options of its own.
    return functools.wraps(fn)(lambda *arguments: (fn if _traced(arguments) else program())(*arguments))


def _traced(arguments: Any) -> bool:
    """Whether a transformation of JAX is at work: then arrays are tracers, or become so."""
    leaves = (*jax.tree.leaves(arguments), jnp.zeros(()))
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
