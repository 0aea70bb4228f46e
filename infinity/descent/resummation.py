r"""The resummed Taylor tower along a line: exact at any distance.

    line(t) = exp(t delta . d) fn(theta) = sum_{n < infinity} c_n t^n = fn(theta + t delta)

How the function depends on `t` is certified first. A polynomial of degree `d` has a tower that ends: `d + 1` coefficients are all there is. An exponential
or rational one is summed operation by operation from values at the base point (`homomorphism`). Any other is refused.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..closure import Certificate, certify
from ..precision import full_products
from .directions import along
from .homomorphism import Program, polynomial_program, resummed, terminating
from .polynomials import lowest, lowest_of_squares
from .tower import Tower, tower


class Lowest(NamedTuple):
    """The lowest point of a line: `t`, and the loss there (half the sum of squares where the output is no scalar)."""

    t: Float[Array, ""]
    value: Float[Array, ""]


class Line(eqx.Module):
    """`t -> fn(params + t direction)` in closed form; see `resum`.

    **Fields:** `certificate` (static) says how the function depends on `t`; the rest is data at the base point.
    """

    certificate: Certificate = eqx.field(static=True)
    zero: Float[Array, ""]
    data: tuple
    series: tuple
    program: Program = eqx.field(static=True)
    unflatten: Callable = eqx.field(static=True)

    @property
    def family(self) -> str:
        """`"constant"`, `"affine"`, `"polynomial"`, `"exponential"` or `"rational"`, in `t`."""
        return self.certificate.family

    @property
    def degree(self) -> int | None:
        """The degree in `t` (an upper bound); `None` where the function is no polynomial."""
        return self.certificate.degree

    @property
    def coefficients(self) -> PyTree:
        """Coefficients of a polynomial: the output's tree with a leading axis of `degree + 1`.

        **Raises:** `ValueError` for another family.
        """
        if self.degree is None:
            raise ValueError(
                f"coefficients: the line is {self.family}, its tower does not end. Use line.truncated(order) for the first of them."
            )
        return self.unflatten(list(self.series))

    def __call__(self, t: Array | float) -> PyTree:
        """The function at `params + t direction`."""
        t = self._checked(t)
        return self.unflatten(self.program.run(self.data, self.series, t))

    def derivative(self, t: Array | float) -> PyTree:
        """The derivative in `t`, exact as the value is."""
        return jax.jvp(self.__call__, (self._checked(t),), (jnp.ones_like(self.zero),))[1]

    def truncated(self, order: int) -> Tower:
        """The tower cut off at an order, a function of `t` like the line itself."""
        return tower(self.__call__, self.zero, jnp.ones_like(self.zero), order)

    def minimum(self) -> Lowest:
        """The lowest point of a polynomial over all `t`, by the roots of its derivative.

        **Returns:** a `Lowest` with `t` and `value`. A scalar output is minimised as it is (`-inf` where it is unbounded below), any other as
        half the sum of squares of all its entries. Works in `jit`.

        **Raises:** `ValueError` where the line is no polynomial.
        """
        if self.degree is None:
            raise ValueError(
                f"minimum: the line is {self.family} in t, and only the stationary points of polynomials are all known. "
                "Minimise line(t) with a scalar solver such as optimistix.minimise."
            )
        parts = jax.tree.leaves(self.coefficients)
        if len(parts) == 1 and parts[0].ndim == 1:
            return Lowest(*lowest(parts[0].astype(self.zero.dtype)))
        rows = [part.reshape(part.shape[0], -1).astype(self.zero.dtype) for part in parts]
        return Lowest(*lowest_of_squares(jnp.concatenate(rows, axis=1)))

    def _checked(self, t) -> Float[Array, ""]:
        t = jnp.asarray(t)
        if t.shape != ():
            raise ValueError(f"a line takes one scalar t; got shape {t.shape}. Use jax.vmap(line) for several.")
        return t.astype(self.zero.dtype)


@full_products
def resum(fn: Callable, params: PyTree, direction: PyTree, *args) -> Line:
    r"""The closed form of `t -> fn(params + t direction, *args)`.

    \[ \texttt{line}(t) = \sum_{n=0}^{\infty} \frac{t^n}{n!} (\delta \cdot \nabla)^n \texttt{fn}(\theta)
    = \texttt{fn}(\theta + t\,\delta). \]

    **Arguments:**

    - `fn`: a residual, a loss or any JAX function, its output any tree of arrays.
    - `params`: any tree or Equinox module; its floating-point arrays move.
    - `direction`: a tree like `params`; `None` at a leaf that stays.
    - `args`: data, handed on to `fn`.

    **Returns:** a `Line`. `line(t)` is exact for every scalar `t`, near or far; `line.family` and `line.degree` say what the tower sums to;
    `line.derivative(t)`, `line.truncated(order)`; for polynomials `line.coefficients` and `line.minimum()`. The function is traced once and its
    operations on affine and polynomial values are done once, at the base point; a call costs the closed form alone. Works under `jit`, `vmap`, `grad`.

    **Raises:** `ValueError` where the function is open along the direction, with the operation, its file and line and the reason; and for a direction that
    does not fit, with the path of the leaf.

    **Source:** Batley and Saha, *The Method of Infinite Descent*, arXiv:2510.05489, for the resummation of the tower; the way it is done here is ours.

    ```python
    >>> import jax.numpy as jnp, infinity as inf
    >>> model = lambda p: p["a"] * jnp.exp(-p["k"] * jnp.array([0.0, 1.0]))
    >>> line = inf.resum(model, {"a": jnp.array(1.0), "k": jnp.array(2.0)}, {"a": jnp.array(1.0), "k": jnp.array(-1.0)})
    >>> line.family, [round(float(y), 3) for y in line(3.0)]  # 4 exp(x)
    ('exponential', [4.0, 10.873])
    >>> product = inf.resum(lambda p: (p[0] * p[1] - 3.0) ** 2, jnp.array([1.0, 1.0]), jnp.array([1.0, 1.0]))
    >>> product.degree, bool(abs(product.minimum().value) < 1e-6)
    (4, True)

    ```
    """
    line = along("resum", fn, params, direction, args)
    certificate = certify(line.function, line.zero)
    if not certificate.closed:
        raise ValueError(_refusal(certificate, fn, params, args))
    if certificate.degree is None:
        program, data, series = resummed(line)
        return Line(certificate, line.zero, data, series, program, line.unflatten)
    series = terminating(line, certificate.degree)
    return Line(certificate, line.zero, (), series, polynomial_program(len(series)), line.unflatten)


def _refusal(certificate: Certificate, fn: Callable, params: PyTree, args: tuple) -> str:
    """Why there is no closed form, by the leaves of the parameters where one of them is open alone."""
    whole = certify(fn, params, *args)
    reasons = whole.obstructions or certificate.obstructions
    listed = "\n".join(f"  - {obstruction}" for obstruction in reasons)
    return (
        "resum found no closed form along this direction, because of:\n"
        f"{listed}\nSet the direction to None at these leaves, or use inf.tower for a truncated series."
    )
