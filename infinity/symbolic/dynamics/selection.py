r"""Which terms the equations have: the fewest that the likelihood asks for.

    description = m log(chi / m) + K (log m + 2 log P),     m = number of whitened equations, P terms in the library

(the extended information criterion of Chen and Chen, Biometrika 95, 2008). With the equations linearised at a smooth trajectory the likelihood of *every*
choice of terms is a least-squares problem in the same whitened columns, so that elimination walks through all numbers of terms at once; the likelihood is then
maximised for the chosen ones, linearised again there, and the walk repeated until the choice stands. Rows of the trajectories' ends, which no constant
has seen, choose between numbers of terms that describe equally well.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ..sparse import best_extra, elimination, exchanged
from .likelihood import Fitted, Likelihood
from .samples import Samples
from .smoothing import Smooth
from .terms import Library

MOST_TERMS = 40
MOST_FORWARD = 16
# A term whose squared ratio to its error is below so many prices of a term is tried without.
DOUBTFUL = 6.0
# Equations that miss so many times as much as a smooth curve does are not worked on.
HOPELESS = 3.0
EXCHANGED = 6
ROUNDS = 8
# A support within this much of the best description is a rival.
RIVAL = 12.0
# Residuals below this part of a state's deviation are rounding and describe nothing.
FLOOR = 1e-8
Places = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Start:
    """Where the likelihood starts: smooth states at the samples, their noise `(S,)`, and rough coefficients of all terms `(P, S)`."""

    nodes: Float[np.ndarray, "N S"]
    noise: Float[np.ndarray, " S"]
    coefficients: Float[np.ndarray, "P S"]


def start_of(library: Library, samples: Samples, curves: list[Smooth]) -> Start:
    r"""Rough coefficients from the smooth curves by the integral form, over windows as long as the noise is smoothed.

    z(t_{i+w}) - z(t_i) = int theta(z) dt xi
    """
    rows, targets, nodes = [], [], []
    x, weights = np.polynomial.legendre.leggauss(3)
    intervals = samples.intervals
    first = 0
    for part, curve in zip(samples.parts, curves, strict=True):
        t, N = samples.t[part], part.stop - part.start
        total = np.zeros((N, len(library.terms)))
        h = np.diff(t)
        for point, weight in zip((x + 1) / 2, weights / 2, strict=True):
            z = intervals.inputs(curve(t[:-1] + point * h), slice(first, first + N - 1), float(point))
            with np.errstate(all="ignore"):
                total[1:] += weight * h[:, None] * library.values(z)
        total = np.cumsum(total, axis=0)
        w = int(np.clip(round(2 * N / np.median(curve.freedom)), 1, N // 3))
        z = curve(t)
        rows.append(total[w:] - total[:-w])
        targets.append(z[w:] - z[:-w])
        nodes.append(z)
        first += N - 1
    A, z = np.concatenate(rows), np.concatenate(targets)
    z = z - A @ library.fixed
    A[:, [p for p, _ in library.known]] = 0.0
    norms = np.linalg.norm(A, axis=0)
    safe = np.where(norms > 0, norms, 1.0)
    U, s, V = np.linalg.svd(A / safe, full_matrices=False)
    damped = s / (s**2 + (1e-6 * s[0]) ** 2)
    coefficients = (V.T * damped) @ (U.T @ z) / safe[:, None]
    noise = np.sqrt(np.mean([curve.noise**2 for curve in curves], axis=0))
    return Start(np.concatenate(nodes), noise, coefficients + library.fixed)


def supports(library: Library, samples: Samples, start: Start, say: Callable[[str], None]) -> list[Fitted]:
    """The maxima of the likelihood for the choices of terms that describe the samples best, the fewest terms first."""
    likelihood = Likelihood(library, samples)
    P = start.coefficients.shape[0]
    places = library.free
    coefficients, nodes, noise = start.coefficients, start.nodes, np.maximum(start.noise, 1e-9 * likelihood.scale)
    best: dict[tuple, tuple[float, Fitted]] = {}
    before: set = set()
    for _ in range(ROUNDS):
        walk = _walk(likelihood, coefficients, nodes, noise, places)
        if walk is None:
            say("the flow of the equations is not finite")
            break
        least = min(cost for cost, _, _ in walk)
        rivals = sorted((item for item in walk if item[0] < least + RIVAL), key=lambda item: item[0])[:4]
        fresh = [item for item in rivals if _key(item[1]) not in best]
        for cost, chosen, guess in fresh:
            fitted = likelihood.fit(_scattered(guess, chosen, library.fixed), chosen, nodes, noise)
            if fitted is not None:
                best[_key(chosen)] = (_description(fitted, likelihood, P), fitted)
                say(f"{len(chosen[0])} terms: description {best[_key(chosen)][0]:.1f} (linearised {cost:.1f})")
        if not best:
            break
        now = min(best.values(), key=lambda item: item[0])[1]
        key = _key(now.places)
        if key in before and not fresh:
            break
        before.add(key)
        coefficients, nodes, noise = now.coefficients, now.nodes, now.noise
    order = sorted(best.values(), key=lambda item: item[0])
    if (
        order
        and order[0][1].converged
        and np.all(order[0][1].noise <= np.maximum(HOPELESS * start.noise, FLOOR * likelihood.scale))
    ):
        _prune(likelihood, best, P, say)
        order = sorted(best.values(), key=lambda item: item[0])
    return [fitted for cost, fitted in order if cost < order[0][0] + RIVAL]


def _prune(likelihood: Likelihood, best: dict, P: int, say: Callable[[str], None]) -> None:
    """Terms taken away from the best choice one at a time, judged by the likelihood itself: under much noise the walk asks for more than it gives."""
    while best:
        cost, now = min(best.values(), key=lambda item: item[0])
        t = now.coefficients[now.places] ** 2 / np.maximum(np.diag(now.covariance), 1e-300)
        for k in np.flatnonzero(t < DOUBTFUL * _price(now.nodes.size, P)):
            places = (np.delete(now.places[0], k), np.delete(now.places[1], k))
            if _key(places) not in best:
                fitted = likelihood.fit(now.coefficients, places, now.nodes, now.noise)
                if fitted is not None:
                    best[_key(places)] = (_description(fitted, likelihood, P), fitted)
        least = min(item[0] for item in best.values())
        if least >= cost:
            return
        say(f"a term less: description {least:.1f}")


def _walk(likelihood: Likelihood, coefficients, nodes, noise, places: Places):
    """For each number of terms its description, places and coefficients, linearised here."""
    likelihood.chosen_steps(coefficients, nodes, noise)
    at = likelihood.linearised(coefficients, nodes, noise, places)
    if at is None:
        return None
    target = at.e + at.X @ coefficients[places]
    m, P = at.e.size, coefficients.shape[0]
    floor = m * float(np.max(FLOOR * likelihood.scale / noise)) ** 2
    # All of it happens in the span of the columns.
    Q, R = np.linalg.qr(at.X)
    y = Q.T @ target
    beyond = float(np.sum((target - Q @ y) ** 2))
    norms = np.linalg.norm(R, axis=0)
    B = R / np.where(norms > 0, norms, 1.0)
    found = {tuple(sorted(chosen.tolist())): left for left, chosen, _ in elimination(B, y, MOST_TERMS)}
    found |= _grown(B, y, min(MOST_FORWARD, len(y)))
    cost = lambda chosen: m * np.log(found[chosen] + beyond + floor) + _price(m, P) * len(chosen)
    for chosen in sorted(found, key=cost)[:EXCHANGED]:
        left, better = exchanged(B, y, chosen)
        found[better] = left
    out = []
    for chosen in sorted(found, key=cost):
        c = np.linalg.lstsq(B[:, chosen], y, rcond=1e-12)[0] / norms[list(chosen)]
        out.append((cost(chosen), (places[0][list(chosen)], places[1][list(chosen)]), c))
    return out


def _grown(B: np.ndarray, y: np.ndarray, most: int) -> dict[tuple[int, ...], float]:
    """Terms added one after another, each choice improved by exchanges: what is left of the squares for each."""
    chosen: tuple[int, ...] = (int(np.argmax((B.T @ y) ** 2)),)
    found: dict[tuple[int, ...], float] = {}
    for _ in range(most):
        left, chosen = exchanged(B, y, chosen)
        found[chosen] = left
        extra = best_extra(B, y, chosen)
        if not extra or left <= 1e-24 * float(y @ y):
            break
        chosen = tuple(sorted((*chosen, extra[0])))
    return found


def _price(m: int, P: int) -> float:
    return float(np.log(m) + 2 * np.log(P))


def _description(fitted: Fitted, likelihood: Likelihood, P: int) -> float:
    """The description length with the noise of each state at its own maximum."""
    N, S = fitted.nodes.shape
    left = np.mean((likelihood.samples.y - fitted.nodes) ** 2, axis=0)
    floor = (FLOOR * likelihood.scale) ** 2
    return N * float(np.sum(np.log(left + floor))) + _price(N * S, P) * len(fitted.places[0])


def _scattered(values: np.ndarray, places: Places, fixed: np.ndarray) -> np.ndarray:
    out = fixed.copy()
    out[places] = values
    return out


def _key(places: Places) -> tuple:
    return tuple(sorted(zip(places[0].tolist(), places[1].tolist(), strict=True)))
