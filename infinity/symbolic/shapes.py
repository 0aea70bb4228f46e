r"""The outer functions `g` and the modulating functions `k` of the library, each as a value with its slope and as a part of a formula.

A function that only rescales when its argument is scaled (`z^2`, `1/z`, `sqrt z`) or only shifts (`log z`) is *homogeneous*: its argument is `b h + 1`,
for any other shift says nothing new.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import jax.numpy as jnp
from jaxtyping import Array, Float

from .algebra import ONE, add, apply, mul, power
from .tree import Tree, number

Pair = tuple[Float[Array, "*n"], Float[Array, "*n"]]


@dataclasses.dataclass(frozen=True)
class Shape:
    """A function of one variable: its name, `z -> (g, g')`, its tree, whether it is homogeneous, and pairs `(b, d)` to start from where `|h| <= 1`."""

    name: str
    both: Callable[[Array], Pair]
    tree: Callable[[Tree], Tree]
    homogeneous: bool
    starts: tuple[tuple[float, float], ...]


_LINEAR = ((-0.9, 1.0), (-0.5, 1.0), (0.6, 1.0), (3.0, 1.0), (15.0, 1.0))
_EXP = ((-6.0, 0.0), (-2.0, 0.0), (-0.7, 0.0), (0.7, 0.0), (2.0, 0.0), (6.0, 0.0))
_WAVE = tuple(
    (float(b), d) for b in (0.8, 1.8, 3.0, 4.5, 6.0, 8.0, 10.0, 12.5, 15.0, 18.0, 22.0, 26.0) for d in (0.0, 1.57)
)
_BEND = ((1.0, 0.0), (3.0, 0.0), (3.0, -1.5), (3.0, 1.5), (8.0, -4.0), (1.0, 1.0), (-1.0, 1.0))
_HALF = Fraction(1, 2)


def _powered(exponent: Fraction, starts: tuple[tuple[float, float], ...] = _LINEAR) -> Shape:
    e = float(exponent)
    whole = exponent.denominator == 1

    def both(z: Array) -> Pair:
        safe = z if whole else jnp.where(z > 0, z, jnp.nan)
        below = safe ** (int(e) - 1) if whole else safe ** (e - 1)
        return below * safe, e * below

    return Shape(f"power {exponent}", both, lambda z: power(z, number(exponent)), True, starts)


def _bose(z: Array) -> Pair:
    grown = jnp.expm1(z)
    return 1 / grown, -(grown + 1) / grown**2


def _fermi(z: Array) -> Pair:
    value = 0.5 * (1 - jnp.tanh(z / 2))
    return value, -value * (1 - value)


def _entire(name: str, both: Callable[[Array], Pair], starts: tuple[tuple[float, float], ...]) -> Shape:
    return Shape(name, both, lambda z: apply(name, z), False, starts)


def _logarithm(z: Array) -> Pair:
    safe = jnp.where(z > 0, z, jnp.nan)
    return jnp.log(safe), 1 / safe


def _tanh(z: Array) -> Pair:
    value = jnp.tanh(z)
    return value, 1 - value**2


def _asin(z: Array) -> Pair:
    inside = jnp.where(jnp.abs(z) < 1, z, jnp.nan)
    return jnp.arcsin(inside), 1 / jnp.sqrt(1 - inside**2)


def _gauss(z: Array) -> Pair:
    value = jnp.exp(-(z**2))
    return value, -2 * z * value


def _tan(z: Array) -> Pair:
    value = jnp.tan(z)
    return value, 1 + value**2


SHAPES: tuple[Shape, ...] = (
    Shape("identity", lambda z: (z, jnp.ones_like(z)), lambda z: z, True, ((-0.5, 1.0), (0.5, 1.0), (5.0, 1.0))),
    _powered(Fraction(2), ((-1.5, 1.0), (-0.5, 1.0), (0.5, 1.0), (3.0, 1.0))),
    _powered(Fraction(3), ((-1.5, 1.0), (-0.5, 1.0), (0.5, 1.0), (3.0, 1.0))),
    _powered(Fraction(-1)),
    _powered(Fraction(-2)),
    _powered(_HALF),
    _powered(-_HALF),
    _powered(Fraction(3, 2)),
    _powered(Fraction(-3, 2)),
    Shape("log", _logarithm, lambda z: apply("log", z), True, _LINEAR),
    _entire("exp", lambda z: (jnp.exp(z), jnp.exp(z)), _EXP),
    _entire("sin", lambda z: (jnp.sin(z), jnp.cos(z)), _WAVE),
    Shape("sin^2", lambda z: (jnp.sin(z) ** 2, jnp.sin(2 * z)), lambda z: power(apply("sin", z), number(2)), False, _WAVE[:12]),
    _entire("tan", _tan, ((0.4, 0.0), (0.8, 0.0), (1.2, 0.0), (0.4, 0.7), (-0.5, 0.5))),
    _entire("tanh", _tanh, _BEND),
    _entire("atan", lambda z: (jnp.arctan(z), 1 / (1 + z**2)), _BEND),
    _entire("asin", _asin, ((0.4, 0.0), (0.7, 0.0), (0.95, 0.0), (0.4, 0.3), (-0.5, 0.3))),
    Shape("bose", _bose, lambda z: power(add(apply("exp", z), number(-1)), number(-1)), False, ((1.0, 0.5), (1.0, 0.0), (3.0, 0.0), (7.0, 0.0), (12.0, 0.0))),
    Shape("fermi", _fermi, lambda z: power(add(apply("exp", z), ONE), number(-1)), False, _BEND),
    Shape("gauss", _gauss, lambda z: apply("exp", mul(number(-1), power(z, number(2)))), False, ((1.0, 0.0), (2.5, 0.0), (2.5, -1.0), (5.0, -2.5), (2.5, 1.0))),
    Shape("1/(1+z^2)", lambda z: (1 / (1 + z**2), -2 * z / (1 + z**2) ** 2), lambda z: power(add(ONE, power(z, number(2))), number(-1)), False, _BEND),
    _entire("cosh", lambda z: (jnp.cosh(z), jnp.sinh(z)), ((1.0, 0.0), (2.5, 0.0), (2.5, 1.0))),
    _entire("sinh", lambda z: (jnp.sinh(z), jnp.cosh(z)), ((1.0, 0.0), (2.5, 0.0), (2.5, 1.0))),
    Shape("sech", lambda z: (1 / jnp.cosh(z), -jnp.tanh(z) / jnp.cosh(z)), lambda z: power(apply("cosh", z), number(-1)), False, ((1.0, 0.0), (2.5,
    0.0), (4.0, -1.5))),
)  # fmt: skip

# What modulates: k(w) with its slope in w = q t, and its tree.
MODULATIONS: tuple[tuple[str, Callable[[Array], Pair], Callable[[Tree], Tree]], ...] = (
    ("one", lambda w: (jnp.ones_like(w), jnp.zeros_like(w)), lambda w: ONE),
    ("cos", lambda w: (jnp.cos(w), -jnp.sin(w)), lambda w: apply("cos", w)),
    ("sin", lambda w: (jnp.sin(w), jnp.cos(w)), lambda w: apply("sin", w)),
    ("linear", lambda w: (w, jnp.ones_like(w)), lambda w: w),
    ("rational", lambda w: (1 / (1 + w), -1 / (1 + w) ** 2), lambda w: power(add(ONE, w), number(-1))),
)


def index_of(name: str) -> int:
    """The place of a shape in the library."""
    return [shape.name for shape in SHAPES].index(name)
