r"""Forms as they are written on paper: sums of products, in which every factor says what it depends on.

    a(u, v) - l(v) = sum_t  number_t  prod_k c_tk(x)  d^alpha u  d^beta v  on faces

Coordinates, known functions, trial and test functions multiply into terms and terms add up; nothing is evaluated before it is integrated. Only what
is linear in the test
function and at most linear in the trial function can be written; the rest belongs into `Energy` or `Weak`.
"""

import dataclasses
import numbers
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

_ROLES = ("trial", "test")


class _Algebra:
    """What coordinates and expressions have in common: sums, products, powers, and elementary functions.

    NumPy's functions of one argument, such as `np.sin`, act as the methods do.
    """

    def _expression(self) -> "Expression":
        raise NotImplementedError

    def __add__(self, other):
        other = as_expression(other)
        if other is None:
            return NotImplemented
        zero = lambda term: term.number == 0 and not term.factors  # what sum() begins with
        return Expression(tuple(term for term in self._expression().terms + other.terms if not zero(term)))

    def __radd__(self, other):
        return self.__add__(other)

    def __neg__(self):
        return self * -1.0

    def __pos__(self):
        return self._expression()

    def __sub__(self, other):
        other = as_expression(other)
        return NotImplemented if other is None else self + (-other)

    def __rsub__(self, other):
        return (-self).__add__(other)

    def __mul__(self, other):
        other = as_expression(other)
        if other is None:
            return NotImplemented
        return Expression(tuple(a.times(b) for a in self._expression().terms for b in other.terms))

    def __rmul__(self, other):
        return self.__mul__(other)

    def __truediv__(self, other):
        other = as_expression(other)
        if other is None:
            return NotImplemented
        number = other.number()
        if number is not None:
            if number == 0:
                raise ValueError("an expression is divided by zero; expected a number that is not")
            return self * (1.0 / number)
        return self * other.apply(np.reciprocal, "1/")

    def __rtruediv__(self, other):
        other = as_expression(other)
        return NotImplemented if other is None else other.__truediv__(self)

    def __pow__(self, exponent):
        if not isinstance(exponent, numbers.Real):
            return NotImplemented
        power = float(exponent)
        return self.apply(lambda a: a**power, "power", f"({{}})^{power:g}")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        binary = {np.add: "__add__", np.subtract: "__sub__", np.multiply: "__mul__", np.true_divide: "__truediv__"}
        if method == "__call__" and not options:
            if len(inputs) == 1:
                return self.apply(ufunc, ufunc.__name__)
            if ufunc in binary:
                left = as_expression(inputs[0])
                if left is not None:
                    return getattr(left, binary[ufunc])(inputs[1])
        return NotImplemented

    def apply(self, fn: Callable[[Any], Any], name: str = "function", label: str | None = None) -> "Expression":
        """A known expression put through a function of one number that works on arrays of NumPy."""
        whole = self._expression()
        if any(term.factors for term in whole.terms):
            raise ValueError(
                f"{name} is applied to {whole}; a form is linear in trial and test functions. Write what is not linear as inf.pde.Weak or inf.pde.Energy"
            )
        if any(term.faces for term in whole.terms):
            raise ValueError(f"{name} is applied to a face, {whole}; expected a function of the coordinates")
        number = whole.number()
        if number is not None:
            return Expression((Term(float(fn(np.float64(number)))),))
        coordinates = whole.coordinates
        evaluate = lambda *values: fn(whole.values(dict(zip(coordinates, values, strict=True))))
        return Expression((Term(1.0, (Function(coordinates, evaluate, (label or f"{name}({{}})").format(whole)),)),))

    def sin(self) -> "Expression":
        """The sine."""
        return self.apply(np.sin, "sin")

    def cos(self) -> "Expression":
        """The cosine."""
        return self.apply(np.cos, "cos")

    def exp(self) -> "Expression":
        """The exponential."""
        return self.apply(np.exp, "exp")

    def log(self) -> "Expression":
        """The natural logarithm."""
        return self.apply(np.log, "log")

    def sqrt(self) -> "Expression":
        """The square root."""
        return self.apply(np.sqrt, "sqrt")

    def tanh(self) -> "Expression":
        """The hyperbolic tangent."""
        return self.apply(np.tanh, "tanh")


