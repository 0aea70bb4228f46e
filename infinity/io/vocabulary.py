"""Which classes and functions a model file may name: `name ↔ object`, from a list that the file cannot extend.

A file from a stranger must not run code of its choice. So nothing is ever imported or looked up by a name from a file:
a name is a key into a table built here, from Infinity's and Equinox's own modules, from a list of pure functions of
JAX, and from what the caller passes. JAX's namespaces are not taken whole, for they hold `jax.numpy.load` and
`jax.numpy.save`.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

_FUNCTIONS = {
    "jax.nn": (
        jax.nn,
        "celu elu gelu glu hard_sigmoid hard_silu hard_tanh identity leaky_relu log_sigmoid log_softmax logsumexp mish "
        "relu relu6 selu sigmoid silu soft_sign softmax softplus sparse_plus sparse_sigmoid squareplus standardize",
    ),
    "jax.numpy": (
        jnp,
        "abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil clip cos cosh divide exp exp2 "
        "expm1 floor heaviside hypot log log10 log1p log2 logaddexp max maximum mean min minimum multiply negative "
        "positive power prod reciprocal round sign sin sinc sinh sqrt square std subtract sum tan tanh var where "
        "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128",
    ),
    "jax.lax": (
        jax.lax,
        "abs acos acosh add asin asinh atan atan2 atanh cbrt ceil cos cosh div erf erf_inv erfc exp exp2 expm1 floor "
        "integer_pow lgamma digamma log log1p logistic max min mul neg pow reciprocal rsqrt sign sin sinh sqrt square "
        "stop_gradient sub tan tanh",
    ),
}

# Only these parts of Infinity hold models, and importing them runs no code that a file chose.
_MODEL_PARTS = ("infinity.basis", "infinity.models", "infinity.fitting", "infinity.symbolic")


def known_functions() -> dict[str, Callable[..., Any]]:
    """Return the functions that a file may name without being told, as `{name: function}`."""
    table: dict[str, Callable[..., Any]] = {}
    for namespace, (module, names) in _FUNCTIONS.items():
        for name in names.split():
            # Older and newer JAX releases miss a few; a file that names one says so when it is loaded.
            if hasattr(module, name):
                table[f"{namespace}.{name}"] = getattr(module, name)
    # The identity that Equinox gives an MLP's last layer is a private lambda.
    table["equinox.nn.identity"] = inspect.signature(eqx.nn.MLP).parameters["final_activation"].default
    return table


def class_name(cls: type) -> str:
    """Return the name under which a class is stored: the first two parts of its module, then the class.

    Inner module names are left out, so that a file survives the moving of a class within its part of the package.
    """
    if _is_library(cls):
        return ".".join([*cls.__module__.split(".")[:2], cls.__qualname__])
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_library(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "infinity" or cls.__module__.split(".")[:2] == ["equinox", "nn"]


def known_classes() -> dict[str, type]:
    """Return the module classes of Infinity and `equinox.nn`, as `{name: class}`."""
    for part in _MODEL_PARTS:
        importlib.import_module(part)
    table: dict[str, type] = {}
    waiting: list[type] = [eqx.Module]
    while waiting:
        cls = waiting.pop(0)
        waiting.extend(cls.__subclasses__())
        if _is_library(cls):
            # Parents come first: Equinox makes short-lived subclasses of the same name while it initialises.
            table.setdefault(class_name(cls), cls)
    return table


class Vocabulary:
    """The table of classes and functions for one save or load.

    **Arguments:**

    - `extra`: the caller's own classes and functions, known by their bare name so that a class saved from a script is
        found again when it is imported from a module.
    """

    def __init__(self, extra: Iterable[Any] = ()):
        self.functions = known_functions()
        self.classes = known_classes()
        self.extra: dict[str, Any] = {}
        for item in extra:
            name = getattr(item, "__qualname__", None)
            if name is None:
                raise ValueError(f"classes= takes classes and functions; got {item!r}. Pass the class itself")
            if self.extra.setdefault(name, item) is not item:
                raise ValueError(f"classes= holds two things called {name!r}; rename one of them")

    def name_of_function(self, function: Callable[..., Any]) -> str | None:
        """Return the stored name of a function, found by identity so that jitted wrappers need no unwrapping."""
        for name, known in self.functions.items():
            if known is function:
                return name
        qualified = getattr(function, "__qualname__", None)
        if qualified is None or "<lambda>" in qualified:
            return None
        return f"{getattr(function, '__module__', None)}.{qualified}"

    def find_class(self, name: str) -> type:
        """Return the class called `name`, or a `ValueError` that says how to provide it."""
        found = self.classes.get(name) or self._find_extra(name)
        if isinstance(found, type):
            return found
        if name.startswith(("infinity.", "equinox.nn.")):
            near = difflib.get_close_matches(name, self.classes, n=1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise ValueError(f"the class {name} is not in this version{hint}. Load it with the version that wrote it")
        bare = name.rpartition(".")[2]
        raise ValueError(
            f"the file holds an object of the class {name}, which is not part of Infinity. "
            f"If you trust it, import it and pass it: inf.load(path, classes=[{bare}])"
        )

    def find_function(self, name: str) -> Callable[..., Any]:
        """Return the function called `name`, or a `ValueError` that says how to provide it."""
        found = self.functions.get(name) or self._find_extra(name)
        if callable(found):
            return found
        bare = name.rpartition(".")[2]
        raise ValueError(
            f"the file names the function {name}, which is not on the list of functions that a file may use. "
            f"If you trust it, import it and pass it: inf.load(path, classes=[{bare}])"
        )

    def _find_extra(self, name: str) -> Any:
        """Return the longest dotted ending of `name` that the caller passed."""
        parts = name.split(".")
        for start in range(len(parts)):
            found = self.extra.get(".".join(parts[start:]))
            if found is not None:
                return found
        return None
