r"""From coarse to fine: a given model is refined as long as the evidence rises.

    log p(y) = -L / sigma^2 - N log(2 pi sigma^2) / 2 - theta^T S theta / 2 + log det S / 2 - log det H / 2,    H = G / sigma^2 + S

Each round prolongs the model exactly, once with every cell halved and once with half as many modes again, goes on from there, and keeps what has the
larger evidence (Laplace's approximation; MacKay, Neural Computation 4, 1992): it weighs the better fit against the directions that it takes.
"""

import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ..descent.evidence import log_evidence
from ..models import AbstractSeparable
from .direct import DirectFit
from .samples import Samples
from .stacked import flattened

# Numbers measured for each unknown, at least.
NUMBERS_PER_UNKNOWN = 2


def grown(
    samples: Samples, link: str, fit: DirectFit, rounds: int, seed: int
) -> tuple[DirectFit, list[tuple[AbstractSeparable, float, float, float]]]:
    """Refine a fitted model up to `rounds` times.

    **Returns:** the fit with the greatest evidence, and for each fit its model, logarithm of the evidence, RMS error over the spread, and seconds.
    """
    numbers = len(samples.x) * samples.y.shape[1]
    best, most = fit, evidence_of(fit, numbers)
    tried = [(fit.model, most, _error(samples, link, fit), 0.0)]
    for turn in range(rounds):
        before = best
        for model in _finer(before.model, jax.random.key(seed + turn)):
            if NUMBERS_PER_UNKNOWN * model.unknowns > numbers:
                continue
            began = time.perf_counter()
            attempt = samples.fit(link, model, evidence=before.evidence)
            score = evidence_of(attempt, numbers)
            tried.append((attempt.model, score, _error(samples, link, attempt), time.perf_counter() - began))
            if score > most:
                best, most = attempt, score
        if best is before:
            break
    return best, tried


def evidence_of(fit: DirectFit, numbers: int) -> float:
    """The logarithm of the evidence of a fit to so many numbers, in the units it was fitted in."""
    theta = flattened(fit.state.stacked, fit.penalty.kept)[0]
    value = log_evidence(fit.state.normal, fit.penalty, fit.state.evidence, theta, jnp.asarray(numbers, theta.dtype))
    return float(value)


def _error(samples: Samples, link: str, fit: DirectFit) -> float:
    z = samples.scaled(link).z
    return float(np.sqrt(np.mean((fit.values - z) ** 2)))


def _finer(model: AbstractSeparable, key: jax.Array) -> Iterator[AbstractSeparable]:
    """The same function with every cell halved, and with half as many modes again."""
    if all(axis.family != "patch" for axis in model.axes):
        yield model.refine(elements=[2 * axis.elements for axis in model.axes])  # pyright: ignore[reportAttributeAccessIssue]
    more = model.modes + max(1, model.modes // 2)
    yield model.refine(modes=more, key=key)  # pyright: ignore[reportAttributeAccessIssue]
