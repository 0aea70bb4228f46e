r"""The system of glued patches, and its residual to rounding of the fluxes.

    A = sum_t x_d D_a^T G_td D_b,      D u = p (u_{i+1} - u_i) / (U_{i+p+1} - U_{i+1}),      G_t integrates splines of lower degree

A derivative of a spline is one of a degree less, in the differences of its coefficients. The matrix is multiplied out to be factorised, where cells of very
different sizes cost digits: its entries are as large as the smallest cell is short, and constants cancel in them. The residual `F - A u` is not: there the
differences come first. Solving for it again removes what the matrix has lost.
"""

import dataclasses
import functools

import numpy as np
import scipy.sparse

from ..basis import AbstractBasis
from .assembly import check_form
from .axis import Axis
from .expressions import Expression
from .integrals import Integrals, orders
from .kronecker import Tensor, along, full
from .patch import Patch
from .patches import Patches
from .space import Space

# A product of banded matrices, its derivatives, and the components of the test and of the trial function.
Orders = tuple[tuple[int, ...], tuple[int, ...], int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class PatchSystem:
    """The form on one patch: sums of products for each choice of derivatives, and the load `(n_1, .., n_D, O)`."""

    bases: tuple[AbstractBasis, ...]
    components: int
    products: dict[Orders, list[list[np.ndarray]]]
    load: Tensor

    def apply(self, u: Tensor) -> Tensor:
        """The operator on coefficients `(n_1, .., n_D, O)`, differences first."""
        total = np.zeros_like(u)
        for (test, trial, row, column), several in self.products.items():
            inner = u[..., column]
            for d, order in enumerate(trial):
                inner = differences(inner, self.bases[d], d, order)
            outer: Tensor = 0.0  # pyright: ignore[reportAssignmentType]
            for matrices in several:
                part = inner
                for d, G in enumerate(matrices):
                    part = along(G, part, d)
                outer = outer + part
            for d, order in enumerate(test):
                outer = adjoint_differences(outer, self.bases[d], d, order)
            total[..., row] += outer
        return total

    def sparse(self) -> scipy.sparse.coo_array:
        """The operator as one matrix."""
        count = self.components
        size = int(np.prod([b.size for b in self.bases])) * count
        total = scipy.sparse.csr_array((size, size))
        for (test, trial, row, column), several in self.products.items():
            place = scipy.sparse.csr_array(([1.0], ([row], [column])), shape=(count, count))
            left = [difference_matrix(b, k) for b, k in zip(self.bases, test, strict=True)]
            right = [difference_matrix(b, k) for b, k in zip(self.bases, trial, strict=True)]
            for matrices in several:
                parts = [L.T @ scipy.sparse.csr_array(G) @ R for L, G, R in zip(left, matrices, right, strict=True)]
                total = total + functools.reduce(scipy.sparse.kron, [*parts, place])
        return scipy.sparse.coo_array(total)


def patch_system(form: Expression, patch: Patch, count: int) -> PatchSystem:
    """Integrate a form on the box of a patch."""
    axes = {c: Axis(c, b, "splines") for c, b in patch.space.bases.items()}
    bases = tuple(patch.space.bases.values())
    products: dict[Orders, list[list[np.ndarray]]] = {}
    load = np.zeros((*(b.size for b in bases), count))
    integrals = Integrals(axes)
    for term in form.terms:
        test, trial = term.factor("test"), term.factor("trial")
        assert test is not None
        places = [orders(term, c) for c in axes]
        if trial is None:
            part = full(integrals.functional(term))
            for d, (order, _) in enumerate(places):
                part = adjoint_differences(part, bases[d], d, order)
            load[..., test.component] -= part
            continue
        weights = integrals.coefficient(term)
        key = (tuple(a for a, _ in places), tuple(b for _, b in places), test.component, trial.component)
        for k in range(next(iter(weights.values())).shape[1]):
            products.setdefault(key, []).append(integrals.matrices(term, weights, k))
    return PatchSystem(bases, count, products, load)


def systems(written: list[Expression], forms: list[Expression], patches: Patches) -> list[PatchSystem]:
    """The forms of all patches, as `written` for errors and complete.

    **Raises:** `ValueError` for forms with different numbers of components, or another one than the values on the faces.
    """
    found = []
    for given, form, patch in zip(written, forms, patches.patches, strict=True):
        _, count = check_form(form, Space(patch.space.bases))
        if patches.components not in (1, count):
            raise ValueError(
                f"the patches have values for {patches.components} components and the form {given} has {count}; give one value for each"
            )
        found.append(patch_system(form, patch, count))
    if len({system.components for system in found}) > 1:
        raise ValueError("the forms of the patches differ in their number of components; expected one number of them")
    return found


def _spans(basis: AbstractBasis, order: int) -> np.ndarray:
    """What the differences of the coefficients of the `order`-th derivative are divided by, and the degree."""
    points, p, q = np.asarray(basis.breakpoints, float), basis.degree, basis.degree - order
    knots = np.concatenate([points[:1].repeat(p), points, points[-1:].repeat(p)])[order : len(points) + 2 * p - order]
    return (knots[q + 1 : -1] - knots[1 : -q - 1]) / q


def differences(tensor: Tensor, basis: AbstractBasis, direction: int, order: int) -> Tensor:
    """Coefficients of a derivative in one direction."""
    for k in range(order):
        tensor = _divided(np.diff(tensor, axis=direction), _spans(basis, k), direction)
    return tensor


def adjoint_differences(tensor: Tensor, basis: AbstractBasis, direction: int, order: int) -> Tensor:
    """The transpose of `differences`."""
    for k in reversed(range(order)):
        shape = list(tensor.shape)
        shape[direction] = 1
        scaled = _divided(tensor, _spans(basis, k), direction)
        tensor = -np.diff(scaled, axis=direction, prepend=np.zeros(shape), append=np.zeros(shape))
    return tensor


def _divided(tensor: Tensor, spans: np.ndarray, direction: int) -> Tensor:
    return tensor / spans.reshape([-1 if d == direction else 1 for d in range(tensor.ndim)])


def difference_matrix(basis: AbstractBasis, order: int) -> scipy.sparse.csr_array:
    """`differences` as a matrix."""
    return scipy.sparse.csr_array(differences(np.eye(basis.size), basis, 0, order))
