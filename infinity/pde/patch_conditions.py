r"""What is known before a system of glued patches is solved: the form on each box, and the unknowns on held faces.

u = g on a face:    u_i = c_i  with  sum_i c_i B_i = g there,    the corners met exactly, so that the faces of two patches agree
"""

from typing import Any

import numpy as np

from . import conditions
from .axis import Axis
from .expressions import Expression
from .kronecker import full
from .patches import Patches


def forms_of(form: Any, patches: Patches) -> list[tuple[Expression, Expression]]:
    """For each patch the form as written, and in the coordinates of its box."""
    several = isinstance(form, list | tuple)
    if several and len(form) != len(patches.patches):
        raise ValueError(
            f"solve got {len(form)} forms for {len(patches.patches)} patches; expected one, or one for each"
        )
    for one in form if several else [form]:
        if not isinstance(one, Expression):
            raise ValueError(
                f"solve got {one!r} on Patches; expected a form such as u.d(x)*v.d(x) - f*v, an inf.pde.Energy or an inf.pde.Weak"
            )
        if not several:
            patches.check_faces(one)
    given = list(form) if several else [form] * len(patches.patches)
    return [(one, patches.local(one, k)) for k, one in enumerate(given)]


def known_values(patches: Patches, components: int) -> np.ndarray:
    """The unknowns that are given by values on faces; the others are not a number."""
    known = np.full((patches.unknowns, components), np.nan)
    for k, (patch, numbers) in enumerate(zip(patches.patches, patches.numbers, strict=True)):
        space = patch.space
        axes = {c: Axis(c, b, "splines") for c, b in space.bases.items()}
        for component in range(components):
            for d, c in enumerate(space.coordinates):
                for side in space.dirichlet.get(c, {}):
                    given = space.value(c, side, component)
                    if given is None:
                        continue
                    places = np.take(numbers, [0 if side == "left" else -1], axis=d)
                    values = np.zeros(places.shape)
                    if given.number() != 0.0:
                        parts = conditions.coefficients(given, axes, (c, space.place(c, side)))
                        values = full([parts[name] for name in space.coordinates])
                    before = known[places, component]
                    gap = np.abs(np.where(np.isnan(before), values, before) - values)
                    size = max(1.0, float(np.max(np.abs(values))))
                    if np.max(gap) > 1e-6 * size:
                        worst = np.unravel_index(np.argmax(gap), gap.shape)
                        raise ValueError(
                            f"the {side} face of {c} of patch {k} asks for {values[worst]:.6g} where it meets another face, "
                            f"which asks for {before[worst]:.6g}; "
                            "expected one value. Change one of the faces, or leave one to the form"
                        )
                    known[places, component] = values
    return known.ravel()
