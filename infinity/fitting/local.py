r"""What is local in a table: an additive law and, on what it leaves over, the nearest measurements.

    u(x) = (1 - s) v(x) + s [a(x) + r(w(x))]

`v` is the separable model, `a` an additive law, `r` a Gaussian process of its residuals on the nearest measurements in warped coordinates `w`. The additive
law does not follow what happens at single points, so that its residuals still show it. The share `s` of each target minimises the error on rows that
neither has seen. The separable model stays the one that is differentiated, explained and exported.
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
from .warp import Warp, fit_warp


class LocalStage(eqx.Module):
    """An additive law and a process of its residuals, in the coordinates and units of the separable model.

    **Fields:** the `law`, on the unit box of warped coordinates; the `warp`; the `process`; `lower` and `upper` `(D,)`, the box; `share` `(O,)`.
    """

    law: KHRONOS
    warp: Warp
    process: NeighbourProcess
    lower: Float[Array, " D"]
    upper: Float[Array, " D"]
    share: Float[Array, " O"]

    def many(self, x: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"]]:
        """Values at points of the box, and the standard deviation of a new measurement there."""
        points = self._warped(x)
        mean, variance = self.process.many(points)
        return evaluate(self.law, points) + mean, np.sqrt(variance)

    def mixed(
        self, x: Float[np.ndarray, "N D"], value: Float[np.ndarray, "N O"], std: Float[np.ndarray, "N O"] | None = None
    ) -> tuple[Float[np.ndarray, "N O"], Float[np.ndarray, "N O"] | None]:
        """Values of the separable model at points of the box, and their standard deviations where given, mixed with those of this stage.

        Both err for the same reasons, so that their deviations add up and not their variances.
        """
        share = np.asarray(self.share)
        own, own_std = self.many(x)
        return (1 - share) * value + share * own, None if std is None else (1 - share) * std + share * own_std

    def given(
        self, x: Float[np.ndarray, "N D"], z: Float[np.ndarray, "N O"], weights: Float[np.ndarray, " N"]
    ) -> "LocalStage":
        """The same stage given other rows: law and residuals are found anew."""
        points = self._warped(x)
        law = _law(self.law, points, z, weights)
        process = self.process.given(points, z - evaluate(law, points), weights)
        return eqx.tree_at(lambda stage: (stage.law, stage.process), self, (law, process))

    def shared(self, x: np.ndarray, z: np.ndarray, weights: np.ndarray, value: np.ndarray) -> "LocalStage":
        """The same stage with the shares that are best on rows that neither it nor the separable model, whose values are given, has seen."""
        step = self.many(x)[0] - value
        w = weights[:, None]
        bottom = np.sum(w * step**2, axis=0)
        share = np.sum(w * step * (z - value), axis=0) / np.where(bottom > 0, bottom, 1.0)
        return eqx.tree_at(lambda stage: stage.share, self, jnp.asarray(np.clip(share, 0, 1), self.share.dtype))

    def _warped(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.warp(jnp.asarray(unit_box(x, self.lower, self.upper))))


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
    points = np.asarray(warp(jnp.asarray(unit)))
    start = KHRONOS(
        [(0.0, 1.0)] * x.shape[1], modes=0, elements=elements, degree=degrees, outputs=z.shape[1], key=jax.random.key(0)
    )
    law = _law(start, points, z, weights)
    process = fit_process(points, z - evaluate(law, points), weights, seed)
    return LocalStage(law, warp, process, jnp.asarray(lower), jnp.asarray(upper), jnp.ones(z.shape[1]))


def _law(start: KHRONOS, points: np.ndarray, z: np.ndarray, weights: np.ndarray) -> KHRONOS:
    return fit_additive(start, *(jnp.asarray(a) for a in (points, z, weights)))
