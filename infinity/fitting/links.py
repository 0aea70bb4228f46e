r"""Links: what the separable model describes, the target itself or something that is free to take any value.

    y = g(u(x)),    g(u) = u,    min(max(u, l), h),    exp(u),    l + exp(u),    h - exp(-u),    l + (h - l) / (1 + exp(-u))    or    sqrt(max(u, 0))

A positive quantity that is a product of its causes is a sum after the logarithm, and needs fewer modes; so does the square of a length, a speed, an
equivalent stress or any other Euclidean norm, which is smooth where the norm has a kink. The error that counts is that of `y`: to first order that of `u`
times the slope `g'(u)`, which is `y` for the logarithm and `1 / 2y` for the square. At zero that slope is infinite and the error is not, so values below a
given size count as of that size; the name of the link holds it, `square(0.1)`. A target with bounds `l` and `h` keeps them under every link whose name holds
them, such as `log(0.0, inf)`, `logit(0.0, 1.0)` and `identity(0.0, inf)`; of several targets each has its own, `identity(0.0, inf; -inf, 5.0)`.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

KINDS = ("identity", "log", "logit", "square")

# Of a square: the size below which all values count the same, in root mean squares of the target.
SMALL = 0.1

Bounds = tuple[tuple[float, float], ...]


class Part(NamedTuple):
    """The link of one target: its `kind` (`"identity"`, `"clip"`, `"log"`, `"above"`, `"below"`, `"between"` or `"square"`), the bounds, the least `size`."""

    kind: str
    lower: float = -math.inf
    upper: float = math.inf
    size: float = 0.0

    def forward(self, y: Any) -> Any:
        """What the model describes; a target at a bound counts as just inside."""
        if self.kind == "log":
            return np.log(y)
        if self.kind == "square":
            return y**2
        tiny, eps = np.finfo(y.dtype).tiny, np.finfo(y.dtype).eps
        if self.kind == "above":
            return np.log(np.maximum(y - self.lower, tiny))
        if self.kind == "below":
            return -np.log(np.maximum(self.upper - y, tiny))
        if self.kind == "between":
            share = np.clip((y - self.lower) / (self.upper - self.lower), eps, 1 - eps)
            return np.log(share / (1 - share))
        return y

    def inverse(self, u: Any) -> Any:
        """The target."""
        return self.continued(u, 0.0)

    def slope(self, y: Any) -> Any:
        """The derivative of `inverse` where the target is `y`."""
        if self.kind == "log":
            return np.abs(y)
        if self.kind == "square":
            return 0.5 / np.maximum(y, self.size)
        tiny, eps = np.finfo(y.dtype).tiny, np.finfo(y.dtype).eps
        if self.kind == "above":
            return np.maximum(y - self.lower, tiny)
        if self.kind == "below":
            return np.maximum(self.upper - y, tiny)
        if self.kind == "between":
            share = np.clip((y - self.lower) / (self.upper - self.lower), eps, 1 - eps)
            return (self.upper - self.lower) * share * (1 - share)
        return np.ones_like(y)

    def continued(self, u: Any, change: Any) -> Any:
        """`g(u) + g'(u) change`, within the bounds: the straight line that continues the target beyond a point."""
        if self.kind == "identity":
            return u + change
        if self.kind == "log":
            return jnp.exp(u) * (1 + change)
        if self.kind == "above":
            value = self.lower + jnp.exp(u) * (1 + change)
        elif self.kind == "below":
            value = self.upper - jnp.exp(-u) * (1 - change)
        elif self.kind == "between":
            share = jax.nn.sigmoid(u)
            value = self.lower + (self.upper - self.lower) * (share + share * (1 - share) * change)
        elif self.kind == "square":
            root = jnp.where(u > 0, jnp.sqrt(jnp.where(u > 0, u, 1.0)), 0.0)  # with a derivative of zero below
            value = root + 0.5 * change / jnp.maximum(root, self.size)
        else:
            value = u + change
        return jnp.clip(value, self.lower, self.upper)

    def label(self, target: str) -> str:
        """What the model describes, in words."""
        if self.kind in ("identity", "clip"):
            return target
        if self.kind == "log" or (self.kind == "above" and self.lower == 0):
            return f"log({target})"
        if self.kind == "above":
            return f"log({target} - {self.lower:g})"
        if self.kind == "below":
            return f"-log({self.upper:g} - {target})"
        if self.kind == "square":
            return f"{target}^2"
        return f"logit({target})"


class Link(NamedTuple):
    """`forward` takes targets to what the model describes, `inverse`, `g`, back; `slope` is `g'` in terms of the target; `continued` as of a `Part`.

    All act on arrays whose last axis is that of the targets, or on those of one target alone; `parts` holds one link a target, or one for all.
    """

    forward: Callable
    inverse: Callable
    slope: Callable
    continued: Callable
    parts: tuple[Part, ...]

    def part(self, target: int) -> Part:
        """The link of one target."""
        return self.parts[target if len(self.parts) > 1 else 0]


def _link(parts: tuple[Part, ...]) -> Link:
    if len(parts) == 1:
        only = parts[0]
        return Link(only.forward, only.inverse, only.slope, only.continued, parts)

    def each(method: str, stack: Callable) -> Callable:
        def apply(*arrays: Any) -> Any:
            columns = [[a[..., o] if np.ndim(a) else a for a in arrays] for o in range(len(parts))]
            return stack([getattr(part, method)(*column) for part, column in zip(parts, columns, strict=True)], axis=-1)

        return apply

    return Link(
        each("forward", np.stack),
        each("inverse", jnp.stack),
        each("slope", np.stack),
        each("continued", jnp.stack),
        parts,
    )


class Links:
    """The links by name; a name that holds bounds is read when it is first asked for.

    >>> from infinity.fitting.links import LINKS
    >>> "log" in LINKS, "logit(0.0, 1.0)" in LINKS, "probit" in LINKS
    (True, True, False)
    >>> float(LINKS["logit(0.0, 4.0)"].inverse(0.0))
    2.0
    """

    def __getitem__(self, name: str) -> Link:
        found = _read(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _read(name) is not None


LINKS = Links()


@functools.lru_cache(maxsize=256)
def _read(name: str) -> Link | None:
    if name in ("identity", "log"):
        return _link((Part(name),))
    found = re.fullmatch(r"(identity|log|logit|square)\((.+)\)", name)
    if found is None:
        return None
    try:
        ends = [tuple(float(end) for end in pair.split(",")) for pair in found[2].split(";")]
    except ValueError:
        return None
    if found[1] == "square":
        sizes = [size for row in ends for size in row]
        positive = len(sizes) == len(ends) and all(0 < size < math.inf for size in sizes)
        return _link(tuple(Part("square", 0.0, math.inf, size) for size in sizes)) if positive else None
    if any(len(pair) != 2 or not pair[0] < pair[1] for pair in ends):
        return None
    return _link(tuple(_part(found[1], *pair) for pair in ends))


def _part(kind: str, lower: float, upper: float) -> Part:
    below, above = math.isfinite(lower), math.isfinite(upper)
    if not below and not above:
        return Part("identity")
    if kind == "identity":
        return Part("clip", lower, upper)
    return Part("between" if below and above else "above" if below else "below", lower, upper)


def bounded(kind: str, bounds: Bounds) -> str:
    """The name of a link that keeps bounds, one pair a target; the `kind` alone where there are none.

    >>> from infinity.fitting.links import bounded
    >>> bounded("logit", ((0.0, 1.0),)), bounded("identity", ((-float("inf"), float("inf")),))
    ('logit(0.0, 1.0)', 'identity')
    """
    if not np.isfinite(bounds).any():
        return kind
    different = bounds[:1] if len(set(bounds)) == 1 else bounds
    return f"{kind}({'; '.join(f'{float(lower)!r}, {float(upper)!r}' for lower, upper in different)})"


def squared(y: np.ndarray) -> str:
    """The name of the link whose square is described, for targets `(N, O)`.

    >>> import numpy as np
    >>> from infinity.fitting.links import squared
    >>> squared(np.array([[3.0], [4.0]]))
    'square(0.354)'
    """
    return f"square({'; '.join(f'{size:.3g}' for size in squares_count_from(y))})"


def squares_count_from(y: np.ndarray) -> np.ndarray:
    """The size `(O,)` below which all values of a target count as much, where its square is described."""
    return SMALL * np.sqrt(np.mean(np.asarray(y, float) ** 2, axis=0))


def links_to_try(link: str | None, bounds: Any, y: np.ndarray, targets: tuple[str, ...]) -> tuple[str, ...] | None:
    """Which links a fit may choose from, the first where nothing is selected; nothing for a free choice.

    **Arguments:** the link that was asked for, or nothing; `bounds`, a pair whose parts are nothing, a number or one number a target, or nothing; the targets
    `(N, O)` and their names.

    **Raises:** `ValueError` for an unknown link, bounds that are none, a target that violates them, and one that touches them under a link that cannot.
    """
    if link is not None and link not in KINDS:
        raise ValueError(f"link is {link!r}; expected one of {', '.join(KINDS)}")
    ends = checked_bounds(bounds, y, targets)
    if link == "square":
        return (_checked_square(ends, y, targets),)
    if not np.isfinite(ends).any():
        if link == "logit":
            raise ValueError("the link 'logit' needs a lower and an upper bound; give bounds=(lower, upper)")
        if link == "log":
            _check_inside(link, ((0.0, math.inf),) * len(ends), y, targets)
        return None if link is None else (link,)
    identity = bounded("identity", ends)
    finite = np.isfinite(ends)
    kind = "logit" if finite.all(axis=1).any() else "log"
    lower, upper = np.array(ends).T
    touched = bool(np.any((y <= lower) | (y >= upper)))
    if link is None:
        return (identity,) if touched else (identity, bounded(kind, ends))
    if link == "identity":
        return (identity,)
    for target, (low, high) in zip(targets, finite, strict=True):
        sides = int(low) + int(high)
        if sides != (1 if link == "log" else 2):
            raise ValueError(
                f"the target {target!r} has {('no bound', 'one bound', 'two bounds')[sides]}; the link {link!r} needs "
                f"{'exactly one' if link == 'log' else 'two'}. Leave the link out, and each target gets the one that its bounds allow"
            )
    _check_inside(link, ends, y, targets)
    return (bounded(link, ends),)


def checked_bounds(bounds: Any, y: np.ndarray, targets: tuple[str, ...]) -> Bounds:
    """The bounds of each target, `O` pairs, infinite where there is none.

    **Raises:** `ValueError` for anything else than a pair of numbers, or of one number a target; and naming the row of a target beyond its bounds.
    """
    O = len(targets)
    if bounds is None:
        return ((-math.inf, math.inf),) * O
    wanted = f"expected a pair (lower, upper), each a number, {O} numbers (one a target) or None"
    if isinstance(bounds, str) or not hasattr(bounds, "__len__") or len(bounds) != 2:
        raise ValueError(f"bounds is {bounds!r}; {wanted}")
    columns = []
    for end, open_end in zip(bounds, (-math.inf, math.inf), strict=True):
        entries = [end] * O if end is None or np.ndim(end) == 0 else list(end)
        try:
            numbers = [open_end if entry is None else float(entry) for entry in entries]
        except (TypeError, ValueError):
            raise ValueError(f"bounds is {bounds!r}; {wanted}") from None
        if len(numbers) != O or any(math.isnan(number) for number in numbers):
            raise ValueError(f"bounds is {bounds!r}; {wanted}")
        columns.append(numbers)
    ends = tuple(zip(*columns, strict=True))
    for target, (lower, upper) in zip(targets, ends, strict=True):
        if not lower < upper or lower == math.inf or upper == -math.inf:
            raise ValueError(
                f"the bounds of {target!r} are {lower:g} and {upper:g}; expected the lower below the upper"
            )
    low, high = np.array(ends).T
    bad = np.argwhere((y < low) | (y > high))
    if len(bad):
        row, o = (int(i) for i in bad[0])
        side, end = ("below the lower", low[o]) if y[row, o] < low[o] else ("above the upper", high[o])
        others = "" if len(bad) == 1 else f" ({len(bad)} such values in all)"
        raise ValueError(
            f"row {row + 1}, column {targets[o]!r}: {y[row, o]:g} lies {side} bound {end:g}{others}; correct the row, or the bound"
        )
    return ends


def _check_inside(link: str, ends: Bounds, y: np.ndarray, targets: tuple[str, ...]) -> None:
    low, high = np.array(ends).T
    bad = np.argwhere((y <= low) | (y >= high))
    if len(bad):
        row, o = (int(i) for i in bad[0])
        what = "has no logarithm" if low[o] == 0 and y[row, o] <= 0 and link == "log" else "touches a bound"
        raise ValueError(
            f"row {row + 1}, column {targets[o]!r}: {y[row, o]:g} {what}; "
            f"the link {link!r} keeps a target {'positive' if what.startswith('has') else 'inside'}, use 'identity' or remove the row"
        )


def _checked_square(ends: Bounds, y: np.ndarray, targets: tuple[str, ...]) -> str:
    for target, (low, high) in zip(targets, ends, strict=True):
        if low not in (-math.inf, 0.0) or high < math.inf:
            raise ValueError(
                f"the bounds of {target!r} are {low:g} and {high:g}; the link 'square' keeps a target at or above 0 and takes no other bounds"
            )
    bad = np.argwhere(y < 0)
    if len(bad):
        row, o = (int(i) for i in bad[0])
        raise ValueError(
            f"row {row + 1}, column {targets[o]!r}: {y[row, o]:g} is negative; the link 'square' is for targets that are none, use 'identity'"
        )
    flat = np.flatnonzero(~y.any(axis=0))
    if len(flat):
        raise ValueError(
            f"column {targets[int(flat[0])]!r} is zero throughout; the link 'square' needs values above it"
        )
    return squared(y)
