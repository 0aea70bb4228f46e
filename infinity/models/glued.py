r"""Several models, each on its own box or the image of one: the model of a domain that is glued from patches.

u(X) = u_k(xi),    X = F_k(xi),    k the patch whose box holds xi, or the nearest one
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .khronos import KHRONOS

# Images that Newton's method begins from in each direction, its steps, and those of them that are differentiated: one for each derivative.
_STARTS, _STEPS, _TRACED = 9, 20, 2


class Glued(eqx.Module):
    """The models of several patches as one.

    **Arguments:** `parts`, one model a patch on its box; `images`, for each the map from the box to the domain, or nothing where the box is the patch.

    Called with a point of the domain `(D,)` it returns `()` or `(O,)`. Where patches meet it takes the first that holds the point, outside of all
    the nearest one.

    **Raises:** `ValueError` for parts of different dimensions or outputs.

    >>> import jax, jax.numpy as jnp, infinity as inf
    >>> from infinity.models import Glued
    >>> one, two = (inf.KHRONOS([(low, low + 1.0)], modes=1, elements=2, outputs="scalar", key=jax.random.key(k)) for k, low in enumerate((0.0, 1.0)))
    >>> whole, point = Glued([one, two]), jnp.array([1.5])
    >>> bool(whole(point) == two(point))
    True
    """

    parts: tuple[KHRONOS, ...]
    images: tuple[Callable[..., Array] | None, ...] = eqx.field(static=True)

    def __init__(self, parts: Sequence[KHRONOS], images: Sequence[Callable[..., Array] | None] | None = None):
        self.parts = tuple(parts)
        self.images = (None,) * len(self.parts) if images is None else tuple(images)
        kinds = {(part.dimensions, part.outputs) for part in self.parts}
        if len(kinds) != 1 or len(self.images) != len(self.parts):
            raise ValueError(
                f"Glued got {len(self.parts)} parts of the dimensions and outputs {sorted(kinds)} and {len(self.images)} images; "
                "expected parts alike and one image each"
            )

    def places(self, x: Float[Array, " D"]) -> tuple[Float[Array, "K D"], Float[Array, " K"]]:
        """The coordinates of a point in the box of each patch, and how far outside of it they lie, in lengths of the box."""
        places, outside = [], []
        for part, image in zip(self.parts, self.images, strict=True):
            low, high = jnp.asarray(part.domain, x.dtype).T
            xi = x if image is None else inverse(image, low, high, x)
            places.append(xi)
            outside.append(jnp.max(jnp.maximum(low - xi, xi - high) / (high - low), initial=0.0))
        return jnp.stack(places), jnp.stack(outside)

    def __call__(self, x: Float[ArrayLike, " D"]) -> Float[Array, "..."]:
        """The value at one point of the domain."""
        places, outside = self.places(jnp.asarray(x))
        tiny = 64 * jnp.finfo(places.dtype).eps
        which = jnp.argmin(jnp.where(outside <= tiny, 0.0, outside))
        values = jnp.stack([part(xi) for part, xi in zip(self.parts, places, strict=True)])
        return values[which]


def inverse(
    image: Callable[..., Array], low: Float[Array, " D"], high: Float[Array, " D"], x: Float[Array, " D"]
) -> Float[Array, " D"]:
    """The point of a box whose image is `x`, by Newton's method from the nearest of a few images; differentiable twice."""
    lines = [jnp.linspace(a, b, _STARTS) for a, b in zip(low, high, strict=True)]
    grid = jnp.stack([g.ravel() for g in jnp.meshgrid(*lines, indexing="ij")], axis=1)
    target = jax.lax.stop_gradient(x)
    start = grid[jnp.argmin(jnp.sum((jax.vmap(image)(grid) - target) ** 2, axis=1))]

    def step(xi: Array, to: Array) -> Array:
        change = jnp.linalg.solve(jax.jacfwd(image)(xi), to - image(xi))
        return jnp.clip(xi + change, low - (high - low), high + (high - low))

    xi = jax.lax.stop_gradient(jax.lax.fori_loop(0, _STEPS, lambda _, xi: step(xi, target), start))
    for _ in range(_TRACED):
        xi = step(xi, x)
    return xi
