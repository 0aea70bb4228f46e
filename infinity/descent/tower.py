r"""The Taylor tower of a function along a direction.

    fn(theta + t delta) = sum_n c_n t^n,    c_n = (delta . d)^n fn(theta) / n!

Newton's method looks at the first levels of the tower of the loss; Infinite Descent (Batley and Saha, arXiv:2510.05489) sums all of them, which is what
`resum` does. A tower that is cut off at an order says how far one gets without.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..closure import jax_internals
from ..precision import full_products
from .directions import Along, along


class Tower(eqx.Module):
    r"""A truncated Taylor series `t -> sum_{n <= order} c_n t^n`; see `tower`.

    **Fields:** `coefficients`, the output's tree with a leading axis of `order + 1` entries.
    """

    coefficients: PyTree

    @property
    def order(self) -> int:
        """The highest power of `t` that is kept."""
        return jax.tree.leaves(self.coefficients)[0].shape[0] - 1

    def truncated(self, order: int) -> "Tower":
        """The same tower cut off at a lower order."""
        return Tower(jax.tree.map(lambda c: c[: order + 1], self.coefficients))

    def __getitem__(self, n: int) -> PyTree:
        """The coefficient of `t^n`, a tree like the output."""
        return jax.tree.map(lambda c: c[n], self.coefficients)

    def __call__(self, t: Float[Array, ""] | float) -> PyTree:
        """The truncated series at a scalar `t`."""
        return jax.tree.map(lambda c: horner(c, t), self.coefficients)


def horner(coefficients: Array, t) -> Array:
    """The polynomial with `coefficients` `(n+1, ...)`, lowest first, at a scalar `t`; what holds no floating-point numbers is constant."""
    if not jnp.issubdtype(coefficients.dtype, jnp.inexact):
        return coefficients[0]
    t = jnp.asarray(t, coefficients.real.dtype)
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * t + coefficient
    return value


@full_products
def tower(fn: Callable, params: PyTree, direction: PyTree, order: int, *args) -> Tower:
    r"""Taylor coefficients of `t -> fn(params + t direction, *args)` at `t = 0`.

    \[ c_n = \frac{1}{n!} \frac{d^n}{dt^n} \texttt{fn}(\theta + t\,\delta)\Big|_{t=0}, \qquad n = 0, \dots, \texttt{order}. \]

    **Arguments:**

    - `fn`: any JAX function, its output any tree of arrays.
    - `params`: any tree or Equinox module; its floating-point arrays move.
    - `direction`: a tree like `params`; `None` at a leaf that stays.
    - `order`: the highest power, zero or more.
    - `args`: data, handed on to `fn`.

    **Returns:** a `Tower`: `tower.coefficients` is the output's tree with a leading axis of `order + 1`, `tower[n]` one coefficient and `tower(t)` the
    truncated series. Truncated series of one function propagate (`jax.experimental.jet`, `O(order^2)` work) where JAX has a rule for every operation;
    otherwise directional derivatives are nested, at `O(2^order)`. Works under `jit`, `vmap` and `grad`.

    **Raises:** `ValueError` for an order that is no whole number from zero on, and a direction that does not fit, with the path of the leaf.

    **Source:** Griewank and Walther, *Evaluating Derivatives*, ch. 13.

    ```python
    >>> import jax.numpy as jnp, infinity as inf
    >>> tower = inf.tower(lambda p: jnp.exp(p["rate"]), {"rate": jnp.array(0.0)}, {"rate": jnp.array(2.0)}, 3)
    >>> [round(float(c), 4) for c in tower.coefficients]
    [1.0, 2.0, 2.0, 1.3333]
    >>> round(float(tower(0.1)), 4), round(float(jnp.exp(0.2)), 4)
    (1.2213, 1.2214)

    ```
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"tower got order={order!r}; expected a whole number from 0 on, known when it is traced.")
    return tower_of(along("tower", fn, params, direction, args), order)


def tower_of(line: Along, order: int) -> Tower:
    """The tower of a function that is already restricted to a line."""
    if order == 0:
        levels = [line.flat(line.zero)]
    else:
        levels = jax_internals.taylor_mode(line.flat, line.program, line.zero, order)
        if levels is None:
            levels = nested(line.flat, line.zero, order)
    return Tower(line.unflatten([jnp.stack(level) for level in zip(*levels, strict=True)]))


def nested(flat: Callable, zero: Array, order: int) -> list[list[Array]]:
    """The coefficients by nested directional derivatives of a function that gives a list of arrays."""
    whole = flat(zero)
    moving = [place for place, leaf in enumerate(whole) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def extended(previous: Callable) -> Callable:
        def derivatives(t):
            values, tangents = jax.jvp(previous, (t,), (jnp.ones_like(t),))
            return [*values, tangents[-1]]

        return derivatives

    def value(t):
        leaves = flat(t)
        return [[leaves[place] for place in moving]]

    derivatives: Callable = value
    for _ in range(order):
        derivatives = extended(derivatives)
    levels = []
    for n, found in enumerate(derivatives(zero)):
        level = [jnp.zeros_like(leaf) if n else leaf for leaf in whole]
        for place, leaf in zip(moving, found, strict=True):
            level[place] = leaf / math.factorial(n)
        levels.append(level)
    return levels
