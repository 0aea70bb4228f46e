r"""What is local in a table: what the measurements near by say, beside the separable model.

    u(x) = (1 - s) v(x) + s l(x),    l(x) = (1 - t) [a(x) + r(w(x))] + t g(x)

`v` is the separable model, `a` an additive law, `r` a Gaussian process of its residuals on the nearest measurements in warped coordinates `w`. The additive
law does not follow what happens at single points, so that its residuals still show it. In small tables `g` is a Gaussian process on all measurements, which
assumes no law at all. Shares go by the variances that the parts expect, see `infinity.fitting.balance`: `s` is balanced on rows that each part predicts from
others, with kernels found on all, `t` on all rows, each predicted without itself. What these rows say does not hold at values that were never measured of an
input whose values repeat: there the balance is 1. Places that were measured before are corrected by `infinity.fitting.twins`. The separable model stays the
one that is differentiated, explained and exported.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..models import KHRONOS
from ..models.evaluator import evaluate
from .additive import fit_additive, leverages
from .balance import Balance, Described, best_balance, equal
from .dense import MOST_ROWS, DenseProcess, fit_dense
from .fitted import unit_box
from .neighbours import NeighbourProcess, fit_process
from .twins import Repeats, Twins, find_twins
from .warp import Warp, fit_warp

# An input repeats its values where fewer rows than this share have one of their own.
ALONE = 0.05


class LocalStage(eqx.Module):
    """An additive law and a process of its residuals, and in small tables a process on all rows, in the coordinates and units of the separable model.

    **Fields:** the `law`, on the unit box of warped coordinates; the `warp`; the `process`; `lower` and `upper` `(D,)`, the box; the `balance` with the
    separable model; the `twins`, or nothing; the process on all rows, `dense`, or nothing, and its balance with the other, `dense_balance`; `repeating`,
    static: the inputs whose values repeat.
    """

    law: KHRONOS
    warp: Warp
    process: NeighbourProcess
    lower: Float[Array, " D"]
    upper: Float[Array, " D"]
    balance: Balance
    twins: Twins | None
    dense: DenseProcess | None
    dense_balance: Balance
    repeating: tuple[int, ...] = eqx.field(static=True)

    def many(self, x: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values at points of the box, and the standard deviation of a new measurement there."""
        points = self._warped(x)
        mean, variance = self.process.many(points)
        near = (evaluate(self.law, points) + mean, np.sqrt(variance))
        if self.dense is None:
            return near
        mean, variance = self.dense.many(self._unit(x))
        return self.dense_balance.mixed(near, (mean, np.sqrt(variance)))

    @property
    def weighs(self) -> bool:
        """Whether it counts beside the separable model, and is not kept for the twins alone."""
        return bool(np.any(np.asarray(self.balance.weight) > 0))

    def mixed(
        self, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"]
    ) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values of the separable model at points of the box, and the standard deviations of a new measurement, mixed with those of this stage."""
        if self.weighs:
            value, std = self.balance.mixed((value, std), self.many(x), self._unknown(x))
        return (value, std) if self.twins is None else self.twins.corrected(x, value, std)

    def given(
        self, x: Float[np.ndarray, "N D"], z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
    ) -> "LocalStage":
        """The same stage given other rows: law and residuals are found anew."""
        points = self._warped(x)
        law = _law(self.law, points, z, weights)
        process = self.process.given(points, z - evaluate(law, points), weights)
        twins = None if self.twins is None else self.twins.given(x, z, weights)
        dense = None if self.dense is None else self.dense.given(self._unit(x), z, weights)
        where = lambda stage: (stage.law, stage.process, stage.twins, stage.dense)
        return eqx.tree_at(where, self, (law, process, twins, dense), is_leaf=lambda leaf: leaf is None)

    def balanced(self, z: np.ndarray, weights: np.ndarray, separable: Described, own: Described) -> "LocalStage":
        """The same stage with the balance that is best on rows of which the separable model and it have values and deviations, neither having seen them."""
        return eqx.tree_at(lambda stage: stage.balance, self, best_balance(z, weights, separable, own))

    def silent(self) -> "LocalStage":
        """The same stage with a balance of zero: the separable model speaks alone."""
        return eqx.tree_at(lambda stage: stage.balance.weight, self, jnp.zeros_like(self.balance.weight))

    def with_twins(
        self,
        x: np.ndarray,
        z: np.ndarray,
        weights: np.ndarray,
        repeats: Repeats,
        total: Float[np.ndarray, " O"],
    ) -> "LocalStage":
        """The same stage with what is known at measured places, where repeats tell more than the model; the arguments as for `find_twins`."""
        twins = find_twins(x, z, weights, repeats, total)
        return eqx.tree_at(lambda stage: stage.twins, self, twins, is_leaf=lambda leaf: leaf is None)

    def _unknown(self, x: np.ndarray) -> np.ndarray:
        """Which points have a value that was never measured of an input whose values repeat."""
        measured = np.asarray(self.process.points)
        points = np.asarray(self._warped(x), measured.dtype)
        new = np.zeros(len(x), bool)
        for d in self.repeating:
            new |= ~np.isin(points[:, d], measured[:, d])
        return new

    def _warped(self, x: np.ndarray) -> np.ndarray:
        return self.warp(self._unit(x))

    def _unit(self, x: np.ndarray) -> np.ndarray:
        return unit_box(x, self.lower, self.upper)


def fit_local(
    x: Float[np.ndarray, "N D"],
    z: Float[np.ndarray, "N O"],
    weights: Float[np.ndarray, " N"],
    domain: Sequence[tuple[float, float]],
    elements: Sequence[int],
    degrees: Sequence[int],
    seed: int,
) -> LocalStage:
    """Fit the stage.

    **Arguments:** inputs; targets of about unit variance and zero mean; weights; the box, one pair an input; cells and degrees of the additive law; the seed.
    """
    lower, upper = np.asarray(domain, float).T
    unit = unit_box(x, lower, upper)
    warp = fit_warp(unit)
    points = warp(unit)
    start = KHRONOS(
        [(0.0, 1.0)] * x.shape[1], modes=0, elements=elements, degree=degrees, outputs=z.shape[1], key=jax.random.key(0)
    )
    law = _law(start, points, z, weights)
    left = z - evaluate(law, points)
    process = fit_process(points, left, weights, seed)
    dense, balance = None, equal(z.shape[1])
    kept = weights > 0
    if np.sum(kept) <= MOST_ROWS:
        dense = fit_dense(unit, z, weights, seed)
        own = leverages(start, *(jnp.asarray(a) for a in (points, z, weights)))
        mean, variance = process.left_out()
        near = (z[kept] - (left / (1 - own))[kept] + mean, np.sqrt(variance))
        mean, variance = dense.left_out()
        balance = best_balance(z[kept], weights[kept], near, (mean, np.sqrt(variance)))
    repeating = tuple(d for d, column in enumerate(points[kept].T) if _alone(column) < ALONE)
    box = (jnp.asarray(lower), jnp.asarray(upper))
    return LocalStage(law, warp, process, *box, equal(z.shape[1]), None, dense, balance, repeating)


def _alone(column: np.ndarray) -> float:
    """The share of rows that have a value of their own."""
    return float(np.sum(np.unique(column, return_counts=True)[1] == 1) / len(column))


def _law(start: KHRONOS, points: np.ndarray, z: np.ndarray, weights: np.ndarray) -> KHRONOS:
    return fit_additive(start, *(jnp.asarray(a) for a in (points, z, weights)))
