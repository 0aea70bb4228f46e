r"""Values on faces of a problem that is written at a point, for each component and each choice of the parameters.

u_k = g_k(., p) on the faces that hold component k:      u = lift + free functions, those that vanish there
"""

import functools
from typing import Any

import numpy as np
import scipy.sparse

from .axis import Axis, restriction
from .conditions import lift
from .expressions import Coordinate, Expression, Function, Term
from .kronecker import full
from .space import Space


def without_values(space: Space, names: list[Coordinate]) -> dict[Coordinate, dict[str, Any]]:
    """The conditions of some coordinates; what depends on parameters is zero here and set with their values."""
    zero = lambda given: tuple(None if g is None else 0.0 for g in given)
    return {c: {side: zero(g) for side, g in sides.items()} for c, sides in space.dirichlet.items() if c in names}


def free_functions(space: Space, components: int) -> Any:
    """From the unknowns of all components to coefficients `(n, O)` one after another, which meet homogeneous and periodic conditions."""
    blocks = []
    for k in range(components):
        sides = [scipy.sparse.csr_matrix(restriction(b, space.ends(c, k))) for c, b in space.bases.items()]
        one = np.zeros((components, 1))
        one[k] = 1.0
        blocks.append(functools.reduce(lambda a, b: scipy.sparse.kron(a, b, format="csr"), [*sides, one]))
    return scipy.sparse.hstack(blocks, format="csr")


def lifted(space: Space, part: Space, at: dict[Coordinate, float], components: int) -> np.ndarray:
    """A function with the values on the faces for one choice of the parameters, as coefficients `(n_1, .., n_D, O)`."""
    fixed = {
        c: {side: tuple(None if g is None else _at(g, at) for g in several) for side, several in sides.items()}
        for c, sides in space.dirichlet.items()
    }
    valued = Space(part.bases, None, fixed, part.periodic)
    found = []
    for k in range(components):
        known = lift(valued, {c: Axis(c, b, valued.ends(c, k)) for c, b in part.bases.items()}, k)
        found.append(np.zeros([b.size for b in part.bases.values()]) if known is None else full(known))
    return np.stack(found, axis=-1)


def _at(g: Expression, at: dict[Coordinate, float]) -> Expression:
    """An expression with the parameters set."""
    if not any(c in at for c in g.coordinates):
        return g
    rest = tuple(c for c in g.coordinates if c not in at)
    evaluate = lambda *values: g.values({**dict(zip(rest, values, strict=True)), **at})
    return (
        Expression((Term(1.0, (Function(rest, evaluate, str(g)),)),))
        if rest
        else Expression((Term(float(g.values(at))),))
    )


def with_values(start: np.ndarray, known: np.ndarray, part: Space) -> np.ndarray:
    """A start whose outermost coefficients are those of the values on the faces."""
    found = start.copy()
    for k in range(start.shape[-1]):
        for c, side in part.faces(k):
            face: list[Any] = [slice(None)] * (found.ndim - 1) + [k]
            face[list(part.bases).index(c)] = slice(0, 1) if side == "left" else slice(-1, None)
            found[tuple(face)] = known[tuple(face)]
    return found
