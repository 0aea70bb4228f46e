r"""The one-dimensional moments of a separable model under independent inputs.

    u(x) = offset + sum_d b_d(x_d) + sum_m W_m prod_d (mu_dm + g_dm(x_d)),    mu = E f,    g = f - mu,    E g = E b = 0

Every mean is a weighted sum over nodes: the Gauss points of all cells for inputs that are uniform on the box, exact for splines, or the numbers of a sample,
each with weight `1/N`. The coded columns of one input, such as those of a category, stand at a node together: its factor is the product of theirs, its
additive part the sum, and its nodes are its levels, each with its share of the training rows. The factors are centred at the nodes, before anything is
squared, so that a small variance on a large mean keeps its digits.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..basis import AbstractBasis, gauss_legendre
from ..models import AbstractSeparable
from .checks import check_finite
from .coding import Coding
from .fitted import Fitted
from .links import LINKS
from .result import Result


class Units(NamedTuple):
    """A separable model and what carries it to physical units: `x = origin + length z` and `y = shift + scale u(z)`."""

    model: AbstractSeparable
    lower: Float[np.ndarray, " D"]
    upper: Float[np.ndarray, " D"]
    origin: Float[np.ndarray, " D"]
    length: Float[np.ndarray, " D"]
    shift: Float[np.ndarray, " O"]
    scale: Float[np.ndarray, " O"]
    names: tuple[str, ...]
    targets: tuple[str, ...]
    scalar: bool
    coding: Coding | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs before coding."""
        return self.names if self.coding is None else self.coding.inputs

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Which columns belong to each input."""
        return tuple((d,) for d in range(len(self.names))) if self.coding is None else self.coding.groups


class Marginals(NamedTuple):
    """Means and centred factors, in physical units of the outputs.

    **Fields:**

    - `weights`: of the nodes of each dimension, `(Q_d,)`, that sum to one.
    - `mean`: of the factors, `(D, M)`; `centred`: the factors less their mean at the nodes, `(M, Q_d)` a dimension.
    - `additive`: the additive block less its mean at the nodes, `(O, Q_d)` a dimension; `shares`: these means, `(D, O)`.
    - `mixing`: `(O, M)`; `offset`: `(O,)`.
    - `rounding`: a standard deviation below it is the rounding of the model's dtype, `(O,)`.
    """

    weights: tuple[Float[np.ndarray, " _"], ...]
    mean: Float[np.ndarray, "D M"]
    centred: tuple[Float[np.ndarray, "M _"], ...]
    additive: tuple[Float[np.ndarray, "O _"], ...]
    shares: Float[np.ndarray, "D O"]
    mixing: Float[np.ndarray, "O M"]
    offset: Float[np.ndarray, " O"]
    rounding: Float[np.ndarray, " O"]


def with_units(model: Any, purpose: str) -> Units:
    """Find the separable model inside a `Result`, a `Fitted` or itself.

    **Raises:** `ValueError` where there is none; `purpose` says in the message what needs it.
    """
    fitted = model.model if isinstance(model, Result) else model
    inner = fitted.inner if isinstance(fitted, Fitted) else fitted
    if not isinstance(inner, AbstractSeparable):
        raise ValueError(
            f"{purpose} needs a separable model, such as a KHRONOS or a fit of one; got {type(inner).__name__}"
        )
    D, O = inner.dimensions, inner.outputs
    if not isinstance(fitted, Fitted):
        lower, upper = np.asarray(inner.domain, float).T
        names = tuple(f"x{d}" for d in range(D))
        targets = ("y",) if O == 1 else tuple(f"y{o}" for o in range(O))
        return Units(
            inner, lower, upper, np.zeros(D), np.ones(D), np.zeros(O), np.ones(O), names, targets, inner.scalar
        )
    lower, upper = np.asarray(fitted.lower, float), np.asarray(fitted.upper, float)
    origin, length = (lower, upper - lower) if fitted.scaled else (np.zeros(D), np.ones(D))
    shift, scale = np.asarray(fitted.shift, float), np.asarray(fitted.scale, float)
    # Integrals of one variable describe what the model sums up: under a link, the logarithm of the target, and it is called so.
    link = LINKS[fitted.link]
    targets = tuple(link.part(o).label(name) for o, name in enumerate(fitted.targets))
    return Units(inner, lower, upper, origin, length, shift, scale, fitted.names, targets, fitted.scalar, fitted.coding)


def marginals(units: Units, distribution: Any = None) -> Marginals:
    """The moments of a model.

    **Arguments:** the model and its units; `distribution`: nothing for inputs uniform on the box, or a sample `(N, D)` in physical units whose columns are
    taken as independent.

    **Raises:** `ValueError` for a sample of another shape, with a number that is not finite, or outside the box.
    """
    model = units.model
    rules = [
        (points if points.ndim == 2 else points[:, None], weights) for points, weights in _rules(units, distribution)
    ]
    dtype, O = model.factors[0].dtype, model.outputs
    weights = tuple(weight for _, weight in rules)
    mixing = units.scale[:, None] * (1.0 if model.mixing is None else np.asarray(model.mixing, float))
    mixing = np.broadcast_to(mixing, (O, model.modes))
    constant = np.zeros(O) if model.constant is None else np.asarray(model.constant, float)
    factors, terms = [], []
    for group, (nodes, weight) in zip(units.groups, rules, strict=True):
        values = [
            np.asarray(model.bases[d].collocation(jnp.asarray(column, dtype)), float).T
            for d, column in zip(group, nodes.T, strict=True)
        ]
        factors.append(math.prod(np.asarray(model.factors[d], float) @ B for d, B in zip(group, values, strict=True)))
        if model.additive is None:
            terms.append(np.zeros((O, len(weight))))
        else:
            parts = (np.asarray(model.additive[d], float) @ B for d, B in zip(group, values, strict=True))
            terms.append(units.scale[:, None] * sum(parts))
    mean = np.stack([f @ weight for f, weight in zip(factors, weights, strict=True)])
    shares = np.stack([a @ weight for a, weight in zip(terms, weights, strict=True)])
    lengths = np.stack([np.sqrt(f**2 @ weight) for f, weight in zip(factors, weights, strict=True)])
    sizes = np.stack([np.sqrt(a**2 @ weight) for a, weight in zip(terms, weights, strict=True)])
    return Marginals(
        weights,
        mean,
        tuple(f - mu[:, None] for f, mu in zip(factors, mean, strict=True)),
        tuple(a - share[:, None] for a, share in zip(terms, shares, strict=True)),
        shares,
        mixing,
        units.shift + units.scale * constant + shares.sum(axis=0),
        16 * float(jnp.finfo(dtype).eps) * (np.abs(mixing) @ lengths.prod(axis=0) + sizes.sum(axis=0)),
    )


def exclusive_mean(mean: Float[np.ndarray, "D M"], *left_out: int) -> Float[np.ndarray, " M"]:
    """The product of the means over all dimensions but some."""
    return np.prod(np.delete(mean, left_out, axis=0), axis=0)


def _uniform(basis: AbstractBasis, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the mean over an interval, exact for products of two functions of a spline."""
    breakpoints = np.asarray(basis.breakpoints, float)
    inner = breakpoints[(breakpoints > low) & (breakpoints < high)]
    ends = np.unique(np.concatenate([[low], inner, [high]]))
    points, weights = gauss_legendre(basis.degree + 1)
    lengths = np.diff(ends)[:, None]
    nodes = ends[:-1, None] + lengths * (1 + points) / 2
    return nodes.ravel(), (lengths * weights / 2).ravel() / (high - low)


