"""The closure check from the shell: `module:function → (fn, params, *args) → certificate`."""

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any


def check(function: str, args: str | None, require: str | None) -> int:
    """Print the certificate of a function of the user's.

    **Arguments:**

    - `function`: `module:name` or `path/to/file.py:name`. It names a tuple `(fn, params, *args)` or a function of
        nothing that returns one; with `args` given, it names `fn` itself.
    - `args`: names `(params, *args)` or a function of nothing that returns it.
    - `require`: `"affine"`, `"closed"` or `None`.

    **Returns:** the exit code: 1 when `require` is not met, else 0.

    **Raises:** `ValueError` that says what could not be found or called.
    """
    from ..closure import certify

    found = resolve(function)
    if args is None:
        fn, *rest = _tuple(found, function, "(fn, params, *args)", 2)
    else:
        fn, rest = found, list(_tuple(resolve(args), args, "(params, *args)", 1))
    if not callable(fn):
        raise ValueError(f"{function}: the first entry must be the function to check; got {_kind(fn)}")
    certificate = _guarded(f"tracing the function of {function}", lambda: certify(fn, *rest))
    print(certificate)
    met = {"affine": certificate.family in ("constant", "affine"), "closed": bool(certificate.closed)}
    if require is None or met[require]:
        return 0
    print(f"error: {function} was required to be {require}, and is {certificate.family}", file=sys.stderr)
    return 1


def resolve(reference: str) -> Any:
    """Find what `module:name` or `path/to/file.py:name` names; modules are also looked for in the current folder.

    **Arguments:**

    - `reference`: the text.

    **Raises:** `ValueError` that names the nearest thing there is.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"expected MODULE:FUNCTION or path/to/file.py:FUNCTION; got {reference!r}")
    value: Any = _module(place)
    for part in name.split("."):
        if not hasattr(value, part):
            public = [known for known in vars(value) if not known.startswith("_")] if hasattr(value, "__dict__") else []
            near = difflib.get_close_matches(part, public, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{place} has nothing called {part!r}{hint}")
        value = getattr(value, part)
    return value


def _module(place: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            folder = path.parent if path.parent.is_dir() else Path()
            near = difflib.get_close_matches(path.name, [entry.name for entry in folder.glob("*.py")], n=1)
            raise ValueError(f"there is no file {place}" + (f"; did you mean {folder / near[0]}?" if near else ""))
        sys.path.insert(0, str(path.parent.resolve()))
        name = f"_checked_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{place} cannot be loaded as Python")
        module, loader = importlib.util.module_from_spec(spec), spec.loader
        # Dataclasses, and with them Equinox modules, look their module up by name while they are made.
        sys.modules[name] = module
        _guarded(f"importing {place}", lambda: loader.exec_module(module))
        return module
    if not _guarded(f"importing {place}", lambda: _exists(place)):
        near = difflib.get_close_matches(place, [entry.stem for entry in Path().glob("*.py")], n=1)
        hint = (
            f"; did you mean {near[0]!r}?" if near else "; give the path of its file instead: path/to/file.py:FUNCTION"
        )
        raise ValueError(f"there is no module {place!r}{hint}")
    return _guarded(f"importing {place}", lambda: importlib.import_module(place))


def _exists(place: str) -> bool:
    try:
        return importlib.util.find_spec(place) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _tuple(found: Any, reference: str, shape: str, least: int) -> tuple[Any, ...]:
    """Return the tuple itself, or what a function of nothing returns."""
    value = found
    if callable(found):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise ValueError(
                f"{reference} must be callable without arguments and return {shape}, but: {error}. "
                "To check it as it is, name its arguments: --args MODULE:FUNCTION"
            ) from error
        value = _guarded(f"calling {reference}", found)
    if not isinstance(value, tuple) or len(value) < least:
        raise ValueError(f"{reference} must give {shape}; got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"


def _guarded(doing: str, action: Any) -> Any:
    """Run the user's code; whatever it raises becomes one sentence with the line of the user's own file."""
    try:
        return action()
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or "no message"
        raise ValueError(f"{doing} failed: {type(error).__name__}: {reason}{_where(error)}") from error


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    package = str(Path(__file__).parent.parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and not frame.filename.startswith((package, "<"))
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
