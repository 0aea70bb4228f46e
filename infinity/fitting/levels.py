r"""Effects of single levels: what repeated values of an input have in common beside a smooth law.

    y = u(x) + sum_c b_c[x_c] + noise,    b_c[l] ~ N(0, tau_c^2)

Each distinct value of a column that repeats is a level with an effect of its own. The effects are affine leaves under a ridge penalty, whose strength the
evidence chooses: a level with few rows keeps little of its mean. They and the smooth law are fitted in turn to what the other leaves over. A level that was
never measured has no effect, and its prediction the variance `tau_c^2` more. (random effects: Robinson, Stat. Sci. 6, 1991.)
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..descent.evidence import BlockPenalty, Evidence, PenaltyBlocks, affine_optimum, covariance
from ..descent.streaming import Normal
from .checks import named_inputs
from .coding import Coding

# Levels of all columns together: their Gram matrix is dense.
MOST_LEVELS = 3000
# How often effects and law are fitted in turn.
TURNS = 2
_UPDATES = 15


class LevelEffects(eqx.Module):
    """The effects of the levels of some columns.

    **Fields:** the `columns`; for each of them its `levels` `(L,)`, rising, and their `effects` and `variances` `(L, O)`; the variance of a new level, `spread`
    `(C, O)`.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    levels: tuple[Float[Array, " _"], ...]
    effects: tuple[Float[Array, "_ O"], ...]
    variances: tuple[Float[Array, "_ O"], ...]
    spread: Float[Array, "C O"]

    def many(self, x: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """The effects at points, and their variances."""
        spread = np.asarray(self.spread)
        value, variance = np.zeros((2, len(x), spread.shape[1]))
        for c, column in enumerate(self.columns):
            levels = np.asarray(self.levels[c])
            own = np.asarray(x[:, column], levels.dtype)
            at = np.clip(np.searchsorted(levels, own), 0, len(levels) - 1)
            known = (levels[at] == own)[:, None]
            value += np.where(known, np.asarray(self.effects[c])[at], 0.0)
            variance += np.where(known, np.asarray(self.variances[c])[at], spread[c])
        return value, variance


def fit_levels(
    x: Float[np.ndarray, "N D"],
    residual: Float[np.ndarray, "N O"],
    weights: Float[np.ndarray, " N"],
    columns: Sequence[int],
) -> LevelEffects:
    """Find the effects in what a smooth law leaves over.

    **Arguments:** inputs; residuals of about zero mean; weights, of which zeros leave rows out; the `columns`.

    >>> import numpy as np
    >>> from infinity.fitting.levels import fit_levels
    >>> rng = np.random.default_rng(0)
    >>> level = rng.integers(20, size=400) / 20
    >>> effect = rng.normal(size=20)
    >>> noisy = effect[(20 * level).astype(int)] + 0.1 * rng.normal(size=400)
    >>> found = fit_levels(level[:, None], noisy[:, None], np.ones(400), [0])
    >>> bool(np.all(np.abs(np.asarray(found.effects[0])[:, 0] - effect) < 0.12))
    True
    """
    kept = weights > 0
    pairs = [np.unique(x[kept, column], return_inverse=True) for column in columns]
    starts = np.cumsum([0, *(len(levels) for levels, _ in pairs)])
    places = np.stack([start + np.ravel(place) for start, (_, place) in zip(starts, pairs, strict=False)], axis=1)
    w, total = weights[kept], int(starts[-1])
    gram = np.zeros((total, total))
    for a in places.T:
        for b in places.T:
            np.add.at(gram, (a, b), w)
    penalty = BlockPenalty(
        tuple(
            PenaltyBlocks(jnp.eye(size)[None, None], jnp.asarray([start]), jnp.asarray([[c]]))
            for c, (start, size) in enumerate(zip(starts, np.diff(starts), strict=False))
        ),
        jnp.arange(total),
        len(pairs),
        total,
    )
    effects, variances, spread = [], [], []
    for r in residual[kept].T:
        pull = sum(np.bincount(place, w * r, minlength=total) for place in places.T)
        normal = Normal(jnp.asarray(gram), jnp.asarray(-pull), jnp.asarray(0.5 * np.sum(w * r**2)))
        variance = float(np.average(r**2, weights=w))
        begin = Evidence(jnp.full(len(pairs), 2 / variance), jnp.asarray(0.5 * variance))
        found = _solve(normal, penalty, begin, jnp.asarray(w.sum()))
        for kept_part, part in zip((effects, variances, spread), found, strict=True):
            kept_part.append(np.asarray(part))
    cut = lambda rows: tuple(jnp.asarray(part) for part in np.split(np.stack(rows, axis=1), starts[1:-1]))
    levels = tuple(jnp.asarray(levels) for levels, _ in pairs)
    return LevelEffects(tuple(columns), levels, cut(effects), cut(variances), jnp.asarray(np.stack(spread, axis=1)))


@eqx.filter_jit
def _solve(normal: Normal, penalty: BlockPenalty, evidence: Evidence, samples: Float[Array, ""]):
    """Effects, their variances, and the variance of a new level of each column."""
    theta, evidence = affine_optimum(normal, penalty, evidence, samples, _UPDATES)
    return theta, jnp.diagonal(covariance(normal, penalty, evidence)), 1 / evidence.lam


def with_effects(
    levels: LevelEffects, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"]
) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
    """Values and standard deviations of new measurements with the effects of their levels."""
    effect, variance = levels.many(x)
    return value + effect, np.sqrt(std**2 + variance)


def chosen_levels(
    levels: Sequence[str | int] | str | None, names: Sequence[str], coding: Coding | None
) -> tuple[int, ...]:
    """The columns that are named.

    **Raises:** `ValueError` naming an item that is no numeric input.
    """
    given = tuple(names) if coding is None else coding.inputs
    chosen = named_inputs("levels", levels, given)
    for name in chosen:
        if name not in names:
            raise ValueError(f"levels names {name!r}, which is a category: its levels have a code each. Leave it out")
    return tuple(list(names).index(name) for name in chosen)


def check_levels(x: Float[np.ndarray, "N D"], names: Sequence[str], columns: Sequence[int]) -> None:
    """Refuse columns whose values do not repeat, and more levels than a dense matrix should hold.

    **Raises:** `ValueError` naming the column.
    """
    total = 0
    for column in columns:
        count = len(np.unique(x[:, column]))
        total += count
        if 2 * count > len(x):
            raise ValueError(
                f"levels names {names[column]!r}, which has {count} different values in {len(x)} rows; a level needs rows that share it, two on average. "
                "Leave it out"
            )
    if total > MOST_LEVELS:
        listed = ", ".join(repr(names[column]) for column in columns)
        raise ValueError(
            f"the columns {listed} have {total} levels together; at most {MOST_LEVELS} are fitted. Leave some out"
        )
