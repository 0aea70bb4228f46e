"""A random search with an elimination: many candidates on little, few on much.

A rung is a training and a validation part. All candidates meet the first rung, the better of them the next one, and so on. In a table of up to 2,000 rows
the rungs are the five folds of a cross-validation: half of the candidates go on, at least two, judged by their mean squared error over the folds so
far. In a larger one a fifth is held out for validation; the first rung fits 2,000 rows, the second all others, and a quarter of the candidates go
on, at least two. The winner is then fitted to the whole table.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .tables import Table

LARGE = 2000
FOLDS = 5
LEAST = 2

Settings = dict[str, Any]
Predict = Callable[[np.ndarray], np.ndarray]


class Seconds(NamedTuple):
    """Seconds of the wall clock and of the processor."""

    wall: float
    processor: float

    @staticmethod
    def now() -> "Seconds":
        """The present time on both clocks."""
        return Seconds(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        """What has passed since the start."""
        return Seconds(self.wall - start.wall, self.processor - start.processor)


class Outcome(NamedTuple):
    """A tuned and fitted regressor, the settings found, and the seconds of the search and of the last fit."""

    predict: Predict
    settings: Settings
    tuning: Seconds
    fitting: Seconds


class Peer(NamedTuple):
    """A regressor to tune.

    **Fields:** the first `default` candidate; `draw` another one; `fit` settings to a table, with a validation part to stop early by (or nothing, for the
    last fit): what predicts, and the settings with what the early stop found; how many candidates for small and for large tables.
    """

    default: Settings
    draw: Callable[[np.random.Generator], Settings]
    fit: Callable[[Settings, Table, Table | None], tuple[Predict, Settings]]
    small: int
    large: int


def tuned(peer: Peer, table: Table, seed: int) -> Outcome:
    """Search on the table, then fit the winner to all of it."""
    start = Seconds.now()
    large = len(table.y) > LARGE
    rng = np.random.default_rng([seed, 1])
    count = peer.large if large else peer.small
    candidates = [peer.default, *(peer.draw(rng) for _ in range(count - 1))]
    rungs = _shares(table, rng) if large else _folds(table, rng)
    alive = list(range(count))
    losses = np.full((count, len(rungs)), np.nan)
    found: dict[int, list[Settings]] = {at: [] for at in alive}
    for rung, (train, validation) in enumerate(rungs):
        for at in alive:
            predict, settings = peer.fit(candidates[at], table.rows(train), table.rows(validation))
            losses[at, rung] = np.mean((predict(table.x[validation]) - table.y[validation]) ** 2)
            found[at].append(settings)
        first = rung if large else 0  # rungs of unequal size are not averaged
        score = {at: np.mean(losses[at, first : rung + 1]) for at in alive}
        keep = max(LEAST, len(alive) // (4 if large else 2))
        alive = sorted(alive, key=score.__getitem__)[: keep if rung + 1 < len(rungs) else 1]
    settings = _agreed(found[alive[0]][-1:] if large else found[alive[0]])
    middle = Seconds.now()
    predict, settings = peer.fit(settings, table, None)
    return Outcome(predict, settings, middle.since(start), Seconds.now().since(middle))


def _folds(table: Table, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    order = rng.permutation(len(table.y))
    return [(np.setdiff1d(order, part), part) for part in np.array_split(order, FOLDS)]


def _shares(table: Table, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = np.arange(len(table.y))
    groups = rows if table.groups is None else table.groups  # whole levels are held out here too
    levels = rng.permutation(np.unique(groups))
    held = np.isin(groups, levels[: len(levels) // FOLDS])
    train, validation = rows[~held], rows[held]
    return [(rng.permutation(train)[:LARGE], validation), (train, validation)]


def _agreed(found: list[Settings]) -> Settings:
    """The settings of one candidate; a number of rounds is the mean of those that the rungs found."""
    agreed = dict(found[0])
    if "rounds" in agreed:
        agreed["rounds"] = round(float(np.mean([settings["rounds"] for settings in found])))
    return agreed