@dataclasses.dataclass(frozen=True)
class Coordinate(_Algebra):
    """A direction of space, the time, or a parameter.

    Made by `coordinates`. It is known by its name, and in a form it stands for the function that returns it.

    >>> from infinity.pde import coordinates
    >>> x, y = coordinates("x y")
    >>> print(2 * x.sin() * y - 1)
    2 sin(x) y - 1
    """

    name: str

    def __hash__(self) -> int:
        return hash(self.name)

    def _expression(self) -> "Expression":
        return Expression((Term(1.0, (Function((self,), lambda t: t, self.name),)),))

    def at(self, value: float | int) -> "Expression":
        """The face on which this coordinate has a value: a term with this factor is integrated over that face alone.

        >>> from infinity.pde import coordinates, test
        >>> x, y = coordinates("x y")
        >>> print(3 * test() * x.at(1))
        3 v at x=1
        """
        return Expression((Term(1.0, faces=((self, float(value)),)),))

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """A known function of some coordinates; `evaluate` takes arrays that broadcast, one a coordinate, and returns one."""

    coordinates: tuple[Coordinate, ...]
    evaluate: Callable[..., Any]
    label: str


@dataclasses.dataclass(frozen=True)
class Factor:
    """A derivative of the trial or of the test function: `orders` counts the derivatives by coordinate, in the order of the names."""

    role: Literal["trial", "test"]
    component: int = 0
    components: int = 1
    orders: tuple[tuple[Coordinate, int], ...] = ()

    def derived(self, coordinate: Coordinate, order: int) -> "Factor":
        """The derivative of this one."""
        orders = dict(self.orders)
        orders[coordinate] = orders.get(coordinate, 0) + order
        return dataclasses.replace(self, orders=tuple(sorted(orders.items(), key=lambda pair: pair[0].name)))

    def order(self, coordinate: Coordinate) -> int:
        """How often it is differentiated in a coordinate."""
        return dict(self.orders).get(coordinate, 0)

    def __str__(self) -> str:
        letter = ("u" if self.role == "trial" else "v") + (f"[{self.component}]" if self.components > 1 else "")
        return letter + "".join(f".d({c})" if k == 1 else f".d({c}, {k})" for c, k in self.orders if k)


@dataclasses.dataclass(frozen=True)
class Term:
    """A product: a number, known functions, derivatives of the trial and of the test function, and faces."""

    number: float
    functions: tuple[Function, ...] = ()
    factors: tuple[Factor, ...] = ()
    faces: tuple[tuple[Coordinate, float], ...] = ()

    def times(self, other: "Term") -> "Term":
        """The product of two terms.

        **Raises:** `ValueError` for a second trial or test function, and for two faces of one coordinate.
        """
        factors = self.factors + other.factors
        for role, letter in zip(_ROLES, "uv", strict=True):
            found = [str(factor) for factor in factors if factor.role == role]
            if len(found) > 1:
                raise ValueError(
                    f"{' * '.join(found)} is not linear in {letter}; a form takes one {role} function a term. For a nonlinear problem write "
                    "inf.pde.Weak(lambda x, u, du, v, dv: ...) or inf.pde.Energy(lambda x, u, du: ...)"
                )
        for coordinate, value in self.faces:
            for other_coordinate, other_value in other.faces:
                if coordinate == other_coordinate:
                    raise ValueError(
                        f"a term lies on {coordinate}={value:g} and on {coordinate}={other_value:g}; expected one face a coordinate. Add two terms instead"
                    )
        return Term(self.number * other.number, self.functions + other.functions, factors, self.faces + other.faces)

    def factor(self, role: str) -> Factor | None:
        """The trial or the test function of this term, or nothing."""
        return next((factor for factor in self.factors if factor.role == role), None)

    def __str__(self) -> str:
        number = [] if self.number == 1 and (self.functions or self.factors) else [f"{self.number:g}"]
        words = (
            number
            + [f.label for f in self.functions]
            + [str(f) for f in sorted(self.factors, key=lambda f: f.role != "trial")]
        )
        return " ".join(words) + "".join(f" at {c}={value:g}" for c, value in self.faces)


