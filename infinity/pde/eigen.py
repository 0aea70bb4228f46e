r"""Eigenvalues and modes of a symmetric form.

    a(u, v) = lambda m(u, v),      lambda_i = sum_t prod_d a_td(i_d)   where all directions are diagonal together

With fast diagonalisation all eigenvalues are sums of one-dimensional ones and each mode is one product; otherwise the smallest are found by shift and invert,
as on glued patches.
"""

import warnings
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from .assembly import assemble, axes_of, check_form
from .diagonalisation import diagonal
from .function_space import as_model, coefficients
from .kronecker import Kronecker, collected
from .nitsche import with_weak_conditions
from .patch_eigen import patch_eigenvalues
from .patches import Patches
from .result import Modes
from .space import Space
from .tensor import direct
from .truncation import truncated


def eigenvalues(form: Any, space: Space | Patches, number: int = 10, mass: Any = None) -> Modes:
    r"""Find the smallest eigenvalues of a symmetric form.

    **Arguments:**

    - `form`: `a(u, v)`, such as `u.d(x)*v.d(x)`.
    - `space`: with zero conditions; or `Patches`, where the form may be a list with one a patch, and `mass` too.
    - `number`: how many.
    - `mass`: `m(u, v)`; by default `u*v`.

    **Raises:** `ValueError` for a form that is not symmetric or has a load, values on faces, or more eigenvalues than there are unknowns.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> import numpy as np, infinity as inf
    >>> x, y = inf.pde.coordinates("x y")
    >>> u, v = inf.pde.trial(), inf.pde.test()
    >>> b = inf.basis.BSpline((0.0, np.pi), elements=12, degree=7)
    >>> space = inf.pde.Space({x: b, y: b}, dirichlet={x: "both", y: "both"})
    >>> found = inf.pde.eigenvalues(u.d(x) * v.d(x) + u.d(y) * v.d(y), space, 4)
    >>> [round(float(value), 6) for value in found.values]
    [2.0, 5.0, 5.0, 8.0]
    """
    if isinstance(space, Patches):
        return patch_eigenvalues(form, space, number, mass)
    forms = [check_form(given, space)[0] for given in (form, mass) if given is not None]
    both, components = check_form(sum(forms), space)
    for checked in forms:
        if any(term.factor("trial") is None for term in checked.terms):
            raise ValueError(f"the form {checked} has a load; an eigenvalue problem has none. Leave it out")
    if any(space.values(c) for c in range(components)) or space.mean is not None:
        raise ValueError("eigenvalues are asked for with values on faces or a mean; expected zero conditions")
    held = [g.number() for sides in space.nitsche.values() for gs in sides.values() for g in gs if g is not None]
    if any(number != 0.0 for number in held):
        raise ValueError("eigenvalues are asked for with values on faces or a mean; expected zero conditions")
    axes = axes_of(both, space)  # what the one differentiates is no parameter for the other
    forms[0] = with_weak_conditions(forms[0], space)
    system, *others = [assemble(checked, space, components, axes) for checked in forms]
    weights = others[0].operator if others else None
    for each in (system, *others):
        _check_symmetric(each.operator)
    if not 1 <= number < system.operator.size:
        raise ValueError(
            f"asked for {number} eigenvalues of {system.operator.size:.0f} unknowns; expected fewer, at least one"
        )
    values, tensors, words = _products(system.operator, weights, number) or _smallest(system.operator, weights, number)
    modes = [as_model(space, coefficients(system, truncated(t, 1e-12)[0]), components) for t in tensors]
    return Modes(values, modes, words)


def _check_symmetric(operator: Kronecker) -> None:
    """A probe with random vectors: terms need not be symmetric one by one."""
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, *operator.shape))
    left, right = float(np.sum(two * operator.apply(one))), float(np.sum(one * operator.apply(two)))
    scale = float(np.linalg.norm(operator.apply(one)) * np.linalg.norm(two))
    if abs(left - right) > 1e-9 * scale:
        raise ValueError("eigenvalues are asked for of a form that is not symmetric; expected a(u, v) = a(v, u)")


