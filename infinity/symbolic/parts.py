r"""Parts of a formula that are functions of one group, looked for again with all measurements.

    y = T(x, S(w)),    w = prod x_i^{a_i}        S* = S + (y - T) / (dT/dS),    weights (dT/dS)^2

A part `S` is a function of one group where `x_i dS/dx_i = a_i g` for all its inputs. A search in parts sees `S` through the noise of what was divided out,
and may take a lookalike for it, or an exponent a little off; here one-dimensional laws are fitted to `S*`, put back, and refined with the whole formula, and
its score decides.
"""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .algebra import made, mul, power, substituted
from .candidates import Candidate, Data, best_first, is_exact, polished
from .library import find_one
from .operators import Allowed, permitted
from .simplify import simplified
from .tape import Tape
from .tree import MANY, Tree, indices, number, replaced, walk

# Longer formulas are not worth it; parts of each that are looked at, and laws of each part that are put back.
LONGEST, MOST_PARTS, BACK = 45, 3, 4
# How far from a function of one group a part may be.
ONE_GROUP = 1e-6
# Exponents of a group relative to the largest: as they are, and what they may have been without noise.
_FINE = tuple(sorted({Fraction(n, d) for d in (1, 2, 3, 4) for n in range(-d, d + 1)}))
_COARSE = tuple(Fraction(n, 2) for n in range(-2, 3))
_SAME = 0.02


class Part(NamedTuple):
    """A part of a formula, its group, and the formula with something else in its place."""

    tree: Tree
    group: Tree
    replaced: Callable[[Tree], Tree]


def renewed(candidates: list[Candidate], data: Data, allowed: Allowed = None, most: int = 2) -> list[Candidate]:
    """The candidates and what is better in place of parts of the best few; as they are where one is exact.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data, polished
    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.parts import renewed
    >>> x = np.random.default_rng(0).uniform(1, 3, (3, 200))
    >>> data = Data(tuple(x), x[0] * np.log(x[1] / x[2]))
    >>> lookalike = polished(*parse("3.0*a*tanh(0.3*b/c) + 1.0", ["a", "b", "c"]), data, "")
    >>> lookalike.mean_square > 1e-4, renewed([lookalike], data)[0].mean_square < 1e-20
    (True, True)
    """
    found = candidates
    for candidate in candidates[:most]:
        if is_exact(found[0], data) or candidate.complexity > LONGEST:
            continue
        for part in itertools.islice(parts_of(candidate, data), MOST_PARTS):
            found = best_first([*found, *permitted(allowed, _searched(candidate, part, data, allowed))])
    return found


def _searched(candidate: Candidate, part: Part, data: Data, allowed: Allowed) -> list[Candidate]:
    """Formulas with another law in the place of a part."""
    K = len(candidate.constants)
    tape = Tape(part.replaced(("add", part.tree, ("c", K))), data.columns)
    with np.errstate(all="ignore"):
        missed = data.y - tape.value(np.append(candidate.constants, 0.0))
        slope = np.broadcast_to(tape.slopes().get(K, 0.0), data.y.shape)
        S = Tape(part.tree, data.columns).value(candidate.constants) + missed / slope
        w = np.asarray(Tape(part.group, data.columns).value(np.empty(0)), float)
        weights = slope**2 * (1.0 if data.weights is None else data.weights)
    good = np.isfinite(S) & np.isfinite(w) & np.isfinite(weights) & (weights > 0)
    if good.sum() < len(S) / 2 or np.ptp(w[good]) == 0:
        return []
    laws = find_one(Data((w[good],), S[good], weights[good] / weights[good].mean()), False, allowed)
    back = (
        polished(
            part.replaced(substituted(law.tree, [part.group], K)),
            np.append(candidate.constants, law.constants),
            data,
            candidate.origin,
            20,
        )
        for law in laws[:BACK]
    )
    return [simple for c in best_first(back, 2) if (simple := simplified(c, data, 3)) is not None]


def parts_of(candidate: Candidate, data: Data) -> Iterator[Part]:
    """The largest parts of a formula that are functions of one group, and no plain powers."""
    yield from _parts(candidate.tree, lambda new: new, candidate.constants, data)


