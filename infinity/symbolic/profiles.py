r"""Thousands of small nonlinear fits in one compiled program.

    y ~ a F(theta) + sum_j e_j q_j,    F = exp(L p) g(b exp(M c) h + d) k(q t),    theta = (p, c, b, d, q)

`a` and the `e_j` are eliminated exactly (variable projection: with the orthonormal `q_j` projected out of everything, `a = F.y / F.F`), `theta` follows
by Levenberg-Marquardt with Kaufman's Jacobian. Fits that share `g` and `k` stand in one chunk; a scan over the chunks chooses both by a switch, so
that each chunk runs its own functions only and the program is compiled once for a shape of batch, whatever the library holds. All in double precision.

The functions of one input are the case `L = M = (log t, t)`; with `L = M = log x` the same program finds scaling laws of many inputs.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compilation import quick_jit
from ..precision import double_precision
from .shapes import MODULATIONS, SHAPES

# Rows that a fit sees, and fits in a chunk.
ROWS = 128
CHUNK = 32
# Steps that every fit makes; after them the best `CHUNK` of each pair of functions go on.
FIRST = 8


@dataclasses.dataclass(frozen=True)
class Sample:
    """What all fits share: `logs` `(n, D)`, `inner` functions `(H, n)`, `time` `(n,)`, orthonormal `linear` `(n, Q)`, `y`, roots of weights.

    All is multiplied by the square roots of the weights where that is due inside the program.
    """

    logs: Float[np.ndarray, "n D"]
    inner: Float[np.ndarray, "H n"]
    time: Float[np.ndarray, " n"]
    linear: Float[np.ndarray, "n Q"]
    y: Float[np.ndarray, " n"]
    roots: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Start:
    """One fit: indices of `g`, `k` and `h`, where `theta` `(2D + 3,)` starts, and which of its entries move."""

    shape: int
    modulation: int
    inner: int
    theta: Float[np.ndarray, " P"]
    free: Float[np.ndarray, " P"]


def search(sample: Sample, starts: list[Start], steps: int) -> tuple[Float[np.ndarray, "S P"], Float[np.ndarray, " S"]]:
    """Run all fits.

    **Returns:** `theta` of each and the part of the variation of `y` that it leaves unexplained, infinite where it has no value.

    >>> import numpy as np
    >>> from infinity.symbolic.profiles import Sample, Start, search
    >>> from infinity.symbolic.shapes import index_of
    >>> t = np.linspace(0.1, 1, 128)
    >>> sample = Sample(np.zeros((128, 2)), t[None], t, np.ones((128, 1)) / np.sqrt(128), np.exp(-3 * t) + 1, np.ones(128))
    >>> start = Start(index_of("exp"), 0, 0, np.array([0, 0, 0, 0, -1.0, 0, 0]), np.array([0, 0, 0, 0, 1.0, 0, 0]))
    >>> theta, left = search(sample, [start], 20)
    >>> round(float(theta[0, 4]), 9), bool(left[0] < 1e-20)
    (-3.0, True)
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for at, start in enumerate(starts):
        groups.setdefault((start.shape, start.modulation), []).append(at)
    P = 2 * sample.logs.shape[1] + 3
    theta = np.array([start.theta for start in starts], float).reshape(len(starts), P)
    left = np.full(len(starts), np.inf)
    with double_precision():
        data = tuple(jnp.asarray(getattr(sample, field.name), jnp.float64) for field in dataclasses.fields(sample))
        _advance(data, starts, groups, theta, left, min(FIRST, steps))
        if steps > FIRST:
            ahead = {
                key: [members[k] for k in np.argsort(left[members], kind="stable")[:CHUNK]]
                for key, members in groups.items()
            }
            _advance(data, starts, ahead, theta, left, steps - FIRST)
    return theta, left


def _advance(
    data: Any,
    starts: list[Start],
    groups: dict[tuple[int, int], list[int]],
    theta: Float[np.ndarray, "S P"],
    left: Float[np.ndarray, " S"],
    steps: int,
) -> None:
    """Some steps of the fits in the groups, from `theta` on; `theta` and `left` are changed in place."""
    chunks = [
        (key, members[at : at + CHUNK]) for key, members in groups.items() for at in range(0, len(members), CHUNK)
    ]
    inner, free = np.array([start.inner for start in starts]), np.array([start.free for start in starts])
    for at in range(0, len(chunks), _SCAN):
        some = chunks[at : at + _SCAN]
        padded = [some[k] if k < len(some) else (some[0][0], []) for k in range(_SCAN)]
        rows = np.stack([np.resize(members or [0], CHUNK) for _, members in padded])
        batch = (
            np.array([key[0] for key, _ in padded]),
            np.array([key[1] for key, _ in padded]),
            np.array([bool(members) for _, members in padded]),
            inner[rows],
            theta[rows],
            free[rows],
        )
        found, lost = (np.asarray(part) for part in _program(data, batch, np.asarray(steps)))
        for k, (_, members) in enumerate(some):
            theta[members], left[members] = found[k, : len(members)], lost[k, : len(members)]


