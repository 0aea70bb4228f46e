r"""Sobol indices of a separable model in closed form.

    u - E u = sum_S u_S(x_S),    u_S = [S = {d}] b_d + sum_m W_m prod_{e not in S} mu_em prod_{d in S} g_dm,    V_S = E u_S^2
    first_d = V_d / V,    second_de = V_de / V,    total_d = sum_{S with d} V_S / V,    V = sum_S V_S

with the centred factors `g` and their means `mu` of `marginals`. The variances of one and of two inputs are sums of squares; those of more inputs come from a
recursion over the dimensions that adds positive semi-definite matrices and subtracts nothing.

Source: Sobol, Mathematical Modelling and Computational Experiments 1 (1993) 407; the closed form is the product structure.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .marginals import Marginals, exclusive_mean, marginals, with_units


@dataclasses.dataclass(frozen=True, eq=False)
class Sobol:
    """Where the variance of a model comes from.

    **Fields:** `names` of the D inputs; `targets` of the O outputs; `mean` and `variance`, `(O,)`; `first`, the share of each input alone, `(O, D)`; `second`,
    the share that each pair adds to its two inputs, `(O, D, D)`, symmetric with a zero diagonal; `total`, the share of each input with all its interactions,
    `(O, D)`. A model with one output of shape `()` has no axis O. The shares of an output that is constant to rounding are NaN.

    `print` shows a table, the inputs with the largest total first.

    !!! example

        >>> import jax, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=2, outputs=2, key=jax.random.key(0))
        >>> isinstance(inf.sobol(model), inf.Sobol)
        True
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    mean: Float[np.ndarray, "*O"]
    variance: Float[np.ndarray, "*O"]
    first: Float[np.ndarray, "*O D"]
    second: Float[np.ndarray, "*O D D"]
    total: Float[np.ndarray, "*O D"]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON; None for NaN."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            key: _plain(value.tolist() if isinstance(value, np.ndarray) else list(value))
            for key, value in fields.items()
        }

    def __str__(self) -> str:
        D, width = len(self.names), max(5, *(len(name) for name in self.names))
        first, total = self.first.reshape(-1, D), self.total.reshape(-1, D)
        second = self.second.reshape(-1, D, D)
        lines = []
        for o, target in enumerate(self.targets):
            spread = math.sqrt(float(self.variance.reshape(-1)[o]))
            lines += [f"{target}: mean {float(self.mean.reshape(-1)[o]):.6g}, standard deviation {spread:.6g}"]
            if np.isnan(total[o]).any():
                lines += ["  constant: no input has a share"]
                continue
            lines += [f"  {'input':<{width}}   first   total"]
            order = np.argsort(-total[o], kind="stable")
            lines += [f"  {self.names[d]:<{width}}  {first[o, d]:6.4f}  {total[o, d]:6.4f}" for d in order]
            pairs = sorted(((second[o, d, e], d, e) for d in range(D) for e in range(d)), reverse=True)[:3]
            shown = [f"{self.names[e]} x {self.names[d]} {share:.4f}" for share, d, e in pairs if share >= 5e-5]
            lines += [f"  pairs: {', '.join(shown)}"] if shown else []
        return "\n".join(lines)


