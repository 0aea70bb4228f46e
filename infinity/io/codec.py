"""A model as plain data and back: `model ↔ (JSON tree, {name: array})`.

    module → {"kind": "module", "class": name, "fields": {field: value}}
    array  → {"kind": "array", "name": "arrays/3.npy", "dtype": ..., "shape": ...}

Numbers, strings, `None` and lists stand for themselves; everything else is an object with a `kind`. Each value comes
back with the type and the bits it had. Modules are rebuilt without running their constructor: the fields are all
there is, as for any Equinox module.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .vocabulary import Vocabulary, class_name

_WIDE = ("float64", "int64", "uint64", "complex128")


def _storable(dtype: np.dtype) -> bool:
    """Numbers and truth values, and JAX's small floats, which numpy calls void (`V`)."""
    return dtype.kind in "biufc" or (dtype.kind == "V" and dtype.names is None and hasattr(jnp, dtype.name))


class Encoder:
    """Turns values into JSON data and collects their arrays; an array met twice is stored once.

    **Arguments:**

    - `vocabulary`: the classes and functions that need no permission to be loaded.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.arrays: dict[str, np.ndarray] = {}
        self._seen: dict[int, tuple[Any, dict[str, Any]]] = {}

    def encode(self, value: Any, where: str = "model") -> Any:
        """Return the JSON form of `value`; `where` is the path that an error names."""
        if isinstance(value, np.generic):
            return {"kind": "scalar", "array": self._array(np.asarray(value), where)}
        if value is None or isinstance(value, bool) or type(value) in (int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"kind": "float", "value": repr(value)}
        if type(value) is complex:
            return {"kind": "complex", "parts": [self.encode(value.real), self.encode(value.imag)]}
        if type(value) is list:
            return [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if type(value) is tuple:
            return {"kind": "tuple", "items": [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]}
        if type(value) is dict:
            pairs = [[self.encode(key, where), self.encode(item, f"{where}[{key!r}]")] for key, item in value.items()]
            return {"kind": "dict", "items": pairs}
        if isinstance(value, jax.Array | np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.dtype):
            return {"kind": "dtype", "name": value.name}
        if isinstance(value, eqx.Module) and not isinstance(value, type):
            return self._module(value, where)
        if callable(value):
            name = self.vocabulary.name_of_function(value)
            if name is not None:
                return {"kind": "function", "name": name}
            raise ValueError(
                f"cannot save {where}: {value!r} has no name to find it by. "
                "Use a function of jax.nn or jax.numpy, or define it with `def` at the top of a module"
            )
        raise ValueError(
            f"cannot save {where}: a {type(value).__name__} has no exact place in a model file. "
            "Model files hold Equinox modules, arrays, numbers, strings, tuples, lists and dicts"
        )

    def _module(self, value: eqx.Module, where: str) -> dict[str, Any]:
        cls = type(value)
        name = class_name(cls)
        if self.vocabulary.classes.get(name, cls) is not cls:
            raise ValueError(f"cannot save {where}: two classes share the name {name}; rename one of them")
        fields = {}
        for field in dataclasses.fields(cls):  # pyright: ignore[reportArgumentType]
            if field.name in value.__dict__:
                fields[field.name] = self.encode(value.__dict__[field.name], f"{where}.{field.name}")
        return {"kind": "module", "class": name, "fields": fields}

    def _array(self, value: Any, where: str) -> dict[str, Any]:
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            raise ValueError(f"cannot save {where}: a random key. Store jax.random.key_data(key) in the model instead")
        try:
            data = np.asarray(value)
        except jax.errors.TracerArrayConversionError as error:
            raise ValueError(f"cannot save {where}: it is being traced. Save outside jit, grad and vmap") from error
        if not _storable(data.dtype):
            raise ValueError(f"cannot save {where}: an array of dtype {data.dtype}; model files hold numbers only")
        entry: dict[str, Any] = {
            "kind": "array",
            "name": f"arrays/{len(self.arrays)}.npy",
            "dtype": data.dtype.name,
            "shape": list(data.shape),
            "jax": isinstance(value, jax.Array),
        }
        if isinstance(value, jax.Array) and value.weak_type:
            entry["weak"] = True
        self.arrays[entry["name"]] = data
        # The value is kept beside its entry, so that its id is not given to another object meanwhile.
        self._seen[id(value)] = (value, entry)
        return entry


class Decoder:
    """Turns JSON data and arrays back into values.

    **Arguments:**

    - `vocabulary`: the classes and functions that may be named.
    - `read`: `(name, dtype, shape) → array`, which checks what it reads.
    """

    def __init__(self, vocabulary: Vocabulary, read: Callable[[str, np.dtype, tuple[int, ...]], np.ndarray]):
        self.vocabulary = vocabulary
        self.read = read
        self._seen: dict[str, Any] = {}

    def decode(self, data: Any) -> Any:
        """Return the value of which `data` is the JSON form."""
        if data is None or isinstance(data, bool | int | float | str):
            return data
        if isinstance(data, list):
            return [self.decode(item) for item in data]
        try:
            kind = data["kind"]
            if kind == "array":
                return self._array(data)
            if kind == "module":
                return self._module(data)
            if kind == "tuple":
                return tuple(self.decode(item) for item in data["items"])
            if kind == "dict":
                return {self.decode(key): self.decode(item) for key, item in data["items"]}
            if kind == "scalar":
                return self._array(data["array"])[()]
            if kind == "function":
                return self.vocabulary.find_function(data["name"])
            if kind == "float":
                return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[data["value"]]
            if kind == "complex":
                real, imaginary = data["parts"]
                return complex(self.decode(real), self.decode(imaginary))
            if kind == "dtype":
                return jnp.dtype(data["name"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its header is malformed ({type(error).__name__}: {error})") from error
        raise ValueError(f"its header holds something of the unknown kind {kind!r}; update Infinity or check the file")

    def _array(self, data: dict[str, Any]) -> Any:
        name = data["name"]
        if name not in self._seen:
            self._seen[name] = self._make_array(data)
        return self._seen[name]

    def _make_array(self, data: dict[str, Any]) -> Any:
        dtype, shape = jnp.dtype(data["dtype"]), tuple(data["shape"])
        if not _storable(dtype) or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"its header declares an array of dtype {dtype} and shape {shape}, which cannot be")
        array = self.read(data["name"], dtype, shape)
        if not data["jax"]:
            return array
        if dtype.name in _WIDE and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                f"it holds {dtype.name} arrays, but JAX is set to 32 bits and would round them. "
                'Before the first array is made, add: jax.config.update("jax_enable_x64", True)'
            )
        value = jnp.asarray(array)
        if data.get("weak", False):
            value = jnp.broadcast_to(_weak_zero(dtype), shape).at[...].set(value)
        return value

    def _module(self, data: dict[str, Any]) -> Any:
        cls = self.vocabulary.find_class(data["class"])
        if not issubclass(cls, eqx.Module):
            raise ValueError(f"the class {cls.__name__} passed in classes= is not an Equinox module")
        stored = {name: self.decode(item) for name, item in data["fields"].items()}
        known = {field.name: field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
        strange = sorted(stored.keys() - known.keys())
        if strange:
            raise ValueError(f"{cls.__name__} has no field {strange[0]!r} here. Load it with the version that wrote it")
        value = object.__new__(cls)
        for name, field in known.items():
            if name in stored:
                object.__setattr__(value, name, stored[name])
            elif field.default is not dataclasses.MISSING:
                object.__setattr__(value, name, field.default)
            elif field.default_factory is not dataclasses.MISSING:
                object.__setattr__(value, name, field.default_factory())
            else:
                raise ValueError(
                    f"the field {name!r} of {cls.__name__} is missing. Load it with the version that wrote it"
                )
        for parent in cls.__mro__:
            check = parent.__dict__.get("__check_init__")
            if check is not None:
                check(value)
        return value


def _weak_zero(dtype: np.dtype) -> jax.Array:
    """Return a zero of the Python type behind a weakly typed array."""
    kind = {"b": False, "i": 0, "f": 0.0, "c": 0j}[dtype.kind]
    return jnp.asarray(kind)
