r"""A formula at fixed rows, made ready to be evaluated many times with other constants.

    v_k = f_k(v_i, v_j, ..),    a_i = sum over k that use i of  a_k df_k/dv_i,    a of the last node = 1

Parts without constants are evaluated once, equal parts once each time; the adjoints `a` at the constants are the columns of the Jacobian, so that all of them
together cost about two evaluations, whatever their number.
"""

from typing import Any

import numpy as np

from .tree import FUNCTIONS, Tree, evaluate, exact, indices, power


class Tape:
    """The nodes of a tree in the order in which they are evaluated, for columns `(N,)` of the inputs.

    >>> import numpy as np
    >>> from infinity.symbolic.tape import Tape
    >>> tape = Tape(("mul", ("c", 0), ("exp", ("mul", ("c", 1), ("x", 0)))), [np.array([0.0, 1.0])])
    >>> tape.value([2.0, 0.0]).tolist(), tape.slopes()[1].tolist()
    ([2.0, 2.0], [0.0, 2.0])
    """

    def __init__(self, tree: Tree, columns: Any):
        self._columns = columns
        self._values: list[Any] = []
        self._places: dict[Tree, int] = {}
        # (word, place, places of the parts, exact exponent), only of what depends on constants
        self._steps: list[tuple[str, int, tuple[int, ...], Any]] = []
        self._constants: dict[int, int] = {}
        self._live: list[bool] = []
        self._last = self._added(tree)

    def _placed(self, key: Tree, value: Any, live: bool) -> int:
        self._places[key] = len(self._values)
        self._values.append(value)
        self._live.append(live)
        return self._places[key]

    def _added(self, tree: Tree) -> int:
        if tree in self._places:
            return self._places[tree]
        word = tree[0]
        if word == "c":
            place = self._placed(tree, None, True)
            self._constants[tree[1]] = place
            return place
        if not indices(tree, "c"):
            return self._placed(tree, evaluate(tree, self._columns, ()), False)
        parts = tree[1:]
        if word in ("add", "mul"):
            fixed = tuple(part for part in parts if not indices(part, "c"))
            if len(fixed) > 1:
                parts = ((word, *fixed), *(part for part in parts if part not in fixed))
        places = tuple(self._added(part) for part in parts)
        place = self._placed(tree, None, True)
        self._steps.append((word, place, places, exact(tree[2]) if word == "pow" else None))
        return place

    def value(self, constants: Any) -> Any:
        """The value `(N,)`, or a number where no input occurs."""
        v = self._values
        for k, place in self._constants.items():
            v[place] = constants[k]
        for word, place, places, known in self._steps:
            if word == "add":
                total = v[places[0]] + v[places[1]]
                for other in places[2:]:
                    total = total + v[other]
                v[place] = total
            elif word == "mul":
                total = v[places[0]] * v[places[1]]
                for other in places[2:]:
                    total = total * v[other]
                v[place] = total
            elif word == "pow":
                v[place] = power(v[places[0]], known, v[places[1]], np)
            else:
                v[place] = FUNCTIONS[word][0](np, v[places[0]])
        return v[self._last]

    def slopes(self) -> dict[int, Any]:
        """The derivative with respect to each constant that occurs, at the constants of the last `value`."""
        v, live = self._values, self._live
        adjoints: list[Any] = [None] * len(v)
        adjoints[self._last] = 1.0

        def give(place: int, value: Any) -> None:
            adjoints[place] = value if adjoints[place] is None else adjoints[place] + value

        for word, place, places, _ in reversed(self._steps):
            own = adjoints[place]
            if word == "add":
                for other in places:
                    if live[other]:
                        give(other, own)
            elif word == "mul":
                for k, other in enumerate(places):
                    if live[other]:
                        product = own
                        for j, factor in enumerate(places):
                            product = product if j == k else product * v[factor]
                        give(other, product)
            elif word == "pow":
                base, exponent = places
                if live[base]:
                    give(base, own * (v[exponent] * v[place] / v[base]))
                if live[exponent]:
                    give(exponent, own * (v[place] * np.log(v[base])))
            else:
                give(places[0], own * FUNCTIONS[word][1](np, v[places[0]], v[place]))
        return {k: 0.0 if adjoints[place] is None else adjoints[place] for k, place in self._constants.items()}
