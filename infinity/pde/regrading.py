r"""Glued patches whose cells gather where a solution is seen to be singular.

    eta_c^2 = sum over the patches of a line of  int_slab c |grad (u_h - u_{h/2})|^2

Coordinates that meet on glued faces have the same cells: they are one line. Where the first or the last cell of a line holds most of the difference in the
slopes, as at a re-entrant corner, that cell is halved towards the end several times, which is what an unknown exponent asks for (Gui and Babuska, Numer. Math.
49 (1986)); the difference in the values would not tell, since what is lost at a corner is felt everywhere.
"""

from collections.abc import Sequence

import numpy as np

from ..basis import BSpline
from .axis import gauss_points, tabulate
from .kronecker import along, full
from .patch import Patch
from .patches import Patches

# What part of the difference makes an end singular; how often its cell is divided, and by what.
_MOST, _LAYERS, _RATIO = 0.7, 8, 0.5


def regraded(
    patches: Patches, coarse: Sequence[np.ndarray], fine: Patches, tensors: Sequence[np.ndarray]
) -> Patches | None:
    """The patches with more cells at singular ends, or nothing where there are none.

    **Arguments:** the `patches` and the coefficients on each, `(n_1, .., n_D, O)`; those on cells of half the size.
    """
    shares = [_shares(*each) for each in zip(patches.patches, coarse, fine.patches, tensors, strict=True)]
    lines = lines_of(patches)
    inserted: dict[tuple[int, int], list[float]] = {}
    for line in lines:
        total = np.sum([shares[k][d][::-1] if turned else shares[k][d] for (k, d), turned in line.items()], axis=0)
        whole = float(np.sum(total))
        if len(total) < 3 or whole == 0:  # too few to tell an end by
            continue
        for end in (0, -1):
            if total[end] <= _MOST * whole:
                continue
            for (k, d), turned in line.items():
                points = np.asarray(list(patches.patches[k].space.bases.values())[d].breakpoints, float)
                low, near = (points[0], points[1]) if (end == 0) != turned else (points[-1], points[-2])
                new = low + (near - low) * _RATIO ** np.arange(1.0, _LAYERS + 1)
                inserted.setdefault((k, d), []).extend(new.tolist())
    if not inserted:
        return None
    spaces = []
    for k, patch in enumerate(patches.patches):
        bases = {}
        for d, (c, basis) in enumerate(patch.space.bases.items()):
            points = np.concatenate([np.asarray(basis.breakpoints, float), inserted.get((k, d), [])])
            bases[c] = BSpline(breakpoints=np.sort(points).tolist(), degree=basis.degree)
        spaces.append(patch.space.with_bases(bases))
    return patches.on(spaces)


def lines_of(patches: Patches) -> list[dict[tuple[int, int], bool]]:
    """Which coordinates of which patches have the same cells: for each `(patch, direction)` whether it runs the other way."""
    D = len(patches.coordinates)
    pairs = []
    for glue in patches.glue:
        ones, twos = ([d for d in range(D) if d != f.direction] for f in (glue.one, glue.two))
        for place, d in enumerate(ones):
            pairs.append(((glue.one.patch, d), (glue.two.patch, twos[glue.order[place]]), place in glue.flipped))
    lines, seen = [], set()
    for start in ((k, d) for k in range(len(patches.patches)) for d in range(D)):
        if start in seen:
            continue
        line, new = {start: False}, [start]
        while new:
            now = new.pop()
            for a, b, flipped in pairs:
                for here, there in ((a, b), (b, a)):
                    if here == now and there not in line:
                        line[there] = line[now] != flipped
                        new.append(there)
        seen |= set(line)
        lines.append(line)
    return lines


def _shares(patch: Patch, u: np.ndarray, finer: Patch, w: np.ndarray) -> list[np.ndarray]:
    """For each direction of a patch the squared difference of the slopes in the slab of each cell."""
    bases, fines = list(patch.space.bases.values()), list(finer.space.bases.values())
    rules = [gauss_points(b, b.degree + 1) for b in fines]
    weights = full([rule[1][:, None] for rule in rules])
    total = np.zeros(weights.shape)
    for e in range(len(bases)):
        one, other = u, w
        for d, (b, f, rule) in enumerate(zip(bases, fines, rules, strict=True)):
            one, other = (along(tabulate(g, rule[0], int(d == e)), t, d) for g, t in ((b, one), (f, other)))
        total += weights * np.sum((one - other) ** 2, axis=-1)
    found = []
    for d, (b, rule) in enumerate(zip(bases, rules, strict=True)):
        points = np.asarray(b.breakpoints, float)
        line = np.sum(total, axis=tuple(e for e in range(len(bases)) if e != d))
        cell = np.clip(np.searchsorted(points, rule[0], side="right") - 1, 0, len(points) - 2)
        found.append(np.bincount(cell, line, minlength=len(points) - 1))
    return found
