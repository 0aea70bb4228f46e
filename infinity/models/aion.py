r"""AION: sums over terms of products over dimensions of exponential-trigonometric atoms.

    f_o(x) = sum_j prod_d psi_ojd(x_d),    psi(t) = sum_p A_p e^{alpha_p (t - t0)} cos(omega_p (t - t0) + phi_p)

The Analytic, Infinitely-Optimisable Network of Batley and Saha (arXiv:2510.05489), here with real atoms. The atoms are closed under differentiation,
integration and shifts of their parameters, so that the Taylor tower of any loss of theirs resums, and the model can be solved for directly.
"""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


class AION(eqx.Module):
    r"""A model of exponential-trigonometric atoms.

    **Arguments:**

    - `dimensions`: number of inputs D.
    - `modes`: number of terms r, each a product over the dimensions.
    - `terms`: number of atoms P in each factor; `4 P D r` parameters an output.
    - `outputs`: number of outputs O, each with atoms of its own, or `"scalar"` for one output without an axis.
    - `origin`: the point `t0` at which amplitudes and phases are given, D numbers; zero by default.
    - `key`: of `jax.random`; the start has amplitudes around one, and rates and phases of order one.

    **Fields:** `amplitude`, `alpha`, `omega` and `phase`, each `(O, r, D, P)`; `alpha` and `omega` in units of one over the input.

    **Raises:** `ValueError` for counts below one, or an origin of the wrong length.

    Called with a point `(D,)` it returns `(O,)`, or `()` if scalar. It is defined everywhere; far from the origin a growing atom leaves the range of floats.

    !!! example

        >>> import jax, jax.numpy as jnp, infinity as inf
        >>> model = inf.AION(dimensions=2, modes=3, terms=2, outputs="scalar", key=jax.random.key(0))
        >>> model.unknowns, model(jnp.array([0.1, 0.2])).shape
        (48, ())
        >>> slope = model.derivative(0)
        >>> bool(jnp.allclose(slope(jnp.array([0.1, 0.2])), jax.grad(model)(jnp.array([0.1, 0.2]))[0], rtol=1e-4))
        True
    """

    amplitude: Float[Array, "O r D P"]
    alpha: Float[Array, "O r D P"]
    omega: Float[Array, "O r D P"]
    phase: Float[Array, "O r D P"]
    origin: tuple[float, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        dimensions: int = 1,
        *,
        modes: int = 1,
        terms: int = 1,
        outputs: int | Literal["scalar"] = 1,
        origin: Sequence[float] | None = None,
        key: PRNGKeyArray,
    ):
        self.scalar = outputs == "scalar"
        number = 1 if outputs == "scalar" else outputs
        for name, value in (("dimensions", dimensions), ("modes", modes), ("terms", terms), ("outputs", number)):
            if int(value) != value or value < 1:
                raise ValueError(f"AION got {name}={value}; expected an integer of at least 1.")
        self.origin = _checked_origin(origin, dimensions)
        shape = (number, modes, dimensions, terms)
        keys = jax.random.split(key, 4)
        self.amplitude = 1 + 0.1 * jax.random.normal(keys[0], shape)
        self.alpha = 0.5 * jax.random.normal(keys[1], shape)
        self.omega = jnp.pi * (jnp.arange(1, terms + 1) - 0.5 + 0.5 * jax.random.uniform(keys[2], shape))
        self.phase = jax.random.uniform(keys[3], shape, minval=-jnp.pi, maxval=jnp.pi)

    @classmethod
    def of(
        cls,
        amplitude: Any,
        alpha: Any,
        omega: Any,
        phase: Any,
        *,
        origin: Sequence[float] | None = None,
        scalar: bool = True,
    ) -> "AION":
        """A model with given parameters.

        **Arguments:** four arrays of the same shape: `(P,)` for one input, `(r, D, P)`, or `(O, r, D, P)`; the `origin`; whether one output comes without an
        axis.

        **Raises:** `ValueError` where the shapes differ or do not fit.
        """
        arrays = [jnp.asarray(v) for v in (amplitude, alpha, omega, phase)]
        arrays = [v.astype(jnp.result_type(*arrays, jnp.float32)) for v in arrays]
        shapes = {v.shape for v in arrays}
        if len(shapes) > 1 or arrays[0].ndim not in (1, 3, 4):
            raise ValueError(
                f"AION.of got arrays of shapes {', '.join(str(v.shape) for v in arrays)}; expected four of one shape: (P,), (r, D, P) or (O, r, D, P)"
            )
        if arrays[0].ndim == 1:
            arrays = [v[None, None, None] for v in arrays]
        elif arrays[0].ndim == 3:
            arrays = [v[None] for v in arrays]
        if scalar and arrays[0].shape[0] != 1:
            raise ValueError(f"AION.of got {arrays[0].shape[0]} outputs and scalar=True; pass scalar=False")
        model = object.__new__(cls)
        fields = dict(zip(("amplitude", "alpha", "omega", "phase"), arrays, strict=True))
        fields |= {"origin": _checked_origin(origin, arrays[0].shape[2]), "scalar": scalar}
        for name, value in fields.items():
            object.__setattr__(model, name, value)
        return model

    @property
    def dimensions(self) -> int:
        """Number of inputs, D."""
        return self.amplitude.shape[2]

    @property
    def modes(self) -> int:
        """Number of terms, r."""
        return self.amplitude.shape[1]

    @property
    def terms(self) -> int:
        """Number of atoms in a factor, P."""
        return self.amplitude.shape[3]

    @property
    def outputs(self) -> int:
        """Number of outputs, O; 1 for a scalar model."""
        return self.amplitude.shape[0]

    @property
    def unknowns(self) -> int:
        """Number of free parameters, `4 P D r O`."""
        return 4 * self.amplitude.size

    def __call__(self, x: Float[Array, " D"]) -> Float[Array, "..."]:
        """The value at a point `x` of shape `(D,)`: shape `(O,)`, or `()` for a scalar model."""
        value = jnp.sum(jnp.prod(self.factors(x), axis=2), axis=1)
        return value[0] if self.scalar else value

    def factors(self, x: Float[Array, " D"]) -> Float[Array, "O r D"]:
        """The one-dimensional functions at the coordinates of a point."""
        t = (x - jnp.asarray(self.origin, x.dtype))[:, None]
        atoms = self.amplitude * jnp.exp(self.alpha * t) * jnp.cos(self.omega * t + self.phase)
        return jnp.sum(atoms, axis=3)

    def derivative(self, dimension: int = 0, order: int = 1) -> "AION":
        r"""The partial derivative, again an `AION`.

            d/dt A e^{alpha t} cos(omega t + phi) = A |z| e^{alpha t} cos(omega t + phi + arg z),    z = alpha + i omega

        **Arguments:** the `dimension`, from 0; the `order`, at least 0.
        """
        self._check_dimension(dimension)
        if order < 0:
            raise ValueError(f"derivative got order={order}; expected at least 0. See antiderivative.")
        z = jnp.hypot(self.alpha, self.omega)[:, :, dimension]
        turn = jnp.arctan2(self.omega, self.alpha)[:, :, dimension]
        at = (slice(None), slice(None), dimension)
        return eqx.tree_at(
            lambda m: (m.amplitude, m.phase),
            self,
            (self.amplitude.at[at].multiply(z**order), self.phase.at[at].add(order * turn)),
        )

    def antiderivative(self, dimension: int = 0) -> "AION":
        """The antiderivative along one dimension that has no constant, again an `AION`.

        **Raises:** `ValueError` where an atom is a constant, `alpha = omega = 0`: its antiderivative grows linearly and is no atom. `integral` takes it.
        """
        self._check_dimension(dimension)
        z = jnp.hypot(self.alpha, self.omega)[:, :, dimension]
        still = np.argwhere(np.asarray((z == 0) & (self.amplitude[:, :, dimension] != 0)))
        if len(still):
            o, j, p = (int(v) for v in still[0])
            raise ValueError(
                f"atom {p} of term {j}, output {o}, is a constant along dimension {dimension}; its antiderivative is no atom. Use integral for a definite one."
            )
        turn = jnp.arctan2(self.omega, self.alpha)[:, :, dimension]
        at = (slice(None), slice(None), dimension)
        return eqx.tree_at(
            lambda m: (m.amplitude, m.phase),
            self,
            (
                self.amplitude.at[at].set(self.amplitude[at] / jnp.where(z > 0, z, 1.0)),
                self.phase.at[at].add(-turn),
            ),
        )

    def integral(self, box: Sequence[tuple[float, float]]) -> Float[Array, "..."]:
        r"""The integral over a box, in closed form.

            int_l^h A e^{alpha t} cos(omega t + phi) dt = Re A e^{i phi + z m} (h - l) sinh(u) / u,    m = (l + h)/2,  u = z (h - l)/2

        **Arguments:** `box`, one pair `(lo, hi)` a dimension.

        **Returns:** `(O,)`, or `()` for a scalar model.
        """
        ends = jnp.asarray(box, self.alpha.dtype)
        if ends.shape != (self.dimensions, 2):
            raise ValueError(
                f"integral got a box of shape {ends.shape}; expected ({self.dimensions}, 2), one pair (lo, hi) a dimension"
            )
        ends = ends - jnp.asarray(self.origin, ends.dtype)[:, None]
        middle, length = jnp.mean(ends, axis=1)[:, None], (ends[:, 1] - ends[:, 0])[:, None]
        z = self.alpha + 1j * self.omega
        u = z * length / 2
        small = jnp.abs(u) < 0.05
        safe = jnp.where(small, 1.0, u)
        ratio = jnp.where(
            small, 1 + u**2 / 6 * (1 + u**2 / 20 * (1 + u**2 / 42 * (1 + u**2 / 72))), jnp.sinh(safe) / safe
        )
        atoms = jnp.real(self.amplitude * jnp.exp(1j * self.phase + z * middle) * length * ratio)
        value = jnp.sum(jnp.prod(jnp.sum(atoms, axis=3), axis=2), axis=1)
        return value[0] if self.scalar else value

    def moved(self, origin: Sequence[float]) -> "AION":
        """The same function with amplitudes and phases at another origin.

        **Raises:** `ValueError` where an amplitude would leave the range of floats.
        """
        new = _checked_origin(origin, self.dimensions)
        shift = (jnp.asarray(new, self.alpha.dtype) - jnp.asarray(self.origin, self.alpha.dtype))[:, None]
        amplitude = self.amplitude * jnp.exp(self.alpha * shift)
        if not np.all(np.isfinite(amplitude)):
            raise ValueError(
                f"at the origin {new} an amplitude is beyond the range of {self.alpha.dtype}; choose an origin nearer to {self.origin}"
            )
        return AION.of(
            amplitude, self.alpha, self.omega, self.phase + self.omega * shift, origin=new, scalar=self.scalar
        )

    def canonical(self) -> "AION":
        """The same function written in one way.

        Amplitudes are positive, `omega >= 0`, phases in (-pi, pi]; where `omega = 0` the phase is 0 or pi. The atoms of a factor rise in `omega`, then `alpha`;
        those of no amplitude come last with rates of zero. The factors of a term have equal amplitudes (root of the sum of squares); the first atom of each
        factor but that of dimension 0 has a phase in (-pi/2, pi/2]; the terms fall in amplitude.
        """
        sign = jnp.where(self.omega < 0, -1.0, 1.0).astype(self.omega.dtype)
        omega, phase = sign * self.omega, sign * self.phase
        still = omega == 0
        c = jnp.cos(phase)
        amplitude = jnp.where(still, self.amplitude * c, self.amplitude)
        phase = jnp.where(still, 0.0, phase)
        phase = _wrapped(jnp.where(amplitude < 0, phase + jnp.pi, phase))
        amplitude = jnp.abs(amplitude)
        none = amplitude == 0
        alpha, omega, phase = (jnp.where(none, 0.0, v) for v in (self.alpha, omega, phase))
        order = jnp.lexsort((alpha, omega, none), axis=3)
        amplitude, alpha, omega, phase = (jnp.take_along_axis(v, order, 3) for v in (amplitude, alpha, omega, phase))
        length = jnp.sqrt(jnp.sum(amplitude**2, axis=3))
        weight = jnp.prod(length, axis=2)
        even = weight[..., None] ** (1 / self.dimensions) / jnp.where(length > 0, length, 1.0)
        amplitude = amplitude * even[..., None]
        first = phase[..., 0]
        flip = ((first <= -jnp.pi / 2) | (first > jnp.pi / 2)).at[:, :, 0].set(False)
        odd = jnp.sum(flip, axis=2) % 2 == 1
        turns = flip.at[:, :, 0].set(odd)
        phase = jnp.where(amplitude > 0, _wrapped(phase + jnp.pi * turns[..., None]), 0.0)
        rank = jnp.argsort(-weight, axis=1)[..., None, None]
        arrays = [jnp.take_along_axis(v, rank, 1) for v in (amplitude, alpha, omega, phase)]
        return AION.of(*arrays, origin=self.origin, scalar=self.scalar)

    def refine(self, *, modes: int | None = None, terms: int | None = None) -> "AION":
        """The same function with room for more terms or atoms: the added ones have no amplitude.

        **Raises:** `ValueError` where something would shrink.
        """
        modes = self.modes if modes is None else modes
        terms = self.terms if terms is None else terms
        if modes < self.modes or terms < self.terms:
            raise ValueError(
                f"refine got modes={modes}, terms={terms} for a model of {self.modes} and {self.terms}; expected no fewer"
            )
        width = ((0, 0), (0, modes - self.modes), (0, 0), (0, terms - self.terms))
        arrays = (jnp.pad(v, width) for v in (self.amplitude, self.alpha, self.omega, self.phase))
        return AION.of(*arrays, origin=self.origin, scalar=self.scalar)

    def sympy(self, symbols: Sequence[Any] | None = None, digits: int | None = None) -> Any:
        """The formula in SymPy.

        **Arguments:** `symbols`, one a dimension, SymPy symbols or their names, by default `x` or `x0, x1, ...`; `digits` of the numbers, by default all.

        **Returns:** an expression, or a list of them for several outputs.
        """
        import sympy

        names = symbols or (["x"] if self.dimensions == 1 else [f"x{d}" for d in range(self.dimensions)])
        if len(names) != self.dimensions:
            raise ValueError(f"sympy got {len(names)} symbols; expected {self.dimensions}, one a dimension")
        x = [sympy.Symbol(s, real=True) if isinstance(s, str) else s for s in names]
        number = lambda v: sympy.Float(float(v), digits) if digits else sympy.Float(float(v), 17)
        shifted = [s - number(t0) if t0 else s for s, t0 in zip(x, self.origin, strict=True)]

        def atom(o, j, d, p):
            at = (o, j, d, p)
            A, a, w, phi = (float(v[at]) for v in (self.amplitude, self.alpha, self.omega, self.phase))
            if A == 0:
                return sympy.Integer(0)
            growth = sympy.exp(number(a) * shifted[d]) if a else sympy.Integer(1)
            if w == 0:
                return number(A * np.cos(phi)) * growth
            return number(A) * growth * sympy.cos(number(w) * shifted[d] + number(phi))

        value = [
            sympy.Add(*(
                sympy.Mul(*(sympy.Add(*(atom(o, j, d, p) for p in range(self.terms))) for d in range(self.dimensions)))
                for j in range(self.modes)
            ))
            for o in range(self.outputs)
        ]  # fmt: skip
        return value[0] if self.scalar else value

    def _check_dimension(self, dimension: int) -> None:
        if not 0 <= dimension < self.dimensions:
            raise ValueError(f"there is no dimension {dimension}; the model has {self.dimensions}, counted from 0")


def _wrapped(phase: Float[Array, "*P"]) -> Float[Array, "*P"]:
    """The same angle in (-pi, pi]."""
    turned = jnp.pi - jnp.mod(jnp.pi - phase, 2 * jnp.pi)
    return jnp.where((phase > -jnp.pi) & (phase <= jnp.pi), phase, turned)


def _checked_origin(origin: Sequence[float] | None, dimensions: int) -> tuple[float, ...]:
    values = (0.0,) * dimensions if origin is None else tuple(float(v) for v in origin)
    if len(values) != dimensions or not np.all(np.isfinite(values)):
        raise ValueError(f"AION got the origin {values}; expected {dimensions} finite numbers")
    return values