def _parts(node: Tree, place: Callable[[Tree], Tree], constants: np.ndarray, data: Data) -> Iterator[Part]:
    if not indices(node, "x") or _plain(node):
        return
    groups = groups_of(node, constants, data)
    if groups:
        for group in groups:
            yield Part(node, group, place)
        return
    done: set[int] = set()
    for at, child in enumerate(node[1:]):
        if at in done or _plain(child):
            continue
        same = _alike(node, at, constants, data) if node[0] in MANY else [at]
        done.update(same)
        if len(same) == 1:
            yield from _parts(child, lambda new, at=at: place(_with(node, [at], new)), constants, data)
            continue
        together = made(node[0], [node[1:][k] for k in same])
        for group in groups_of(together, constants, data):
            yield Part(together, group, lambda new, same=same: place(_with(node, same, new)))


def _with(node: Tree, places: list[int], new: Tree) -> Tree:
    """A node with something else in some of its places."""
    kept = [new if at == places[0] else child for at, child in enumerate(node[1:]) if at not in places[1:]]
    return made(node[0], kept)


def _alike(node: Tree, at: int, constants: np.ndarray, data: Data) -> list[int]:
    """The places of the parts of a sum or a product that are functions of one group together: powers of its inputs, and functions of it."""
    child = node[1:][at]
    group = groups_of(child, constants, data)
    inside = set(indices(child, "x"))
    others = [
        k for k, other in enumerate(node[1:]) if k != at and indices(other, "x") and set(indices(other, "x")) <= inside
    ]
    same = [at]
    if group and others:
        plain = [k for k in others if _plain(node[1:][k])]
        for some in [plain, *([k] for k in others if k not in plain)]:
            both = groups_of(made(node[0], [child, *(node[1:][k] for k in some)]), constants, data) if some else []
            same += some if both[:1] == group[:1] else []
    return sorted(same)


def _plain(node: Tree) -> bool:
    """Whether a part is a product of powers with exponents that are simple, and numbers."""
    return all(part[0] in ("x", "q", "mul") or (part[0] == "pow" and part[2][0] == "q") for part in walk(node))


def groups_of(part: Tree, constants: np.ndarray, data: Data) -> list[Tree]:
    """The group of which a part is a function, with exponents as simple fractions; none where it is no function of one.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.parts import groups_of
    >>> x = np.random.default_rng(0).uniform(1, 3, (2, 50))
    >>> part, constants = parse("exp(2.5*a^2/b) + 1.0", ["a", "b"])
    >>> groups_of(part, constants, Data(tuple(x), x[0]))
    [('mul', ('pow', ('x', 0), ('q', 2, 1)), ('pow', ('x', 1), ('q', -1, 1)))]
    """
    inputs = indices(part, "x")
    if not inputs:
        return []
    if len(inputs) == 1:
        return [("x", inputs[0])]
    K = len(constants)
    scaled = {("x", d): ("mul", ("c", K + k), ("x", d)) for k, d in enumerate(inputs)}
    tape = Tape(replaced(part, scaled), data.columns)
    with np.errstate(all="ignore"):
        tape.value(np.append(constants, np.ones(len(inputs))))
        slopes = tape.slopes()
        E = np.stack([np.broadcast_to(slopes.get(K + k, 0.0), data.y.shape) for k in range(len(inputs))])
    if not np.all(np.isfinite(E)) or not np.any(E):
        return []
    U, sizes, _ = np.linalg.svd(E, full_matrices=False)
    if sizes[1] > ONE_GROUP * sizes[0]:
        return []
    a = U[:, 0] / U[np.argmax(np.abs(U[:, 0])), 0]
    found = []
    for fractions, near in ((_FINE, _SAME), (_COARSE, 1.0)):
        exponents = [min(fractions, key=lambda f, value=value: abs(float(f) - value)) for value in a.tolist()]
        if all(exponents) and all(abs(float(f) - value) < near for f, value in zip(exponents, a.tolist(), strict=True)):
            whole = int(np.lcm.reduce([f.denominator for f in exponents]))
            found.append(mul(*(power(("x", d), number(f * whole)) for d, f in zip(inputs, exponents, strict=True))))
    return list(dict.fromkeys(found))
