r"""A signal of one coordinate as a sum of atoms, whatever the start: direct where the samples allow it, and searched for where they do not.

    y(t) = sum_p A_p e^{alpha_p t} cos(omega_p t + phi_p) + noise

For equal steps the poles of every order come from one singular value decomposition (ESPRIT); beside it, and alone for scattered samples, atoms are found one
after another over a dictionary. A few of the best beginnings are kept, each is refined by variable projection, and the lowest loss wins; the order is chosen by
the evidence unless it is given.
"""

import dataclasses
import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...shapes import rounded_up
from .atoms import amplitude_and_phase, columns
from .order import criterion, floor
from .orthonormal import orthonormal
from .pencil import Subspace, esprit, subspace
from .pursuit import Dictionary, dictionary, next_atoms
from .refinement import Refined, refine
from .samples import Samples

# Beginnings that are kept at each order, and candidates that each of them is continued with.
BEAM = 4
BRANCHES = 4
# Orders tried beyond the best so far.
PATIENCE = 2
# A Hankel matrix of more samples than this takes too long; the pursuit serves.
LONGEST_PENCIL = 4096
# Frequencies that make less than half a turn over the record from one at an end, 0 or the largest, are tried there.
_NEAR = np.pi


class Attempt(NamedTuple):
    """A fit of one order: rates and pairs `(K, 2)` of its atoms, loss, criterion, where it began, and whether its refinement ended."""

    alpha: np.ndarray
    omega: np.ndarray
    pairs: np.ndarray
    loss: float
    criterion: float
    source: str
    converged: bool

    @property
    def atoms(self) -> int:
        """How many atoms it has."""
        return len(self.alpha)


@dataclasses.dataclass(frozen=True)
class SignalFit:
    """A signal solved for.

    **Fields:** `amplitude`, `alpha`, `omega`, `phase`, each `(K,)`: the atoms in the given units of time, with amplitude and phase at `origin`; `attempts`, the
    best of each order that was tried, from none; `loss`, half the weighted sum of squares; `exact`, whether that is rounding; `counts` of the work.
    """

    amplitude: Float[np.ndarray, " K"]
    alpha: Float[np.ndarray, " K"]
    omega: Float[np.ndarray, " K"]
    phase: Float[np.ndarray, " K"]
    origin: float
    loss: float
    exact: bool
    converged: bool
    attempts: tuple[Attempt, ...]
    counts: dict[str, int]


@functools.partial(jax.jit, static_argnames=("max_iterations",))
def _refine_batch(t, y, s, limit, alpha, omega, present, moving, max_iterations: int) -> Refined:
    one = lambda alpha, omega, present, moving: refine(
        t, y, s, alpha, omega, present, moving, frequency_limit=limit, max_iterations=max_iterations
    )
    return jax.vmap(one)(alpha, omega, present, moving)


@eqx.filter_jit
def _scan(atlas: Dictionary, y, s, alpha, omega, present):
    """The next candidates after each of several beginnings."""

    def one(alpha, omega, present):
        cosine, sine = columns(atlas.t, alpha, omega)
        basis = orthonormal(jnp.concatenate([cosine, sine]) * s * jnp.tile(present, 2)[:, None])
        _, r = basis.coefficients(s * y)
        return next_atoms(atlas, s, r, basis.basis, BRANCHES)

    return jax.lax.map(lambda v: one(*v), (alpha, omega, present))


