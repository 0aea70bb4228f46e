r"""Check a certificate by differences at random points.

\[ \delta^2 = f(\theta + d) - 2 f(\theta) + f(\theta - d) = 0
\quad\text{for steps } d \text{ in a jointly affine set}, \]
\[ \delta^3 = f(\theta + \tfrac32 d) - 3 f(\theta + \tfrac12 d) + 3 f(\theta - \tfrac12 d) - f(\theta - \tfrac32 d) = 0
\quad\text{in a quadratic block of a loss.} \]
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

_SMALLER = 1.0 / 16.0
_ATTEMPTS = 2
_ROUNDING = 1e3


class Verification(NamedTuple):
    """The largest relative difference that should vanish, and whether it is down to rounding.

    ```python
    >>> import jax.numpy as jnp
    >>> from infinity.closure import certify
    >>> certificate = certify(lambda w: 2 * w, jnp.ones(2))
    >>> bool(certificate.verify(lambda w: 2 * w, jnp.ones(2)).ok)
    True
    >>> bool(certificate.verify(lambda w: w * jnp.abs(w), jnp.ones(2)).ok)
    False

    ```

    **Fields:** `violation`, shape `()`, relative to the change of the function; `ok`, shape `()`, boolean. Both may be
    traced.
    """

    violation: jax.Array
    ok: jax.Array


def verify(
    certificate: Any, fn: Callable[..., Any], params: Any, args: Sequence[Any], key: jax.Array | None
) -> Verification:
    """Differences along random steps in the affine set and in each block, at random points near `params`."""
    seed = jax.random.key(0) if key is None else key
    dynamic, static = eqx.partition(params, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(dynamic)

    def output(point: jax.Array) -> jax.Array:
        leaves = jax.tree_util.tree_leaves(fn(eqx.combine(unravel(point), static), *args))
        arrays = [jnp.ravel(jnp.asarray(leaf)) for leaf in leaves if eqx.is_array_like(leaf)]
        wanted = [
            array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(theta.real.dtype) for array in arrays
        ]
        return jnp.concatenate(wanted) if wanted else jnp.zeros((0,), theta.dtype)

    shape = jax.eval_shape(output, theta)
    second = [block.indices for block in (certificate.affine_set, *(certificate.blocks or ())) if block.size]
    third = [block.indices for block in certificate.quadratic_blocks or () if block.size] if shape.shape == (1,) else []
    plans = [((1.0, 0.0, -1.0), (1.0, -2.0, 1.0), indices) for indices in _distinct(second)]
    plans += [((1.5, 0.5, -0.5, -1.5), (1.0, -3.0, 3.0, -1.0), indices) for indices in _distinct(third)]
    if not plans or not theta.size or not shape.size:
        zero = jnp.zeros((), theta.real.dtype)
        return Verification(zero, jnp.array(True))
    size = _typical(dynamic)
    seed, at = jax.random.split(seed)
    centre = theta + (0.1 * size * jax.random.normal(at, theta.shape, theta.real.dtype)).astype(theta.dtype)
    steps = [jnp.zeros_like(theta)]
    for number, (multiples, _, indices) in enumerate(plans):
        along = jax.random.normal(jax.random.fold_in(seed, number), theta.shape, theta.real.dtype)
        step = (jnp.zeros(theta.shape, theta.real.dtype).at[indices].set(1) * size * along).astype(theta.dtype)
        steps.extend(multiple * step for multiple in multiples if multiple)
    offsets = jnp.stack(steps)

    def attempt(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        number, _ = state
        return number + 1, jax.lax.map(output, centre + (_SMALLER**number).astype(theta.real.dtype) * offsets)

    def again(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        number, values = state
        return (number == 0) | ((number < _ATTEMPTS) & ~jnp.all(jnp.isfinite(values)))

    start = jnp.zeros((), theta.real.dtype), jnp.zeros((len(steps), *shape.shape), shape.dtype)
    _, values = jax.lax.while_loop(again, attempt, start)
    return _judged(values, plans, certificate.precision)


def _judged(
    values: jax.Array, plans: Sequence[tuple[tuple[float, ...], tuple[float, ...], Any]], precision: float
) -> Verification:
    """Every difference against the change of the function and the size of rounding; what is not finite says nothing."""
    violation, ok = jnp.zeros((), values.real.dtype), jnp.array(True)
    limits = jnp.finfo(values.dtype)
    epsilon = max(float(limits.eps), precision)
    start = 1
    for multiples, coefficients, _ in plans:
        rows = []
        for multiple in multiples:
            rows.append(values[start] if multiple else values[0])
            start += bool(multiple)
        found = jnp.stack(rows)
        difference = jnp.max(jnp.abs(jnp.tensordot(jnp.array(coefficients, values.real.dtype), found, axes=1)))
        change = jnp.max(jnp.abs(found[1:] - found[:-1]))
        magnitude = jnp.max(jnp.abs(found))
        finite = jnp.isfinite(difference) & jnp.isfinite(magnitude)
        noise = _ROUNDING * epsilon * magnitude
        relative = difference / jnp.maximum(change, limits.tiny)
        violation = jnp.maximum(violation, jnp.where(finite & (difference > noise), relative, 0.0))
        ok = ok & jnp.where(finite, difference <= 4 * epsilon**0.5 * change + noise, True)
    return Verification(violation, ok)


def _distinct(sets: list[Any]) -> list[Any]:
    """Each set of positions once."""
    return list({tuple(indices.tolist()): indices for indices in sets}.values())


def _typical(dynamic: Any) -> jax.Array:
    """Return the root mean square of each leaf (one where it vanishes), entry by entry."""

    def of(leaf: jax.Array) -> jax.Array:
        square = jnp.mean(jnp.abs(leaf) ** 2) if leaf.size else jnp.zeros((), leaf.real.dtype)
        return jnp.full(leaf.shape, jnp.where(square > 0, jnp.sqrt(square), 1.0), leaf.real.dtype)

    return ravel_pytree(jax.tree_util.tree_map(of, dynamic))[0]
