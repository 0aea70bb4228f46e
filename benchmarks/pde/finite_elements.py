"""The peers: linear and quadratic triangles of scikit-fem, solved by SciPy's sparse LU, on the same problems in the same run."""

import time

import numpy as np
import skfem  # pyright: ignore[reportMissingImports]
import skfem.helpers as h  # pyright: ignore[reportMissingImports]
from skfem import Basis, BilinearForm, Functional, LinearForm, MeshTri  # pyright: ignore[reportMissingImports]

ELEMENTS = {"P1": skfem.ElementTriP1, "P2": skfem.ElementTriP2}


def poisson(element: str, cells: int, low: float, high: float, load, exact, boundary=None) -> tuple[int, float, float]:
    """Unknowns, relative L2 error and seconds of `-u_xx - u_yy = f` on a square, with values from `exact` on the boundary or zero."""
    line = np.linspace(low, high, cells + 1)
    began = time.process_time()
    basis = Basis(MeshTri.init_tensor(line, line), ELEMENTS[element](), intorder=6)
    A = BilinearForm(lambda u, v, w: h.dot(h.grad(u), h.grad(v))).assemble(basis)
    b = LinearForm(lambda v, w: load(w.x[0], w.x[1]) * v).assemble(basis)
    D = basis.get_dofs()
    x = basis.zeros()
    if boundary is not None:
        x[D] = boundary(*basis.doflocs[:, D.flatten()])
    x = skfem.solve(*skfem.condense(A, b, x=x, D=D))
    seconds = time.process_time() - began
    error = Functional(lambda w: (w["u"] - exact(w.x[0], w.x[1])) ** 2).assemble(basis, u=basis.interpolate(x))
    size = Functional(lambda w: exact(w.x[0], w.x[1]) ** 2).assemble(basis)
    return basis.N - len(D.flatten()), float(np.sqrt(error / size)), seconds
