r"""KHRONOS: a kernel expansion in each dimension, multiplied into modes, and superposed.

    u(x) = c + sum_d a_d(x_d) + sum_m prod_d sum_j F_dmj B_j(x_d)

(Batley and Saha, arXiv:2505.13315). The kernels are clamped B-splines, which sum to one up to both ends of the domain.
"""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..basis import BSpline
from .separable import AbstractSeparable


class KHRONOS(AbstractSeparable):
    r"""A separable model on a box, one kernel layer.

    **Arguments:**

    - `domain`: `[(lo, hi)] * D`, the box.
    - `modes`: the number of products M that are summed; with the additive block it may be none.
    - `elements`: cells of the spline in each dimension, one number or one a dimension.
    - `degree`: of the splines, one number or one a dimension.
    - `outputs`: number of outputs O, or `"scalar"` for one output without an axis.
    - `layers`: number of kernel layers; one.
    - `constant`, `additive`: whether the model has the constant `c` and the additive block `a`.
    - `breakpoints`: sorted breakpoints for each dimension instead of equal cells.
    - `key`: of `jax.random`; the factors start around ones, `M^(-1/D) (1 + N(0, 0.1^2))`, the rest at zero.

    **Raises:** `ValueError` for an empty or reversed box, counts below one, or lists of the wrong length.

    Called with a point `(D,)` it returns `(O,)`, or `()` if scalar. Outside the box the end polynomials continue.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 3, modes=2, elements=4, degree=3, outputs="scalar", key=jax.random.key(0))
        >>> model.unknowns, model(jnp.array([0.1, 0.5, 0.9])).shape
        (64, ())
        >>> finer = model.refine(elements=8, degree=4)
        >>> bool(jnp.allclose(finer(jnp.array([0.1, 0.5, 0.9])), model(jnp.array([0.1, 0.5, 0.9])), rtol=1e-4))
        True
    """

    factors: tuple[Float[Array, "M _"], ...]
    mixing: Float[Array, "O M"] | None
    additive: tuple[Float[Array, "O _"], ...] | None
    constant: Float[Array, " O"] | None
    breakpoints: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    degrees: tuple[int, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        domain: Sequence[tuple[float, float]] | None = None,
        *,
        modes: int = 8,
        elements: int | Sequence[int] = 12,
        degree: int | Sequence[int] = 3,
        outputs: int | Literal["scalar"] = 1,
        layers: int = 1,
        constant: bool = True,
        additive: bool = True,
        breakpoints: Sequence[Sequence[float]] | None = None,
        key: PRNGKeyArray,
    ):
        if layers != 1:
            raise ValueError(f"KHRONOS got layers={layers}; this version has one kernel layer. Use layers=1.")
        if (domain is None) == (breakpoints is None):
            raise ValueError(
                "KHRONOS needs either a domain, [(lo, hi)] * D, or breakpoints for each dimension, not both."
            )
        rows = breakpoints
        if rows is None:
            box = _checked_box(domain or ())
            counts = _each("elements", elements, len(box))
            rows = [np.linspace(lo, hi, count + 1).tolist() for (lo, hi), count in zip(box, counts, strict=True)]
        self.breakpoints = tuple(tuple(float(t) for t in row) for row in rows)
        dimensions = len(self.breakpoints)
        self.degrees = _each("degree", degree, dimensions, least=0)
        self.scalar = outputs == "scalar"
        number = 1 if outputs == "scalar" else outputs
        if modes < (0 if additive else 1) or number < 1:
            raise ValueError(
                f"KHRONOS got modes={modes} and outputs={outputs}; expected at least one of each, or no modes beside an additive block."
            )
        sizes = [BSpline(breakpoints=row, degree=p).size for row, p in zip(self.breakpoints, self.degrees, strict=True)]
        self.factors = starting_factors(key, modes, sizes)
        self.mixing = None if number == 1 else 1 + 0.1 * jax.random.normal(jax.random.fold_in(key, 1), (number, modes))
        self.additive = tuple(jnp.zeros((number, size)) for size in sizes) if additive else None
        self.constant = jnp.zeros((number,)) if constant else None

    @property
    def bases(self) -> tuple[BSpline, ...]:
        """The splines of each dimension, in the precision of the factors."""
        dtype = self.factors[0].dtype
        rows = (jnp.asarray(row, dtype) for row in self.breakpoints)
        return tuple(BSpline(breakpoints=row, degree=p) for row, p in zip(rows, self.degrees, strict=True))

    def refine(
        self,
        *,
        elements: int | Sequence[int] | None = None,
        degree: int | Sequence[int] | None = None,
        modes: int | None = None,
        key: PRNGKeyArray | None = None,
    ) -> "KHRONOS":
        """The same function in a larger space: exact prolongation.

        **Arguments:** the new number of `elements` (a multiple of the present one: every cell is cut into equal parts), the new `degree` and the new
        number of `modes`, each at least the present one; `key` for the factors of added modes (their product starts at zero: the first factor is zero).

        **Returns:** a finer `KHRONOS` with equal values.

        **Raises:** `ValueError` when something would shrink or does not divide.
        """
        counts = [len(set(row)) - 1 for row in self.breakpoints]
        wanted = counts if elements is None else _each("elements", elements, self.dimensions)
        degrees = self.degrees if degree is None else _each("degree", degree, self.dimensions, least=0)
        finer, matrices = [], []
        for d, basis in enumerate(self.bases):
            if wanted[d] % counts[d] or degrees[d] < self.degrees[d]:
                raise ValueError(
                    f"refine got elements={wanted[d]}, degree={degrees[d]} for dimension {d}, which has elements={counts[d]}, "
                    f"degree={self.degrees[d]}; the first must be a multiple and the second not smaller."
                )
            matrix = jnp.eye(basis.size, dtype=self.factors[0].dtype)
            if degrees[d] > self.degrees[d]:
                basis, matrix = basis.elevate(degrees[d] - self.degrees[d])
            if wanted[d] > counts[d]:
                basis, inserted = basis.insert(_cut(np.unique(self.breakpoints[d]), wanted[d] // counts[d]))
                matrix = inserted @ matrix
            finer.append(basis)
            matrices.append(matrix)
        prolong = lambda arrays: tuple(array @ matrix.T for array, matrix in zip(arrays, matrices, strict=True))
        factors, mixing = prolong(self.factors), self.mixing
        if modes is not None and modes != self.modes:
            if modes < self.modes or key is None:
                raise ValueError(
                    f"refine got modes={modes} for a model of {self.modes}; expected more, and a key for the new ones."
                )
            new = starting_factors(key, modes - self.modes, [basis.size for basis in finer])
            new = (jnp.zeros_like(new[0]), *new[1:])
            factors = tuple(
                jnp.concatenate([old, added.astype(old.dtype)]) for old, added in zip(factors, new, strict=True)
            )
            mixing = (
                None
                if mixing is None
                else jnp.concatenate([mixing, jnp.ones_like(mixing[:, :1]).repeat(modes - self.modes, 1)], 1)
            )
        model = object.__new__(KHRONOS)
        fields = {
            "factors": factors,
            "mixing": mixing,
            "additive": None if self.additive is None else prolong(self.additive),
            "constant": self.constant,
            "breakpoints": tuple(tuple(float(t) for t in basis.breakpoints) for basis in finer),
            "degrees": tuple(degrees),
            "scalar": self.scalar,
        }
        for name, value in fields.items():
            object.__setattr__(model, name, value)
        return model


def starting_factors(key: PRNGKeyArray, modes: int, sizes: Sequence[int]) -> tuple[Float[Array, "M _"], ...]:
    """Factors around ones, scaled so that the sum of the modes is about one."""
    keys = jax.random.split(key, len(sizes))
    scale = max(modes, 1) ** (-1 / len(sizes))
    return tuple(scale * (1 + 0.1 * jax.random.normal(k, (modes, size))) for k, size in zip(keys, sizes, strict=True))


def _each(name: str, value: int | Sequence[int], dimensions: int, least: int = 1) -> tuple[int, ...]:
    """One integer a dimension from one integer or a sequence of them."""
    values = (value,) * dimensions if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != dimensions or any(int(v) != v or v < least for v in values):
        raise ValueError(
            f"KHRONOS got {name}={value}; expected one integer of at least {least}, or {dimensions} of them."
        )
    return tuple(int(v) for v in values)


def _checked_box(domain: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    box = [(float(lo), float(hi)) for lo, hi in domain]
    if not box:
        raise ValueError("KHRONOS got an empty domain; expected [(lo, hi)] * D with D at least 1.")
    for d, (lo, hi) in enumerate(box):
        if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
            raise ValueError(f"KHRONOS got the domain ({lo}, {hi}) for dimension {d}; expected finite numbers lo < hi.")
    return box


def _cut(breakpoints: np.ndarray, parts: int) -> np.ndarray:
    """New breakpoints that cut every cell into equal parts."""
    fractions = np.arange(1, parts) / parts
    return (breakpoints[:-1, None] + np.diff(breakpoints)[:, None] * fractions).ravel()
