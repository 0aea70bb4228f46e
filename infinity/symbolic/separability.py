r"""`inf.separability`: which inputs of a smooth function belong together, from its exact second derivatives.

    additive         S+_ij = rms(u_ij) std(u) / (rms u_i rms u_j)                                u = f + g       where it vanishes
    multiplicative   Sx_ij = rms(u u_ij - u_i u_j) / sqrt(rms(u u_ij)^2 + rms(u_i u_j)^2)        u = f g
    offset, power    (u - c) u_ij = (1 - p) u_i u_j   by least squares                            (u - c)^p additive; p = 0: u - c = f g

`p = 1` is a sum, `0` a product, `2` the root of a sum, `-1` the reciprocal of one.
Translations are `u_i = ± u_j`, scalings are null vectors of `[x_i u_i | -u]`. A surrogate of
noisy data has no score of exactly zero: the scores propose, and a refit in fewer variables decides (`inf.discover`).
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .reduction import null_spaces

POINTS = 400


@dataclasses.dataclass(frozen=True)
class Separability:
    """The structure of a function of `D` inputs.

    **Fields:**

    - `names` of the inputs; `additive`, `multiplicative`: scores `(D, D)`, zero where the two inputs are separate;
      `sensitivity` `(D,)`: `rms(u_i) width_i / std(u)`.
    - `power`, `offset`: for each pair the `p` and `c` that make `(u - c)^p` additive, `(D, D)`; NaN where nothing does.
    - `translations`: tuples `(i, j, sign, score)` for which `u_i + sign u_j` nearly vanishes; `scalings`: rows of exponents `a` and, last, `alpha`.
    - `threshold`: below it a score counts as zero; `sums`, `products`: the groups of inputs that follow.
    """

    names: tuple[str, ...]
    additive: Float[np.ndarray, "D D"]
    multiplicative: Float[np.ndarray, "D D"]
    power: Float[np.ndarray, "D D"]
    offset: Float[np.ndarray, "D D"]
    sensitivity: Float[np.ndarray, " D"]
    translations: tuple[tuple[int, int, int, float], ...]
    scalings: tuple[tuple[str, ...], ...]
    threshold: float

    @property
    def sums(self) -> tuple[tuple[str, ...], ...]:
        """Groups of inputs that add to each other."""
        return self._groups(self.additive)

    @property
    def products(self) -> tuple[tuple[str, ...], ...]:
        """Groups of inputs that multiply each other."""
        return self._groups(self.multiplicative)

    def _groups(self, scores: np.ndarray) -> tuple[tuple[str, ...], ...]:
        label = list(range(len(self.names)))
        for i, j in itertools.combinations(range(len(label)), 2):
            if scores[i, j] > self.threshold:
                old, new = label[j], label[i]
                label = [new if one == old else one for one in label]
        return tuple(
            tuple(name for name, one in zip(self.names, label, strict=True) if one == group)
            for group in dict.fromkeys(label)
        )

    def __str__(self) -> str:
        lines = []
        for word, groups in (("sum", self.sums), ("product", self.products)):
            if len(groups) > 1:
                lines.append(f"a {word} of functions of {' | '.join(', '.join(group) for group in groups)}")
        for i, j, sign, _ in self.translations:
            lines.append(
                f"depends on {self.names[i]} and {self.names[j]} through {self.names[i]} {'-' if sign > 0 else '+'} {self.names[j]}"
            )
        for row in self.scalings:
            terms = " + ".join(f"{a} {n} d/d{n}" for a, n in zip(row, self.names, strict=False) if a != "0")
            lines.append(f"({terms}) u = {row[-1]} u")
        idle = [name for name, s in zip(self.names, self.sensitivity, strict=True) if s < self.threshold]
        if idle:
            lines.append(f"hardly depends on {', '.join(idle)}")
        return "\n".join(lines) or "no structure found: all inputs belong together"


def separability(
    model: Callable[[Any], Any],
    domain: Any,
    names: Sequence[str] | None = None,
    *,
    threshold: float = 0.02,
    seed: int = 0,
) -> Separability:
    """Read the structure of a smooth function.

    **Arguments:**

    - `model`: any JAX function of one point `(D,)` with one value, `()` or `(1,)`, such as `inf.fit(x, y).model`.
    - `domain`: the box in which it is looked at, `D` pairs `(low, high)`; a twentieth at each end is left out.
    - `names` of the inputs; `threshold`: what counts as zero; `seed` of the points.

    **Raises:** `ValueError` for a domain that is no box, and for a model that is not finite in it.

    >>> import jax, jax.numpy as jnp, infinity as inf
    >>> jax.config.update("jax_enable_x64", True)
    >>> report = inf.separability(lambda x: x[0] * jnp.exp(-x[1] / x[2]), [(1, 2)] * 3, ["a", "b", "c"])
    >>> report.products
    (('a',), ('b', 'c'))
    """
    box = np.asarray(domain, float)
    if box.ndim != 2 or box.shape[1] != 2 or not np.all(np.isfinite(box)) or np.any(box[:, 0] >= box[:, 1]):
        raise ValueError(f"domain has shape {box.shape}; expected D pairs (low, high) with low < high")
    D = len(box)
    known = tuple(f"x{d}" for d in range(D)) if names is None else tuple(names)
    if len(known) != D:
        raise ValueError(f"names has {len(known)} entries and domain has {D} pairs; give one name for each input")
    width = box[:, 1] - box[:, 0]
    points = box[:, 0] + width * (0.05 + 0.9 * np.random.default_rng(seed).uniform(size=(POINTS, D)))
    u, g, H = (np.asarray(part, float) for part in _derivatives(model, jnp.asarray(points)))
    if not (np.all(np.isfinite(u)) and np.all(np.isfinite(g)) and np.all(np.isfinite(H))):
        raise ValueError("the model or one of its derivatives is not finite in the domain; choose a smaller one")
    rms = lambda values: np.sqrt(np.mean(values**2, axis=0))
    spread = float(np.std(u)) or 1.0
    tiny = 1e-12 * spread
    products = g[:, :, None] * g[:, None, :]
    size = rms(g) + tiny / width
    additive = rms(H) * spread / np.outer(size, size)
    mixed = u[:, None, None] * H
    multiplicative = rms(mixed - products) / (
        np.sqrt(rms(mixed) ** 2 + rms(products) ** 2) + tiny**2 / np.outer(width, width)
    )
    power, offset = np.full((D, D), np.nan), np.full((D, D), np.nan)
    for i, j in itertools.permutations(range(D), 2):
        # u u_ij = c u_ij + (1 - p) u_i u_j
        A = np.stack([H[:, i, j], products[:, i, j]], axis=1)
        if rms(H[:, i, j]) * width[i] * width[j] > 1e-6 * spread:
            c, q = np.linalg.lstsq(A / rms(A), mixed[:, i, j], rcond=1e-9)[0] / rms(A)
            left = rms(mixed[:, i, j] - A @ [c, q]) / (rms(mixed[:, i, j]) + tiny)
            if left < threshold:
                power[i, j], offset[i, j] = 1 - q, c
    sensitivity = rms(g) * width / spread
    translations = []
    for i, j in itertools.combinations(range(D), 2):
        for sign in (1, -1):
            score = float(rms(g[:, i] + sign * g[:, j]) / np.hypot(size[i], size[j]))
            if score < threshold and min(sensitivity[i], sensitivity[j]) > threshold:
                translations.append((i, j, sign, score))
    np.fill_diagonal(additive, 0.0)
    np.fill_diagonal(multiplicative, 0.0)
    scalings = _scalings(points, u, g, threshold) if np.all(box[:, 0] > 0) else ()
    return Separability(
        known, additive, multiplicative, power, offset, sensitivity, tuple(translations), scalings, threshold
    )


def _scalings(points: np.ndarray, u: np.ndarray, g: np.ndarray, threshold: float) -> tuple[tuple[str, ...], ...]:
    rows = np.concatenate([points * g, -u[:, None]], axis=1)
    for vectors, misfit in null_spaces(rows, points.shape[1]):
        if misfit < threshold:
            return tuple(tuple(str(value) for value in row) for row in vectors)
    return ()


@eqx.filter_jit
def _derivatives(model: Callable[[Any], Any], points: Any) -> Any:
    scalar = lambda x: jnp.reshape(model(x), ())
    return jax.vmap(lambda x: (scalar(x), jax.grad(scalar)(x), jax.hessian(scalar)(x)))(points)
