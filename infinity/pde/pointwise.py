r"""Nonlinear problems, written at a point: an energy to make stationary, or a weak form to make zero.

    Energy:  int e(x, u, grad u) dx -> stationary         Weak:  int w(x, u, grad u; v, grad v) dx = 0 for all v

Both give the flux `c = (c_0, .., c_D)` that multiplies `(v, grad v)`, and its tangent, by differentiation of what the user wrote:

    c_a = d e / d(u, grad u)_a,      T_ab = d c_a / d(u, grad u)_b

A solution with components has `u_k` and `grad u_k` for each of them, one after another.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..closure import certify
from ..precision import double_precision
from .expressions import Coordinate, Expression


@dataclasses.dataclass(frozen=True)
class Energy:
    """An energy density, of which the integral is made stationary.

    **Arguments:**

    - `density`: `(x, u, du)` to a number: the point `(D,)`, the value `()` and the gradient `(D,)`, in the order of the coordinates of the space; with
      components the values `(O,)` and the gradients `(O, D)`.
    - `parameters`: coordinates in which nothing is differentiated: the problem is solved at each of their Gauss points.
    - `faces`: `{x.at(1): density}`, energies that are integrated over faces alone: a flux `-q u`, or a radiating wall `u**5 / 5 - u`.
    - `components`: of the solution, such as a displacement; nothing for a number.

    >>> import infinity as inf, jax.numpy as jnp
    >>> energy = inf.pde.Energy(lambda x, u, du: du @ du / 2 + u**4 / 4 - u)
    >>> energy.degree(2)
    4
    """

    density: Callable[..., Any]
    parameters: Sequence[Coordinate] = ()
    faces: Mapping[Expression, Callable[..., Any]] = dataclasses.field(default_factory=dict, hash=False)
    components: int | None = None

    def __post_init__(self):
        _check(self.density, 3, "Energy", "x, u, du")
        _check_components(self.components, "Energy")
        object.__setattr__(self, "parameters", tuple(self.parameters))

    @property
    def boundary(self) -> list[tuple[Coordinate, float, "Energy"]]:
        """The faces, each a coordinate, its value and the energy there."""
        return [(*_face(at), dataclasses.replace(self, density=fn, faces={})) for at, fn in self.faces.items()]

    def flux(self, x: Any, jet: Any) -> Any:
        """What multiplies `(v, grad v)` at a point."""
        return jax.grad(lambda j: self.value(x, j))(jet)

    def value(self, x: Any, jet: Any) -> Any:
        """The density."""
        return jnp.asarray(self.density(x, *_parts(jet, self.components)))

    def degree(self, dimensions: int) -> int | None:
        """The degree of the density in `u` and its gradient, by the closure check; nothing where it is no polynomial."""
        return _degree(self.value, dimensions, self.components)


@dataclasses.dataclass(frozen=True)
class Weak:
    """A weak form at a point, of which the integral is zero for all test functions.

    **Arguments:**

    - `form`: `(x, u, du, v, dv)` to a number, linear in `v` and `dv`.
    - `parameters`, `components`: as for `Energy`.
    - `faces`: `{x.at(1): form}`, forms that are integrated over faces alone.

    >>> import infinity as inf
    >>> burgers = inf.pde.Weak(lambda x, u, du, v, dv: (du[1] + u * du[0]) * v + 0.01 * du[0] * dv[0])
    >>> burgers.degree(2)
    3
    """

    form: Callable[..., Any]
    parameters: Sequence[Coordinate] = ()
    faces: Mapping[Expression, Callable[..., Any]] = dataclasses.field(default_factory=dict, hash=False)
    components: int | None = None

    def __post_init__(self):
        _check(self.form, 5, "Weak", "x, u, du, v, dv")
        _check_components(self.components, "Weak")
        object.__setattr__(self, "parameters", tuple(self.parameters))

    @property
    def boundary(self) -> list[tuple[Coordinate, float, "Weak"]]:
        """The faces, each a coordinate, its value and the form there."""
        return [(*_face(at), dataclasses.replace(self, form=fn, faces={})) for at, fn in self.faces.items()]

    def value(self, x: Any, jet: Any, test: Any) -> Any:
        """The form."""
        return jnp.asarray(self.form(x, *_parts(jet, self.components), *_parts(test, self.components)))

    def flux(self, x: Any, jet: Any) -> Any:
        """What multiplies `(v, grad v)` at a point."""
        return jax.grad(lambda test: self.value(x, jet, test))(jnp.zeros_like(jet))

    def degree(self, dimensions: int) -> int | None:
        """One more than the degree of the flux, so that 2 means linear, as for an energy."""
        found = _degree(self.flux, dimensions, self.components)
        return None if found is None else found + 1

    def check(self, dimensions: int, point: np.ndarray) -> None:
        """Refuse a form that is not linear in the test function.

        **Raises:** `ValueError` that says so.
        """
        with double_precision():
            rng = np.random.default_rng(0)
            jet, one, two = jnp.asarray(rng.normal(size=(3, (self.components or 1) * (dimensions + 1))))
            at = lambda test: self.value(jnp.asarray(point), jet, test)
            whole, parts = float(at(one + 2 * two)), float(at(one) + 2 * at(two))
        if not abs(whole - parts) <= 1e-9 * (1 + abs(whole) + abs(parts)):
            raise ValueError(
                "Weak got a form that is not linear in v and dv; expected one such as (du @ dv + u**3 * v). Every term has exactly one of v and dv"
            )


def _parts(jet: Any, components: int | None) -> tuple[Any, Any]:
    """Values and gradients."""
    if components is None:
        return jet[0], jet[1:]
    rows = jet.reshape(components, -1)
    return rows[:, 0], rows[:, 1:]


def _face(at: Any) -> tuple[Coordinate, float]:
    """The coordinate and the value of `x.at(1)`."""
    term = at.terms[0] if isinstance(at, Expression) and len(at.terms) == 1 else None
    if term is None or len(term.faces) != 1 or term.functions or term.factors or term.number != 1:
        raise ValueError(f"faces got the key {at}; expected faces such as x.at(1), each once")
    return term.faces[0]


def _check(fn: Callable[..., Any], number: int, name: str, arguments: str) -> None:
    try:
        inspect.signature(fn).bind(*range(number))
    except TypeError:
        raise ValueError(f"{name} got {fn!r}; expected a function of {arguments}") from None


def _check_components(components: Any, name: str) -> None:
    if components is not None and not (isinstance(components, int) and components >= 1):
        raise ValueError(f"{name} got components={components!r}; expected how many, or nothing for a number")


def _degree(fn: Callable[..., Any], dimensions: int, components: int | None) -> int | None:
    """The degree of a function of `(x, jet)` in the jet."""
    with double_precision():
        point = jnp.full((dimensions,), 0.5)
        jet = jnp.full(((components or 1) * (dimensions + 1),), 0.5)
        certificate = certify(lambda jet, x: fn(x, jet), jet, point)
    return certificate.degree


@functools.lru_cache(maxsize=32)
def tables_at_points(form: Energy | Weak) -> Callable[..., tuple[Any, Any]]:
    """A function from points `(N, D)` and jets `(N, J)` to fluxes `(N, J)` and tangents `(N, J, J)`, compiled once for a form.

    `J` is `D + 1` for each component.
    """
    both = lambda x, jet: (form.flux(x, jet), jax.jacfwd(lambda j: form.flux(x, j))(jet))
    return jax.jit(jax.vmap(both))
