"""How much of a run went into compiling: JAX reports each compilation, and this adds them up."""

import threading
import time

import jax

_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class _Compilation(threading.local):
    seconds: float = 0.0


_compilation = _Compilation()
_registered = threading.Lock()
_listening = False


def _listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event in _EVENTS:
        _compilation.seconds += duration_secs


class Stopwatch:
    """Wall-clock seconds since it was made, split into compiling and running.

    >>> from infinity.fitting.timing import Stopwatch
    >>> sorted(Stopwatch().seconds())
    ['compile', 'run']
    """

    def __init__(self):
        global _listening
        with _registered:
            if not _listening:
                jax.monitoring.register_event_duration_secs_listener(_listen)
                _listening = True
        self._start = time.perf_counter()
        self._compiled = _compilation.seconds

    def seconds(self) -> dict[str, float]:
        """Seconds spent so far in `"compile"` (tracing included) and `"run"` (all else)."""
        total = time.perf_counter() - self._start
        compiling = min(_compilation.seconds - self._compiled, total)
        return {"compile": compiling, "run": total - compiling}
