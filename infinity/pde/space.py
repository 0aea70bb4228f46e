r"""The space in which a solution is sought: splines in each coordinate, and conditions at the ends.

V = span{ B_i1(x_1) .. B_iD(x_D) },   u = g on the faces that are named
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..basis import AbstractBasis, BSpline
from .expressions import Coordinate, Expression, as_expression

_SIDES = ("left", "right")
Sides: TypeAlias = dict[str, tuple[Expression | None, ...]]


class Space:
    r"""A tensor product of one-dimensional families, with the conditions that the solution meets exactly.

    **Arguments:**

    - `bases`: `{coordinate: basis}`; the order is that of the numbers of a point.
    - `modes`: the most products that the solution may have; by default as many as its accuracy takes.
    - `dirichlet`: `{coordinate: "left" | "right" | "both"}` for zero at these ends, or `{coordinate: {"left": g, "right": h}}` with numbers or
      expressions of the coordinates, of which the values on the face count, a tuple of them for a solution with components. An initial value is one
      at the left end of the time. What is not
      named is left to the form (natural conditions).
      `None` in a tuple leaves the component free there: `{x: {"left": (0, None)}}` is a roller.
    - `nitsche`: as `dirichlet`, for values that the form holds weakly, by the method of Nitsche, without a number to choose. They need not agree at
      corners. For equations of second order.
    - `periodic`: coordinates whose ends are joined, with all derivatives below the degree.
    - `mean`: the mean value of the solution, for problems that determine it up to a constant.

    **Raises:** `ValueError` for anything that is not a coordinate of the space, an end held twice, values that do not agree where two faces meet, or
    a mean beside
    Dirichlet conditions.

    >>> from infinity.basis import BSpline
    >>> from infinity.pde import Space, coordinates
    >>> x, t = coordinates("x t")
    >>> space = Space({x: BSpline((0.0, 1.0), 8, 3), t: BSpline((0.0, 2.0), 4, 3)}, dirichlet={x: "both", t: {"left": x * (1 - x)}})
    >>> print(space)
    x: 8 cells of degree 3 on [0, 1], u = 0 at the left, u = 0 at the right; t: 4 cells of degree 3 on [0, 2], u = -x x + x at the left
    """

    def __init__(
        self,
        bases: Mapping[Coordinate, AbstractBasis],
        modes: int | None = None,
        dirichlet: Mapping[Coordinate, Any] | None = None,
        periodic: Sequence[Coordinate] = (),
        mean: float | int | None = None,
        nitsche: Mapping[Coordinate, Any] | None = None,
    ):
        self.bases = dict(bases)
        if not self.bases:
            raise ValueError("a space got no coordinates; expected {coordinate: basis}")
        for coordinate, basis in self.bases.items():
            if not isinstance(coordinate, Coordinate):
                raise ValueError(f"a space got the key {coordinate!r}; expected coordinates of inf.pde.coordinates")
            if not isinstance(basis, BSpline):
                raise ValueError(f"{coordinate} got a {type(basis).__name__}; expected an inf.basis.BSpline")
        if modes is not None and modes < 1:
            raise ValueError(f"a space got modes={modes}; expected at least one, or none for as many as it takes")
        self.modes, self.mean = modes, None if mean is None else float(mean)
        self.periodic = tuple(periodic)
        self.dirichlet: dict[Coordinate, Sides] = {}
        self.nitsche: dict[Coordinate, Sides] = {}
        for coordinate in (*self.periodic, *(dirichlet or {}), *(nitsche or {})):
            if coordinate not in self.bases:
                raise ValueError(f"conditions are given for {coordinate}, which is not in the space of {self._names()}")
        for kind, conditions in ((self.dirichlet, dirichlet), (self.nitsche, nitsche)):
            for coordinate, given in (conditions or {}).items():
                if coordinate in self.periodic:
                    raise ValueError(f"{coordinate} is periodic and has Dirichlet values; expected one of the two")
                kind[coordinate] = {
                    side: self._value(coordinate, side, g) for side, g in _by_side(coordinate, given).items()
                }
        for coordinate, sides in self.nitsche.items():
            for side, several in sides.items():
                for component in range(self.components):
                    if self.value(coordinate, side, component) and _of(several, component):
                        raise ValueError(
                            f"the {side} end of {coordinate} is held by dirichlet and by nitsche; expected one of the two"
                        )
        if self.mean is not None and (self.dirichlet or self.nitsche):
            raise ValueError(
                f"a space got mean={mean:g} and Dirichlet values, which determine the constant; leave one of them out"
            )
        self._check_corners()

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The coordinates, in the order of the numbers of a point."""
        return tuple(self.bases)

    def ends(self, coordinate: Coordinate, component: int | None = None) -> Any:
        """Which ends the functions of a coordinate vanish at, for one component or for all."""
        if coordinate in self.periodic:
            return "periodic"
        which = range(self.components) if component is None else (component,)
        sides = [s for s in self.dirichlet.get(coordinate, {}) if all(self.value(coordinate, s, k) for k in which)]
        return "both" if len(sides) == 2 else next(iter(sides), "free")

    def place(self, coordinate: Coordinate, side: str) -> float:
        """Where an end lies."""
        return float(np.asarray(self.bases[coordinate].breakpoints)[0 if side == "left" else -1])

    def values(self, component: int = 0) -> list[tuple[Coordinate, str, Expression]]:
        """The faces on which a component is not held at zero, and its values there."""
        found = [(c, side, self.value(c, side, component)) for c, side in self.faces(component)]
        return [(c, side, g) for c, side, g in found if g is not None and g.number() != 0.0]

    def value(self, coordinate: Coordinate, side: str, component: int = 0) -> Expression | None:
        """What a component is held at on a face, or nothing where it is not held."""
        given = self.dirichlet.get(coordinate, {}).get(side)
        return None if given is None else _of(given, component)

    def faces(self, component: int = 0) -> list[tuple[Coordinate, str]]:
        """All faces on which a component has Dirichlet values."""
        return [(c, s) for c, sides in self.dirichlet.items() for s in sides if self.value(c, s, component)]

    @property
    def components(self) -> int:
        """The number of components that the values speak of, 1 where they are for all alike."""
        kinds = (*self.dirichlet.values(), *self.nitsche.values())
        return max((len(g) for sides in kinds for g in sides.values()), default=1)

    def with_bases(self, bases: Mapping[Coordinate, AbstractBasis]) -> "Space":
        """The same conditions on other bases."""
        return Space(bases, self.modes, self.dirichlet, self.periodic, self.mean, self.nitsche)

    def continued(self, bases: Mapping[Coordinate, AbstractBasis], time: Coordinate, start: Expression) -> "Space":
        """The same conditions on other bases, but for the start of the time: a solution, which agrees with the faces up to its error alone.

        It comes first, so that the faces after it are met exactly and no error of theirs is handed on.
        """
        rest = {c: g for c, g in self.dirichlet.items() if c != time}
        found = Space(bases, self.modes, rest, self.periodic, None, self.nitsche)
        found.dirichlet = {time: {**self.dirichlet[time], "left": (start,)}, **found.dirichlet}
        return found

    def refined(self, more: int = 1) -> "Space":
        """Each cell in halves and one degree more: on few cells, halves alone can change nothing."""
        return self.with_bases({c: divided(b, more) for c, b in self.bases.items()})

    def _names(self) -> str:
        return ", ".join(c.name for c in self.bases)

    def _value(self, coordinate: Coordinate, side: str, given: Any) -> tuple[Expression | None, ...]:
        several = given if isinstance(given, tuple | list) else (given,)
        values = tuple(as_expression(part) for part in several)
        for part, value in zip(several, values, strict=True):
            if value is None and part is None and any(v is not None for v in values):
                continue
            if value is None or any(term.factors or term.faces for term in value.terms):
                raise ValueError(
                    f"the value at the {side} end of {coordinate} is {given!r}; expected a number or an expression of the coordinates"
                )
            for other in value.coordinates:
                if other not in self.bases:
                    raise ValueError(
                        f"the value at the {side} end of {coordinate} depends on {other}; expected coordinates of the space: {self._names()}"
                    )
        return values

    def _check_corners(self) -> None:
        """Where two faces meet their values agree."""
        faces = [(c, side, g) for c, sides in self.dirichlet.items() for side, g in sides.items()]
        rest = np.random.default_rng(0)
        inside = {c: np.asarray(b.breakpoints, float)[[0, -1]] for c, b in self.bases.items()}
        points = {c: rest.uniform(low, high, 32) for c, (low, high) in inside.items()}
        pairs = [(*one, *two) for k, one in enumerate(faces) for two in faces[:k] if one[0] != two[0]]
        components = range(self.components)
        for c, side, several, other, other_side, others in pairs:
            for component in components:
                g, h = _of(several, component), _of(others, component)
                if g is None or h is None or g is h:
                    continue
                at = {**points, c: np.full(32, self.place(c, side)), other: np.full(32, self.place(other, other_side))}
                first, second = np.asarray(g.values(at)) + np.zeros(32), np.asarray(h.values(at)) + np.zeros(32)
                worst = int(np.argmax(np.abs(first - second)))
                if abs(first[worst] - second[worst]) > 1e-8 * max(1.0, np.max(np.abs(first)), np.max(np.abs(second))):
                    raise ValueError(
                        f"at the corner {c}={self.place(c, side):g}, {other}={self.place(other, other_side):g} the conditions ask for {first[worst]:.6g} and "
                        f"{second[worst]:.6g}; expected one value. Change one of the faces, or leave one to the form"
                    )

    def __str__(self) -> str:
        words = []
        for c, b in self.bases.items():
            low, high = np.asarray(b.breakpoints, float)[[0, -1]]
            text = f"{c}: {b.elements} cells of degree {b.degree} on [{low:g}, {high:g}]"
            text += ", periodic" if c in self.periodic else ""
            for sides, kind in ((self.dirichlet, ""), (self.nitsche, ", weakly")):
                for side, g in sides.get(c, {}).items():
                    told = ", ".join("free" if one is None else str(one) for one in g)
                    text += f", u = {told} at the {side}{kind}"
            words.append(text)
        return "; ".join(words)


def divided(basis: AbstractBasis, more: int = 0) -> BSpline:
    """The splines with each cell in halves, and `more` degrees."""
    points = np.asarray(basis.breakpoints, float)
    inside = np.unique(points)
    inside = inside[:-1] + np.diff(inside) / 2
    return BSpline(breakpoints=np.sort(np.concatenate([points, inside])), degree=basis.degree + more)


def _of(values: tuple[Expression | None, ...], component: int) -> Expression | None:
    return values[min(component, len(values) - 1)]


def _by_side(coordinate: Coordinate, given: Any) -> dict[str, Any]:
    if given in ("left", "right", "both") and isinstance(given, str):
        return dict.fromkeys(_SIDES if given == "both" else (given,), 0.0)
    if isinstance(given, Mapping) and given and set(given) <= set(_SIDES):
        return {side: given[side] for side in _SIDES if side in given}
    raise ValueError(
        f'dirichlet of {coordinate} is {given!r}; expected "left", "right" or "both" for zero, or {{"left": value, "right": value}}'
    )
