r"""What is local in a table: an additive law and, on what it leaves over, the nearest measurements.

    u(x) = (1 - s) v(x) + s [a(x) + r(w(x))],    s(x) = b var v(x) / (b var v(x) + var r(x))

`v` is the separable model, `a` an additive law, `r` a Gaussian process of its residuals on the nearest measurements in warped coordinates `w`. The additive
law does not follow what happens at single points, so that its residuals still show it. Each counts for as much as it knows: by the inverse of the variance
that it expects of a new measurement, where starts that disagree or far measurements make it large. As either may be too sure of itself, the balance `b` of
each target minimises the error on rows that neither has seen, and is drawn to 1 where these say little. Places that were measured before are corrected
by `infinity.fitting.twins`. The separable model stays the one that is differentiated, explained and exported.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..models import KHRONOS
from ..models.evaluator import evaluate
from .additive import fit_additive
from .fitted import unit_box
from .neighbours import NeighbourProcess, fit_process
from .twins import Repeats, Twins, find_twins
from .warp import Warp, fit_warp

# What is known of the balance before: about 1, give or take this in its logarithm.
SPREAD = 2.0
_TRIED = np.linspace(-8.0, 8.0, 161)


class LocalStage(eqx.Module):
    """An additive law and a process of its residuals, in the coordinates and units of the separable model.

    **Fields:** the `law`, on the unit box of warped coordinates; the `warp`; the `process`; `lower` and `upper` `(D,)`, the box; the `balance` `(O,)`; the
    `twins`, or nothing.
    """

    law: KHRONOS
    warp: Warp
    process: NeighbourProcess
    lower: Float[Array, " D"]
    upper: Float[Array, " D"]
    balance: Float[Array, " O"]
    twins: Twins | None

    def many(self, x: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values at points of the box, and the standard deviation of a new measurement there."""
        points = self._warped(x)
        mean, variance = self.process.many(points)
        return evaluate(self.law, points) + mean, np.sqrt(variance)

    @property
    def weighs(self) -> bool:
        """Whether it counts beside the separable model, and is not kept for the twins alone."""
        return bool(np.any(np.asarray(self.balance) > 0))

    def mixed(
        self, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"]
    ) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values of the separable model at points of the box, and the standard deviations of a new measurement, mixed with those of this stage.

        Both err for the same reasons, so that their deviations add up and not their variances.
        """
        if self.weighs:
            own, own_std = self.many(x)
            s = _share(np.asarray(self.balance), std, own_std)
            value, std = (1 - s) * value + s * own, (1 - s) * std + s * own_std
        return (value, std) if self.twins is None else self.twins.corrected(x, value, std)

    def given(
        self, x: Float[np.ndarray, "N D"], z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
    ) -> "LocalStage":
        """The same stage given other rows: law and residuals are found anew."""
        points = self._warped(x)
        law = _law(self.law, points, z, weights)
        process = self.process.given(points, z - evaluate(law, points), weights)
        twins = None if self.twins is None else self.twins.given(x, z, weights)
        where = lambda stage: (stage.law, stage.process, stage.twins)
        return eqx.tree_at(where, self, (law, process, twins), is_leaf=lambda leaf: leaf is None)

    def balanced(
        self, x: np.ndarray, z: np.ndarray, weights: np.ndarray, value: np.ndarray, std: np.ndarray
    ) -> "LocalStage":
        """The same stage with the balance that is best on rows that neither it nor the separable model, whose values and deviations are given, has seen."""
        own, own_std = self.many(x)
        best = []
        for o in range(z.shape[1]):
            s = _share(np.exp(_TRIED), std[:, o, None], own_std[:, o, None])
            left = (z - value)[:, o, None] - s * (own - value)[:, o, None]
            score = len(x) * np.log(weights @ left**2 + np.finfo(float).tiny) + (_TRIED / SPREAD) ** 2
            best.append(np.exp(_TRIED[np.argmin(score)]))
        return self.with_balance(np.array(best))

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
    process = fit_process(points, z - evaluate(law, points), weights, seed)
    return LocalStage(law, warp, process, jnp.asarray(lower), jnp.asarray(upper), jnp.ones(z.shape[1]), None)


def _law(start: KHRONOS, points: np.ndarray, z: np.ndarray, weights: np.ndarray) -> KHRONOS:
    return fit_additive(start, *(jnp.asarray(a) for a in (points, z, weights)))


def _share(balance: np.ndarray, std: np.ndarray, own_std: np.ndarray) -> np.ndarray:
    """The share of the local stage."""
    variance = balance * std**2
    total = variance + own_std**2
    return variance / np.where(total > 0, total, 1.0)
