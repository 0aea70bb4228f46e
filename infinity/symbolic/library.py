r"""Closed forms of one variable, from a library of outer, inner and modulating functions.

    y = a t^p e^{r t} g(b t^c e^{s t} h(t) + d) k(q t) + e + f t

All combinations start at once (`infinity.symbolic.profiles`), on at most 128 rows: measurements that are noisy are averaged in bins, others thinned out. The
best of each kind are refined on all rows, their exponents are tried as simple fractions, what does not pay is left out, and the description length
decides.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from .algebra import ONE, add, apply, mul, power
from .candidates import ROUNDING, STRUCTURE, Candidate, Data, best_first, cost, is_exact, polished
from .operators import Allowed, permits, permitted
from .profiles import ROWS, Sample, Start, search
from .shapes import MODULATIONS, SHAPES
from .simplify import simplified
from .tape import Tape
from .tree import Tree, number

# How many of the fits of a tier with the shortest descriptions are refined on all rows; half as many of those that leave least.
REFINED = 12
_STEPS = 18
X: Tree = ("x", 0)

# Inner functions h, the exponents (c, s) to start from, and whether each moves; t is scaled to |t| <= 1. The first ones need positive t.
_INNER = ("one", "t", "t^2", "t^3", "log", "sin", "cos")
_POSITIVE = (
    ("one", 1.0, 0.0),
    ("one", 2.0, 0.0),
    ("one", -1.0, 0.0),
    ("one", 0.5, 0.0),
    ("one", -2.0, 0.0),
    ("log", 0.0, 0.0),
)
_ANY = (("t", 0.0, 0.0), ("t^2", 0.0, 0.0), ("t^3", 0.0, 0.0))
_BOTH = (
    ("sin", 0.0, 0.0),
    ("cos", 0.0, 0.0),
    ("one", 0.0, 1.0),
    ("one", 0.0, -1.0),
    ("one", 0.0, 4.0),
    ("one", 0.0, -4.0),
)


def find_one(data: Data, thorough: bool = True, allowed: Allowed = None) -> list[Candidate]:
    """Search formulas of one variable.

    **Arguments:** `data` with one column; whether to go on with the modulated forms where the plain ones leave something; the functions that are
    allowed.

    **Returns:** candidates in `("x", 0)`, the best first.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.library import find_one
    >>> t = np.linspace(0.2, 3, 60)
    >>> find_one(Data((t,), 2 * np.exp(-t**2) + 1))[0].mean_square < 1e-20
    True
    """
    t = np.asarray(data.columns[0], float)
    scale = float(np.max(np.abs(t))) or 1.0
    found: list[Candidate] = []
    floor = smooth_residual(t / scale, data)
    for linear in (False, True):
        sample, within = _sampled(t / scale, data, linear)
        tiers = [_plain_starts(sample), _modulated_starts(sample)]
        for tier in tiers[: 2 if thorough else 1]:
            starts = [start for start in tier if _allows(allowed, start)]
            if not starts:
                continue
            theta, left = search(sample, starts, _STEPS)
            lengths = _lengths(starts, left, sample, within, data)
            for at in dict.fromkeys([*_leaders(starts, lengths, REFINED), *_leaders(starts, left, REFINED // 2)]):
                tree, constants = _written(starts[at], theta[at], scale, sample, linear)
                simple = simplified(polished(tree, constants, data, "library"), data)
                found += [] if simple is None else permitted(allowed, [simple])
            found = best_first(found, 20)
            if found and (is_exact(found[0], data) or found[0].mean_square <= 1.02 * floor):
                return found
        if not thorough:
            break
    return found


def _allows(allowed: Allowed, start: Start) -> bool:
    """Whether all functions of a fit are allowed."""
    inner = _INNER[start.inner]
    grown = bool(start.theta[3] != 0 or start.free[3] or start.free[1])
    words = ({inner} & {"log", "sin", "cos"}) | ({"exp"} if grown else set())
    trees = (SHAPES[start.shape].tree(X), MODULATIONS[start.modulation][2](X))
    return allowed is None or (words <= allowed and all(permits(allowed, tree) for tree in trees))


def _lengths(starts: list[Start], left: np.ndarray, sample: Sample, within: float, data: Data) -> np.ndarray:
    """The description lengths of the fits, up to what is the same for all: noise, not bins of it, is what a fit with more constants gains nothing by."""
    target = sample.y * sample.roots
    between = float(np.mean((target - sample.linear @ (sample.linear.T @ target)) ** 2))
    relative = (left * between + within) / max(data.variance, 1e-300)
    prices = {
        (start.shape, start.modulation): cost(SHAPES[start.shape].tree(X)) + cost(MODULATIONS[start.modulation][2](X))
        for start in starts
    }
    moving = np.array([float(np.sum(start.free)) for start in starts])
    price = np.array([prices[start.shape, start.modulation] for start in starts])
    with np.errstate(all="ignore"):
        return (
            len(data.y) * np.log(relative + ROUNDING) + moving * np.log(len(data.y)) + STRUCTURE * (price + 2 * moving)
        )


def _leaders(starts: list[Start], left: np.ndarray, most: int) -> list[int]:
    """The best fits, one of a kind."""
    chosen: list[int] = []
    kinds: dict[tuple, int] = {}
    for at in np.argsort(left, kind="stable"):
        start = starts[at]
        kind = (start.shape, start.modulation, start.inner, tuple(start.free[:4]))
        if not np.isfinite(left[at]) or len(chosen) == most:
            break
        if kinds.get(kind, 0) < 1:
            kinds[kind] = kinds.get(kind, 0) + 1
            chosen.append(int(at))
    return chosen


def _sampled(t: Float[np.ndarray, " N"], data: Data, linear: bool) -> tuple[Sample, float]:
    """At most `ROWS` rows for the screening, with weights that make up for bins of several, and the mean square that is lost within the bins."""
    order = np.argsort(t, kind="stable")
    t, y = t[order], data.y[order]
    w = np.ones(len(t)) if data.weights is None else data.weights[order]
    within = 0.0
    if len(t) > ROWS and roughness(t, y) > 1e-3:
        edges = np.linspace(0, len(t), ROWS + 1).astype(int)[:-1]
        total = np.add.reduceat(w, edges)
        safe = np.where(total > 0, total, 1.0)
        square = float(np.sum(w * y**2))
        t, y, w = np.add.reduceat(w * t, edges) / safe, np.add.reduceat(w * y, edges) / safe, total
        within = max(0.0, square - float(np.sum(w * y**2))) / float(np.sum(w))
    elif len(t) > ROWS:
        rows = np.linspace(0, len(t) - 1, ROWS).round().astype(int)
        t, y, w = t[rows], y[rows], w[rows]
    elif len(t) < ROWS:
        rows = np.minimum(np.arange(ROWS), len(t) - 1)
        w = np.where(np.arange(ROWS) < len(t), w[rows], 0.0)
        t, y = t[rows], y[rows]
    roots = np.sqrt(w / w.mean())
    with np.errstate(all="ignore"):
        log = np.log(np.abs(t))
        log = np.where(np.isfinite(log), log, 0.0)
        raw = np.stack([np.ones_like(t), t, t**2, t**3, log, np.sin(t), np.cos(t)])
    span = np.max(np.abs(raw), axis=1, keepdims=True)
    inner = raw / np.where(span > 0, span, 1.0)
    basis = np.stack([np.ones_like(t), t], axis=1) if linear else np.ones((len(t), 1))
    basis = np.concatenate([basis, np.zeros((len(t), 2 - basis.shape[1]))], axis=1)
    orthonormal = np.linalg.qr((basis * roots[:, None])[:, : 2 if linear else 1])[0]
    orthonormal = np.concatenate([orthonormal, np.zeros((len(t), 2 - orthonormal.shape[1]))], axis=1)
    return Sample(np.stack([log, t], axis=1), inner, t, orthonormal, y, roots), within


def smooth_residual(t: Float[np.ndarray, " N"], data: Data) -> float:
    """The mean square that a smooth curve leaves, by the polynomial of at most twenty terms that predicts best: what a formula cannot be asked to beat."""
    w = np.ones(len(t)) if data.weights is None else data.weights / data.weights.mean()
    low, high = float(np.min(t)), float(np.max(t))
    most = max(2, min(20, len(t) // 8))
    A = np.polynomial.chebyshev.chebvander((2 * t - low - high) / max(high - low, 1e-300), most) * np.sqrt(w)[:, None]
    Q = np.linalg.qr(A)[0]
    y = data.y * np.sqrt(w)
    left = np.maximum(np.sum(y**2) - np.cumsum((Q.T @ y) ** 2), 0.0)
    freedom = len(t) - np.arange(1, most + 2)
    return float(left[np.argmin(left / freedom**2)] / len(t))


def roughness(t: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> float:
    """The noise of a sorted series: how far values lie from the line between their neighbours, in deviations of the series."""
    gap = t[2:] - t[:-2]
    share = np.where(gap > 0, (t[1:-1] - t[:-2]) / np.where(gap > 0, gap, 1.0), 0.5)
    off = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    return float(np.median(np.abs(off)) / 0.6745 / np.sqrt(1.5) / max(np.std(y), 1e-300))


def _inner_variants(positive: bool) -> Iterator[tuple[int, float, float, float, float]]:
    """The index of h, the start of (c, s), and which of them move."""
    for name, c, s in (*(_POSITIVE if positive else _ANY), *_BOTH):
        if (positive and name in ("sin", "cos", "log")) or s == 0.0:
            yield _INNER.index(name), c, s, 0.0, 0.0
        else:
            yield _INNER.index(name), c, s, 0.0, 1.0
    for c in (1.0, -1.0, 3.0, -5.0) if positive else ():
        yield _INNER.index("one"), c, 0.0, 1.0, 0.0


def _starts(
    sample: Sample,
    fronts: tuple[tuple[float, float, float], ...],
    modulations: tuple[tuple[int, float], ...],
    few: bool,
) -> Iterator[Start]:
    positive = bool(np.min(sample.time) > 0)
    for inner, c, s, free_c, free_s in _inner_variants(positive):
        plain = _INNER[inner] in ("sin", "cos") or free_s
        top = float(np.max(np.exp(sample.logs @ [c, s]) * np.abs(sample.inner[inner]))) or 1.0
        for at, shape in enumerate(SHAPES):
            if _INNER[inner] == "log" and not (shape.homogeneous or shape.name in ("sin", "gauss", "1/(1+z^2)")):
                continue  # a hyperbolic function of a logarithm is two powers
            for b, d in shape.starts:
                for p, free_p, free_r in fronts:
                    if (free_p and not positive) or (
                        few and plain and not (free_s and free_r and shape.name == "identity")
                    ):
                        continue
                    for modulation, q in modulations:
                        moves = float(modulation not in (0, 4) and q != 0)
                        theta = np.array([p, 0.0, c, s, b / top, d, q])
                        free = np.array([free_p, free_r, free_c, free_s, 1.0, float(not shape.homogeneous), moves])
                        yield Start(at, modulation, inner, theta, free)


def _plain_starts(sample: Sample) -> Iterator[Start]:
    yield from _starts(sample, ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((0, 0.0),), False)


def _modulated_starts(sample: Sample) -> Iterator[Start]:
    linear = [name for name, *_ in MODULATIONS].index("linear")
    yield from _starts(sample, ((0.0, 0.0, 1.0),), ((0, 0.0),), True)
    yield from _starts(sample, ((0.0, 0.0, 0.0),), ((1, 1.0), (1, 3.0), (2, 1.0), (2, 3.0), (4, 1.0)), True)
    if np.min(sample.time) <= 0:
        yield from _starts(sample, ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0)), ((linear, 1.0),), False)


def _written(start: Start, theta: np.ndarray, scale: float, sample: Sample, linear: bool) -> tuple[Tree, list[float]]:
    """The formula in t itself, with the linear constants that belong to it."""
    p, r, c, s, b, d, q = (float(value) for value in theta)
    values: list[float] = []

    def keep(value: float) -> Tree:
        values.append(value)
        return ("c", len(values) - 1)

    def raised(exponent: float, moves: bool) -> Tree:
        if not moves:
            return power(X, number(Fraction(exponent).limit_denominator(12)))
        return ("pow", X, keep(exponent))

    grown = lambda rate, moves: apply("exp", mul(keep(rate / scale), X)) if moves else ONE
    tn = sample.time
    h = _INNER[start.inner]
    inner = {
        "one": ONE, "t": X, "t^2": power(X, number(2)), "t^3": power(X, number(3)), "log": apply("log", mul(keep(1 / scale), X)),
        "sin": apply("sin", mul(keep(1 / scale), X)), "cos": apply("cos", mul(keep(1 / scale), X)),
    }[h]  # fmt: skip
    raw = {"one": 1.0, "t": scale, "t^2": scale**2, "t^3": scale**3}.get(h, 1.0)
    spans = {
        "log": np.log(np.abs(tn) + (tn == 0)),
        "sin": np.sin(tn),
        "cos": np.cos(tn),
        "t": tn,
        "t^2": tn**2,
        "t^3": tn**3,
    }
    span = float(np.max(np.abs(spans.get(h, np.ones(1))))) or 1.0
    z = mul(keep(b * scale**-c / (raw * span)), raised(c, bool(start.free[2])), grown(s, bool(start.free[3])), inner)
    z = add(z, ONE if SHAPES[start.shape].homogeneous else keep(d))
    k = MODULATIONS[start.modulation]
    wave = ONE if k[0] == "one" else X if k[0] == "linear" else k[2](mul(keep(q / scale), X))
    product = mul(raised(p, bool(start.free[0])), grown(r, bool(start.free[1])), SHAPES[start.shape].tree(z), wave)
    terms = [mul(keep(1.0), product), keep(0.0)]
    if linear:
        terms.append(mul(keep(0.0), X))
    return _solved_linear(add(*terms), values, len(terms), sample, scale)


def _solved_linear(
    tree: Tree, values: list[float], count: int, sample: Sample, scale: float
) -> tuple[Tree, list[float]]:
    """The constants that enter linearly, the last ones, solved for."""
    tape = Tape(tree, [sample.time * scale])
    with np.errstate(all="ignore"):
        tape.value(np.array(values))
        slopes = tape.slopes()
    n = len(sample.y)
    first = len(values) - count
    A = np.stack([np.broadcast_to(slopes.get(first + k, 0.0), (n,)) * sample.roots for k in range(count)], axis=1)
    if np.all(np.isfinite(A)):
        size = np.maximum(np.linalg.norm(A, axis=0), 1e-300)
        values[first:] = (np.linalg.lstsq(A / size, sample.y * sample.roots, rcond=1e-13)[0] / size).tolist()
    return tree, values
