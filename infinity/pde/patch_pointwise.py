r"""An energy or a weak form at a point on glued patches: Newton's method in the unknowns that they share.

    r = sum_k P_k^T r_k(P_k u),      J = sum_k P_k^T J_k P_k,      gradients and measures in the domain

It begins from the function with the values on the faces whose gradient is least, or from a solution on coarser cells.
"""

import itertools
from typing import Any

import numpy as np
import scipy.sparse

from .expressions import Expression
from .mesh import Mesh
from .newton import Part, Stationary, System, is_linear, newton
from .nonlinear import check_bounded, prolonged
from .notation import test, trial
from .patch_assembly import systems
from .patch_conditions import known_values
from .patch_linear import GluedSystem, places_of, solved
from .patches import Patches
from .pointwise import Energy, Weak, tables_at_points


def pointwise_forms(form: Any, patches: Patches) -> list[Energy | Weak]:
    """One `Energy` or one `Weak` for each patch.

    **Raises:** `ValueError` for a wrong number of them, or different kinds; for parameters, faces that are none of a patch, a mean or values held weakly.
    """
    several = list(form) if isinstance(form, list | tuple) else [form] * len(patches.patches)
    if len(several) != len(patches.patches):
        raise ValueError(
            f"solve got {len(several)} forms for {len(patches.patches)} patches; expected one, or one for each"
        )
    if len({(type(one), one.components) for one in several if isinstance(one, Energy | Weak)}) > 1 or not all(
        isinstance(one, Energy | Weak) for one in several
    ):
        raise ValueError("the forms of the patches differ in kind or in their number of components; expected one kind")
    name, count = type(several[0]).__name__, several[0].components or 1
    if any(one.parameters for one in several):
        raise ValueError(f"{name} names parameters on Patches; expected none, they take one Space")
    if patches.mean is not None or any(p.space.nitsche for p in patches.patches):
        what = "a mean is given" if patches.mean is not None else "values are held weakly"
        raise ValueError(f"{what} for an {name} on Patches; expected dirichlet, or a term that holds the constant")
    if patches.components not in (1, count):
        raise ValueError(
            f"the patches have values for {patches.components} components and the {name} has {count}; give one value for each, or one for all"
        )
    for one in dict.fromkeys(several):
        own = [k for k, other in enumerate(several) if other is one]
        for c, value, _ in one.boundary:
            if not any(patches.counts(((c, value),), k) for k in own):
                raise ValueError(
                    f"{name} has the face {c}={value:g}, which is no outer face of a patch and not inside of one"
                )
        if isinstance(one, Weak):
            middle = np.mean(patches.patches[own[0]].box, axis=1)[None]
            for part in (one, *(part for _, _, part in one.boundary)):
                part.check(len(patches.coordinates), patches.patches[own[0]].image(middle)[0])
    return several


def stationary(
    forms: list[Energy | Weak], patches: Patches, before: tuple[Patches, list[np.ndarray]] | None
) -> tuple[list[np.ndarray], Stationary, int, bool]:
    """The coefficients on each patch, `(n_1, .., n_D, O)`, how they were found, the number of unknowns, and whether the problem is linear.

    **Arguments:** one of the `forms` a patch; the `patches`; a solution on coarser ones `before`, with its coefficients.
    """
    D, count = len(patches.coordinates), forms[0].components or 1
    linear = all(is_linear(form, D) for form in dict.fromkeys(forms))
    parts = []
    for k, (form, patch, numbers) in enumerate(zip(forms, patches.patches, patches.numbers, strict=True)):
        own = [
            (None, form),
            *(((c, value), one) for c, value, one in form.boundary if patches.counts(((c, value),), k)),
        ]
        parts += [
            Part(Mesh(patch.space, face, patch.geometry), tables_at_points(one), numbers.ravel()) for face, one in own
        ]
    known = known_values(patches, count)
    places = np.flatnonzero(np.isnan(known))
    free = scipy.sparse.csr_matrix(
        (np.ones(len(places)), (places, np.arange(len(places)))), shape=(len(known), len(places))
    )
    system = System(parts, free, count)
    symmetric = isinstance(forms[0], Energy)
    found = None
    if before is not None:
        found = newton(system, _prolonged(*before, patches, known), linear=linear, symmetric=symmetric)
    if found is None or not found.converged:
        found = newton(system, _smooth(patches, known, count), linear=linear, symmetric=symmetric)
    check_bounded(forms[0], linear, found)
    return [found.coefficients[place] for place in places_of(patches, count)], found, len(places), linear


def _smooth(patches: Patches, known: np.ndarray, count: int) -> np.ndarray:
    """The function with the known unknowns whose gradient is least, zero where there are none."""
    if not np.nansum(np.abs(known)):
        return np.nan_to_num(known)
    pairs = [(trial(), test())] if count == 1 else list(zip(trial(count), test(count), strict=True))
    products = [u.d(c) * v.d(c) for (u, v), c in itertools.product(pairs, patches.coordinates)]
    if np.any(np.all(np.isnan(known.reshape(-1, count)), axis=0)):  # a component that nothing holds
        products += [u * v for u, v in pairs]
    form = Expression(tuple(term for product in products for term in product.terms))
    local = [patches.local(form, k) for k in range(len(patches.patches))]
    return solved(GluedSystem(patches, systems([form] * len(local), local, patches)), known, None, None)[0]


def _prolonged(coarse: Patches, tensors: list[np.ndarray], patches: Patches, known: np.ndarray) -> np.ndarray:
    """A solution on finer cells, with the known unknowns."""
    found = np.zeros(len(known))
    for one, tensor, patch, place in zip(
        coarse.patches, tensors, patches.patches, places_of(patches, tensors[0].shape[-1]), strict=True
    ):
        found[place] = prolonged(one.space, tensor, patch.space)
    return np.where(np.isnan(known), found, known)