def sobol(model: Any, distribution: Any = None) -> Sobol:
    """Variance-based sensitivity of a separable model, exact up to rounding: nothing is sampled.

    The inputs are independent: uniform on the box of the model, or with the marginals of a sample. A category, or an input with missing values, is one input,
    its levels and gaps as frequent as where the model was fitted. Outside policies play no part. Under a link the variance is that of what the model sums up.

    **Arguments:**

    - `model`: an `AbstractSeparable` model, a `Fitted` or a `Result` around one.
    - `distribution`: nothing for uniform inputs, or a sample `(N, D)` in physical units. Only its columns one by one count, not their correlation.

    **Returns:** a `Sobol`.

    **Raises:** `ValueError` for a model that is not separable, and for a sample of another shape, not finite, or outside the box.

    !!! example

        The product of two inputs, `u = x0 x1` on the unit square, has the variance 7/144, of which each input has 3/7 alone and the pair 1/7:

        >>> import equinox as eqx, jax, infinity as inf
        >>> model = inf.KHRONOS([(0.0, 1.0)] * 2, modes=1, elements=2, outputs="scalar", key=jax.random.key(0))
        >>> model = eqx.tree_at(lambda m: m.factors, model, tuple(basis.greville()[None] for basis in model.bases))
        >>> indices = inf.sobol(model)
        >>> indices.first.round(4).tolist(), round(float(indices.second[0, 1]), 4)
        ([0.4286, 0.4286], 0.1429)
        >>> print(indices)
        y: mean 0.25, standard deviation 0.220479
          input   first   total
          x0     0.4286  0.5714
          x1     0.4286  0.5714
          pairs: x0 x x1 0.1429
    """
    units = with_units(model, "sobol")
    at = marginals(units, distribution)
    single, pairs, several, higher = _variances(at)
    variance = single.sum(axis=1) + pairs.sum(axis=(1, 2)) / 2 + higher
    constant = np.sqrt(np.maximum(variance, 0)) <= at.rounding
    share = 1 / np.where(constant, np.nan, variance)
    total = single + pairs.sum(axis=2) + several
    fields = (
        at.offset + at.mixing @ exclusive_mean(at.mean),
        variance,
        single * share[:, None],
        pairs * share[:, None, None],
        total * share[:, None],
    )
    return Sobol(units.inputs, units.targets, *(np.asarray(field[0]) if units.scalar else field for field in fields))


def _variances(at: Marginals) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Variances of each input alone `(O, D)`, of each pair `(O, D, D)`, of all sets of three or more with each input `(O, D)`, and of all of them `(O,)`."""
    D, M = at.mean.shape
    O = len(at.offset)
    roots = [_root(g, weights) for g, weights in zip(at.centred, at.weights, strict=True)]
    single, pairs, several = np.zeros((O, D)), np.zeros((O, D, D)), np.zeros((O, D))
    for d in range(D):
        curve = at.additive[d] + (at.mixing * exclusive_mean(at.mean, d)) @ at.centred[d]
        single[:, d] = curve**2 @ at.weights[d]
        for e in range(d):
            # sum_mn w_m w_n G_d,mn G_e,mn = |R_d diag(w) R_e^T|^2 with G = R^T R
            weighted = (at.mixing * exclusive_mean(at.mean, d, e))[:, None, :] * roots[d]
            pairs[:, d, e] = pairs[:, e, d] = np.sum((weighted @ roots[e].T) ** 2, axis=(1, 2))
    if D < 3:
        return single, pairs, several, np.zeros(O)
    grams = [root.T @ root for root in roots]
    squares = [np.outer(mu, mu) for mu in at.mean]
    form = lambda matrix: np.einsum("om,mn,on->o", at.mixing, matrix, at.mixing)
    for d in range(D):
        others = [e for e in range(D) if e != d]
        several[:, d] = form(
            grams[d] * _by_order([squares[e] for e in others], [grams[e] for e in others], M, most=2)[2]
        )
    return single, pairs, several, form(_by_order(squares, grams, M, most=3)[3])


def _root(g: Float[np.ndarray, "M Q"], weights: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "_ M"]:
    """`R` with `R^T R = E g g^T`, without forming the product."""
    return np.asarray(np.linalg.qr((np.sqrt(weights) * g).T, mode="r"))


def _by_order(
    squares: Sequence[np.ndarray], grams: Sequence[np.ndarray], modes: int, most: int
) -> list[Float[np.ndarray, "M M"]]:
    """`sum over |S| = k of prod_{d in S} G_d prod_{e not in S} mu_e mu_e^T`, elementwise, for k below `most`, and for all k from there on."""
    orders = [np.ones((modes, modes)), *(np.zeros((modes, modes)) for _ in range(most))]
    for square, gram in zip(squares, grams, strict=True):
        last = orders[most] * (square + gram) + orders[most - 1] * gram
        middle = [orders[k] * square + orders[k - 1] * gram for k in range(1, most)]
        orders = [orders[0] * square, *middle, last]
    return orders


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