def _rules(units: Units, distribution: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes `(Q,)` or `(Q, columns)` of each input, in the coordinates of the model, and their weights `(Q,)`."""
    inside = lambda points, columns: (np.asarray(points) - units.origin[columns]) / units.length[columns]
    if distribution is not None:
        rows = inside(_checked_sample(units, distribution), slice(None))
        return [(rows[:, group], np.full(len(rows), 1 / len(rows))) for group in units.groups]
    rules = []
    columns = [None] * len(units.groups) if units.coding is None else units.coding.columns
    for column, group in zip(columns, units.groups, strict=True):
        each, d = list(group), group[0]
        if column is not None and column.is_category:
            rules.append((inside(column.codes, each), np.asarray(column.shares)))
            continue
        low, high = (float(inside(end, d)) for end in (units.lower[d], units.upper[d]))
        nodes, weights = _uniform(units.model.bases[d], low, high)
        if column is not None and column.kind == "gaps":
            present = np.full(len(nodes), inside(0.0, each[1]))
            nodes = np.concatenate([np.stack([nodes, present], axis=1), inside([[column.codes[0][0], 1.0]], each)])
            weights = np.append(column.shares[0] * weights, column.shares[1])
        rules.append((nodes, weights))
    return rules


def _checked_sample(units: Units, distribution: Any) -> np.ndarray:
    rows = np.asarray(distribution) if units.coding is None else units.coding.code(distribution)
    D = len(units.names)
    rows = rows[:, None] if rows.ndim == 1 and D == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != D or not len(rows) or rows.dtype.kind not in "fiu":
        raise ValueError(
            f"distribution is a sample of shape {rows.shape} and type {rows.dtype}; expected numbers of shape (N, {D}), the columns {', '.join(units.names)}"
        )
    check_finite(rows, units.names)
    slack = 4 * np.finfo(rows.dtype if rows.dtype.kind == "f" else float).eps
    slack = slack * np.maximum(np.abs(units.lower), np.abs(units.upper))
    outside = np.argwhere((rows < units.lower - slack) | (rows > units.upper + slack))
    if len(outside):
        row, d = (int(i) for i in outside[0])
        raise ValueError(
            f"row {row + 1} of distribution lies outside the box of the model: {units.names[d]} = {rows[row, d]:g} is not in "
            f"[{units.lower[d]:g}, {units.upper[d]:g}]; leave such rows out"
        )
    return np.clip(rows.astype(float), units.lower, units.upper)
