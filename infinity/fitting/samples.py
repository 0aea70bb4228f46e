r"""The rows of a table as the direct fit sees them: distinct, in random order, the targets scaled to what the model describes.

    z = (h(y) - shift) / scale,    h the link;    w = weights mean_o (g_o / s_o)^2,    g_o = 1 / h'(y_o),    s_o its root mean square

To first order an error of `h(y)` is one of `y` over `g`, so these weights make the fit one of the targets themselves, each in units of its own size. Where
`g` is nearly zero, as where a logarithm's target is, such a fit would be free to end anywhere, and an exponential makes a large value of that; so

    g >= s FAINT / (1 + |log(g / s)| / 10)

counts instead: a target that is missed by all of its logarithm costs at most a tenth of the targets' size.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..descent.evidence import Evidence
from ..models import KHRONOS, AbstractSeparable
from ..models.evaluator import evaluate
from .additive import fit_additive
from .direct import DirectFit, effective_share, fit_separable
from .journal import Journal
from .levels import LevelEffects, fit_levels
from .links import LINKS
from .local import LocalStage, fit_local
from .size import Size
from .twins import Repeats

# The least slope of a link that counts, in units of its root mean square.
FAINT = 1e-2
# Rounds in which the chances of rows are raised until so many are drawn as are wanted.
DRAWING_ROUNDS = 10


class Scaled(NamedTuple):
    """Scaled targets.

    **Fields:** `z` `(N, O)`, of about zero mean and unit variance; their `weights` `(N,)`; `shift` and `scale` `(O,)`; `noise` `(O,)`, what turns the noise
    of `z` into that of `y`.
    """

    z: Float[np.ndarray, "N O"]
    weights: Float[np.ndarray, " N"]
    shift: Float[np.ndarray, " O"]
    scale: Float[np.ndarray, " O"]
    noise: Float[np.ndarray, " O"]


@dataclasses.dataclass(frozen=True)
class Samples:
    """Rows in random order and how to fit them.

    **Fields:** inputs `(N, D)`, targets `(N, O)`, weights `(N,)`; the dtype to work in; the tolerance of the fits; a callback; the rows of the largest table
    that is to share compiled programs; what repeated measurements say of the targets; shift and scale of an earlier fit, or nothing; over what ratio each
    input spans decades.
    """

    x: Float[np.ndarray, "N D"]
    y: Float[np.ndarray, "N O"]
    weights: Float[np.ndarray, " N"]
    dtype: Any
    tolerance: float
    progress: Callable[[dict[str, Any]], None] | None
    capacity: int
    repeats: Repeats
    units: tuple[np.ndarray, np.ndarray] | None = None
    offset: Float[np.ndarray, "N O"] | None = None
    journal: Journal | None = None
    ratios: tuple[float, ...] = ()

    def shuffled(self, seed: int) -> "Samples":
        """The same rows in random order."""
        return self.reordered(np.random.default_rng(seed).permutation(len(self.x)))

    def reordered(self, order: Int[np.ndarray, " N"]) -> "Samples":
        """The same rows in another order."""
        offset = None if self.offset is None else self.offset[order]
        return dataclasses.replace(self, x=self.x[order], y=self.y[order], weights=self.weights[order], offset=offset)

    def less(self, levels: LevelEffects | None) -> "Samples":
        """The same rows, from whose scaled targets effects of levels are taken away."""
        return dataclasses.replace(self, offset=None if levels is None else levels.many(self.x)[0])

    def levels(
        self, link: str, values: Float[np.ndarray, "N O"], columns: Sequence[int], left_out: int = 0
    ) -> LevelEffects:
        """The effects of levels in what values of a model leave over, the last rows left out."""
        scaled = dataclasses.replace(self, offset=None).scaled(link)
        w = np.array(scaled.weights, float)
        w[len(w) - left_out :] = 0.0
        return fit_levels(np.asarray(self.x, float), np.asarray(scaled.z - values, float), w, columns)

    def first_levels(self, link: str, columns: Sequence[int], size: Size, left_out: int) -> LevelEffects:
        """The effects of levels beside an additive law."""
        scaled = self.scaled(link)
        x, z, w = np.asarray(self.x, float), np.asarray(scaled.z, float), np.array(scaled.weights, float)
        w[len(w) - left_out :] = 0.0
        box = list(zip(x.min(axis=0).tolist(), x.max(axis=0).tolist(), strict=True))
        elements = [len(row) - 1 for row in size.breakpoints]
        start = KHRONOS(box, modes=0, elements=elements, degree=size.degrees, outputs=z.shape[1], key=jax.random.key(0))
        law = fit_additive(start, *(jnp.asarray(a) for a in (x, z, w)))
        return self.levels(link, evaluate(law, x), columns, left_out)

    def scaled(self, link: str) -> Scaled:
        """What a link makes of the targets."""
        forward, slope = LINKS[link].forward, LINKS[link].slope
        z, slopes = forward(self.y), slope(self.y)
        shift, scale = (z.mean(axis=0), z.std(axis=0)) if self.units is None else self.units
        scale = np.where(scale > 0, scale, 1.0)
        largest = slopes.max(axis=0)
        size = largest * np.sqrt(np.mean((slopes / largest) ** 2, axis=0))
        with np.errstate(divide="ignore"):
            slopes = np.maximum(slopes, FAINT * size / (1 + np.abs(np.log(slopes / size)) / 10))
        w = self.weights * np.mean((slopes / size) ** 2, axis=1)
        share = self.weights.sum() / w.sum()
        z = (z - shift) / scale
        return Scaled(
            z if self.offset is None else z - self.offset, w * share, shift, scale, scale * size / np.sqrt(share)
        )

    def first(self, count: int) -> "Samples":
        """The first of them alone."""
        rows = {name: getattr(self, name)[:count] for name in ("x", "y", "weights")}
        offset = None if self.offset is None else self.offset[:count]
        return dataclasses.replace(self, **rows, offset=offset, capacity=min(count, self.capacity))

    def split(self, count: int) -> tuple["Samples", "Samples"]:
        """All but the last `count` of them, and those."""
        last = {name: getattr(self, name)[-count:] for name in ("x", "y", "weights")}
        offset = None if self.offset is None else self.offset[-count:]
        return self.first(len(self.x) - count), dataclasses.replace(self, **last, offset=offset)

    def drawn(self, link: str, count: int, seed: int) -> "Samples":
        """About `count` of them in random order, those that weigh much under a link more likely, with weights that make up for it.

        Of weights `w` under the link a row is taken with probability `min(1, c (1 + w / mean w) / 2)`: none is much rarer than under equal chances, so that
        no weight is more than twice its share (Hesterberg, Technometrics 37, 1995). The scale of the targets stays that of all rows.
        """
        scaled = self.scaled(link)
        likely = 0.5 * (1 + scaled.weights / scaled.weights.mean())
        chance, few = np.minimum(1.0, likely * count / len(likely)), count < len(likely)
        for _ in range(DRAWING_ROUNDS if few else 0):  # what is certain leaves more for the others
            rest = chance < 1
            chance[rest] *= (count - np.sum(~rest)) / chance[rest].sum()
            chance = np.minimum(1.0, chance)
        generator = np.random.default_rng(seed)
        heights = np.floor(np.cumsum(chance) + generator.uniform())
        taken = np.flatnonzero(np.diff(heights, prepend=0.0) > 0) if few else np.arange(len(likely))
        weights = self.weights[taken] / chance[taken] if few else self.weights
        weights = _shares(weights) * len(taken)
        order = generator.permutation(len(taken))
        x, y, offset = (None if a is None else a[taken][order] for a in (self.x, self.y, self.offset))
        return dataclasses.replace(
            self, x=x, y=y, weights=weights[order], offset=offset, units=(scaled.shift, scaled.scale)
        )

    def beside(self, others: "Samples") -> "Samples":
        """These and then others, of the same units."""
        rows = {name: np.concatenate([getattr(self, name), getattr(others, name)]) for name in ("x", "y", "weights")}
        return dataclasses.replace(self, **rows, offset=None)

    def share(self, link: str) -> float:
        """The share of equally weighted samples that would tell as much as these do under a link."""
        return effective_share(self.scaled(link).weights)

    def fit(
        self,
        link: str,
        start: AbstractSeparable,
        rows: int | None = None,
        evidence: Evidence | None = None,
        most_iterations: int | None = None,
        variance: float | None = None,
    ) -> DirectFit:
        """Fit a start to the first rows, or to all; the other arguments as for `fit_separable`."""
        scaled = self.scaled(link)
        x, z, w = (jnp.asarray(a, self.dtype) for a in (self.x, scaled.z, scaled.weights))
        options = {
            "tolerance": self.tolerance,
            "rows": rows,
            "evidence": evidence,
            "capacity": self.capacity,
            "most_iterations": most_iterations,
            "variance": variance,
        }
        fit = lambda: fit_separable(start, x, z, w, progress=self.progress, **options)
        return fit() if self.journal is None else self.journal.once(start, {"samples": (x, z, w), **options}, fit)

    def error(
        self, link: str, values: Float[np.ndarray, "N O"], count: int, standard_errors: float | int = 0.0
    ) -> float:
        """Error on the last rows of what a fit describes, in units of the target's spread; its mean square with so many standard errors of it."""
        scaled = self.scaled(link)
        whole = values[-count:] if self.offset is None else values[-count:] + self.offset[-count:]
        with np.errstate(over="ignore", invalid="ignore"):
            prediction = np.asarray(LINKS[link].inverse(scaled.shift + scaled.scale * whole))
            w = _shares(self.weights)
            variance = w @ (self.y - w @ self.y) ** 2
            squares = np.mean((prediction - self.y[-count:]) ** 2 / variance, axis=1)
            w = _shares(self.weights[-count:])
            mean = w @ squares
            value = np.sqrt(mean + standard_errors * np.sqrt(w**2 @ (squares - mean) ** 2))
        return float(value) if np.isfinite(value) else np.inf

    def local(
        self,
        link: str,
        values: Float[np.ndarray, "N O"],
        deviations: Float[np.ndarray, "n O"],
        folds: int,
        domain: Any,
        size: Size,
        seed: int,
        worthwhile: float,
    ) -> tuple[LocalStage | None, Float[np.ndarray, "n O"] | None]:
        """A local stage, or nothing where it does not pay, and how far the last n rows are off, in standard deviations of their prediction.

        Where places were measured before, there is no telling how far off others would be. The stage is judged on the last n rows, in `folds` equal parts:
        each is predicted from all other rows, with kernels found on all of them.

        **Arguments:** the link; values of a separable model that, where it gives those of a part, has not seen it either; the standard deviations it gives the
        last n rows; the number of parts; the box; the size of the additive law; the seed; the share of the separable model's error that the mixture has to stay
        below.
        """
        scaled = self.scaled(link)
        x, z, w = np.asarray(self.x, float), np.asarray(scaled.z, float), np.asarray(scaled.weights, float)
        elements = [len(row) - 1 for row in size.breakpoints]
        stage = fit_local(x, z, w, domain, elements, size.degrees, seed)
        judged = np.arange(len(x) - len(deviations), len(x))
        parts = []
        for part in np.split(judged, folds):
            others = stage.given(*(np.delete(a, part, axis=0) for a in (x, z, w)))
            parts.append(others.many(x[part]))
        own = (np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts]))
        separable = (values[judged], deviations)
        stage = stage.balanced(z[judged], w[judged], separable, own)
        mixed, std = stage.balance.mixed(separable, own)
        if self.error(link, mixed, len(judged)) > worthwhile * self.error(link, values, len(judged)):
            stage, mixed, std = stage.silent(), *separable
        total = np.average((z[judged] - mixed) ** 2, axis=0, weights=w[judged])
        repeats = self.repeats._replace(variance=self.repeats.variance / scaled.noise**2)
        stage = stage.with_twins(x, z, w, repeats, total)
        if stage.twins is not None:
            return stage, None
        return stage if stage.weighs else None, np.abs(z[judged] - mixed) / std


def _shares(weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights that sum to one, equal ones where all are zero."""
    w = np.maximum(np.asarray(weights, float), np.finfo(float).tiny)
    return w / w.sum()
