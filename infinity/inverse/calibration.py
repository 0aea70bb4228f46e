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
from .posterior import posteriors
from .subject import check_name, units_of

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
        place = np.sum(mass < level, axis=-1, keepdims=True)
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
        ends = []
        for share in ((1 - level) / 2, (1 + level) / 2):
            place = np.minimum(np.sum(mass < share, axis=-2, keepdims=True), values.shape[-2] - 1)
            ends.append(np.take_along_axis(values, place, -2)[..., 0, :])
        return ends[0], ends[1]

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
    rows, indices, free_names, plain = _rows(dict(known or {}), free, names, lower, upper, coding)
    box = lower[list(indices)], upper[list(indices)]
    predict, targets, dtype = contracted(model, rows, indices, box)
    y = _observations(observations, len(rows), len(targets), cases, plain)
    sigma = _noise(noise, y.shape[1:])
    centre, precise = _prior(prior, free_names, box)
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


def _rows(
    known: dict[str, Any], free: Sequence[str] | None, names: tuple[str, ...], lower: Any, upper: Any, coding: Any
) -> tuple[np.ndarray, tuple[int, ...], tuple[str, ...], bool]:
    """Full points with the known values, which columns are free, their names, and whether all known values are plain."""
    inputs = names if coding is None else coding.inputs
    wanted = [name for name in inputs if name not in known] if free is None else list(free)
    for name in (*known, *wanted):
        check_name(name, inputs)
    both = [name for name in wanted if name in known]
    neither = [name for name in inputs if name not in known and name not in wanted]
    if both or neither or len(set(wanted)) < len(wanted):
        what = (
            f"{both[0]!r} is both known and free"
            if both
            else f"{neither[0]!r} is neither known nor free"
            if neither
            else "a free input is named twice"
        )
        raise ValueError(f"{what}; every input is one of the two")
    if not wanted:
        raise ValueError("all inputs are known; leave at least one free")
    columns = {name: np.asarray(value, object if coding is not None else None) for name, value in known.items()}
    lengths = {name: column.shape for name, column in columns.items() if column.ndim}
    for name, shape in lengths.items():
        if len(shape) != 1 or shape != next(iter(lengths.values())):
            first = next(iter(lengths))
            raise ValueError(
                f"the known values of {name!r} have shape {shape}; expected one value, or (n,) as those of {first!r}, {lengths[first]}"
            )
    n = next(iter(lengths.values()))[0] if lengths else 1
    if n == 0:
        raise ValueError("the known inputs have no rows; give at least one observation")
    rows, indices, free_names, start = np.full((n, len(names)), np.nan), [], [], 0
    for d, name in enumerate(inputs):
        column = None if coding is None else coding.columns[d]
        own = list(range(start, start + (1 if column is None else len(column.names))))
        start += len(own)
        if name in known:
            values = np.broadcast_to(columns[name], (n,))
            rows[:, own] = _numbers(name, values, column)
            for at in own:
                slack = 1e-12 * max(abs(lower[at]), abs(upper[at]))
                bad = np.flatnonzero(~((rows[:, at] >= lower[at] - slack) & (rows[:, at] <= upper[at] + slack)))
                if len(bad):
                    raise ValueError(
                        f"row {bad[0] + 1} of the known {name!r}: {rows[bad[0], at]:g} is not in the box of the model, [{lower[at]:g}, {upper[at]:g}]"
                    )
        elif column is not None and column.is_category:
            raise ValueError(f"{name!r} is a category, which cannot be free; give its value among the known inputs")
        else:
            if len(own) > 1:
                rows[:, own[1]] = 0.0
            indices.append(own[0])
            free_names.append(name)
    return rows, tuple(indices), tuple(free_names), not lengths


def _numbers(name: str, values: np.ndarray, column: Any) -> np.ndarray:
    if column is not None:
        return column.code(values)
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"the known values of {name!r} are no numbers") from None
    return numbers[:, None]


def _observations(observations: Any, n: int, O: int, cases: bool, plain: bool) -> Float[np.ndarray, "K n O"]:
    if observations is None:
        raise ValueError("calibrate needs observations of the model's output")
    try:
        y = np.asarray(observations, float)
    except (TypeError, ValueError):
        raise ValueError("the observations are no numbers") from None
    shapes = [(n, O)] + ([(n,)] if O == 1 else []) + ([(O,)] if plain else []) + ([()] if plain and O == 1 else [])
    one = y.shape[1:] if cases else y.shape
    if one not in shapes or (cases and (y.ndim == 0 or not len(y))):
        lead = "(cases, " if cases else "("
        wanted = lead + (f"{n})" if O == 1 else f"{n}, {O})")
        hint = "" if cases else ". For several cases at the same known inputs give cases=True"
        raise ValueError(
            f"observations have shape {y.shape}; expected {wanted}, one row for each value of the known inputs{hint}"
        )
    y = y.reshape(-1, n, O)
    bad = np.argwhere(~np.isfinite(y))
    if len(bad):
        case, row, o = (int(i) for i in bad[0])
        where = f"case {case + 1}, row {row + 1}" if cases else f"row {row + 1}"
        raise ValueError(f"{where} of the observations is {y[case, row, o]}; leave it out, with its known inputs")
    return y


def _noise(noise: Any, shape: tuple[int, int]) -> Float[np.ndarray, "n O"]:
    if noise is None:
        return np.ones(shape)
    sigma, (n, O) = np.asarray(noise, float), shape
    if sigma.shape == (n,) and (n, O) != (O, O) and n != O:
        sigma = sigma[:, None]
    elif sigma.shape not in ((), (O,), (n, O)):
        raise ValueError(f"noise has shape {sigma.shape}; expected a number, ({O},), ({n},) or ({n}, {O})")
    if not np.all(np.isfinite(sigma) & (sigma > 0)):
        raise ValueError(f"noise is {noise!r}; expected positive standard deviations, in units of the target")
    return np.broadcast_to(sigma, shape).copy()


def _prior(prior: Any, names: tuple[str, ...], box: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means and one over standard deviations, in units of the box."""
    centre, precise = np.full(len(names), 0.5), np.zeros(len(names))
    for name, given in dict(prior or {}).items():
        if name not in names:
            raise ValueError(f"the prior names {name!r}, which is not free; the free inputs are {', '.join(names)}")
        try:
            mean, std = (float(v) for v in given)
        except (TypeError, ValueError):
            raise ValueError(f"the prior of {name!r} is {given!r}; expected (mean, standard deviation)") from None
        if not (np.isfinite(mean) and 0 < std < np.inf):
            raise ValueError(
                f"the prior of {name!r} is {given!r}; expected a finite mean and a positive standard deviation"
            )
        d = names.index(name)
        centre[d], precise[d] = (mean - box[0][d]) / (box[1][d] - box[0][d]), (box[1][d] - box[0][d]) / std
    return centre, precise


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
