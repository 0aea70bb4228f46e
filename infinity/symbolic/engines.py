"""Plain symbolic regression on the raw data: one protocol, several engines, chosen by what is installed and said aloud.

An engine is called with inputs `(N, D)`, a target `(N,)`, weights or nothing, a seed and a budget of evaluations, and gives formulas as text in the
names `v0 .. v{D-1}`, which
`infinity.symbolic.parse` reads. Nothing that an engine says is executed. An engine that takes no weights (pyoperon) searches without them.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .candidates import Candidate, Data, best_first, polished
from .operators import Allowed
from .parse import parse
from .tree import FUNCTIONS

ENGINES = ("native", "pyoperon", "pysr")
# The functions that engines use besides the square, where nothing else is asked for.
OPERATORS = ("sin", "cos", "exp", "log", "sqrt", "tanh")
_EXTRAS = {"pyoperon": "sr", "pysr": "pysr"}


class Engine(Protocol):
    """Plain symbolic regression."""

    def __call__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        seed: int,
        evaluations: int,
        operators: Sequence[str] = OPERATORS,
    ) -> list[str]:
        """Formulas of these functions in `v0 .. v{D-1}`, in any order."""
        ...


def installed() -> list[str]:
    """The engines that are there; the native one always is.

    >>> from infinity.symbolic.engines import installed
    >>> installed()[0]
    'native'
    """
    return ["native", *(name for name in ENGINES[1:] if importlib.util.find_spec(name) is not None)]


def chosen(engine: str) -> str:
    """The engine that a name stands for: itself, or for `"auto"` pyoperon where it is installed, else the native one.

    **Raises:** `ValueError` for an unknown engine and for one that is not installed, with the line that installs it.
    """
    if engine == "auto":
        return "pyoperon" if "pyoperon" in installed() else "native"
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; expected 'auto' or one of {', '.join(ENGINES)}")
    if engine not in installed():
        raise ValueError(f"engine {engine!r} is not installed: pip install 'infinity[{_EXTRAS[engine]}]'")
    return engine


def plain_search(
    engine: str, data: Data, seed: int, evaluations: int, regressor: Any = None, allowed: Allowed = None
) -> list[Candidate]:
    """What plain symbolic regression finds in the raw data with the functions that are allowed, refined and scored as all candidates are."""
    if engine == "native":
        return []
    run: Engine = _pyoperon if engine == "pyoperon" else _PySR(regressor)
    x = np.stack(data.columns, axis=1)
    found = []
    operators = OPERATORS if allowed is None else sorted(allowed)
    for text in run(x, data.y, data.weights, seed, evaluations, operators):
        try:
            tree, constants = parse(text, [f"v{d}" for d in range(x.shape[1])])
        except ValueError:
            continue  # a function that formulas do not know
        found.append(polished(tree, constants, data, engine))
    return best_first(found)


def _pyoperon(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    seed: int,
    evaluations: int,
    operators: Sequence[str] = OPERATORS,
) -> list[str]:
    from pyoperon.sklearn import SymbolicRegressor  # pyright: ignore[reportMissingImports]

    regressor = SymbolicRegressor(
        allowed_symbols=",".join(("add", "sub", "mul", "div", "constant", "variable", "square", *operators)), objectives=["mse", "length"], max_length=40,
        optimizer_iterations=5, n_threads=1, random_state=seed, max_evaluations=evaluations, generations=evaluations, epsilon=0.0,
    )  # fmt: skip
    regressor.fit(np.array(x, float), np.array(y, float))  # its own, for it refuses what may not be written to
    names = {f"X{d + 1}": f"v{d}" for d in range(x.shape[1])}
    texts = []
    for model in regressor.pareto_front_:
        text = regressor.get_model_string(model["tree"], 17)
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        texts.append(text)
    return texts


class _PySR:
    """PySR's regressor behind the protocol; tests pass a stand-in, for its Julia runtime downloads itself."""

    def __init__(self, regressor: Any = None):
        self.regressor = regressor

    def __call__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        seed: int,
        evaluations: int,
        operators: Sequence[str] = OPERATORS,
    ) -> list[str]:
        regressor = self.regressor
        if regressor is None:
            from pysr import PySRRegressor  # pyright: ignore[reportMissingImports]

            regressor = PySRRegressor(
                binary_operators=["+", "-", "*", "/"], unary_operators=[*operators, "square"], random_state=seed,
                deterministic=True,
                parallelism="serial", max_evals=evaluations, progress=False, verbosity=0, temp_equation_file=True,
            )  # fmt: skip
        regressor.fit(x, y, weights=weights, variable_names=[f"v{d}" for d in range(x.shape[1])])
        return [_without_square(str(text)) for text in regressor.equations_["equation"]]


def _without_square(text: str) -> str:
    """`square(a)` as `(a)^2`."""
    while "square(" in text:
        start = text.index("square(")
        depth, end = 0, start + 6
        for end in range(start + 6, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                break
        text = f"{text[:start]}({text[start + 6 : end + 1]}^2){text[end + 1 :]}"
    return text


def check_operators(operators: Sequence[str] | None) -> tuple[str, ...] | None:
    """The operators that were asked for.

    **Raises:** `ValueError` for one that is not known.
    """
    known = [*FUNCTIONS, "sqrt"]
    for name in operators or ():
        if name not in known:
            raise ValueError(f"the operator {name!r} is not known; expected some of {', '.join(known)}")
    return None if operators is None else tuple(operators)