# Chunks in one call of the program.
_SCAN = 32


@quick_jit
def _program(data: Any, batch: Any, steps: Any) -> tuple[Array, Array]:
    def chunk(_: None, part: Any) -> tuple[None, tuple[Array, Array]]:
        shape, modulation, used, inner, theta, free = part
        fit = lambda h, start, mask: _fit(data, shape, modulation, h, start, mask, steps)
        run = lambda: jax.vmap(fit)(data[1][inner], theta, free)
        skip = lambda: (theta, jnp.full(theta.shape[0], jnp.inf, theta.dtype))
        return None, jax.lax.cond(used, run, skip)

    return jax.lax.scan(chunk, None, batch)[1]


def _fit(
    data: Any, shape: Array, modulation: Array, h: Array, theta: Array, free: Array, steps: Array
) -> tuple[Array, Array]:
    logs, _, time, linear, y, roots = data
    D = logs.shape[1]
    project = lambda v: v - linear @ (linear.T @ v)
    target = project(y * roots)
    total = jnp.sum(target**2)

    def model(theta: Array) -> tuple[Array, Array]:
        """`F` and its derivatives, all weighted and projected."""
        p, c, b, d, q = theta[:D], theta[D : 2 * D], theta[2 * D], theta[2 * D + 1], theta[2 * D + 2]
        front, u = jnp.exp(logs @ p), jnp.exp(logs @ c) * h
        g, slope = jax.lax.switch(shape, [s.both for s in SHAPES], b * u + d)
        k, bent = jax.lax.switch(modulation, [both for _, both, _ in MODULATIONS], q * time)
        value, steep = front * g * k, front * slope * k
        columns = [
            value[:, None] * logs,
            (steep * b * u)[:, None] * logs,
            (steep * u)[:, None],
            steep[:, None],
            (front * g * bent * time)[:, None],
        ]
        J = jnp.concatenate(columns, axis=1) * free
        return project(value * roots), project(J * roots[:, None])

    def state_of(theta: Array) -> tuple[Array, Array, Array]:
        """Loss, normal matrix and gradient; a loss of infinity where there is no value."""
        F, J = model(theta)
        square = jnp.sum(F**2)
        a = jnp.sum(F * target) / square
        r = target - a * F
        J = a * (J - jnp.outer(F, F @ J) / square)
        H, gradient, loss = J.T @ J, J.T @ r, jnp.sum(r**2)
        fine = jnp.isfinite(loss) & jnp.all(jnp.isfinite(H)) & jnp.all(jnp.isfinite(gradient))
        # A constant F explains nothing, and rounding must not make it seem to.
        fine &= square > 1e-24 * jnp.sum((model_scale(theta) * roots) ** 2)
        return jnp.where(fine, loss, jnp.inf), jnp.where(fine, H, 0.0), jnp.where(fine, gradient, 0.0)

    def model_scale(theta: Array) -> Array:
        return jnp.exp(logs @ theta[:D])

    def step(_: Array, state: Any) -> Any:
        theta, mu, (loss, H, gradient) = state
        diagonal = jnp.diagonal(H)
        scale = jnp.where(diagonal > 0, jnp.sqrt(diagonal), 1.0)
        A = H / jnp.outer(scale, scale) + mu * jnp.eye(len(theta))
        move = _solve(A, gradient / scale) / scale
        trial = theta + jnp.clip(move, -_LONGEST, _LONGEST)
        new = state_of(trial)
        better = new[0] < loss
        chosen = jax.tree.map(
            lambda one, other: jnp.where(better, one, other), (trial, new), (theta, (loss, H, gradient))
        )
        return chosen[0], jnp.clip(jnp.where(better, mu / 5, mu * 6), 1e-13, 1e8), chosen[1]

    theta, _, (loss, _, _) = jax.lax.fori_loop(0, steps, step, (theta, jnp.asarray(1e-2, theta.dtype), state_of(theta)))
    return theta, loss / total


_LONGEST = 20.0


def _solve(A: Array, right: Array) -> Array:
    """`A^-1 right` of a small positive definite matrix by elimination, written out: no call of a library for each of thousands."""
    P = len(right)
    rows = jnp.concatenate([A, right[:, None]], axis=1)

    def eliminate(k: Array, rows: Array) -> Array:
        pivot = rows[k] / rows[k, k]
        return (rows - rows[:, k][:, None] * pivot).at[k].set(pivot)

    return jax.lax.fori_loop(0, P, eliminate, rows)[:, -1]
