r"""Domains that are glued from boxes and images of boxes: an L-shape, a plate with a hole, a bent pipe.

    Omega = union of F_k(box_k),    V = { v continuous, v(F_k(.)) a spline on box_k },    a(u, v) = sum_k a_k(u, v)

The patches share whole faces and the splines there, and the unknowns on them: no penalty, no multiplier.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .expressions import Coordinate, Expression
from .geometry import Mapping
from .gluing import Face, Glue, box_points, check_knots, face_points, glued, numbering
from .patch import Patch
from .pullback import Geometry
from .space import Space


class Patches:
    r"""Several spaces as one, glued where their faces are the same.

    **Arguments:**

    - `patches`: one `Space` each, on a box of the domain, or a pair `(space, mapping)` on the image of a box. All boxes share the coordinates of the
      domain; the coordinates of a mapped patch are its own, with other names. Faces that are the same are glued; on the others the conditions of each
      space count, in its coordinates (`mapping.pulled_back` takes functions of the domain), and what is not named is natural.
    - `coordinates`: of the domain, where all patches are mapped.
    - `mean`: the mean value of the solution, for problems that determine it up to a constant.

    In the form `u.d(x)` is a derivative in the domain. An integral over a face, `x.at(1)` or `r.at(2)`, counts on the outer faces there.

    **Raises:** `ValueError` for patches that overlap, touch along parts of faces or not at all, have other splines on a common face, or hold values there.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import numpy as np, infinity as inf
    >>> x, y = inf.pde.coordinates("x y")
    >>> u, v = inf.pde.trial(), inf.pde.test()
    >>> one, two = inf.basis.BSpline((-1.0, 0.0), 4, 4), inf.basis.BSpline((0.0, 1.0), 4, 4)
    >>> g = x**2 - y**2
    >>> shape = inf.pde.Patches([
    ...     inf.pde.Space({x: one, y: one}, dirichlet={x: {"left": g, "right": g}, y: {"left": g}}),
    ...     inf.pde.Space({x: one, y: two}, dirichlet={x: {"left": g}, y: {"right": g}}),
    ...     inf.pde.Space({x: two, y: two}, dirichlet={x: {"right": g}, y: {"left": g, "right": g}}),
    ... ])
    >>> result = inf.solve(u.d(x) * v.d(x) + u.d(y) * v.d(y), shape)
    >>> result.error(g) < 1e-13, round(float(result.model(np.array([-0.5, 0.25]))), 12)
    (True, 0.1875)
    """

    def __init__(
        self,
        patches: Sequence[Any],
        coordinates: Sequence[Coordinate] | None = None,
        mean: float | int | None = None,
    ):
        pairs: list[Any] = [one if isinstance(one, tuple) else (one, None) for one in patches]
        if not pairs or any(
            len(pair) != 2 or not isinstance(pair[0], Space) or not isinstance(pair[1], Mapping | None)
            for pair in pairs
        ):
            raise ValueError(f"Patches got {list(patches)!r}; expected inf.pde.Space or (space, mapping), at least one")
        self.mean = None if mean is None else float(mean)
        plain = [space for space, mapping in pairs if mapping is None]
        if coordinates is None and not plain:
            raise ValueError(
                "all patches are mapped; name the coordinates of the domain: Patches([...], coordinates=(x, y))"
            )
        self.coordinates = tuple(coordinates) if coordinates is not None else plain[0].coordinates
        self.patches = [self._patch(k, *pair) for k, pair in enumerate(pairs)]
        self.faces = [Face(k, d, s) for k in range(len(pairs)) for d in range(len(self.coordinates)) for s in (0, -1)]
        images = [self.patches[f.patch].image(face_points(self.patches[f.patch].box, f)) for f in self.faces]
        self.glue: list[Glue] = glued(self.faces, images, [self.name(f) for f in self.faces])
        self.inner = {face for glue in self.glue for face in (glue.one, glue.two)}
        for glue in self.glue:
            bases = [list(patch.space.bases.values()) for patch in self.patches]
            check_knots(glue, bases, (self.name(glue.one), self.name(glue.two)))
        self._check_overlaps()
        self._check_conditions()
        self._check_whole()

    def _patch(self, k: int, space: Space, mapping: Mapping | None) -> Patch:
        names = ", ".join(c.name for c in self.coordinates)
        if len(space.bases) != len(self.coordinates) or len(space.bases) > 3:
            raise ValueError(
                f"patch {k} has {len(space.bases)} coordinates; expected those of the domain, {names}, up to three"
            )
        if mapping is None and space.coordinates != self.coordinates:
            raise ValueError(
                f"patch {k} has the coordinates {', '.join(map(str, space.coordinates))}; expected {names}, in this order"
            )
        if mapping is not None and space.coordinates != mapping.coordinates:
            raise ValueError(
                f"patch {k} has the coordinates {', '.join(map(str, space.coordinates))} "
                f"and its map {', '.join(map(str, mapping.coordinates))}; expected the same"
            )
        if mapping is not None and set(space.coordinates) & set(self.coordinates):
            raise ValueError(
                f"patch {k} is mapped and has a coordinate of the domain, {names}; give those of its box other names"
            )
        if space.periodic or space.mean is not None:
            raise ValueError(
                f"patch {k} has {'periodic ends' if space.periodic else 'a mean'}; in Patches faces are glued where they are the same, and mean= is of all"
            )
        return Patch(space, None if mapping is None else Geometry(mapping))

    def name(self, face: Face) -> str:
        """A face in words."""
        patch = self.patches[face.patch]
        c = patch.space.coordinates[face.direction]
        return f"the face {c}={patch.box[face.direction, face.side]:g} of patch {face.patch}"

    def _check_overlaps(self) -> None:
        """No point inside of one patch, or of an outer face, lies in another."""
        inside = np.linspace(0.07, 0.93, 7)
        spread = lambda box, lines: box_points(
            [low + (high - low) * t for (low, high), t in zip(box, lines, strict=True)]
        )
        D = len(self.coordinates)
        for k, l in itertools.permutations(range(len(self.patches)), 2):
            one, two = self.patches[k], self.patches[l]
            points = one.image(spread(one.box, [inside] * D))
            bad = np.flatnonzero(two.holds(points, 1e-9))
            if len(bad):
                raise ValueError(
                    f"patches {k} and {l} overlap, at {self._place(points[bad[0]])} for one; expected boxes that share faces alone"
                )
            for face in self.faces:
                if face.patch == k and face not in self.inner:
                    lines = [inside] * D
                    lines[face.direction] = np.array([0.0 if face.side == 0 else 1.0])
                    points = one.image(spread(one.box, lines))
                    bad = np.flatnonzero(two.holds(points, -1e-9))
                    if len(bad):
                        raise ValueError(
                            f"{self.name(face)} touches patch {l} at {self._place(points[bad[0]])} but is no whole face of it; "
                            "expected faces that are the same. Divide the larger patch"
                        )

    def _check_conditions(self) -> None:
        for face in self.faces:
            space = self.patches[face.patch].space
            c = space.coordinates[face.direction]
            held = {**space.dirichlet.get(c, {}), **space.nitsche.get(c, {})}
            if face in self.inner and ("left" if face.side == 0 else "right") in held:
                raise ValueError(
                    f"{self.name(face)} is glued to another patch and has Dirichlet values; leave them out"
                )
        if self.mean is not None and any(p.space.dirichlet or p.space.nitsche for p in self.patches):
            raise ValueError(
                f"Patches got mean={self.mean:g} and Dirichlet values, which determine the constant; leave one of them out"
            )

    def _check_whole(self) -> None:
        """All patches hang together."""
        reached, new = {0}, {0}
        while new:
            pairs = [(g.one.patch, g.two.patch) for g in self.glue]
            new = {b for a, b in pairs + [(b, a) for a, b in pairs] if a in reached} - reached
            reached |= new
        alone = sorted(set(range(len(self.patches))) - reached)
        if alone:
            raise ValueError(
                f"patch {alone[0]} shares no face with patch 0 or those glued to it; expected one domain. Move it, or solve twice"
            )

    def _place(self, point: np.ndarray) -> str:
        return ", ".join(f"{c}={value:.4g}" for c, value in zip(self.coordinates, point, strict=True))

    @functools.cached_property
    def numbers(self) -> list[np.ndarray]:
        """The unknown of each function of each patch."""
        return numbering([tuple(b.size for b in patch.space.bases.values()) for patch in self.patches], self.glue)

    @property
    def unknowns(self) -> int:
        """How many functions there are, held ones included."""
        return 1 + max(int(np.max(numbers)) for numbers in self.numbers)

    @property
    def components(self) -> int:
        """The number of components that the values on faces speak of."""
        return max(patch.space.components for patch in self.patches)

    def refined(self, more: int = 1) -> "Patches":
        """Each cell in halves and `more` degrees."""
        return self.on([p.space.refined(more) for p in self.patches])

    def on(self, spaces: Sequence[Space]) -> "Patches":
        """The same patches with other cells, which agree on common faces."""
        found = object.__new__(Patches)
        found.__dict__.update({name: value for name, value in self.__dict__.items() if name != "numbers"})
        found.patches = [Patch(space, patch.geometry) for space, patch in zip(spaces, self.patches, strict=True)]
        return found

    def local(self, form: Expression, k: int) -> Expression:
        """A form as one of the box of a patch: its outer faces, and what lies inside of it."""
        patch = self.patches[k]
        terms = [term for term in form.terms if self.counts(term.faces, k)]
        kept = Expression(tuple(terms))
        return kept if patch.geometry is None else patch.geometry.form(kept, self.coordinates)

    def counts(self, faces: Any, k: int) -> bool:
        """Whether a term on these faces is integrated over a patch."""
        patch = self.patches[k]
        for c, value in faces:
            if c not in patch.space.bases:
                return False
            d = patch.space.coordinates.index(c)
            low, high = patch.box[d]
            near = 1e-12 * (high - low)
            if value < low - near or value > high + near:
                return False
            if (abs(value - low) <= near and Face(k, d, 0) in self.inner) or (
                abs(value - high) <= near and Face(k, d, -1) in self.inner
            ):
                return False
        return True

    def check_faces(self, form: Expression) -> None:
        """Every face that a form names is one of a patch.

        **Raises:** `ValueError` for a face that lies outside of all, or inside where patches are glued.
        """
        for term in form.terms:
            if term.faces and not any(self.counts(term.faces, k) for k in range(len(self.patches))):
                where = ", ".join(f"{c}={value:g}" for c, value in term.faces)
                raise ValueError(
                    f"the term {term} lies on {where}, which is no outer face of a patch and not inside of one"
                )

    def __str__(self) -> str:
        lines = [f"{k}: {patch.space}" + (", mapped" if patch.geometry else "") for k, patch in enumerate(self.patches)]
        return "\n".join([*lines, *(f"{self.name(g.one)} is {self.name(g.two)}" for g in self.glue)])
