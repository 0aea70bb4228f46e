r"""Radial kernels: functions of the distance alone, of which patch interpolants are made.

    cubic spline   2/3 - 4 z^2 + 4 z^3 for z < 1/2,  4/3 - 4 z + 4 z^2 - 4 z^3 / 3 for z < 1,  0 beyond
    cubed          |z|^3
    gaussian       exp(-z^2)
    multiquadric   sqrt(1 + z^2)

with `z = |x - x_j| / (a h)`, `a` the dilation and `h` the mean distance of neighbouring nodes in the patch. As long as all distances in a patch stay
below `a h / 2`, the cubic spline and `|z|^3` give the same interpolant: with the linear polynomials in the space the sum of the weights of a moment
vanishes, and so do constants and `z^2`. The limit is then taken at once, since the cubic spline would lose the digits of `z^3` beside `2/3`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class RadialKernel(NamedTuple):
    """A kernel.

    **Fields:** `name`; `value`, from the module that computes (`numpy` or `jax.numpy`) and distances `z >= 0`; the distances at which its polynomial
    changes; its polynomial degree, or nothing where it is none; the distance up to which it may be replaced by `|z|^3`.
    """

    name: str
    value: Callable[[Any, Any], Any]
    kinks: tuple[float, ...] = ()
    degree: int | None = None
    cubed_below: float = 0.0


def _cubic_spline(xp: Any, z: Any) -> Any:
    near = 2 / np.longdouble(3) - 4 * z**2 + 4 * z**3 if xp is np else 2 / 3 - 4 * z**2 + 4 * z**3
    rest = xp.maximum(1 - z, 0)
    return xp.where(z < 0.5, near, 4 * rest**3 / 3)


KERNELS = {
    kernel.name: kernel
    for kernel in (
        RadialKernel("cubic spline", _cubic_spline, (0.5, 1.0), 3, cubed_below=0.5),
        RadialKernel("cubed", lambda xp, z: z**3, (), 3, cubed_below=np.inf),
        RadialKernel("gaussian", lambda xp, z: xp.exp(-(z**2))),
        RadialKernel("multiquadric", lambda xp, z: xp.sqrt(1 + z**2)),
    )
}


def radial_kernel(name: str) -> RadialKernel:
    """Find a kernel by its name.

    **Raises:** `ValueError` that lists the names.

    >>> from infinity.basis.radial import radial_kernel
    >>> import numpy as np
    >>> float(radial_kernel("cubed").value(np, 2.0))
    8.0
    """
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected one of {', '.join(map(repr, KERNELS))}")
    return KERNELS[name]