@dataclasses.dataclass(frozen=True, eq=False)
class Expression(_Algebra):
    """A sum of products of known functions of coordinates, a trial and a test function.

    >>> from infinity.pde import coordinates, test, trial
    >>> (x,), u, v = coordinates("x"), trial(), test()
    >>> print(u.d(x) * v.d(x) - x.exp() * v)
    u.d(x) v.d(x) - exp(x) v
    """

    terms: tuple[Term, ...]

    def _expression(self) -> "Expression":
        return self

    def d(self, coordinate: Coordinate, order: int = 1) -> "Expression":
        """The derivative of a trial or test function in a coordinate.

        **Raises:** `ValueError` for an expression that holds anything else: derivatives of products are written out.
        """
        if not isinstance(coordinate, Coordinate) or order < 0:
            raise ValueError(f".d got {coordinate!r} and order {order}; expected a coordinate and a number from 0")
        terms = []
        for term in self.terms:
            if len(term.factors) != 1 or term.functions or term.faces:
                raise ValueError(
                    f".d({coordinate}) is taken of {term}; expected a trial or test function alone. Write k * u.d(x), and products by the product rule"
                )
            terms.append(dataclasses.replace(term, factors=(term.factors[0].derived(coordinate, order),)))
        return Expression(tuple(terms))

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """All coordinates that are named, in the order of their first appearance."""
        found: dict[Coordinate, None] = {}
        for term in self.terms:
            for function in term.functions:
                found.update(dict.fromkeys(function.coordinates))
            for factor in term.factors:
                found.update(dict.fromkeys(c for c, _ in factor.orders))
            found.update(dict.fromkeys(c for c, _ in term.faces))
        return tuple(found)

    def number(self) -> float | None:
        """The number that this expression is, or nothing if it depends on anything."""
        if any(term.functions or term.factors or term.faces for term in self.terms):
            return None
        return float(sum(term.number for term in self.terms))

    def values(self, at: Mapping[Coordinate, Any]) -> Any:
        """The values of a known expression where the coordinates have the values `at`, arrays that broadcast.

        **Raises:** `ValueError` where a coordinate has no value or the expression holds a trial or test function.
        """
        total: Any = 0.0
        for term in self.terms:
            if term.factors or term.faces:
                raise ValueError(f"{term} is no known function; expected one of the coordinates alone")
            missing = [c.name for f in term.functions for c in f.coordinates if c not in at]
            if missing:
                raise ValueError(f"{self} depends on {missing[0]}, which has no value here")
            product: Any = term.number
            for function in term.functions:
                product = product * function.evaluate(*(at[c] for c in function.coordinates))
            total = total + product
        return total

    def __str__(self) -> str:
        text = ""
        for term in self.terms or (Term(0.0),):
            sign = "-" if term.number < 0 else "+"
            part = str(dataclasses.replace(term, number=abs(term.number)))
            text += f" {sign} {part}" if text else (part if sign == "+" else f"-{part}")
        return text


Known: TypeAlias = Expression | Coordinate | float | int


def as_expression(value: Any) -> Expression | None:
    """A number, a coordinate or an expression as an expression; nothing for anything else."""
    if isinstance(value, _Algebra):
        return value._expression()
    if isinstance(value, numbers.Real) or (hasattr(value, "shape") and value.shape == ()):
        return Expression((Term(float(value)),))
    return None