def _products(
    operator: Kronecker, mass: Kronecker | None, number: int
) -> tuple[np.ndarray, list[np.ndarray], str] | None:
    """All eigenvalues at once, where every direction is diagonal."""
    banks = operator.banks if mass is None else tuple(a + b for a, b in zip(operator.banks, mass.banks, strict=True))
    diagonals = [diagonal(bank) for bank in banks]
    if any(d is None or np.iscomplexobj(d.values[0]) for d in diagonals) or operator.size > 2e7:
        return None
    if mass is None and any(d is not None and d.right is not None and not _orthogonal(d.right) for d in diagonals):
        return None
    shift = [0] * len(banks)
    total = _sum(operator, diagonals, shift)
    if mass is not None:
        total = total / _sum(mass, diagonals, [len(bank) for bank in operator.banks])
    places = np.argsort(total.ravel())[:number]
    tensors = []
    for place in places:
        unit = np.zeros(operator.shape)
        unit.ravel()[place] = 1.0
        for d, found in enumerate(diagonals):
            if found is not None and found.right is not None:
                unit = np.moveaxis(np.tensordot(found.right, unit, axes=(1, d)), 0, d)
        tensors.append(unit / np.linalg.norm(unit))
    return total.ravel()[places], tensors, "fast diagonalisation: each mode is one product"


def _orthogonal(matrix: np.ndarray) -> bool:
    return bool(np.max(np.abs(matrix.T @ matrix - np.eye(len(matrix)))) < 1e-9)


def _sum(operator: Kronecker, diagonals: list, shift: list[int]) -> np.ndarray:
    total = np.zeros(operator.shape)
    for number, index in operator.terms:
        product: np.ndarray = np.array(number)
        for d, i in enumerate(index):
            product = product[..., None] * diagonals[d].values[i + shift[d]]
        total = total + product
    return total


def _smallest(operator: Kronecker, mass: Kronecker | None, number: int) -> tuple[np.ndarray, list[np.ndarray], str]:
    """Dense where that is small, else shift and invert just below zero."""
    shape, size = operator.shape, operator.size
    if size <= 2500:
        values, vectors = scipy.linalg.eigh(
            operator.dense(), None if mass is None else mass.dense(), subset_by_index=[0, number - 1]
        )
        words = f"one dense eigenvalue problem of {size} unknowns"
        return values, [_unit(vector.reshape(shape)) for vector in vectors.T], words
    shifted = collected(
        [(n, operator.matrices(t)) for t, (n, _) in enumerate(operator.terms)]
        + (
            [(1e-3, [np.eye(m) for m in shape])]
            if mass is None
            else [(1e-3 * n, mass.matrices(t)) for t, (n, _) in enumerate(mass.terms)]
        )
    )
    solve, _, exact = direct(shifted, [str(d) for d in range(len(shape))])
    act: Any = lambda x: operator.apply(x.reshape(shape)).ravel()
    near: Any = lambda x: solve(x.reshape(shape)).ravel()
    A = scipy.sparse.linalg.LinearOperator((size, size), matvec=act, dtype=float)  # pyright: ignore[reportCallIssue]
    P = scipy.sparse.linalg.LinearOperator((size, size), matvec=near, dtype=float)  # pyright: ignore[reportCallIssue]
    B = None
    if mass is not None:
        weigh: Any = lambda x: mass.apply(x.reshape(shape)).ravel()
        B = scipy.sparse.linalg.LinearOperator((size, size), matvec=weigh, dtype=float)  # pyright: ignore[reportCallIssue]
    if exact:
        values, vectors = scipy.sparse.linalg.eigsh(A, number, M=B, sigma=-1e-3, OPinv=P, which="LM")
    else:
        start = np.random.default_rng(0).normal(size=(size, number + 8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, vectors = scipy.sparse.linalg.lobpcg(A, start, B=B, M=P, tol=1e-10, maxiter=200, largest=False)
    order = np.argsort(values)[:number]
    words = "shift and invert" if exact else "preconditioned block iteration"
    return values[order], [_unit(vectors[:, i].reshape(shape)) for i in order], words


def _unit(tensor: np.ndarray) -> np.ndarray:
    return tensor / np.linalg.norm(tensor)