class _Search:
    """The samples, the beam, and the counts of the work."""

    def __init__(self, samples: Samples, slots: int, frequency_limit: float, max_iterations: int):
        self.samples, self.slots, self.max_iterations = samples, slots, max_iterations
        self.limit = frequency_limit
        # Samples without weight fill the record up, so that records of nearly one length share a program.
        filled = rounded_up(len(samples.t)) - len(samples.t)
        self.arrays = tuple(jnp.asarray(np.pad(v, (0, filled))) for v in (samples.t, samples.y, samples.s))
        dtype = self.arrays[0].dtype
        self.total = 0.5 * float(np.sum((samples.s * samples.y) ** 2))
        self.least = floor(self.total, float(jnp.finfo(dtype).eps))
        self.atlas = dictionary(np.asarray(self.arrays[0]), samples.step, frequency_limit)
        self.counts = {"svds": 0, "eigenvalues": 0, "scans": 0, "starts": 0, "iterations": 0}
        self.space: Subspace | None = None
        self.long = len(samples.t) > LONGEST_PENCIL
        if samples.step is not None and not self.long:
            self.space = subspace(np.asarray(samples.y, float))
            self.counts["svds"] += 1

    def pencil_starts(self, order: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
        """Rates from signal spaces of `order` to `2 order` dimensions, at most `order` atoms each, those of most energy."""
        step = self.samples.step
        if self.space is None or step is None:
            return []
        starts = []
        for dimensions in range(2 * order, order - 1, -1):
            if dimensions > self.space.vectors.shape[1] - 1:
                continue
            self.counts["eigenvalues"] += 1
            poles = esprit(self.space.vectors[:, :dimensions], step)
            alpha, omega = (np.asarray(rates[poles.present]) for rates in (poles.alpha, poles.omega))
            if not len(alpha):
                continue
            if len(alpha) > order:
                largest = self._largest(alpha, omega, order)
                alpha, omega = alpha[largest], omega[largest]
            starts.append((alpha, omega, "pencil"))
            if dimensions == 2 * order and np.all((omega > 0) & (omega < self.limit * (1 - 1e-9))):
                break  # All atoms oscillate: there is no smaller space that could hold as many.
        return starts

    def _largest(self, alpha: np.ndarray, omega: np.ndarray, order: int) -> np.ndarray:
        """Which atoms carry most energy when all are fitted together."""
        cosine, sine = (np.asarray(v) for v in columns(self.samples.t, np.clip(alpha, -600, 600), omega))
        rows = np.concatenate([cosine, sine])
        scale = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        c = np.linalg.lstsq((rows / scale[:, None]).T, self.samples.y)[0] / scale
        parts = c[: len(alpha), None] * cosine + c[len(alpha) :, None] * sine
        return np.sort(np.argsort(-np.sum(parts**2, axis=1))[:order])

    def pursuit_starts(self, beam: list[Attempt]) -> list[tuple[np.ndarray, np.ndarray, str]]:
        """Each kept beginning with one more atom."""
        padded = [self._padded(a.alpha, a.omega) for a in beam]
        padded += [padded[-1]] * (BEAM - len(padded))
        arrays = (jnp.asarray(np.stack(v)) for v in zip(*padded, strict=True))
        found = _scan(self.atlas, *self.arrays[1:], *arrays)
        self.counts["scans"] += len(beam)
        alphas, omegas = np.asarray(found.alpha), np.asarray(found.omega)
        return [
            (np.append(attempt.alpha, alphas[i, j]), np.append(attempt.omega, omegas[i, j]), "pursuit")
            for i, attempt in enumerate(beam)
            for j in range(BRANCHES)
        ]

    def _padded(self, alpha: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        free = self.slots - len(alpha)
        return np.pad(alpha, (0, free)), np.pad(omega, (0, free)), np.arange(self.slots) < len(alpha)

    def refined(self, starts: list[tuple[np.ndarray, np.ndarray, str]]) -> list[Attempt]:
        """Refine starts in one batch; the best first, equal ones once."""
        size = len(starts) if self.long else BEAM * BRANCHES
        attempts: list[Attempt] = []
        for first in range(0, len(starts), size):
            part = starts[first : first + size]
            padded = [self._padded(a, w) for a, w, _ in part]
            padded += [padded[-1]] * (size - len(padded))
            alpha, omega, present = (np.stack(v) for v in zip(*padded, strict=True))
            at_end = (omega <= 0) | (omega >= self.limit * (1 - 1e-9))
            moving = np.concatenate([present, present & ~at_end], axis=1)
            out = _refine_batch(
                *self.arrays,
                *(jnp.asarray(v) for v in (self.limit, alpha, omega, present, moving)),
                max_iterations=self.max_iterations,
            )
            self.counts["starts"] += len(part)
            self.counts["iterations"] += int(np.sum(np.asarray(out.iterations)[: len(part)]))
            for i, (start_alpha, _, source) in enumerate(part):
                k = len(start_alpha)
                loss = float(out.loss[i])
                if not (np.isfinite(loss) and np.isfinite(out.pairs[i, :k]).all()):
                    continue
                w = np.abs(np.asarray(out.omega[i, :k]))
                fixed = int(np.sum((w <= 0) | (w >= self.limit * (1 - 1e-9))))
                value = criterion(loss, k, fixed, self.samples.count, self.least)
                a, pairs, ended = np.asarray(out.alpha[i, :k]), np.asarray(out.pairs[i, :k]), bool(out.converged[i])
                attempts.append(Attempt(a, w, pairs, loss, value, source, ended))
        attempts.sort(key=lambda a: a.loss)
        distinct: list[Attempt] = []
        for attempt in attempts:
            same = [abs(a.loss - attempt.loss) <= 1e-6 * attempt.loss for a in distinct]
            if not any(same):
                distinct.append(attempt)
        return distinct

    def plainest(self, attempts: list[Attempt]) -> Attempt:
        """The lowest loss; of several that are exact the one with fewest parameters."""
        exact = [attempt for attempt in attempts if attempt.loss <= self.least]
        return min(exact, key=lambda a: a.criterion) if exact else attempts[0]

    def settled(self, attempt: Attempt) -> Attempt:
        """The same with frequencies near an end at that end, where the evidence asks for no more.

        There cosine and sine are nearly dependent: the amplitude would be large and mean nothing.
        """
        slow, fast = attempt.omega < _NEAR, attempt.omega > self.limit - _NEAR
        ends = np.where(slow, 0.0, np.where(fast, self.limit, attempt.omega))
        near = np.flatnonzero(ends != attempt.omega)
        if not len(near):
            return attempt
        one = lambda k: np.where(np.arange(attempt.atoms) == k, ends, attempt.omega)
        starts = [ends, *(one(k) for k in near if len(near) > 1)]
        return min(
            [attempt, *self.refined([(attempt.alpha, w, attempt.source) for w in starts])], key=lambda a: a.criterion
        )


def solve_signal(
    samples: Samples,
    terms: int | None = None,
    *,
    max_terms: int = 8,
    frequency_limit: float | None = None,
    max_iterations: int = 60,
) -> SignalFit:
    """Solve for the atoms of a signal.

    **Arguments:**

    - `samples`: from `samples_of`.
    - `terms`: the number of atoms, or nothing: chosen up to `max_terms`.
    - `frequency_limit`: the largest `omega` looked for, in units of the given time; by default half a turn a sample.
    - `max_iterations`: bound on the trust-region iterations of each refinement.

    **Returns:** a `SignalFit`.
    """
    slots = max_terms if terms is None else terms
    limit = samples.finest if frequency_limit is None else frequency_limit * samples.span
    search = _Search(samples, slots, limit, max_iterations)
    nothing = np.zeros(0)
    zero = criterion(search.total, 0, 0, samples.count, search.least)
    none = Attempt(nothing, nothing, np.zeros((0, 2)), search.total, zero, "none", True)
    beam, best = [none], [none]
    sizes = {0: none}
    if terms is not None:
        # Exact samples of this order need no search.
        direct = search.refined(search.pencil_starts(terms))
        if direct and direct[0].loss <= search.least:
            chosen = search.plainest(direct)
            return _in_units(samples, chosen, search, (chosen,))
    for order in range(1, slots + 1):
        if 2 * order > len(samples.t):
            break
        if search.long:
            # Running takes longer than compiling: no room for atoms that are not there.
            search.slots = min(slots, 2 ** (order - 1).bit_length())
        starts = search.pencil_starts(order)
        pursuit = search.pursuit_starts(beam)
        attempts = search.refined(starts + pursuit)
        if not attempts:
            break
        beam = attempts[:BEAM]
        for attempt in attempts:
            known = sizes.get(attempt.atoms)
            if known is None or attempt.criterion < known.criterion:
                sizes[attempt.atoms] = attempt
        best.append(min(attempts, key=lambda a: a.criterion) if terms is None else search.plainest(attempts))
        if attempts[0].loss <= search.least:
            break
        if terms is None and len(best) - 1 - int(np.argmin([a.criterion for a in best])) >= PATIENCE:
            break
    if len(best) == 1:
        raise ValueError("no atom could be fitted to the signal; are there enough samples?")
    chosen = search.settled(best[-1] if terms is not None else min(best[1:], key=lambda a: a.criterion))
    sizes[chosen.atoms] = chosen
    return _in_units(samples, chosen, search, tuple(sizes[k] for k in sorted(sizes)))


def _in_units(samples: Samples, chosen: Attempt, search: _Search, attempts: tuple[Attempt, ...]) -> SignalFit:
    amplitude, phase = amplitude_and_phase(chosen.pairs[:, 0], chosen.pairs[:, 1])
    return SignalFit(
        np.asarray(amplitude),
        chosen.alpha / samples.span,
        chosen.omega / samples.span,
        np.asarray(phase),
        samples.centre,
        chosen.loss,
        chosen.loss <= search.least,
        chosen.converged,
        attempts,
        search.counts,
    )
