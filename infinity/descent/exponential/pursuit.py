r"""Greedy search for the next atom over a dictionary of rates, for uniform and scattered samples.

    gain(alpha, omega) = |projection of r on span{Q_perp s e^{alpha t} cos(omega t), Q_perp s e^{alpha t} sin(omega t)}|^2 / 2

with `Q` an orthonormal basis of the atoms found so far: orthogonal matching pursuit in its optimised form (Rebollo-Neira and Lowe, IEEE Signal Process. Lett.
9, 2002). All inner products are Fourier transforms of a few vectors, by FFT on equal steps and by direct sums on scattered samples.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...shapes import rounded_up

# Frequencies in a Rayleigh cell, 2 pi over the length of the record.
PER_CELL = 4
# Damping over the whole record.
DAMPINGS = (0.0, 1.5, -1.5, 4.0, -4.0, 10.0, -10.0, 25.0, -25.0)
_BLOCK = 2**22


class Dictionary(eqx.Module):
    """Frequencies `j delta`, `j = 0 .. size-1`, and dampings, on the samples `t`.

    **Fields:** `t` `(N,)`; `delta`; the `limit` beyond which a frequency is no candidate; `dampings` `(A,)`; `length`, static, of the Fourier transform
    where the samples are equally spaced, else nothing; `size`, static. Only the static ones decide which program runs.
    """

    t: Float[Array, " N"]
    delta: Float[Array, ""]
    limit: Float[Array, ""]
    dampings: Float[Array, " A"]
    length: int | None = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def transform(self, vectors: Float[Array, "V N"], size: int) -> Array:
        """`sum_n v_n e^{-i omega_j t_n}` for `j < size`, shape `(V, size)`."""
        if self.length is not None:
            values = jnp.fft.fft(vectors, self.length, axis=-1)
            values = jnp.take(values, jnp.arange(size) % self.length, axis=-1)
            return values * jnp.exp(-1j * self.delta * jnp.arange(size) * self.t[0])
        block = min(size, max(1, _BLOCK // self.t.shape[0]))
        blocks = -(-size // block)
        omega = self.delta * jnp.arange(blocks * block, dtype=self.t.dtype).reshape(blocks, block)
        one = lambda omega: vectors @ jnp.exp(-1j * self.t[:, None] * omega)
        return jnp.moveaxis(jax.lax.map(one, omega), 0, 1).reshape(vectors.shape[0], -1)[:, :size]


def dictionary(t: Float[np.ndarray, " N"], step: float | None, limit: float) -> Dictionary:
    """The dictionary for samples in rising order on an interval of length one, filled up at the end by any that have no weight.

    **Arguments:** the samples; their distance where it is equal; the largest frequency.
    """
    length = None if step is None else PER_CELL * len(t)
    delta = 2 * np.pi / PER_CELL if step is None else 2 * np.pi / (PER_CELL * len(t) * step)
    highest = PER_CELL * len(t) // 2 + 1
    # More frequencies than the limit asks for are left out again, and cost less than another program.
    size = highest if limit <= (highest - 1) * delta else rounded_up(int(np.ceil(limit / delta)) + 1)
    array = lambda v: jnp.asarray(v, t.dtype)
    return Dictionary(array(t), array(delta), array(limit * (1 + 1e-9)), array(DAMPINGS), length, size)


class Candidates(NamedTuple):
    """The rates of the most promising atoms, the best first, and what each would take off half the sum of squares."""

    alpha: Float[Array, " C"]
    omega: Float[Array, " C"]
    gain: Float[Array, " C"]


def next_atoms(
    atlas: Dictionary, s: Float[Array, " N"], r: Float[Array, " N"], basis: Float[Array, "k N"], count: int
) -> Candidates:
    """The best candidates for one more atom.

    **Arguments:** the dictionary; the roots of the weights; the weighted residual; an orthonormal basis (rows of zeros allowed) of the weighted columns
    found so far; how many candidates.

    **Returns:** `count` local maxima of the gain over the frequencies, each with its best damping.
    """
    eps = jnp.finfo(r.dtype).eps

    def at(alpha):
        envelope = s * jnp.exp(alpha * atlas.t)
        F = atlas.transform((envelope**2)[None], 2 * atlas.size - 1)[0]
        total, double = jnp.real(F[0]), F[::2]
        spectra = atlas.transform(jnp.concatenate([r[None], basis]) * envelope, atlas.size)
        c, d = jnp.real(spectra), -jnp.imag(spectra)
        cc = 0.5 * (total + jnp.real(double))
        dd = 0.5 * (total - jnp.real(double))
        cd = -0.5 * jnp.imag(double)
        least = 1e3 * eps * total
        cc, dd, cd = cc - jnp.sum(c[1:] ** 2, 0), dd - jnp.sum(d[1:] ** 2, 0), cd - jnp.sum(c[1:] * d[1:], 0)
        # Ridge of rounding: a column that the basis holds already gains nothing.
        cc, dd = jnp.maximum(cc, 0) + least, jnp.maximum(dd, 0) + least
        determinant = jnp.maximum(cc * dd - cd**2, least * (cc + dd))
        gc, gd = c[0], d[0]
        return 0.5 * (gc**2 * dd - 2 * gc * gd * cd + gd**2 * cc) / determinant

    gains = jax.lax.map(at, atlas.dampings)
    best, which = jnp.max(gains, axis=0), jnp.argmax(gains, axis=0)
    left = jnp.concatenate([jnp.full((1,), -jnp.inf, best.dtype), best[:-1]])
    right = jnp.concatenate([best[1:], jnp.full((1,), -jnp.inf, best.dtype)])
    allowed = atlas.delta * jnp.arange(atlas.size) <= atlas.limit
    peaks = jnp.where((best >= left) & (best >= right) & allowed, best, 0.0)
    gain, place = jax.lax.top_k(peaks, count)
    return Candidates(atlas.dampings[which[place]], atlas.delta * place.astype(r.dtype), gain)
