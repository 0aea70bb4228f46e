r"""What is local in a table: what the measurements near by say, beside the separable model.

    u(x) = (1 - s) v(x) + s l(x),    l(x) = (1 - t) [a(x) + r(w(x))] + t g(w(x))

`v` is the separable model, `a` an additive law, `r` a Gaussian process of its residuals on the nearest measurements in warped coordinates `w`. The additive
law does not follow what happens at single points, so that its residuals still show it. In small tables `g` is a Gaussian process on all measurements, which
assumes no law at all. Shares go by the variances that the parts expect, see `infinity.fitting.balance`: `s` is balanced on rows that no part has seen, `t` on
all rows, each predicted without itself. Places that were measured before are corrected by `infinity.fitting.twins`. The separable model stays the one that is
differentiated, explained and exported.
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
from .balance import best_balance, mixed
from .dense import MOST_ROWS, DenseProcess, fit_dense
from .fitted import unit_box
from .neighbours import NeighbourProcess, fit_process
from .twins import Repeats, Twins, find_twins
from .warp import Warp, fit_warp


class LocalStage(eqx.Module):
    """An additive law and a process of its residuals, and in small tables a process on all rows, in the coordinates and units of the separable model.

    **Fields:** the `law`, on the unit box of warped coordinates; the `warp`; the `process`; `lower` and `upper` `(D,)`, the box; the `balance` `(O,)`; the
    `twins`, or nothing; the process on all rows, `dense`, or nothing, and its own balance `dense_balance` `(O,)`.
    """

    law: KHRONOS
    warp: Warp
    process: NeighbourProcess
    lower: Float[Array, " D"]
    upper: Float[Array, " D"]
    balance: Float[Array, " O"]
    twins: Twins | None
    dense: DenseProcess | None
    dense_balance: Float[Array, " O"]

    def many(self, x: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values at points of the box, and the standard deviation of a new measurement there."""
        points = self._warped(x)
        mean, variance = self.process.many(points)
        near = (evaluate(self.law, points) + mean, np.sqrt(variance))
        if self.dense is None:
            return near
        mean, variance = self.dense.many(points)
        return mixed(np.asarray(self.dense_balance), near, (mean, np.sqrt(variance)))

    @property
    def weighs(self) -> bool:
        """Whether it counts beside the separable model, and is not kept for the twins alone."""
        return bool(np.any(np.asarray(self.balance) > 0))

    def mixed(
        self, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"]
    ) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values of the separable model at points of the box, and the standard deviations of a new measurement, mixed with those of this stage."""
        if self.weighs:
            value, std = mixed(np.asarray(self.balance), (value, std), self.many(x))
        return (value, std) if self.twins is None else self.twins.corrected(x, value, std)

    def given(
        self, x: Float[np.ndarray, "N D"], z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
    ) -> "LocalStage":
        """The same stage given other rows: law and residuals are found anew."""
        points = self._warped(x)
        law = _law(self.law, points, z, weights)
        process = self.process.given(points, z - evaluate(law, points), weights)
        twins = None if self.twins is None else self.twins.given(x, z, weights)
        dense = None if self.dense is None else self.dense.given(points, z, weights)
        where = lambda stage: (stage.law, stage.process, stage.twins, stage.dense)
        return eqx.tree_at(where, self, (law, process, twins, dense), is_leaf=lambda leaf: leaf is None)

    def balanced(
        self, x: np.ndarray, z: np.ndarray, weights: np.ndarray, value: np.ndarray, std: np.ndarray
    ) -> "LocalStage":
        """The same stage with the balance that is best on rows that neither it nor the separable model, whose values and deviations are given, has seen."""
        return self.with_balance(best_balance(z, weights, (value, std), self.many(x)))

    def with_balance(self, balance: np.ndarray) -> "LocalStage":
        """The same stage with a given balance `(O,)`; at zero the separable model speaks alone."""
        return eqx.tree_at(lambda stage: stage.balance, self, jnp.asarray(balance, self.balance.dtype))

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

    def _warped(self, x: np.ndarray) -> np.ndarray:
        return self.warp(unit_box(x, self.lower, self.upper))


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
    dense, balance = None, np.ones(z.shape[1])
    kept = weights > 0
    if np.sum(kept) <= MOST_ROWS:
        dense = fit_dense(points, z, weights, seed)
        own = leverages(start, *(jnp.asarray(a) for a in (points, z, weights)))
        mean, variance = process.left_out()
        near = (z[kept] - (left / (1 - own))[kept] + mean, np.sqrt(variance))
        mean, variance = dense.left_out()
        balance = best_balance(z[kept], weights[kept], near, (mean, np.sqrt(variance)))
    ones = jnp.ones(z.shape[1])
    return LocalStage(
        law, warp, process, jnp.asarray(lower), jnp.asarray(upper), ones, None, dense, jnp.asarray(balance)
    )


def _law(start: KHRONOS, points: np.ndarray, z: np.ndarray, weights: np.ndarray) -> KHRONOS:
    return fit_additive(start, *(jnp.asarray(a) for a in (points, z, weights)))
