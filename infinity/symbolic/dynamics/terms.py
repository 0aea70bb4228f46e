r"""The terms that a right-hand side may have: products of powers of states and controls, functions of one of them, and what a user adds.

theta_p(z, u),   p = 1..P,        dz_s/dt = sum_p theta_p(z, u) xi_ps
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ..algebra import ONE, apply, mul, power
from ..derivative import derivative
from ..parse import read_exact
from ..tree import FUNCTIONS, Tree, evaluate, exact, number


@dataclasses.dataclass(frozen=True)
class Library:
    """Trees of the `P` terms in the columns of `states` states and then the controls; no tree holds a fitted constant.

    `known` are the pairs `(p, s)` of terms that belong to the equation of a state with a coefficient of exactly one.

    >>> import numpy as np
    >>> from infinity.symbolic.dynamics.terms import make_library
    >>> library = make_library(("x", "v"), 2, 2, ("sin",))
    >>> library.values(np.array([[2.0, 3.0]])).tolist()[0][:6]
    [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]
    """

    terms: tuple[Tree, ...]
    states: int
    known: tuple[tuple[int, int], ...] = ()
    slopes: tuple[tuple[int, int, Tree], ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        pairs = itertools.product(enumerate(self.terms), range(self.states))
        found = ((p, s, derivative(tree, s)) for (p, tree), s in pairs)
        object.__setattr__(self, "slopes", tuple(item for item in found if exact(item[2]) != 0))

    @property
    def fixed(self) -> Float[np.ndarray, "P S"]:
        """The coefficients that are known, zero where they are free."""
        out = np.zeros((len(self.terms), self.states))
        for place in self.known:
            out[place] = 1.0
        return out

    @property
    def free(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of all coefficients that may be fitted: every term that is not a known part, in every equation."""
        parts = {p for p, _ in self.known}
        rows = [p for p in range(len(self.terms)) if p not in parts]
        p, s = np.meshgrid(rows, np.arange(self.states), indexing="ij")
        return p.ravel(), s.ravel()

    def values(self, columns: Float[np.ndarray, "n C"]) -> Float[np.ndarray, "n P"]:
        """The terms at points."""
        out, inputs = np.empty((len(columns), len(self.terms))), list(columns.T)
        with np.errstate(all="ignore"):
            for p, tree in enumerate(self.terms):
                out[:, p] = evaluate(tree, inputs, ())
        return out

    def gradients(self, columns: Float[np.ndarray, "n C"]) -> Float[np.ndarray, "n P S"]:
        """The derivatives of every term with respect to the first `states` columns."""
        out, inputs = np.zeros((len(columns), len(self.terms), self.states)), list(columns.T)
        with np.errstate(all="ignore"):
            for p, r, tree in self.slopes:
                out[:, p, r] = evaluate(tree, inputs, ())
        return out

    def jacobian(
        self, columns: Float[np.ndarray, "n C"], coefficients: Float[np.ndarray, "P S"]
    ) -> Float[np.ndarray, "n S S"]:
        """`d(dz_s/dt)/dz_r`, shape `(n, s, r)`."""
        out, inputs = np.zeros((len(columns), self.states, self.states)), list(columns.T)
        for p, r, tree in self.slopes:
            used = np.flatnonzero(coefficients[p])
            if used.size:
                slope = np.asarray(evaluate(tree, inputs, ()), float)
                out[:, used, r] += slope[..., None] * coefficients[p, used]
        return out


def make_library(
    names: Sequence[str],
    states: int,
    degree: int = 2,
    functions: Sequence[str] = ("sin", "cos"),
    extra: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
) -> Library:
    """Products of whole powers up to a degree, functions of one state or control, terms that are given as text, and known parts of the equations.

    **Arguments:** `names` of the states and then of the controls; how many of them are `states`; the total `degree`; the `functions`; `extra` terms,
    whose numbers stay as they are; the `known` part of a state's equation, by the state's name.

    **Raises:** `ValueError` for a degree that is no whole number from 0 to 7, a function that is not known and text that is no formula.
    """
    if type(degree) is not int or not 0 <= degree <= 7:
        raise ValueError(
            f"degree is {degree!r}; expected the highest total power of a term, a whole number from 0 to 7"
        )
    for name in functions:
        if name not in FUNCTIONS:
            raise ValueError(f"the function {name!r} is not known; expected some of {', '.join(FUNCTIONS)}")
    found = []
    for total in range(degree + 1):
        for chosen in itertools.combinations_with_replacement(range(len(names)), total):
            powers = (power(("x", d), number(chosen.count(d))) for d in sorted(set(chosen)))
            found.append(mul(*powers) if chosen else ONE)
    found += [apply(name, ("x", d)) for d in range(len(names)) for name in functions]
    found = list(dict.fromkeys([*found, *(read_exact(text, names) for text in extra)]))
    places = []
    for name, text in (known or {}).items():
        if name not in names[:states]:
            raise ValueError(f"known names {name!r}, which is no state; expected some of {', '.join(names[:states])}")
        places.append((len(found), list(names).index(name)))
        found.append(read_exact(text, names))
    return Library(tuple(found), states, tuple(places))
