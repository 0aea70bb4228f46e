"""What JAX does not promise to keep: traced programs, where a line came from, evaluation of one equation.

This is the one place that touches interfaces which differ between versions.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.core
import jaxtyping
import numpy as np
from jax.extend import core

Literal = core.Literal
ClosedJaxpr = core.ClosedJaxpr
Jaxpr = core.Jaxpr
Equation = core.JaxprEqn
Variable = core.Var

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (plain strings compare fastest)
_LIBRARIES = tuple(os.path.dirname(os.path.abspath(str(module.__file__))) + os.sep for module in (jax, eqx, jaxtyping))  # noqa: PTH100, PTH120
_ENGINE = (_HERE + os.sep, *_LIBRARIES)
_LIBRARY_PARTS = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}", f"{os.sep}lib{os.sep}python3")
_SYNTHETIC = ("<string>", "<frozen", "<@beartype", "<attrs", "<dataclass")
_TRACING = ("infer_params", "create_pjit_jaxpr", "trace_for_jit", "trace_to_jaxpr")


def trace(function: Callable[..., Any], specifications: Sequence[jax.ShapeDtypeStruct]) -> ClosedJaxpr:
    """Return the traced program of `function`; what it closes over becomes the program's constants."""
    return jax.make_jaxpr(function)(*specifications)


def is_tracer(value: object) -> bool:
    """Whether a value is unknown because an outer transformation is being traced."""
    return isinstance(value, jax.core.Tracer)


def is_key_type(dtype: Any) -> bool:
    """Whether a dtype is one of typed random keys, which NumPy cannot hold."""
    return jax.numpy.issubdtype(dtype, jax.dtypes.extended)


@functools.cache
def epsilon(dtype: Any) -> float:
    """Return the rounding of a floating-point dtype; 0 for any other."""
    if is_key_type(dtype) or not jax.numpy.issubdtype(dtype, np.inexact):
        return 0.0
    return float(jax.numpy.finfo(dtype).eps)


def sub_program(equation: Equation) -> tuple[Jaxpr, Sequence[Any]] | None:
    """Return the program that a call-like equation runs, and its constants."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        program = equation.params.get(name)
        if isinstance(program, ClosedJaxpr):
            return program.jaxpr, program.consts
        if isinstance(program, Jaxpr):
            return program, ()
    return None


def scan_layout(equation: Equation) -> tuple[int, int]:
    """Return how many inputs of a scan are captured and how many are carried."""
    params = equation.params
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    captured, carried, _ = params["ft_in"].unpack()
    return len(captured), len(carried)


def evaluate(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """Run one equation on concrete values, on the host where there is a host backend, even while JAX is tracing."""
    with jax.ensure_compile_time_eval(), _host():
        return bind(equation, values)


def bind(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """Apply the primitive of an equation to values, which may be traced."""
    bound = equation.primitive.get_bind_params(equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    results = equation.primitive.bind(*functions, *values, **params)
    return list(results) if equation.primitive.multiple_results else [results]


# Taylor rules of JAX that lose digits, or are not a number where the derivatives are: powers by the logarithm of the base, differences with one.
_WEAK_TAYLOR_RULES = frozenset(
    [
        "pow",
        "expm1",
        "log1p",
        "erfc",
        "asinh",
        "acosh",
        "atanh",
        "cumprod",
        "cummax",
        "cummin",
        "erf_inv",
        "atan2",
        "rem",
        "dynamic_update_slice",
    ]
)


def taylor_mode(
    function: Callable[[Any], list[Any]], program: ClosedJaxpr, at: Any, order: int
) -> list[list[Any]] | None:
    """Taylor coefficients of a function of one scalar by propagation of truncated series.

    **Arguments:** the `function`, its traced `program`, the point, the order (one at least).

    **Returns:** the coefficients of each order from zero on, `None` where the rules of JAX do not cover the program.
    """
    from jax.experimental.jet import jet

    if _names(program.jaxpr) & _WEAK_TAYLOR_RULES:
        return None
    one, zero = jax.numpy.ones_like(at), jax.numpy.zeros_like(at)
    try:
        first, others = jet(function, (at,), ([one] + [zero] * (order - 1),), factorial_scaled=False)
    except (KeyError, NotImplementedError, TypeError, ValueError, AttributeError):  # a primitive without a rule
        return None
    return [list(first), *([series[k] for series in others] for k in range(order))]


def _names(program: Jaxpr) -> set[str]:
    """Names of the primitives in a program and in those that it calls."""
    found: set[str] = set()
    for equation in program.eqns:
        found.add(equation.primitive.name)
        called = sub_program(equation)
        if called is not None:
            found |= _names(called[0])
    return found


def _host() -> contextlib.AbstractContextManager[Any]:
    if jax.default_backend() == "cpu":
        return contextlib.nullcontext()
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return contextlib.nullcontext()


def is_reference(aval: Any) -> bool:
    """Whether a value is a mutable reference, whose contents may change under way."""
    return any("Ref" in kind.__name__ for kind in type(aval).__mro__)


def has_effects(equation: Equation) -> bool:
    """Whether an equation may do more than compute its results."""
    return bool(equation.effects) or "callback" in equation.primitive.name


def is_raise(program: Jaxpr) -> bool:
    """Whether a branch does nothing but raise an error at run time, as `equinox.error_if` builds it."""
    callbacks = [equation.params.get("callback") for equation in program.eqns if "callback" in equation.primitive.name]
    names = [getattr(getattr(callback, "callback_func", callback), "__qualname__", "") for callback in callbacks]
    modules = [getattr(getattr(callback, "callback_func", callback), "__module__", "") or "" for callback in callbacks]
    return bool(names) and any(
        "raises" in name and module.startswith("equinox") for name, module in zip(names, modules, strict=True)
    )


def frames(equation: Equation, inside_jit: bool) -> Iterator[tuple[str, int]]:
    """File and line of each frame that led to an equation, innermost first.

    A jitted function is traced once and its program is reused, so frames outside its boundary may belong to an earlier
    call: they are left out when `inside_jit`.
    """
    traceback = equation.source_info.traceback
    if traceback is None:
        return
    for frame in traceback.frames:
        name = frame.file_name
        if inside_jit and any(word in frame.function_name for word in _TRACING):
            return
        yield name, frame.line_num


def user_frame(equation: Equation, inside_jit: bool, fallback: tuple[str, int] | None) -> tuple[str, int] | None:
    """Return the innermost frame of the user's own code, else `fallback`, else the innermost of another library."""
    return _users(frames(equation, inside_jit), fallback)


def caller() -> tuple[str, int] | None:
    """Return the innermost frame of the user's own code that is running now."""

    def running() -> Iterator[tuple[str, int]]:
        frame = sys._getframe(1)
        while frame is not None:
            yield frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back

    return _users(running(), None)


def _users(found: Iterator[tuple[str, int]], fallback: tuple[str, int] | None) -> tuple[str, int] | None:
    library = None
    for name, line in found:
        if name.startswith(_ENGINE) or name.startswith(_SYNTHETIC):
            continue
        if not any(part in name for part in _LIBRARY_PARTS):
            return name, line
        library = library or (name, line)
    return fallback or library


def as_array(value: Any, dtype: Any) -> np.ndarray | None:
    """Return a concrete value as a NumPy array; None for tracers, keys and deleted buffers."""
    if is_tracer(value) or is_key_type(dtype):
        return None
    try:
        return np.asarray(value, dtype=dtype)
    except RuntimeError:
        return None
