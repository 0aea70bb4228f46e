r"""Laws next to a formula: each function of it in turn is exchanged for its lookalikes, and the measurements decide again.

    (d + s u)^e, exp(s u), log(d + s u), tanh(d + s u)   ->   [c_0 +] c_1 g(c_2 u),    g = (1 + .)^e', exp, log(1 + .), tanh

and `u^e` with a small `e` for `c_0 + c_1 log u`, its limit. `c_2` starts where the relative slope stays the same, or nearer to zero where `g` has no value
there, `c_0` and `c_1` from least squares; exponents inside `u` are tried as they are and as simple fractions. A search in parts sees a function through the
noise of one part, and may take a lookalike for it; all measurements together tell more.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .algebra import ONE, add, apply, mul, power
from .candidates import Candidate, Data, best_first, is_exact, polished
from .operators import Allowed, permitted
from .simplify import nearest_fractions, simplified
from .tree import Tree, evaluate, exact, indices, number, replaced, walk

POWERS = tuple(Fraction(n, 2) for n in (-4, -3, -2, -1, 1, 2, 3, 4))
# Longer formulas have no neighbours worth a look; steps of a first look, and how many go on.
LONGEST, STEPS, ON = 45, 8, 4
# An exponent below this may be a logarithm's.
FLAT = 0.5
# How often a slope at which a function has no value is halved.
HALVINGS = 6


def varied(candidates: list[Candidate], data: Data, allowed: Allowed = None, most: int = 2) -> list[Candidate]:
    """The candidates and what is better next to the best few of them; as they are where one is exact.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data, polished
    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.variations import varied
    >>> t = np.linspace(0.1, 0.8, 80)
    >>> data = Data((t,), 3 / np.sqrt(1 - t))
    >>> lookalike = polished(*parse("2.0*exp(0.5*t^1.3) + 1.0", ["t"]), data, "")
    >>> lookalike.mean_square > 1e-6, varied([lookalike], data)[0].mean_square < 1e-20
    (True, True)
    """
    found = candidates
    for candidate in candidates[:most]:
        if is_exact(found[0], data) or candidate.complexity > LONGEST:
            continue
        tried = (
            polished(tree, constants, data, candidate.origin, STEPS) for tree, constants in variations(candidate, data)
        )
        near = permitted(allowed, best_first(tried, ON))
        near = [polished(c.tree, c.constants, data, c.origin) for c in near]
        near = [*near, *(simplified(c, data, 4) for c in best_first(near, 2))]
        found = best_first([*found, *permitted(allowed, [c for c in near if c is not None])])
    return found


def variations(candidate: Candidate, data: Data) -> Iterator[tuple[Tree, np.ndarray]]:
    """Formulas in which one function is another one, with constants to start from."""
    constants = candidate.constants
    for node in dict.fromkeys(walk(candidate.tree)):
        if node[0] == "pow" and node[2][0] == "c" and abs(constants[node[2][1]]) < FLAT:
            yield from _in_place(candidate, node, _levelled(node, apply("log", node[1]), constants, data))
        form = _form(node, constants)
        if form is None:
            continue
        u, slope = form
        for inner in _inner(u, constants):
            for g, steep in _shapes(slope):
                yield from _in_place(candidate, node, _fitted(node, inner, g, steep, candidate, data))


def _in_place(
    candidate: Candidate, node: Tree, new: list[tuple[Tree, np.ndarray]]
) -> Iterator[tuple[Tree, np.ndarray]]:
    """The formula with each of some in the place of a node."""
    yield from ((replaced(candidate.tree, {node: tree}), values) for tree, values in new)


def _form(node: Tree, constants: np.ndarray) -> tuple[Tree, float] | None:
    """`u` of a function of one argument, and the slope of its logarithm, or of itself, in `u` where `s u` is small."""
    if node[0] == "pow" and (e := exact(node[2])) is not None and node[1][0] == "add":
        d, s, u = _affine(node[1], constants)
        return None if d == 0 else (u, s * float(e) / d)
    if node[0] not in ("exp", "log", "tanh"):
        return None
    d, s, u = _affine(node[1], constants)
    if not indices(u, "x") or (node[0] == "log" and d == 0):
        return None
    return u, s / d if node[0] == "log" else s


def _affine(z: Tree, constants: np.ndarray) -> tuple[float, float, Tree]:
    """`z = d + s u`."""
    parts = z[1:] if z[0] == "add" else (z,)
    fixed = [part for part in parts if part[0] in ("c", "q")]
    rest = [part for part in parts if part[0] not in ("c", "q")]
    d = float(sum(evaluate(part, (), constants) for part in fixed))
    if len(rest) != 1 or rest[0][0] != "mul":
        return d, 1.0, add(*rest) if rest else ONE
    numbers = [factor for factor in rest[0][1:] if factor[0] in ("c", "q")]
    s = float(np.prod([evaluate(factor, (), constants) for factor in numbers])) if numbers else 1.0
    return d, s, mul(*(factor for factor in rest[0][1:] if factor not in numbers))


def _inner(u: Tree, constants: np.ndarray) -> list[Tree]:
    """`u` as it is, and with its exponents as simple fractions."""
    parts = {
        node: power(node[1], number(near[0]))
        for node in walk(u)
        if node[0] == "pow" and node[2][0] == "c" and (near := nearest_fractions(float(constants[node[2][1]]), 1))
    }
    return [u] + ([replaced(u, parts)] if parts else [])


def _shapes(slope: float) -> Iterator[tuple[str | Fraction, float]]:
    for e in POWERS:
        yield e, slope / float(e)
    for name in ("exp", "log", "tanh"):
        yield name, slope


def _fitted(
    node: Tree, u: Tree, g: str | Fraction, steep: float, candidate: Candidate, data: Data
) -> list[tuple[Tree, np.ndarray]]:
    """`c_1 g(c_2 u)` and `c_0 + c_1 g(c_2 u)` in the place of a node, nothing where they have no value."""
    z = mul(("c", len(candidate.constants)), u)
    shape = power(add(ONE, z), number(g)) if isinstance(g, Fraction) else apply(g, add(ONE, z) if g == "log" else z)
    for _ in range(HALVINGS):
        found = _levelled(node, shape, np.append(candidate.constants, steep), data)
        if found:
            return found[:1] if g in ("log", "tanh") else found
        steep /= 2
    return []


def _levelled(node: Tree, shape: Tree, constants: np.ndarray, data: Data) -> list[tuple[Tree, np.ndarray]]:
    """`c_0 + c_1 g` and `c_1 g` that come nearest to the values of a node."""
    K = len(constants)
    with np.errstate(all="ignore"):
        old, new = (
            np.asarray(evaluate(tree, data.columns, constants), float) * np.ones(len(data.y)) for tree in (node, shape)
        )
    if not np.all(np.isfinite(old)) or not np.all(np.isfinite(new)):
        return []
    both = np.linalg.lstsq(np.stack([new, np.ones_like(new)], axis=1), old, rcond=1e-12)[0]
    front = float(new @ old / max(float(new @ new), 1e-300))
    term = mul(("c", K), shape)
    return [(add(term, ("c", K + 1)), np.append(constants, both)), (term, np.append(constants, front))]
