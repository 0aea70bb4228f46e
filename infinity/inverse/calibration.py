r"""Calibration: the inputs that explain observations, with what remains uncertain.

    y_r = f(x_r, theta) + sigma e_r,    p(theta | y) ~ p(y | theta) p(theta),    theta in the box

The known inputs `x_r` are contracted once for all cases; see `infinity.inverse.posterior` for the method.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from .contraction import contracted
from .inputs import units_of
from .observations import noise_of, observations_of, prior_of, rows_of
from .posterior import posteriors

# Eigenvalues of the information, in units of the box, below which a direction is known no better than the box says.
_LITTLE = 12.0


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """The posterior of the free inputs, in physical units; with several cases every array has an axis of them in front.

    **Fields:**

    - `names` of the `k` free inputs.
    - `mean` `(k,)` and `covariance` `(k, k)` of the posterior on the box; `std` `(k,)`.
    - `mode` `(k,)`, the point of greatest density; `at_bound` `(k,)`, whether it lies at an end of the box.
    - `identifiability` `(k,)`: by how much the observations narrow each input, `1 - std / std of the prior`, 0 for not at all.
    - `noise`: the standard deviation of the observations, as given or estimated at the mode.
    - `samples` `(S, k)` and `weights` `(S,)`: the posterior itself, for any other question; `effective`, how many equal samples they are worth.
    - `success`, `status` and `message`: whether the observations determine all free inputs; how it went, in a word and in a sentence.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, "*K k"]
    covariance: Float[np.ndarray, "*K k k"]
    mode: Float[np.ndarray, "*K k"]
    at_bound: Bool[np.ndarray, "*K k"]
    identifiability: Float[np.ndarray, "*K k"]
    noise: Any
    samples: Float[np.ndarray, "*K S k"]
    weights: Float[np.ndarray, "*K S"]
    effective: Any
    success: Any
    status: Any
    message: Any

    @property
    def std(self) -> Float[np.ndarray, "*K k"]:
        """Standard deviations of the free inputs."""
        return np.sqrt(np.einsum("...kk->...k", self.covariance))

    def radius(self, level: float = 0.95) -> Any:
        """The size of the ellipsoid that holds the posterior with a probability: `(theta - mean) covariance^-1 (theta - mean) <= radius^2`.

        **Raises:** `ValueError` for a level outside 0 to 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; expected a probability above 0 and below 1, such as 0.95")
        # Each sample from the mean and the covariance of the others: from its own it would seem too near.
        own, distance = self.weights, self._distance(self.samples)
        pull = np.minimum(own / np.maximum(1 - own, 1e-12) * distance, 1 - 1e-6)
        distance = distance / ((1 - pull) * np.maximum(1 - own, 1e-12))
        order = np.argsort(distance, axis=-1)
        mass = np.cumsum(np.take_along_axis(self.weights, order, -1), axis=-1)
        place = np.sum(mass < np.asarray(self._share(level))[..., None], axis=-1, keepdims=True)
        sizes = np.take_along_axis(distance, order, -1)
        return np.sqrt(np.take_along_axis(sizes, np.minimum(place, sizes.shape[-1] - 1), -1)[..., 0])

    def contains(self, theta: Any, level: float = 0.95) -> Any:
        """Whether the region of a probability holds a point `(k,)`, or a point a case `(K, k)`."""
        return self._distance(np.asarray(theta, float)[..., None, :])[..., 0] <= self.radius(level) ** 2

    def interval(self, level: float = 0.95) -> tuple[Float[np.ndarray, "*K k"], Float[np.ndarray, "*K k"]]:
        """For each input the ends between which it lies with a probability, as much outside on either side."""
        order = np.argsort(self.samples, axis=-2)
        values = np.take_along_axis(self.samples, order, -2)
        mass = np.cumsum(np.take_along_axis(np.broadcast_to(self.weights[..., None], values.shape), order, -2), axis=-2)
        ends, wide = [], np.asarray(self._share(level))[..., None, None]
        for share in ((1 - wide) / 2, (1 + wide) / 2):
            place = np.minimum(np.sum(mass < share, axis=-2, keepdims=True), values.shape[-2] - 1)
            ends.append(np.take_along_axis(values, place, -2)[..., 0, :])
        return ends[0], ends[1]

    def _share(self, level: float) -> Any:
        """The part of the samples to take for a region of a probability.

        Another point of the posterior would have the weight `1 / effective` beside them, on average, and the region is to hold it with that probability.
        """
        return np.minimum(level * (1 + 1 / np.asarray(self.effective)), 1.0)

    def _distance(self, theta: np.ndarray) -> np.ndarray:
        scale = np.maximum(self.std, 1e-300)
        correlation = self.covariance / (scale[..., :, None] * scale[..., None, :])
        inverse = np.linalg.pinv(correlation, rcond=1e-12, hermitian=True)
        away = (theta - self.mean[..., None, :]) / scale[..., None, :]
        return np.einsum("...sk,...kl,...sl->...s", away, inverse, away)


def calibrate(
    model: Any,
    known: Mapping[str, Any] | None = None,
    observations: Any = None,
    free: Sequence[str] | None = None,
    *,
    noise: Any = None,
    prior: Mapping[str, tuple[float, float]] | None = None,
    cases: bool = False,
    domain: Any = None,
) -> Calibration:
    r"""Infer free inputs of a model from observations of its outputs.

    **Arguments:**

    - `model`: a separable model such as `KHRONOS`, a `Result` or `Fitted`, or any function of one point that JAX can differentiate (with its `domain`).
    - `known`: `{name: value}` or `{name: values (n,)}`: the inputs at which the `n` observations were made; a plain value counts for all of them.
    - `observations`: `(n,)`, or `(n, O)` for a model with O outputs; one row `()` or `(O,)` where all known inputs are plain values. With `cases=True` an
      axis of cases in front: observations of several objects at the same known inputs, each with free inputs of its own.
    - `free`: the inputs to infer, the same for all observations of a case; by default all that are not known.
    - `noise`: the standard deviation of the observations, a number, `(O,)`, `(n,)` or `(n, O)`; by default it is unknown, and inferred from the residuals.
    - `prior`: `{name: (mean, standard deviation)}` of a normal distribution; otherwise every value in the box is equally likely before.
    - `domain`: `[(low, high)] * D`, for a function that does not bring its box.

    **Returns:** a `Calibration`. Free inputs that the observations do not determine are a result with `success=False` that says which.

    **Raises:** `ValueError` for unknown, missing or doubly named inputs, nothing free, observations of a wrong shape or not finite, fewer observations
    than free inputs without a prior, or a noise that is not positive.

    !!! example

        >>> import jax, jax.numpy as jnp, numpy as np, infinity as inf
        >>> decay = lambda x: x[1] * jnp.exp(-x[2] * x[0])  # of time, amplitude, rate
        >>> time = np.linspace(0.0, 3.0, 20)
        >>> seen = 2.0 * np.exp(-0.7 * time) + 0.01 * np.random.default_rng(0).normal(size=20)
        >>> box = [(0.0, 3.0), (0.5, 5.0), (0.1, 2.0)]
        >>> found = inf.calibrate(decay, {"x0": time}, seen, ["x1", "x2"], domain=box)
        >>> bool(np.all(np.abs(found.mean - [2.0, 0.7]) < 0.05)), bool(found.contains([2.0, 0.7], 0.99))
        (True, True)
    """
    model, names, lower, upper, coding = units_of(model, domain)
    rows, indices, free_names, plain = rows_of(dict(known or {}), free, names, lower, upper, coding)
    box = lower[list(indices)], upper[list(indices)]
    predict, targets, dtype = contracted(model, rows, indices, box)
    y = observations_of(observations, len(rows), len(targets), cases, plain)
    sigma = noise_of(noise, y.shape[1:])
    centre, precise = prior_of(prior, free_names, box)
    k, n = len(indices), y[0].size
    if n + np.count_nonzero(precise) < k + (noise is None):
        what = f"{k} free inputs ({', '.join(free_names)})" + ("" if noise is not None else " and an unknown noise")
        raise ValueError(
            f"{n} observations cannot determine {what}; give more observations, {'the noise, ' if noise is None else ''}a prior, or more known inputs"
        )
    seen, size, mean, precision = (jnp.asarray(a, dtype) for a in (y, sigma, centre, precise))
    found = posteriors(predict, seen, size, (mean, precision), noise is not None)
    found = jax.tree.map(np.asarray, found)
    return _summary(found, free_names, box, sigma, noise, precise, n, cases)


def _summary(
    found: Any, names: tuple[str, ...], box: Any, sigma: Any, noise: Any, precise: np.ndarray, n: int, cases: bool
) -> Calibration:
    low, width, k = box[0], box[1] - box[0], len(names)
    samples, weights, mode = found.samples.astype(float), found.weights.astype(float), found.mode.astype(float)
    mean = np.einsum("cs,csk->ck", weights, samples)
    away = samples - mean[:, None]
    covariance = np.einsum("cs,csk,csl->ckl", weights, away, away)
    at_bound = (mode <= 1e-9) | (mode >= 1 - 1e-9)
    before = 1 / np.sqrt(_LITTLE + precise**2)
    identifiability = np.clip(1 - np.sqrt(np.einsum("ckk->ck", covariance)) / before, 0, 1)
    information = found.information + np.diag(precise**2)
    eigenvalues, directions = np.linalg.eigh(information)
    weak = eigenvalues[:, 0] < _LITTLE
    size = np.sqrt(found.chi2 / max(n - k, 1)) if noise is None else np.ones(len(mode))
    status, message = [], []
    for case in range(len(mode)):
        kind, sentence = _verdict(weak[case], found.converged[case], names, directions[case, :, 0], at_bound[case])
        status.append(kind)
        message.append(sentence)
    one = lambda a: a if cases else a[0]
    noise_size = one(size) if noise is None else noise
    return Calibration(
        names, one(low + width * mean), one(covariance * width[:, None] * width), one(low + width * mode), one(at_bound),
        one(identifiability), noise_size, one(low + width * samples), one(weights), one(1 / np.sum(weights**2, axis=1)),
        one(found.converged & ~weak), one(tuple(status)), one(tuple(message)),
    )  # fmt: skip


def _verdict(weak: Any, converged: Any, names: tuple[str, ...], direction: np.ndarray, bound: Any) -> tuple[str, str]:
    if weak:
        # In units of the box; only what has a part in it.
        parts = [(v, name) for v, name in zip(direction, names, strict=True) if abs(v) > 0.25]
        if len(parts) == 1:
            sentence = f"the observations say little about {parts[0][1]}, no more than its box does"
            return "unidentifiable", f"{sentence}; fix it, or give a prior"
        sign = 1 if parts[0][0] > 0 else -1
        terms = " ".join(f"{'+' if sign * v > 0 else '-'} {abs(v):.2g} {name}" for v, name in parts).removeprefix("+ ")
        return (
            "unidentifiable",
            f"the observations do not tell {terms} (in units of the box); fix one of them, or give a prior",
        )
    if not converged:
        return "not converged", "the iteration did not converge; the noise may be far too small, or the model rough"
    where = [name for name, at in zip(names, bound, strict=True) if at]
    if where:
        return "at bound", f"{', '.join(where)} at an end of the box: the best value may lie beyond"
    return "found", "the observations determine all free inputs"
