r"""A closed form `y = f(x; theta)` that was found or given: what it says, how sure it is, and every language it is wanted in."""

import re
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..io.export.latex import name_of, written
from ..io.export.text import MARK, columns, docstring, identifier
from .algebra import tidy
from .parse import parse
from .refine import refine
from .tree import Tree, check, evaluate, indices, size
from .written import NUMPY, C, latex_style, plain, to_sympy, write

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi "
    "Sigma Upsilon Phi Psi Omega"
)


class Formula(eqx.Module):
    """The JAX form of an expression: one point in, one value out; its constants `(K,)` are its only leaves.

    >>> import jax, jax.numpy as jnp, infinity as inf
    >>> formula = inf.Expression.parse("2.0*S^2", ["S"]).jax()
    >>> float(jax.grad(formula)(jnp.array([3.0]))[0])
    12.0
    """

    constants: Float[Array, " K"]
    tree: Tree = eqx.field(static=True)

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, ""]:
        """The value at a point `(D,)`."""
        value = evaluate(
            self.tree,
            [x[d] for d in range(x.shape[0])],
            [self.constants[k] for k in range(self.constants.shape[0])],
            jnp,
        )
        return jnp.asarray(value, jnp.result_type(x, self.constants))


class Expression(eqx.Module):
    r"""A formula with numbers in it, and what is known about them; it never changes, and its parts are plain data.

    **Fields:**

    - `tree`: the formula as nested tuples (`infinity.symbolic.tree`), `names` of its inputs and the name of its `target`.
    - `constants`, `errors`: the `K` numbers that were fitted, and their standard errors; `inf` where the data say nothing, NaN where nobody asked them.
    - `snapped`: for each exact number that was a fitted one: a tuple `(exact, fitted, error)`.
    - `metrics`: root mean square errors divided by the deviation of the target: `data`, `heldout`, `surrogate` (against the smooth model that was fitted
      to the same rows) and `beyond` (refitted without the outer rows of an input and judged on them, for the worst input), as far as they are known;
      `typical` is the size of the errors of `heldout` by the likelihood of Student's distribution.

    Made by `inf.discover`, or by `Expression.parse`. Saved and read by `inf.save` and `inf.load`; a file is only ever read, its words come from a fixed list.

    >>> import numpy as np, infinity as inf
    >>> e = inf.Expression.parse("2.5*exp(-lambda/S)", names=["lambda", "S"])
    >>> print(e)
    y = 2.5*exp(-lambda/S)
    >>> e(np.array([[0.0, 1.0]])).tolist()
    [2.5]
    >>> e.sympy
    2.5*exp(-lambda/S)
    >>> print(e.latex())
    y = 2.5 \, \exp\left(-\frac{\lambda}{S}\right)
    """

    tree: Tree
    constants: tuple[float, ...]
    names: tuple[str, ...]
    target: str = "y"
    errors: tuple[float, ...] = ()
    snapped: tuple[tuple[str, float, float], ...] = ()
    metrics: dict[str, float] = eqx.field(default_factory=dict)

    def __check_init__(self) -> None:
        """**Raises:** `ValueError` for a tree that names what is not there."""
        check(self.tree, len(self.names), len(self.constants))

    @staticmethod
    def parse(text: str, names: Sequence[str], target: str = "y") -> "Expression":
        """Read a formula from text: `+ - * / ^`, brackets, and `exp log sqrt sin cos tan asin acos atan sinh cosh tanh abs`.

        **Arguments:** the text, where a number with a point is a constant that may be refitted and an integer is exact; the `names` of the inputs.

        **Raises:** `ValueError` for what the grammar does not know.
        """
        tree, constants = parse(text, names)
        tree, constants = tidy(tree, constants)
        return Expression(tree, tuple(constants.tolist()), tuple(names), target, (float("nan"),) * len(constants))

    def __call__(self, x: Any) -> Float[np.ndarray, "*N"]:
        """The values, in double precision.

        **Arguments:** points `(N, D)`, or one point `(D,)`.

        **Returns:** `(N,)`, or `()`; NaN where the formula has no value.

        **Raises:** `ValueError` for another number of columns.
        """
        points = np.asarray(x, dtype=float)
        if points.ndim not in (1, 2) or points.shape[-1] != len(self.names):
            raise ValueError(
                f"x has shape {points.shape}; expected (N, {len(self.names)}) or ({len(self.names)},), the columns {', '.join(self.names)}"
            )
        check(self.tree, len(self.names), len(self.constants))
        with np.errstate(all="ignore"):
            value = evaluate(self.tree, list(points.T), self.constants)
        return np.broadcast_to(np.asarray(value, float), points.shape[:-1])

    def __str__(self) -> str:
        return f"{self.target} = {self.text()}"

    def text(self, digits: int = 6) -> str:
        """The right side as text that `Expression.parse` reads back."""
        names = [name if re.fullmatch(r"[^\W\d]\w*", name) else f"`{name}`" for name in self.names]
        return write(self.tree, names, self.constants, plain(digits))

    @property
    def complexity(self) -> int:
        """How many inputs, numbers, operations and functions it has."""
        return size(self.tree)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that occur."""
        return tuple(self.names[d] for d in indices(self.tree, "x"))

    @property
    def sympy(self) -> Any:
        """The SymPy expression of real symbols that are called as the columns are."""
        import sympy

        return to_sympy(self.tree, [sympy.Symbol(name, real=True) for name in self.names], self.constants)

    def latex(self, digits: int = 6) -> str:
        """The formula for a page, with so many significant digits."""
        style = latex_style(digits, written)
        return f"{_latex_name(self.target)} = {write(self.tree, [_latex_name(name) for name in self.names], self.constants, style)}"

    def jax(self) -> Formula:
        """An Equinox module whose constants are its leaves, in the precision that JAX works in."""
        return Formula(jnp.asarray(self.constants, dtype=jnp.result_type(float)), self.tree)

    def numpy(self, name: str = "predict") -> str:
        """The text of a Python module with a function from `(N, D)` to `(N,)` that needs NumPy only."""
        names = [f"x[..., {d}]" for d in range(len(self.names))]
        body = write(self.tree, names, self.constants, NUMPY)
        head = f'"""{docstring(str(self))}\n\n{MARK}. Inputs:\n{docstring(columns(self.names))}\n"""\n\nimport numpy as np\n\n\n'
        return f"{head}def {identifier(name)}(x):\n    x = np.asarray(x, dtype=float)\n    return {body} + np.zeros(x.shape[:-1])\n"

    def c(self, name: str = "predict") -> str:
        """The text of a C99 function from `const double *x` of length `D` to a `double`."""
        body = write(self.tree, [f"x[{d}]" for d in range(len(self.names))], self.constants, C)
        inputs = "\n".join(f" *{line}" for line in columns(self.names).splitlines())
        head = f"/* {MARK}. Inputs:\n{inputs}\n */\n#include <math.h>\n\n"
        return f"{head}double {identifier(name)}(const double *x)\n{{\n    return {body};\n}}\n"

    def refit(self, x: Any, y: Any, weights: Any = None) -> "Expression":
        """The same formula with its constants fitted to these measurements, from where they are; exact numbers stay.

        **Arguments:** `x` `(N, D)`; `y` `(N,)`; `weights` `(N,)`, non-negative.

        **Returns:** an expression with new constants, standard errors and the metric `data`.

        **Raises:** `ValueError` for shapes that do not fit, for fewer rows than constants, and where the formula has no value at one of the rows.

        >>> import numpy as np, infinity as inf
        >>> t = np.linspace(0, 1, 20)[:, None]
        >>> print(inf.Expression.parse("1.0*exp(-1.0*t)", ["t"]).refit(t, 3 * np.exp(-2 * t[:, 0])))
        y = 3.0*exp(-2.0*t)
        """
        points, values = np.asarray(x, float), np.asarray(y, float)
        if points.ndim != 2 or points.shape[1] != len(self.names) or values.shape != points.shape[:1]:
            raise ValueError(
                f"x has shape {points.shape} and y {values.shape}; expected (N, {len(self.names)}) and (N,), one row a measurement"
            )
        if len(values) < max(len(self.constants), 1):
            raise ValueError(
                f"there are {len(values)} rows for {len(self.constants)} constants; give at least as many rows"
            )
        before = self(points)
        if not np.all(np.isfinite(before)):
            row = int(np.argmin(np.isfinite(before)))
            raise ValueError(
                f"the formula has no finite value at row {row + 1}; leave such rows out or start from other constants"
            )
        known = None if weights is None else np.asarray(weights, float)
        found = refine(self.tree, self.constants, list(points.T), values, known)
        if found is None:
            return self
        errors = np.sqrt(np.diag(found.covariance))
        metrics = {**self.metrics, "data": float(np.sqrt(found.mean_square) / max(np.std(values), 1e-300))}
        constants = tuple(found.constants.tolist())
        return Expression(self.tree, constants, self.names, self.target, tuple(errors.tolist()), self.snapped, metrics)

    def error(self, x: Any, y: Any) -> float:
        """Root mean square error at measurements, divided by their standard deviation; infinite where the formula has no value."""
        values = np.asarray(y, float)
        off = self(x) - values
        return (
            float(np.sqrt(np.mean(off**2)) / max(np.std(values), 1e-300)) if np.all(np.isfinite(off)) else float("inf")
        )

    def with_metrics(self, **more: float) -> "Expression":
        """The same expression, with more known about its errors."""
        return Expression(
            self.tree, self.constants, self.names, self.target, self.errors, self.snapped, {**self.metrics, **more}
        )


def _latex_name(name: str) -> str:
    base, mark, index = name.partition("_")
    if base in _GREEK.split():
        base = f"\\{base}"
    elif not re.fullmatch(r"[A-Za-z]", base):
        found = re.fullmatch(r"([A-Za-z])(\d+)", name)
        return f"{found[1]}_{{{found[2]}}}" if found else name_of(name)
    return f"{base}_{{{name_of(index)}}}" if mark and index else base
